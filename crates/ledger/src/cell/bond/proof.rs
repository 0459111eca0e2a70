//! What the owner of a bond knows, and can make again from its words.

use super::Bond;
use crate::cell::keepsake::{CellSecret, Keepsake, PartyKey};
use crate::commit::Opening;
use crate::key::SpendKey;
use curve25519_dalek::scalar::Scalar;
use mutirao_wire::Amount;

/// The owner's secrets of one bond, and what it put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    secret: CellSecret,
    parts: Vec<Opening>,
}

impl Owner {
    /// From the keepsakes of a bond: one for each part that stands on the chain. None without any.
    // spec: LEDGER-13.4
    #[must_use]
    pub fn new(keys: &SpendKey, kept: &[Keepsake]) -> Option<Self> {
        let secret = kept.first()?.secret(keys);
        let parts = kept.iter().map(|kept| secret.part(kept)).collect();
        Some(Self { secret, parts })
    }

    /// The key that the bond names.
    #[must_use]
    pub fn party(&self) -> PartyKey {
        self.secret.party()
    }

    /// What is in the bond: all that was put in, less what challenges took. None when a keepsake is
    /// missing.
    // spec: LEDGER-13.4
    #[must_use]
    pub fn stake(&self, bond: &Bond) -> Option<Opening> {
        let put: Option<u64> =
            self.parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.amount.0));
        let amount = Amount(put?.checked_sub(bond.slashed.0)?);
        let blinding: Scalar = self.parts.iter().map(|part| part.blinding.scalar()).sum();
        let opening = Opening::new(amount, blinding);
        opening.opens(&bond.stake.point()?).then_some(opening)
    }
}
