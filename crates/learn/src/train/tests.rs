//! Gradients against finite differences, and runs against themselves.

use super::lessons::{Batch, Row, Target, VillageLessons};
use super::pass::Pass;
use super::real::Real;
use super::shape::Shape;
use super::state::{Recipe, StateError, TrainState, Workshop};
use super::{export, muon};
use crate::dice::Dice;
use crate::village::tokens;
use mutirao_engine::pool::{Pool, Serial};

const TINY: Shape = Shape {
    vocabulary: 24,
    hidden: 16,
    layers: 2,
    feed_forward: 24,
    heads: 4,
    shared_heads: 2,
    head_size: 8,
    context: 64,
};

fn some_weights(shape: &Shape, seed: u64) -> Vec<f64> {
    let mut dice = Dice::new(seed, 0);
    let norms: Vec<_> =
        shape.tensors().into_iter().filter(|t| t.columns == 1).map(|t| t.range()).collect();
    (0..shape.parameters())
        .map(|index| {
            let noise = f64::from(dice.normal_thousandths()) / 1000.0;
            let gain = norms.iter().any(|range| range.contains(&index));
            if gain { 1.0 + 0.2 * noise } else { 0.3 * noise }
        })
        .collect()
}

fn some_row(shape: &Shape, seed: u64) -> Row {
    let mut dice = Dice::new(seed, 1);
    let tokens: Vec<u32> = (0..17).map(|_| dice.below(shape.vocabulary as u32)).collect();
    let target = |position| Target { position, token: tokens[position + 1], weight: 0.5 };
    let targets = vec![target(3), target(4), target(9), target(14), target(15)];
    Row { examples: vec![0..6, 6..11, 11..17], targets, tokens }
}

#[test]
fn every_tensor_has_the_gradient_that_finite_differences_show() {
    let (mut weights, row) = (some_weights(&TINY, 1), some_row(&TINY, 5));
    let mut pass = Pass::<f64>::new(&TINY, 32);
    let mut gradient = vec![0.0; weights.len()];
    let loss = pass.learn(&weights, &row, 0.4, &mut gradient);
    assert!(loss > 0.0);
    let mut unused = vec![0.0; weights.len()];
    let mut dice = Dice::new(9, 0);
    for tensor in TINY.tensors() {
        for _ in 0..12 {
            let index = tensor.offset + dice.below(tensor.range().len() as u32) as usize;
            let kept = weights[index];
            let step = 1e-5;
            weights[index] = kept + step;
            let above = pass.learn(&weights, &row, 0.4, &mut unused);
            weights[index] = kept - step;
            let below = pass.learn(&weights, &row, 0.4, &mut unused);
            weights[index] = kept;
            let slope = (above - below) / (2.0 * step);
            let error = (slope - gradient[index]).abs() / (1e-4 + slope.abs());
            assert!(error < 1e-4, "{} [{index}]: {slope} is not {}", tensor.name, gradient[index]);
        }
    }
}

#[test]
fn both_kinds_of_number_agree_on_the_loss() {
    let (weights, row) = (some_weights(&TINY, 2), some_row(&TINY, 5));
    let short: Vec<f32> = weights.iter().map(|x| f32::of(*x)).collect();
    let mut gradient = (vec![0.0_f32; weights.len()], vec![0.0_f64; weights.len()]);
    let coarse = Pass::<f32>::new(&TINY, 32).learn(&short, &row, 0.4, &mut gradient.0);
    let fine = Pass::<f64>::new(&TINY, 32).learn(&weights, &row, 0.4, &mut gradient.1);
    assert!((coarse - fine).abs() < 1e-4, "{coarse} against {fine}");
}

#[test]
fn examples_in_one_row_do_not_see_each_other() {
    let (weights, row) = (some_weights(&TINY, 2), some_row(&TINY, 5));
    let mut other = row.clone();
    other.tokens[2] = (row.tokens[2] + 1) % 24;
    let mut pass = Pass::<f64>::new(&TINY, 32);
    let before = pass.logits(&weights, &row).to_vec();
    let after = pass.logits(&weights, &other).to_vec();
    assert_eq!(before[..2 * 24], after[..2 * 24], "what came earlier may not change");
    assert_ne!(before[2 * 24..6 * 24], after[2 * 24..6 * 24], "its own example must notice");
    assert_eq!(before[6 * 24..], after[6 * 24..], "the other examples may not");
}

/// Runs pieces on `0` threads, taking them last first, to show that order does not matter.
struct Threads(usize);

impl Pool for Threads {
    fn width(&self) -> usize {
        self.0
    }

    fn run(&self, parts: usize, job: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            for thread in 0..self.0 {
                scope.spawn(move || {
                    let mine = (0..parts).rev().filter(|part| part % self.0 == thread);
                    mine.for_each(job);
                });
            }
        });
    }
}

const RECIPE: Recipe = Recipe { shape: TINY, steps: 40, seed: 11, rows: 5, row_tokens: 32 };

fn some_batch(step: u64) -> Batch {
    Batch { rows: (0..5).map(|row| some_row(&TINY, step * 5 + row)).collect() }
}

fn run(state: &mut TrainState, until: u64, pool: &dyn Pool) -> f64 {
    let mut workshop = Workshop::new(state.recipe());
    let mut loss = f64::NAN;
    while state.step_count() < until {
        loss = state.step(&some_batch(state.step_count() % 3), &mut workshop, pool).loss;
    }
    loss
}

#[test]
fn any_number_of_threads_gives_the_same_state() {
    let mut alone = TrainState::new(&RECIPE);
    run(&mut alone, 12, &Serial);
    for threads in [2, 3, 7] {
        let mut together = TrainState::new(&RECIPE);
        run(&mut together, 12, &Threads(threads));
        assert_eq!(alone.digest(), together.digest(), "{threads} threads");
    }
}

#[test]
fn a_run_taken_up_again_ends_where_an_unbroken_one_does() -> Result<(), StateError> {
    let mut unbroken = TrainState::new(&RECIPE);
    run(&mut unbroken, 14, &Serial);
    let mut broken = TrainState::new(&RECIPE);
    run(&mut broken, 5, &Serial);
    let mut resumed = TrainState::from_bytes(&broken.to_bytes())?;
    assert_eq!(resumed, broken);
    run(&mut resumed, 14, &Serial);
    assert_eq!(unbroken.digest(), resumed.digest());
    Ok(())
}

#[test]
fn a_run_learns_what_it_is_shown() {
    let mut state = TrainState::new(&Recipe { steps: 300, ..RECIPE });
    let first = run(&mut state, 1, &Serial);
    let last = run(&mut state, 300, &Serial);
    assert!(state.is_done());
    assert!(last < first * 0.2, "the loss went from {first} to {last}");
}

#[test]
fn a_damaged_checkpoint_is_refused_and_never_panics() {
    let bytes = TrainState::new(&RECIPE).to_bytes();
    for length in [0, 31, 32, 60, bytes.len() - 1] {
        assert!(TrainState::from_bytes(&bytes[..length]).is_err(), "cut to {length}");
    }
    let mut flipped = bytes;
    flipped[200] ^= 1;
    assert_eq!(TrainState::from_bytes(&flipped), Err(StateError::Damaged));
}

#[test]
fn the_rate_rises_stays_and_falls() {
    let recipe = Recipe { steps: 1000, ..RECIPE };
    assert!((recipe.rate_factor(0) - 1.0 / 60.0).abs() < 1e-12);
    assert!((recipe.rate_factor(59) - 1.0).abs() < 1e-12);
    assert!((recipe.rate_factor(349) - 1.0).abs() < 1e-12);
    assert!((recipe.rate_factor(675) - 0.51).abs() < 1e-9);
    assert!(recipe.rate_factor(999) < 0.022);
}

#[test]
fn muon_brings_all_singular_values_near_one() {
    let mut dice = Dice::new(4, 4);
    for (rows, columns) in [(8, 3), (3, 8), (6, 6)] {
        let mut numbers =
            || (0..rows * columns).map(|_| dice.normal_thousandths() as f32 / 1e3).collect();
        let gradient: Vec<f32> = numbers();
        let (mut weights, mut momentum) = (vec![0.0; rows * columns], vec![0.0; rows * columns]);
        let mut scratch = muon::MuonScratch::default();
        let sizes = (rows, columns);
        muon::muon(&mut weights, &mut momentum, &gradient, sizes, 1.0, &mut scratch);
        let scale = (rows as f32 / columns as f32).max(1.0).sqrt();
        let length: f32 = weights.iter().map(|x| (x / scale) * (x / scale)).sum();
        let side = rows.min(columns) as f32;
        assert!((0.4 * side..1.6 * side).contains(&length), "{length} for {rows}x{columns}");
        let against: f32 = weights.iter().zip(&gradient).map(|(w, g)| w * g).sum();
        assert!(against < 0.0, "a step goes against the gradient");
    }
}

#[test]
fn numbers_are_halved_to_the_nearest_even() {
    assert_eq!(export::to_bf16(1.0), 0x3f80);
    assert_eq!(export::to_bf16(f32::from_bits(0x3f80_8000)), 0x3f80);
    assert_eq!(export::to_bf16(f32::from_bits(0x3f81_8000)), 0x3f82);
    assert_eq!(export::to_bf16(f32::from_bits(0x3f80_8001)), 0x3f81);
    assert!(export::from_bf16(export::to_bf16(f32::NAN)).is_nan());
}

#[test]
fn written_weights_are_read_back_as_bf16() -> Result<(), export::ExportError> {
    let state = TrainState::new(&RECIPE);
    let file = export::weights_file(&TINY, state.weights())?;
    let read = export::read_weights(&TINY, &file)?;
    let expected = state.weights().iter().map(|x| export::from_bf16(export::to_bf16(*x)));
    assert_eq!(read, expected.collect::<Vec<_>>());
    let larger = Shape { hidden: 24, ..TINY };
    assert!(export::read_weights(&larger, &file).is_err());
    Ok(())
}

#[test]
fn batches_are_the_same_again_fill_their_rows_and_learn_answers_only()
-> Result<(), tokens::TokenizerError> {
    let tokenizer = tokens::train(1, 400)?;
    let lessons = VillageLessons::new(
        tokenizer.clone(),
        &Recipe { seed: 1, rows: 4, row_tokens: 160, ..RECIPE },
    );
    let batch = lessons.batch(3)?;
    assert_eq!(batch, lessons.batch(3)?);
    assert_ne!(batch, lessons.batch(4)?);
    assert!(batch.tokens() > 4 * 160 * 3 / 4, "{} tokens", batch.tokens());
    let assistant = tokenizer.token_to_id("<|assistant|>");
    let end = tokenizer.token_to_id("<|end|>");
    for row in &batch.rows {
        assert!(row.tokens.len() <= 160);
        assert_eq!(row.examples.first().map(|span| span.start), Some(0));
        assert_eq!(row.examples.last().map(|span| span.end), Some(row.tokens.len()));
        let mut learning = false;
        let mut expected = Vec::new();
        for (position, token) in row.tokens.iter().enumerate() {
            if learning {
                expected.push((position - 1, *token));
            }
            learning = (learning || Some(*token) == assistant) && Some(*token) != end;
        }
        let found: Vec<_> = row.targets.iter().map(|t| (t.position, t.token)).collect();
        assert_eq!(found, expected);
    }
    Ok(())
}
