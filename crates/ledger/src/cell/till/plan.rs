//! What a wallet intends with a till, made into an action and what proves it.

use super::proof::amount_pad;
use super::{Deposit, Royalty, Share, Till, TillAction, WHOLE};
use crate::cell::knowledge::{Blindings, Knowledge};
use crate::cell::{Cell, CellError, CellId, Cells};
use crate::commit::Opening;
use crate::curve::{Point, generators};
use crate::key::Secret;
use mutirao_wire::Amount;

/// Open a till.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPlan {
    /// `p`.
    pub key: Secret,
    /// What it will pass on.
    pub shares: Vec<Share>,
}

/// Pay into a till.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositPlan {
    /// Where.
    pub till: CellId,
    /// How much.
    pub amount: Amount,
    /// As the share of which payment of the same transaction (by its number), in basis points.
    pub royalty: Option<(usize, u16)>,
}

/// Take all that is settled and pass the shares on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutPlan {
    /// From where.
    pub till: CellId,
    /// `p`.
    pub key: Secret,
    /// What is settled, as the holder knows from the deposits.
    pub total: Amount,
}

/// What a till gets of a payment, so that the rest goes to the payee: `gross·bps/10000`, rounded
/// down.
// spec: LEDGER-8.4
#[must_use]
pub fn share_of(gross: Amount, basis_points: u16) -> Amount {
    let share = u128::from(gross.0) * u128::from(basis_points) / u128::from(WHOLE);
    Amount(u64::try_from(share).unwrap_or(u64::MAX))
}

/// The till of that id, for whoever pays into it.
pub(in crate::cell) fn find(id: CellId, cells: &dyn Cells) -> Result<Till, CellError> {
    match cells.cell(&id) {
        Some(Cell::Till(till)) => Ok(till),
        Some(_) => Err(CellError::Kind(id)),
        None => Err(CellError::Missing(id)),
    }
}

/// Makes a deposit under the till's key.
pub(in crate::cell) fn deposit(
    key: &Point,
    amount: Amount,
    blindings: &mut Blindings,
    known: &mut Knowledge,
) -> Deposit {
    let opening = Opening::new(amount, blindings.draw());
    let blinding = opening.blinding.scalar();
    let pad = amount_pad(&generators().times_h(blinding));
    let made = Deposit {
        commitment: opening.commit(),
        handle: Point::fresh(key.inner() * blinding),
        amount: (amount.0 ^ u64::from_le_bytes(pad)).to_le_bytes(),
    };
    known.opening(made.commitment, opening);
    made
}

impl OpenPlan {
    /// The action.
    #[must_use]
    pub fn action(&self, known: &mut Knowledge) -> TillAction {
        let key = Point::fresh(generators().times_h(self.key.scalar()));
        known.key(key, self.key.clone());
        TillAction::Open { key, shares: self.shares.clone() }
    }
}

impl DepositPlan {
    /// The action; `place` says where in the transaction a payment ended up.
    ///
    /// # Errors
    /// [`CellError`] when there is no such till or payment.
    pub fn action(
        &self,
        cells: &dyn Cells,
        place: &dyn Fn(usize) -> Option<u8>,
        blindings: &mut Blindings,
        known: &mut Knowledge,
    ) -> Result<TillAction, CellError> {
        let till = find(self.till, cells)?;
        let royalty = match self.royalty {
            None => None,
            Some((payment, basis_points)) => {
                let missing = CellError::Output(u8::try_from(payment).unwrap_or(u8::MAX));
                Some(Royalty { output: place(payment).ok_or(missing)?, basis_points })
            }
        };
        let deposit = deposit(&till.key, self.amount, blindings, known);
        Ok(TillAction::Deposit { till: self.till, deposit, royalty })
    }
}

impl PayoutPlan {
    /// What is passed on, in all.
    ///
    /// # Errors
    /// [`CellError`] when there is no such till.
    pub fn passed_on(&self, cells: &dyn Cells) -> Result<Vec<Amount>, CellError> {
        let till = find(self.till, cells)?;
        Ok(till.shares.iter().map(|share| share_of(self.total, share.basis_points)).collect())
    }

    /// The action.
    ///
    /// # Errors
    /// [`CellError`] when there is no such till, or one that it passes on to is gone.
    pub fn action(
        &self,
        cells: &dyn Cells,
        blindings: &mut Blindings,
        known: &mut Knowledge,
    ) -> Result<TillAction, CellError> {
        let till = find(self.till, cells)?;
        known.key(till.key, self.key.clone());
        let all = Opening::new(self.total, blindings.draw());
        let restated = all.commit();
        known.opening(restated, all);
        let amounts = self.passed_on(cells)?;
        let mut shares = Vec::new();
        for (share, amount) in till.shares.iter().zip(amounts) {
            let key = find(share.till, cells)?.key;
            shares.push(deposit(&key, amount, blindings, known));
        }
        Ok(TillAction::Payout { till: self.till, restated, shares })
    }
}
