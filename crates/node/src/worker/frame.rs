//! What a node and its worker say to one another. Neither trusts the other's bytes: a worker that
//! was taken over can say anything, so every list is bounded, and what is no frame ends it.
//!
//! A frame is its length (`u32`, little-endian) and its bytes. The two are one program of one
//! version, so there is no version in it.

mod order;
mod word;

pub(super) use order::{Call, Opening, Order, Writing};
pub(super) use word::{Reply, Word};

use mutirao_wire::codec::put_bytes;
use mutirao_wire::limits::BUNDLE_BYTES_MAX;
use mutirao_wire::{Decode, DecodeError, Encode, Reader, Token};

/// Longest text that is passed on: more than a model with the longest context reads.
const TEXT_BYTES_MAX: usize = 4 * BUNDLE_BYTES_MAX;
/// Longest list of tokens.
const TOKENS_MAX: usize = TEXT_BYTES_MAX / 4;
/// Largest frame.
pub(super) const FRAME_BYTES_MAX: usize = 2 * TEXT_BYTES_MAX;
/// Longest reason.
const REASON_BYTES_MAX: usize = 1 << 16;

/// Text as counted bytes.
fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

fn text(input: &mut Reader<'_>) -> Result<String, DecodeError> {
    input.text("text", TEXT_BYTES_MAX)
}

fn reason(input: &mut Reader<'_>) -> Result<String, DecodeError> {
    input.text("reason", REASON_BYTES_MAX)
}

/// A reason of any length, cut where it would be too long to read.
fn put_reason(out: &mut Vec<u8>, reason: &str) {
    let cut = reason.floor_char_boundary(REASON_BYTES_MAX);
    put_text(out, &reason[..cut]);
}

fn put_maybe(out: &mut Vec<u8>, text: Option<&String>) {
    u8::from(text.is_some()).encode(out);
    text.iter().for_each(|text| put_text(out, text));
}

fn maybe(input: &mut Reader<'_>) -> Result<Option<String>, DecodeError> {
    flag(input)?.then(|| text(input)).transpose()
}

fn flag(input: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match u8::decode(input)? {
        0 => Ok(false),
        1 => Ok(true),
        value => Err(DecodeError::Unknown { what: "flag", value: value.into() }),
    }
}

fn tokens(input: &mut Reader<'_>) -> Result<Vec<Token>, DecodeError> {
    input.tokens("tokens", TOKENS_MAX)
}

/// A tag and a number.
fn numbered(tag: u8, number: u64, out: &mut Vec<u8>) {
    tag.encode(out);
    number.encode(out);
}

/// Reads bytes as whatever a node and its worker may say; what is read is written as it was.
///
/// # Panics
/// When it is not: for whoever makes up bytes and looks for that.
pub fn read_back(bytes: &[u8]) {
    let written = [
        Opening::from_bytes(bytes).map(|opening| opening.to_bytes()),
        Order::from_bytes(bytes).map(|order| order.to_bytes()),
        Word::from_bytes(bytes).map(|word| word.to_bytes()),
    ];
    written.into_iter().flatten().for_each(|written| assert_eq!(written, bytes));
}
