//! The frames of a session: what each side may say, in canonical bytes.
//!
//! The transport carries whole frames of at most [`FRAME_BYTES_MAX`]; a frame that does not decode
//! ends the session, because a peer that speaks another protocol cannot be half understood.

use mutirao_wire::codec::{put_bytes, put_list};
use mutirao_wire::limits::{
    ANSWER_TOKENS_MAX, FRAME_BYTES_MAX, OFFERS_MAX, PROMPT_TOKENS_MAX, REASON_BYTES_MAX,
};
use mutirao_wire::{
    Decode, DecodeError, Encode, Job, Order, Reader, SignedCheckpoint, SignedOffer, SignedReceipt,
    Token,
};

/// Prompt and prefix share one context, so the largest honest frame holds that many tokens and some
/// hundred bytes beside them.
// spec: SESSION-2.4
const _: () = assert!(4 * PROMPT_TOKENS_MAX + (1 << 14) <= FRAME_BYTES_MAX);

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame {
    /// Which models do you offer?
    GetOffers,
    /// Please answer this job, which already has these first tokens.
    Open {
        /// The deal.
        order: Order,
        /// The job.
        job: Job,
        /// Tokens that other providers already wrote.
        prefix: Vec<Token>,
    },
    /// The answer ends after `index` tokens.
    Cancel {
        /// Tokens that the client accepts.
        index: u32,
    },
}

/// What a provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderFrame {
    /// These models.
    Offers(Vec<SignedOffer>),
    /// The order is taken.
    Accepted,
    /// So much of prompt and prefix is read.
    Progress {
        /// Tokens read.
        done: u32,
        /// Tokens to read.
        total: u32,
    },
    /// The next token.
    Token {
        /// Its place in the answer.
        index: u32,
        /// The token.
        token: Token,
    },
    /// A signed statement about the tokens so far.
    Checkpoint(SignedCheckpoint),
    /// A signed statement about the whole answer. The last frame.
    Receipt(SignedReceipt),
    /// No, and why. The last frame.
    Refused {
        /// What kind of refusal.
        code: Refusal,
        /// Why, and what to do next.
        reason: String,
    },
    /// The prefix is not what the model gives. The last frame.
    PrefixRefused {
        /// The first wrong token.
        index: u32,
    },
}

/// Kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Too many jobs at once: another time, or another provider.
    Busy,
    /// The order is not for this provider, or not at its prices, or too late.
    BadOrder,
    /// The model cannot take this job.
    BadJob,
    /// This provider does not have the model.
    UnknownModel,
    /// A frame that does not belong here.
    Protocol,
    /// The provider failed; the job may be fine.
    Internal,
}

impl Encode for Refusal {
    fn encode(&self, out: &mut Vec<u8>) {
        let code: u8 = match self {
            Self::Busy => 0,
            Self::BadOrder => 1,
            Self::BadJob => 2,
            Self::UnknownModel => 3,
            Self::Protocol => 4,
            Self::Internal => 5,
        };
        code.encode(out);
    }
}

impl Decode for Refusal {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(input)? {
            0 => Self::Busy,
            1 => Self::BadOrder,
            2 => Self::BadJob,
            3 => Self::UnknownModel,
            4 => Self::Protocol,
            5 => Self::Internal,
            value => return Err(DecodeError::Unknown { what: "refusal", value: value.into() }),
        })
    }
}

// spec: SESSION-2.1
impl Encode for ClientFrame {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::GetOffers => 0u8.encode(out),
            Self::Open { order, job, prefix } => {
                1u8.encode(out);
                order.encode(out);
                job.encode(out);
                put_list(out, prefix);
            }
            Self::Cancel { index } => {
                2u8.encode(out);
                index.encode(out);
            }
        }
    }
}

// spec: SESSION-2.3
impl Decode for ClientFrame {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(input)? {
            0 => Self::GetOffers,
            1 => Self::Open {
                order: Decode::decode(input)?,
                job: Decode::decode(input)?,
                prefix: input.tokens("prefix", ANSWER_TOKENS_MAX)?,
            },
            2 => Self::Cancel { index: Decode::decode(input)? },
            value => {
                return Err(DecodeError::Unknown { what: "client frame", value: value.into() });
            }
        })
    }
}

// spec: SESSION-2.2
impl Encode for ProviderFrame {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Offers(offers) => {
                0u8.encode(out);
                put_list(out, offers);
            }
            Self::Accepted => 1u8.encode(out),
            Self::Progress { done, total } => {
                2u8.encode(out);
                done.encode(out);
                total.encode(out);
            }
            Self::Token { index, token } => {
                3u8.encode(out);
                index.encode(out);
                token.encode(out);
            }
            Self::Checkpoint(checkpoint) => {
                4u8.encode(out);
                checkpoint.encode(out);
            }
            Self::Receipt(receipt) => {
                5u8.encode(out);
                receipt.encode(out);
            }
            Self::Refused { code, reason } => {
                6u8.encode(out);
                code.encode(out);
                put_bytes(out, bounded(reason).as_bytes());
            }
            Self::PrefixRefused { index } => {
                7u8.encode(out);
                index.encode(out);
            }
        }
    }
}

/// A reason cut to its bound, at a character.
fn bounded(reason: &str) -> &str {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.get(..end).unwrap_or_default()
}

impl Decode for ProviderFrame {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(input)? {
            0 => Self::Offers(input.list("offers", OFFERS_MAX)?),
            1 => Self::Accepted,
            2 => Self::Progress { done: Decode::decode(input)?, total: Decode::decode(input)? },
            3 => Self::Token { index: Decode::decode(input)?, token: Decode::decode(input)? },
            4 => Self::Checkpoint(Decode::decode(input)?),
            5 => Self::Receipt(Decode::decode(input)?),
            6 => Self::Refused {
                code: Decode::decode(input)?,
                reason: input.text("reason", REASON_BYTES_MAX)?,
            },
            7 => Self::PrefixRefused { index: Decode::decode(input)? },
            value => {
                return Err(DecodeError::Unknown { what: "provider frame", value: value.into() });
            }
        })
    }
}
