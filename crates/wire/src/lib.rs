//! The words all sides share: digests, codec, jobs, orders, receipts, offers.
//!
//! Everything here is plain data with one canonical encoding, bounded before it is allocated.
//! No I/O, no clock, no randomness: what two strangers must agree on starts in this crate.
#![deny(clippy::float_arithmetic, clippy::cast_possible_truncation, clippy::indexing_slicing)]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

pub mod amount;
pub mod bundle;
pub mod codec;
pub mod digest;
pub mod form;
pub mod id;
pub mod job;
pub mod key;
pub mod limits;
pub mod manifest;
pub mod offer;
pub mod receipt;
#[cfg(feature = "testing")]
pub mod testing;

pub use amount::{Amount, Prices};
pub use codec::{Decode, DecodeError, Encode, Reader};
pub use digest::Digest;
pub use id::{
    AnswerCommitment, ChannelId, JobCommitment, ModelId, OpSet, OrderCommitment, PrefixDigest,
    ReceiptId, Token,
};
pub use job::{Constraint, Job, Order, Privacy, Sampling};
pub use key::{PeerKey, ReceiptKey, Signature, SigningKey};
pub use manifest::{FileEntry, FileName, Manifest};
pub use offer::{Offer, OfferLimits, SignedOffer};
pub use receipt::{Checkpoint, Finish, Receipt, Served, SignedCheckpoint, SignedReceipt};
