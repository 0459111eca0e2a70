//! Names of things: one type each, so that a job is never passed where a model is meant.

use crate::codec::{Decode, DecodeError, Encode, Reader};
use crate::digest::Digest;
use std::fmt;

macro_rules! digest_id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Digest);

        impl $name {
            /// The first eight hexadecimal characters, for people.
            #[must_use]
            pub fn short(&self) -> String {
                self.0.short()
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0.short())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                self.0.encode(out);
            }
        }
        impl Decode for $name {
            fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Digest::decode(input).map(Self)
            }
        }
    )*};
}

digest_id! {
    /// Names a model: weights, header, tokenizer, template and end-of-text set in one digest.
    ModelId,
    /// Hides and binds a job; salted from its nonce.
    JobCommitment,
    /// Binds the deal with one provider.
    OrderCommitment,
    /// Hides and binds the whole answer; salted from the job's nonce.
    AnswerCommitment,
    /// Hides and binds the answer up to a checkpoint; salted from the job's nonce.
    PrefixDigest,
    /// Names one signed receipt.
    ReceiptId,
    /// Names a payment channel; all zero while answers are free.
    ChannelId,
}

impl ChannelId {
    /// No channel: the answer is free.
    pub const NONE: Self = Self(Digest([0; 32]));
}

/// The number of an op set: which exact integer semantics an answer was computed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpSet(pub u16);

/// One entry of a model's vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u32);

impl Encode for OpSet {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for OpSet {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u16::decode(input).map(Self)
    }
}

impl Encode for Token {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for Token {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u32::decode(input).map(Self)
    }
}
