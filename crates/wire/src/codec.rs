//! The canonical encoding: fixed-width little-endian numbers, counted sequences, nothing optional
//! that has two spellings. One value has one encoding, so a digest of bytes is a digest of meaning.
//!
//! Decoding is total: hostile bytes give a [`DecodeError`], never a panic, and no count is trusted
//! before it is compared with its bound and with the bytes that are left.

use crate::id::Token;
use thiserror::Error;

/// Why bytes were refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input ended too early.
    #[error("truncated: {wanted} more bytes wanted, {left} left")]
    Truncated {
        /// Bytes the next field needs.
        wanted: usize,
        /// Bytes that remain.
        left: usize,
    },
    /// A count or length is above its bound.
    #[error("{what}: {count} is above the maximum of {maximum}")]
    TooLong {
        /// The field.
        what: &'static str,
        /// What the input claims.
        count: u64,
        /// What is allowed.
        maximum: u64,
    },
    /// The value is complete but bytes remain.
    #[error("{left} bytes after the end")]
    Trailing {
        /// Bytes that remain.
        left: usize,
    },
    /// A tag, version or kind that this program does not know.
    #[error("unknown {what} {value}; a newer program may know it")]
    Unknown {
        /// The field.
        what: &'static str,
        /// What the input says.
        value: u64,
    },
    /// A second spelling of a value that has a shorter or earlier one.
    #[error("{what} is not in canonical form")]
    NotCanonical {
        /// The field.
        what: &'static str,
    },
    /// Text that is not what its field promises.
    #[error("{what} is not valid text")]
    NotText {
        /// The field.
        what: &'static str,
    },
}

/// A value with one canonical encoding.
pub trait Encode {
    /// Appends the encoding to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// The encoding on its own.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

/// A value that can be read back from its canonical encoding.
pub trait Decode: Sized {
    /// Reads one value from the front of the input.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not the canonical encoding of a value.
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Reads one value that fills `bytes` exactly.
    ///
    /// # Errors
    /// As [`Decode::decode`], and [`DecodeError::Trailing`] when bytes remain.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        let value = Self::decode(&mut input)?;
        input.finish()?;
        Ok(value)
    }
}

/// A cursor over bytes from outside.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes that remain.
    #[must_use]
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Takes the next `count` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when fewer remain.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self
            .rest
            .split_at_checked(count)
            .ok_or(DecodeError::Truncated { wanted: count, left: self.rest.len() })?;
        self.rest = tail;
        Ok(head)
    }

    /// Takes the next `N` bytes as an array.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when fewer remain.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let left = self.left();
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| DecodeError::Truncated { wanted: N, left })
    }

    /// Reads a count and refuses it above `maximum`.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`] above the bound.
    pub fn count(&mut self, what: &'static str, maximum: usize) -> Result<usize, DecodeError> {
        let count = u32::decode(self)?;
        let too_long = DecodeError::TooLong { what, count: count.into(), maximum: maximum as u64 };
        usize::try_from(count).ok().filter(|count| *count <= maximum).ok_or(too_long)
    }

    /// Reads counted bytes.
    ///
    /// # Errors
    /// [`DecodeError`] above the bound or past the end.
    pub fn bytes(&mut self, what: &'static str, maximum: usize) -> Result<Vec<u8>, DecodeError> {
        let count = self.count(what, maximum)?;
        Ok(self.take(count)?.to_vec())
    }

    /// Reads counted UTF-8 text.
    ///
    /// # Errors
    /// [`DecodeError`] above the bound, past the end, or when it is not UTF-8.
    pub fn text(&mut self, what: &'static str, maximum: usize) -> Result<String, DecodeError> {
        String::from_utf8(self.bytes(what, maximum)?).map_err(|_| DecodeError::NotText { what })
    }

    /// Reads a counted list; at least one byte an item must remain before anything is allocated.
    ///
    /// # Errors
    /// [`DecodeError`] above the bound, past the end, or from an item.
    pub fn list<T: Decode>(
        &mut self,
        what: &'static str,
        maximum: usize,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.count(what, maximum)?;
        if count > self.left() {
            return Err(DecodeError::Truncated { wanted: count, left: self.left() });
        }
        (0..count).map(|_| T::decode(self)).collect()
    }

    /// Reads a counted list of tokens.
    ///
    /// # Errors
    /// As [`Reader::list`].
    pub fn tokens(
        &mut self,
        what: &'static str,
        maximum: usize,
    ) -> Result<Vec<Token>, DecodeError> {
        self.list(what, maximum)
    }

    /// Says that the value is complete.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] when bytes remain.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.left() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing { left }),
        }
    }
}

/// Appends a count. Counts are `u32`: every bound in [`crate::limits`] is far below.
///
/// # Panics
/// When our own code builds a list of more than `u32::MAX` items.
pub fn put_count(out: &mut Vec<u8>, count: usize) {
    u32::try_from(count).expect("every list is bounded far below u32::MAX").encode(out);
}

/// Appends counted bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends a counted list.
pub fn put_list<T: Encode>(out: &mut Vec<u8>, items: &[T]) {
    put_count(out, items.len());
    items.iter().for_each(|item| item.encode(out));
}

macro_rules! number {
    ($($kind:ty),*) => {$(
        impl Encode for $kind {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
        impl Decode for $kind {
            fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self::from_le_bytes(input.array()?))
            }
        }
    )*};
}
number!(u8, u16, u32, u64, i32);

impl<const N: usize> Encode for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl<const N: usize> Decode for [u8; N] {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.array()
    }
}

/// One byte 0, or one byte 1 and the value.
impl<T: Encode> Encode for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        u8::from(self.is_some()).encode(out);
        self.iter().for_each(|value| value.encode(out));
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(input)? {
            0 => Ok(None),
            1 => T::decode(input).map(Some),
            value => Err(DecodeError::Unknown { what: "option tag", value: value.into() }),
        }
    }
}

/// Implements the codec of a plain record: its fields in the order given, nothing between them.
#[macro_export]
macro_rules! record {
    ($name:ty { $($field:ident),* $(,)? }) => {
        impl $crate::codec::Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                $($crate::codec::Encode::encode(&self.$field, out);)*
            }
        }
        impl $crate::codec::Decode for $name {
            fn decode(
                input: &mut $crate::codec::Reader<'_>,
            ) -> Result<Self, $crate::codec::DecodeError> {
                Ok(Self { $($field: $crate::codec::Decode::decode(input)?),* })
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_count_above_its_bound_before_allocating() {
        let bytes = u32::MAX.to_bytes();
        let error = Reader::new(&bytes).tokens("prompt", 4).unwrap_err();
        assert!(matches!(error, DecodeError::TooLong { what: "prompt", .. }));
    }

    #[test]
    fn refuses_a_count_that_the_input_cannot_hold() {
        let bytes = 1000u32.to_bytes();
        let error = Reader::new(&bytes).tokens("prompt", 4096).unwrap_err();
        assert_eq!(error, DecodeError::Truncated { wanted: 1000, left: 0 });
    }

    #[test]
    fn refuses_bytes_after_the_end() {
        assert_eq!(u8::from_bytes(&[1, 2]), Err(DecodeError::Trailing { left: 1 }));
    }

    #[test]
    fn refuses_a_second_spelling_of_some() {
        let error = Option::<u8>::from_bytes(&[2, 7]).unwrap_err();
        assert_eq!(error, DecodeError::Unknown { what: "option tag", value: 2 });
    }
}
