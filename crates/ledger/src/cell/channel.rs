//! Channel: one deposit, many small payments that nobody sees, one close.
//!
//! **Statement.** A payer locks a hidden deposit and hands out vouchers, each for all that is owed
//! so far. The payee can close with any voucher and gets exactly its amount; the creators of the
//! model get their shares of it, the payer keeps the rest. Nobody can take more than the deposit,
//! and the payer cannot take back what it signed away before the channel expires.
//!
//! Letters: `Dᵢ` the parts of the deposit · `C_v` the commitment of a voucher · `K` the key that
//! signs vouchers · `O_r`, `O_p` the one-time keys of payer and payee. What is left, `ΣDᵢ − C_v`,
//! is never chosen by the payee: it is derived. The sections that a protocol needs stand in
//! `docs/spec/ledger.md`, 12.

pub mod action;
pub mod check;
pub mod plan;
pub mod proof;
pub mod voucher;

pub use action::ChannelAction;
pub use plan::{ChannelPlan, ClosePlan, OpenPlan, RefundPlan, SettlePlan, TopUpPlan};
pub use proof::Payer;
pub use voucher::{Claim, Drawer, Drawn, Holder, Progress, Voucher, VoucherError};

use super::till::Share;
use crate::curve::{Point, Sum};
use crate::rules::Height;
use curve25519_dalek::ristretto::RistrettoPoint;
use mutirao_wire::codec::put_list;
use mutirao_wire::{Decode, DecodeError, Encode, Reader};

/// Tills that get a royalty of what is paid through one channel, at most. Each takes three slots of
/// sixteen.
pub const ROYALTIES_MAX: usize = 3;
/// Parts of a deposit: the first, and those that topped it up.
pub const PARTS_MAX: usize = 8;

/// A channel as the state holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// `O_r`: takes back what is left.
    pub payer: Point,
    /// `O_p`: closes.
    pub payee: Point,
    /// `K`: signs vouchers.
    pub voucher_key: Point,
    /// Which tills get which share of what is paid.
    pub royalties: Vec<Share>,
    /// From the next height on the payer may take everything back.
    pub expiry: Height,
    /// Where it stands.
    pub phase: Phase,
}

/// Where a channel stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a store keeps bytes, not these")]
pub enum Phase {
    /// Vouchers may be drawn.
    Open {
        /// `Dᵢ`.
        parts: Vec<Point>,
    },
    /// The payee was paid; the rest waits for the payer.
    Closed {
        /// `ΣDᵢ − C_v`.
        rest: Sum,
        /// What was paid: from it the payer alone learns what is left.
        claim: Claim,
    },
}

impl Channel {
    /// What it holds, piece by piece; nothing that is the identity.
    #[must_use]
    pub fn parts(&self) -> Vec<Point> {
        match &self.phase {
            Phase::Open { parts } => parts.clone(),
            Phase::Closed { rest, .. } => rest.point().into_iter().collect(),
        }
    }

    /// What it holds.
    #[must_use]
    pub fn held(&self) -> Sum {
        let held: RistrettoPoint = self.parts().iter().map(Point::inner).sum();
        Sum(held)
    }

    /// Whether vouchers may still be redeemed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }
}

impl Encode for Channel {
    fn encode(&self, out: &mut Vec<u8>) {
        self.payer.encode(out);
        self.payee.encode(out);
        self.voucher_key.encode(out);
        put_list(out, &self.royalties);
        self.expiry.encode(out);
        match &self.phase {
            Phase::Open { parts } => {
                0u8.encode(out);
                put_list(out, parts);
            }
            Phase::Closed { rest, claim } => {
                1u8.encode(out);
                rest.encode(out);
                claim.encode(out);
            }
        }
    }
}
impl Decode for Channel {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            payer: Point::decode(input)?,
            payee: Point::decode(input)?,
            voucher_key: Point::decode(input)?,
            royalties: input.list("royalties", ROYALTIES_MAX)?,
            expiry: Height::decode(input)?,
            phase: match u8::decode(input)? {
                0 => Phase::Open { parts: input.list("parts", PARTS_MAX)? },
                1 => Phase::Closed { rest: Sum::decode(input)?, claim: Claim::decode(input)? },
                value => {
                    return Err(DecodeError::Unknown { what: "phase", value: value.into() });
                }
            },
        })
    }
}
