//! Published models that become ours: on any threads, and across a killed program.

use super::{Person, name};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const HIDDEN: usize = 512;
const INNER: usize = 2048;
const LAYERS: usize = 3;
const VOCABULARY: usize = 2048;

/// Tensors of a Llama of some size.
fn tensors() -> Vec<(String, Vec<usize>)> {
    let mut tensors = vec![
        ("model.embed_tokens".to_owned(), vec![VOCABULARY, HIDDEN]),
        ("model.norm".to_owned(), vec![HIDDEN]),
    ];
    for layer in 0..LAYERS {
        let mut put = |part: &str, shape: &[usize]| {
            tensors.push((format!("model.layers.{layer}.{part}"), shape.to_vec()));
        };
        put("input_layernorm", &[HIDDEN]);
        put("post_attention_layernorm", &[HIDDEN]);
        for part in ["q", "k", "v", "o"] {
            put(&format!("self_attn.{part}_proj"), &[HIDDEN, HIDDEN]);
        }
        put("mlp.gate_proj", &[INNER, HIDDEN]);
        put("mlp.up_proj", &[INNER, HIDDEN]);
        put("mlp.down_proj", &[HIDDEN, INNER]);
    }
    tensors
}

/// A model that takes a second or more to convert, with the village's tokenizer.
fn published(person: &Person) -> PathBuf {
    let folder = person.path("published");
    std::fs::create_dir(&folder).expect("made");
    let village = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/village");
    for file in ["tokenizer.json", "chat_template.jinja"] {
        std::fs::copy(village.join(file), folder.join(file)).expect("copied");
    }
    let config = std::fs::read_to_string(village.join("config.json")).expect("read");
    let mut config: Value = serde_json::from_str(&config).expect("JSON");
    for (field, number) in [
        ("hidden_size", HIDDEN),
        ("intermediate_size", INNER),
        ("num_hidden_layers", LAYERS),
        ("num_attention_heads", 8),
        ("num_key_value_heads", 8),
        ("head_dim", HIDDEN / 8),
        ("vocab_size", VOCABULARY),
    ] {
        config[field] = json!(number);
    }
    std::fs::write(folder.join("config.json"), config.to_string()).expect("written");
    let (mut header, mut data) = (serde_json::Map::new(), Vec::<u8>::new());
    let mut state = 1u32;
    for (name, shape) in tensors() {
        let start = data.len();
        for _ in 0..shape.iter().product() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Numbers of half a hundredth to three hundredths, of either sign.
            let half = (0x3BA0 + (state >> 24) as u16) | ((state >> 16) as u16 & 0x8000);
            data.extend(half.to_le_bytes());
        }
        let place = json!({ "dtype": "BF16", "shape": shape, "data_offsets": [start, data.len()] });
        header.insert(format!("{name}.weight"), place);
    }
    let header = Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.extend(data);
    std::fs::write(folder.join("model.safetensors"), file).expect("written");
    folder
}

#[test]
fn one_thread_two_threads_and_a_killed_and_resumed_import_give_one_model() {
    let person = Person::new();
    let folder = published(&person);
    let import = |name_here: &str, threads: &str| {
        let words = ["import", name(&folder), "--name", name_here, "--threads", threads];
        person.json(&words)["model"].as_str().expect("an id").to_owned()
    };
    let one = import("one", "1");
    assert_eq!(import("two", "2"), one);
    let words = ["import", name(&folder), "--name", "three", "--threads", "1"];
    let list = person.path(".local/share/mutirao/models/.three.importing/finished");
    let finished = || std::fs::read_to_string(&list).unwrap_or_default().lines().count();
    person.killed(&words, || finished() >= 6);
    assert!(finished() < 25, "it was almost done");
    assert!(!person.json(&["ls"]).to_string().contains("three"), "half a model is none");
    assert_eq!(import("three", "2"), one);
    assert!(person.json(&["ls"]).to_string().contains("three"));
    let folder = list.parent().expect("a folder");
    assert!(!folder.exists(), "nothing is left of the making");
    let smaller = person.json(&["import", name(&person.path("published")), "--profile", "w4"]);
    assert_ne!(smaller["model"], json!(one));
    assert!(smaller["tensors"].as_array().expect("tensors").len() > 25);
}

#[test]
fn who_is_killed_while_packing_leaves_a_model_that_answers_and_is_packed_later() {
    let person = Person::new();
    let folder = published(&person);
    person.json(&["import", name(&folder), "--name", "one"]);
    let kept = person.path(".local/share/mutirao/models/one");
    let (pack, note) = (kept.join("model.packed"), kept.join("model.packed.json"));
    let part = kept.join("model.packed.part");
    assert!(pack.is_file() && note.is_file(), "an import packs");
    let ask = ["run", "one", "Hello there, who are you?", "--max-tokens", "8"];
    let said = person.json(&ask)["answer"].clone();
    // On a busy machine it may be done before it is killed.
    let is_cut = (0..9).any(|_| {
        for path in [&pack, &note] {
            std::fs::remove_file(path).expect("removed");
        }
        person.killed(&ask, || std::fs::metadata(&part).is_ok_and(|part| part.len() > 1 << 20));
        !note.exists()
    });
    assert!(is_cut, "half a pack is none");
    assert_eq!(person.json(&ask)["answer"], said);
    assert!(pack.is_file() && note.is_file() && !part.exists());
    let seen = std::fs::metadata(&pack).expect("a pack").modified().expect("a time");
    assert_eq!(person.json(&ask)["answer"], said);
    assert_eq!(std::fs::metadata(&pack).expect("a pack").modified().expect("a time"), seen);
    assert_eq!(person.json(&["doctor"])["packed"]["says"], "1 models, whole");
}
