//! The promise of the engine, tried in full: every chunk size from 1 to 64, one thread and two, the
//! plain kernels and the fast ones give one answer, and every logit on the way is the same.

use crate::answers::{Ended, job, run};
use crate::pools::Threads;
use crate::slow::Slow;
use mutirao_engine::kernel::Kernels;
use mutirao_engine::model::header::Profile;
use mutirao_engine::pool::{Pool, Serial};
use mutirao_engine::testing::{Dice, Recipe, small_shape, variants};
use mutirao_engine::{Generation, Model, Prefill, Session, Shape};
use mutirao_wire::{Job, Sampling, Token};
use std::sync::Arc;

/// What one road gave: the logits after the last token of every chunk, and the answer.
type Given = (Vec<(usize, Vec<i32>)>, Vec<Token>, Ended);

/// Prefills in chunks of `chunk`, once through a session and once through a generation.
fn given(model: &Arc<Model>, job: &Job, chunk: usize, kernels: Kernels, pool: &dyn Pool) -> Given {
    let mut session = Session::with_kernels(model.clone(), kernels);
    let mut logits = Vec::new();
    for tokens in job.prompt.chunks(chunk) {
        let last = session.feed(tokens, pool).expect("these models do not trap");
        logits.push((session.position() - 1, last.to_vec()));
    }
    let mut generation =
        Generation::with_kernels(model.clone(), job.clone(), Vec::new(), kernels).expect("fits");
    let mut slices = 1;
    while matches!(generation.prefill(chunk, pool), Ok(Prefill::Working { .. })) {
        slices += 1;
    }
    assert_eq!(slices, job.prompt.len().div_ceil(chunk));
    let (answer, ended) = run(generation, pool);
    (logits, answer, ended)
}

/// The slow reading of the logits after every token of the prompt.
fn slow(file: &[u8], prompt: &[Token]) -> Vec<Vec<i32>> {
    let mut slow = Slow::new(file);
    prompt.iter().map(|token| slow.feed(*token).expect("these models do not trap")).collect()
}

fn sampling(seed: u64) -> Sampling {
    let draws = Sampling { temperature_milli: 800, top_k: 40, top_p: 60_000, ..Sampling::greedy() };
    if seed % 2 == 0 { Sampling::greedy() } else { Sampling { seed: [seed as u8; 32], ..draws } }
}

/// Compares every road with the plain kernels at one chunking and with the slow reading.
fn one_answer(recipe: &Recipe, shape: &Shape, seed: u64, length: usize) {
    one_answer_in(recipe, shape, seed, length, &Vec::from_iter(1..=64));
}

fn one_answer_in(recipe: &Recipe, shape: &Shape, seed: u64, length: usize, chunks: &[usize]) {
    let file = recipe.build();
    let model = Arc::new(Model::from_bytes(&file).expect("a model file"));
    let prompt = Dice::new(seed).tokens(length, shape.vocabulary);
    let expected = slow(&file, &prompt);
    let job = Job { sampling: sampling(seed), ..job(&model, &prompt, 8) };
    let (_, answer, ended) = given(&model, &job, 17, Kernels::scalar(), &Serial);
    assert!(!answer.is_empty());
    let two = Threads(2);
    let (plain, fast) = (Kernels::scalar(), Kernels::detect());
    let roads: [(Kernels, &dyn Pool); 3] = [(fast, &Serial), (fast, &two), (plain, &Serial)];
    for &chunk in chunks {
        // The plain kernels are slow; they have their own tests beside the fast ones.
        let count = if [1, 2, 15, 63, 64].contains(&chunk) { 3 } else { 2 };
        for (kernels, pool) in &roads[..count] {
            let found = given(&model, &job, chunk, *kernels, *pool);
            let road = || format!("{} in chunks of {chunk}, {}", kernels.name(), pool.width());
            assert_eq!(found.0.len(), length.div_ceil(chunk));
            for (position, logits) in &found.0 {
                assert_eq!(logits, &expected[*position], "{} at {position}", road());
            }
            assert_eq!((&found.1, found.2), (&answer, ended), "{}", road());
        }
    }
}

fn shapes() -> [(Shape, usize); 5] {
    let small = small_shape();
    [
        (small, 65),
        (Shape { heads: 2, kv_heads: 1, head_size: 34, hidden: 70, tied: 0, ..small }, 66),
        // Wide enough that even a single token is split over two threads.
        (Shape { hidden: 100, inner: 2100, layers: 1, vocabulary: 61, ..small }, 65),
        (Shape { hidden: 30, heads: 3, kv_heads: 3, head_size: 10, inner: 65, ..small }, 200),
        (Shape { hidden: 129, heads: 8, kv_heads: 2, layers: 1, ..small }, 130),
    ]
}

#[test]
fn a_prompt_has_one_answer_in_every_chunking_on_every_road() {
    // spec: ENGINE-1.3, ENGINE-12.1, ENGINE-14.3
    for (seed, (shape, length)) in (100..).zip(shapes()) {
        let mut recipe = Recipe::new(seed, shape);
        recipe.profile = if seed % 2 == 0 { Profile::W4 } else { Profile::W8 };
        one_answer(&recipe, &shape, seed, length);
    }
}

#[test]
fn models_at_their_bounds_have_one_answer_in_every_chunking_on_every_road() {
    // spec: ENGINE-1.3, ENGINE-3.5, ENGINE-12.1
    for (seed, (shape, length)) in (200..).zip(shapes()) {
        let mut recipe = Recipe::new(seed, shape).adversarial();
        recipe.profile = if seed % 2 == 0 { Profile::W8 } else { Profile::W4 };
        one_answer(&recipe, &shape, seed, length);
    }
}

fn families(chunks: &[usize]) {
    let shape = Shape { hidden: 48, head_size: 10, inner: 90, vocabulary: 70, ..small_shape() };
    for (seed, (_, variant)) in (300..).zip(variants(&shape)) {
        let mut recipe = Recipe::new(seed, shape).variant(variant);
        recipe.profile = if seed % 2 == 0 { Profile::W8 } else { Profile::W4 };
        one_answer_in(&recipe, &shape, seed, 40, chunks);
        one_answer_in(&recipe.adversarial(), &shape, seed, 39, chunks);
    }
}

#[test]
fn every_family_has_one_answer_in_many_chunkings_on_every_road() {
    // spec: ENGINE-1.3, ENGINE-3.8, ENGINE-6.5, ENGINE-6.6, ENGINE-7.9, ENGINE-7.10, ENGINE-8.3
    // spec: ENGINE-9.4, ENGINE-12.1, ENGINE-14.3
    families(&[1, 2, 9, 33]);
}

#[test]
fn every_family_has_one_answer_in_every_chunking_slow_() {
    // spec: ENGINE-1.3, ENGINE-12.1
    if std::env::var_os("MUTIRAO_SLOW").is_some() {
        families(&Vec::from_iter(1..=64));
    }
}
