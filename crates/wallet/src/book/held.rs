//! A note of ours, and where it stands.

use mutirao_ledger::note::{NoteIndex, OwnedNote};
use mutirao_ledger::rules::Height;
use mutirao_ledger::tx::TxId;
use mutirao_wire::record;

/// A note of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Where it stands among all notes.
    pub index: NoteIndex,
    /// The transaction that made it.
    pub tx: TxId,
    /// Its number among the outputs of that transaction.
    pub output: u8,
    /// The block.
    pub height: Height,
    /// All that spending it takes beside the keys.
    pub note: OwnedNote,
    /// The tag that it leaves when spent; none for a wallet that does not see spends.
    pub tag: Option<[u8; 32]>,
    /// By what it was spent.
    pub spent: Option<Spent>,
}

record!(Held { index, tx, output, height, note, tag, spent });

/// By what a note was spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// The transaction.
    pub tx: TxId,
    /// The block.
    pub height: Height,
}

record!(Spent { tx, height });
