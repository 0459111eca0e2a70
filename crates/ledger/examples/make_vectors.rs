//! Writes `vectors/ledger/frozen.txt`: bytes that must never change under version 1. A diff there
//! is a change of consensus.
//!
//! `cargo run --release -p mutirao-ledger --features testing --example make_vectors > FILE`
#![expect(clippy::print_stdout, reason = "a program that prints")]

fn main() {
    print!("{}", mutirao_ledger::testing::frozen());
}
