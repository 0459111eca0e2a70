//! Published models of every family become the models that the second implementation makes of them:
//! `vectors/engine/relatives.json` was written by `spec`, which shares no code with this crate.

use mutirao_engine::load::convert;
use mutirao_engine::model::header::Profile;
use mutirao_engine::testing::Dice;
use mutirao_engine::{Model, Source};
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use serde_json::Value;

const RELATIVES: &str = include_str!("../../../../vectors/engine/relatives.json");

/// A tensor's name, its sides and its numbers, little-endian singles.
type Tensor = (String, Vec<usize>, Vec<u8>);

fn tensors(case: &Value) -> Vec<Tensor> {
    let mut dice = Dice::new(case["seed"].as_u64().expect("a seed"));
    let gemma = case["config"]["model_type"].as_str().expect("a family").starts_with("gemma");
    let tensor = |entry: &Value| {
        let name = entry[0].as_str().expect("a name").to_owned();
        let sides = entry[1].as_array().expect("sides").iter();
        let sides: Vec<usize> = sides.map(|side| side.as_u64().expect("a side") as usize).collect();
        let unit = if sides.len() == 1 { 256.0 } else { 512.0 };
        let one = if name.contains("norm") && !gemma { 1.0 } else { 0.0 };
        let width = sides.get(1).copied();
        let number = |place| (dice.within(-127, 127) as f32 / unit + one) * scale(place, width);
        let numbers = (0..sides.iter().product::<usize>()).map(number);
        let bytes = numbers.flat_map(f32::to_le_bytes).collect();
        (name, sides, bytes)
    };
    case["tensors"].as_array().expect("a list").iter().map(tensor).collect()
}

/// How much larger a number is than its tensor's others: channels that bits move out of, and
/// columns that they move into.
fn scale(place: usize, width: Option<usize>) -> f32 {
    let Some(width) = width else { return if place == 5 { 16.0 } else { 1.0 } };
    let (row, column) = (place / width, place % width);
    let up = if row % 8 == 3 { 8.0 } else { 1.0 };
    let down = if column == 5 {
        16.0
    } else if column % 8 == 3 {
        8.0
    } else {
        1.0
    };
    up / down
}

// spec: ENGINE-15.4, ENGINE-15.9, ENGINE-15.10, ENGINE-15.11
#[test]
fn every_family_becomes_the_model_that_the_second_implementation_makes_of_it() {
    let cases: Vec<Value> = serde_json::from_str(RELATIVES).expect("JSON");
    assert_eq!(cases.len(), 7);
    for case in &cases {
        let tensors = tensors(case);
        let views = tensors.iter().map(|(name, sides, bytes)| {
            (name, TensorView::new(Dtype::F32, sides.clone(), bytes).expect("whole"))
        });
        let weights = serialize(views, None).expect("a safetensors file");
        let config = case["config"].to_string();
        for (profile, field) in [(Profile::W8, "w8"), (Profile::W4, "w4")] {
            let source = Source {
                config: config.as_bytes(),
                weights: &weights,
                tokenizer: b"{}",
                template: b"",
            };
            let file = convert(&source, profile).expect("converts");
            let id = Model::from_bytes(&file).expect("proves itself").id().to_string();
            assert_eq!(id, case[field], "{config} as {field}");
        }
    }
}
