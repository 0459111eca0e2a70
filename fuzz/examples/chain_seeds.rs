//! Writes what a fuzzer of the chain begins with: words, blocks, files and snapshots of a small
//! chain.
//!
//! ```text
//! cargo run --release -p mutirao-fuzz --example chain_seeds
//! ```

use mutirao_chain::testing::Town;
use mutirao_chain::{file, head, snapshot};
use mutirao_ledger::cell::CellId;
use mutirao_ledger::rules::Height;
use mutirao_ledger::service::{Answer, Piece, Question, Refusal, RefusalKind};
use mutirao_wire::{Digest, Encode};
use std::error::Error;
use std::path::Path;

fn after(first: u8, rest: &[u8]) -> Vec<u8> {
    [&[first], rest].concat()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut town = Town::new(2);
    let tx = town.transfer(0);
    town.chain.submit(vec![tx.clone()])?;
    let block = town.chain.advance(2_000)?.ok_or("a block")?;
    let (store, piece) = (town.chain.store(), Piece::new(&block, 3));
    let (mut whole, mut state) = (Vec::new(), Vec::new());
    file::write(&mut whole, store)?;
    snapshot::write(&mut state, store)?;
    let questions = [
        Question::Head,
        Question::Compact { after: Height(1), most: 9 },
        Question::Submit(Box::new(tx)),
        Question::Cells(vec![CellId(Digest([3; 32])); 2]),
    ];
    let answers = [
        Answer::Head(head(store)?),
        Answer::Compact(vec![piece.clone(), piece]),
        Answer::Refused(Refusal::new(RefusalKind::Spent, "the note is spent")),
        Answer::Genesis(store.genesis().to_bytes()),
    ];
    let mut all = vec![
        after(0, &block.to_bytes()),
        after(1, &whole),
        after(2, &state),
        after(3, store.genesis().text().as_bytes()),
        after(12, &block.header.to_bytes()),
        after(15, &store.genesis().to_bytes()),
    ];
    all.extend(questions.iter().map(|question| after(8, &question.to_bytes())));
    all.extend(answers.iter().map(|answer| after(9, &answer.to_bytes())));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/chain");
    std::fs::create_dir_all(&folder)?;
    for (at, bytes) in all.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{at:02}")), bytes)?;
    }
    Ok(())
}
