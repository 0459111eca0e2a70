//! Deed: whose a model or an agent is. What it names is hidden, and shown to whom the owner likes.
//!
//! **Statement.** Only the owner moves a deed, and a moved deed names what it named before. Whoever
//! registers one knows its name: nobody can copy a stranger's. The oldest deed to a name is the
//! one that counts, by the height of its birth.
//!
//! Letters: `D = m·W + r·H` the hidden name, `m` a hash of the model's id · `O` the owner's
//! one-time key: that of an output of the same transaction, which tells its owner by its memo. The
//! sections that a protocol needs stand in `docs/spec/ledger.md`, 9.

pub mod action;
pub mod check;
pub mod plan;
pub mod proof;

pub use action::DeedAction;
pub use plan::{DeedOpening, RegisterPlan, RetirePlan, TransferPlan};

use crate::curve::Point;
use crate::rules::Height;
use mutirao_wire::record;

/// A deed as the state holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deed {
    /// `D`.
    pub name: Point,
    /// `O`.
    pub owner: Point,
    /// When it was registered. Moving it does not change that.
    pub born: Height,
}

record!(Deed { name, owner, born });
