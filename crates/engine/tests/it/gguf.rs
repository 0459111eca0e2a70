//! GGUF: the same weights are the same model, whatever they came in; and what strangers write.

use crate::conversion::published;
use crate::pools::Threads;
use mutirao_engine::load::convert_into;
use mutirao_engine::load::format::File;
use mutirao_engine::load::{Converted, Gguf, GgufError, InMemory, InMemoryFile, Published};
use mutirao_engine::model::header::Profile;
use mutirao_engine::pool::Serial;
use mutirao_engine::testing::GgufWriter;
use mutirao_engine::{ConvertError, Model, Session};
use mutirao_wire::Token;
use proptest::prelude::*;
use safetensors::Dtype;
use serde_json::{Value, json};
use std::sync::Arc;

/// Converts a GGUF file with a given tokenizer.
fn convert_gguf(file: &[u8], profile: Profile) -> Result<(Converted, Vec<u8>), ConvertError> {
    let files = InMemory(vec![file]);
    let gguf = Gguf::read(&files)?;
    let published = Published {
        config: &gguf.config()?,
        catalogue: gguf.catalogue(),
        files: &files,
        tokenizer: b"{}",
        template: b"{{ messages }}",
    };
    let mut memory = InMemoryFile::default();
    let made = convert_into(&published, profile, &Threads(2), &mut memory)?;
    Ok((made, memory.into_bytes()))
}

#[test]
fn the_same_weights_from_gguf_and_from_safetensors_are_the_same_model_and_give_the_same_tokens() {
    // spec: ENGINE-16.3, ENGINE-16.5
    let mut numbers = published();
    numbers.config["name"] = json!("llama");
    numbers.config["eos_token_id"] = json!(3);
    let writer = GgufWriter::llama(&numbers.config, &numbers.weights(Dtype::F32));
    for profile in [Profile::W8, Profile::W4] {
        let expected = numbers.convert_as(Dtype::F32, profile).expect("converts");
        let (made, file) = convert_gguf(&writer.file(), profile).expect("converts");
        assert!(file == expected, "another file");
        assert_eq!(made.weights_root, File::parse(&expected).expect("a model file").weights_root);
        let tokens: Vec<Token> = (0..60).map(|index| Token(index * 7 % 32)).collect();
        let logits = |file: &[u8]| {
            let model = Arc::new(Model::from_bytes(file).expect("a model file"));
            Session::new(model).feed(&tokens, &Serial).expect("runs").to_vec()
        };
        assert_eq!(logits(&file), logits(&expected));
    }
}

#[test]
fn a_file_that_the_gguf_package_wrote_is_the_model_of_the_committed_vectors() {
    // spec: ENGINE-16.3, ENGINE-16.5
    let little = include_bytes!("../../../../vectors/gguf/little.gguf");
    let vectors = include_str!("../../../../vectors/engine/conversion.json");
    let vectors: Value = serde_json::from_str(vectors).expect("JSON");
    let files = vectors["files"].as_array().expect("files");
    for (profile, wanted) in [Profile::W8, Profile::W4].into_iter().zip(files) {
        let (made, _) = convert_gguf(little, profile).expect("converts");
        assert_eq!(json!(made.id.to_string()), wanted["id"]);
    }
    let files = InMemory(vec![little]);
    let gguf = Gguf::read(&files).expect("a GGUF file");
    assert_eq!(gguf.text("tokenizer.ggml.model"), Some("gpt2"));
    assert_eq!(gguf.texts("tokenizer.ggml.merges"), Some(vec!["a b", "ab c"]));
    assert_eq!(gguf.numbers("tokenizer.ggml.token_type"), Some(vec![1, 1, 1, 1, 1, 1, 1, 1, 3, 3]));
    assert_eq!(gguf.text("tokenizer.chat_template"), Some("{{ messages }}"));
}

/// The model of the other tests as GGUF, without its weights' bytes mattering.
fn writer() -> GgufWriter {
    let numbers = published();
    GgufWriter::llama(&numbers.config, &numbers.weights(Dtype::F32))
}

fn refused(file: &[u8]) -> String {
    let error = convert_gguf(file, Profile::W8).expect_err("refused").to_string();
    assert!(error.len() > 10, "{error}");
    error
}

#[test]
fn rows_of_blocks_have_the_bytes_of_their_blocks() {
    // spec: ENGINE-16.4
    // Rows of two blocks of Q8_0, and the same as singles.
    let columns = 64;
    let mut file = GgufWriter::default();
    let (mut blocks, mut singles) = (Vec::new(), Vec::new());
    for index in 0..8 * columns {
        if index % 32 == 0 {
            blocks.extend([0x00, 0x14]); // 2^-10
        }
        let number = (index * 37 % 255) as i8;
        blocks.extend(number.to_le_bytes());
        singles.extend((f32::from(number) / 1024.0).to_le_bytes());
    }
    file.tensor("eights", &[8, columns], 8, blocks).tensor("singles", &[8, columns], 0, singles);
    file.text("general.architecture", "qwen3").number("qwen3.attention.head_count", 1);
    file.number("qwen3.embedding_length", 64);
    let file = file.file();
    let files = InMemory(vec![&file]);
    let gguf = Gguf::read(&files).expect("a GGUF file");
    let bytes = |name: &str| gguf.catalogue().get(name).expect("is there").bytes;
    assert_eq!((bytes("eights"), bytes("singles")), (8 * 2 * 34, 8 * 64 * 4));
}

#[test]
fn a_gguf_file_cut_anywhere_is_refused() {
    // spec: ENGINE-16.3
    let file = writer().file();
    for length in (0..file.len() - 32).step_by(13).chain([0, 3, 4, 8, 23, 24]) {
        let files = InMemory(vec![&file[..length]]);
        let error = Gguf::read(&files).expect_err("it is cut");
        assert!(matches!(error, GgufError::Truncated { .. }), "{length}: {error}");
    }
}

#[test]
fn counts_that_lie_cost_no_memory_and_are_refused() {
    // spec: ENGINE-16.3
    let front = |tensors: u64, keys: u64| {
        let mut file = b"GGUF\x03\0\0\0".to_vec();
        file.extend(tensors.to_le_bytes());
        file.extend(keys.to_le_bytes());
        file
    };
    for (tensors, keys) in [(u64::MAX, 0), (0, u64::MAX), (1 << 40, 1), (65_537, 0)] {
        assert!(refused(&front(tensors, keys)).contains("above the maximum"));
    }
    let mut long = front(0, 1);
    long.extend(u64::MAX.to_le_bytes());
    assert!(refused(&long).contains("above the maximum"));
    for count in [u64::MAX, 1 << 60, (64 << 20) + 1] {
        for kind in [0, 4, 8, 12] {
            let mut bomb = writer();
            bomb.list("bomb", kind, count, &[0; 64]);
            assert!(refused(&bomb.file()).contains("above the maximum"));
        }
    }
    let mut many = writer();
    many.list("bomb", 11, 64 << 20, &[0; 64]);
    assert!(refused(&many.file()).contains("ends before bomb"));
}

#[test]
fn what_cannot_be_in_a_gguf_file_is_refused_by_name() {
    // spec: ENGINE-16.3
    let with = |change: &dyn Fn(&mut GgufWriter)| {
        let mut writer = writer();
        change(&mut writer);
        refused(&writer.file())
    };
    let nested = with(&|file| {
        file.list("nested", 9, 1, &[0; 12]);
    });
    assert_eq!(nested, "GGUF: nested is a list of lists");
    let unknown = with(&|file| {
        file.raw("odd", 13, &[]);
    });
    assert_eq!(unknown, "GGUF: odd is of a kind that there is not");
    let twice = with(&|file| {
        file.text("general.name", "again");
    });
    assert_eq!(twice, "GGUF: general.name stands there twice");
    let flag = with(&|file| {
        file.raw("flag", 7, &[2]);
    });
    assert_eq!(flag, "GGUF: flag is neither yes nor no");
    let crooked = with(&|file| {
        file.number("general.alignment", 48);
    });
    assert!(crooked.contains("no power of two"), "{crooked}");
    let split = with(&|file| {
        file.number("split.count", 3);
    });
    assert!(split.contains("split into 3 GGUF files") && split.contains("-00001-of-00003"));
    let zeros = with(&|file| {
        file.tensor("rope_freqs.weight", &[3], 0, vec![0; 12]);
    });
    assert_eq!(zeros, "GGUF: rope_freqs.weight are not the factors of llama3's scaling");
    let many = with(&|file| {
        file.tensor("rope_freqs.weight", &[4], 0, vec![0; 16]);
    });
    assert!(many.contains("one number for each pair"), "{many}");
    let extra = with(&|file| {
        file.tensor("blk.0.ffn_sub_norm.weight", &[3], 0, vec![0; 12]);
    });
    assert_eq!(extra, "tensor blk.0.ffn_sub_norm.weight has no place in a model of this family");
    let double = with(&|file| {
        let (name, shape, _, bytes) = file.tensors()[0].clone();
        file.tensors()[0] = (name, shape, 28, [bytes.clone(), bytes].concat());
    });
    assert!(double.contains("of ggml's kind 28"), "{double}");
    let odd = with(&|file| file.tensors()[0].2 = 8);
    assert!(odd.contains("no whole blocks"), "{odd}");
    assert_eq!(refused(b"PK\x03\x04 something else entirely"), "not a GGUF file");
    let mut new = writer().file();
    new[4] = 4;
    assert!(refused(&new).contains("version 4"));
}

#[test]
fn tensors_that_overlap_or_overflow_are_refused_by_name() {
    // spec: ENGINE-16.3
    let file = writer().file();
    let name = b"blk.0.ffn_up.weight";
    let at = file.windows(name.len()).position(|window| window == name).expect("is there");
    let (shape, offset) = (at + name.len() + 4, at + name.len() + 4 + 16 + 4);
    let with = |place: usize, number: u64| {
        let mut file = file.clone();
        file[place..place + 8].copy_from_slice(&number.to_le_bytes());
        refused(&file)
    };
    assert!(with(offset, 0).contains("overlaps another tensor"));
    assert!(with(offset, 33).contains("is not aligned"));
    assert!(with(offset, 1 << 40).contains("ends before tensor blk.0.ffn_up.weight"));
    assert!(with(offset, u64::MAX - 31).contains("ends before tensor"));
    assert!(with(shape, u64::MAX).contains("larger than any tensor"));
    assert!(with(shape, 1 << 47).contains("larger than any tensor"));
    assert!(with(shape, 23).contains("has shape [40, 23]"));
    assert!(with(shape + 8, 1 << 20).contains("ends before tensor"));
}

#[test]
fn metadata_of_another_network_is_refused_by_field() {
    // spec: ENGINE-16.5
    for (key, value, wanted) in [
        ("llama.attention.sliding_window", 64, "sliding_window is 64"),
        ("llama.rope.dimension_count", 4, "rope.dimension_count is 4, heads have 6"),
        ("llama.attention.value_length", 8, "attention.value_length is 8, heads have 6"),
    ] {
        let mut file = writer();
        file.number(key, value);
        let error = refused(&file.file());
        assert!(error.contains(wanted), "{error}");
    }
    let mut scaled = writer();
    scaled.text("llama.rope.scaling.type", "yarn");
    assert!(refused(&scaled.file()).contains("rope_scaling"));
    let mut other = GgufWriter::default();
    other.text("general.architecture", "falcon");
    assert!(refused(&other.file()).contains("\"falcon\" are not read"));
    let mut bare = GgufWriter::default();
    assert!(refused(&bare.file()).contains("general.architecture is missing"));
    bare.text("general.architecture", "llama");
    assert!(refused(&bare.file()).contains("llama.attention.head_count is missing"));
}

#[test]
fn weights_that_are_not_finite_are_refused_where_they_would_stand() {
    // spec: ENGINE-16.3
    let mut file = writer();
    let query = file.tensors().iter_mut().find(|it| it.0 == "blk.1.attn_q.weight").expect("there");
    // Row 1 of the file is row 3 of a head of six.
    query.3[24 * 4..24 * 4 + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let name = "model.layers.1.self_attn.q_proj.weight";
    let wanted = format!("tensor {name} holds a weight that is not finite, at {}", 3 * 24);
    assert_eq!(refused(&file.file()), wanted);
}

proptest! {
    #[test]
    fn damaged_files_are_refused_or_read_but_never_a_panic(
        at in 0usize..2000, byte in any::<u8>(), more in 0usize..2000, other in any::<u8>()
    ) {
        let mut file = writer().file();
        file[at] = byte;
        file[more] ^= other;
        let _ = convert_gguf(&file, Profile::W8);
    }
}
