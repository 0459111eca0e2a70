//! Money as integers: 1 TJ (tijolo) = 1 000 000 base units, and the four prices of an answer.

use crate::codec::{Decode, DecodeError, Encode, Reader};
use crate::record;
use std::fmt;

/// An amount in base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(pub u64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Base units in one tijolo.
    pub const UNITS_PER_TIJOLO: u64 = 1_000_000;

    /// The sum, or `None` when it does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// What is left after taking `other` away; nothing when it is more.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The price of `count` tokens at this price per 1 000, rounded up, or `None` when it does not
    /// fit.
    #[must_use]
    pub fn per_thousand(self, count: u64) -> Option<Self> {
        let units = u128::from(self.0) * u128::from(count);
        u64::try_from(units.div_ceil(1000)).ok().map(Self)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = Self::UNITS_PER_TIJOLO;
        write!(f, "{}.{:06} TJ", self.0 / unit, self.0 % unit)
    }
}

impl Encode for Amount {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for Amount {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u64::decode(input).map(Self)
    }
}

/// Prices per 1 000 tokens of each kind of work. All zero is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prices {
    /// Reading a prompt token.
    pub input: Amount,
    /// Reading a prompt token that was cached.
    pub cached_input: Amount,
    /// Writing an answer token.
    pub output: Amount,
    /// Replaying a token that somebody else wrote.
    pub attest: Amount,
}

record!(Prices { input, cached_input, output, attest });

impl Prices {
    /// Whether nothing is asked for anything.
    #[must_use]
    pub fn are_free(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_started_thousandth_is_charged() {
        assert_eq!(Amount(3).per_thousand(1), Some(Amount(1)));
        assert_eq!(Amount(3).per_thousand(0), Some(Amount(0)));
        assert_eq!(Amount(u64::MAX).per_thousand(1001), None);
    }

    #[test]
    fn an_amount_reads_in_tijolos() {
        assert_eq!(Amount(1_500_000).to_string(), "1.500000 TJ");
    }
}
