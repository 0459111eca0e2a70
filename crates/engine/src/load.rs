//! From published weights to a model file, and from a model file to a proven model.
//!
//! [`convert`] is a pure function of the source bytes: two honest machines get the same file and so
//! the same model id. Reading the file back trusts nothing in it.

mod catalogue;
mod config;
mod convert;
pub mod format;
mod gguf;
pub mod quantise;
mod safetensors;
mod verify;

pub use catalogue::{Catalogue, Entry, Files, InMemory, ReadError, SourceError};
pub use config::ConfigError;
pub use convert::{
    ConvertError, Converted, InMemoryFile, Part, Published, Sink, SinkError, Source, TensorReport,
    convert, convert_into,
};
pub use gguf::{Gguf, GgufError};
pub use safetensors::{SafetensorsError, Shards};
pub(crate) use verify::{
    Layer as ProvenLayer, layer as verify_layer, matrix as verify_matrix, norm as verify_norm,
};

use crate::model::header::HeaderError;
use mutirao_wire::{DecodeError, OpSet};
use thiserror::Error;

/// Why bytes are not a model file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It does not begin like one.
    #[error("not a mutirao model file; convert the published model first")]
    Magic,
    /// An op set of a newer program.
    #[error("the model wants op set {0:?}, this program runs op set 1; update the program")]
    OpSet(OpSet),
    /// The front of the file does not decode.
    #[error("model file: {0}")]
    Decode(#[from] DecodeError),
    /// The header cannot be one of op set 1.
    #[error("model file: {0}")]
    Header(#[from] HeaderError),
    /// The file is shorter or longer than its header says.
    #[error("the model file has {actual} bytes, its header says {expected}; fetch it again")]
    Size {
        /// By the header.
        expected: u64,
        /// Of the file.
        actual: u64,
    },
    /// A digest does not fit.
    #[error("{what} is not what its digest says; fetch the model again")]
    Digest {
        /// The damaged part.
        what: String,
    },
    /// Bytes between tensors are not zero.
    #[error("padding after {what} is not zero; the file is not canonical")]
    Padding {
        /// What the padding follows.
        what: String,
    },
    /// A static bound of op set 1 does not hold.
    #[error("{what}: {why}; the model does not fit op set 1")]
    Bound {
        /// The tensor, with the row where there is one.
        what: String,
        /// The bound.
        why: &'static str,
    },
}
