//! Holds trials and prints what came of them: `sim --trials 100 --seed 1`. Ends with 1 if anything
//! happened that must not, and names the seed that shows it again.
#![forbid(unsafe_code)]

use mutirao_sim::trial::{Trials, hold_many};
use std::io::Write;
use std::process::ExitCode;

const USAGE: &str = "usage: sim [--trials N] [--seed N]";

fn main() -> ExitCode {
    let mut out = std::io::stdout().lock();
    let told = match arguments() {
        Some((trials, seed)) => hold_many(seed, trials).map_err(|error| error.to_string()),
        None => Err(USAGE.to_owned()),
    };
    let (written, code) = match told {
        Ok(trials) => (report(&mut out, &trials), u8::from(!trials.violations.is_empty())),
        Err(why) => (writeln!(out, "{why}"), 2),
    };
    if written.is_err() { ExitCode::from(2) } else { ExitCode::from(code) }
}

/// Number of trials and first seed.
fn arguments() -> Option<(u64, u64)> {
    let (mut trials, mut seed) = (100, 1);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let number = words.next()?.parse().ok()?;
        match word.as_str() {
            "--trials" => trials = number,
            "--seed" => seed = number,
            _ => return None,
        }
    }
    Some((trials, seed))
}

fn report(out: &mut impl Write, trials: &Trials) -> std::io::Result<()> {
    write!(out, "{}", trials.table)?;
    writeln!(out, "events {}", trials.hash)?;
    for (seed, violation) in &trials.violations {
        writeln!(out, "violation in trial {seed}: {violation}")?;
        writeln!(out, "  again: cargo run --release -p mutirao-sim -- --trials 1 --seed {seed}")?;
    }
    writeln!(out, "{} violations", trials.violations.len())
}
