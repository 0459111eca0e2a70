//! Cells as a ledger tells them, for whoever plans something with them.

use crate::read::{Ledger, ReadError, Unreachable};
use mutirao_ledger::cell::{Cell, CellId, Cells};
use mutirao_ledger::rules::Height;
use mutirao_ledger::service::{Answer, Question};
use std::collections::BTreeMap;

/// What a ledger said of some cells.
#[derive(Debug, Clone, Default)]
pub struct Told(BTreeMap<CellId, Cell>);

impl Cells for Told {
    fn cell(&self, id: &CellId) -> Option<Cell> {
        self.0.get(id).cloned()
    }
}

impl Told {
    /// Asks for cells, and for the tills that they pass value on to. The ledger learns that
    /// somebody takes an interest in them.
    ///
    /// # Errors
    /// [`ReadError`] when it does not answer.
    pub fn ask(ledger: &mut impl Ledger, ids: &[CellId]) -> Result<Self, ReadError> {
        let mut told = Self::default();
        told.fetch(ledger, ids)?;
        let next: Vec<CellId> = told.0.values().flat_map(passes_on_to).collect();
        let unknown: Vec<CellId> = next.into_iter().filter(|id| !told.0.contains_key(id)).collect();
        told.fetch(ledger, &unknown)?;
        Ok(told)
    }

    fn fetch(&mut self, ledger: &mut impl Ledger, ids: &[CellId]) -> Result<(), ReadError> {
        if ids.is_empty() {
            return Ok(());
        }
        match ledger.ask(&Question::Cells(ids.to_vec()))? {
            Answer::Cells(cells) if cells.len() == ids.len() => {
                let there = ids.iter().copied().zip(cells);
                self.0.extend(there.filter_map(|(id, cell)| Some((id, cell?))));
                Ok(())
            }
            Answer::Cells(_) => Err(ReadError::Contradiction {
                height: Height(0).0,
                what: "it answers for other cells than it was asked for",
            }),
            _ => Err(Unreachable("it does not tell cells".into()).into()),
        }
    }
}

/// The tills that a cell's royalties or shares go to.
fn passes_on_to(cell: &Cell) -> Vec<CellId> {
    let shares = match cell {
        Cell::Channel(channel) => &channel.royalties,
        Cell::Till(till) => &till.shares,
        _ => return Vec::new(),
    };
    shares.iter().map(|share| share.till).collect()
}
