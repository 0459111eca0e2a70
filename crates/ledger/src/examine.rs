//! From a transaction to what must be proven about it, in three phases.
//!
//! 1. [`stateless`]: what the bytes alone say.
//! 2. [`against`]: what the state says; the result is a [`Resolved`] transaction: claims, and what
//!    the state becomes.
//! 3. [`verify`]: the claims of many transactions at once.
//!
//! A mempool may do the third before it knows the height; what a claim is about never changes, but
//! for payouts, whose claims name the pot that they were made from.

use crate::cell::challenge::{Anybody, Judge, Nobody};
use crate::cell::{Action, Cell, CellError, CellId, Cells, Constraint, Demand, Scene, Signed};
use crate::curve::{Point, PointName, Sum, generators};
use crate::note::{NoteIndex, ephemerals_for};
use crate::range::{self, RangeClaim, SLOTS_MAX};
use crate::rules::{Check, Height, Rules, Weight};
use crate::sigma::{self, Batch, Element, Relation, SigmaProof};
use crate::tx::{Body, Issue, Membership, Transaction, TxId};
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use mutirao_wire::{Amount, Encode, record};
use thiserror::Error;

/// A note as the state holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredNote {
    /// `O`.
    pub one_time: Point,
    /// `C`.
    pub commitment: Point,
}

record!(StoredNote { one_time, commitment });

/// What has been.
pub trait History: Cells {
    /// How many notes there are.
    fn note_count(&self) -> u64;
    /// The note at that place.
    fn note(&self, index: NoteIndex) -> Option<StoredNote>;
    /// Whether the tag was left before.
    fn has_tag(&self, tag: &Point) -> bool;
    /// Whether the one-time key was there before.
    fn has_key(&self, one_time: &Point) -> bool;
}

/// What the protocol itself allows in one block.
#[derive(Clone, Copy)]
pub struct Permit {
    /// New value: exactly so much, in one transaction.
    pub mint: Amount,
    /// Value to destroy: exactly so much, in one transaction.
    pub burn: Amount,
    /// Whom answers to challenges must convince; [`Nobody`] refuses all.
    pub judge: &'static dyn Judge,
}

impl Default for Permit {
    fn default() -> Self {
        Self { mint: Amount::ZERO, burn: Amount::ZERO, judge: &Nobody }
    }
}
impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Permit(mint {}, burn {})", self.mint, self.burn)
    }
}

/// What the bytes alone give away.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Malformed {
    /// For another chain.
    #[error("the transaction is for another chain")]
    Chain,
    /// It consumes nothing.
    #[error("the transaction consumes nothing")]
    NoInput,
    /// It makes nothing.
    #[error("the transaction makes no note")]
    NoOutput,
    /// Tags out of order, or one twice.
    #[error("tags do not ascend: out of order, or a note spent twice")]
    Tags,
    /// One key twice.
    #[error("two outputs have the same one-time key")]
    Keys,
    /// Too few or too many ephemeral keys.
    #[error("{given} ephemeral keys, {wanted} wanted")]
    Ephemerals {
        /// What the outputs ask for.
        wanted: usize,
        /// What is there.
        given: usize,
    },
    /// Too many hidden amounts and inequalities.
    #[error("{0} slots, at most {SLOTS_MAX}")]
    Slots(usize),
    /// No fee of the schedule.
    #[error("{0} is no fee of the schedule for this transaction")]
    Fee(Amount),
    /// New value that does not come alone.
    #[error("new value comes alone: no input, no cell, no fee")]
    Mint,
    /// Another number of proofs than claims.
    #[error("{given} spend proofs for {wanted} spends")]
    SpendProofs {
        /// Spends.
        wanted: usize,
        /// Proofs.
        given: usize,
    },
}

/// Why the state refuses a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Conflict {
    /// Too late.
    #[error("valid until block {until}, this is block {height}")]
    Expired {
        /// What the transaction says.
        until: u64,
        /// Where we are.
        height: u64,
    },
    /// New or destroyed value that the protocol does not allow here.
    #[error("the protocol allows no such issue in this block")]
    Issue,
    /// No such note.
    #[error("there is no note {}", .0.0)]
    NoNote(NoteIndex),
    /// Spent before.
    #[error("the note behind tag {0:?} is spent")]
    Spent(PointName),
    /// The one-time key was there before.
    #[error("one-time key {0:?} was there before")]
    KeySeen(PointName),
    /// One cell twice.
    #[error("cell {0:?} is touched twice by one transaction")]
    CellTwice(CellId),
    /// A cell's own rules.
    #[error("action {at}: {error}")]
    Cell {
        /// The number of the action.
        at: usize,
        /// What it says.
        error: CellError,
    },
    /// Another number of proofs than constraints.
    #[error("{given} constraint proofs, {wanted} wanted")]
    ConstraintProofs {
        /// Constraints.
        wanted: usize,
        /// Proofs.
        given: usize,
    },
}

/// Phase one: what the bytes alone say.
///
/// # Errors
/// [`Malformed`].
// spec: LEDGER-5.4
pub fn stateless(tx: &Transaction, rules: &Rules) -> Result<(), Malformed> {
    let body = &tx.body;
    let demand = |check, outcome, error| {
        if rules.holds(check, outcome) { Ok(()) } else { Err(error) }
    };
    demand(Check::Chain, body.chain == rules.chain, Malformed::Chain)?;
    demand(Check::Inputs, has_input(body), Malformed::NoInput)?;
    if body.outputs.is_empty() {
        return Err(Malformed::NoOutput);
    }
    demand(Check::TagsAscend, tags_ascend(body), Malformed::Tags)?;
    demand(Check::KeysDiffer, keys_differ(body), Malformed::Keys)?;
    let (wanted, given) = (ephemerals_for(body.outputs.len()), body.ephemerals.len());
    demand(Check::Ephemerals, wanted == given, Malformed::Ephemerals { wanted, given })?;
    let slots = body.slots();
    if slots > SLOTS_MAX {
        return Err(Malformed::Slots(slots));
    }
    demand(Check::Fee, is_fee(body, rules), Malformed::Fee(body.fee))?;
    demand(Check::Mint, mints_alone(body), Malformed::Mint)?;
    let (wanted, given) = (body.spends.len(), tx.proofs.spends.len());
    let error = Malformed::SpendProofs { wanted, given };
    demand(Check::ProofCount, wanted == given, error)
}

fn has_input(body: &Body) -> bool {
    let mints = matches!(body.issue, Issue::Mint { .. });
    let takes = body.actions.iter().any(Action::takes);
    !body.spends.is_empty() || takes || mints
}

fn tags_ascend(body: &Body) -> bool {
    body.spends.is_sorted_by(|left, right| left.tag < right.tag)
}

fn keys_differ(body: &Body) -> bool {
    let mut keys: Vec<_> = body.outputs.iter().map(|output| output.one_time).collect();
    keys.sort_unstable();
    keys.windows(2).all(|pair| pair.first() != pair.last())
}

fn is_fee(body: &Body, rules: &Rules) -> bool {
    let answers: usize = body.actions.iter().map(Action::loose_bytes).sum();
    let loose = Weight::memo_bytes(&body.outputs) + answers;
    let weight = Weight::of(body.slots(), body.spends.len(), loose);
    match body.issue {
        Issue::Mint { .. } => body.fee == Amount::ZERO,
        _ => rules.is_fee(weight, body.fee),
    }
}

fn mints_alone(body: &Body) -> bool {
    let mints = matches!(body.issue, Issue::Mint { .. });
    !mints || (body.spends.is_empty() && body.actions.is_empty())
}

/// What a transaction does to the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effects {
    /// Tags left behind.
    pub tags: Vec<Point>,
    /// Notes made, in order.
    pub notes: Vec<StoredNote>,
    /// Cells as they are afterwards; none for one that ended.
    pub cells: Vec<(CellId, Option<Cell>)>,
    /// New value.
    pub minted: Amount,
    /// Destroyed value: fee, burn, and what actions destroy.
    pub destroyed: u128,
    /// `Σ C_out − Σ C_in + destroyed·V − minted·V`, with what cells held: a multiple of `H`.
    pub excess: Sum,
}

/// A transaction whose every claim is known, and not yet whether it is true.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The transaction.
    pub id: TxId,
    /// What it does.
    pub effects: Effects,
    claims: Vec<Claim>,
    range: Option<RangeClaim>,
}

/// One proof and what it must prove.
type Claim = Signed;

/// Phase two: what the state says. The transaction must have passed [`stateless`].
///
/// # Errors
/// [`Conflict`].
// spec: LEDGER-5.5
pub fn against(
    tx: &Transaction,
    history: &dyn History,
    rules: &Rules,
    height: Height,
    permit: Permit,
) -> Result<Resolved, Conflict> {
    let body = &tx.body;
    let until = body.valid_until;
    if !rules.holds(Check::Expiry, height <= until) {
        return Err(Conflict::Expired { until: until.0, height: height.0 });
    }
    issue(body, rules, height, permit)?;
    let id = body.id();
    let inputs = inputs(body, history, rules)?;
    let notes = outputs(body, history, rules)?;
    let demands = demands(body, id, history, rules, (height, permit.judge))?;
    let mut proofs = spend_claims(tx, &inputs, rules);
    proofs.extend(constraint_claims(tx, &demands, rules)?);
    let (signed, whole) = excess(body, &inputs, &demands);
    if !rules.holds(Check::Excess, false) {
        proofs.push((sigma::excess(&Sum(signed)), tx.proofs.excess.clone()));
    }
    let bind = |(relation, proof)| Claim { relation, message: id.0.0, proof };
    let signed = demands.iter().flat_map(|demand| demand.signed.iter().cloned());
    let claims = proofs.into_iter().map(bind).chain(signed).collect();
    let burned = demands.iter().map(|demand| u128::from(demand.public.burned.0));
    let destroyed =
        u128::from(body.fee.0) + u128::from(body.issue.burned().0) + burned.sum::<u128>();
    let effects = Effects {
        tags: body.spends.iter().map(|spend| spend.tag).collect(),
        notes,
        cells: demands.iter().flat_map(|demand| demand.changes.iter().cloned()).collect(),
        minted: body.issue.minted(),
        destroyed,
        excess: Sum(whole),
    };
    let range = RangeClaim {
        message: id.0.0,
        slots: slots(body, &demands),
        proof: tx.proofs.range.clone(),
    };
    let range = if rules.holds(Check::Range, false) { None } else { Some(range) };
    Ok(Resolved { id, effects, claims, range })
}

// spec: LEDGER-5.8
fn issue(body: &Body, rules: &Rules, height: Height, permit: Permit) -> Result<(), Conflict> {
    let (check, allowed) = match body.issue {
        Issue::None => return Ok(()),
        Issue::Mint { amount, height: at } => {
            (Check::Mint, amount == permit.mint && amount != Amount::ZERO && at == height)
        }
        Issue::Burn { amount } => (Check::Burn, amount == permit.burn && amount != Amount::ZERO),
    };
    if rules.holds(check, allowed) { Ok(()) } else { Err(Conflict::Issue) }
}

fn inputs(body: &Body, history: &dyn History, rules: &Rules) -> Result<Vec<StoredNote>, Conflict> {
    let mut found = Vec::with_capacity(body.spends.len());
    for spend in &body.spends {
        if !rules.holds(Check::TagUnseen, !history.has_tag(&spend.tag)) {
            return Err(Conflict::Spent(spend.tag.into()));
        }
        let Membership::Explicit(index) = spend.membership;
        found.push(history.note(index).ok_or(Conflict::NoNote(index))?);
    }
    Ok(found)
}

fn outputs(body: &Body, history: &dyn History, rules: &Rules) -> Result<Vec<StoredNote>, Conflict> {
    let store = |output: &crate::note::Output| {
        let one_time = output.one_time;
        let unseen = rules.holds(Check::KeyUnseen, !history.has_key(&one_time));
        let note = StoredNote { one_time, commitment: output.commitment };
        unseen.then_some(note).ok_or(Conflict::KeySeen(one_time.into()))
    };
    body.outputs.iter().map(store).collect()
}

/// What each action asks for. Actions of one transaction do not see one another, so none may touch
/// what another does.
fn demands(
    body: &Body,
    tx: TxId,
    history: &dyn History,
    rules: &Rules,
    (height, judge): (Height, &dyn Judge),
) -> Result<Vec<Demand>, Conflict> {
    let mut demands: Vec<Demand> = Vec::new();
    let mut touched: Vec<CellId> = Vec::new();
    for (at, action) in body.actions.iter().enumerate() {
        let scene = Scene { rules, height, body, tx, at, cells: history, judge };
        let demand = action.check(&scene).map_err(|error| Conflict::Cell { at, error })?;
        for (cell, _) in &demand.changes {
            if !rules.holds(Check::CellsDiffer, !touched.contains(cell)) {
                return Err(Conflict::CellTwice(*cell));
            }
            touched.push(*cell);
        }
        demands.push(demand);
    }
    Ok(demands)
}

fn spend_claims(
    tx: &Transaction,
    inputs: &[StoredNote],
    rules: &Rules,
) -> Vec<(Relation, SigmaProof)> {
    if rules.holds(Check::SpendProof, false) {
        return Vec::new();
    }
    let spends = tx.body.spends.iter().zip(inputs).zip(&tx.proofs.spends);
    spends
        .map(|((spend, note), proof)| (sigma::spend(&note.one_time, &spend.tag), proof.clone()))
        .collect()
}

fn constraint_claims(
    tx: &Transaction,
    demands: &[Demand],
    rules: &Rules,
) -> Result<Vec<(Relation, SigmaProof)>, Conflict> {
    let all = demands.iter().flat_map(|demand| &demand.constraints);
    let wanted: Vec<(&Constraint, Relation)> =
        all.filter_map(|constraint| Some((constraint, constraint.relation()?))).collect();
    let given = tx.proofs.constraints.len();
    if !rules.holds(Check::ProofCount, wanted.len() == given) {
        return Err(Conflict::ConstraintProofs { wanted: wanted.len(), given });
    }
    let pairs = wanted.into_iter().zip(&tx.proofs.constraints);
    let on = pairs.filter(|((constraint, _), _)| constraint.is_on());
    let on = on.filter(|_| !rules.holds(Check::Constraint, false));
    Ok(on.map(|((_, relation), proof)| (relation, proof.clone())).collect())
}

/// What the signature is about, and what the audit adds up: the two differ where a cell's pot was
/// restated, by a multiple of `H` that its own proof vouches for.
// spec: LEDGER-4.5, LEDGER-11.1
fn excess(
    body: &Body,
    inputs: &[StoredNote],
    demands: &[Demand],
) -> (RistrettoPoint, RistrettoPoint) {
    let fee = Scalar::from(body.fee.0) + Scalar::from(body.issue.burned().0);
    let open = fee - Scalar::from(body.issue.minted().0) + moved_in_public(demands);
    let public = generators().v.inner() * open;
    let out: RistrettoPoint = body.outputs.iter().map(|output| output.commitment.inner()).sum();
    let spent: RistrettoPoint = inputs.iter().map(|note| note.commitment.inner()).sum();
    let into: RistrettoPoint =
        demands.iter().flat_map(|demand| &demand.outputs).map(Point::inner).sum();
    let taken: RistrettoPoint =
        demands.iter().flat_map(|demand| &demand.inputs).map(Point::inner).sum();
    let signed = out + into + public - spent - taken;
    let hidden: RistrettoPoint = demands
        .iter()
        .flat_map(|demand| &demand.constraints)
        .filter_map(|constraint| match constraint {
            Constraint::Restate { balance, restated, .. } => Some(balance.0 - restated.inner()),
            _ => None,
        })
        .sum();
    (signed, signed - hidden)
}

/// What actions put into cells or destroy in public, less what they take out.
// spec: LEDGER-7.4
fn moved_in_public(demands: &[Demand]) -> Scalar {
    let moved = demands.iter().map(|demand| {
        let public = demand.public;
        Scalar::from(public.put.0) + Scalar::from(public.burned.0) - Scalar::from(public.taken.0)
    });
    moved.sum()
}

/// Every hidden amount that comes into being, then every inequality.
// spec: LEDGER-4.8
pub(crate) fn slots(body: &Body, demands: &[Demand]) -> Vec<Element> {
    let outputs = body.outputs.iter().map(|output| Element::from(output.commitment));
    let hidden = demands.iter().flat_map(|demand| &demand.outputs);
    let hidden = hidden.map(|commitment| Element::from(*commitment));
    let constraints = demands.iter().flat_map(|demand| &demand.constraints);
    let inequalities = constraints.filter_map(|constraint| match constraint {
        Constraint::Ge(linear) => Some(Element::from(linear.sum())),
        _ => None,
    });
    outputs.chain(hidden).chain(inequalities).collect()
}

/// What each action asks for, for a wallet that is about to prove it.
pub(crate) fn demands_of(
    body: &Body,
    tx: TxId,
    cells: &dyn Cells,
    rules: &Rules,
    height: Height,
) -> Result<Vec<Demand>, CellError> {
    // Whoever answers a challenge believes its own answer.
    let judge = &Anybody;
    let check = |(at, action): (usize, &Action)| {
        action.check(&Scene { rules, height, body, tx, at, cells, judge })
    };
    body.actions.iter().enumerate().map(check).collect()
}

/// Phase three: whether all claims of all these transactions are true. One multiplication for the
/// sigma proofs, one range-proof batch for each size.
// spec: LEDGER-4.6, LEDGER-5.7
#[must_use]
pub fn verify(all: &[&Resolved]) -> bool {
    let mut batch = Batch::default();
    for claim in all.iter().flat_map(|resolved| &resolved.claims) {
        if !batch.add(&claim.relation, &claim.message, &claim.proof) {
            return false;
        }
    }
    let ranges: Vec<&RangeClaim> =
        all.iter().filter_map(|resolved| resolved.range.as_ref()).collect();
    batch.verify() && range::verify(&ranges)
}

impl Resolved {
    /// A digest of everything that [`verify`] looks at, for a cache of what was found true.
    #[must_use]
    pub fn digest(&self, tx: &Transaction) -> mutirao_wire::Digest {
        let slots = self.range.iter().flat_map(|range| &range.slots);
        let mut statement: Vec<u8> = slots.flat_map(|slot| *slot.bytes()).collect();
        for claim in &self.claims {
            statement.extend_from_slice(&claim.message);
            claim.relation.write(&mut statement);
        }
        let id = tx.witness_id();
        mutirao_wire::Digest::of("mutirao v1 ledger verified", &[&id.0.to_bytes(), &statement])
    }
}
