//! What the chain sees of a challenge.

use super::{ANSWER_BYTES_MAX, Evidence};
use crate::cell::CellId;
use crate::curve::Point;
use mutirao_wire::codec::put_bytes;
use mutirao_wire::{Decode, DecodeError, Encode, Reader};

/// What happens to a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a few a transaction, never stored")]
pub enum ChallengeAction {
    /// Somebody doubts.
    Open {
        /// Whose stake is in doubt.
        bond: CellId,
        /// What is doubted.
        evidence: Evidence,
        /// The one-time key of whoever doubts.
        challenger: Point,
    },
    /// The owner of the bond proves it, and gets the deposit.
    Answer {
        /// Which.
        challenge: CellId,
        /// What the judge looks at.
        answer: Vec<u8>,
    },
    /// Nobody answered: anybody says so, and the bond pays.
    Slash {
        /// Which.
        challenge: CellId,
    },
    /// The challenger takes what it won.
    Collect {
        /// Which.
        challenge: CellId,
    },
}

impl Encode for ChallengeAction {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Open { bond, evidence, challenger } => {
                0u8.encode(out);
                bond.encode(out);
                evidence.encode(out);
                challenger.encode(out);
            }
            Self::Answer { challenge, answer } => {
                1u8.encode(out);
                challenge.encode(out);
                put_bytes(out, answer);
            }
            Self::Slash { challenge } => {
                2u8.encode(out);
                challenge.encode(out);
            }
            Self::Collect { challenge } => {
                3u8.encode(out);
                challenge.encode(out);
            }
        }
    }
}

impl Decode for ChallengeAction {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(input)? {
            0 => Self::Open {
                bond: CellId::decode(input)?,
                evidence: Evidence::decode(input)?,
                challenger: Point::decode(input)?,
            },
            1 => Self::Answer {
                challenge: CellId::decode(input)?,
                answer: input.bytes("answer", ANSWER_BYTES_MAX)?,
            },
            2 => Self::Slash { challenge: CellId::decode(input)? },
            3 => Self::Collect { challenge: CellId::decode(input)? },
            value => {
                return Err(DecodeError::Unknown { what: "challenge action", value: value.into() });
            }
        })
    }
}

impl ChallengeAction {
    /// The challenge that the action is about; of a new one, its bond.
    #[must_use]
    pub fn subject(&self) -> CellId {
        match self {
            Self::Open { bond, .. } => *bond,
            Self::Answer { challenge, .. }
            | Self::Slash { challenge }
            | Self::Collect { challenge } => *challenge,
        }
    }

    /// Whether it takes value out.
    #[must_use]
    pub fn takes(&self) -> bool {
        matches!(self, Self::Answer { .. } | Self::Collect { .. })
    }
}
