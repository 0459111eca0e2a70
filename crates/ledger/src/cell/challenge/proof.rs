//! What is doubted, and who says whether an answer dispels the doubt.

use mutirao_wire::key::Purpose;
use mutirao_wire::{
    Decode, DecodeError, Digest, Encode, Reader, ReceiptKey, SignedCheckpoint, SignedReceipt,
};

/// A statement of a provider, with its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// About the first tokens of an answer.
    Checkpoint(SignedCheckpoint),
    /// About a whole answer.
    Receipt(SignedReceipt),
}

impl Evidence {
    /// Whether that key signed it.
    // spec: LEDGER-14.1
    #[must_use]
    pub fn verifies(&self, key: &ReceiptKey) -> bool {
        match self {
            Self::Checkpoint(signed) => signed.verifies(key),
            Self::Receipt(signed) => signed.verifies(key),
        }
    }

    /// What was signed, whatever the signature looks like: its purpose and its bytes.
    // spec: LEDGER-14.2
    #[must_use]
    pub fn statement(&self) -> Digest {
        match self {
            Self::Checkpoint(signed) => {
                Digest::of(Purpose::Checkpoint.domain(), &[&signed.checkpoint.to_bytes()])
            }
            Self::Receipt(signed) => {
                Digest::of(Purpose::Receipt.domain(), &[&signed.receipt.to_bytes()])
            }
        }
    }
}

impl Encode for Evidence {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Checkpoint(signed) => {
                0u8.encode(out);
                signed.encode(out);
            }
            Self::Receipt(signed) => {
                1u8.encode(out);
                signed.encode(out);
            }
        }
    }
}
impl Decode for Evidence {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(input)? {
            0 => SignedCheckpoint::decode(input).map(Self::Checkpoint),
            1 => SignedReceipt::decode(input).map(Self::Receipt),
            value => Err(DecodeError::Unknown { what: "evidence", value: value.into() }),
        }
    }
}

/// Says whether an answer proves what a provider signed.
///
/// A capability: whoever runs the ledger hands in the one that knows proofs, the same on every
/// machine of a chain, since what it says is law. It is pure and total: any bytes get a yes or no,
/// and the same ones always the same.
// spec: LEDGER-14.4
pub trait Judge: Sync {
    /// Whether `answer` proves the statement.
    fn convinces(&self, evidence: &Evidence, answer: &[u8]) -> bool;
}

/// Is never convinced: for a chain that has no proofs yet. Challenges are then lost by whoever
/// signed, so a chain with this judge should have no bonds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Judge for Nobody {
    fn convinces(&self, _: &Evidence, _: &[u8]) -> bool {
        false
    }
}

/// Is always convinced: for whoever builds an answer and believes it. Never for a verifier.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anybody;

impl Judge for Anybody {
    fn convinces(&self, _: &Evidence, _: &[u8]) -> bool {
        true
    }
}
