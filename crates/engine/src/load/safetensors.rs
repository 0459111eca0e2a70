//! Weights in the safetensors layout, in one file or in several with an index.
//!
//! A file is a length in 8 bytes, so much JSON, and then numbers without a gap (source: the README
//! of huggingface/safetensors). The library reads the JSON and proves that the tensors follow one
//! another; how much of a file is ever looked at, and that it ends with its last tensor, is settled
//! here.

use crate::load::catalogue::{Catalogue, Entry, Files, ReadError};
use crate::load::quantise::Encoding;
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// Bytes of the length in front.
const LENGTH_BYTES: u64 = 8;
/// Largest header read; those of the largest published models are a tenth of it.
const HEADER_BYTES_MAX: u64 = 16 << 20;
/// Largest index read.
const INDEX_BYTES_MAX: usize = 16 << 20;
/// Most files of a model.
const SHARDS_MAX: usize = 1024;

/// Why files are not weights in the safetensors layout.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SafetensorsError {
    /// The file ends before its header does.
    #[error("file {file} has {actual} bytes, its header alone wants {wanted}; fetch it again")]
    Truncated {
        /// Which of the files.
        file: usize,
        /// Of the file.
        actual: u64,
        /// At least.
        wanted: u64,
    },
    /// The header is longer than any honest one.
    #[error("the header of file {file} has {actual} bytes, at most {maximum} are read")]
    LongHeader {
        /// Which of the files.
        file: usize,
        /// Its length.
        actual: u64,
        /// The bound.
        maximum: u64,
    },
    /// The header is not one.
    #[error("the header of file {file} is refused: {reason}")]
    Header {
        /// Which of the files.
        file: usize,
        /// By the library.
        reason: String,
    },
    /// The file is shorter or longer than its tensors.
    #[error("file {file} has {actual} bytes, its tensors end at {expected}; fetch it again")]
    Size {
        /// Which of the files.
        file: usize,
        /// By the header.
        expected: u64,
        /// Of the file.
        actual: u64,
    },
    /// Two files have a tensor of one name.
    #[error("tensor {name} stands in two files")]
    Twice {
        /// The tensor.
        name: String,
    },
    /// The index is not one.
    #[error("model.safetensors.index.json is refused: {0}")]
    Index(String),
    /// A tensor is not where the index says.
    #[error("tensor {name} is not in the file that model.safetensors.index.json names for it")]
    Misplaced {
        /// The tensor.
        name: String,
    },
    /// Bytes could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Which files a model's weights are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shards {
    /// Names of the files, ascending, without a folder: the order of [`Files`].
    pub files: Vec<String>,
    /// The file of each tensor.
    places: BTreeMap<String, usize>,
}

impl Shards {
    /// Reads `model.safetensors.index.json`.
    ///
    /// # Errors
    /// [`SafetensorsError::Index`].
    // spec: ENGINE-16.1
    pub fn parse(index: &[u8]) -> Result<Self, SafetensorsError> {
        let refused = |why: &str| SafetensorsError::Index(why.to_owned());
        if index.len() > INDEX_BYTES_MAX {
            return Err(refused("it is too long"));
        }
        let value: Value = serde_json::from_slice(index)
            .map_err(|error| SafetensorsError::Index(error.to_string()))?;
        let map = value.get("weight_map").and_then(Value::as_object);
        let map = map.ok_or_else(|| refused("it has no weight_map"))?;
        let file = |value: &Value| value.as_str().filter(|name| is_plain(name)).map(str::to_owned);
        let named: BTreeMap<&String, String> = map
            .iter()
            .map(|(name, value)| Some((name, file(value)?)))
            .collect::<Option<_>>()
            .ok_or_else(|| refused("a file in it is no plain name that ends in .safetensors"))?;
        let files: BTreeSet<String> = named.values().cloned().collect();
        if files.is_empty() || files.len() > SHARDS_MAX {
            return Err(refused("it names no file, or more than 1024"));
        }
        let files: Vec<String> = files.into_iter().collect();
        let place = |file: &String| files.binary_search(file).expect("it was put there");
        let places = named.into_iter().map(|(name, file)| (name.clone(), place(&file))).collect();
        Ok(Self { files, places })
    }
}

/// A name that stays in its folder.
fn is_plain(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.ends_with(".safetensors") && !name.starts_with('.') && name.chars().all(letter)
}

impl Catalogue {
    /// Reads the headers of all files.
    ///
    /// # Errors
    /// [`SafetensorsError`].
    pub fn safetensors(files: &dyn Files) -> Result<Self, SafetensorsError> {
        let mut catalogue = Self::default();
        for file in 0..files.count() {
            add(&mut catalogue, files, file)?;
        }
        Ok(catalogue)
    }

    /// Reads the headers of all files and compares them with their index.
    ///
    /// # Errors
    /// [`SafetensorsError`].
    // spec: ENGINE-16.1
    pub fn sharded(files: &dyn Files, shards: &Shards) -> Result<Self, SafetensorsError> {
        let catalogue = Self::safetensors(files)?;
        let places = catalogue.iter().map(|(name, entry)| (name, entry.file));
        let found: BTreeSet<(&str, usize)> = places.collect();
        let wanted = shards.places.iter().map(|(name, file)| (name.as_str(), *file)).collect();
        match found.symmetric_difference(&wanted).next() {
            None => Ok(catalogue),
            Some((name, _)) => Err(SafetensorsError::Misplaced { name: (*name).to_owned() }),
        }
    }
}

fn add(catalogue: &mut Catalogue, files: &dyn Files, file: usize) -> Result<(), SafetensorsError> {
    let actual = files.length(file)?;
    let header = header(files, file, actual)?;
    let start = LENGTH_BYTES + header.len() as u64;
    let refused = |reason: String| SafetensorsError::Header { file, reason };
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|error| refused(error.to_string()))?;
    let expected = start.saturating_add(metadata.data_len() as u64);
    if expected != actual {
        return Err(SafetensorsError::Size { file, expected, actual });
    }
    for name in metadata.offset_keys() {
        let info = metadata.info(&name).expect("a key of its own");
        let (first, last) = info.data_offsets;
        let entry = Entry {
            file,
            at: start + first as u64,
            bytes: (last - first) as u64,
            shape: info.shape.clone(),
            encoding: encoding(info.dtype),
            paired: None,
            plus_one: false,
        };
        let twice = || SafetensorsError::Twice { name: name.clone() };
        catalogue.add(name.clone(), entry).map_err(|_| twice())?;
    }
    Ok(())
}

fn header(files: &dyn Files, file: usize, actual: u64) -> Result<Vec<u8>, SafetensorsError> {
    let truncated = |wanted| SafetensorsError::Truncated { file, actual, wanted };
    if actual < LENGTH_BYTES {
        return Err(truncated(LENGTH_BYTES));
    }
    let mut length = [0; 8];
    files.read(file, 0, &mut length)?;
    let length = u64::from_le_bytes(length);
    if length > actual - LENGTH_BYTES {
        return Err(truncated(length.saturating_add(LENGTH_BYTES)));
    }
    if length > HEADER_BYTES_MAX {
        let maximum = HEADER_BYTES_MAX;
        return Err(SafetensorsError::LongHeader { file, actual: length, maximum });
    }
    let mut header = vec![0; usize::try_from(length).expect("sixteen megabytes")];
    files.read(file, LENGTH_BYTES, &mut header)?;
    Ok(header)
}

fn encoding(dtype: Dtype) -> Result<Encoding, String> {
    match dtype {
        Dtype::F32 => Ok(Encoding::F32),
        Dtype::F16 => Ok(Encoding::F16),
        Dtype::BF16 => Ok(Encoding::Bf16),
        other => Err(format!("{other:?}")),
    }
}
