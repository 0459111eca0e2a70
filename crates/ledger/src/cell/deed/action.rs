//! What the chain sees of a deed.

use crate::cell::CellId;
use crate::curve::Point;
use mutirao_wire::{Decode, DecodeError, Encode, Reader};

/// What happens to a deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeedAction {
    /// It comes into being.
    Register {
        /// `D`.
        name: Point,
        /// The output whose one-time key owns it.
        carrier: u8,
    },
    /// It gets another owner.
    Transfer {
        /// Which.
        deed: CellId,
        /// The same name under a fresh blinding.
        name: Point,
        /// The output whose one-time key owns it from now on.
        carrier: u8,
    },
    /// It ends.
    Retire {
        /// Which.
        deed: CellId,
    },
}

impl Encode for DeedAction {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Register { name, carrier } => {
                0u8.encode(out);
                name.encode(out);
                carrier.encode(out);
            }
            Self::Transfer { deed, name, carrier } => {
                1u8.encode(out);
                deed.encode(out);
                name.encode(out);
                carrier.encode(out);
            }
            Self::Retire { deed } => {
                2u8.encode(out);
                deed.encode(out);
            }
        }
    }
}

impl Decode for DeedAction {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(input)? {
            0 => Ok(Self::Register { name: Point::decode(input)?, carrier: u8::decode(input)? }),
            1 => Ok(Self::Transfer {
                deed: CellId::decode(input)?,
                name: Point::decode(input)?,
                carrier: u8::decode(input)?,
            }),
            2 => Ok(Self::Retire { deed: CellId::decode(input)? }),
            value => Err(DecodeError::Unknown { what: "deed action", value: value.into() }),
        }
    }
}

impl DeedAction {
    /// The deed that the action is about; none for one that it makes.
    #[must_use]
    pub fn deed(&self) -> Option<CellId> {
        match self {
            Self::Register { .. } => None,
            Self::Transfer { deed, .. } | Self::Retire { deed } => Some(*deed),
        }
    }
}
