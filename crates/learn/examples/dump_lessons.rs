//! Writes conversations of the village as text, one JSON string a line: what a trainer outside of
//! this project learns from.
//!
//! `cargo run --release -p mutirao-learn --example dump_lessons -- <seed> <count> [test]`
#![allow(clippy::print_stdout)]

use mutirao_learn::dice::Dice;
use mutirao_learn::village::chat::{END, prompt};
use mutirao_learn::village::{Split, sample};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse().ok());
    let (seed, count) = (number(0).unwrap_or(1), number(1).unwrap_or(1000));
    let held_out = words.get(2).is_some_and(|word| word == "test");
    let split = if held_out { Split::Test } else { Split::Train };
    let mut dice = Dice::new(seed, 0);
    for _ in 0..count {
        let lesson = sample(&mut dice, None, split);
        let text = format!("{}{}{END}", prompt(&lesson.user), lesson.assistant);
        println!("{}", serde_json::to_string(&text).expect("a string"));
    }
}
