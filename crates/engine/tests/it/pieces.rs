//! An answer that is checked piece by piece, held against the replay of the whole.

use super::answers::{job, run};
use mutirao_engine::pool::Serial;
use mutirao_engine::run::{Checker, replay};
use mutirao_engine::testing::{Dice, random_model, small_shape, trap_token, trapping_model};
use mutirao_engine::{Generation, Model, Replay};
use mutirao_wire::{Finish, Job, Sampling, Token};
use std::sync::Arc;

/// The verdict by pieces of these lengths, the last of them for all the rest.
fn by_pieces(
    model: &Arc<Model>,
    job: &Job,
    answer: &[Token],
    finish: Finish,
    cuts: &[usize],
) -> Replay {
    let mut checker = Checker::new(model.clone(), job.clone()).expect("fits");
    let mut rest = answer;
    for cut in cuts.iter().chain([&usize::MAX]) {
        let (piece, later) = rest.split_at((*cut).min(rest.len()));
        let said = checker.check(piece, &Serial);
        if said != Replay::Exact {
            assert_eq!(checker.check(&[Token(0)], &Serial), said, "a lie is not forgotten");
            return said;
        }
        rest = later;
    }
    assert_eq!(checker.checked(), answer);
    checker.ends(finish)
}

fn lied_about(answer: &[Token], index: usize) -> Vec<Token> {
    let mut lie = answer.to_vec();
    lie[index] = Token((lie[index].0 + 1) % 128);
    lie
}

// spec: ENGINE-14.5
#[test]
fn pieces_of_any_length_come_to_the_verdict_of_the_whole() {
    let model = Arc::new(Model::from_bytes(&random_model(31, &small_shape())).expect("a model"));
    let mut dice = Dice::new(5);
    for seed in 0..6 {
        let sampling = Sampling { temperature_milli: 900, seed: [seed; 32], ..Sampling::greedy() };
        let job = Job { sampling, ..job(&model, &dice.tokens(20, 128), 30) };
        let (answer, finish) =
            run(Generation::start(model.clone(), job.clone()).expect("fits"), &Serial);
        let cuts: Vec<usize> = dice.tokens(8, 7).iter().map(|token| token.0 as usize).collect();
        assert_eq!(by_pieces(&model, &job, &answer, finish, &cuts), Replay::Exact);
        for index in 0..answer.len() {
            let lie = lied_about(&answer, index);
            let whole = replay(&model, &job, &lie, finish, &Serial).expect("fits");
            assert_eq!(by_pieces(&model, &job, &lie, finish, &cuts), whole, "{seed} {index}");
        }
        for (said, kept) in [(Finish::Trap, answer.len()), (finish, answer.len() - 1)] {
            let whole = replay(&model, &job, &answer[..kept], said, &Serial).expect("fits");
            assert!(matches!(whole, Replay::WrongFinish { .. }));
            assert_eq!(by_pieces(&model, &job, &answer[..kept], said, &cuts), whole);
        }
        let longer = [&answer[..], &[Token(3)]].concat();
        let whole = replay(&model, &job, &longer, finish, &Serial).expect("fits");
        assert_eq!(by_pieces(&model, &job, &longer, finish, &cuts), whole);
        assert!(matches!(whole, Replay::Diverges { .. }));
    }
}

#[test]
fn a_trap_ends_the_pieces_where_it_ends_the_whole() {
    let shape = small_shape();
    let model = Arc::new(Model::from_bytes(&trapping_model(3, &shape)).expect("a model"));
    let job = job(&model, &[Token(1), trap_token(&shape)], 8);
    let (answer, finish) =
        run(Generation::start(model.clone(), job.clone()).expect("fits"), &Serial);
    assert_eq!(finish, Finish::Trap);
    assert_eq!(by_pieces(&model, &job, &answer, finish, &[1, 1]), Replay::Exact);
    let longer = [&answer[..], &[Token(3)]].concat();
    let whole = replay(&model, &job, &longer, finish, &Serial).expect("fits");
    assert_eq!(by_pieces(&model, &job, &longer, finish, &[1, 1]), whole);
}
