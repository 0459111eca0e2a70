//! What every byte of a block is: public by design, or a thing from which nothing is learned.
//!
//! **Statement.** A stranger who holds every block holds nothing that belongs to a person in the
//! clear. [`dissect`] names each byte's field and class; [`Survey`] adds them up and looks for what
//! must not be: the same one-time thing twice, an amount or words that are not hidden, ciphertext
//! that is not even. It is a second reading of the encoding, apart from the codec, so that a field
//! added to one and not to the other is found.

mod survey;
mod walk;

pub use survey::{Finding, Survey, Total};

use mutirao_wire::{Decode, DecodeError};

/// What kind of thing a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Everybody may know it, and the ledger could not be checked without it.
    Public,
    /// Stands there once and belongs to nobody whom anybody can name.
    OneTimeKey,
    /// Hides an amount or a name under a random blinding.
    Commitment,
    /// Looks like chance to whoever lacks the key.
    Ciphertext,
    /// Shows that something holds and not why.
    Proof,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Public, Self::OneTimeKey, Self::Commitment, Self::Ciphertext, Self::Proof];

    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Public => "public by design",
            Self::OneTimeKey => "one-time key",
            Self::Commitment => "commitment",
            Self::Ciphertext => "ciphertext",
            Self::Proof => "proof",
        }
    }
}

/// A field of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// Its name; the same for all of its kind.
    pub field: &'static str,
    /// What it is.
    pub class: Class,
    /// Whether the same bytes may stand there again.
    pub repeats: bool,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// All fields of a sealed block, in their order and without a gap.
///
/// # Errors
/// [`DecodeError`] for bytes that are no sealed block.
// spec: CHAIN-7.1
pub fn dissect(bytes: &[u8]) -> Result<Vec<Part<'_>>, DecodeError> {
    crate::sealed::Sealed::from_bytes(bytes)?;
    walk::block(bytes)
}

#[cfg(test)]
mod tests;
