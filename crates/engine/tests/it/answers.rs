//! Jobs and their answers: endings, prefixes that are handed over, and replays.

use mutirao_engine::pool::{Pool, Serial};
use mutirao_engine::run::{Expected, check, replay};
use mutirao_engine::testing::{
    Dice, Recipe, random_model, small_shape, trap_token, trapping_model,
};
use mutirao_engine::{Generation, JobError, Model, Prefill, Replay, Shape, Step};
use mutirao_wire::{Digest, Finish, Job, ModelId, OpSet, Sampling, Token};
use std::sync::Arc;

/// How an answer ended.
pub type Ended = Finish;

/// A greedy job without stops.
pub fn job(model: &Model, prompt: &[Token], max_tokens: u32) -> Job {
    Job {
        op_set: OpSet(1),
        model: model.id(),
        prompt: prompt.to_vec(),
        sampling: Sampling::greedy(),
        max_tokens,
        stop: Vec::new(),
        constraint: None,
        nonce: [9; 32],
    }
}

/// Runs a generation to its end, which it must keep saying.
pub fn run(mut generation: Generation, pool: &dyn Pool) -> (Vec<Token>, Ended) {
    loop {
        if let Step::Finished(finish) = generation.next(pool) {
            assert_eq!(generation.next(pool), Step::Finished(finish));
            return (generation.answer().to_vec(), finish);
        }
    }
}

fn answer(model: &Arc<Model>, job: &Job) -> (Vec<Token>, Ended) {
    run(Generation::start(model.clone(), job.clone()).expect("fits"), &Serial)
}

fn model() -> Arc<Model> {
    let file = random_model(31, &small_shape());
    Arc::new(Model::from_bytes(&file).expect("a model file"))
}

fn prompt(seed: u64) -> Vec<Token> {
    Dice::new(seed).tokens(20, 128)
}

/// A job whose sampled answer is 40 tokens long, none of them ending a text.
fn sampled(model: &Arc<Model>) -> (Job, Vec<Token>) {
    let draw = |seed: u8| {
        let sampling = Sampling { temperature_milli: 1000, seed: [seed; 32], ..Sampling::greedy() };
        let job = Job { sampling, ..job(model, &prompt(2), 40) };
        let (answer, finish) = answer(model, &job);
        (finish == Finish::Length).then_some((job, answer))
    };
    (0..50).find_map(draw).expect("one of fifty answers is not ended by chance")
}

#[test]
fn a_job_that_does_not_fit_the_model_is_refused_by_its_first_fault() {
    // spec: ENGINE-14.1
    let model = model();
    let good = job(&model, &prompt(1), 40);
    assert_eq!(check(&model, &good), Ok(()));
    let other = ModelId(Digest([7; 32]));
    let faults = [
        (
            Job { model: other, ..good.clone() },
            JobError::Model { wanted: other, actual: model.id() },
        ),
        (
            Job { op_set: OpSet(2), ..good.clone() },
            JobError::OpSet { wanted: OpSet(2), actual: OpSet(1) },
        ),
        (Job { prompt: Vec::new(), ..good.clone() }, JobError::EmptyPrompt),
        (Job { max_tokens: 0, ..good.clone() }, JobError::NoTokens),
        (
            Job { prompt: vec![Token(1), Token(128)], ..good.clone() },
            JobError::TokenOutOfVocabulary { token: 128, vocabulary: 128 },
        ),
        (
            Job { max_tokens: 493, ..good.clone() },
            JobError::ContextExceeded { wanted: 513, context: 512 },
        ),
        (
            Job { max_tokens: u32::MAX, ..good.clone() },
            JobError::ContextExceeded { wanted: u64::from(u32::MAX) + 20, context: 512 },
        ),
    ];
    for (job, error) in faults {
        assert_eq!(check(&model, &job), Err(error.clone()));
        assert_eq!(Generation::start(model.clone(), job.clone()).err(), Some(error.clone()));
        let replayed = replay(&model, &job, &[], Finish::Length, &Serial);
        assert_eq!(replayed, Err(error.clone()));
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn a_seed_decides_a_sampled_answer_and_nothing_else_does() {
    // spec: ENGINE-13.4, ENGINE-14.2
    let model = model();
    let (job, first) = sampled(&model);
    assert_eq!(first.len(), 40);
    assert_eq!(answer(&model, &job), (first.clone(), Finish::Length));
    let renamed = Job { nonce: [1; 32], ..job.clone() };
    assert_eq!(answer(&model, &renamed).0, first);
    let sampling = Sampling { seed: [200; 32], ..job.sampling };
    assert_ne!(answer(&model, &Job { sampling, ..job }).0, first);
}

#[test]
fn an_answer_ends_at_end_of_text_then_at_a_stop_then_at_its_length() {
    // spec: ENGINE-14.2
    let model = model();
    let (job, whole) = sampled(&model);
    let sequence = whole[6..8].to_vec();
    let at = (2..40).find(|at| whole[..*at].ends_with(&sequence)).expect("at 8 at the latest");
    let stopping = Job { stop: vec![sequence, vec![Token(0); 3]], ..job.clone() };
    assert_eq!(answer(&model, &stopping), (whole[..at].to_vec(), Finish::Stop));
    let exact = Job { max_tokens: at as u32, ..stopping.clone() };
    assert_eq!(answer(&model, &exact), (whole[..at].to_vec(), Finish::Stop), "stop before length");
    let short = Job { max_tokens: 1, ..stopping };
    assert_eq!(answer(&model, &short), (whole[..1].to_vec(), Finish::Length));
    // The same network, another header: the fifth token ends a text, and so comes first of all.
    let mut recipe = Recipe::new(31, small_shape());
    recipe.end_of_text = vec![whole[4]];
    let ending = Arc::new(Model::from_bytes(&recipe.build()).expect("a model file"));
    assert_ne!(ending.id(), model.id());
    let first = whole.iter().position(|token| *token == whole[4]).expect("at 4 at the latest");
    let stop = vec![whole[first..=first].to_vec()];
    let max_tokens = first as u32 + 1;
    let job = Job { model: ending.id(), stop, max_tokens, ..job };
    assert_eq!(answer(&ending, &job), (whole[..=first].to_vec(), Finish::Eos));
}

#[test]
fn a_true_prefix_of_any_length_is_taken_over_and_gone_on_with() {
    // spec: ENGINE-14.3, ENGINE-14.4
    let model = model();
    let (job, whole) = sampled(&model);
    for length in 0..=whole.len() {
        for budget in [1, 7, 500] {
            let prefix = whole[..length].to_vec();
            let mut generation =
                Generation::with_prefix(model.clone(), job.clone(), prefix).expect("fits");
            let mut done_before = 0;
            loop {
                match generation.prefill(budget, &Serial).expect("no error") {
                    Prefill::Working { done, total } => {
                        assert!(done > done_before && done <= total);
                        assert_eq!(total, 20 + length);
                        done_before = done;
                    }
                    Prefill::Ready => break,
                    other => panic!("{other:?} of a true prefix"),
                }
            }
            assert_eq!(generation.answer(), &whole[..length]);
            assert_eq!(run(generation, &Serial), (whole.clone(), Finish::Length));
        }
    }
}

#[test]
fn a_prefix_diverges_at_its_first_wrong_token_wherever_that_is() {
    // spec: ENGINE-14.4
    let model = model();
    let (job, whole) = sampled(&model);
    for index in 0..whole.len() {
        for (wrong, budget) in [(Token(whole[index].0 ^ 1), 500), (Token(u32::MAX), 3)] {
            let mut prefix = whole.clone();
            prefix[index] = wrong;
            let mut generation =
                Generation::with_prefix(model.clone(), job.clone(), prefix).expect("fits");
            let mut found = generation.prefill(budget, &Serial).expect("no error");
            while matches!(found, Prefill::Working { .. }) {
                found = generation.prefill(budget, &Serial).expect("no error");
            }
            let expected = Expected::Token(whole[index]);
            assert_eq!(found, Prefill::PrefixDiverges { index, expected });
            assert_eq!(generation.answer(), &whole[..index]);
            assert_eq!(generation.next(&Serial), Step::Finished(Finish::ProviderStopped));
        }
    }
}

#[test]
fn a_prefix_that_goes_on_after_the_end_diverges_there() {
    // spec: ENGINE-14.4
    let model = model();
    let (job, whole) = sampled(&model);
    let job = Job { max_tokens: 10, ..job };
    for extra in [11, 40] {
        let prefix = whole[..extra].to_vec();
        let mut generation =
            Generation::with_prefix(model.clone(), job.clone(), prefix).expect("fits");
        let found = generation.prefill(1000, &Serial).expect("no error");
        let expected = Expected::Finish(Finish::Length);
        assert_eq!(found, Prefill::PrefixDiverges { index: 10, expected });
    }
    // Longer than the context: still a wrong token or a late one, never an error.
    let mut generation =
        Generation::with_prefix(model, job, [whole.as_slice(), &[Token(5); 9000]].concat())
            .expect("the job fits");
    let found = generation.prefill(usize::MAX, &Serial).expect("no error");
    assert!(matches!(found, Prefill::PrefixDiverges { index: 10, .. }));
}

#[test]
fn replay_finds_the_first_wrong_token_of_an_answer() {
    // spec: ENGINE-14.5
    let model = model();
    let (job, whole) = sampled(&model);
    let replayed = |answer: &[Token], finish| {
        replay(&model, &job, answer, finish, &Serial).expect("the job fits")
    };
    assert_eq!(replayed(&whole, Finish::Length), Replay::Exact);
    for index in 0..whole.len() {
        let mut answer = whole.clone();
        answer[index] = Token((whole[index].0 + 1) % 128);
        let expected = Some(whole[index]);
        let diverges = Replay::Diverges { index: index as u32, expected };
        assert_eq!(replayed(&answer, Finish::Length), diverges);
    }
    let longer = [whole.as_slice(), &[Token(3)]].concat();
    let diverges = Replay::Diverges { index: 40, expected: None };
    assert_eq!(replayed(&longer, Finish::Length), diverges);
}

#[test]
fn replay_names_a_wrong_ending_of_every_kind() {
    // spec: ENGINE-14.2, ENGINE-14.5
    let model = model();
    let (job, whole) = sampled(&model);
    let stop = vec![whole[9..11].to_vec()];
    let cut = (2..).find(|at| whole[..*at].ends_with(&stop[0])).expect("at 11 at the latest");
    let stopping = Job { stop, ..job.clone() };
    let endings = [Finish::Eos, Finish::Stop, Finish::Length, Finish::Trap];
    let cases = [
        (&job, 40, Some(Finish::Length)),
        (&stopping, cut, Some(Finish::Stop)),
        (&job, 17, None),
        (&job, 0, None),
    ];
    for (job, length, truth) in cases {
        let replayed = |finish| replay(&model, job, &whole[..length], finish, &Serial);
        for finish in endings {
            let expected = match truth == Some(finish) {
                true => Replay::Exact,
                false => Replay::WrongFinish { expected: truth },
            };
            assert_eq!(replayed(finish), Ok(expected), "{finish:?} after {length}");
        }
        // That it stopped there is somebody's doing, not the model's; the count must be right.
        let index = length as u32;
        assert_eq!(replayed(Finish::Cancelled { index }), Ok(Replay::Exact));
        assert_eq!(replayed(Finish::ProviderStopped), Ok(Replay::Exact));
        let wrong = replayed(Finish::Cancelled { index: index + 1 });
        assert_eq!(wrong, Ok(Replay::WrongFinish { expected: truth }));
    }
}

#[test]
fn a_trap_ends_an_answer_before_the_token_that_cannot_be_computed() {
    // spec: ENGINE-1.4, ENGINE-12.2, ENGINE-14.2, ENGINE-14.5
    let shape = small_shape();
    let file = trapping_model(3, &shape);
    let model = Arc::new(Model::from_bytes(&file).expect("a model file"));
    let trap = trap_token(&shape);
    // In the prompt, first or last or between: no answer at all, whatever the slices.
    for at in [0, 7, 19] {
        let mut prompt = Dice::new(4).tokens(20, 127);
        prompt[at] = trap;
        let job = job(&model, &prompt, 5);
        assert_eq!(answer(&model, &job), (Vec::new(), Finish::Trap));
        let replayed = |answer: &[Token], finish| replay(&model, &job, answer, finish, &Serial);
        assert_eq!(replayed(&[], Finish::Trap), Ok(Replay::Exact));
        let wrong = Replay::WrongFinish { expected: Some(Finish::Trap) };
        assert_eq!(replayed(&[], Finish::Length), Ok(wrong));
        let late = Replay::Diverges { index: 0, expected: None };
        assert_eq!(replayed(&[Token(1)], Finish::Trap), Ok(late));
        let mut generation =
            Generation::with_prefix(model.clone(), job.clone(), vec![Token(1)]).expect("fits");
        let mut found = generation.prefill(4, &Serial).expect("a trap is an ending");
        while matches!(found, Prefill::Working { .. }) {
            found = generation.prefill(4, &Serial).expect("a trap is an ending");
        }
        let expected = Expected::Finish(Finish::Trap);
        assert_eq!(found, Prefill::PrefixDiverges { index: 0, expected });
    }
    a_trap_inside_an_answer(&model, trap);
}

/// Searches for a seed that draws the token at which the model traps.
fn a_trap_inside_an_answer(model: &Arc<Model>, trap: Token) {
    let hot =
        |seed: u8| Sampling { temperature_milli: 100_000, seed: [seed; 32], ..Sampling::greedy() };
    let drawn = (0..60).find_map(|seed| {
        let job = Job { sampling: hot(seed), ..job(model, &prompt(5)[..9], 60) };
        let (answer, finish) = answer(model, &job);
        (finish == Finish::Trap).then_some((job, answer))
    });
    let (job, whole) = drawn.expect("one of sixty answers meets the token");
    assert_eq!(whole.last(), Some(&trap), "what was drawn stands; what follows it cannot be");
    let replayed = |answer: &[Token], finish| replay(model, &job, answer, finish, &Serial);
    assert_eq!(replayed(&whole, Finish::Trap), Ok(Replay::Exact));
    let wrong = Replay::WrongFinish { expected: Some(Finish::Trap) };
    assert_eq!(replayed(&whole, Finish::Length), Ok(wrong));
    let early = &whole[..whole.len() - 1];
    assert_eq!(replayed(early, Finish::Trap), Ok(Replay::WrongFinish { expected: None }));
    // Where the job's length ends the answer at that very token, nothing traps.
    let short = Job { max_tokens: whole.len() as u32, ..job.clone() };
    assert_eq!(answer(model, &short), (whole.clone(), Finish::Length));
    assert_eq!(replay(model, &short, &whole, Finish::Length, &Serial), Ok(Replay::Exact));
}

#[test]
fn the_whole_context_can_be_used() {
    // spec: ENGINE-12.3, ENGINE-14.1
    let shape = Shape { context: 24, ..small_shape() };
    let mut recipe = Recipe::new(8, shape);
    recipe.end_of_text = Vec::new();
    let model = Arc::new(Model::from_bytes(&recipe.build()).expect("a model file"));
    let job = job(&model, &prompt(6), 4);
    let (whole, finish) = answer(&model, &job);
    assert_eq!((whole.len(), finish), (4, Finish::Length));
    assert_eq!(replay(&model, &job, &whole, finish, &Serial), Ok(Replay::Exact));
}
