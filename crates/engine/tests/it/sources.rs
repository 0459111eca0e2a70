//! Weights in one file or many, on any number of threads, in one go or resumed: one model.

use crate::conversion::{Published as Numbers, published};
use crate::pools::Threads;
use mutirao_engine::load::{
    Catalogue, Converted, Files, InMemory, Part, Published, SafetensorsError, Shards, Sink,
    SinkError, convert_into,
};
use mutirao_engine::model::header::Profile;
use mutirao_engine::pool::{Pool, Serial};
use mutirao_engine::{ConvertError, Model};
use mutirao_wire::Digest;
use safetensors::Dtype;
use serde_json::json;
use std::collections::BTreeMap;

/// A file in memory that keeps finished tensors, and may fail before one of them.
#[derive(Default)]
struct Desk {
    file: Vec<u8>,
    finished: BTreeMap<Digest, Vec<Vec<u8>>>,
    fails_at: Option<usize>,
    matrices: usize,
}

impl Sink for Desk {
    fn kept(&mut self, part: &Part<'_>) -> Result<Option<Vec<Vec<u8>>>, SinkError> {
        Ok(self.finished.get(&part.key).cloned())
    }

    fn put(&mut self, part: &Part<'_>, sections: &[Vec<u8>]) -> Result<(), SinkError> {
        if self.fails_at == Some(part.index) {
            return Err(SinkError("the disk is full".into()));
        }
        self.matrices += usize::from(sections.len() == 4);
        self.finished.insert(part.key, sections.to_vec());
        self.write(part, sections);
        Ok(())
    }

    fn finish(&mut self, front: &[u8]) -> Result<(), SinkError> {
        self.file[..front.len()].copy_from_slice(front);
        Ok(())
    }

    fn begins(&mut self, part: &Part<'_>) {
        if let Some(sections) = self.finished.get(&part.key).cloned() {
            self.write(part, &sections);
        }
    }
}

impl Desk {
    fn write(&mut self, part: &Part<'_>, sections: &[Vec<u8>]) {
        self.file.resize(part.file_length as usize, 0);
        for (range, section) in part.sections.iter().zip(sections) {
            self.file[range.start as usize..range.end as usize].copy_from_slice(section);
        }
    }
}

fn convert_on(
    numbers: &Numbers,
    files: &dyn Files,
    catalogue: &Catalogue,
    pool: &dyn Pool,
    desk: &mut Desk,
) -> Result<Converted, ConvertError> {
    let config = numbers.config.to_string();
    let published = Published {
        config: config.as_bytes(),
        catalogue,
        files,
        tokenizer: b"{}",
        template: b"{{ messages }}",
    };
    convert_into(&published, Profile::W4, pool, desk)
}

/// The tensors dealt out to files in turn, and the index of them.
fn sharded(numbers: &Numbers, count: usize) -> (Vec<Vec<u8>>, String) {
    let name = |shard: usize| format!("model-{:05}-of-{count:05}.safetensors", shard + 1);
    let mut map = serde_json::Map::new();
    let files = (0..count).map(|shard| {
        let part = numbers.tensors.clone().into_iter().enumerate();
        let part = part.filter(|(index, _)| index % count == shard).map(|(_, tensor)| tensor);
        let tensors: BTreeMap<_, _> = part.collect();
        map.extend(tensors.keys().map(|tensor| (tensor.clone(), json!(name(shard)))));
        Numbers { config: numbers.config.clone(), tensors }.weights(Dtype::F32)
    });
    let files = files.collect();
    (files, json!({ "metadata": { "total_size": 1 }, "weight_map": map }).to_string())
}

#[test]
fn one_file_and_five_shards_on_one_and_two_threads_give_one_model() {
    // spec: ENGINE-16.1, ENGINE-16.2
    let numbers = published();
    let expected = numbers.convert_as(Dtype::F32, Profile::W4).expect("converts");
    let id = Model::from_bytes(&expected).expect("a model file").id();
    let (shards, index) = sharded(&numbers, 5);
    let files = InMemory(shards.iter().map(Vec::as_slice).collect());
    let shards = Shards::parse(index.as_bytes()).expect("an index");
    assert_eq!(shards.files.len(), 5);
    let catalogue = Catalogue::sharded(&files, &shards).expect("five files");
    for pool in [&Serial as &dyn Pool, &Threads(2)] {
        let mut desk = Desk::default();
        let made = convert_on(&numbers, &files, &catalogue, pool, &mut desk).expect("converts");
        assert_eq!(made.id, id);
        assert!(desk.file == expected, "another file on {} threads", pool.width());
        assert_eq!(made.bytes, expected.len() as u64);
        let weights: u64 = made.tensors.iter().map(|tensor| tensor.weights).sum();
        assert_eq!(weights, Model::from_bytes(&expected).expect("a model file").parameters());
        let matrix =
            made.tensors.iter().find(|tensor| tensor.name == "layers.1.up").expect("there");
        assert!((170..400).contains(&matrix.decibel_tenths.expect("a loss")), "{matrix:?}");
    }
}

#[test]
fn a_conversion_that_failed_anywhere_goes_on_to_the_same_file() {
    // spec: ENGINE-16.2
    let numbers = published();
    let expected = numbers.convert_as(Dtype::F32, Profile::W4).expect("converts");
    let weights = numbers.weights(Dtype::F32);
    let files = InMemory(vec![&weights]);
    let catalogue = Catalogue::safetensors(&files).expect("a file");
    for fails_at in 0..20 {
        let mut desk = Desk { fails_at: Some(fails_at), ..Desk::default() };
        let failed = convert_on(&numbers, &files, &catalogue, &Serial, &mut desk);
        assert!(matches!(failed, Err(ConvertError::Sink(_))), "{fails_at}: {failed:?}");
        (desk.fails_at, desk.matrices, desk.file) = (None, 0, Vec::new());
        convert_on(&numbers, &files, &catalogue, &Threads(2), &mut desk).expect("goes on");
        let left = (fails_at..20).filter(|index| ![1, 6, 10, 15, 19].contains(index)).count();
        assert_eq!(desk.matrices, left, "what was finished is not made again");
        assert!(desk.file == expected, "{fails_at}");
    }
}

#[test]
fn what_was_kept_of_other_weights_is_not_used() {
    // spec: ENGINE-16.2
    let numbers = published();
    let mut other = numbers.clone();
    other.tensors.get_mut("model.layers.0.mlp.up_proj.weight").expect("is there").1[7] += 0.5;
    let mut desk = Desk::default();
    for numbers in [&numbers, &other] {
        let weights = numbers.weights(Dtype::F32);
        let files = InMemory(vec![&weights]);
        let catalogue = Catalogue::safetensors(&files).expect("a file");
        desk.matrices = 0;
        convert_on(numbers, &files, &catalogue, &Serial, &mut desk).expect("converts");
    }
    assert_eq!(desk.matrices, 10, "from the norm in front of the first tensor that differs");
    let expected = other.convert_as(Dtype::F32, Profile::W4).expect("converts");
    assert!(desk.file == expected);
}

#[test]
fn kept_tensors_that_are_damaged_are_made_again() {
    // spec: ENGINE-16.2
    let numbers = published();
    let expected = numbers.convert_as(Dtype::F32, Profile::W4).expect("converts");
    let weights = numbers.weights(Dtype::F32);
    let files = InMemory(vec![&weights]);
    let catalogue = Catalogue::safetensors(&files).expect("a file");
    let mut desk = Desk::default();
    convert_on(&numbers, &files, &catalogue, &Serial, &mut desk).expect("converts");
    for sections in desk.finished.values_mut() {
        sections.pop();
    }
    convert_on(&numbers, &files, &catalogue, &Serial, &mut desk).expect("converts");
    assert!(desk.file == expected);
}

#[test]
fn an_index_that_lies_is_refused_by_tensor_or_reason() {
    // spec: ENGINE-16.1
    let (shards, index) = sharded(&published(), 3);
    let files = InMemory(shards.iter().map(Vec::as_slice).collect());
    let lie = |from: &str, to: &str| {
        let index = index.replace(from, to);
        let shards = Shards::parse(index.as_bytes())?;
        Catalogue::sharded(&files, &shards).map(|_| ())
    };
    let name = "model.norm.weight";
    for (from, to) in [
        (name, "model.other.weight"),
        ("\"model.norm.weight\":\"model-00002", "\"model.norm.weight\":\"model-00001"),
        ("\"model.norm.weight\":\"model-00002-of-00003.safetensors\",", ""),
    ] {
        assert_ne!(index.replace(from, to), index, "{from}");
        let error = lie(from, to).expect_err("a lie");
        assert!(matches!(error, SafetensorsError::Misplaced { .. }), "{error}");
    }
    for (from, to) in [
        ("model-00001", "../model-00001"),
        ("model-00001", "/model-00001"),
        ("\"model-00001-of-00003.safetensors\"", "7"),
        (".safetensors", ".bin"),
        ("weight_map", "map"),
        ("{", "["),
    ] {
        let error = lie(from, to).expect_err("a lie");
        assert!(matches!(error, SafetensorsError::Index(_)), "{error}");
    }
    let twice = InMemory([&shards[0], &shards[0]].map(Vec::as_slice).to_vec());
    let error = Catalogue::safetensors(&twice).expect_err("twice");
    assert!(matches!(error, SafetensorsError::Twice { .. }), "{error}");
}

#[test]
fn headers_larger_than_their_file_and_tensors_that_overlap_are_refused() {
    // spec: ENGINE-16.1
    let refused =
        |bytes: &[u8]| Catalogue::safetensors(&InMemory(vec![bytes])).expect_err("refused");
    let file = |header: &str, data: usize| {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.bytes());
        file.resize(file.len() + data, 0);
        file
    };
    for length in [u64::MAX, 1 << 40, 1000, 3] {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(b"{}");
        let error = refused(&bytes);
        assert!(matches!(error, SafetensorsError::Truncated { .. }), "{error}");
    }
    let long = file(&" ".repeat((16 << 20) + 1), 0);
    assert!(matches!(refused(&long), SafetensorsError::LongHeader { .. }));
    let tensor = |name: &str, shape: &str, first: usize, last: usize| {
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{first},{last}]}}"#)
    };
    let two = |one: String, other: String| file(&format!("{{{one},{other}}}"), 16);
    for bad in [
        two(tensor("a", "[2]", 0, 8), tensor("b", "[2]", 4, 12)),
        two(tensor("a", "[2]", 0, 8), tensor("b", "[1]", 12, 16)),
        two(tensor("a", "[3]", 0, 8), tensor("b", "[2]", 8, 16)),
        two(tensor("a", "[4294967296,4294967296,4294967296]", 0, 8), tensor("b", "[2]", 8, 16)),
        two(tensor("a", "[2]", 8, 0), tensor("b", "[2]", 8, 16)),
        file(&"[".repeat(100_000), 0),
    ] {
        let error = refused(&bad);
        assert!(matches!(error, SafetensorsError::Header { .. }), "{error}");
    }
    let short = file(&format!("{{{}}}", tensor("a", "[8]", 0, 32)), 31);
    let error = refused(&short);
    assert!(matches!(error, SafetensorsError::Size { .. }), "{error}");
    assert!(refused(b"").to_string().contains("fetch it again"));
}

#[test]
fn a_configuration_that_claims_a_giant_costs_no_memory() {
    // spec: ENGINE-15.7
    let mut numbers = published();
    for (field, number) in
        [("num_hidden_layers", 512), ("intermediate_size", 1 << 17), ("max_position_embeddings", 9)]
    {
        numbers.config[field] = json!(number);
    }
    let error = numbers.convert_as(Dtype::F32, Profile::W8).expect_err("refused").to_string();
    assert!(error.contains("mlp.gate_proj.weight has shape [40, 24]"), "{error}");
}
