//! The seam between the ledger and whoever orders its blocks.
//!
//! An engine of consensus asks for proposals, asks whether other validators' proposals hold, and
//! says what is final. The machine knows no time, network or thread of the engine's: everything
//! comes in as an argument, and the same calls give the same answers. Blocks that are agreed upon
//! but not final stand between the state and a new block; they come in as `above`.

use crate::store::StoreError;
use mutirao_ledger::block::BlockError;
use mutirao_ledger::sealed::{BlockId, SealError, Sealed, Tip};
use thiserror::Error;

/// Why a block can never stand where it wants to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BlockFault {
    /// Its header.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Its transactions.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The state that it names.
    #[error("the header of block {0} names another state")]
    Root(u64),
    /// The first block does not begin as the genesis says.
    #[error("the first block does not pay what the genesis allots")]
    First,
}

/// Why nothing can be said of a block yet.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Wait {
    /// Blocks before it are missing.
    #[error("block {given} is not the next after {known}; the ones between are missing")]
    Gap {
        /// Where we are.
        known: u64,
        /// Where it is.
        given: u64,
    },
    /// It comes from the future: its proposer's clock or ours is wrong.
    #[error("block {height} is {ahead_ms} ms ahead of this machine's clock; is the clock right?")]
    Clock {
        /// Of the block.
        height: u64,
        /// By how much.
        ahead_ms: u64,
    },
}

/// What is said of a block that somebody proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may stand there.
    Holds,
    /// It may not, now or ever.
    Refused(BlockFault),
    /// Ask again: what is missing is not the block's fault.
    Pending(Wait),
}

/// What became of a final block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finalised {
    /// It is stored for good, with all that it does.
    Applied,
    /// It was before.
    Already,
}

/// Why a final block could not be taken in.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FinaliseError {
    /// Blocks before it are missing.
    #[error(transparent)]
    Gap(#[from] Wait),
    /// Another block of that height is final here: one of the two machines must stop.
    #[error("block {height} is {here} here and {given} elsewhere; the chain has split")]
    Split {
        /// The height.
        height: u64,
        /// What is stored.
        here: BlockId,
        /// What came.
        given: BlockId,
    },
    /// It is final elsewhere and does not hold here.
    #[error("a final block does not hold: {0}")]
    Fault(#[from] BlockFault),
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A ledger as whoever orders its blocks sees it.
pub trait StateMachine {
    /// The last final block.
    fn tip(&self) -> Tip;

    /// A block to stand upon `above`, or none while nobody wants anything.
    ///
    /// # Errors
    /// [`StoreError`].
    fn propose(&mut self, above: &[Sealed], now: u64) -> Result<Option<Sealed>, StoreError>;

    /// Whether a block may stand upon `above`.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is said of the block then.
    fn verify(&mut self, above: &[Sealed], block: &Sealed, now: u64)
    -> Result<Verdict, StoreError>;

    /// Takes in the next final block. It is stored for good when this returns. The same block again
    /// changes nothing.
    ///
    /// # Errors
    /// [`FinaliseError`]; the ledger is then as it was.
    fn finalise(&mut self, block: &Sealed) -> Result<Finalised, FinaliseError>;
}
