//! What the chain sees of a till.

use super::{SHARES_MAX, WHOLE};
use crate::cell::CellId;
use crate::curve::Point;
use mutirao_wire::codec::put_list;
use mutirao_wire::{Decode, DecodeError, Encode, Reader, record};

/// A part that a till passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Of ten thousand.
    pub basis_points: u16,
    /// To which till.
    pub till: CellId,
}

record!(Share { basis_points, till });

/// A hidden amount on its way into a till.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deposit {
    /// `C = v·V + r·H`.
    pub commitment: Point,
    /// `D = r·P`: the holder of the till's key takes the blinding off with it.
    pub handle: Point,
    /// The amount under a pad that `r·H` gives. May be nonsense: the handle is proven, this is not.
    pub amount: [u8; 8],
}

record!(Deposit { commitment, handle, amount });

/// The claim that a deposit is a share of what an output got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Royalty {
    /// Which output of the same transaction got the rest.
    pub output: u8,
    /// The till's share of deposit and output together, of ten thousand, rounded down.
    pub basis_points: u16,
}

record!(Royalty { output, basis_points });

/// What happens to a till.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TillAction {
    /// It comes into being, empty.
    Open {
        /// `P`.
        key: Point,
        /// What it will pass on.
        shares: Vec<Share>,
    },
    /// Somebody pays in.
    Deposit {
        /// Where.
        till: CellId,
        /// How much.
        deposit: Deposit,
        /// A share of what, if that is claimed.
        royalty: Option<Royalty>,
    },
    /// The holder takes all that is settled and passes the shares on.
    Payout {
        /// From where.
        till: CellId,
        /// All that is settled, under a blinding that the holder knows.
        restated: Point,
        /// One deposit a share, in the till's order.
        shares: Vec<Deposit>,
    },
}

impl Encode for TillAction {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Open { key, shares } => {
                0u8.encode(out);
                key.encode(out);
                put_list(out, shares);
            }
            Self::Deposit { till, deposit, royalty } => {
                1u8.encode(out);
                till.encode(out);
                deposit.encode(out);
                royalty.encode(out);
            }
            Self::Payout { till, restated, shares } => {
                2u8.encode(out);
                till.encode(out);
                restated.encode(out);
                put_list(out, shares);
            }
        }
    }
}

impl Decode for TillAction {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(input)? {
            0 => {
                let key = Point::decode(input)?;
                Ok(Self::Open { key, shares: input.list("shares", SHARES_MAX)? })
            }
            1 => Ok(Self::Deposit {
                till: CellId::decode(input)?,
                deposit: Deposit::decode(input)?,
                royalty: Option::decode(input)?,
            }),
            2 => Ok(Self::Payout {
                till: CellId::decode(input)?,
                restated: Point::decode(input)?,
                shares: input.list("shares", SHARES_MAX)?,
            }),
            value => Err(DecodeError::Unknown { what: "till action", value: value.into() }),
        }
    }
}

impl TillAction {
    /// The till that the action is about; none for one that it makes.
    #[must_use]
    pub fn till(&self) -> Option<CellId> {
        match self {
            Self::Open { .. } => None,
            Self::Deposit { till, .. } | Self::Payout { till, .. } => Some(*till),
        }
    }

    /// Slots of the range proof: each hidden amount one, each inequality one.
    #[must_use]
    pub fn slots(&self) -> usize {
        match self {
            Self::Open { .. } => 0,
            Self::Deposit { royalty, .. } => 1 + 2 * usize::from(royalty.is_some()),
            Self::Payout { shares, .. } => 2 * shares.len(),
        }
    }
}

/// Whether these shares make sense together: each above nothing, all within the whole, no till
/// twice.
// spec: LEDGER-8.1
#[must_use]
pub fn are_shares(shares: &[Share]) -> bool {
    let sum: u32 = shares.iter().map(|share| u32::from(share.basis_points)).sum();
    let mut tills: Vec<CellId> = shares.iter().map(|share| share.till).collect();
    tills.sort_unstable();
    tills.dedup();
    let positive = shares.iter().all(|share| share.basis_points > 0);
    positive && sum <= WHOLE.into() && tills.len() == shares.len() && shares.len() <= SHARES_MAX
}
