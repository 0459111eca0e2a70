//! What a wallet intends with a deed, made into an action and what proves it.

use super::{Deed, DeedAction};
use crate::cell::knowledge::{Blindings, Knowledge};
use crate::cell::{Cell, CellError, CellId, Cells};
use crate::curve::{Point, generators, hash_to_scalar};
use crate::key::{Secret, SpendKey};
use crate::note::memo::Memo;
use crate::note::{OwnedNote, To};
use curve25519_dalek::scalar::Scalar;
use mutirao_wire::{Decode, Digest, Encode, record};

/// How the memo of a deed begins.
const MARK: [u8; 4] = *b"deed";

/// What a deed names, and under which blinding; its owner has it from the memo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeedOpening {
    /// The id of the model or agent.
    pub name: Digest,
    /// `r`.
    pub blinding: Secret,
}

record!(DeedOpening { name, blinding });

/// `m`: a name as a scalar.
#[must_use]
pub fn name_scalar(name: &Digest) -> Scalar {
    hash_to_scalar("mutirao v1 ledger deed name", &[&name.0])
}

impl DeedOpening {
    /// `D`.
    #[must_use]
    pub fn commit(&self) -> Point {
        let all = generators();
        let name = all.w.inner() * name_scalar(&self.name);
        Point::fresh(name + all.times_h(self.blinding.scalar()))
    }

    /// As the memo that goes to the owner: 68 bytes.
    #[must_use]
    pub fn to_memo(&self) -> Memo {
        let bytes = [&MARK[..], &self.to_bytes()].concat();
        Memo::new(&bytes).unwrap_or_default()
    }

    /// From the memo of a note; none when it speaks of something else.
    // spec: LEDGER-9.4
    #[must_use]
    pub fn from_memo(memo: &Memo) -> Option<Self> {
        Self::from_bytes(memo.words().strip_prefix(&MARK)?).ok()
    }

    fn know(&self, known: &mut Knowledge) -> Point {
        let point = self.commit();
        known.pair(point, (Secret::new(name_scalar(&self.name)), self.blinding.clone()));
        point
    }
}

/// Register a deed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterPlan {
    /// The id of the model or agent.
    pub name: Digest,
    /// Whose it will be.
    pub to: To,
}

/// Give a deed to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferPlan {
    /// Which.
    pub deed: CellId,
    /// What it names.
    pub opening: DeedOpening,
    /// The note whose key owns it now. It need not be unspent.
    pub owner: OwnedNote,
    /// Whose it will be.
    pub to: To,
}

/// End a deed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetirePlan {
    /// Which.
    pub deed: CellId,
    /// The note whose key owns it.
    pub owner: OwnedNote,
}

fn know_owner(note: &OwnedNote, keys: &SpendKey, known: &mut Knowledge) {
    known.pair(note.one_time, keys.one_time_secrets(note.address, note.offsets()));
}

impl RegisterPlan {
    /// A fresh opening: it goes into the memo of the note that carries the deed.
    #[must_use]
    pub fn opening(&self, blindings: &mut Blindings) -> DeedOpening {
        DeedOpening { name: self.name, blinding: Secret::new(blindings.draw()) }
    }

    /// The action.
    #[must_use]
    pub fn action(opening: &DeedOpening, carrier: u8, known: &mut Knowledge) -> DeedAction {
        DeedAction::Register { name: opening.know(known), carrier }
    }
}

impl TransferPlan {
    /// A fresh opening of the same name.
    #[must_use]
    pub fn opening(&self, blindings: &mut Blindings) -> DeedOpening {
        DeedOpening { name: self.opening.name, blinding: Secret::new(blindings.draw()) }
    }

    /// The action.
    ///
    /// # Errors
    /// [`CellError`] when there is no such deed.
    pub fn action(
        &self,
        opening: &DeedOpening,
        carrier: u8,
        keys: &SpendKey,
        cells: &dyn Cells,
        known: &mut Knowledge,
    ) -> Result<DeedAction, CellError> {
        let _: Deed = match cells.cell(&self.deed) {
            Some(Cell::Deed(deed)) => deed,
            Some(_) => return Err(CellError::Kind(self.deed)),
            None => return Err(CellError::Missing(self.deed)),
        };
        self.opening.know(known);
        know_owner(&self.owner, keys, known);
        Ok(DeedAction::Transfer { deed: self.deed, name: opening.know(known), carrier })
    }
}

impl RetirePlan {
    /// The action.
    #[must_use]
    pub fn action(&self, keys: &SpendKey, known: &mut Knowledge) -> DeedAction {
        know_owner(&self.owner, keys, known);
        DeedAction::Retire { deed: self.deed }
    }
}
