//! Answers that are written together: each is the one that it is alone, whoever comes and goes
//! meanwhile, and whatever was kept of earlier ones.

use crate::answers::{Ended, job, run};
use crate::pools::Threads;
use mutirao_engine::kernel::Kernels;
use mutirao_engine::pool::{Pool, Serial};
use mutirao_engine::run::prefill_together;
use mutirao_engine::testing::*;
use mutirao_engine::{Generation, Kept, Model, Prefill, Step};
use mutirao_wire::{Job, Sampling, Token};
use std::sync::Arc;

/// Somebody with a job.
struct Visitor {
    job: Job,
    /// The answer that the job has alone.
    alone: (Vec<Token>, Ended),
    /// How much of it was handed over.
    handed: usize,
    /// Tokens after which nobody waits any more.
    patience: usize,
}

/// What is being written, and for whom.
struct Desk<'a> {
    visitor: &'a Visitor,
    generation: Generation,
}

fn model(file: &[u8]) -> Arc<Model> {
    Arc::new(Model::from_bytes(file).expect("a model file"))
}

/// Prompts that often begin alike; greedy, sampled, stopped, trapping, handed over, given up.
fn visitor(model: &Arc<Model>, dice: &mut Dice) -> Visitor {
    let stem = Dice::new(dice.roll() % 5).tokens(60, 127);
    let shared = dice.within(0, 60) as usize;
    let own = dice.within(1, 40) as usize;
    let mut prompt = [stem[..shared].to_vec(), dice.tokens(own, 127)].concat();
    if dice.roll() % 16 == 0 {
        prompt[shared] = trap_token(&small_shape());
    }
    let temperature_milli = [0, 1000, 1000][dice.within(0, 2) as usize];
    let seed = [dice.roll() as u8; 32];
    let sampling = Sampling { temperature_milli, seed, ..Sampling::greedy() };
    let stop = vec![dice.tokens(1, 127)];
    let job = Job { sampling, stop, ..job(model, &prompt, dice.within(1, 40) as u32) };
    let alone = run(Generation::start(model.clone(), job.clone()).expect("fits"), &Serial);
    let handed = dice.within(0, 3 * alone.0.len() as i64).max(0) as usize;
    let handed = if handed > alone.0.len() { 0 } else { handed };
    Visitor { job, alone, handed, patience: dice.within(1, 80) as usize }
}

impl<'a> Desk<'a> {
    /// With what was kept of an earlier answer, if its prompt begins alike.
    fn begin(visitor: &'a Visitor, model: &Arc<Model>, kernels: Kernels, kept: Vec<Kept>) -> Self {
        let (job, prefix) = (visitor.job.clone(), visitor.alone.0[..visitor.handed].to_vec());
        let generation = match kept.into_iter().next() {
            Some(kept) => Generation::after(model.clone(), job, prefix, kept),
            None => Generation::with_kernels(model.clone(), job, prefix, kernels),
        };
        Self { visitor, generation: generation.expect("fits") }
    }

    /// Takes what is known; whether anybody waits for more.
    fn take(&mut self, pool: &dyn Pool) -> bool {
        if !self.generation.is_ready() {
            return true;
        }
        let step = self.generation.next(pool);
        let (tokens, finish) = &self.visitor.alone;
        let answer = self.generation.answer();
        match step {
            Step::Finished(found) => {
                assert_eq!((answer, found), (tokens.as_slice(), *finish));
                false
            }
            Step::Token(_) => {
                assert_eq!(answer, &tokens[..answer.len()]);
                answer.len() < self.visitor.patience
            }
        }
    }
}

/// Serves everybody, `most` at once; how many answers began with what was kept.
fn serve(
    visitors: &[Visitor],
    model: &Arc<Model>,
    most: usize,
    kernels: Kernels,
    pool: &dyn Pool,
    dice: &mut Dice,
) -> usize {
    let (mut waiting, mut desks, mut shelf) = (visitors.iter(), Vec::new(), Vec::new());
    let mut spared = 0;
    loop {
        while desks.len() < most && (desks.is_empty() || dice.roll() % 3 > 0) {
            let Some(visitor) = waiting.next() else { break };
            let kept = pick(&mut shelf, dice);
            spared += kept.len();
            desks.push(Desk::begin(visitor, model, kernels, kept));
        }
        if desks.is_empty() {
            return spared;
        }
        let mut turns: Vec<(&mut Generation, usize)> = desks
            .iter_mut()
            .map(|desk| (&mut desk.generation, dice.within(1, 50) as usize))
            .collect();
        for state in prefill_together(&mut turns, pool) {
            let state = state.expect("the job fits");
            assert!(!matches!(state, Prefill::PrefixDiverges { .. }), "the prefix is true");
        }
        for mut desk in std::mem::take(&mut desks) {
            if desk.take(pool) {
                desks.push(desk);
            } else {
                shelf.extend(desk.generation.keep());
            }
        }
    }
}

/// Now and then something from the shelf, whole or only its beginning, as it may be.
fn pick(shelf: &mut Vec<Kept>, dice: &mut Dice) -> Vec<Kept> {
    if shelf.is_empty() || dice.roll() % 2 == 0 {
        return Vec::new();
    }
    let kept = shelf.swap_remove(dice.roll() as usize % shelf.len());
    assert_eq!(kept.bytes(), kept.tokens().len() as u64 * 256, "2 layers of 2 x 2 heads of 16");
    let count = kept.tokens().len();
    let part = kept.beginning(dice.within(0, count as i64) as usize);
    vec![if dice.roll() % 2 == 0 { part } else { kept }]
}

/// Serves `count` visitors in every company; how many of their answers trap.
fn serve_all(model: &Arc<Model>, count: usize, least_spared: usize) -> usize {
    let mut dice = Dice::new(7);
    let visitors: Vec<Visitor> = (0..count).map(|_| visitor(model, &mut dice)).collect();
    for kernels in Kernels::available() {
        for most in [1, 3, 8] {
            let pools: [&dyn Pool; 2] = [&Serial, &Threads(2)];
            for pool in pools {
                let spared = serve(&visitors, model, most, kernels, pool, &mut dice);
                assert!(spared >= least_spared, "{spared}");
            }
        }
    }
    visitors.iter().filter(|visitor| visitor.alone.1 == Ended::Trap).count()
}

#[test]
fn a_hundred_answers_are_the_same_alone_and_in_any_company() {
    // spec: ENGINE-1.3, ENGINE-14.6, ENGINE-14.7
    assert_eq!(serve_all(&model(&random_model(41, &small_shape())), 100, 20), 0);
}

#[test]
fn a_trap_ends_one_answer_and_no_other() {
    // spec: ENGINE-12.2, ENGINE-14.6
    // This model also likes to write the token at which it traps, so most end so, here and there.
    assert!(serve_all(&model(&trapping_model(41, &small_shape())), 40, 0) > 20);
}

#[test]
fn what_was_kept_of_another_copy_of_the_model_is_not_used() {
    // spec: ENGINE-14.7
    let file = random_model(41, &small_shape());
    let (one, other) = (model(&file), model(&file));
    let visitor = visitor(&one, &mut Dice::new(1));
    let mut first = Generation::start(one, visitor.job.clone()).expect("fits");
    first.prefill(5, &Serial).expect("no error");
    let kept = first.keep().expect("nothing failed");
    let second = Generation::after(other, visitor.job, Vec::new(), kept).expect("fits");
    assert_eq!(run(second, &Serial), visitor.alone);
}
