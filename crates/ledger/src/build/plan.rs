//! What somebody wants to happen to cells: what each wish costs, brings, and says to its owner.

use super::BuildError;
use crate::cell::bond::BondPlan;
use crate::cell::challenge::ChallengePlan;
use crate::cell::channel::ChannelPlan;
use crate::cell::deed::{DeedOpening, RegisterPlan, RetirePlan, TransferPlan};
use crate::cell::keepsake::Keepsake;
use crate::cell::knowledge::{Blindings, Making};
use crate::cell::till::{DepositPlan, OpenPlan, PayoutPlan};
use crate::cell::{Action, CellError, CellId, Cells};
use crate::key::SpendKey;
use crate::note::{Payment, To};
use crate::rules::Rules;
use mutirao_wire::Amount;

/// What somebody wants to happen to a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a few a transaction, never stored")]
pub enum Plan {
    /// Open a till.
    OpenTill(OpenPlan),
    /// Pay into one.
    Deposit(DepositPlan),
    /// Take out of one.
    Payout(PayoutPlan),
    /// Register a deed.
    Register(RegisterPlan),
    /// Give one away.
    Transfer(TransferPlan),
    /// End one.
    Retire(RetirePlan),
    /// Something with a channel.
    Channel(ChannelPlan),
    /// Something with a bond.
    Bond(BondPlan),
    /// Something with a challenge.
    Challenge(ChallengePlan),
}

/// What a plan says to somebody, in the memo of an output without value.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a few a transaction, never stored")]
pub(super) enum Letter {
    /// To the new owner of a deed.
    Deed(To, DeedOpening),
    /// To oneself.
    Keepsake(Keepsake),
}

impl Letter {
    /// The output that carries it.
    pub(super) fn payment(&self) -> Payment {
        let (to, memo) = match self {
            Self::Deed(to, opening) => (*to, opening.to_memo()),
            Self::Keepsake(kept) => (To::Own, kept.to_memo()),
        };
        Payment { to, amount: Amount::ZERO, memo }
    }
}

impl Plan {
    /// Slots of the range proof that its action takes.
    pub(super) fn slots(&self, cells: &dyn Cells) -> Result<usize, CellError> {
        Ok(match self {
            Self::Deposit(plan) => 1 + 2 * usize::from(plan.royalty.is_some()),
            Self::Payout(plan) => 2 * plan.passed_on(cells)?.len(),
            Self::Channel(plan) => plan.slots(cells)?,
            Self::Bond(plan) => plan.slots(),
            _ => 0,
        })
    }

    /// Value that it takes out of cells.
    pub(super) fn taken(&self, cells: &dyn Cells, keys: &SpendKey) -> Result<u128, CellError> {
        Ok(match self {
            Self::Payout(plan) => plan.total.0.into(),
            Self::Channel(plan) => plan.taken(cells, keys)?,
            Self::Bond(plan) => plan.taken(cells, keys)?,
            Self::Challenge(plan) => plan.taken(cells)?,
            _ => 0,
        })
    }

    /// Value that it puts into cells.
    pub(super) fn put(&self, rules: &Rules, cells: &dyn Cells) -> Result<u128, CellError> {
        Ok(match self {
            Self::Deposit(plan) => plan.amount.0.into(),
            Self::Payout(plan) => {
                plan.passed_on(cells)?.iter().map(|share| u128::from(share.0)).sum()
            }
            Self::Channel(plan) => plan.put(cells)?,
            Self::Bond(plan) => plan.put(),
            Self::Challenge(plan) => plan.put(rules),
            _ => 0,
        })
    }

    /// Bytes of the sealed memo that carries its letter; none without one.
    pub(super) fn letter_bytes(&self) -> Option<usize> {
        let keeps = match self {
            Self::Register(_) | Self::Transfer(_) => return Some(512 + 16),
            Self::Channel(plan) => plan.keeps(),
            Self::Bond(plan) => plan.keeps(),
            Self::Challenge(plan) => plan.keeps(),
            _ => false,
        };
        keeps.then_some(Keepsake::SEALED_BYTES)
    }

    /// Bytes that its action carries beside numbers and points.
    pub(super) fn loose_bytes(&self) -> usize {
        if let Self::Challenge(plan) = self { plan.loose_bytes() } else { 0 }
    }

    /// What it says to somebody.
    pub(super) fn letter(&self, rules: &Rules, blindings: &mut Blindings) -> Option<Letter> {
        match self {
            Self::Register(plan) => Some(Letter::Deed(plan.to, plan.opening(blindings))),
            Self::Transfer(plan) => Some(Letter::Deed(plan.to, plan.opening(blindings))),
            Self::Channel(plan) => plan.keepsake(blindings).map(Letter::Keepsake),
            Self::Bond(plan) => plan.keepsake(blindings).map(Letter::Keepsake),
            Self::Challenge(plan) => plan.keepsake(rules, blindings).map(Letter::Keepsake),
            _ => None,
        }
    }

    /// The cell that it is about; none for one that it makes.
    pub(super) fn cell(&self) -> Option<CellId> {
        match self {
            Self::OpenTill(_) | Self::Register(_) => None,
            Self::Deposit(plan) => Some(plan.till),
            Self::Payout(plan) => Some(plan.till),
            Self::Transfer(plan) => Some(plan.deed),
            Self::Retire(plan) => Some(plan.deed),
            Self::Channel(plan) => plan.channel(),
            Self::Bond(plan) => plan.bond(),
            Self::Challenge(plan) => Some(plan.subject()),
        }
    }

    /// The action. `carrier` is the output that carries the letter, and `place` says where a wanted
    /// payment ended up.
    pub(super) fn action(
        &self,
        (letter, carrier): (Option<&Letter>, u8),
        place: &dyn Fn(usize) -> Option<u8>,
        making: &mut Making<'_>,
    ) -> Result<Action, BuildError> {
        let kept = if let Some(Letter::Keepsake(kept)) = letter { Some(kept) } else { None };
        let cells = making.cells;
        let action = match (self, letter) {
            (Self::OpenTill(plan), _) => Action::Till(plan.action(making.known)),
            (Self::Deposit(plan), _) => {
                Action::Till(plan.action(cells, place, making.blindings, making.known)?)
            }
            (Self::Payout(plan), _) => {
                Action::Till(plan.action(cells, making.blindings, making.known)?)
            }
            (Self::Register(_), Some(Letter::Deed(_, opening))) => {
                Action::Deed(RegisterPlan::action(opening, carrier, making.known))
            }
            (Self::Transfer(plan), Some(Letter::Deed(_, opening))) => {
                Action::Deed(plan.action(opening, carrier, making.keys, cells, making.known)?)
            }
            (Self::Register(_) | Self::Transfer(_), _) => return Err(CellError::Keepsake.into()),
            (Self::Retire(plan), _) => Action::Deed(plan.action(making.keys, making.known)),
            (Self::Channel(plan), _) => Action::Channel(plan.action(kept, making)?),
            (Self::Bond(plan), _) => Action::Bond(plan.action(kept, making)?),
            (Self::Challenge(plan), _) => Action::Challenge(plan.action(kept, making)?),
        };
        Ok(action)
    }
}
