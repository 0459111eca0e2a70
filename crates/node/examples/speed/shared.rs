//! What the measurements of whole answers share: a random model of a real size, nodes, medians.

use mutirao_learn::train::{Recipe, Shape, TrainState, export};
use mutirao_node::Node;
use mutirao_node::ask::{Answered, Question};
use mutirao_node::config::{Config, Home, Settings};
use mutirao_wire::Sampling;
use mutirao_wire::bundle::Message;
use mutirao_wire::form::Form;
use std::error::Error;
use std::path::Path;

const TOKENIZER: &[u8] = include_bytes!("../../../../models/village/tokenizer.json");
/// Pairs of runs.
pub const RUNS: usize = 7;
/// Tokens of an answer.
pub const TOKENS: u32 = 256;
/// About a hundred million parameters.
const SHAPE: Shape = Shape {
    vocabulary: 2048,
    hidden: 1024,
    layers: 8,
    feed_forward: 3072,
    heads: 16,
    shared_heads: 4,
    head_size: 64,
    context: 2048,
};

/// Writes the model as anybody would publish it.
pub fn publish(folder: &Path) -> Result<(), Box<dyn Error>> {
    let recipe = Recipe { shape: SHAPE, ..Recipe::village(1) };
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("tokenizer.json"), TOKENIZER)?;
    for (name, bytes) in export::files(&TrainState::new(&recipe))? {
        std::fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

/// A node with a home of its own.
pub fn node(folder: &Path, name: &str, change: impl FnOnce(&mut Config)) -> Node {
    let home = Home::find(|_| None);
    let mut config = Settings::default().resolve(&home).expect("the defaults resolve");
    config.data_dir = folder.join(name);
    config.receipts = false;
    config.audit_one_in = 0;
    change(&mut config);
    Node::new(config)
}

/// A prompt that no other turn has.
pub fn question(model: &str, turn: usize) -> Question {
    let content = format!("Question {turn}: tell me a long story about a fox and a bell.");
    Question {
        model: model.into(),
        messages: vec![Message { role: "user".into(), content }],
        sampling: Sampling::greedy(),
        max_tokens: TOKENS,
        stop: Vec::new(),
        form: Form::default(),
        logprobs: None,
        raw: false,
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A median.
pub fn of(runs: &[Answered], read: impl Fn(&Answered) -> f64) -> f64 {
    median(runs.iter().map(read).collect())
}

/// In milliseconds.
pub fn first_token(answered: &Answered) -> f64 {
    answered.first_token.as_secs_f64() * 1e3
}
