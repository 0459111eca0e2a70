//! Streamed text: whole characters, nothing lost, stops found wherever they fall.

use super::village;
use mutirao_text::{StopFinder, TextStack};
use mutirao_wire::Token;
use proptest::prelude::*;

fn streamed(stack: &TextStack, tokens: &[Token]) -> (Vec<String>, String) {
    let mut stream = stack.stream();
    let pieces: Vec<String> = tokens.iter().map(|token| stream.push(*token)).collect();
    (pieces, stream.finish())
}

fn found(stops: &[&str], pieces: &[&str]) -> (String, bool) {
    let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
    let mut finder = StopFinder::new(&stops);
    let mut text = String::new();
    for piece in pieces {
        let found = finder.push(piece);
        text.push_str(&found.text);
        if found.stopped {
            return (text, true);
        }
    }
    text.push_str(&finder.finish());
    (text, false)
}

proptest! {
    #[test]
    fn the_pieces_of_a_stream_are_the_decoded_answer(
        numbers in proptest::collection::vec(0..super::VOCABULARY, 0..40),
    ) {
        let stack = village();
        let tokens: Vec<Token> = numbers.into_iter().map(Token).collect();
        let (pieces, rest) = streamed(&stack, &tokens);
        prop_assert_eq!(pieces.concat() + &rest, stack.decode(&tokens).expect("decoded"));
    }

    #[test]
    fn every_text_survives_its_tokens_and_no_half_character_is_shown(text in "\\PC{0,40}") {
        let stack = village();
        let tokens = stack.encode(&text).expect("encoded");
        let (pieces, rest) = streamed(&stack, &tokens);
        let halves = |text: &str| text.matches(char::REPLACEMENT_CHARACTER).count();
        prop_assert!(halves(&pieces.concat()) <= halves(&text));
        prop_assert_eq!(pieces.concat() + &rest, text);
    }

    #[test]
    fn a_stop_is_found_wherever_it_is_cut_and_the_text_before_it_is_exact(
        text in "[ab]{0,30}",
        stops in proptest::collection::vec("[ab]{1,4}", 1..4),
        cuts in proptest::collection::vec(1..5usize, 0..30),
    ) {
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        for cut in cuts {
            let (piece, later) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = later;
        }
        pieces.push(rest);
        let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
        let (shown, stopped) = found(&stops, &pieces);
        // The stop whose last letter comes first is the one that a reader token by token meets.
        let ends = |stop: &&&str| text.find(**stop).map(|at| at + stop.len());
        let met = stops.iter().filter_map(|stop| ends(&stop)).min();
        prop_assert_eq!(stopped, met.is_some());
        if let Some(met) = met {
            prop_assert!(text.starts_with(&shown) && shown.len() < met);
            let after = &text[shown.len()..];
            prop_assert!(stops.iter().any(|stop| after.starts_with(stop)));
        } else {
            prop_assert_eq!(shown, text);
        }
    }
}

#[test]
fn characters_of_several_bytes_come_whole() {
    let stack = village();
    let tokens = stack.encode("é 🦊 ção").expect("encoded");
    let (pieces, rest) = streamed(&stack, &tokens);
    assert!(tokens.len() > 7, "the fox is several tokens");
    assert!(pieces.iter().any(String::is_empty), "some of them wait");
    assert_eq!(pieces.concat() + &rest, "é 🦊 ção");
}

#[test]
fn text_that_might_begin_a_stop_waits_and_comes_when_it_does_not() {
    assert_eq!(found(&["END"], &["a", "E", "N", "x"]), ("aENx".into(), false));
    assert_eq!(found(&["END"], &["a", "E", "N", "D", "x"]), ("a".into(), true));
    assert_eq!(found(&["END"], &["aEN"]), ("aEN".into(), false));
    assert_eq!(found(&["é!"], &["caf", "é", "!"]), ("caf".into(), true));
    assert_eq!(found(&[""], &["a", "b"]), ("ab".into(), false));
}

#[test]
fn a_token_that_does_not_exist_is_an_error_with_its_number() {
    let error = village().decode(&[Token(super::VOCABULARY)]).expect_err("unknown").to_string();
    assert!(error.contains(&super::VOCABULARY.to_string()), "{error}");
}
