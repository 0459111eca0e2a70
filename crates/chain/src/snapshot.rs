//! A state in one file, for a machine that starts in the middle of a chain.
//!
//! Whoever reads it must know the chain and the id of a block from somewhere else: the genesis in
//! the file must be that chain's, the header that block's, and the members those of the root in the
//! header. Then it does not matter who wrote the file.

use crate::genesis::Genesis;
use crate::store::{Stand, Store, StoreError};
use mutirao_ledger::cell::{Cell, CellId};
use mutirao_ledger::curve::{Point, Sum};
use mutirao_ledger::examine::{Effects, History, StoredNote};
use mutirao_ledger::rules::ChainId;
use mutirao_ledger::sealed::{BlockId, Header};
use mutirao_ledger::state::Summary;
use mutirao_wire::codec::put_bytes;
use mutirao_wire::{Amount, Decode, DecodeError, Digest, Encode, Reader};
use std::io::{self, Write};
use std::path::Path;
use thiserror::Error;

/// How a snapshot begins.
const MAGIC: &[u8; 18] = b"mutirao snapshot 1";
/// Bytes of the longest snapshot that is read: it is held in memory.
pub const SNAPSHOT_BYTES_MAX: u64 = 4 << 30;

/// Why a snapshot cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The system refused.
    #[error("cannot read or write the snapshot: {0}")]
    Io(#[from] io::Error),
    /// The ledger.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another file, or a part of one.
    #[error("this is no whole snapshot: {0}")]
    Decode(#[from] DecodeError),
    /// Nothing to take a snapshot of.
    #[error("there is no block yet")]
    Empty,
    /// Another chain than the one that is trusted.
    #[error("the snapshot is of chain {given}, wanted is {wanted}")]
    Chain {
        /// What is trusted.
        wanted: Digest,
        /// What is in the file.
        given: Digest,
    },
    /// Another block than the one that is trusted.
    #[error("the snapshot is of block {given}, wanted is {wanted}")]
    Block {
        /// What is trusted.
        wanted: BlockId,
        /// What is in the file.
        given: BlockId,
    },
    /// Members that are not those of the root.
    #[error("the snapshot does not hold what its root names; whoever wrote it erred or lied")]
    Members,
}

/// Writes the state of a ledger as it is now; returns the block that it stands after.
///
/// # Errors
/// [`SnapshotError`].
pub fn write(out: &mut impl Write, store: &Store) -> Result<BlockId, SnapshotError> {
    let (stand, view) = store.moment()?;
    let block = store.block(stand.tip.height)?.ok_or(SnapshotError::Empty)?;
    let mut bytes = MAGIC.to_vec();
    put_bytes(&mut bytes, &store.genesis().to_bytes());
    block.header.encode(&mut bytes);
    stand.summary.encode(&mut bytes);
    view.note_count().encode(&mut bytes);
    for note in view.notes_from(0)? {
        note?.encode(&mut bytes);
    }
    let (tags, cells) = (view.all_tags()?, view.all_cells()?);
    (tags.len() as u64).encode(&mut bytes);
    tags.iter().for_each(|tag| tag.encode(&mut bytes));
    (cells.len() as u64).encode(&mut bytes);
    for (id, cell) in &cells {
        id.encode(&mut bytes);
        cell.encode(&mut bytes);
    }
    out.write_all(&bytes)?;
    Ok(block.header.id())
}

/// A list with a long count: at least `least` bytes an item must be there before one is read.
fn list<T: Decode>(input: &mut Reader<'_>, least: u64) -> Result<Vec<T>, DecodeError> {
    let count = u64::decode(input)?;
    let left = input.left();
    if count.checked_mul(least).is_none_or(|bytes| bytes > left as u64) {
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        return Err(DecodeError::Truncated { wanted, left });
    }
    (0..count).map(|_| T::decode(input)).collect()
}

/// A cell with its id.
struct Member(CellId, Cell);

impl Decode for Member {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(CellId::decode(input)?, Cell::decode(input)?))
    }
}

/// A snapshot that was read, and is not yet trusted.
struct Read {
    genesis: Genesis,
    header: Header,
    summary: Summary,
    notes: Vec<StoredNote>,
    tags: Vec<Point>,
    cells: Vec<Member>,
}

fn decode(bytes: &[u8]) -> Result<Read, DecodeError> {
    let mut input = Reader::new(bytes);
    if input.take(MAGIC.len())? != MAGIC {
        return Err(DecodeError::NotCanonical { what: "snapshot" });
    }
    let genesis = input.bytes("genesis", 1 << 16)?;
    let read = Read {
        genesis: Genesis::from_bytes(&genesis)?,
        header: Header::decode(&mut input)?,
        summary: Summary::decode(&mut input)?,
        notes: list(&mut input, 64)?,
        tags: list(&mut input, 32)?,
        cells: list(&mut input, 64)?,
    };
    input.finish()?;
    Ok(read)
}

/// Begins a ledger in an empty folder with a snapshot of the block that is trusted.
///
/// # Errors
/// [`SnapshotError`]; nothing is left in the folder then.
// spec: CHAIN-4.5
pub fn read(
    bytes: &[u8],
    chain: ChainId,
    block: BlockId,
    folder: &Path,
) -> Result<Store, SnapshotError> {
    let read = decode(bytes)?;
    let given = read.genesis.chain();
    if given != chain {
        return Err(SnapshotError::Chain { wanted: chain.0, given: given.0 });
    }
    let given = read.header.id();
    if given != block {
        return Err(SnapshotError::Block { wanted: block, given });
    }
    let cells = read.cells.iter().map(|Member(id, cell)| (id, cell));
    let right = read.summary.root() == read.header.root
        && read.summary.height == read.header.height
        && read.summary.has_members(read.notes.iter(), read.tags.iter(), cells);
    if !right {
        return Err(SnapshotError::Members);
    }
    let store = Store::create(folder, &read.genesis)?;
    let effects = Effects {
        tags: read.tags,
        notes: read.notes,
        cells: read.cells.into_iter().map(|Member(id, cell)| (id, Some(cell))).collect(),
        minted: Amount::ZERO,
        destroyed: 0,
        excess: Sum::zero(),
    };
    let stand = Stand { tip: read.header.tip(), summary: read.summary };
    if let Err(error) = store.fill(&effects, &stand) {
        drop(store);
        let _ = std::fs::remove_file(Store::path(folder));
        return Err(error.into());
    }
    Ok(store)
}
