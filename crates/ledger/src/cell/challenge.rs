//! Challenge: somebody doubts in public what a provider signed, and one of the two pays for it.
//!
//! **Statement.** Whoever holds a checkpoint or receipt under the key of a bond can demand a proof
//! of it, and puts a deposit beside the demand. A provider that proves it gets the deposit. One
//! that does not loses a public part of its bond: some to the challenger, the rest to nobody. The
//! same statement is challenged once.
//!
//! What a proof is, this room does not know: a [`Judge`] does, and comes in as an argument. The
//! sections that a protocol needs stand in `docs/spec/ledger.md`, 14.

pub mod action;
pub mod check;
pub mod plan;
pub mod proof;

pub use action::ChallengeAction;
pub use plan::{AnswerPlan, ChallengePlan, CollectPlan, OpenPlan};
pub use proof::{Anybody, Evidence, Judge, Nobody};

use crate::cell::CellId;
use crate::curve::Point;
use crate::rules::Height;
use mutirao_wire::{Amount, Decode, DecodeError, Digest, Encode, Reader};

/// Bytes of an answer at most. A longer proof is named by its digest, and found elsewhere.
pub const ANSWER_BYTES_MAX: usize = 32 * 1024;

/// A challenge as the state holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge {
    /// Whose stake is in doubt.
    pub bond: CellId,
    /// The one-time key of whoever doubts.
    pub challenger: Point,
    /// Where it stands.
    pub phase: Phase,
}

/// Where a challenge stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a store keeps bytes, not these")]
pub enum Phase {
    /// It waits for an answer.
    Open {
        /// What is doubted.
        evidence: Evidence,
        /// The last height at which nobody can call it lost.
        deadline: Height,
        /// What the challenger put in.
        deposit: Amount,
    },
    /// The provider did not answer: so much waits for the challenger.
    Won {
        /// Deposit and reward.
        prize: Amount,
    },
    /// It is over; the cell stays, so that the same is not challenged again.
    Done,
}

impl CellId {
    /// Of the challenge of a statement on a bond: there is one at most, whoever makes it.
    // spec: LEDGER-14.2
    #[must_use]
    pub fn of_challenge(bond: &Self, statement: &Digest) -> Self {
        Self(Digest::of("mutirao v1 ledger challenge", &[&bond.0.0, &statement.0]))
    }
}

impl Challenge {
    /// What it holds, in public.
    #[must_use]
    pub fn held(&self) -> Amount {
        match self.phase {
            Phase::Open { deposit, .. } => deposit,
            Phase::Won { prize } => prize,
            Phase::Done => Amount::ZERO,
        }
    }
}

impl Encode for Challenge {
    fn encode(&self, out: &mut Vec<u8>) {
        self.bond.encode(out);
        self.challenger.encode(out);
        match &self.phase {
            Phase::Open { evidence, deadline, deposit } => {
                0u8.encode(out);
                evidence.encode(out);
                deadline.encode(out);
                deposit.encode(out);
            }
            Phase::Won { prize } => {
                1u8.encode(out);
                prize.encode(out);
            }
            Phase::Done => 2u8.encode(out),
        }
    }
}
impl Decode for Challenge {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            bond: CellId::decode(input)?,
            challenger: Point::decode(input)?,
            phase: match u8::decode(input)? {
                0 => Phase::Open {
                    evidence: Evidence::decode(input)?,
                    deadline: Height::decode(input)?,
                    deposit: Amount::decode(input)?,
                },
                1 => Phase::Won { prize: Amount::decode(input)? },
                2 => Phase::Done,
                value => {
                    return Err(DecodeError::Unknown { what: "phase", value: value.into() });
                }
            },
        })
    }
}
