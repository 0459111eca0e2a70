//! What is kept on disk: blocks, members of the state, and its summary, written together.
//!
//! One block is one transaction of the database: after a kill at any moment either all of it is
//! there or nothing. Commits have two phases, since the bytes come from strangers, and return once
//! the disk has them.

mod view;

pub use view::View;

use crate::genesis::Genesis;
use mutirao_ledger::cell::{Cell, CellId};
use mutirao_ledger::examine::{Effects, StoredNote};
use mutirao_ledger::note::NoteIndex;
use mutirao_ledger::rules::Height;
use mutirao_ledger::sealed::{Sealed, Tip};
use mutirao_ledger::service::Place;
use mutirao_ledger::state::Summary;
use mutirao_ledger::tx::TxId;
use mutirao_wire::{Decode, DecodeError, Digest, Encode};
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend,
    TableDefinition, WriteTransaction,
};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Bytes of the database's cache.
const CACHE_BYTES: usize = 64 << 20;
/// The file within the folder of a ledger.
const FILE: &str = "ledger.redb";

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");
/// Notes before a block of that height.
const FIRSTS: TableDefinition<'_, u64, u64> = TableDefinition::new("firsts");
const NOTES: TableDefinition<'_, u64, [u8; 64]> = TableDefinition::new("notes");
const KEYS: TableDefinition<'_, [u8; 32], u64> = TableDefinition::new("keys");
const TAGS: TableDefinition<'_, [u8; 32], ()> = TableDefinition::new("tags");
const CELLS: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("cells");
/// Height and first note of a transaction.
const PLACES: TableDefinition<'_, [u8; 32], [u8; 16]> = TableDefinition::new("places");

/// Why a ledger on disk cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Somebody else has it open.
    #[error("another process keeps the ledger in {0}; ask that one, or stop it first")]
    Locked(PathBuf),
    /// There is none.
    #[error("there is no ledger in {0}; `mutirao chain run` begins one")]
    Missing(PathBuf),
    /// There is one already.
    #[error("there is a ledger in {0} already")]
    Exists(PathBuf),
    /// No room.
    #[error(
        "no room to write the ledger ({0}); nothing that was acknowledged is lost: make room, \
         then start again"
    )]
    Full(std::io::Error),
    /// The system refused otherwise.
    #[error("the ledger cannot be read or written: {0}")]
    Io(std::io::Error),
    /// What is there makes no sense.
    #[error("the ledger is damaged: {0}; restore a copy, or begin again from a snapshot")]
    Damaged(String),
    /// It cannot be read any more after an error.
    #[error("the ledger stopped after an error of its disk; start again")]
    Stopped,
}

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        let full = [ErrorKind::StorageFull, ErrorKind::FileTooLarge, ErrorKind::QuotaExceeded];
        match error {
            redb::Error::Io(error) if full.contains(&error.kind()) => Self::Full(error),
            redb::Error::Io(error) => Self::Io(error),
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => Self::Stopped,
            other => Self::Damaged(other.to_string()),
        }
    }
}

macro_rules! from_parts {
    ($($part:ty),*) => {$(
        impl From<$part> for StoreError {
            fn from(error: $part) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}
from_parts!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::SetDurabilityError
);

impl From<DecodeError> for StoreError {
    fn from(error: DecodeError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// Where a ledger stands, as it is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stand {
    /// The last block.
    pub tip: Tip,
    /// The state after it.
    pub summary: Summary,
}

/// A ledger on disk.
#[derive(Debug)]
pub struct Store {
    database: Database,
    genesis: Genesis,
}

impl Store {
    /// Where the file is within a folder.
    #[must_use]
    pub fn path(folder: &Path) -> PathBuf {
        folder.join(FILE)
    }

    /// Opens the ledger in a folder; repairs it after a kill, if need be.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = Self::path(folder);
        if !path.exists() {
            return Err(StoreError::Missing(folder.to_owned()));
        }
        let database = builder().open(&path);
        Self::opened(database.map_err(|error| refused(error, folder))?)
    }

    /// Begins a ledger in a folder that exists and has none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn create(folder: &Path, genesis: &Genesis) -> Result<Self, StoreError> {
        let path = Self::path(folder);
        if path.exists() {
            return Err(StoreError::Exists(folder.to_owned()));
        }
        let database = builder().create(&path).map_err(|error| refused(error, folder))?;
        Self::begin(database, genesis)
    }

    /// Opens a ledger that lies in something other than a file, or begins one: for tests of what
    /// happens when that fails.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn over(backend: impl StorageBackend, genesis: &Genesis) -> Result<Self, StoreError> {
        let database = builder().create_with_backend(backend);
        Self::begin(database.map_err(|error| refused(error, Path::new("memory")))?, genesis)
    }

    fn begin(database: Database, genesis: &Genesis) -> Result<Self, StoreError> {
        let stand = Stand { tip: Tip::genesis(genesis.chain()), summary: Summary::genesis() };
        let write = begin_write(&database)?;
        let begun = write.open_table(META)?.get("tip")?.is_some();
        if begun {
            write.abort()?;
            return Self::opened(database);
        }
        tables(&write)?;
        write.open_table(META)?.insert("genesis", genesis.to_bytes().as_slice())?;
        put_stand(&write, &stand)?;
        write.commit()?;
        Self::opened(database)
    }

    fn opened(database: Database) -> Result<Self, StoreError> {
        let read = database.begin_read()?;
        let genesis = meta(&read, "genesis")?;
        drop(read);
        Ok(Self { genesis: Genesis::from_bytes(&genesis)?, database })
    }

    /// What it began with.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Where it stands.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stand(&self) -> Result<Stand, StoreError> {
        stand(&self.database.begin_read()?)
    }

    /// The members of the state as they are now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn view(&self) -> Result<View, StoreError> {
        View::new(&self.database.begin_read()?)
    }

    /// Where it stands, and its members at that very moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn moment(&self) -> Result<(Stand, View), StoreError> {
        let read = self.database.begin_read()?;
        Ok((stand(&read)?, View::new(&read)?))
    }

    /// The block of that height, if it is here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn block(&self, height: Height) -> Result<Option<Sealed>, StoreError> {
        let bytes = self.block_bytes(height)?;
        Ok(bytes.map(|bytes| Sealed::from_bytes(&bytes)).transpose()?)
    }

    /// The same, as bytes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn block_bytes(&self, height: Height) -> Result<Option<Vec<u8>>, StoreError> {
        let table = self.database.begin_read()?.open_table(BLOCKS)?;
        Ok(table.get(height.0)?.map(|bytes| bytes.value().to_vec()))
    }

    /// The height of the first block that is here; none where there is no block.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn first_block(&self) -> Result<Option<Height>, StoreError> {
        let table = self.database.begin_read()?.open_table(BLOCKS)?;
        Ok(table.first()?.map(|(height, _)| Height(height.value())))
    }

    /// Notes before the block of that height.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn notes_before(&self, height: Height) -> Result<Option<u64>, StoreError> {
        let table = self.database.begin_read()?.open_table(FIRSTS)?;
        Ok(table.get(height.0)?.map(|first| first.value()))
    }

    /// Where a transaction stands.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn place(&self, id: &TxId) -> Result<Option<Place>, StoreError> {
        let table = self.database.begin_read()?.open_table(PLACES)?;
        let bytes = table.get(id.0.0)?.map(|bytes| bytes.value());
        Ok(bytes.map(|bytes| Place::from_bytes(&bytes)).transpose()?)
    }

    /// Takes in a block with all that it does. Whatever happens meanwhile, all of it is there
    /// afterwards, or none; when this returns, all of it is.
    ///
    /// # Errors
    /// [`StoreError`]; the ledger is then as it was.
    // spec: CHAIN-4.1
    pub fn append(
        &self,
        block: &Sealed,
        effects: &[Effects],
        stand: &Stand,
    ) -> Result<(), StoreError> {
        let write = begin_write(&self.database)?;
        let first = write_members(&write, effects)?;
        let height = block.header.height.0;
        write.open_table(BLOCKS)?.insert(height, block.to_bytes().as_slice())?;
        write.open_table(FIRSTS)?.insert(height, first)?;
        let mut places = write.open_table(PLACES)?;
        let mut at = first;
        for tx in &block.transactions {
            let place = Place { height: block.header.height, first: NoteIndex(at) };
            places.insert(tx.id().0.0, wide(&place.to_bytes()))?;
            at += tx.body.outputs.len() as u64;
        }
        drop(places);
        put_stand(&write, stand)?;
        write.commit()?;
        Ok(())
    }

    /// Takes in all members of a state at once: what a snapshot brings.
    ///
    /// # Errors
    /// [`StoreError`]; the ledger is then as it was.
    pub(crate) fn fill(&self, effects: &Effects, stand: &Stand) -> Result<(), StoreError> {
        let write = begin_write(&self.database)?;
        write_members(&write, std::slice::from_ref(effects))?;
        put_stand(&write, stand)?;
        write.commit()?;
        Ok(())
    }
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn refused(error: DatabaseError, folder: &Path) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Locked(folder.to_owned()),
        other => redb::Error::from(other).into(),
    }
}

fn begin_write(database: &Database) -> Result<WriteTransaction, StoreError> {
    let mut write = database.begin_write()?;
    write.set_two_phase_commit(true);
    Ok(write)
}

/// All tables exist from the beginning, so that reading finds them.
fn tables(write: &WriteTransaction) -> Result<(), StoreError> {
    write.open_table(BLOCKS)?;
    write.open_table(FIRSTS)?;
    write.open_table(NOTES)?;
    write.open_table(KEYS)?;
    write.open_table(TAGS)?;
    write.open_table(CELLS)?;
    write.open_table(PLACES)?;
    Ok(())
}

fn meta(read: &ReadTransaction, name: &str) -> Result<Vec<u8>, StoreError> {
    let table = read.open_table(META)?;
    let value = table.get(name)?.map(|value| value.value().to_vec());
    value.ok_or_else(|| StoreError::Damaged(format!("no {name}")))
}

fn stand(read: &ReadTransaction) -> Result<Stand, StoreError> {
    let tip = Tip::from_bytes(&meta(read, "tip")?)?;
    Ok(Stand { tip, summary: Summary::from_bytes(&meta(read, "summary")?)? })
}

fn put_stand(write: &WriteTransaction, stand: &Stand) -> Result<(), StoreError> {
    let mut table = write.open_table(META)?;
    table.insert("tip", stand.tip.to_bytes().as_slice())?;
    table.insert("summary", stand.summary.to_bytes().as_slice())?;
    Ok(())
}

/// Writes new members; returns how many notes there were before.
fn write_members(write: &WriteTransaction, effects: &[Effects]) -> Result<u64, StoreError> {
    let mut notes = write.open_table(NOTES)?;
    let mut keys = write.open_table(KEYS)?;
    let mut tags = write.open_table(TAGS)?;
    let mut cells = write.open_table(CELLS)?;
    let first = notes.last()?.map_or(0, |(index, _)| index.value() + 1);
    let mut next = first;
    for effect in effects {
        for note in &effect.notes {
            notes.insert(next, wide::<64>(&note.to_bytes()))?;
            keys.insert(*note.one_time.bytes(), next)?;
            next += 1;
        }
        for tag in &effect.tags {
            tags.insert(*tag.bytes(), ())?;
        }
        for (id, cell) in &effect.cells {
            match cell {
                Some(cell) => cells.insert(id.0.0, cell.to_bytes().as_slice())?,
                None => cells.remove(id.0.0)?,
            };
        }
    }
    Ok(first)
}

/// Bytes of a record with a fixed width.
fn wide<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the record has fields of fixed width that add up to this")
}

fn note(bytes: [u8; 64]) -> Result<StoredNote, StoreError> {
    Ok(StoredNote::from_bytes(&bytes)?)
}

fn cell(id: [u8; 32], bytes: &[u8]) -> Result<(CellId, Cell), StoreError> {
    Ok((CellId(Digest(id)), Cell::from_bytes(bytes)?))
}
