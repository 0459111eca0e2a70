//! A state in memory, for wallets, tests and small chains; and the view of a block on the way.

use super::{Summary, SupplyError};
use crate::cell::{Cell, CellId, Cells};
use crate::curve::{Point, Sum};
use crate::examine::{Effects, History, StoredNote};
use crate::note::NoteIndex;
use curve25519_dalek::ristretto::RistrettoPoint;
use std::collections::{BTreeMap, BTreeSet};

/// All members of a state, and its summary.
#[derive(Debug, Clone)]
pub struct MemoryState {
    /// What the root is made of.
    pub summary: Summary,
    notes: Vec<StoredNote>,
    tags: BTreeSet<Point>,
    keys: BTreeSet<Point>,
    cells: BTreeMap<CellId, Cell>,
}

impl Default for MemoryState {
    fn default() -> Self {
        Self {
            summary: Summary::genesis(),
            notes: Vec::new(),
            tags: BTreeSet::new(),
            keys: BTreeSet::new(),
            cells: BTreeMap::new(),
        }
    }
}

impl Cells for MemoryState {
    fn cell(&self, id: &CellId) -> Option<Cell> {
        self.cells.get(id).cloned()
    }
}

impl History for MemoryState {
    fn note_count(&self) -> u64 {
        self.notes.len() as u64
    }
    fn note(&self, index: NoteIndex) -> Option<StoredNote> {
        self.notes.get(usize::try_from(index.0).ok()?).copied()
    }
    fn has_tag(&self, tag: &Point) -> bool {
        self.tags.contains(tag)
    }
    fn has_key(&self, one_time: &Point) -> bool {
        self.keys.contains(one_time)
    }
}

impl MemoryState {
    /// Takes in what a block did, with the summary that it led to.
    pub fn commit(&mut self, summary: Summary, effects: &[Effects]) {
        for effect in effects {
            self.tags.extend(&effect.tags);
            self.keys.extend(effect.notes.iter().map(|note| note.one_time));
            self.notes.extend(&effect.notes);
            for (id, cell) in &effect.cells {
                match cell {
                    Some(cell) => self.cells.insert(*id, cell.clone()),
                    None => self.cells.remove(id),
                };
            }
        }
        self.summary = summary;
    }

    /// All notes, in order.
    #[must_use]
    pub fn notes(&self) -> &[StoredNote] {
        &self.notes
    }

    /// All cells.
    pub fn cells(&self) -> impl Iterator<Item = (&CellId, &Cell)> {
        self.cells.iter()
    }

    /// All tags.
    pub fn tags(&self) -> impl Iterator<Item = &Point> {
        self.tags.iter()
    }

    /// What all cells together hold.
    #[must_use]
    pub fn pots(&self) -> Sum {
        let held: RistrettoPoint = self.cells.values().map(|cell| cell.holds().0).sum();
        Sum(held)
    }
}

/// A history and what a block has done to it so far.
pub struct Overlay<'a> {
    below: &'a dyn History,
    notes: Vec<StoredNote>,
    tags: BTreeSet<Point>,
    keys: BTreeSet<Point>,
    cells: BTreeMap<CellId, Option<Cell>>,
    /// What the block leads to.
    pub summary: Summary,
}

impl<'a> Overlay<'a> {
    /// Nothing done yet.
    #[must_use]
    pub fn new(below: &'a dyn History, summary: Summary) -> Self {
        Self {
            below,
            notes: Vec::new(),
            tags: BTreeSet::new(),
            keys: BTreeSet::new(),
            cells: BTreeMap::new(),
            summary,
        }
    }

    /// One more transaction.
    ///
    /// # Errors
    /// [`SupplyError`]; the overlay is then of no use.
    pub fn apply(&mut self, effects: &Effects) -> Result<(), SupplyError> {
        let mut summary = self.summary.clone();
        summary.apply(effects, |id| self.cell(id))?;
        self.summary = summary;
        self.tags.extend(&effects.tags);
        self.keys.extend(effects.notes.iter().map(|note| note.one_time));
        self.notes.extend(&effects.notes);
        self.cells.extend(effects.cells.iter().cloned());
        Ok(())
    }
}

impl Cells for Overlay<'_> {
    fn cell(&self, id: &CellId) -> Option<Cell> {
        self.cells.get(id).map_or_else(|| self.below.cell(id), Clone::clone)
    }
}

impl History for Overlay<'_> {
    fn note_count(&self) -> u64 {
        self.below.note_count() + self.notes.len() as u64
    }
    fn note(&self, index: NoteIndex) -> Option<StoredNote> {
        let Some(above) = index.0.checked_sub(self.below.note_count()) else {
            return self.below.note(index);
        };
        self.notes.get(usize::try_from(above).ok()?).copied()
    }
    fn has_tag(&self, tag: &Point) -> bool {
        self.tags.contains(tag) || self.below.has_tag(tag)
    }
    fn has_key(&self, one_time: &Point) -> bool {
        self.keys.contains(one_time) || self.below.has_key(one_time)
    }
}
