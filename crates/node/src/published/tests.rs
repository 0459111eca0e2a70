//! The village in every form that models are published in: one id, one answer.

use super::*;
use crate::ask::tests::Place;
use crate::models::{Models, VILLAGE};
use mutirao_engine::load::InMemory;
use mutirao_engine::pool::Serial;
use mutirao_engine::testing::GgufWriter;
use mutirao_engine::{Model, Profile, Session};
use mutirao_wire::{FileName, Token};
use serde_json::{Value, json};
use std::sync::Arc;

fn part(wanted: FileName) -> Vec<u8> {
    let files = Models::new(Path::new(".")).embedded();
    files.into_iter().find(|(name, _)| *name == wanted).expect("is there").1
}

/// The village as llama.cpp would write it, in F32.
fn village_as_gguf() -> GgufWriter {
    let config: Value = serde_json::from_slice(&part(FileName::Config)).expect("JSON");
    let mut writer = GgufWriter::llama(&config, &part(FileName::Weights));
    let text = |name| String::from_utf8(part(name)).expect("text");
    writer.text("tokenizer.huggingface.json", &text(FileName::Tokenizer));
    writer.text("tokenizer.chat_template", &text(FileName::Template));
    writer
}

/// What the model says after a beginning, in tokens.
fn said(model: &Arc<Model>, prompt: &[Token]) -> Vec<u32> {
    let mut session = Session::new(model.clone());
    let mut logits = session.feed(prompt, &Serial).expect("runs").to_vec();
    let mut said = Vec::new();
    for _ in 0..20 {
        let best = (0..logits.len()).rev().max_by_key(|token| logits[*token]).expect("tokens");
        said.push(best as u32);
        logits = session.feed(&[Token(best as u32)], &Serial).expect("runs").to_vec();
    }
    said
}

#[test]
fn the_same_weights_from_gguf_and_from_safetensors_have_one_root_and_say_the_same_tokens() {
    let place = Place::new();
    let node = place.node("one", |_| {});
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("village-f32.gguf");
    std::fs::write(&path, village_as_gguf().file()).expect("written");
    let village = node.open(VILLAGE).expect("the village");
    let imported = node
        .import(&path.to_string_lossy(), Some("listed"), Profile::W8, &mut |_| {})
        .expect("imported");
    // Everything that the id depends on is said in both, so not only the root is the same.
    assert_eq!(imported.converted.id, village.id());
    let other = node.open("listed").expect("opened");
    for text in ["What is 17 + 25?", "Quem mora na casa azul?", "x\ny", "Tell me a story."] {
        let prompt = village.mind().encode(text).expect("tokens");
        assert_eq!(other.mind().encode(text).expect("tokens"), prompt);
        assert_eq!(
            said(&other.as_here().model, &prompt),
            said(&village.as_here().model, &prompt),
            "{text}"
        );
    }
}

#[test]
fn a_gguf_model_in_several_files_is_found_by_any_of_them_and_by_their_folder() {
    let place = Place::new();
    let node = place.node("one", |_| {});
    let folder = tempfile::tempdir().expect("a folder");
    let name = |part: usize| folder.path().join(format!("village-0000{part}-of-00003.gguf"));
    for (part, bytes) in (1..).zip(village_as_gguf().split(3)) {
        std::fs::write(name(part), bytes).expect("written");
    }
    let village = node.open(VILLAGE).expect("the village").id();
    for (at, path) in [name(1), name(3), folder.path().to_owned()].into_iter().enumerate() {
        let (path, here) = (path.to_string_lossy().into_owned(), format!("split{at}"));
        let imported = node.import(&path, Some(&here), Profile::W8, &mut |_| {});
        assert_eq!(imported.expect("imported").converted.id, village, "{path}");
    }
    std::fs::remove_file(name(2)).expect("removed");
    let error = Found::open(&name(1)).expect_err("a part is missing").to_string();
    assert!(error.contains("-00002-of-00003.gguf"), "{error}");
}

#[test]
fn shards_on_one_and_two_threads_are_the_model_of_the_whole_file() {
    let place = Place::new();
    let folder = tempfile::tempdir().expect("a folder");
    shard(folder.path());
    let ids = [1, 2].map(|threads| {
        let node = place.node(&format!("threads-{threads}"), |config| config.threads = threads);
        let from = folder.path().to_string_lossy().into_owned();
        let mut heard = 0;
        let imported = node.import(&from, Some("mine"), Profile::W8, &mut |progress| {
            heard += 1;
            assert_eq!((progress.number, progress.count), (heard, 38));
            assert!(progress.bytes < progress.all_bytes);
        });
        let imported = imported.expect("imported");
        assert_eq!(heard, 38);
        let kept = node.config().data_dir.join("models/mine");
        let names = std::fs::read_dir(kept).expect("listed").flatten().map(|it| it.file_name());
        let names: Vec<String> = names.map(|it| it.to_string_lossy().into_owned()).collect();
        assert!(names.iter().any(|name| name == "model.mutirao"), "{names:?}");
        let published = |name: &&String| name.contains("safetensors") || name.contains("token");
        assert_eq!(names.iter().find(published), None, "no copy of what was published");
        imported.converted.id
    });
    assert_eq!(ids[0], ids[1]);
    let village = place.node("whole", |_| {}).open(VILLAGE).expect("the village").id();
    assert_eq!(ids[0], village);
}

/// The village's weights dealt out to two files with an index.
fn shard(folder: &Path) {
    for name in [FileName::Config, FileName::Tokenizer, FileName::Template] {
        std::fs::write(folder.join(name.as_str()), part(name)).expect("written");
    }
    let weights = part(FileName::Weights);
    let catalogue = Catalogue::safetensors(&InMemory(vec![&weights])).expect("weights");
    let length = u64::from_le_bytes(weights[..8].try_into().expect("eight")) as usize;
    let header: Value = serde_json::from_slice(&weights[8..8 + length]).expect("JSON");
    let mut map = serde_json::Map::new();
    for shard in 0..2 {
        let (mut entries, mut data) = (serde_json::Map::new(), Vec::<u8>::new());
        for (_, (name, entry)) in
            catalogue.iter().enumerate().filter(|(index, _)| index % 2 == shard)
        {
            let start = data.len();
            data.extend(&weights[entry.at as usize..(entry.at + entry.bytes) as usize]);
            let mut one = header[name].clone();
            one["data_offsets"] = json!([start, data.len()]);
            entries.insert(name.to_owned(), one);
            map.insert(name.to_owned(), json!(format!("model-{shard}.safetensors")));
        }
        let entries = Value::Object(entries).to_string();
        let mut file = (entries.len() as u64).to_le_bytes().to_vec();
        file.extend(entries.bytes());
        file.extend(data);
        std::fs::write(folder.join(format!("model-{shard}.safetensors")), file).expect("written");
    }
    let index = json!({ "weight_map": map }).to_string();
    std::fs::write(folder.join("model.safetensors.index.json"), index).expect("written");
}

#[test]
fn a_pulled_directory_is_converted_once_and_opened_as_converted() {
    let place = Place::new();
    let node = place.node("one", |_| {});
    let kept = node.config().data_dir.join("models/old");
    files::make_dir(&kept).expect("made");
    for (name, content) in node.models().embedded() {
        std::fs::write(kept.join(name.as_str()), content).expect("written");
    }
    let id = node.open("old").expect("opened").id();
    std::fs::remove_file(kept.join("model.safetensors")).expect("removed");
    let again = node.open_anew("old").expect("opened as converted");
    assert_eq!(again.id(), id);
}

#[test]
fn what_is_no_model_is_refused_with_what_would_be_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let refused = |path: &Path| Found::open(path).expect_err("no model").to_string();
    assert!(refused(folder.path()).contains("config.json with model.safetensors"));
    std::fs::write(at("a.gguf"), b"GGUF").expect("written");
    assert!(refused(folder.path()).contains("ends before"));
    std::fs::write(at("b.gguf"), b"GGUF").expect("written");
    assert!(refused(folder.path()).contains("has 2 .gguf files"));
    std::fs::write(at("config.json"), b"{}").expect("written");
    std::fs::write(at("pytorch_model.bin"), b"\x80\x02").expect("written");
    assert!(refused(folder.path()).contains("pickle"));
    std::fs::write(at("model.safetensors"), part(FileName::Weights)).expect("written");
    assert!(refused(folder.path()).contains("no tokenizer.json"));
    std::fs::write(at("tokenizer.json"), b"{}").expect("written");
    assert!(refused(folder.path()).contains("no chat template"));
}

#[test]
fn a_template_that_names_the_ends_of_a_text_is_told_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    write(
        "tokenizer_config.json",
        r#"{"bos_token":{"content":"<s>"},"eos_token":"</s>",
            "chat_template":"{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"}"#,
    );
    let template = template(folder.path()).expect("a template");
    let text = mutirao_text::TextStack::new(&part(FileName::Tokenizer), &template, 1 << 14);
    let said = mutirao_wire::bundle::Message { role: "user".into(), content: "hi".into() };
    let rendered = text.expect("read").render(&[said], None, None).expect("rendered");
    assert_eq!(rendered, "<s>hi</s>");
}
