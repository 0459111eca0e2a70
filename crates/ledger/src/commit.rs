//! Hidden amounts: `C = v·V + r·H`. Hides for ever, binds as long as logarithms are hard.

use crate::curve::{Point, generators};
use crate::key::Secret;
use curve25519_dalek::scalar::Scalar;
use mutirao_wire::{Amount, record};

/// What is inside a commitment; only its owner has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The amount.
    pub amount: Amount,
    /// The blinding.
    pub blinding: Secret,
}

record!(Opening { amount, blinding });

impl Opening {
    /// Puts an amount and a blinding together.
    #[must_use]
    pub fn new(amount: Amount, blinding: Scalar) -> Self {
        Self { amount, blinding: Secret(blinding) }
    }

    /// The commitment.
    ///
    /// # Panics
    /// When amount and blinding are both zero, which no fresh blinding is.
    #[must_use]
    pub fn commit(&self) -> Point {
        Point::fresh(generators().commit(&Scalar::from(self.amount.0), &self.blinding.0))
    }

    /// Whether this is what is inside `commitment`. For openings from outside: it never panics.
    #[must_use]
    pub fn opens(&self, commitment: &Point) -> bool {
        generators().commit(&Scalar::from(self.amount.0), &self.blinding.0) == *commitment.inner()
    }
}
