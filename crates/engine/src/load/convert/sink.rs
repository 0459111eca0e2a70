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

/// A model file in memory; nothing is kept from run to run.
///
/// It grows with what is put: how long the file will be is only a claim of the configuration until
/// the tensors have been found.
#[derive(Debug, Default)]
pub struct InMemoryFile {
    bytes: Vec<u8>,
    length: u64,
}

impl InMemoryFile {
    /// The file, once it is finished.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

fn place(at: u64) -> Result<usize, SinkError> {
    usize::try_from(at).map_err(|_| SinkError("it is larger than memory".to_owned()))
}

impl Sink for InMemoryFile {
    fn kept(&mut self, _: &Part<'_>) -> Result<Option<Vec<Vec<u8>>>, SinkError> {
        Ok(None)
    }

    fn put(&mut self, part: &Part<'_>, sections: &[Vec<u8>]) -> Result<(), SinkError> {
        self.length = part.file_length;
        for (range, section) in part.sections.iter().zip(sections) {
            self.bytes.resize(place(range.start)?, 0);
            self.bytes.extend_from_slice(section);
        }
        Ok(())
    }

    fn finish(&mut self, front: &[u8]) -> Result<(), SinkError> {
        self.bytes.resize(place(self.length)?, 0);
        self.bytes[..front.len()].copy_from_slice(front);
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
