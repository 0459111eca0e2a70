//! The members of a state as they were at one moment, for the ledger to look at.
//!
//! The ledger asks "was this tag there before?" and takes the answer for true. A disk that fails
//! must therefore never look like "no": what goes wrong is remembered, and whoever used the view
//! asks [`View::checked`] before believing what came of it.

use super::{CELLS, KEYS, NOTES, StoreError, TAGS};
use mutirao_ledger::cell::{Cell, CellId, Cells};
use mutirao_ledger::curve::Point;
use mutirao_ledger::examine::{History, StoredNote};
use mutirao_ledger::note::NoteIndex;
use mutirao_wire::Decode;
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata};
use std::cell::RefCell;

/// A state at one moment; later blocks do not change it.
pub struct View {
    notes: ReadOnlyTable<u64, [u8; 64]>,
    keys: ReadOnlyTable<[u8; 32], u64>,
    tags: ReadOnlyTable<[u8; 32], ()>,
    cells: ReadOnlyTable<[u8; 32], &'static [u8]>,
    count: u64,
    failed: RefCell<Option<StoreError>>,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "View({} notes)", self.count)
    }
}

impl View {
    pub(super) fn new(read: &ReadTransaction) -> Result<Self, StoreError> {
        let notes = read.open_table(NOTES)?;
        Ok(Self {
            count: notes.len()?,
            notes,
            keys: read.open_table(KEYS)?,
            tags: read.open_table(TAGS)?,
            cells: read.open_table(CELLS)?,
            failed: RefCell::new(None),
        })
    }

    /// Whether everything that was asked could be read.
    ///
    /// # Errors
    /// The first [`StoreError`] that there was.
    // spec: CHAIN-4.3
    pub fn checked(&self) -> Result<(), StoreError> {
        self.failed.borrow_mut().take().map_or(Ok(()), Err)
    }

    fn read<T>(&self, found: Result<T, StoreError>, otherwise: T) -> T {
        found.unwrap_or_else(|error| {
            self.failed.borrow_mut().get_or_insert(error);
            otherwise
        })
    }

    /// The notes from that one on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn notes_from(
        &self,
        first: u64,
    ) -> Result<impl Iterator<Item = Result<StoredNote, StoreError>>, StoreError> {
        let all = self.notes.range(first..)?;
        Ok(all.map(|entry| super::note(entry?.1.value())))
    }

    /// All tags.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn all_tags(&self) -> Result<Vec<Point>, StoreError> {
        let mut tags = Vec::new();
        for entry in self.tags.iter()? {
            tags.push(Point::from_bytes(entry?.0.value())?);
        }
        Ok(tags)
    }

    /// All cells.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn all_cells(&self) -> Result<Vec<(CellId, Cell)>, StoreError> {
        let mut cells = Vec::new();
        for entry in self.cells.iter()? {
            let (id, bytes) = entry?;
            cells.push(super::cell(id.value(), bytes.value())?);
        }
        Ok(cells)
    }
}

impl Cells for View {
    fn cell(&self, id: &CellId) -> Option<Cell> {
        let found = || -> Result<Option<Cell>, StoreError> {
            let bytes = self.cells.get(id.0.0)?;
            Ok(bytes.map(|bytes| Cell::from_bytes(bytes.value())).transpose()?)
        };
        self.read(found(), None)
    }
}

impl History for View {
    fn note_count(&self) -> u64 {
        self.count
    }

    fn note(&self, index: NoteIndex) -> Option<StoredNote> {
        let found = || -> Result<Option<StoredNote>, StoreError> {
            self.notes.get(index.0)?.map(|bytes| super::note(bytes.value())).transpose()
        };
        self.read(found(), None)
    }

    fn has_tag(&self, tag: &Point) -> bool {
        let found = self.tags.get(*tag.bytes());
        self.read(found.map(|tag| tag.is_some()).map_err(StoreError::from), true)
    }

    fn has_key(&self, one_time: &Point) -> bool {
        let found = self.keys.get(*one_time.bytes());
        self.read(found.map(|key| key.is_some()).map_err(StoreError::from), true)
    }
}
