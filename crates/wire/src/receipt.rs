//! What a provider signs about an answer: checkpoints on the way and one receipt at the end.
//!
//! Both hide prompt and answer behind salted commitments; whoever holds the opening can check them
//! by replay. Clauses: `docs/spec/receipt.md`.

use crate::amount::Amount;
use crate::codec::{Decode, DecodeError, Encode, Reader};
use crate::digest::Digest;
use crate::id::{
    AnswerCommitment, JobCommitment, ModelId, OpSet, OrderCommitment, PrefixDigest, ReceiptId,
};
use crate::job::version;
use crate::key::{PeerKey, Purpose, ReceiptKey, Signature, SigningKey};
use crate::record;

/// The version of [`Receipt`] that this program writes.
pub const RECEIPT_VERSION: u8 = 1;
/// Commitments by salted BLAKE3, the only scheme so far.
pub const COMMIT_SCHEME_BLAKE3: u8 = 1;

/// Why an answer ended. Each of these is checked, or a cut answer would pass for a whole one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The last token is one of the model's end-of-text tokens.
    Eos,
    /// The last tokens are one of the job's stop sequences.
    Stop,
    /// The answer has as many tokens as the job allows.
    Length,
    /// The engine traps at the next position.
    Trap,
    /// The client ended the job after this many tokens.
    Cancelled {
        /// Tokens that the client accepts.
        index: u32,
    },
    /// The provider gave up; the answer is incomplete.
    ProviderStopped,
}

impl Finish {
    /// One lower-case word, for people and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Eos => "eos",
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Trap => "trap",
            Self::Cancelled { .. } => "cancelled",
            Self::ProviderStopped => "provider_stopped",
        }
    }
}

impl Encode for Finish {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Eos => 0u8.encode(out),
            Self::Stop => 1u8.encode(out),
            Self::Length => 2u8.encode(out),
            Self::Trap => 3u8.encode(out),
            Self::Cancelled { index } => {
                4u8.encode(out);
                index.encode(out);
            }
            Self::ProviderStopped => 5u8.encode(out),
        }
    }
}

impl Decode for Finish {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(input)? {
            0 => Self::Eos,
            1 => Self::Stop,
            2 => Self::Length,
            3 => Self::Trap,
            4 => Self::Cancelled { index: u32::decode(input)? },
            5 => Self::ProviderStopped,
            value => {
                return Err(DecodeError::Unknown { what: "finish", value: value.into() });
            }
        })
    }
}

/// The part of an answer that one provider generated: `start..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// First token this provider generated.
    pub start: u32,
    /// One past the last.
    pub end: u32,
}

record!(Served { start, end });

/// A provider's statement that an answer begins with certain tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The job.
    pub job: JobCommitment,
    /// The deal it was made under.
    pub order: OrderCommitment,
    /// How many tokens it covers.
    pub index: u32,
    /// Those tokens, hidden.
    pub prefix: PrefixDigest,
}

record!(Checkpoint { job, order, index, prefix });

impl Checkpoint {
    /// Signs the checkpoint with a receipt key.
    #[must_use]
    pub fn sign(self, key: &SigningKey) -> SignedCheckpoint {
        let signature = key.sign(Purpose::Checkpoint, &self.to_bytes());
        SignedCheckpoint { checkpoint: self, signature }
    }
}

/// A checkpoint and its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// The statement.
    pub checkpoint: Checkpoint,
    /// By the provider's receipt key.
    pub signature: Signature,
}

record!(SignedCheckpoint { checkpoint, signature });

impl SignedCheckpoint {
    /// Whether `key` signed this checkpoint.
    #[must_use]
    pub fn verifies(&self, key: &ReceiptKey) -> bool {
        key.verifies(Purpose::Checkpoint, &self.checkpoint.to_bytes(), &self.signature)
    }
}

/// A provider's statement about one whole answer. At most
/// [`crate::limits::RECEIPT_BYTES_MAX`] bytes when signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The job, hidden. Replay proves it against the opening.
    pub job: JobCommitment,
    /// The last deal it was made under. Attested.
    pub order: OrderCommitment,
    /// The whole answer, hidden. Proven.
    pub answer: AnswerCommitment,
    /// The model. Proven.
    pub model: ModelId,
    /// The op set. Proven.
    pub op_set: OpSet,
    /// Tokens of the prompt. Proven.
    pub prompt_tokens: u32,
    /// Tokens of the answer. Proven.
    pub answer_tokens: u32,
    /// What this provider says it generated. Attested.
    pub served: Served,
    /// Why the answer ended. Proven, except that `cancelled` and `provider_stopped` rest on the
    /// parties' word.
    pub finish: Finish,
    /// What was charged. Attested.
    pub price: Amount,
    /// When the provider started, milliseconds since 1970. Attested.
    pub started_ms: u64,
    /// How long it took. Attested.
    pub duration_ms: u32,
    /// Who signs. The signature proves that this key holder said all of this.
    pub provider: PeerKey,
}

impl Receipt {
    /// Signs the receipt with a receipt key.
    #[must_use]
    pub fn sign(self, key: &SigningKey) -> SignedReceipt {
        let signature = key.sign(Purpose::Receipt, &self.to_bytes());
        SignedReceipt { receipt: self, signature }
    }
}

impl Encode for Receipt {
    fn encode(&self, out: &mut Vec<u8>) {
        RECEIPT_VERSION.encode(out);
        COMMIT_SCHEME_BLAKE3.encode(out);
        self.job.encode(out);
        self.order.encode(out);
        self.answer.encode(out);
        self.model.encode(out);
        self.op_set.encode(out);
        self.prompt_tokens.encode(out);
        self.answer_tokens.encode(out);
        self.served.encode(out);
        self.finish.encode(out);
        self.price.encode(out);
        self.started_ms.encode(out);
        self.duration_ms.encode(out);
        self.provider.encode(out);
    }
}

// spec: RECEIPT-1.1
impl Decode for Receipt {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        version(input, "receipt version", RECEIPT_VERSION)?;
        version(input, "commit scheme", COMMIT_SCHEME_BLAKE3)?;
        Ok(Self {
            job: Decode::decode(input)?,
            order: Decode::decode(input)?,
            answer: Decode::decode(input)?,
            model: Decode::decode(input)?,
            op_set: Decode::decode(input)?,
            prompt_tokens: Decode::decode(input)?,
            answer_tokens: Decode::decode(input)?,
            served: Decode::decode(input)?,
            finish: Decode::decode(input)?,
            price: Decode::decode(input)?,
            started_ms: Decode::decode(input)?,
            duration_ms: Decode::decode(input)?,
            provider: Decode::decode(input)?,
        })
    }
}

/// A receipt and its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedReceipt {
    /// The statement.
    pub receipt: Receipt,
    /// By the provider's receipt key.
    pub signature: Signature,
}

record!(SignedReceipt { receipt, signature });

impl SignedReceipt {
    /// Whether `key` signed this receipt.
    #[must_use]
    pub fn verifies(&self, key: &ReceiptKey) -> bool {
        key.verifies(Purpose::Receipt, &self.receipt.to_bytes(), &self.signature)
    }

    /// The name of this receipt.
    #[must_use]
    pub fn id(&self) -> ReceiptId {
        ReceiptId(Digest::of("mutirao 1 receipt id", &[&self.to_bytes()]))
    }
}
