//! The reference against the pass that training makes, and against itself on other roads.

use super::*;
use crate::train::lessons::Row;
use crate::train::pass::Pass;
use crate::train::{Recipe, Shape, TrainState, export};

const SHAPE: Shape = Shape { layers: 2, vocabulary: 64, context: 32, ..Shape::SMALL };

/// A model as it would be published, and its weights as they are then.
fn published() -> (String, Vec<u8>, Vec<f32>) {
    let recipe = Recipe { shape: SHAPE, steps: 1, seed: 3, rows: 1, row_tokens: 32 };
    let state = TrainState::new(&recipe);
    let file = export::weights_file(&SHAPE, state.weights()).expect("a file");
    let weights = export::read_weights(&SHAPE, &file).expect("its weights");
    (export::config_file(&SHAPE), file, weights)
}

fn tokens() -> Vec<u32> {
    (0..20).map(|index| index * 7 % 64).collect()
}

#[test]
fn answering_token_by_token_predicts_what_the_training_pass_predicts() {
    let (config, file, weights) = published();
    let tokens = tokens();
    let row = Row {
        examples: std::iter::once(0..20).collect(),
        tokens: tokens.clone(),
        targets: Vec::new(),
    };
    let mut pass = Pass::new(&SHAPE, 32);
    let trained = pass.logits(&weights, &row).to_vec();
    let model = Reference::read(config.as_bytes(), &[&file]).expect("a model");
    let mut sequence = model.sequence();
    let mut answered = sequence.feed(&tokens[..5]).expect("fed");
    for (index, token) in tokens.iter().enumerate().skip(5) {
        let expected = &trained[(index - 1) * 64..index * 64];
        for (a, b) in answered.iter().zip(expected) {
            assert!((a - b).abs() < 1e-3, "after token {index}: {a} is not {b}");
        }
        answered = sequence.feed(&[*token]).expect("fed");
    }
}

#[test]
fn a_token_that_there_is_not_and_a_tensor_that_is_missing_are_named() {
    let (config, file, _) = published();
    let model = Reference::read(config.as_bytes(), &[&file]).expect("a model");
    let error = model.logits(&[1, 64]).expect_err("no such token");
    assert!(matches!(error, ReferenceError::Token { token: 64, vocabulary: 64 }), "{error}");
    let more = config.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    let error = Reference::read(more.as_bytes(), &[&file]).err().expect("a layer is missing");
    assert!(error.to_string().contains("model.layers.2."), "{error}");
    let wide = config.replace("\"intermediate_size\": 512", "\"intermediate_size\": 256");
    let error = Reference::read(wide.as_bytes(), &[&file]).err().expect("another size");
    assert!(error.to_string().contains("mlp."), "{error}");
}
