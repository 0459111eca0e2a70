//! What a keeper reads from strangers, and what a stranger may have written into files: questions,
//! answers, sealed blocks, snapshots, genesis files.

use crate::target::split;
use mutirao_chain::file::Blocks;
use mutirao_chain::{Genesis, snapshot};
use mutirao_ledger::anatomy::{Survey, dissect};
use mutirao_ledger::rules::ChainId;
use mutirao_ledger::sealed::{BlockId, Header, Sealed, Tip};
use mutirao_ledger::service::{Answer, Head, Piece, Question, Refusal};
use mutirao_wire::{Decode, Digest, Encode};
use std::path::Path;

fn canonical<T: Decode + Encode>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert_eq!(value.to_bytes(), bytes, "two spellings of one value");
    }
}

const WORDS: [fn(&[u8]); 8] = [
    canonical::<Question>,
    canonical::<Answer>,
    canonical::<Head>,
    canonical::<Piece>,
    canonical::<Header>,
    canonical::<Tip>,
    canonical::<Refusal>,
    canonical::<Genesis>,
];

/// A word, a block, a file of blocks, a snapshot, or the text of a genesis.
pub fn chain(bytes: &[u8]) {
    let (kind, rest) = split(bytes);
    match kind {
        0 => sealed(rest),
        1 => file(rest),
        2 => {
            // Nothing can be right of a chain whose id nobody has: it is refused before the folder
            // is looked at.
            let (chain, block) = (ChainId(Digest([1; 32])), BlockId(Digest([2; 32])));
            let read = snapshot::read(rest, chain, block, Path::new("/nowhere"));
            assert!(read.is_err());
        }
        3 => {
            if let Ok(genesis) = Genesis::read(&String::from_utf8_lossy(rest)) {
                assert_eq!(Genesis::read(&genesis.text()), Ok(genesis));
            }
        }
        _ => WORDS[usize::from(kind) % WORDS.len()](rest),
    }
}

fn sealed(bytes: &[u8]) {
    canonical::<Sealed>(bytes);
    let read = Sealed::from_bytes(bytes);
    let parts = dissect(bytes);
    assert_eq!(read.is_ok(), parts.is_ok(), "the two readings differ");
    let (Ok(block), Ok(parts)) = (read, parts) else { return };
    let named: usize = parts.iter().map(|part| part.bytes.len()).sum();
    assert_eq!(named, bytes.len(), "a byte without a name");
    let _ = block.follows(&Tip::genesis(ChainId(Digest([7; 32]))));
    Survey::default().add(bytes).expect("it was dissected");
}

fn file(bytes: &[u8]) {
    let Ok(mut blocks) = Blocks::open(bytes) else { return };
    while let Ok(Some((block, encoded))) = blocks.next_block() {
        assert_eq!(block.to_bytes(), encoded);
    }
}
