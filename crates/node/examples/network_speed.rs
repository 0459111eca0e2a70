//! What the network costs: one model asked alone and through QUIC on loopback, in turns.
//!
//! A random model of some hundred million parameters writes answers of 256 tokens, so that the
//! engine's work is of a real size; the village answers short ones after its provider fell silent.
//! Medians of interleaved runs, each printed with its ratio.
//!
//! `cargo run --release -p mutirao-node --example network_speed`
#![allow(clippy::print_stdout, reason = "a program whose output is a table")]

#[path = "speed/shared.rs"]
mod speed;

use mutirao_node::ask::Answered;
use mutirao_node::keys::Keys;
use mutirao_wire::Privacy;
use speed::{RUNS, TOKENS, first_token, node, of, publish, question};
use std::error::Error;
use std::time::Duration;

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
    println!("{} parameters, answers of {TOKENS} tokens", near.open(&model)?.spec.parameters);

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
