//! Which constraints follow from what happens to a deed.

use super::{Deed, DeedAction};
use crate::cell::{Cell, CellError, CellId, Constraint, Demand, Linear, Scene};
use crate::curve::Point;
use crate::rules::Check;

/// What follows from the action.
///
/// # Errors
/// [`CellError`] when it makes no sense there.
pub fn check(action: &DeedAction, scene: &Scene<'_>) -> Result<Demand, CellError> {
    match action {
        DeedAction::Register { name, carrier } => register(*name, *carrier, scene),
        DeedAction::Transfer { deed, name, carrier } => transfer(*deed, *name, *carrier, scene),
        DeedAction::Retire { deed } => retire(*deed, scene),
    }
}

fn find(id: CellId, scene: &Scene<'_>) -> Result<Deed, CellError> {
    match scene.cells.cell(&id) {
        Some(Cell::Deed(deed)) => Ok(deed),
        Some(_) => Err(CellError::Kind(id)),
        None => Err(CellError::Missing(id)),
    }
}

fn carried(carrier: u8, scene: &Scene<'_>) -> Result<Point, CellError> {
    let output = scene.body.outputs.get(usize::from(carrier)).ok_or(CellError::Output(carrier))?;
    Ok(output.one_time)
}

// spec: LEDGER-9.1
fn register(name: Point, carrier: u8, scene: &Scene<'_>) -> Result<Demand, CellError> {
    let deed = Deed { name, owner: carried(carrier, scene)?, born: scene.height };
    Ok(Demand {
        constraints: scene.demand(Check::NameKnown, Constraint::Open(name)),
        changes: vec![(CellId::new(scene.tx, scene.at), Some(Cell::Deed(deed)))],
        ..Demand::default()
    })
}

// spec: LEDGER-9.2
fn transfer(id: CellId, name: Point, carrier: u8, scene: &Scene<'_>) -> Result<Demand, CellError> {
    let old = find(id, scene)?;
    let same = Constraint::Eq(Linear::new(vec![(1, old.name), (-1, name)], 0)?);
    let deed = Deed { name, owner: carried(carrier, scene)?, born: old.born };
    let owner = scene.demand(Check::DeedOwner, Constraint::Sig(old.owner));
    Ok(Demand {
        constraints: [owner, scene.demand(Check::SameName, same)].concat(),
        changes: vec![(id, Some(Cell::Deed(deed)))],
        ..Demand::default()
    })
}

// spec: LEDGER-9.3
fn retire(id: CellId, scene: &Scene<'_>) -> Result<Demand, CellError> {
    let old = find(id, scene)?;
    Ok(Demand {
        constraints: scene.demand(Check::DeedOwner, Constraint::Sig(old.owner)),
        changes: vec![(id, None)],
        ..Demand::default()
    })
}
