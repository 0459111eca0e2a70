//! What a published model consists of: its files, by content.
//!
//! A manifest is a claim of whoever sends it. It is believed only as far as it can be checked: each
//! file by its hash while it travels, and the whole by the model id, which whoever opens the files
//! computes anew.

use crate::codec::{Decode, DecodeError, Encode, Reader, put_list};
use crate::id::ModelId;

/// Most files of a model.
const FILES_MAX: usize = 8;

/// A file that a published model may have. There are no others, so a manifest names no paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileName {
    /// `config.json`
    Config,
    /// `model.safetensors`
    Weights,
    /// `tokenizer.json`
    Tokenizer,
    /// `tokenizer_config.json`
    TokenizerConfig,
    /// `chat_template.jinja`
    Template,
    /// `generation_config.json`
    Generation,
    /// `model.mutirao`: all of it, converted.
    Model,
}

impl FileName {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Config,
        Self::Weights,
        Self::Tokenizer,
        Self::TokenizerConfig,
        Self::Template,
        Self::Generation,
        Self::Model,
    ];

    /// Its name in a directory.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config.json",
            Self::Weights => "model.safetensors",
            Self::Tokenizer => "tokenizer.json",
            Self::TokenizerConfig => "tokenizer_config.json",
            Self::Template => "chat_template.jinja",
            Self::Generation => "generation_config.json",
            Self::Model => "model.mutirao",
        }
    }
}

impl Encode for FileName {
    fn encode(&self, out: &mut Vec<u8>) {
        let place = Self::ALL.iter().position(|name| name == self).unwrap_or_default();
        u8::try_from(place).unwrap_or_default().encode(out);
    }
}

impl Decode for FileName {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let tag = u8::decode(reader)?;
        let name = Self::ALL.get(usize::from(tag)).copied();
        name.ok_or(DecodeError::Unknown { what: "file name", value: tag.into() })
    }
}

/// One file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileEntry {
    /// Which.
    pub name: FileName,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its BLAKE3 hash.
    pub hash: [u8; 32],
}

impl Encode for FileEntry {
    fn encode(&self, out: &mut Vec<u8>) {
        self.name.encode(out);
        self.bytes.encode(out);
        self.hash.encode(out);
    }
}

impl Decode for FileEntry {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (name, bytes) = (FileName::decode(reader)?, u64::decode(reader)?);
        Ok(Self { name, bytes, hash: reader.array()? })
    }
}

/// The files of a model, in the order of [`FileName::ALL`], each at most once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The model.
    pub model: ModelId,
    /// Its files.
    pub files: Vec<FileEntry>,
}

impl Manifest {
    /// All bytes together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }
}

impl Encode for Manifest {
    fn encode(&self, out: &mut Vec<u8>) {
        self.model.encode(out);
        put_list(out, &self.files);
    }
}

impl Decode for Manifest {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let model = ModelId::decode(reader)?;
        let files: Vec<FileEntry> = reader.list("files of a model", FILES_MAX)?;
        if files.is_sorted_by(|one, next| one.name < next.name) {
            return Ok(Self { model, files });
        }
        Err(DecodeError::NotCanonical { what: "files of a model" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    fn manifest() -> Manifest {
        let entry = |(place, name): (u8, &FileName)| FileEntry {
            name: *name,
            bytes: 1 << place,
            hash: [place; 32],
        };
        let files = (0..).zip(&FileName::ALL).map(entry).collect();
        Manifest { model: ModelId(Digest::of("test", &[])), files }
    }

    #[test]
    fn one_manifest_has_one_spelling() {
        let bytes = manifest().to_bytes();
        assert_eq!(Manifest::from_bytes(&bytes), Ok(manifest()));
        let mut twice = manifest();
        twice.files[1] = twice.files[0];
        assert!(Manifest::from_bytes(&twice.to_bytes()).is_err(), "a file twice");
        let mut turned = manifest();
        turned.files.swap(0, 1);
        assert!(Manifest::from_bytes(&turned.to_bytes()).is_err(), "another order");
        for cut in 0..bytes.len() {
            assert!(Manifest::from_bytes(&bytes[..cut]).is_err());
        }
    }
}
