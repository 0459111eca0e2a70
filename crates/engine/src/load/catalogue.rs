//! Which tensors a published model has, and where their numbers stand.
//!
//! Law reads no files: whoever converts passes [`Files`], which maps or reads them. A catalogue is
//! made from the bounded front of each file; numbers are read a few rows at a time.

use crate::load::quantise::{Encoding, Values};
use mutirao_wire::Digest;
use std::collections::BTreeMap;
use std::ops::Range;
use thiserror::Error;

/// The bytes of a published model's weights.
pub trait Files: Sync {
    /// How many files there are.
    fn count(&self) -> usize;
    /// Bytes of a file.
    ///
    /// # Errors
    /// [`ReadError`] when it cannot be told.
    fn length(&self, file: usize) -> Result<u64, ReadError>;
    /// Fills `into` from place `at` of a file.
    ///
    /// # Errors
    /// [`ReadError`] when the file does not have so many bytes there.
    fn read(&self, file: usize, at: u64, into: &mut [u8]) -> Result<(), ReadError>;
}

/// Bytes that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the weights cannot be read: {0}")]
pub struct ReadError(pub String);

/// Files that are in memory.
#[derive(Debug, Clone)]
pub struct InMemory<'a>(pub Vec<&'a [u8]>);

impl Files for InMemory<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn length(&self, file: usize) -> Result<u64, ReadError> {
        let bytes =
            self.0.get(file).ok_or_else(|| ReadError(format!("there is no file {file}")))?;
        Ok(bytes.len() as u64)
    }

    fn read(&self, file: usize, at: u64, into: &mut [u8]) -> Result<(), ReadError> {
        let bytes = usize::try_from(at)
            .ok()
            .and_then(|at| self.0.get(file)?.get(at..at.checked_add(into.len())?));
        let bytes = bytes.ok_or_else(|| ReadError(format!("file {file} ends too early")))?;
        into.copy_from_slice(bytes);
        Ok(())
    }
}

/// Why a tensor cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The model does not have it.
    #[error("tensor {name} is missing")]
    Missing {
        /// The tensor.
        name: String,
    },
    /// The model has a tensor that conversion would silently leave out.
    #[error("tensor {name} has no place in a model of this family")]
    Unknown {
        /// The tensor.
        name: String,
    },
    /// It has another shape than the configuration says.
    #[error("tensor {name} has shape {actual:?}, config.json says {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// By the configuration.
        expected: Vec<usize>,
        /// In the file.
        actual: Vec<usize>,
    },
    /// It has a type that is not converted.
    #[error("tensor {name} is {actual}, wanted F32, F16 or BF16")]
    Type {
        /// The tensor.
        name: String,
        /// Its type.
        actual: String,
    },
    /// A weight is infinite or not a number.
    #[error("tensor {name} holds a weight that is not finite, at {index}")]
    NotFinite {
        /// The tensor.
        name: String,
        /// The first such weight.
        index: usize,
    },
    /// Its bytes could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Where one tensor stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which file.
    pub file: usize,
    /// Where its bytes begin.
    pub at: u64,
    /// How many they are.
    pub bytes: u64,
    /// Its sizes, the fastest last.
    pub shape: Vec<usize>,
    /// How its numbers are stored, or the name of a way that is not converted.
    pub encoding: Result<Encoding, String>,
    /// Where the two halves of each rotary pair stand side by side: the size of a head.
    pub paired: Option<usize>,
    /// Whether one was added to every number.
    pub plus_one: bool,
}

/// The tensors of a published model, by the names of `transformers`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue(BTreeMap<String, Entry>);

impl Catalogue {
    /// Adds a tensor; gives it back if the name is taken.
    ///
    /// # Errors
    /// The entry, where there is one of that name.
    pub fn add(&mut self, name: String, entry: Entry) -> Result<(), Entry> {
        if self.0.contains_key(&name) {
            return Err(entry);
        }
        self.0.insert(name, entry);
        Ok(())
    }

    /// Takes a tensor out.
    pub(crate) fn take(&mut self, name: &str) -> Option<Entry> {
        self.0.remove(name)
    }

    /// A tensor.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.0.get(name)
    }

    /// All tensors, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// Refuses tensors beyond those that `known` accepts, naming the first by name.
    pub(crate) fn only(&self, known: impl Fn(&str) -> bool) -> Result<(), SourceError> {
        let unknown = self.0.keys().find(|name| !known(name));
        unknown.map_or(Ok(()), |name| Err(SourceError::Unknown { name: name.clone() }))
    }

    /// The tensor `name`, which must have this shape.
    pub(crate) fn sheet<'a>(
        &'a self,
        files: &'a dyn Files,
        name: &str,
        shape: &[usize],
    ) -> Result<Sheet<'a>, SourceError> {
        let named = || name.to_owned();
        let entry = self.0.get(name).ok_or_else(|| SourceError::Missing { name: named() })?;
        if entry.shape != shape {
            let (expected, actual) = (shape.to_vec(), entry.shape.clone());
            return Err(SourceError::Shape { name: named(), expected, actual });
        }
        let type_error = |actual: &str| SourceError::Type { name: named(), actual: actual.into() };
        let encoding = entry.encoding.as_ref().map_err(|actual| type_error(actual))?;
        let (rows, columns) = match shape {
            [columns] => (1, *columns),
            [rows, columns] => (*rows, *columns),
            _ => return Err(type_error("of more than two dimensions")),
        };
        let row_bytes = encoding.row_bytes(columns);
        let whole = row_bytes.and_then(|bytes| bytes.checked_mul(rows));
        let row_bytes = row_bytes.filter(|_| whole.is_some_and(|all| all as u64 == entry.bytes));
        let row_bytes =
            row_bytes.ok_or_else(|| type_error("of a length that is not its shape's"))?;
        Ok(Sheet { name: named(), entry, encoding: *encoding, rows, columns, row_bytes, files })
    }
}

/// One tensor, found and of the right shape: rows of numbers. A vector is one row.
pub(crate) struct Sheet<'a> {
    name: String,
    entry: &'a Entry,
    encoding: Encoding,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    row_bytes: usize,
    files: &'a dyn Files,
}

/// Bytes that are hashed at once.
const HASHED_AT_ONCE: u64 = 4 << 20;

impl Sheet<'_> {
    /// The numbers of some rows, as doubles.
    pub(crate) fn numbers(&self, rows: Range<usize>) -> Result<Values, SourceError> {
        let mut values = self.encoding.widen(&self.bytes(rows.clone())?);
        if let (1, Some(head)) = (self.rows, self.entry.paired) {
            values.unpair(|place| unpaired(place, head));
        }
        if self.entry.plus_one {
            values.less_one();
        }
        match values.first_not_finite() {
            None => Ok(values),
            Some(place) => {
                let index = rows.start * self.columns + place;
                Err(SourceError::NotFinite { name: self.name.clone(), index })
            }
        }
    }

    /// The bytes of some rows, in the order of `transformers`.
    fn bytes(&self, rows: Range<usize>) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; rows.len() * self.row_bytes];
        let place = |row: usize| self.entry.at + (row * self.row_bytes) as u64;
        match self.entry.paired.filter(|_| self.rows > 1) {
            None => self.files.read(self.entry.file, place(rows.start), &mut bytes)?,
            Some(head) => {
                for (row, into) in rows.zip(bytes.chunks_exact_mut(self.row_bytes.max(1))) {
                    self.files.read(self.entry.file, place(unpaired(row, head)), into)?;
                }
            }
        }
        Ok(bytes)
    }

    /// What the numbers are, in one digest: equal bytes of an equal kind have equal ones.
    pub(crate) fn digest(&self) -> Result<Digest, ReadError> {
        let (mut at, end) = (self.entry.at, self.entry.at + self.entry.bytes);
        let mut buffer = Vec::new();
        let Entry { paired, plus_one, .. } = self.entry;
        let mut digests = format!("{:?} {paired:?} {plus_one}", self.encoding).into_bytes();
        while at < end {
            let length = HASHED_AT_ONCE.min(end - at);
            buffer.resize(usize::try_from(length).expect("four megabytes"), 0);
            self.files.read(self.entry.file, at, &mut buffer)?;
            digests.extend(Digest::of("mutirao 1 published bytes", &[&buffer]).0);
            at += length;
        }
        Ok(Digest::of("mutirao 1 published tensor", &[&digests]))
    }
}

/// Where row `row` of a head stands when its pairs stand side by side: the first halves of the
/// pairs at even places, the second at odd ones.
fn unpaired(row: usize, head: usize) -> usize {
    let (start, within, half) = (row - row % head, row % head, head / 2);
    start + if within < half { 2 * within } else { 2 * (within - half) + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halves_of_pairs_are_found_wherever_they_stand() {
        // Two heads of six: pairs (0, 3), (1, 4), (2, 5) of a head stand side by side.
        let found: Vec<usize> = (0..12).map(|row| unpaired(row, 6)).collect();
        assert_eq!(found, [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
    }

    #[test]
    fn memory_ends_where_it_ends() {
        let files = InMemory(vec![b"abc"]);
        let mut two = [0; 2];
        assert!(files.read(0, 1, &mut two).is_ok() && two == *b"bc");
        for (file, at) in [(0, 2), (1, 0), (0, u64::MAX), (0, u64::MAX - 1)] {
            assert!(files.read(file, at, &mut two).is_err(), "{file} {at}");
        }
    }
}
