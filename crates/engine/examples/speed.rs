//! Tokens a second on one thread, prefill and decode, and how near decoding comes to the memory.
//!
//! Decoding reads every weight once a token, so its limit is the bandwidth of the memory; that is
//! measured in the same run, by adding up a buffer larger than any cache. The `small` model fits a
//! cache and may go beyond it; the `large` one does not. A plain stopwatch, the best of some tries:
//! run it on a quiet machine.
//!
//! `cargo run --release -p mutirao-engine --example speed`
#![allow(clippy::print_stdout)]
#![expect(clippy::disallowed_types, reason = "a stopwatch needs a clock; the engine has none")]

use mutirao_engine::kernel::Kernels;
use mutirao_engine::model::header::Profile;
use mutirao_engine::pool::Serial;
use mutirao_engine::testing::{Dice, Recipe, village_shape};
use mutirao_engine::{Model, Session, Shape};
use mutirao_wire::Token;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const TRIES: usize = 3;
const PREFILL: usize = 256;
const DECODE: usize = 48;
/// Words of the buffer whose reading is timed: 512 MiB.
const WORDS: usize = 64 << 20;

fn seconds(work: impl FnOnce()) -> f64 {
    let clock = Instant::now();
    work();
    clock.elapsed().as_secs_f64()
}

/// Bytes a second that one thread reads, one stream.
fn bandwidth() -> f64 {
    let buffer = vec![1u64; WORDS];
    let sum = || black_box(black_box(&buffer).iter().fold(0u64, |sum, word| sum ^ word));
    let best = (0..TRIES).map(|_| seconds(|| _ = sum())).fold(f64::INFINITY, f64::min);
    (8 * WORDS) as f64 / best
}

/// The best of some tries of prefill and decode, in tokens a second.
fn best(model: &Arc<Model>, kernels: Kernels, prompt: &[Token]) -> (f64, f64) {
    let mut best = (0f64, 0f64);
    for _ in 0..TRIES {
        let mut session = Session::with_kernels(model.clone(), kernels);
        let prefill = seconds(|| _ = session.feed(prompt, &Serial).expect("fits the context"));
        let decode = seconds(|| {
            for token in &prompt[..DECODE] {
                session.feed(&[*token], &Serial).expect("fits the context");
            }
        });
        best.0 = best.0.max(prompt.len() as f64 / prefill);
        best.1 = best.1.max(DECODE as f64 / decode);
    }
    best
}

fn report(name: &str, recipe: &Recipe, shape: &Shape, kernels: &[Kernels], bandwidth: f64) {
    let file = recipe.build();
    let model = Arc::new(Model::from_bytes(&file).expect("a model file"));
    let prompt = Dice::new(2).tokens(PREFILL, shape.vocabulary);
    let megabytes = file.len() as f64 / 1e6;
    println!("{name} {:?}: {} weights, {megabytes:.1} MB", recipe.profile, model.parameters());
    for kernels in kernels {
        let (prefill, decode) = best(&model, *kernels, &prompt);
        let share = decode * file.len() as f64 / bandwidth * 100.0;
        println!(
            "  {}: prefill {prefill:.1} tok/s, decode {decode:.1} tok/s, {share:.0} % of bandwidth",
            kernels.name()
        );
    }
}

fn main() {
    let bandwidth = bandwidth();
    println!("reading memory: {:.1} GB/s, one thread", bandwidth / 1e9);
    let village = village_shape();
    let large = Shape {
        hidden: 1024,
        layers: 12,
        heads: 16,
        kv_heads: 4,
        head_size: 64,
        inner: 2816,
        vocabulary: 8192,
        ..village
    };
    let (plain, fast) = (Kernels::scalar(), Kernels::detect());
    for (name, shape, kernels) in
        [("small", village, vec![plain, fast]), ("large", large, vec![fast])]
    {
        for profile in [Profile::W8, Profile::W4] {
            let mut recipe = Recipe::new(1, shape);
            recipe.profile = profile;
            report(name, &recipe, &shape, &kernels, bandwidth);
        }
    }
}
