//! The bytes in front of the weights: metadata and tensor descriptions, taken apart and bounded.

use crate::load::catalogue::{Catalogue, Entry, Files, ReadError};
use crate::load::gguf::names::Published;
use crate::load::quantise::Encoding;
use std::collections::BTreeMap;
use std::ops::Range;
use thiserror::Error;

/// Largest front read: four times that of the largest vocabularies.
const FRONT_BYTES_MAX: u64 = 64 << 20;
/// Read at first; most fronts are larger, and then twice as much is read until it suffices.
const FRONT_BYTES_LEAST: u64 = 1 << 20;
/// Most keys.
const KEYS_MAX: u64 = 1 << 16;
/// Most tensors.
const TENSORS_MAX: u64 = 1 << 16;
/// Longest name of a key or a tensor.
const NAME_BYTES_MAX: u64 = (1 << 16) - 1;
/// Most dimensions of a tensor.
const DIMENSIONS_MAX: u32 = 4;
/// Largest alignment of tensors.
const ALIGNMENT_MAX: u64 = 1 << 16;

/// Why a file is no GGUF model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GgufError {
    /// It does not begin like one.
    #[error("not a GGUF file")]
    Magic,
    /// A version that is not read.
    #[error("GGUF version {0} is not read, 2 and 3 are; convert the model anew")]
    Version(u32),
    /// One of several files.
    #[error(
        "the model is split into {count} GGUF files, and {here} of them are here; the first ends \
         in -00001-of-{count:05}.gguf, and the others lie beside it"
    )]
    Split {
        /// Files that there should be.
        count: u64,
        /// Files that there are.
        here: usize,
    },
    /// Not the file that should stand at this place.
    #[error("file {file} of a split GGUF model is not part {file} of this model; fetch it again")]
    OtherPart {
        /// Its place, from 1 on.
        file: usize,
    },
    /// It ends too early.
    #[error("the GGUF file has {actual} bytes and ends before {what}; fetch it again")]
    Truncated {
        /// What is missing.
        what: String,
        /// Its length.
        actual: u64,
    },
    /// More than any honest file has.
    #[error("GGUF: {what}: {actual} is above the maximum of {maximum}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much.
        actual: u64,
        /// The bound.
        maximum: u64,
    },
    /// Bytes that cannot be there.
    #[error("GGUF: {what} {why}")]
    Bad {
        /// The key, the tensor, or what else.
        what: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A network whose weights have another meaning in GGUF, or none here.
    #[error(
        "GGUF models of the architecture {0:?} are not read, those of llama, qwen2, qwen3, gemma, \
         gemma2 and gemma3 are; take the publication in safetensors"
    )]
    Architecture(String),
    /// Metadata that is wanted.
    #[error("GGUF: {key} is missing, or not what it should be")]
    Missing {
        /// The key.
        key: String,
    },
    /// Bytes could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A value of the metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A whole number of any width.
    Number(i128),
    /// The bits of a single-precision number.
    Single(u32),
    /// A double-precision number: nothing that is read here has one.
    Double,
    /// A yes or no.
    Flag(bool),
    /// A text: its place in the front.
    Text(Range<usize>),
    /// A list: the kind of its items, how many they are, and their place.
    List(u32, u64, Range<usize>),
}

/// A tensor as it is described.
#[derive(Debug)]
struct Described {
    name: Range<usize>,
    shape: Vec<usize>,
    kind: u32,
    offset: u64,
}

/// The front of a file.
#[derive(Debug)]
pub(super) struct Front {
    bytes: Vec<u8>,
    /// Which of the files.
    file: usize,
    length: u64,
    values: BTreeMap<String, Value>,
    tensors: Vec<Described>,
    /// Where tensors begin.
    data: u64,
    alignment: u64,
}

/// What is wrong, or that more bytes are wanted.
enum Stop {
    Ended(String),
    Error(GgufError),
}

impl From<GgufError> for Stop {
    fn from(error: GgufError) -> Self {
        Self::Error(error)
    }
}

impl Front {
    /// Reads more and more of the file until the front is whole.
    pub(super) fn read(files: &dyn Files, file: usize) -> Result<Self, GgufError> {
        let length = files.length(file)?;
        let mut wanted = FRONT_BYTES_LEAST;
        loop {
            let count = wanted.min(length).min(FRONT_BYTES_MAX);
            let mut bytes = vec![0; usize::try_from(count).unwrap_or(usize::MAX)];
            files.read(file, 0, &mut bytes)?;
            match Self::parse(bytes, length) {
                Ok(front) => return Ok(Self { file, ..front }),
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Ended(what)) if count == length => {
                    return Err(GgufError::Truncated { what, actual: length });
                }
                Err(Stop::Ended(_)) if count == FRONT_BYTES_MAX => {
                    let (actual, maximum) = (length, FRONT_BYTES_MAX);
                    return Err(GgufError::TooMuch { what: "bytes of metadata", actual, maximum });
                }
                Err(Stop::Ended(_)) => wanted = count * 4,
            }
        }
    }

    fn parse(bytes: Vec<u8>, length: u64) -> Result<Self, Stop> {
        let mut input = Cursor { bytes: &bytes, at: 0 };
        if input.take(4, "its magic")? != b"GGUF" {
            return Err(GgufError::Magic.into());
        }
        let version = input.u32("its version")?;
        if !(2..=3).contains(&version) {
            return Err(GgufError::Version(version).into());
        }
        let tensor_count = bounded("tensors", input.u64("the count of tensors")?, TENSORS_MAX)?;
        let key_count = bounded("keys", input.u64("the count of keys")?, KEYS_MAX)?;
        let mut values = BTreeMap::new();
        for _ in 0..key_count {
            let key = input.name("a key")?;
            let key = input.text(&key).ok_or_else(|| bad("a key", "is not UTF-8"))?.to_owned();
            let value = input.value(&key)?;
            if values.insert(key.clone(), value).is_some() {
                return Err(bad(&key, "stands there twice").into());
            }
        }
        let mut tensors = Vec::new();
        for _ in 0..tensor_count {
            tensors.push(input.described()?);
        }
        let alignment = alignment(&values)?;
        let data = (input.at as u64).next_multiple_of(alignment);
        Ok(Self { file: 0, length, values, tensors, data, alignment, bytes })
    }

    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        match self.value(key)? {
            Value::Number(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.value(key)? {
            Value::Text(place) => text(&self.bytes, place),
            _ => None,
        }
    }

    pub(super) fn texts(&self, key: &str) -> Option<Vec<&str>> {
        let Value::List(kind::TEXT, count, place) = self.value(key)? else { return None };
        let mut input = Cursor { bytes: self.bytes.get(..place.end)?, at: place.start };
        (0..*count).map(|_| text(&self.bytes, &input.long("a text").ok()?)).collect()
    }

    pub(super) fn numbers(&self, key: &str) -> Option<Vec<i64>> {
        let Value::List(kind, count, place) = self.value(key)? else { return None };
        let mut input = Cursor { bytes: self.bytes.get(..place.end)?, at: place.start };
        let number = |_| match input.scalar(*kind, key).ok()? {
            Value::Number(number) => i64::try_from(number).ok(),
            _ => None,
        };
        (0..*count).map(number).collect()
    }

    /// Flips what makes the bits of a single ordered otherwise than the number.
    pub(super) fn ranks(&self, key: &str) -> Option<Vec<i64>> {
        let Value::List(kind::SINGLE, _, place) = self.value(key)? else { return None };
        let singles = self.bytes.get(place.clone())?.chunks_exact(4);
        let bits = singles.map(|bytes| i32::from_le_bytes(bytes.try_into().unwrap_or_default()));
        Some(bits.map(|bits| i64::from(if bits < 0 { bits ^ i32::MAX } else { bits })).collect())
    }

    /// Adds the tensors under the names that `published` gives them.
    // spec: ENGINE-16.3
    pub(super) fn list(
        &self,
        published: &dyn Fn(&str) -> Published,
        catalogue: &mut Catalogue,
    ) -> Result<(), GgufError> {
        for tensor in &self.tensors {
            let name = text(&self.bytes, &tensor.name);
            let name = name.ok_or_else(|| bad("the name of a tensor", "is not UTF-8"))?;
            let published = published(name);
            let entry = self.entry(name, tensor, &published)?;
            let twice = |_| bad(name, "stands there twice");
            catalogue.add(published.name, entry).map_err(twice)?;
        }
        refuse_overlaps(catalogue)
    }

    fn entry(
        &self,
        name: &str,
        tensor: &Described,
        published: &Published,
    ) -> Result<Entry, GgufError> {
        let paired = published.paired;
        if tensor.offset % self.alignment != 0 {
            return Err(bad(name, "is not aligned"));
        }
        let encoding = encoding(tensor.kind);
        let numbers = tensor.shape.iter().try_fold(1usize, |all, size| all.checked_mul(*size));
        let numbers = numbers.filter(|count| (*count as u64) < 1 << 48);
        let numbers = numbers.ok_or_else(|| bad(name, "is larger than any tensor"))?;
        let columns = tensor.shape.last().copied().unwrap_or(1);
        let rows = numbers.checked_div(columns).unwrap_or(0);
        let bytes = match &encoding {
            Ok(encoding) => encoding.row_bytes(columns).and_then(|bytes| bytes.checked_mul(rows)),
            // It cannot be read, so it does not matter where it ends.
            Err(_) => Some(0),
        };
        let bytes = bytes.ok_or_else(|| bad(name, "has rows that are no whole blocks"))? as u64;
        let at = self.data.saturating_add(tensor.offset);
        if at.checked_add(bytes).is_none_or(|end| end > self.length) {
            let what = format!("tensor {name} does");
            return Err(GgufError::Truncated { what, actual: self.length });
        }
        if paired.is_some_and(|head| head == 0 || head % 2 != 0 || rows.max(columns) % head != 0) {
            return Err(bad(name, "is not made of whole heads"));
        }
        let (file, shape) = (self.file, tensor.shape.clone());
        Ok(Entry { file, at, bytes, shape, encoding, paired, plus_one: published.plus_one })
    }
}

/// Where tensors may begin.
fn alignment(values: &BTreeMap<String, Value>) -> Result<u64, GgufError> {
    let key = "general.alignment";
    match values.get(key) {
        None => Ok(32),
        Some(Value::Number(number)) => {
            let number = u64::try_from(*number).ok();
            let number = number.filter(|n| n.is_power_of_two() && *n <= ALIGNMENT_MAX);
            number.ok_or_else(|| bad(key, "is no power of two up to 65536"))
        }
        Some(_) => Err(bad(key, "is no number")),
    }
}

fn refuse_overlaps(catalogue: &Catalogue) -> Result<(), GgufError> {
    let mut places: Vec<_> =
        catalogue.iter().map(|(name, entry)| (entry.file, entry.at, entry.bytes, name)).collect();
    places.sort_unstable();
    let (mut last, mut end) = (0, 0);
    for (file, at, bytes, name) in places {
        if file == last && at < end {
            return Err(bad(name, "overlaps another tensor"));
        }
        (last, end) = (file, at + bytes);
    }
    Ok(())
}

fn text<'a>(bytes: &'a [u8], place: &Range<usize>) -> Option<&'a str> {
    std::str::from_utf8(bytes.get(place.clone())?).ok()
}

fn bad(what: &str, why: &'static str) -> GgufError {
    let what = what.chars().take(100).collect();
    GgufError::Bad { what, why }
}

fn bounded(what: &'static str, actual: u64, maximum: u64) -> Result<u64, GgufError> {
    if actual <= maximum { Ok(actual) } else { Err(GgufError::TooMuch { what, actual, maximum }) }
}

/// Kinds of values.
mod kind {
    pub(super) const SINGLE: u32 = 6;
    pub(super) const FLAG: u32 = 7;
    pub(super) const TEXT: u32 = 8;
    pub(super) const LIST: u32 = 9;
    pub(super) const DOUBLE: u32 = 12;
}

/// Bytes of a whole number of this kind, and whether it has a sign.
fn whole(kind: u32) -> Option<(usize, bool)> {
    match kind {
        0 => Some((1, false)),
        1 => Some((1, true)),
        2 => Some((2, false)),
        3 => Some((2, true)),
        4 => Some((4, false)),
        5 => Some((4, true)),
        10 => Some((8, false)),
        11 => Some((8, true)),
        _ => None,
    }
}

/// The kinds of tensors that are converted, by ggml's numbers.
fn encoding(kind: u32) -> Result<Encoding, String> {
    match kind {
        0 => Ok(Encoding::F32),
        1 => Ok(Encoding::F16),
        2 => Ok(Encoding::Q4_0),
        3 => Ok(Encoding::Q4_1),
        6 => Ok(Encoding::Q5_0),
        7 => Ok(Encoding::Q5_1),
        8 => Ok(Encoding::Q8_0),
        12 => Ok(Encoding::Q4K),
        13 => Ok(Encoding::Q5K),
        14 => Ok(Encoding::Q6K),
        30 => Ok(Encoding::Bf16),
        other => Err(format!("of ggml's kind {other}")),
    }
}

/// Reads forwards.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8], Stop> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        self.at = end.unwrap_or(self.at);
        taken.ok_or_else(|| Stop::Ended(what.to_owned()))
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Stop> {
        let bytes = self.take(N, what)?;
        bytes.try_into().map_err(|_| Stop::Ended(what.to_owned()))
    }

    fn u32(&mut self, what: &str) -> Result<u32, Stop> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn u64(&mut self, what: &str) -> Result<u64, Stop> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// The place of a text of any length.
    fn long(&mut self, what: &str) -> Result<Range<usize>, Stop> {
        let length = self.u64(what)?;
        let length = bounded("bytes of a text", length, FRONT_BYTES_MAX)?;
        let start = self.at;
        self.take(usize::try_from(length).unwrap_or(usize::MAX), what)?;
        Ok(start..self.at)
    }

    fn name(&mut self, what: &str) -> Result<Range<usize>, Stop> {
        let place = self.long(what)?;
        bounded("bytes of a name", place.len() as u64, NAME_BYTES_MAX)?;
        Ok(place)
    }

    fn text(&self, place: &Range<usize>) -> Option<&'a str> {
        text(self.bytes, place)
    }

    fn value(&mut self, key: &str) -> Result<Value, Stop> {
        match self.u32(key)? {
            kind::LIST => self.list(key),
            kind => self.scalar(kind, key),
        }
    }

    fn scalar(&mut self, kind: u32, key: &str) -> Result<Value, Stop> {
        if let Some((bytes, signed)) = whole(kind) {
            let mut wide = [0; 8];
            let read = self.take(bytes, key)?;
            wide.iter_mut().zip(read).for_each(|(to, from)| *to = *from);
            let unused = 64 - 8 * u32::try_from(bytes).unwrap_or(8);
            let number = u64::from_le_bytes(wide) << unused;
            let number = match signed {
                true => i128::from(i64::from_le_bytes(number.to_le_bytes()) >> unused),
                false => i128::from(number >> unused),
            };
            return Ok(Value::Number(number));
        }
        match kind {
            kind::SINGLE => Ok(Value::Single(self.u32(key)?)),
            kind::DOUBLE => self.u64(key).map(|_| Value::Double),
            kind::FLAG => match self.array(key)? {
                [byte @ 0..=1] => Ok(Value::Flag(byte == 1)),
                _ => Err(bad(key, "is neither yes nor no").into()),
            },
            kind::TEXT => Ok(Value::Text(self.long(key)?)),
            _ => Err(bad(key, "is of a kind that there is not").into()),
        }
    }

    /// Lists hold no lists.
    fn list(&mut self, key: &str) -> Result<Value, Stop> {
        let (kind, count) = (self.u32(key)?, self.u64(key)?);
        let count = bounded("items of a list", count, FRONT_BYTES_MAX)?;
        let start = self.at;
        let size = match kind {
            kind::LIST => return Err(bad(key, "is a list of lists").into()),
            kind::TEXT => None,
            kind::SINGLE => Some(4),
            kind::DOUBLE => Some(8),
            kind::FLAG => Some(1),
            kind => match whole(kind) {
                Some((bytes, _)) => Some(bytes),
                None => return Err(bad(key, "is a list of a kind that there is not").into()),
            },
        };
        match size {
            Some(size) => {
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                self.take(count.saturating_mul(size), key)?;
            }
            None => {
                for _ in 0..count {
                    self.long(key)?;
                }
            }
        }
        Ok(Value::List(kind, count, start..self.at))
    }

    fn described(&mut self) -> Result<Described, Stop> {
        let name = self.name("the name of a tensor")?;
        let what = "the description of a tensor";
        let dimensions = self.u32(what)?;
        bounded("dimensions", dimensions.into(), DIMENSIONS_MAX.into())?;
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(usize::try_from(self.u64(what)?).unwrap_or(usize::MAX));
        }
        shape.reverse();
        Ok(Described { name, shape, kind: self.u32(what)?, offset: self.u64(what)? })
    }
}
