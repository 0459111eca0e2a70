//! A fuzzer for a stable compiler: inputs of the corpus, cut, joined and changed at random, without
//! looking at what they reach. What panics is kept and named.
//!
//! `cargo run --release -p mutirao-fuzz --example blind -- <seed> <minutes> <target>...`
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest input.
const BYTES_MAX: usize = 1 << 16;

/// SplitMix64 (source: Steele, Lea, Flood, 2014): the same seed, the same inputs.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.roll() % count.max(1) as u64) as usize
    }

    /// A place in `bytes` and up to 64 behind it.
    fn span(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(bytes.len());
        start..bytes.len().min(start + 1 + self.below(64))
    }

    /// Begins as one input and ends as another, with a few changes.
    fn input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let (first, second) = (self.below(corpus.len()), self.below(corpus.len()));
        let mut bytes = corpus[first].clone();
        if self.below(4) == 0 {
            bytes.truncate(self.below(bytes.len() + 1));
            bytes.extend_from_slice(&corpus[second][self.below(corpus[second].len())..]);
        }
        for _ in 0..=self.below(8) {
            self.change(&mut bytes);
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            bytes.push(self.roll() as u8);
        }
        let (place, span) = (self.below(bytes.len()), self.span(bytes));
        match self.below(7) {
            0 => bytes[place] ^= 1 << self.below(8),
            1 => bytes[place] = self.roll() as u8,
            2 => bytes[place] = [0, 1, 127, 128, 254, 255][self.below(6)],
            3 => bytes[span].fill([0, 255][self.below(2)]),
            4 => drop(bytes.drain(span)),
            5 => {
                let copy = bytes[span].to_vec();
                bytes.splice(place..place, copy);
            }
            _ => bytes.truncate(place + 1),
        }
    }
}

/// All that is kept of a target.
fn corpus(target: &str) -> std::io::Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut paths: Vec<_> =
        std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    paths.sort_unstable();
    paths.iter().map(std::fs::read).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [seed, minutes, targets @ ..] = &words[..] else {
        return Err("usage: blind <seed> <minutes> <target>...".into());
    };
    let (mut dice, minutes) = (Dice(seed.parse()?), minutes.parse::<u64>()?);
    for target in targets {
        let (corpus, began) = (corpus(target)?, Instant::now());
        let mut count = 0u64;
        while began.elapsed() < Duration::from_secs(60 * minutes) {
            let bytes = dice.input(&corpus);
            if catch_unwind(|| mutirao_fuzz::run(target, &bytes)).is_err() {
                let kept = format!("target/blind-{target}-{count}");
                std::fs::write(&kept, &bytes)?;
                return Err(format!("{target} panicked; the input is {kept}").into());
            }
            count += 1;
        }
        println!("{target}: {count} inputs in {minutes} minutes, none panicked");
    }
    Ok(())
}
