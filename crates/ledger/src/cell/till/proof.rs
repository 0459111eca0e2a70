//! What the holder of a till's key can read and show.

use super::{Deposit, Pot};
use crate::curve::{Point, expand, generators};
use crate::key::Secret;
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use mutirao_wire::Amount;
use std::collections::BTreeMap;

/// What hides a deposit's amount: a hash of `r·H`, which payer and holder know.
pub(super) fn amount_pad(blinding: &RistrettoPoint) -> [u8; 8] {
    expand("mutirao v1 ledger till amount", &[blinding.compress().as_bytes()])
}

/// The amount in a deposit, if the payer told the truth about it.
// spec: LEDGER-8.6
#[must_use]
pub fn read(key: &Secret, deposit: &Deposit) -> Option<Amount> {
    let blinding = deposit.handle.inner() * key.scalar().invert();
    let pad = u64::from_le_bytes(amount_pad(&blinding));
    let amount = u64::from_le_bytes(deposit.amount) ^ pad;
    let right = deposit.commitment.inner() - blinding == value(amount);
    right.then_some(Amount(amount))
}

fn value(amount: u64) -> RistrettoPoint {
    generators().v.inner() * Scalar::from(amount)
}

impl Pot {
    /// Whether the pot holds exactly that much.
    #[must_use]
    pub fn holds(&self, key: &Secret, amount: Amount) -> bool {
        self.bare(key) == value(amount.0)
    }

    /// `v·V`.
    fn bare(&self, key: &Secret) -> RistrettoPoint {
        self.balance.0 - self.handle.0 * key.scalar().invert()
    }

    /// Finds what is in the pot where payers told nonsense: below `2^bits`, in about
    /// `2^(bits/2)` steps of some microseconds. For one deposit, or for what the others leave.
    // spec: LEDGER-8.6
    #[must_use]
    pub fn search(&self, key: &Secret, bits: u32) -> Option<Amount> {
        let half = 1u64 << bits.min(48).div_ceil(2);
        let step = generators().v.inner();
        let mut small = BTreeMap::new();
        let mut at = RistrettoPoint::default();
        for number in 0..half {
            small.insert(at.compress().to_bytes(), number);
            at += step;
        }
        let mut rest = self.bare(key);
        for giant in 0..half {
            if let Some(number) = small.get(rest.compress().as_bytes()) {
                return Some(Amount(giant * half + number));
            }
            rest -= at;
        }
        None
    }
}

/// A pot with one deposit alone, to search in.
#[must_use]
pub fn alone(deposit: &Deposit) -> Pot {
    Pot::empty().with(deposit)
}

/// `P` of `p`.
#[must_use]
pub fn public_key(key: &Secret) -> Option<Point> {
    Point::new(generators().times_h(key.scalar()))
}
