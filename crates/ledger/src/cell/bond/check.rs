//! Which constraints follow from what happens to a bond.

use super::{Bond, BondAction};
use crate::cell::{Cell, CellError, CellId, Constraint, Demand, Linear, Scene};
use crate::curve::{Point, Sum};
use crate::rules::{Check, Height};
use mutirao_wire::{Amount, ReceiptKey};

/// What follows from the action.
///
/// # Errors
/// [`CellError`] when it makes no sense there.
pub fn check(action: &BondAction, scene: &Scene<'_>) -> Result<Demand, CellError> {
    match action {
        BondAction::Open { stake, floor, owner, receipt_key } => {
            open(*stake, *floor, (*owner, *receipt_key), scene)
        }
        BondAction::TopUp { bond, added, floor } => top_up(*bond, *added, *floor, scene),
        BondAction::Leave { bond } => leave(*bond, scene),
        BondAction::Withdraw { bond } => withdraw(*bond, scene),
    }
}

/// The bond of that id.
pub(in crate::cell) fn find(id: CellId, scene: &Scene<'_>) -> Result<Bond, CellError> {
    match scene.cells.cell(&id) {
        Some(Cell::Bond(bond)) => Ok(bond),
        Some(_) => Err(CellError::Kind(id)),
        None => Err(CellError::Missing(id)),
    }
}

/// The owner agrees.
pub(in crate::cell) fn owner(bond: &Bond, scene: &Scene<'_>) -> Vec<Constraint> {
    scene.demand(Check::BondOwner, Constraint::Sig(bond.owner))
}

/// `0 ≤ B − f`.
fn above(terms: &[Point], floor: Amount, scene: &Scene<'_>) -> Result<Vec<Constraint>, CellError> {
    let floor = i64::try_from(floor.0).map_err(|_| CellError::Bounds)?;
    let terms = terms.iter().map(|point| (1, *point)).collect();
    let linear = Linear::new(terms, -floor)?;
    Ok(scene.demand(Check::StakeFloor, Constraint::Ge(linear)))
}

// spec: LEDGER-13.1
fn open(
    stake: Point,
    floor: Amount,
    (owner, receipt_key): (Point, ReceiptKey),
    scene: &Scene<'_>,
) -> Result<Demand, CellError> {
    let wanted = scene.rules.bonds.minimum;
    if !scene.rules.holds(Check::StakeMinimum, floor >= wanted) {
        return Err(CellError::Floor { wanted, given: floor });
    }
    let bond = Bond {
        owner,
        receipt_key,
        stake: Sum(*stake.inner()),
        floor,
        slashed: Amount::ZERO,
        challenges: 0,
        leaving: None,
    };
    Ok(Demand {
        outputs: vec![stake],
        constraints: above(&[stake], floor, scene)?,
        changes: vec![(CellId::new(scene.tx, scene.at), Some(Cell::Bond(bond)))],
        ..Demand::default()
    })
}

// spec: LEDGER-13.2
fn top_up(id: CellId, added: Point, floor: Amount, scene: &Scene<'_>) -> Result<Demand, CellError> {
    let mut bond = find(id, scene)?;
    if !scene.rules.holds(Check::FloorStays, floor >= bond.floor) {
        return Err(CellError::Floor { wanted: bond.floor, given: floor });
    }
    let terms: Vec<Point> = bond.stake.point().into_iter().chain([added]).collect();
    let constraints = [owner(&bond, scene), above(&terms, floor, scene)?].concat();
    bond.stake = Sum(bond.stake.0 + added.inner());
    bond.floor = floor;
    Ok(Demand {
        outputs: vec![added],
        constraints,
        changes: vec![(id, Some(Cell::Bond(bond)))],
        ..Demand::default()
    })
}

// spec: LEDGER-13.3
fn leave(id: CellId, scene: &Scene<'_>) -> Result<Demand, CellError> {
    let mut bond = find(id, scene)?;
    bond.leaving = Some(Height(scene.height.0.saturating_add(scene.rules.bonds.delay)));
    Ok(Demand {
        constraints: owner(&bond, scene),
        changes: vec![(id, Some(Cell::Bond(bond)))],
        ..Demand::default()
    })
}

// spec: LEDGER-13.3
fn withdraw(id: CellId, scene: &Scene<'_>) -> Result<Demand, CellError> {
    let bond = find(id, scene)?;
    let free = bond.leaving.is_some_and(|from| scene.height >= from);
    if !scene.rules.holds(Check::BondDelay, free) {
        return Err(CellError::Early(bond.leaving.unwrap_or(Height(u64::MAX)).0));
    }
    if !scene.rules.holds(Check::BondFree, bond.challenges == 0) {
        return Err(CellError::Challenged(bond.challenges));
    }
    Ok(Demand {
        inputs: bond.stake.point().into_iter().collect(),
        constraints: owner(&bond, scene),
        changes: vec![(id, None)],
        ..Demand::default()
    })
}
