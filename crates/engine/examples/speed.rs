//! Tokens a second on one thread, prefill and decode, for the shape of the village model and a
//! larger one. A plain stopwatch: run it on a quiet machine.
//!
//! `cargo run --release -p mutirao-engine --features testing --example speed`
#![allow(clippy::print_stdout)]

use mutirao_engine::kernel::Kernels;
use mutirao_engine::model::header::Profile;
use mutirao_engine::pool::Serial;
use mutirao_engine::testing::{Dice, Recipe, village_shape};
use mutirao_engine::{Model, Session, Shape};
use mutirao_wire::Token;
use std::sync::Arc;
use std::time::Instant;

const PREFILL: usize = 384;
const DECODE: usize = 128;

/// The best of some tries of prefill and decode, in tokens a second.
fn best(model: &Arc<Model>, kernels: Kernels, prompt: &[Token]) -> (f64, f64) {
    let mut best = (0f64, 0f64);
    for _ in 0..5 {
        let mut session = Session::with_kernels(model.clone(), kernels);
        let clock = Instant::now();
        session.feed(prompt, &Serial).expect("fits the context");
        best.0 = best.0.max(prompt.len() as f64 / clock.elapsed().as_secs_f64());
        let clock = Instant::now();
        for token in &prompt[..DECODE] {
            session.feed(&[*token], &Serial).expect("fits the context");
        }
        best.1 = best.1.max(DECODE as f64 / clock.elapsed().as_secs_f64());
    }
    best
}

fn main() {
    let village = village_shape();
    let larger = Shape {
        hidden: 1024,
        layers: 6,
        heads: 16,
        kv_heads: 4,
        head_size: 64,
        inner: 2816,
        vocabulary: 8192,
        ..village
    };
    for (name, shape) in [("village", village), ("larger", larger)] {
        for profile in [Profile::W8, Profile::W4] {
            let mut recipe = Recipe::new(1, shape);
            recipe.profile = profile;
            let model = Arc::new(Model::from_bytes(&recipe.build()).expect("a model file"));
            let prompt = Dice::new(2).tokens(PREFILL, shape.vocabulary);
            for kernels in [Kernels::scalar(), Kernels::detect()] {
                let (prefill, decode) = best(&model, kernels, &prompt);
                println!(
                    "{name} {profile:?} {} parameters {}: prefill {prefill:.0} tok/s, \
                     decode {decode:.0} tok/s at position {PREFILL}",
                    kernels.name(),
                    model.parameters(),
                );
            }
        }
    }
}
