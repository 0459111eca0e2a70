//! Where a converted model goes, tensor by tensor: law writes no files.

use crate::load::format::Place;
use mutirao_wire::Digest;
use std::ops::Range;
use thiserror::Error;

/// One tensor of the file that is being made.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Its number.
    pub index: usize,
    /// How many there are.
    pub count: usize,
    /// Its name.
    pub name: &'a str,
    /// What it is made of: published bytes, everything converted before it, and the conversion
    /// itself. Parts of one key have the same bytes.
    pub key: Digest,
    /// Where its sections stand in the file.
    pub sections: &'a [Range<u64>],
    /// Bytes of the whole file.
    pub file_length: u64,
}

impl Part<'_> {
    /// Bytes of its sections.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.sections.iter().map(|range| range.end - range.start).sum()
    }
}

/// What could not be written or read back.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the converted model cannot be kept: {0}")]
pub struct SinkError(pub String);

/// Takes a model file in pieces: its tensors in their order, and then its front.
pub trait Sink {
    /// Hears which tensor comes next.
    fn begins(&mut self, part: &Part<'_>) {
        let _ = part;
    }

    /// The sections of this part as an earlier run finished them, if it did and they are whole:
    /// that run put them under the same key.
    ///
    /// # Errors
    /// [`SinkError`] when it cannot be known; what is damaged is not an error, but `None`.
    fn kept(&mut self, part: &Part<'_>) -> Result<Option<Vec<Vec<u8>>>, SinkError>;

    /// Keeps the sections of a part. Bytes of the file that nobody puts are zero.
    ///
    /// # Errors
    /// [`SinkError`].
    fn put(&mut self, part: &Part<'_>, sections: &[Vec<u8>]) -> Result<(), SinkError>;

    /// Keeps the beginning of the file, the last piece of it.
    ///
    /// # Errors
    /// [`SinkError`].
    fn finish(&mut self, front: &[u8]) -> Result<(), SinkError>;
}

/// A file in memory.
#[derive(Debug, Default)]
pub(super) struct Whole(pub(super) Vec<u8>);

impl Sink for Whole {
    fn kept(&mut self, _: &Part<'_>) -> Result<Option<Vec<Vec<u8>>>, SinkError> {
        Ok(None)
    }

    fn put(&mut self, part: &Part<'_>, sections: &[Vec<u8>]) -> Result<(), SinkError> {
        let place = |at: u64| {
            usize::try_from(at).map_err(|_| SinkError("it is larger than memory".to_owned()))
        };
        self.0.resize(place(part.file_length)?, 0);
        for (range, section) in part.sections.iter().zip(sections) {
            self.0[place(range.start)?..place(range.end)?].copy_from_slice(section);
        }
        Ok(())
    }

    fn finish(&mut self, front: &[u8]) -> Result<(), SinkError> {
        self.0[..front.len()].copy_from_slice(front);
        Ok(())
    }
}

/// The part that stands at a place.
pub(super) fn part(
    place: &Place,
    key: Digest,
    (index, count): (usize, usize),
    file_length: u64,
) -> Part<'_> {
    Part { index, count, name: &place.spec.name, key, sections: &place.sections, file_length }
}
