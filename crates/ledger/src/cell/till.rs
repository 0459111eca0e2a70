//! Till: where a model's royalties collect, and from where they are paid out and on.
//!
//! **Statement.** Whoever pays in can show that the till got its share of a hidden payment, to the
//! base unit. The holder of the till's key can always spend what was paid in, whatever nonsense
//! came with it. It cannot take its part without passing on those of the models it was made from.
//!
//! Letters: `P = p·H` the till's key · `(B, D)` a pot: sum of commitments and of handles, each
//! `D = r·P` · `C` a deposit's commitment. The sections that a protocol needs stand in
//! `docs/spec/ledger.md`, 8.

pub mod action;
pub mod check;
pub mod plan;
pub mod proof;

pub use action::{Deposit, Royalty, Share, TillAction};
pub use plan::{DepositPlan, OpenPlan, PayoutPlan};

use crate::curve::{Point, Sum};
use mutirao_wire::codec::put_list;
use mutirao_wire::{Decode, DecodeError, Encode, Reader, record};

/// Models that one till passes parts on to at most. Each takes two slots of sixteen.
pub const SHARES_MAX: usize = 7;
/// The whole, in basis points.
pub const WHOLE: u16 = 10_000;

/// A hidden sum and what takes its blinding off. Anybody can add to it; only the holder of the
/// till's key can spend from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pot {
    /// `B = Σ C`.
    pub balance: Sum,
    /// `D = Σ r·P`.
    pub handle: Sum,
}

record!(Pot { balance, handle });

impl Pot {
    /// Nothing in it.
    #[must_use]
    pub fn empty() -> Self {
        Self { balance: Sum::zero(), handle: Sum::zero() }
    }

    /// With one more deposit.
    #[must_use]
    pub fn with(&self, deposit: &Deposit) -> Self {
        Self {
            balance: Sum(self.balance.0 + deposit.commitment.inner()),
            handle: Sum(self.handle.0 + deposit.handle.inner()),
        }
    }

    fn and(&self, other: &Self) -> Self {
        Self {
            balance: Sum(self.balance.0 + other.balance.0),
            handle: Sum(self.handle.0 + other.handle.0),
        }
    }
}

/// A till as the state holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Till {
    /// `P`.
    pub key: Point,
    /// What it passes on, and to which tills.
    pub shares: Vec<Share>,
    /// The epoch in which `current` was last added to.
    pub epoch: u64,
    /// Of past epochs: nobody adds to it, so a payout that was made from it stays true.
    pub settled: Pot,
    /// Of this epoch.
    pub current: Pot,
}

impl Encode for Till {
    fn encode(&self, out: &mut Vec<u8>) {
        self.key.encode(out);
        put_list(out, &self.shares);
        self.epoch.encode(out);
        self.settled.encode(out);
        self.current.encode(out);
    }
}
impl Decode for Till {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            key: Point::decode(input)?,
            shares: input.list("shares", SHARES_MAX)?,
            epoch: u64::decode(input)?,
            settled: Pot::decode(input)?,
            current: Pot::decode(input)?,
        })
    }
}

impl Till {
    /// A new, empty till.
    #[must_use]
    pub fn new(key: Point, shares: Vec<Share>, epoch: u64) -> Self {
        Self { key, shares, epoch, settled: Pot::empty(), current: Pot::empty() }
    }

    /// The till as it is in `epoch`: what was collected before is settled.
    // spec: LEDGER-8.3
    #[must_use]
    pub fn at(mut self, epoch: u64) -> Self {
        if epoch > self.epoch {
            self.settled = self.settled.and(&self.current);
            self.current = Pot::empty();
            self.epoch = epoch;
        }
        self
    }
}
