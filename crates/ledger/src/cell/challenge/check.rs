//! Which constraints follow from what happens to a challenge.

use super::{Challenge, ChallengeAction, Evidence, Phase};
use crate::cell::bond::{self, Bond};
use crate::cell::{Cell, CellError, CellId, Constraint, Demand, Public, Scene, in_public};
use crate::curve::{Point, Sum};
use crate::rules::{Check, Height};
use mutirao_wire::Amount;

/// What follows from the action.
///
/// # Errors
/// [`CellError`] when it makes no sense there.
pub fn check(action: &ChallengeAction, scene: &Scene<'_>) -> Result<Demand, CellError> {
    match action {
        ChallengeAction::Open { bond, evidence, challenger } => {
            open(*bond, evidence, *challenger, scene)
        }
        ChallengeAction::Answer { challenge, answer: words } => answer(*challenge, words, scene),
        ChallengeAction::Slash { challenge } => slash(*challenge, scene),
        ChallengeAction::Collect { challenge } => collect(*challenge, scene),
    }
}

fn find(id: CellId, scene: &Scene<'_>) -> Result<Challenge, CellError> {
    match scene.cells.cell(&id) {
        Some(Cell::Challenge(challenge)) => Ok(challenge),
        Some(_) => Err(CellError::Kind(id)),
        None => Err(CellError::Missing(id)),
    }
}

/// Whether the floor pays for one more lost challenge beside those that are open.
// spec: LEDGER-14.3
fn covers(bond: &Bond, slash: Amount) -> bool {
    let challenges = u128::from(bond.challenges) + 1;
    u128::from(bond.floor.0) >= challenges * u128::from(slash.0)
}

fn change(id: CellId, cell: Cell) -> (CellId, Option<Cell>) {
    (id, Some(cell))
}

// spec: LEDGER-14.1, LEDGER-14.2, LEDGER-14.3
fn open(
    of: CellId,
    evidence: &Evidence,
    challenger: Point,
    scene: &Scene<'_>,
) -> Result<Demand, CellError> {
    let mut bond = bond::check::find(of, scene)?;
    let bonds = scene.rules.bonds;
    if !scene.rules.holds(Check::EvidenceSigned, evidence.verifies(&bond.receipt_key)) {
        return Err(CellError::Evidence);
    }
    let id = CellId::of_challenge(&of, &evidence.statement());
    if !scene.rules.holds(Check::ChallengeNew, scene.cells.cell(&id).is_none()) {
        return Err(CellError::Repeated);
    }
    if !scene.rules.holds(Check::BondCovers, covers(&bond, bonds.slash)) {
        return Err(CellError::Uncovered);
    }
    bond.challenges = bond.challenges.checked_add(1).ok_or(CellError::Uncovered)?;
    let deadline = Height(scene.height.0.saturating_add(bonds.window));
    let phase = Phase::Open { evidence: *evidence, deadline, deposit: bonds.deposit };
    let challenge = Challenge { bond: of, challenger, phase };
    Ok(Demand {
        public: Public { put: bonds.deposit, ..Public::default() },
        changes: vec![change(id, Cell::Challenge(challenge)), change(of, Cell::Bond(bond))],
        ..Demand::default()
    })
}

/// A challenge that is over, and its bond without it.
fn over(id: CellId, challenge: Challenge, phase: Phase, bond: Bond) -> Vec<(CellId, Option<Cell>)> {
    let bond = Bond { challenges: bond.challenges.saturating_sub(1), ..bond };
    let after = Challenge { phase, ..challenge };
    vec![change(id, Cell::Challenge(after)), change(challenge.bond, Cell::Bond(bond))]
}

// spec: LEDGER-14.4
fn answer(id: CellId, words: &[u8], scene: &Scene<'_>) -> Result<Demand, CellError> {
    let challenge = find(id, scene)?;
    let Phase::Open { evidence, deposit, .. } = challenge.phase else {
        return Err(CellError::Phase(id));
    };
    let bond = bond::check::find(challenge.bond, scene)?;
    if !scene.rules.holds(Check::Judged, scene.judge.convinces(&evidence, words)) {
        return Err(CellError::Unconvincing);
    }
    Ok(Demand {
        constraints: bond::check::owner(&bond, scene),
        public: Public { taken: deposit, ..Public::default() },
        changes: over(id, challenge, Phase::Done, bond),
        ..Demand::default()
    })
}

/// The stake shrinks by a public amount, whoever knows what is in it; the floor shrinks with it, so
/// that what lies above the floor stays what it was.
// spec: LEDGER-14.5
fn slash(id: CellId, scene: &Scene<'_>) -> Result<Demand, CellError> {
    let challenge = find(id, scene)?;
    let Phase::Open { deadline, deposit, .. } = challenge.phase else {
        return Err(CellError::Phase(id));
    };
    if !scene.rules.holds(Check::Deadline, scene.height > deadline) {
        return Err(CellError::Early(deadline.0.saturating_add(1)));
    }
    let bonds = scene.rules.bonds;
    let mut bond = bond::check::find(challenge.bond, scene)?;
    bond.stake = Sum(bond.stake.0 - in_public(bonds.slash).0);
    bond.floor = Amount(bond.floor.0.saturating_sub(bonds.slash.0));
    bond.slashed = Amount(bond.slashed.0.saturating_add(bonds.slash.0));
    let prize = Amount(deposit.0.saturating_add(bonds.reward.0));
    let burned = bonds.burned();
    Ok(Demand {
        public: Public { taken: burned, burned, ..Public::default() },
        changes: over(id, challenge, Phase::Won { prize }, bond),
        ..Demand::default()
    })
}

// spec: LEDGER-14.6
fn collect(id: CellId, scene: &Scene<'_>) -> Result<Demand, CellError> {
    let challenge = find(id, scene)?;
    let Phase::Won { prize } = challenge.phase else {
        return Err(CellError::Phase(id));
    };
    let after = Challenge { phase: Phase::Done, ..challenge };
    Ok(Demand {
        constraints: scene.demand(Check::Challenger, Constraint::Sig(challenge.challenger)),
        public: Public { taken: prize, ..Public::default() },
        changes: vec![change(id, Cell::Challenge(after))],
        ..Demand::default()
    })
}
