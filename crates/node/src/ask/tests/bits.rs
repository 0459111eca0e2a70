//! Fifty prompts, and the same tokens on every road.

use super::*;
use crate::threads::Threads;
use mutirao_engine::{Generation, Kernels, Prefill, Step};
use std::sync::Mutex;

/// One way to compute an answer.
#[derive(Clone, Copy)]
pub(super) struct Road {
    kernels: fn() -> Kernels,
    chunk: usize,
    threads: usize,
}

/// Plain kernels, the whole prompt at once, one thread.
pub(super) const REFERENCE: Road = Road { kernels: Kernels::scalar, chunk: usize::MAX, threads: 1 };

/// The answer by one road.
pub(super) fn answer(opened: &Opened, question: &Question, road: Road) -> Vec<Token> {
    answer_with(opened, question, road, &Threads::new(road.threads))
}

fn answer_with(opened: &Opened, question: &Question, road: Road, pool: &Threads) -> Vec<Token> {
    let job = job(opened, question).expect("a job");
    let kernels = (road.kernels)();
    let mut generation =
        Generation::with_kernels(opened.as_here().model.clone(), job, Vec::new(), kernels)
            .expect("it fits");
    while generation.prefill(road.chunk, pool).expect("it reads") != Prefill::Ready {}
    while let Step::Token(_) = generation.next(pool) {}
    generation.answer().to_vec()
}

/// Compares every chunk size in `chunks` of each prompt's number with the reference.
fn compare_chunkings(chunks_of: impl Fn(usize) -> Vec<usize>) {
    let place = Place::new();
    let opened = place.node("one", |_| {}).open_anew("village").expect("the village");
    let pools = [Threads::new(1), Threads::new(2)];
    for (number, question) in fifty(&opened).iter().enumerate() {
        let right = answer(&opened, question, REFERENCE);
        for chunk in chunks_of(number) {
            for pool in &pools {
                let road = Road { kernels: Kernels::detect, chunk, threads: 1 };
                let said = answer_with(&opened, question, road, pool);
                assert_eq!(said, right, "prompt {number}, chunks of {chunk}, {pool:?}");
            }
        }
    }
}

#[test]
fn the_fifty_prompts_have_65_to_200_tokens_and_answers() {
    let place = Place::new();
    let opened = place.node("one", |_| {}).open_anew("village").expect("the village");
    let prompts: Vec<usize> = fifty(&opened)
        .iter()
        .map(|question| job(&opened, question).expect("a job").prompt.len())
        .collect();
    assert_eq!(prompts.len(), 50);
    assert!(prompts.iter().all(|tokens| (65..=200).contains(tokens)), "{prompts:?}");
    assert!(prompts.iter().max() > Some(&180) && prompts.iter().min() < Some(&85), "{prompts:?}");
}

#[test]
fn fifty_prompts_give_the_same_bits_in_chunks_with_two_threads_and_on_plain_kernels() {
    compare_chunkings(|number| {
        let step = |offset: usize| (number * 7 + offset) % 64 + 1;
        vec![step(0), step(16), step(32), step(48)]
    });
}

#[test]
fn fifty_prompts_give_the_same_bits_in_every_chunking_slow_() {
    if std::env::var_os("MUTIRAO_SLOW").is_some() {
        compare_chunkings(|_| (1..=64).collect());
    }
}

// spec: SESSION-1.1
#[test]
fn fifty_prompts_give_the_same_bits_over_the_network_and_here() {
    let place = Place::new();
    runtime().block_on(async {
        let provider = place.node("provider", |config| config.capacity = 64);
        let providing = provider
            .provide("village", &Keys::throw_away().expect("keys"))
            .await
            .expect("it listens");
        let client = place.node("client", |config| {
            config.privacy = Privacy::Circle;
            config.audit_one_in = 0;
        });
        client.join(&providing.ticket()).await.expect("joined");
        let here = place.node("here", |_| {});
        let opened = here.open_anew("village").expect("the village");
        for (number, question) in fifty(&opened).iter().enumerate() {
            let far = client.ask(question, &mut |_| {}).await.expect("an answer");
            let near = here.ask(question, &mut |_| {}).await.expect("an answer");
            assert_eq!(far.tokens, near.tokens, "prompt {number}");
            assert_eq!(far.tokens, alone(&opened, question), "prompt {number}");
        }
        providing.stop().await;
    });
}

/// The first provider that speaks falls silent after `after` pieces of text.
async fn broken(circle: &Circle, opened: &Opened, asked: &Question, after: usize) -> Answered {
    let speaker = Mutex::new(None);
    let (mut shown, mut dead) = (0, false);
    let mut watch = |notice: Notice| match notice {
        Notice::Asking { provider } => *speaker.lock().expect("a lock") = Some(provider),
        Notice::Text { .. } if !dead => {
            shown += 1;
            if let Some(provider) = speaker.lock().expect("a lock").filter(|_| shown == after) {
                circle.hub.silence(&provider);
                dead = true;
            }
        }
        _ => {}
    };
    circle.ask(opened, asked, &mut watch).await.expect("an answer in spite of a death")
}

#[test]
fn fifty_prompts_give_the_same_bits_after_a_provider_died_in_the_middle() {
    let place = Place::new();
    let opened = place.node("one", |_| {}).open_anew("village").expect("the village");
    let opened = &opened;
    let taken_over = runtime().block_on(async {
        let mut taken_over = 0;
        let questions = fifty(opened);
        for (turn, some) in questions.chunks(10).enumerate() {
            let each = some.iter().enumerate().map(|(number, asked)| {
                let place = &place;
                async move {
                    let circle = Circle::new(place, opened, 4, 150);
                    let answered = broken(&circle, opened, asked, 1 + number % 5).await;
                    assert_eq!(answered.tokens, alone(opened, asked), "{turn} {number}");
                    usize::from(answered.providers.len() > 1)
                }
            });
            taken_over += futures_util::future::join_all(each).await.iter().sum::<usize>();
        }
        taken_over
    });
    // On a busy machine some answers are on their way as a whole before the provider dies.
    assert!(taken_over >= 25, "only {taken_over} of 50 answers changed hands");
}
