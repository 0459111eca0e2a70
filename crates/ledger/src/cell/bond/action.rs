//! What the chain sees of a bond.

use crate::cell::CellId;
use crate::curve::Point;
use mutirao_wire::{Amount, Decode, DecodeError, Encode, Reader, ReceiptKey};

/// What happens to a bond. What challenges do to it is theirs: see [`crate::cell::challenge`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BondAction {
    /// It comes into being.
    Open {
        /// `B`.
        stake: Point,
        /// `f`.
        floor: Amount,
        /// `O`.
        owner: Point,
        /// Whose receipts it vouches for.
        receipt_key: ReceiptKey,
    },
    /// The owner adds to it.
    TopUp {
        /// Which.
        bond: CellId,
        /// What is added.
        added: Point,
        /// The floor from now on.
        floor: Amount,
    },
    /// The owner begins to leave.
    Leave {
        /// Which.
        bond: CellId,
    },
    /// The owner takes the stake out, and the bond ends.
    Withdraw {
        /// Which.
        bond: CellId,
    },
}

impl Encode for BondAction {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Open { stake, floor, owner, receipt_key } => {
                0u8.encode(out);
                stake.encode(out);
                floor.encode(out);
                owner.encode(out);
                receipt_key.encode(out);
            }
            Self::TopUp { bond, added, floor } => {
                1u8.encode(out);
                bond.encode(out);
                added.encode(out);
                floor.encode(out);
            }
            Self::Leave { bond } => {
                2u8.encode(out);
                bond.encode(out);
            }
            Self::Withdraw { bond } => {
                3u8.encode(out);
                bond.encode(out);
            }
        }
    }
}

impl Decode for BondAction {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(input)? {
            0 => Self::Open {
                stake: Point::decode(input)?,
                floor: Amount::decode(input)?,
                owner: Point::decode(input)?,
                receipt_key: ReceiptKey::decode(input)?,
            },
            1 => Self::TopUp {
                bond: CellId::decode(input)?,
                added: Point::decode(input)?,
                floor: Amount::decode(input)?,
            },
            2 => Self::Leave { bond: CellId::decode(input)? },
            3 => Self::Withdraw { bond: CellId::decode(input)? },
            value => {
                return Err(DecodeError::Unknown { what: "bond action", value: value.into() });
            }
        })
    }
}

impl BondAction {
    /// The bond that the action is about; none for one that it makes.
    #[must_use]
    pub fn bond(&self) -> Option<CellId> {
        match self {
            Self::Open { .. } => None,
            Self::TopUp { bond, .. } | Self::Leave { bond } | Self::Withdraw { bond } => {
                Some(*bond)
            }
        }
    }

    /// Slots of the range proof: what is put in, and what lies above the floor.
    #[must_use]
    pub fn slots(&self) -> usize {
        match self {
            Self::Open { .. } | Self::TopUp { .. } => 2,
            Self::Leave { .. } | Self::Withdraw { .. } => 0,
        }
    }
}
