//! Bond: what a provider stands to lose if it cannot prove what it signed.
//!
//! **Statement.** A bond holds a hidden stake of at least a public floor, and names the receipt key
//! that it vouches for. A lost challenge takes a public amount out of it, and nobody has to be
//! asked for that. The owner takes the stake back after a delay, and not while a challenge is open.
//!
//! Letters: `B` the stake, a sum of commitments less what was slashed · `f` the floor · `O` the
//! owner's one-time key. The sections that a protocol needs stand in `docs/spec/ledger.md`, 13.

pub mod action;
pub mod check;
pub mod plan;
pub mod proof;

pub use action::BondAction;
pub use plan::{BondPlan, LeavePlan, OpenPlan, TopUpPlan, WithdrawPlan};

use crate::curve::{Point, Sum};
use crate::rules::Height;
use mutirao_wire::{Amount, ReceiptKey, record};

/// A bond as the state holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bond {
    /// `O`.
    pub owner: Point,
    /// Whose checkpoints and receipts it vouches for.
    pub receipt_key: ReceiptKey,
    /// `B`.
    pub stake: Sum,
    /// `f`: so much is in it, provably.
    pub floor: Amount,
    /// What challenges took so far; the owner needs it to know what is left.
    pub slashed: Amount,
    /// Challenges that wait for an answer.
    pub challenges: u32,
    /// From when on the stake may be taken out, if its owner is leaving.
    pub leaving: Option<Height>,
}

record!(Bond { owner, receipt_key, stake, floor, slashed, challenges, leaving });
