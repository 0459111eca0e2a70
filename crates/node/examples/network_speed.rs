//! What the network costs: one model asked alone and through QUIC on loopback, in turns.
//!
//! A random model of some hundred million parameters writes answers of 256 tokens, so that the
//! engine's work is of a real size; the village answers short ones after its provider fell silent.
//! Medians of interleaved runs, each printed with its ratio.
//!
//! `cargo run --release -p mutirao-node --example network_speed`
#![allow(clippy::print_stdout, reason = "a program whose output is a table")]

use mutirao_learn::train::{Recipe, Shape, TrainState, export};
use mutirao_node::Node;
use mutirao_node::ask::{Answered, Question};
use mutirao_node::config::{Config, Home, Settings};
use mutirao_node::keys::Keys;
use mutirao_wire::bundle::Message;
use mutirao_wire::{Privacy, Sampling};
use std::error::Error;
use std::path::Path;
use std::time::Duration;

const TOKENIZER: &[u8] = include_bytes!("../../../models/village/tokenizer.json");
const RUNS: usize = 7;
const TOKENS: u32 = 256;
/// About a hundred million parameters.
const SHAPE: Shape = Shape {
    vocabulary: 1024,
    hidden: 1024,
    layers: 8,
    feed_forward: 3072,
    heads: 16,
    shared_heads: 4,
    head_size: 64,
    context: 2048,
};

/// Writes the model as anybody would publish it.
fn publish(folder: &Path) -> Result<(), Box<dyn Error>> {
    let recipe = Recipe { shape: SHAPE, ..Recipe::village(1) };
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("tokenizer.json"), TOKENIZER)?;
    for (name, bytes) in export::files(&TrainState::new(&recipe))? {
        std::fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

fn node(folder: &Path, name: &str, change: impl FnOnce(&mut Config)) -> Node {
    let home = Home::find(|_| None);
    let mut config = Settings::default().resolve(&home).expect("the defaults resolve");
    config.data_dir = folder.join(name);
    config.receipts = false;
    config.audit_one_in = 0;
    change(&mut config);
    Node::new(config)
}

fn question(model: &str, turn: usize) -> Question {
    let content = format!("Question {turn}: tell me a long story about a fox and a bell.");
    Question {
        model: model.into(),
        messages: vec![Message { role: "user".into(), content }],
        sampling: Sampling::greedy(),
        max_tokens: TOKENS,
        stop: Vec::new(),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn of(runs: &[Answered], read: impl Fn(&Answered) -> f64) -> f64 {
    median(runs.iter().map(read).collect())
}

fn first_token(answered: &Answered) -> f64 {
    answered.first_token.as_secs_f64() * 1e3
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let model = place.path().join("large");
    publish(&model)?;
    let model = model.to_str().expect("a name").to_owned();
    let provider = node(place.path(), "provider", |_| {});
    let providing = provider.provide(&model, &Keys::throw_away()?).await?;
    let far = node(place.path(), "far", |config| config.privacy = Privacy::Circle);
    far.join(&providing.ticket()).await?;
    let near = node(place.path(), "near", |_| {});
    println!("{} parameters, answers of {TOKENS} tokens", near.open(&model)?.model.parameters());

    let (mut alone, mut network) = (Vec::new(), Vec::new());
    for turn in 0..=RUNS {
        let asked = question(&model, turn);
        // As `mutirao serve` does between two questions.
        far.meet_ahead().await;
        let (one, other) =
            (near.ask(&asked, &mut |_| {}).await?, far.ask(&asked, &mut |_| {}).await?);
        assert_eq!(one.tokens, other.tokens, "the same bits");
        // The first turn opens files and connections.
        if turn > 0 && one.tokens.len() as u32 == TOKENS {
            alone.push(one);
            network.push(other);
        }
    }
    let (near_speed, far_speed) =
        (of(&alone, Answered::tokens_per_second), of(&network, Answered::tokens_per_second));
    let (near_first, far_first) = (of(&alone, first_token), of(&network, first_token));
    println!("{} pairs of runs", alone.len());
    println!(
        "tokens/s       alone {near_speed:.1}   network {far_speed:.1}   ratio {:.3}",
        far_speed / near_speed
    );
    println!(
        "first token ms alone {near_first:.1}   network {far_first:.1}   more {:.1}",
        far_first - near_first
    );
    providing.stop().await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    Ok(())
}
