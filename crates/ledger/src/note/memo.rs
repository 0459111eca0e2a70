//! Words that go with a note, sealed with ChaCha20-Poly1305 and padded to one of four sizes.
//!
//! Every note has its own key, so the nonce is zero; the seal is bound to the note's key and
//! commitment. Inside: length (2 bytes) ‖ words ‖ zeros up to the size of the class.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use mutirao_wire::{Decode, DecodeError, Encode, Reader};
use thiserror::Error;

/// Plain bytes of each class, the length included.
const CLASSES: [usize; 4] = [0, 64, 512, 1200];
/// Bytes of the length within.
const LENGTH: usize = 2;
/// Bytes that the seal adds.
const SEAL: usize = 16;
/// The longest memo.
pub const MEMO_BYTES_MAX: usize = 1200 - LENGTH;

/// What is said with a note; empty for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memo(Vec<u8>);

/// Why a memo cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MemoError {
    /// Above the largest class.
    #[error("a memo has at most {MEMO_BYTES_MAX} bytes, this has {0}")]
    TooLong(usize),
    /// Not sealed by who made the note.
    #[error("the memo does not belong to this note")]
    Seal,
    /// Sealed, but not padded as the rules say.
    #[error("the memo is not padded as the rules say")]
    Padding,
    /// Two payees, one ephemeral key.
    #[error("two outputs share a key, so one of them is change; add a third output")]
    TwoPayees,
}

impl Memo {
    /// Words of at most [`MEMO_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`MemoError::TooLong`].
    pub fn new(words: &[u8]) -> Result<Self, MemoError> {
        let fits = words.len() <= MEMO_BYTES_MAX;
        fits.then(|| Self(words.to_vec())).ok_or(MemoError::TooLong(words.len()))
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> &[u8] {
        &self.0
    }

    /// Plain bytes of the smallest class that holds the words.
    // spec: LEDGER-3.7
    #[must_use]
    pub fn class_bytes(&self) -> usize {
        if self.0.is_empty() {
            return 0;
        }
        let fits = |class: &&usize| **class >= self.0.len() + LENGTH;
        CLASSES.iter().find(fits).copied().unwrap_or(MEMO_BYTES_MAX + LENGTH)
    }
}

/// Seals a memo under a note's own key.
///
/// # Errors
/// [`MemoError::Seal`] when the cipher refuses, which it does not for these sizes.
pub fn seal(key: &[u8; 32], memo: &Memo, bound: &[u8]) -> Result<Vec<u8>, MemoError> {
    let class = memo.class_bytes();
    if class == 0 {
        return Ok(Vec::new());
    }
    let length = u16::try_from(memo.0.len()).map_err(|_| MemoError::TooLong(memo.0.len()))?;
    let mut plain = length.to_le_bytes().to_vec();
    plain.extend_from_slice(&memo.0);
    plain.resize(class, 0);
    let payload = Payload { msg: &plain, aad: bound };
    cipher(key).encrypt(&Nonce::default(), payload).map_err(|_| MemoError::Seal)
}

/// Opens a memo.
///
/// # Errors
/// [`MemoError`] when the seal is broken or the padding is not what [`seal`] makes.
// spec: LEDGER-3.7
pub fn open(key: &[u8; 32], sealed: &[u8], bound: &[u8]) -> Result<Memo, MemoError> {
    if sealed.is_empty() {
        return Ok(Memo::default());
    }
    let payload = Payload { msg: sealed, aad: bound };
    let plain = cipher(key).decrypt(&Nonce::default(), payload).map_err(|_| MemoError::Seal)?;
    let mut input = Reader::new(&plain);
    let length = u16::decode(&mut input).map_err(|_| MemoError::Padding)?;
    let words = input.take(length.into()).map_err(|_| MemoError::Padding)?;
    let memo = Memo::new(words)?;
    let rest = input.take(input.left()).map_err(|_| MemoError::Padding)?;
    let padded = rest.iter().all(|byte| *byte == 0) && memo.class_bytes() == plain.len();
    padded.then_some(memo).ok_or(MemoError::Padding)
}

fn cipher(key: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&Key::from(*key))
}

/// Appends a sealed memo: class, then bytes.
///
/// # Panics
/// When the memo has the size of no class, which [`seal`] and [`take`] do not make.
pub(crate) fn put(out: &mut Vec<u8>, sealed: &[u8]) {
    let class = CLASSES.iter().position(|class| sealed_bytes(*class) == sealed.len());
    let class = class.and_then(|class| u8::try_from(class).ok());
    class.expect("a sealed memo has the size of a class").encode(out);
    out.extend_from_slice(sealed);
}

/// Reads a sealed memo.
// spec: LEDGER-3.7
pub(crate) fn take(input: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    let class = u8::decode(input)?;
    let unknown = DecodeError::Unknown { what: "memo class", value: class.into() };
    let plain = CLASSES.get(usize::from(class)).ok_or(unknown)?;
    Ok(input.take(sealed_bytes(*plain))?.to_vec())
}

fn sealed_bytes(class: usize) -> usize {
    if class == 0 { 0 } else { class + SEAL }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [5; 32];

    // spec: LEDGER-3.7
    #[test]
    fn every_memo_opens_and_shows_only_its_class() {
        let sizes = [(0, 0), (1, 80), (62, 80), (63, 528), (510, 528), (511, 1216), (1198, 1216)];
        for (words, sealed) in sizes {
            let memo = Memo::new(&vec![7; words]).unwrap();
            let bytes = seal(&KEY, &memo, b"note").unwrap();
            assert_eq!(bytes.len(), sealed);
            assert_eq!(open(&KEY, &bytes, b"note"), Ok(memo));
        }
        assert_eq!(Memo::new(&[0; 1199]), Err(MemoError::TooLong(1199)));
    }

    // spec: LEDGER-3.7
    #[test]
    fn refuses_a_memo_of_another_note_and_every_flipped_byte() {
        let bytes = seal(&KEY, &Memo::new(b"thanks").unwrap(), b"note").unwrap();
        assert_eq!(open(&KEY, &bytes, b"othr"), Err(MemoError::Seal));
        assert_eq!(open(&[6; 32], &bytes, b"note"), Err(MemoError::Seal));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(open(&KEY, &changed, b"note"), Err(MemoError::Seal));
        }
    }

    // spec: LEDGER-3.7
    #[test]
    fn refuses_padding_that_hides_something_or_a_class_too_large() {
        let sealed = |plain: &[u8]| {
            let payload = Payload { msg: plain, aad: b"note" };
            cipher(&KEY).encrypt(&Nonce::default(), payload).unwrap()
        };
        let mut hidden = [0; 64];
        hidden[0] = 1;
        hidden[63] = 9;
        assert_eq!(open(&KEY, &sealed(&hidden), b"note"), Err(MemoError::Padding));
        let mut large = [0; 512];
        large[0] = 1;
        assert_eq!(open(&KEY, &sealed(&large), b"note"), Err(MemoError::Padding));
        assert_eq!(open(&KEY, &sealed(&[255; 64]), b"note"), Err(MemoError::Padding));
        assert_eq!(open(&KEY, &sealed(&[0; 64]), b"note"), Err(MemoError::Padding));
    }
}
