//! Whether all value is accounted for: recomputed from what is stored, and from the blocks alone.
//!
//! What nobody has spent and what tills hold, as commitments, must add up to the public supply and
//! the blinding that every transaction proved (LEDGER-11.1). Which notes are spent is public while
//! membership is explicit.

use crate::genesis::Genesis;
use crate::machine::BlockFault;
use crate::store::{Store, StoreError};
use mutirao_ledger::block::{self, BlockError};
use mutirao_ledger::curve::{Point, Sum};
use mutirao_ledger::examine::{History, StoredNote};
use mutirao_ledger::note::NoteIndex;
use mutirao_ledger::rules::{Height, Rules};
use mutirao_ledger::sealed::{Sealed, Tip};
use mutirao_ledger::state::{MemoryState, Summary};
use mutirao_ledger::tx::{Membership, Transaction};
use mutirao_wire::{Amount, Digest};
use std::collections::BTreeSet;
use thiserror::Error;

/// Why an audit fails.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The blocks cannot be read.
    #[error(transparent)]
    File(#[from] crate::file::FileError),
    /// A block does not hold.
    #[error("block {height} does not hold: {fault}")]
    Block {
        /// Its height.
        height: u64,
        /// Why.
        fault: BlockFault,
    },
    /// Value from nothing, or into nothing.
    #[error("after block {0} what is unspent is not the supply")]
    Supply(u64),
    /// The public amounts do not add up.
    #[error("after block {height} the state says {said}, minted less destroyed is {counted}")]
    Public {
        /// The height.
        height: u64,
        /// What the state says.
        said: Amount,
        /// What blocks say.
        counted: i128,
    },
    /// What is stored is not what the root names.
    #[error("the members that are stored are not those of the root")]
    Members,
    /// A block is missing.
    #[error("block {0} is not here: this ledger began with a snapshot, audit it elsewhere")]
    Missing(u64),
    /// The two roots differ.
    #[error("the blocks lead to {blocks}, stored is {stored}")]
    Root {
        /// From the blocks.
        blocks: Digest,
        /// What is stored.
        stored: Digest,
    },
}

/// What an audit found to be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Blocks.
    pub blocks: u64,
    /// Transactions.
    pub transactions: u64,
    /// All notes ever made.
    pub notes: u64,
    /// Those that are not spent.
    pub unspent: u64,
    /// Cells that live.
    pub cells: u64,
    /// New value so far.
    pub minted: u128,
    /// Fees and burns so far.
    pub destroyed: u128,
    /// What there is.
    pub supply: Amount,
    /// The root of the state.
    pub root: Digest,
}

/// Public amounts and unspent commitments while blocks go by.
#[derive(Default)]
struct Books {
    transactions: u64,
    notes: u64,
    spent: u64,
    minted: u128,
    destroyed: u128,
}

impl Books {
    fn enter(&mut self, tx: &Transaction, rules: &Rules) {
        self.transactions += 1;
        self.notes += tx.body.outputs.len() as u64;
        self.spent += tx.body.spends.len() as u64;
        self.destroyed += tx.body.destroyed(rules);
        self.minted += u128::from(tx.body.issue.minted().0);
    }

    fn check(&self, height: u64, said: Amount) -> Result<(), AuditError> {
        let counted = i128::try_from(self.minted).unwrap_or(i128::MAX)
            - i128::try_from(self.destroyed).unwrap_or(i128::MAX);
        let right = counted == i128::from(said.0);
        right.then_some(()).ok_or(AuditError::Public { height, said, counted })
    }

    fn close(&self, height: u64, cells: u64, summary: &Summary) -> Audit {
        Audit {
            blocks: height,
            transactions: self.transactions,
            notes: self.notes,
            unspent: self.notes - self.spent,
            cells,
            minted: self.minted,
            destroyed: self.destroyed,
            supply: summary.supply,
            root: summary.root(),
        }
    }
}

/// A ledger that is made anew from its genesis, block by block, every rule and proof checked.
#[derive(Debug, Clone)]
pub struct Replay {
    genesis: Genesis,
    state: MemoryState,
    tip: Tip,
    unspent: Sum,
}

impl Replay {
    /// Before the first block.
    #[must_use]
    pub fn new(genesis: &Genesis) -> Self {
        let tip = Tip::genesis(genesis.chain());
        let state = MemoryState::default();
        Self { genesis: genesis.clone(), state, tip, unspent: Sum::zero() }
    }

    /// The state so far.
    #[must_use]
    pub fn state(&self) -> &MemoryState {
        &self.state
    }

    /// Takes in the next block.
    ///
    /// # Errors
    /// [`BlockFault`].
    // spec: CHAIN-4.2
    pub fn take(&mut self, block: &Sealed) -> Result<(), BlockFault> {
        block.follows(&self.tip)?;
        let height = block.header.height;
        if !self.genesis.begins(height, &block.transactions).unwrap_or(false) {
            return Err(BlockFault::First);
        }
        let (rules, permit) =
            (self.genesis.rules(), self.genesis.permit(height, &block.transactions));
        let summary = self.state.summary.clone();
        let pending = block::accept(&block.block(), &self.state, &summary, &rules, permit)?;
        if pending.summary.root() != block.header.root {
            return Err(BlockFault::Root(height.0));
        }
        self.state.commit(pending.summary.clone(), &pending.effects());
        self.count(&block.transactions);
        self.tip = block.header.tip();
        Ok(())
    }

    /// Notes that a block makes may be spent in the same block, so it is counted when it is taken.
    fn count(&mut self, all: &[Transaction]) {
        for tx in all {
            for output in &tx.body.outputs {
                self.unspent = Sum(self.unspent.0 + output.commitment.inner());
            }
            for spend in &tx.body.spends {
                let Membership::Explicit(index) = spend.membership;
                let note = self.state.note(index);
                if let Some(note) = note {
                    self.unspent = Sum(self.unspent.0 - note.commitment.inner());
                }
            }
        }
    }

    /// Whether all that is unspent is the supply.
    // spec: CHAIN-4.4
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        let unspent = Sum(self.unspent.0 + self.state.pots().0);
        self.state.summary.is_balanced(&unspent)
    }
}

/// Makes a ledger anew from its blocks and audits it after each of them.
///
/// # Errors
/// [`AuditError`].
// spec: CHAIN-4.4
pub fn of_blocks(
    genesis: &Genesis,
    blocks: impl Iterator<Item = Result<Sealed, AuditError>>,
) -> Result<Audit, AuditError> {
    let (mut replay, mut books) = (Replay::new(genesis), Books::default());
    for block in blocks {
        let block = block?;
        let height = block.header.height.0;
        replay.take(&block).map_err(|fault| AuditError::Block { height, fault })?;
        block.transactions.iter().for_each(|tx| books.enter(tx, &genesis.rules()));
        if !replay.is_balanced() {
            return Err(AuditError::Supply(height));
        }
        books.check(height, replay.state.summary.supply)?;
    }
    let cells = replay.state.cells().count() as u64;
    Ok(books.close(replay.tip.height.0, cells, &replay.state.summary))
}

/// All blocks that are stored, from the first.
pub fn stored_blocks(store: &Store) -> impl Iterator<Item = Result<Sealed, AuditError>> {
    let last = store.stand().map(|stand| stand.tip.height.0);
    let (last, error) = match last {
        Ok(last) => (last, None),
        Err(error) => (0, Some(Err(AuditError::from(error)))),
    };
    error.into_iter().chain(blocks_to(store, last))
}

fn blocks_to(store: &Store, last: u64) -> impl Iterator<Item = Result<Sealed, AuditError>> {
    let block = |height| store.block(Height(height))?.ok_or(AuditError::Missing(height));
    (1..=last).map(block)
}

/// Audits what is stored: the members are those of the root, they add up, and the blocks lead to
/// them.
///
/// # Errors
/// [`AuditError`].
// spec: CHAIN-4.4
pub fn of_store(store: &Store) -> Result<Audit, AuditError> {
    let (stand, view) = store.moment()?;
    let notes: Vec<StoredNote> = view.notes_from(0)?.collect::<Result<_, _>>()?;
    let (tags, cells): (Vec<Point>, _) = (view.all_tags()?, view.all_cells()?);
    let members = cells.iter().map(|(id, cell)| (id, cell));
    if !stand.summary.has_members(notes.iter(), tags.iter(), members) {
        return Err(AuditError::Members);
    }
    let (height, mut books, mut spent) = (stand.tip.height.0, Books::default(), BTreeSet::new());
    for block in blocks_to(store, height) {
        for tx in block?.transactions {
            books.enter(&tx, &store.genesis().rules());
            spent.extend(tx.body.spends.iter().map(|spend| {
                let Membership::Explicit(NoteIndex(index)) = spend.membership;
                index
            }));
        }
    }
    let mut unspent = Sum::zero();
    for (_, note) in (0..).zip(&notes).filter(|(index, _)| !spent.contains(index)) {
        unspent = Sum(unspent.0 + note.commitment.inner());
    }
    for (_, cell) in &cells {
        unspent = Sum(unspent.0 + cell.holds().0);
    }
    if !stand.summary.is_balanced(&unspent) {
        return Err(AuditError::Supply(height));
    }
    books.check(height, stand.summary.supply)?;
    Ok(books.close(height, cells.len() as u64, &stand.summary))
}

/// Audits a ledger both ways; the two must come to the same.
///
/// # Errors
/// [`AuditError`].
pub fn both(store: &Store) -> Result<Audit, AuditError> {
    let stored = of_store(store)?;
    let blocks = of_blocks(store.genesis(), stored_blocks(store))?;
    if blocks.root != stored.root {
        return Err(AuditError::Root { blocks: blocks.root, stored: stored.root });
    }
    Ok(stored)
}

impl From<BlockError> for AuditError {
    fn from(error: BlockError) -> Self {
        Self::Block { height: 0, fault: error.into() }
    }
}
