//! Which constraints follow from what happens to a till.

use super::action::are_shares;
use super::{Deposit, Pot, Royalty, Share, Till, TillAction, WHOLE};
use crate::cell::{Cell, CellError, CellId, Constraint, Demand, Linear, Scene};
use crate::curve::Point;
use crate::rules::Check;

/// What follows from the action.
///
/// # Errors
/// [`CellError`] when it makes no sense there.
pub fn check(action: &TillAction, scene: &Scene<'_>) -> Result<Demand, CellError> {
    match action {
        TillAction::Open { key, shares } => open(*key, shares, scene),
        TillAction::Deposit { till, deposit, royalty } => {
            pay_in(*till, deposit, royalty.as_ref(), scene)
        }
        TillAction::Payout { till, restated, shares } => pay_out(*till, *restated, shares, scene),
    }
}

/// The till of that id, as it is in the epoch of the block.
pub(in crate::cell) fn find(id: CellId, scene: &Scene<'_>) -> Result<Till, CellError> {
    match scene.cells.cell(&id) {
        Some(Cell::Till(till)) => Ok(till.at(scene.rules.epoch(scene.height))),
        Some(_) => Err(CellError::Kind(id)),
        None => Err(CellError::Missing(id)),
    }
}

// spec: LEDGER-8.1
fn open(key: Point, shares: &[Share], scene: &Scene<'_>) -> Result<Demand, CellError> {
    if !are_shares(shares) {
        return Err(CellError::Shares);
    }
    for share in shares {
        let there = find(share.till, scene);
        if !scene.rules.holds(Check::ShareTill, there.is_ok()) {
            there?;
        }
    }
    let till = Till::new(key, shares.to_vec(), scene.rules.epoch(scene.height));
    Ok(Demand {
        constraints: scene.demand(Check::Holder, Constraint::Holds(key)),
        changes: vec![(CellId::new(scene.tx, scene.at), Some(Cell::Till(till)))],
        ..Demand::default()
    })
}

// spec: LEDGER-8.2
fn pay_in(
    id: CellId,
    deposit: &Deposit,
    royalty: Option<&Royalty>,
    scene: &Scene<'_>,
) -> Result<Demand, CellError> {
    let mut till = find(id, scene)?;
    let mut constraints = scene.demand(Check::Handle, handle(&till, deposit));
    if let Some(royalty) = royalty {
        constraints.extend(split(deposit, royalty, scene)?);
    }
    till.current = till.current.with(deposit);
    Ok(Demand {
        outputs: vec![deposit.commitment],
        constraints,
        changes: vec![(id, Some(Cell::Till(till)))],
        ..Demand::default()
    })
}

/// The holder can take the deposit's blinding off.
pub(in crate::cell) fn handle(till: &Till, deposit: &Deposit) -> Constraint {
    let Deposit { commitment, handle, .. } = *deposit;
    Constraint::Handle { commitment, key: till.key, handle }
}

/// `0 ≤ bps·(C_out + C) − 10000·C ≤ 9999`: the deposit is the share, rounded down.
// spec: LEDGER-8.4
fn split(
    deposit: &Deposit,
    royalty: &Royalty,
    scene: &Scene<'_>,
) -> Result<Vec<Constraint>, CellError> {
    let Royalty { output, basis_points } = *royalty;
    if basis_points > WHOLE {
        return Err(CellError::BasisPoints(basis_points));
    }
    let paid = scene.body.outputs.get(usize::from(output)).ok_or(CellError::Output(output))?;
    let (share, rest) = (i32::from(basis_points), i32::from(WHOLE - basis_points));
    let (paid, deposit) = (paid.commitment, deposit.commitment);
    let above = Linear::new(vec![(share, paid), (-rest, deposit)], 0)?;
    let below = Linear::new(vec![(-share, paid), (rest, deposit)], i64::from(WHOLE) - 1)?;
    Ok([
        scene.demand(Check::RoyaltyAbove, Constraint::Ge(above)),
        scene.demand(Check::RoyaltyBelow, Constraint::Ge(below)),
    ]
    .concat())
}

// spec: LEDGER-8.5
fn pay_out(
    id: CellId,
    restated: Point,
    deposits: &[Deposit],
    scene: &Scene<'_>,
) -> Result<Demand, CellError> {
    let mut till = find(id, scene)?;
    let (wanted, given) = (till.shares.len(), deposits.len());
    if !scene.rules.holds(Check::ShareCount, wanted == given) {
        return Err(CellError::ShareCount { wanted, given });
    }
    let Pot { balance, handle: settled } = till.settled;
    let restate = Constraint::Restate { key: till.key, balance, handle: settled, restated };
    let mut demand = Demand {
        inputs: vec![restated],
        outputs: deposits.iter().map(|deposit| deposit.commitment).collect(),
        constraints: scene.demand(Check::Restate, restate),
        ..Demand::default()
    };
    for (share, deposit) in till.shares.iter().zip(deposits) {
        pass_on(share, deposit, restated, &mut demand, scene)?;
    }
    till.settled = Pot::empty();
    demand.changes.push((id, Some(Cell::Till(till))));
    Ok(demand)
}

/// `10000·C ≥ bps·C_all − 9999`: not below the share, rounded down.
fn pass_on(
    share: &Share,
    deposit: &Deposit,
    all: Point,
    demand: &mut Demand,
    scene: &Scene<'_>,
) -> Result<(), CellError> {
    let mut till = find(share.till, scene)?;
    let constraint = handle(&till, deposit);
    demand.constraints.extend(scene.demand(Check::Handle, constraint));
    let terms = vec![(i32::from(WHOLE), deposit.commitment), (-i32::from(share.basis_points), all)];
    let enough = Constraint::Ge(Linear::new(terms, i64::from(WHOLE) - 1)?);
    demand.constraints.extend(scene.demand(Check::Share, enough));
    till.current = till.current.with(deposit);
    demand.changes.push((share.till, Some(Cell::Till(till))));
    Ok(())
}
