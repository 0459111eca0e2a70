//! What a provider intends with a bond, made into an action and what proves it.

use super::proof::Owner;
use super::{Bond, BondAction};
use crate::cell::keepsake::{Keepsake, Side};
use crate::cell::knowledge::{Blindings, Making};
use crate::cell::{Cell, CellError, CellId, Cells};
use crate::commit::Opening;
use crate::key::SpendKey;
use mutirao_wire::{Amount, ReceiptKey};

/// What somebody wants to happen to a bond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BondPlan {
    /// Open one.
    Open(OpenPlan),
    /// Add to one.
    TopUp(TopUpPlan),
    /// Begin to leave.
    Leave(LeavePlan),
    /// Take the stake out.
    Withdraw(WithdrawPlan),
}

/// Open a bond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPlan {
    /// How much.
    pub amount: Amount,
    /// How much of it everybody may know of.
    pub floor: Amount,
    /// Whose receipts it vouches for.
    pub receipt_key: ReceiptKey,
}

/// Add to a bond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopUpPlan {
    /// Which.
    pub bond: CellId,
    /// Its keepsakes so far.
    pub kept: Vec<Keepsake>,
    /// How much.
    pub amount: Amount,
    /// The floor from now on; not below the one before.
    pub floor: Amount,
}

/// Begin to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeavePlan {
    /// Which.
    pub bond: CellId,
    /// A keepsake of it.
    pub kept: Keepsake,
}

/// Take the stake out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithdrawPlan {
    /// Which.
    pub bond: CellId,
    /// Its keepsakes.
    pub kept: Vec<Keepsake>,
}

fn stake(
    id: CellId,
    kept: &[Keepsake],
    cells: &dyn Cells,
    keys: &SpendKey,
) -> Result<(Owner, Bond, Option<Opening>), CellError> {
    let bond = match cells.cell(&id) {
        Some(Cell::Bond(bond)) => bond,
        Some(_) => return Err(CellError::Kind(id)),
        None => return Err(CellError::Missing(id)),
    };
    let owner = Owner::new(keys, kept).ok_or(CellError::Keepsake)?;
    let opening = match bond.stake.point() {
        Some(_) => Some(owner.stake(&bond).ok_or(CellError::Keepsake)?),
        None => None,
    };
    Ok((owner, bond, opening))
}

impl BondPlan {
    /// What the plan's owner writes to itself.
    // spec: LEDGER-7.5
    pub(crate) fn keepsake(&self, blindings: &mut Blindings) -> Option<Keepsake> {
        match self {
            Self::Open(plan) => Some(Keepsake::fresh(Side::Bond, plan.amount, blindings)),
            Self::TopUp(plan) => {
                let first = plan.kept.first()?;
                Some(Keepsake::more(Side::Bond, first.nonce, plan.amount, blindings))
            }
            Self::Leave(_) | Self::Withdraw(_) => None,
        }
    }

    /// Whether it writes one.
    #[must_use]
    pub fn keeps(&self) -> bool {
        matches!(self, Self::Open(_) | Self::TopUp(_))
    }

    /// Slots of the action.
    #[must_use]
    pub fn slots(&self) -> usize {
        if self.keeps() { 2 } else { 0 }
    }

    /// What the action takes out.
    ///
    /// # Errors
    /// [`CellError`] when there is no such bond, or not all of it is known.
    pub fn taken(&self, cells: &dyn Cells, keys: &SpendKey) -> Result<u128, CellError> {
        let Self::Withdraw(plan) = self else { return Ok(0) };
        let (_, _, opening) = stake(plan.bond, &plan.kept, cells, keys)?;
        Ok(opening.map_or(0, |opening| opening.amount.0.into()))
    }

    /// What the action puts in.
    #[must_use]
    pub fn put(&self) -> u128 {
        match self {
            Self::Open(OpenPlan { amount, .. }) | Self::TopUp(TopUpPlan { amount, .. }) => {
                amount.0.into()
            }
            Self::Leave(_) | Self::Withdraw(_) => 0,
        }
    }

    /// The bond that the plan is about; none for one that it opens.
    #[must_use]
    pub fn bond(&self) -> Option<CellId> {
        match self {
            Self::Open(_) => None,
            Self::TopUp(plan) => Some(plan.bond),
            Self::Leave(plan) => Some(plan.bond),
            Self::Withdraw(plan) => Some(plan.bond),
        }
    }

    /// The action.
    ///
    /// # Errors
    /// [`CellError`] when there is no such bond.
    pub fn action(
        &self,
        kept: Option<&Keepsake>,
        making: &mut Making<'_>,
    ) -> Result<BondAction, CellError> {
        match self {
            Self::Open(plan) => plan.action(kept.ok_or(CellError::Keepsake)?, making),
            Self::TopUp(plan) => plan.action(kept.ok_or(CellError::Keepsake)?, making),
            Self::Leave(plan) => {
                plan.kept.secret(making.keys).party().know(making.known);
                Ok(BondAction::Leave { bond: plan.bond })
            }
            Self::Withdraw(plan) => {
                let (owner, _, opening) = stake(plan.bond, &plan.kept, making.cells, making.keys)?;
                if let Some(opening) = opening {
                    making.known.opening(opening.commit(), opening);
                }
                owner.party().know(making.known);
                Ok(BondAction::Withdraw { bond: plan.bond })
            }
        }
    }
}

impl OpenPlan {
    // spec: LEDGER-13.1
    fn action(&self, kept: &Keepsake, making: &mut Making<'_>) -> Result<BondAction, CellError> {
        let secret = kept.secret(making.keys);
        let opening = secret.part(kept);
        let stake = opening.commit();
        making.known.opening(stake, opening);
        let (floor, receipt_key) = (self.floor, self.receipt_key);
        let owner = secret.party().know(making.known);
        Ok(BondAction::Open { stake, floor, owner, receipt_key })
    }
}

impl TopUpPlan {
    // spec: LEDGER-13.2
    fn action(&self, kept: &Keepsake, making: &mut Making<'_>) -> Result<BondAction, CellError> {
        let (owner, bond, there) = stake(self.bond, &self.kept, making.cells, making.keys)?;
        if let (Some(point), Some(opening)) = (bond.stake.point(), there) {
            making.known.opening(point, opening);
        }
        let opening = kept.secret(making.keys).part(kept);
        let added = opening.commit();
        making.known.opening(added, opening);
        owner.party().know(making.known);
        Ok(BondAction::TopUp { bond: self.bond, added, floor: self.floor })
    }
}
