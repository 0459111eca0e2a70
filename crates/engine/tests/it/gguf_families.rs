//! GGUF of the families that say something there in words of their own, and models in several
//! files: the same model as from safetensors, or a reason.

use crate::conversion::published;
use mutirao_engine::ConvertError;
use mutirao_engine::load::{Gguf, GgufError, InMemory, InMemoryFile, Published, convert_into};
use mutirao_engine::model::header::Profile;
use mutirao_engine::pool::Serial;
use mutirao_engine::testing::GgufWriter;
use mutirao_engine::{Source, load};
use safetensors::Dtype;
use serde_json::{Value, json};
use std::path::Path;

/// Converts the parts of a GGUF model.
fn converted(parts: &[&[u8]]) -> Result<Vec<u8>, ConvertError> {
    let files = InMemory(parts.to_vec());
    let gguf = Gguf::read(&files)?;
    let published = Published {
        config: &gguf.config()?,
        catalogue: gguf.catalogue(),
        files: &files,
        tokenizer: b"{}",
        template: b"{{ messages }}",
    };
    let mut memory = InMemoryFile::default();
    convert_into(&published, Profile::W8, &Serial, &mut memory)?;
    Ok(memory.into_bytes())
}

/// What Llama 3.1's scaling divides the frequency of each pair by, as llama.cpp writes it.
fn factors(pairs: usize, theta: f64, original: f64) -> Vec<u8> {
    let factor = |pair: usize| {
        let turns = theta.powf(-(pair as f64) / pairs as f64) / std::f64::consts::TAU;
        let part = ((original * turns - 1.0) / 3.0).clamp(0.0, 1.0);
        (1.0 / ((1.0 - part) / 8.0 + part)) as f32
    };
    (0..pairs).flat_map(|pair| factor(pair).to_le_bytes()).collect()
}

#[test]
fn the_factors_of_llama_3_1_are_the_scaling_that_its_configuration_says() {
    // spec: ENGINE-16.6
    let mut numbers = published();
    numbers.config["name"] = json!("llama");
    numbers.config["eos_token_id"] = json!(3);
    let plain = numbers.convert_as(Dtype::F32, Profile::W8).expect("converts");
    let theta = numbers.config["rope_theta"].as_f64().expect("a base");
    let mut writer = GgufWriter::llama(&numbers.config, &numbers.weights(Dtype::F32));
    numbers.config["rope_scaling"] = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    });
    let expected = numbers.convert_as(Dtype::F32, Profile::W8).expect("converts");
    assert!(expected != plain, "the scaling does something");
    writer.tensor("rope_freqs.weight", &[3], 0, factors(3, theta, 64.0));
    assert!(converted(&[&writer.file()]).expect("converts") == expected, "another model");
    let last = writer.tensors().len() - 1;
    writer.tensors()[last].3 = [1.0_f32, 3.0, 8.0].map(f32::to_le_bytes).concat();
    let error = converted(&[&writer.file()]).expect_err("no scaling gives these").to_string();
    assert!(error.contains("rope_freqs.weight"), "{error}");
}

/// A committed checkpoint, with what GGUF cannot say set to what it means there.
fn checkpoint(family: &str) -> (Value, Vec<u8>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../learn/tests/families").join(family);
    let read = |name: &str| std::fs::read(folder.join(name)).expect("a committed file");
    let mut config: Value = serde_json::from_slice(&read("config.json")).expect("JSON");
    config["name"] = json!("it");
    config["query_pre_attn_scalar"] = config["head_dim"].clone();
    let fields = config.as_object_mut().expect("an object");
    let rope = fields.remove("rope_parameters").unwrap_or_default();
    if family == "gemma3" {
        fields.remove("layer_types");
        fields.insert("sliding_window_pattern".into(), json!(6));
        fields.insert("rope_theta".into(), rope["full_attention"]["rope_theta"].clone());
        let local = rope["sliding_attention"]["rope_theta"].clone();
        fields.insert("rope_local_base_freq".into(), local);
        fields.insert("rope_scaling".into(), json!({ "rope_type": "linear", "factor": 8.0 }));
    }
    (config, read("model.safetensors"))
}

#[test]
fn a_gemma_from_gguf_is_the_gemma_from_safetensors() {
    // spec: ENGINE-16.8
    for family in ["gemma", "gemma2", "gemma3"] {
        let (config, weights) = checkpoint(family);
        let text = config.to_string();
        let source = Source {
            config: text.as_bytes(),
            weights: &weights,
            tokenizer: b"{}",
            template: b"{{ messages }}",
        };
        let expected = load::convert(&source, Profile::W8).expect("converts");
        let found = converted(&[&GgufWriter::published(&config, &weights).file()]);
        assert!(found.expect("converts") == expected, "{family}: another model");
    }
}

#[test]
fn a_gemma_without_its_window_is_refused_and_one_of_27_billion_has_its_own_scale() {
    // spec: ENGINE-16.8
    let (mut config, weights) = checkpoint("gemma2");
    config["sliding_window"] = Value::Null;
    let error = converted(&[&GgufWriter::published(&config, &weights).file()]);
    assert!(error.expect_err("no window").to_string().contains("attention.sliding_window"));
    let (mut config, weights) = checkpoint("gemma2");
    config["num_hidden_layers"] = json!(46);
    let file = GgufWriter::published(&config, &weights).file();
    let said = Gguf::read(&InMemory(vec![&file])).expect("read").config().expect("a configuration");
    let said: Value = serde_json::from_slice(&said).expect("JSON");
    assert_eq!(said["query_pre_attn_scalar"], json!(48 / 4));
}

#[test]
fn a_model_in_several_files_is_the_model_in_one_and_missing_or_exchanged_parts_are_named() {
    // spec: ENGINE-16.7
    let numbers = published();
    let writer = GgufWriter::llama(&numbers.config, &numbers.weights(Dtype::F32));
    let whole = converted(&[&writer.file()]).expect("converts");
    let parts = writer.split(3);
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    assert!(converted(&parts).expect("converts") == whole, "another model");
    let refused = |parts: &[&[u8]]| converted(parts).expect_err("refused").to_string();
    let few = refused(&parts[..2]);
    assert!(few.contains("3 GGUF files, and 2 of them"), "{few}");
    let exchanged = refused(&[parts[0], parts[2], parts[1]]);
    assert!(exchanged.contains("file 2 of a split GGUF model"), "{exchanged}");
    assert!(matches!(
        Gguf::read(&InMemory(vec![parts[1]])),
        Err(GgufError::Split { count: 3, here: 1 })
    ));
    let mut other = writer.clone();
    other.tensors().pop();
    let other = other.split(3);
    let mixed = refused(&[parts[0], parts[1], &other[2]]);
    assert!(mixed.contains("a tensor of the split model"), "{mixed}");
    let twice = writer.split(3);
    let mut writer = writer.clone();
    writer.tensors().rotate_left(1);
    let rotated = writer.split(3);
    assert!(refused(&[&twice[0], &twice[1], &rotated[2]]).contains("stands there twice"));
}
