//! What a model makes of a text is the same whole numbers, whoever computes it.

use crate::pools::Threads;
use mutirao_engine::kernel::Kernels;
use mutirao_engine::pool::Serial;
use mutirao_engine::session::Session;
use mutirao_engine::testing::*;
use mutirao_engine::{EngineError, Model};
use std::sync::Arc;

fn model(seed: u64) -> Arc<Model> {
    Arc::new(Model::from_bytes(&Recipe::new(seed, small_shape()).build()).expect("a model file"))
}

#[test]
fn an_embedding_is_the_same_for_all_kernels_and_any_number_of_threads() {
    let model = model(5);
    for length in [1, 2, 63, 64, 65, 100] {
        let text = Dice::new(length).tokens(length as usize, 127);
        let mut plain = Session::with_kernels(model.clone(), Kernels::scalar());
        let expected = plain.embed(&text, &Serial).expect("it fits");
        assert!(expected.iter().any(|number| *number != 0), "it says something");
        for (kernels, threads) in
            Kernels::available().into_iter().zip([1, 2, 5].into_iter().cycle())
        {
            let mut session = Session::with_kernels(model.clone(), kernels);
            let found = session.embed(&text, &Threads(threads)).expect("it fits");
            assert_eq!(found, expected, "{length} tokens, {kernels:?}, {threads} threads");
        }
    }
}

#[test]
fn a_text_that_begins_as_another_has_another_embedding() {
    let model = model(6);
    let text = Dice::new(1).tokens(30, 127);
    let embed = |count: usize| Session::new(model.clone()).embed(&text[..count], &Serial);
    assert_ne!(embed(29).expect("fits"), embed(30).expect("fits"));
}

#[test]
fn nothing_and_a_token_that_traps_have_no_embedding() {
    let shape = small_shape();
    let model = Arc::new(Model::from_bytes(&trapping_model(7, &shape)).expect("a model file"));
    let embed = |text: &[_]| Session::new(model.clone()).embed(text, &Serial);
    assert_eq!(embed(&[]), Err(EngineError::Empty));
    let mut text = Dice::new(2).tokens(9, 127);
    text[4] = trap_token(&shape);
    assert_eq!(embed(&text), Err(EngineError::Trap { position: 4 }));
}
