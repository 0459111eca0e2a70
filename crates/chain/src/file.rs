//! A chain as one plain file: the genesis and every block, for whoever has only bytes.
//!
//! It is what a stranger sees: nothing in it belongs to whoever wrote it.

use crate::genesis::Genesis;
use crate::store::{Store, StoreError};
use mutirao_ledger::rules::Height;
use mutirao_ledger::sealed::{SEALED_BYTES_MAX, SealError, Sealed, Tip};
use mutirao_wire::codec::put_bytes;
use mutirao_wire::{Decode, DecodeError, Encode};
use std::io::{self, Read, Write};
use thiserror::Error;

/// How a file of blocks begins.
pub const MAGIC: &[u8; 16] = b"mutirao blocks 1";
/// Bytes of a genesis at most.
const GENESIS_BYTES_MAX: usize = 64 * 1024;

/// Why a file of blocks cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system refused.
    #[error("cannot read or write the file of blocks: {0}")]
    Io(#[from] io::Error),
    /// Another file.
    #[error("this is no file of blocks")]
    Magic,
    /// A length above what there is.
    #[error("{bytes} bytes of {what}, at most {maximum}")]
    TooLong {
        /// Of what.
        what: &'static str,
        /// How many.
        bytes: usize,
        /// At most.
        maximum: usize,
    },
    /// Bytes that make no sense.
    #[error("{what}: {error}")]
    Decode {
        /// Where.
        what: &'static str,
        /// Why.
        error: DecodeError,
    },
    /// Blocks that do not follow one another.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The ledger.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Blocks that are not here.
    #[error("blocks before {0} are not here: this ledger began with a snapshot")]
    Missing(u64),
}

/// The beginning of a file of blocks.
///
/// # Errors
/// [`FileError::Io`].
pub fn begin(out: &mut impl Write, genesis: &Genesis) -> Result<(), FileError> {
    let mut bytes = MAGIC.to_vec();
    put_bytes(&mut bytes, &genesis.to_bytes());
    Ok(out.write_all(&bytes)?)
}

/// One more block.
///
/// # Errors
/// [`FileError::Io`].
pub fn put(out: &mut impl Write, block: &Sealed) -> Result<(), FileError> {
    let mut bytes = Vec::new();
    put_bytes(&mut bytes, &block.to_bytes());
    Ok(out.write_all(&bytes)?)
}

/// Writes all blocks of a ledger; returns how many.
///
/// # Errors
/// [`FileError`].
pub fn write(out: &mut impl Write, store: &Store) -> Result<u64, FileError> {
    begin(out, store.genesis())?;
    let last = store.stand()?.tip.height.0;
    for height in 1..=last {
        let block = store.block(Height(height))?.ok_or(FileError::Missing(height + 1))?;
        put(out, &block)?;
    }
    Ok(last)
}

/// Reads a file of blocks one by one, each held against the one before.
#[derive(Debug)]
pub struct Blocks<R> {
    input: R,
    genesis: Genesis,
    genesis_bytes: usize,
    tip: Tip,
}

impl<R: Read> Blocks<R> {
    /// Reads the beginning.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(mut input: R) -> Result<Self, FileError> {
        let mut magic = [0; MAGIC.len()];
        input.read_exact(&mut magic).map_err(|_| FileError::Magic)?;
        if magic != *MAGIC {
            return Err(FileError::Magic);
        }
        let bytes = counted(&mut input, "genesis", GENESIS_BYTES_MAX)?;
        let bytes = bytes.ok_or(FileError::Magic)?;
        let what = "genesis";
        let genesis =
            Genesis::from_bytes(&bytes).map_err(|error| FileError::Decode { what, error })?;
        let tip = Tip::genesis(genesis.chain());
        Ok(Self { input, genesis, genesis_bytes: bytes.len(), tip })
    }

    /// What the chain began with.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Bytes of the file before its first block.
    #[must_use]
    pub fn head_bytes(&self) -> usize {
        MAGIC.len() + 4 + self.genesis_bytes
    }

    /// The next block with its bytes; none at the end.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn next_block(&mut self) -> Result<Option<(Sealed, Vec<u8>)>, FileError> {
        let Some(bytes) = self.next_bytes()? else { return Ok(None) };
        let what = "block";
        let block = Sealed::from_bytes(&bytes);
        let block = block.map_err(|error| FileError::Decode { what, error })?;
        block.follows(&self.tip)?;
        self.tip = block.header.tip();
        Ok(Some((block, bytes)))
    }

    /// The bytes of the next block, whatever they are; none at the end.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn next_bytes(&mut self) -> Result<Option<Vec<u8>>, FileError> {
        counted(&mut self.input, "block", SEALED_BYTES_MAX)
    }
}

/// Counted bytes; none at the end of the file.
fn counted(
    input: &mut impl Read,
    what: &'static str,
    maximum: usize,
) -> Result<Option<Vec<u8>>, FileError> {
    let mut length = [0; 4];
    match input.read(&mut length)? {
        0 => return Ok(None),
        some => input.read_exact(&mut length[some..])?,
    }
    let bytes = u32::from_le_bytes(length) as usize;
    if bytes > maximum {
        return Err(FileError::TooLong { what, bytes, maximum });
    }
    let mut content = vec![0; bytes];
    input.read_exact(&mut content)?;
    Ok(Some(content))
}
