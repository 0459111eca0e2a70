//! Answers under a grammar: what is let through, and that it is one answer on every way.

use super::answers::{job, run};
use mutirao_engine::guide::{Allowed, Guide, Guides, NoGuide};
use mutirao_engine::pool::Serial;
use mutirao_engine::run::{prefill_together, replay};
use mutirao_engine::testing::{Dice, random_model, small_shape};
use mutirao_engine::{Generation, JobError, Model, Prefill, Replay};
use mutirao_wire::job::Constraint;
use mutirao_wire::{Finish, Job, Sampling, Token};
use std::sync::Arc;

/// The token that ends a text.
const END: Token = Token(0);

/// Two thirds of the vocabulary may follow, which ones changes with every token; the end never may.
#[derive(Debug, Default)]
struct Toy {
    taken: Vec<Token>,
    /// After so many nothing follows.
    last: Option<usize>,
}

impl Toy {
    fn lets(taken: &[Token], next: u32) -> bool {
        if END.0 == next {
            return false;
        }
        let last = taken.last().map_or(0, |token| token.0);
        (last + next + taken.len() as u32) % 3 != 0
    }
}

impl Guide for Toy {
    fn allowed(&mut self) -> Result<Allowed, NoGuide> {
        if self.last.is_some_and(|last| self.taken.len() >= last) {
            return Err(NoGuide("that was all".to_owned()));
        }
        let word = |word: u32| {
            (0..32).map(|bit| u32::from(Self::lets(&self.taken, 32 * word + bit)) << bit).sum()
        };
        Ok(Allowed::from_words((0..4).map(word).collect()))
    }

    fn take(&mut self, token: Token) {
        self.taken.push(token);
    }
}

#[derive(Debug)]
struct Toys;

impl Guides for Toys {
    fn follow(&self, constraint: &Constraint) -> Result<Box<dyn Guide>, NoGuide> {
        match constraint.grammar.as_str() {
            "thirds" => Ok(Box::new(Toy::default())),
            "short" => Ok(Box::new(Toy { last: Some(7), ..Toy::default() })),
            other => Err(NoGuide(format!("no toy is called {other:?}"))),
        }
    }
}

fn guided() -> Arc<Model> {
    let file = random_model(31, &small_shape());
    let model = Model::from_bytes(&file).expect("a model file");
    assert_eq!(model.end_of_text(), [END]);
    Arc::new(model.with_guides(Arc::new(Toys)))
}

fn jobs(model: &Model, grammar: &str) -> [Job; 2] {
    let grammar = grammar.to_owned();
    let constraint = Some(Constraint { engine: 1, grammar });
    let greedy = Job { constraint, ..job(model, &Dice::new(5).tokens(20, 128), 30) };
    let warm = Sampling { temperature_milli: 1500, seed: [4; 32], ..Sampling::greedy() };
    [greedy.clone(), Job { sampling: warm, ..greedy }]
}

fn answer(model: &Arc<Model>, job: &Job) -> (Vec<Token>, Finish) {
    run(Generation::start(model.clone(), job.clone()).expect("fits"), &Serial)
}

// spec: ENGINE-13.6, ENGINE-14.8
#[test]
fn nothing_is_written_that_the_grammar_does_not_let_through() {
    let model = guided();
    for job in jobs(&model, "thirds") {
        let (guided, _) = answer(&model, &job);
        let lets = |at: usize| Toy::lets(&guided[..at], guided[at].0);
        assert!(guided.len() > 1 && (0..guided.len()).all(lets), "{guided:?}");
        let (free, _) = answer(&model, &Job { constraint: None, ..job });
        assert_ne!(guided, free, "the grammar changes something");
    }
}

// spec: ENGINE-14.8
#[test]
fn an_answer_under_a_grammar_goes_on_after_each_of_its_prefixes_and_replays() {
    let model = guided();
    for job in jobs(&model, "thirds") {
        let (whole, finish) = answer(&model, &job);
        for cut in 0..whole.len() {
            let prefix = whole[..cut].to_vec();
            let again = Generation::with_prefix(model.clone(), job.clone(), prefix);
            assert_eq!(run(again.expect("fits"), &Serial), (whole.clone(), finish));
        }
        assert_eq!(replay(&model, &job, &whole, finish, &Serial), Ok(Replay::Exact));
        let mut other = whole.clone();
        other[3] = Token((other[3].0 + 1) % 128);
        let said = replay(&model, &job, &other, finish, &Serial);
        let diverges = Replay::Diverges { index: 3, expected: Some(whole[3]) };
        assert_eq!(said, Ok(diverges));
    }
}

// spec: ENGINE-14.6
#[test]
fn company_changes_nothing_under_a_grammar() {
    let model = guided();
    let jobs = jobs(&model, "thirds");
    let start = |job: &Job| Generation::start(model.clone(), job.clone()).expect("fits");
    let mut together: Vec<Generation> = jobs.iter().map(start).collect();
    for budget in [3, 5, 7, 11] {
        let mut turns: Vec<_> = together.iter_mut().map(|one| (one, budget)).collect();
        let told = prefill_together(&mut turns, &Serial);
        assert!(
            told.iter().all(|told| matches!(told, Ok(Prefill::Working { .. } | Prefill::Ready)))
        );
    }
    for (one, job) in together.into_iter().zip(&jobs) {
        assert_eq!(run(one, &Serial), answer(&model, job));
    }
}

// spec: ENGINE-14.8
#[test]
fn where_nothing_may_follow_the_answer_traps_and_replays_as_that_alone() {
    let model = guided();
    for job in jobs(&model, "short") {
        let (whole, finish) = answer(&model, &job);
        assert_eq!((whole.len(), finish), (7, Finish::Trap));
        assert_eq!(replay(&model, &job, &whole, finish, &Serial), Ok(Replay::Exact));
        let expected = Some(Finish::Trap);
        let longer = replay(&model, &job, &whole, Finish::Length, &Serial);
        assert_eq!(longer, Ok(Replay::WrongFinish { expected }));
        let gone_on = [whole, vec![Token(1)]].concat();
        let said = replay(&model, &job, &gone_on, finish, &Serial);
        assert_eq!(said, Ok(Replay::Diverges { index: 7, expected: None }));
    }
}

// spec: ENGINE-14.1
#[test]
fn a_grammar_that_nobody_follows_is_refused_with_the_reason() {
    let nobody = Arc::new(Model::from_bytes(&random_model(31, &small_shape())).expect("a model"));
    let [job, _] = jobs(&nobody, "thirds");
    let error = Generation::start(nobody, job).expect_err("nobody follows it");
    assert_eq!(error, JobError::Grammar(NoGuide("nobody here follows grammars".to_owned())));
    let model = guided();
    let [job, _] = jobs(&model, "unknown");
    let error = Generation::start(model, job).expect_err("an unknown grammar").to_string();
    assert!(error.contains("cannot be followed: no toy is called \"unknown\""), "{error}");
}
