//! Writes what a fuzzer of the ledger begins with, from its frozen examples.
//!
//! ```text
//! cargo run --release -p mutirao-fuzz --example ledger_seeds
//! ```

use mutirao_ledger::key::address::Address;
use mutirao_ledger::note::memo::{Memo, seal};
use mutirao_ledger::testing::{Bank, frozen};
use mutirao_ledger::tx::Transaction;
use mutirao_wire::{Decode, Encode};
use std::error::Error;
use std::path::Path;

fn after(first: u8, rest: &[u8]) -> Vec<u8> {
    [&[first], rest].concat()
}

/// A frozen example as it is written.
fn text(name: &str) -> String {
    let frozen = frozen();
    let line = frozen.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.expect("a frozen example").to_owned()
}

/// A frozen example as bytes.
fn bytes(name: &str) -> Vec<u8> {
    let text = text(name);
    let pairs = (0..text.len() / 2).map(|at| &text[2 * at..2 * at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("digits")).collect()
}

fn transactions() -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let tx = bytes("transaction");
    let body = Transaction::from_bytes(&tx)?.body;
    Ok(vec![
        after(0, &tx),
        after(1, &bytes("compact")),
        after(8, &body.to_bytes()),
        after(9, &body.outputs[0].to_bytes()),
        after(0, &tx[..400]),
        after(11, &tx[tx.len() - 97..]),
    ])
}

fn blocks() -> Vec<Vec<u8>> {
    let tx = bytes("transaction");
    let one = [&1u64.to_le_bytes()[..], &1u32.to_le_bytes(), &tx].concat();
    let none = [&1u64.to_le_bytes()[..], &[0; 4]].concat();
    let rules = Bank::new(1).rules.to_bytes();
    let summary = bytes("state_summary");
    let point = bytes("generator_V");
    let note = [&point[..], &point].concat();
    vec![after(0, &one), after(0, &none), after(1, &summary), after(5, &rules), after(4, &note)]
}

fn addresses() -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let (main, sub) = (text("address_main"), text("address_sub_1"));
    let link = format!("mutirao:{main}?amount=1.5&memo=a%20b");
    let raw = main.parse::<Address>()?.to_bytes();
    let short = format!("mutirao:{sub}");
    let all = [&main, &sub, &link, &short].map(|text| text.as_bytes().to_vec());
    Ok(all.into_iter().chain([raw]).collect())
}

fn memos() -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut all = vec![b"hello".to_vec(), Vec::new()];
    for words in [&b"thanks"[..], &[7; 100], &[8; 900]] {
        all.push(seal(&[5; 32], &Memo::new(words)?, b"note")?);
    }
    Ok(all)
}

fn main() -> Result<(), Box<dyn Error>> {
    let seeds = [
        ("address", addresses()?),
        ("block", blocks()),
        ("memo", memos()?),
        ("transaction", transactions()?),
    ];
    for (target, all) in seeds {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in all.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:02}")), seed)?;
        }
    }
    Ok(())
}
