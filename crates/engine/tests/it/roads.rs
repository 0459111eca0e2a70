//! Every road to an answer gives the same bits: chunks, threads, kernels, and the slow reading.

use crate::answers::{job, run};
use crate::pools::Threads;
use crate::slow::Slow;
use mutirao_engine::kernel::Kernels;
use mutirao_engine::load::format;
use mutirao_engine::model::header::Profile;
use mutirao_engine::pool::{Pool, Serial};
use mutirao_engine::testing::*;
use mutirao_engine::{EngineError, Generation, Model, Session, Shape};
use mutirao_wire::{Finish, Token};
use std::sync::Arc;

fn model(file: &[u8]) -> Arc<Model> {
    Arc::new(Model::from_bytes(file).expect("a model file"))
}

/// Logits after every token, and how it ended.
type Walk = (Vec<Vec<i32>>, Option<EngineError>);

fn walk(
    model: &Arc<Model>,
    kernels: Kernels,
    pool: &dyn Pool,
    tokens: &[Token],
    chunk: usize,
) -> Walk {
    let mut session = Session::with_kernels(model.clone(), kernels);
    let mut logits = Vec::new();
    for tokens in tokens.chunks(chunk) {
        let fed = session.feed_each(tokens, pool, &mut |_, one| logits.push(one.to_vec()));
        if let Err(error) = fed {
            return (logits, Some(error));
        }
    }
    (logits, None)
}

fn slow_walk(file: &[u8], tokens: &[Token]) -> Walk {
    let mut slow = Slow::new(file);
    let mut logits = Vec::new();
    for (position, token) in tokens.iter().enumerate() {
        match slow.feed(*token) {
            Ok(one) => logits.push(one),
            Err(_) => return (logits, Some(EngineError::Trap { position })),
        }
    }
    (logits, None)
}

/// The slow reading first, then every road.
fn all_roads(file: &[u8], tokens: &[Token]) -> Walk {
    let model = model(file);
    let expected = slow_walk(file, tokens);
    let mut roads = 0;
    for kernels in Kernels::available() {
        for chunk in [1, 2, 3, 5, 7, 13, 16, 31, 64] {
            let pools: [&dyn Pool; 2] = [&Serial, &Threads(2)];
            for pool in pools {
                let found = walk(&model, kernels, pool, tokens, chunk);
                assert!(found == expected, "{} in chunks of {chunk} differs", kernels.name());
                roads += 1;
            }
        }
    }
    assert_eq!(roads, 18 * Kernels::available().len());
    expected
}

fn tokens(seed: u64, count: usize, shape: &Shape) -> Vec<Token> {
    Dice::new(seed).tokens(count, shape.vocabulary)
}

#[test]
fn a_random_model_gives_the_bits_of_the_slow_reading_on_every_road() {
    // spec: ENGINE-1.3, ENGINE-12.1, ENGINE-5.1, ENGINE-9.1
    let shape = small_shape();
    let (logits, end) = all_roads(&random_model(1, &shape), &tokens(1, 70, &shape));
    assert_eq!((logits.len(), end), (70, None));
    let spread = |logits: &Vec<i32>| logits.iter().max() != logits.iter().min();
    assert!(logits.iter().all(spread));
}

#[test]
fn five_models_at_their_bounds_give_the_bits_of_the_slow_reading_on_every_road() {
    // spec: ENGINE-1.3, ENGINE-3.5, ENGINE-12.1
    let shapes = [
        small_shape(),
        Shape { heads: 2, kv_heads: 1, head_size: 34, hidden: 70, tied: 0, ..small_shape() },
        Shape { inner: 2500, layers: 1, vocabulary: 61, ..small_shape() },
        Shape { hidden: 30, heads: 3, kv_heads: 3, head_size: 10, inner: 65, ..small_shape() },
        Shape { hidden: 129, heads: 8, kv_heads: 2, head_size: 32, ..small_shape() },
    ];
    for (seed, shape) in (10..).zip(shapes) {
        let mut recipe = Recipe::new(seed, shape).adversarial();
        if seed % 2 == 1 {
            recipe.profile = Profile::W4;
        }
        all_roads(&recipe.build(), &tokens(seed, 40, &shape));
    }
}

#[test]
fn a_trap_comes_at_the_same_token_on_every_road() {
    // spec: ENGINE-1.4, ENGINE-5.2, ENGINE-12.2
    let shape = small_shape();
    let file = trapping_model(3, &shape);
    let mut sequence = tokens(3, 40, &Shape { vocabulary: 127, ..shape });
    assert_eq!(all_roads(&file, &sequence[..20]).1, None);
    sequence[17] = trap_token(&shape);
    sequence[23] = trap_token(&shape);
    let (logits, end) = all_roads(&file, &sequence);
    assert_eq!((logits.len(), end), (17, Some(EngineError::Trap { position: 17 })));
}

#[test]
fn feeding_gives_the_logits_of_the_last_token_only() {
    // spec: ENGINE-12.1
    let shape = small_shape();
    let model = model(&random_model(5, &shape));
    let sequence = tokens(5, 200, &shape);
    let all = walk(&model, Kernels::detect(), &Serial, &sequence, 200).0;
    let mut session = Session::new(model);
    let first = session.feed(&sequence[..150], &Threads(2)).expect("fits");
    assert_eq!(first.to_vec(), all[149]);
    assert_eq!(session.position(), 150);
    let second = session.feed(&sequence[150..], &Serial).expect("fits");
    assert_eq!(second.to_vec(), all[199]);
}

#[test]
fn a_session_refuses_what_it_cannot_feed_and_is_then_poisoned() {
    // spec: ENGINE-12.3
    let shape = Shape { context: 8, ..small_shape() };
    let model = model(&random_model(6, &shape));
    let fresh = || Session::new(model.clone());
    let long = fresh().feed(&[Token(1); 9], &Serial);
    assert_eq!(long, Err(EngineError::ContextExceeded { wanted: 9, context: 8 }));
    let mut session = fresh();
    assert!(session.feed(&[Token(1); 8], &Serial).is_ok());
    let full = session.feed(&[Token(1)], &Serial);
    assert_eq!(full, Err(EngineError::ContextExceeded { wanted: 9, context: 8 }));
    assert_eq!(fresh().feed(&[], &Serial), Err(EngineError::Empty));
    let mut session = fresh();
    let unknown = session.feed(&[Token(1), Token(128)], &Serial);
    let error = EngineError::TokenOutOfVocabulary { token: 128, position: 1, vocabulary: 128 };
    assert_eq!(unknown, Err(error));
    assert_eq!(session.feed(&[Token(1)], &Serial), Err(EngineError::Poisoned));
}

#[test]
fn the_last_position_of_the_longest_context_turns_like_any_other() {
    // spec: ENGINE-7.1
    let shape =
        Shape { context: 1 << 17, layers: 1, hidden: 16, heads: 1, kv_heads: 1, ..small_shape() };
    let model = model(&random_model(8, &Shape { inner: 16, vocabulary: 8, ..shape }));
    assert_eq!(model.context(), 1 << 17);
    let mut session = Session::new(model);
    let chunk = Dice::new(8).tokens(1 << 9, 8);
    for _ in 0..4 {
        session.feed(&chunk, &Serial).expect("fits");
    }
}

/// A model of which no position traps in its layers, and every position in its logits.
fn loud_model() -> Arc<Model> {
    let mut recipe = Recipe::new(12, Shape { tied: 0, ..small_shape() });
    recipe.end_of_text = Vec::new();
    let file = recipe.build();
    let parsed = format::File::parse(&file).expect("a model file");
    let owned = |tensor: &format::Tensor<'_>| tensor.sections.iter().map(|s| s.to_vec()).collect();
    let mut sections: Vec<Vec<Vec<u8>>> = parsed.tensors.iter().map(owned).collect();
    // The coarsest scale that a head may have.
    let least = 9 + 12 - parsed.header.final_norm.value_bits;
    sections.last_mut().expect("a head")[3].fill(least);
    model(&format::write(&parsed.header, b"", b"", &sections))
}

#[test]
fn logits_trap_only_where_they_are_wanted() {
    // spec: ENGINE-9.1, ENGINE-9.3, ENGINE-12.2
    let model = loud_model();
    let sequence = tokens(6, 30, &small_shape());
    let mut session = Session::new(model.clone());
    let unheard = session.feed_from(&sequence, 30, &Serial, &mut |_, _| panic!("none is wanted"));
    assert_eq!((unheard, session.position()), (Ok(()), 30));
    for (first, chunk) in [(0, 30), (7, 30), (29, 30), (29, 4)] {
        let mut session = Session::new(model.clone());
        let mut walk = sequence.chunks(chunk).enumerate().map(|(index, tokens)| {
            let first = usize::saturating_sub(first, index * chunk);
            session.feed_from(tokens, first, &Serial, &mut |_, _| panic!("all of them trap"))
        });
        let ended = walk.find(Result::is_err);
        assert_eq!(ended, Some(Err(EngineError::Trap { position: first })));
    }
    let job = job(&model, &sequence, 5);
    let generation = Generation::start(model, job).expect("fits");
    assert_eq!(run(generation, &Serial), (Vec::new(), Finish::Trap));
}
