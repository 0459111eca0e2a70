//! The state in one digest: which notes, tags, one-time keys and cells there are, and how much.
//!
//! Notes only ever come, so they stand in a Merkle mountain range: appending costs the logarithm,
//! and a wallet can be shown that its note is there. Tags and cells are sets of which nobody needs
//! a path, only the certainty that two machines hold the same: each is a sum of points, one a
//! member (Bellare and Micciancio 1997, "A New Paradigm for Collision-Free Hashing", over a group
//! where logarithms are hard). Adding or removing a member costs one hash, in any order, and a
//! snapshot is checked by adding up its members. One-time keys are those of the notes.

mod memory;
mod mountain;

pub use memory::{MemoryState, Overlay};
pub use mountain::{Mountain, NotePath};

use crate::cell::{Cell, CellId};
use crate::curve::{Point, Sum, generators, hash_to_point};
use crate::examine::{Effects, StoredNote};
use crate::rules::Height;
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use mutirao_wire::{Amount, Decode, DecodeError, Digest, Encode, Reader, record};
use thiserror::Error;

/// A set as a sum of points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetSum(Sum);

impl Encode for SetSum {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}
impl Decode for SetSum {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Sum::decode(input).map(Self)
    }
}

impl SetSum {
    /// The empty set.
    #[must_use]
    pub fn empty() -> Self {
        Self(Sum::zero())
    }

    fn add(&mut self, member: RistrettoPoint) {
        self.0 = Sum(self.0.0 + member);
    }

    fn remove(&mut self, member: RistrettoPoint) {
        self.0 = Sum(self.0.0 - member);
    }
}

fn tag_member(tag: &Point) -> RistrettoPoint {
    hash_to_point("mutirao v1 ledger state tag", &[tag.bytes()])
}

fn cell_member(id: &CellId, cell: &Cell) -> RistrettoPoint {
    hash_to_point("mutirao v1 ledger state cell", &[&id.0.0, &cell.to_bytes()])
}

/// Everything about a state but its members: small, and enough to check the next block's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The height of the last block.
    pub height: Height,
    /// All notes.
    pub notes: Mountain,
    /// All tags.
    pub tags: SetSum,
    /// All cells.
    pub cells: SetSum,
    /// How much there is.
    pub supply: Amount,
    /// `Σ E`: with the supply, what all unspent commitments add up to.
    pub excess: Sum,
}

record!(Summary { height, notes, tags, cells, supply, excess });

/// A block that would make or destroy more than there can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the supply would leave the range of an amount")]
pub struct SupplyError;

impl Summary {
    /// Before the first block.
    #[must_use]
    pub fn genesis() -> Self {
        Self {
            height: Height(0),
            notes: Mountain::default(),
            tags: SetSum::empty(),
            cells: SetSum::empty(),
            supply: Amount::ZERO,
            excess: Sum::zero(),
        }
    }

    /// The digest of the state.
    // spec: LEDGER-6.1
    #[must_use]
    pub fn root(&self) -> Digest {
        Digest::of("mutirao v1 ledger state", &[&self.to_bytes()])
    }

    /// After one more transaction. `before` gives each cell as it was.
    ///
    /// # Errors
    /// [`SupplyError`]; the summary is then of no use.
    // spec: LEDGER-6.2
    pub fn apply(
        &mut self,
        effects: &Effects,
        before: impl Fn(&CellId) -> Option<Cell>,
    ) -> Result<(), SupplyError> {
        effects.notes.iter().for_each(|note| self.notes.push(leaf(note)));
        effects.tags.iter().for_each(|tag| self.tags.add(tag_member(tag)));
        for (id, after) in &effects.cells {
            before(id).iter().for_each(|cell| self.cells.remove(cell_member(id, cell)));
            after.iter().for_each(|cell| self.cells.add(cell_member(id, cell)));
        }
        self.excess = Sum(self.excess.0 + effects.excess.0);
        let supply = u128::from(self.supply.0) + u128::from(effects.minted.0);
        let supply = supply.checked_sub(effects.destroyed).ok_or(SupplyError)?;
        self.supply = Amount(u64::try_from(supply).map_err(|_| SupplyError)?);
        Ok(())
    }

    /// Whether these are exactly the members of the state: what a snapshot is checked with.
    // spec: LEDGER-6.3
    #[must_use]
    pub fn has_members<'a>(
        &self,
        notes: impl Iterator<Item = &'a StoredNote>,
        tags: impl Iterator<Item = &'a Point>,
        cells: impl Iterator<Item = (&'a CellId, &'a Cell)>,
    ) -> bool {
        let mut mountain = Mountain::default();
        notes.for_each(|note| mountain.push(leaf(note)));
        let (mut tag_sum, mut cell_sum) = (SetSum::empty(), SetSum::empty());
        tags.for_each(|tag| tag_sum.add(tag_member(tag)));
        cells.for_each(|(id, cell)| cell_sum.add(cell_member(id, cell)));
        mountain == self.notes && tag_sum == self.tags && cell_sum == self.cells
    }

    /// The supply audit: all that is unspent, and all that cells hold, is the supply and blinding.
    /// `unspent` adds up the commitments of unspent notes and [`Cell::holds`] of all cells.
    // spec: LEDGER-11.1
    #[must_use]
    pub fn is_balanced(&self, unspent: &Sum) -> bool {
        let supply = generators().v.inner() * Scalar::from(self.supply.0);
        unspent.0 == supply + self.excess.0
    }
}

/// What stands in the mountain range for a note.
#[must_use]
pub fn leaf(note: &StoredNote) -> Digest {
    Digest::of("mutirao v1 ledger note leaf", &[&note.to_bytes()])
}
