//! Cells: things with a public id whose rules speak about hidden amounts.
//!
//! **Statement.** An action on a cell is honest if the constraints hold that the cell's kind asks
//! for. A constraint speaks of commitments and never of amounts, so whoever checks learns nothing.
//!
//! A kind is a folder: `action` (what the chain sees), `check` (which constraints follow), `plan`
//! (what a wallet intends), `proof` (what it knows to prove them). An inequality becomes one more
//! slot of the transaction's single range proof; everything else one proof of [`crate::sigma`].

pub mod bond;
pub mod challenge;
pub mod channel;
pub mod deed;
pub mod keepsake;
pub mod knowledge;
pub mod till;

use crate::commit::Opening;
use crate::curve::{Point, Sum, generators};
use crate::key::Secret;
use crate::rules::{Check, Height, Rules};
use crate::sigma::{self, Relation, SigmaProof};
use crate::tx::{Body, TxId};
use bond::{Bond, BondAction};
use challenge::{Challenge, ChallengeAction, Judge};
use channel::{Channel, ChannelAction};
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use deed::{Deed, DeedAction};
use mutirao_wire::{Amount, Decode, DecodeError, Digest, Encode, Reader};
use thiserror::Error;
use till::{Till, TillAction};

/// Names a cell for as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellId(pub Digest);

impl CellId {
    /// Of the cell that action number `at` of a transaction makes.
    // spec: LEDGER-7.1
    #[must_use]
    pub fn new(tx: TxId, at: usize) -> Self {
        let at = (at as u64).to_le_bytes();
        Self(Digest::of("mutirao v1 ledger cell", &[&tx.0.0, &at]))
    }
}

impl Encode for CellId {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}
impl Decode for CellId {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Digest::decode(input).map(Self)
    }
}

/// A cell as the state holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Where royalties collect.
    Till(Till),
    /// Whose a model is.
    Deed(Deed),
    /// Out of which a payer pays step by step.
    Channel(Channel),
    /// What a provider stands to lose.
    Bond(Bond),
    /// What somebody doubts in public.
    Challenge(Challenge),
}

impl Cell {
    /// What the cell holds, as commitments: its part in the supply audit.
    // spec: LEDGER-11.1
    #[must_use]
    pub fn holds(&self) -> Sum {
        match self {
            Self::Till(till) => Sum(till.settled.balance.0 + till.current.balance.0),
            Self::Deed(_) => Sum::zero(),
            Self::Channel(channel) => channel.held(),
            Self::Bond(bond) => bond.stake,
            Self::Challenge(challenge) => in_public(challenge.held()),
        }
    }
}

/// A public amount as a point: `v·V`.
pub(crate) fn in_public(amount: Amount) -> Sum {
    Sum(generators().times_v(&Scalar::from(amount.0)))
}

/// What happens to cells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a few a transaction, never stored")]
pub enum Action {
    /// To a till.
    Till(TillAction),
    /// To a deed.
    Deed(DeedAction),
    /// To a channel.
    Channel(ChannelAction),
    /// To a bond.
    Bond(BondAction),
    /// To a challenge.
    Challenge(ChallengeAction),
}

/// The kind of a cell, as it is written.
const TILL: u8 = 1;
/// See [`TILL`].
const DEED: u8 = 2;
/// See [`TILL`].
const CHANNEL: u8 = 3;
/// See [`TILL`].
const BOND: u8 = 4;
/// See [`TILL`].
const CHALLENGE: u8 = 5;

macro_rules! kinds {
    ($name:ident { $($kind:ident = $byte:ident : $inner:ty),* }) => {
        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$kind(inner) => {
                        $byte.encode(out);
                        inner.encode(out);
                    })*
                }
            }
        }
        impl Decode for $name {
            fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                match u8::decode(input)? {
                    $($byte => <$inner>::decode(input).map(Self::$kind),)*
                    kind => {
                        Err(DecodeError::Unknown { what: "kind of cell", value: kind.into() })
                    }
                }
            }
        }
    };
}
kinds!(Cell {
    Till = TILL: Till,
    Deed = DEED: Deed,
    Channel = CHANNEL: Channel,
    Bond = BOND: Bond,
    Challenge = CHALLENGE: Challenge
});
kinds!(Action {
    Till = TILL: TillAction,
    Deed = DEED: DeedAction,
    Channel = CHANNEL: ChannelAction,
    Bond = BOND: BondAction,
    Challenge = CHALLENGE: ChallengeAction
});

/// A coefficient lies strictly between minus and plus this.
// spec: LEDGER-7.3
pub const COEFFICIENT_BOUND: i32 = 1 << 14;
/// Terms of one combination at most.
pub const TERMS_MAX: usize = 16;

/// `Σ aᵢ·Cᵢ + b·V`. Within the bounds, and with every Cᵢ below 2^64, the sum stays below 2^83: far
/// from the group order, so what holds modulo the order holds for the amounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linear {
    terms: Vec<(i32, Point)>,
    constant: i64,
}

impl Linear {
    /// A combination.
    ///
    /// # Errors
    /// [`CellError::Bounds`] for a coefficient or a number of terms out of bounds.
    // spec: LEDGER-7.3
    pub fn new(terms: Vec<(i32, Point)>, constant: i64) -> Result<Self, CellError> {
        let inside = |(a, _): &(i32, Point)| -COEFFICIENT_BOUND < *a && *a < COEFFICIENT_BOUND;
        let fits = terms.len() <= TERMS_MAX && terms.iter().all(inside);
        fits.then_some(Self { terms, constant }).ok_or(CellError::Bounds)
    }

    /// The combination itself, as a point.
    #[must_use]
    pub fn sum(&self) -> Sum {
        let start: RistrettoPoint = generators().v.inner() * signed(self.constant);
        let add = |sum, (a, point): &(i32, Point)| sum + point.inner() * signed((*a).into());
        Sum(self.terms.iter().fold(start, add))
    }

    /// The blinding of the sum, from those of the terms.
    #[must_use]
    pub fn blinding(&self, openings: &[&Opening]) -> Secret {
        let terms = self.terms.iter().zip(openings);
        Secret(terms.map(|((a, _), opening)| signed((*a).into()) * opening.blinding.0).sum())
    }

    /// The value of the sum, from those of the terms; none where it leaves `[0, 2^64)`.
    #[must_use]
    pub fn value(&self, openings: &[&Opening]) -> Option<u64> {
        let terms = self.terms.iter().zip(openings);
        let sum = terms.map(|((a, _), opening)| i128::from(*a) * i128::from(opening.amount.0));
        u64::try_from(sum.sum::<i128>() + i128::from(self.constant)).ok()
    }
}

fn signed(number: i64) -> Scalar {
    let size = Scalar::from(number.unsigned_abs());
    if number < 0 { -size } else { size }
}

/// What must hold for an action to be honest.
// spec: LEDGER-7.2
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constraint {
    /// The combination is zero.
    Eq(Linear),
    /// The combination lies in `[0, 2^64)`.
    Ge(Linear),
    /// The owner of this one-time key agrees.
    Sig(Point),
    /// The holder of this till's key agrees.
    Holds(Point),
    /// Whoever acts can open this name.
    Open(Point),
    /// The handle lets the holder of the key take the blinding off the commitment.
    Handle {
        /// `C`.
        commitment: Point,
        /// `P`.
        key: Point,
        /// `D = r·P`.
        handle: Point,
    },
    /// The new commitment hides what the pot holds.
    Restate {
        /// `P`.
        key: Point,
        /// What the pot holds.
        balance: Sum,
        /// Its handle.
        handle: Sum,
        /// The new commitment.
        restated: Point,
    },
    /// A proof must stand here, and is not looked at: its check is switched off.
    #[cfg(test)]
    Waived(Box<Constraint>),
}

impl Constraint {
    /// Whether the proof is looked at.
    pub(crate) fn is_on(&self) -> bool {
        #[cfg(test)]
        if let Self::Waived(_) = self {
            return false;
        }
        true
    }

    /// What is to be proven, or none for an inequality, which is a slot.
    #[must_use]
    pub fn relation(&self) -> Option<Relation> {
        match self {
            Self::Ge(_) => None,
            Self::Eq(linear) => Some(sigma::equal(&linear.sum())),
            Self::Sig(key) => Some(sigma::owner(key)),
            Self::Holds(key) => Some(sigma::holder(key)),
            Self::Open(name) => Some(sigma::name(name)),
            Self::Handle { commitment, key, handle } => {
                Some(sigma::handle(commitment, key, handle))
            }
            Self::Restate { key, balance, handle, restated } => {
                Some(sigma::restated(key, balance, handle, restated))
            }
            #[cfg(test)]
            Self::Waived(inner) => inner.relation(),
        }
    }
}

/// What follows from an action.
#[derive(Debug, Clone, Default)]
pub struct Demand {
    /// Commitments that the action takes out of cells: inputs of the balance.
    pub inputs: Vec<Point>,
    /// Commitments that it puts into cells: outputs of the balance, each one slot.
    pub outputs: Vec<Point>,
    /// What must hold.
    pub constraints: Vec<Constraint>,
    /// What somebody signed before there was a transaction.
    pub signed: Vec<Signed>,
    /// What moves in the open.
    pub public: Public,
    /// What the state becomes; none removes a cell.
    pub changes: Vec<(CellId, Option<Cell>)>,
}

/// A signature that an action carries, over a message of its own.
#[derive(Debug, Clone)]
pub struct Signed {
    /// Who must have signed.
    pub relation: Relation,
    /// What.
    pub message: [u8; 32],
    /// The signature.
    pub proof: SigmaProof,
}

/// Public amounts of one action.
// spec: LEDGER-7.4
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Public {
    /// Put into cells.
    pub put: Amount,
    /// Taken from cells.
    pub taken: Amount,
    /// Destroyed.
    pub burned: Amount,
}

/// Why an action is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CellError {
    /// No such cell.
    #[error("no cell {0:?}: it may not be there yet, or no longer")]
    Missing(CellId),
    /// A cell of another kind.
    #[error("cell {0:?} is of another kind")]
    Kind(CellId),
    /// A combination out of bounds.
    #[error("a coefficient or a number of terms is out of bounds")]
    Bounds,
    /// An index of an output that is not there.
    #[error("the action names output {0}, which is not there")]
    Output(u8),
    /// Shares that make no sense.
    #[error("shares are above the whole, zero, twice the same till, or too many")]
    Shares,
    /// A payout with another number of shares than its till has.
    #[error("a payout names {given} shares, its till has {wanted}")]
    ShareCount {
        /// What the till has.
        wanted: usize,
        /// What the action has.
        given: usize,
    },
    /// Basis points above the whole.
    #[error("royalty of {0} basis points, at most 10000")]
    BasisPoints(u16),
    /// A cell that has gone on.
    #[error("cell {0:?} is no longer, or not yet, where this could happen")]
    Phase(CellId),
    /// A channel with too many parts.
    #[error("a channel is topped up {} times at most; open another", channel::PARTS_MAX - 1)]
    Parts,
    /// A part of a channel that is not there.
    #[error("the action names part {0} of the channel, which is not there")]
    Part(u8),
    /// A close with another number of royalties than its channel has.
    #[error("a close names {given} royalties, its channel has {wanted}")]
    RoyaltyCount {
        /// What the channel has.
        wanted: usize,
        /// What the action has.
        given: usize,
    },
    /// Too early.
    #[error("not before block {0}")]
    Early(u64),
    /// A bond below what the chain asks for, or a floor that sinks.
    #[error("a bond's floor of {given} is below {wanted}")]
    Floor {
        /// At least.
        wanted: Amount,
        /// What the action says.
        given: Amount,
    },
    /// A stake that is still needed.
    #[error("{0} challenges are open")]
    Challenged(u32),
    /// A bond that cannot pay for one more lost challenge.
    #[error("the bond's floor does not cover another challenge")]
    Uncovered,
    /// A statement that the bond's key did not sign.
    #[error("the bond's receipt key did not sign that")]
    Evidence,
    /// A statement that was challenged before.
    #[error("the same was challenged before")]
    Repeated,
    /// An answer that convinces nobody.
    #[error("the answer does not convince")]
    Unconvincing,
    /// A plan without what its owner would find the cell again with.
    #[error("the plan has no keepsake")]
    Keepsake,
}

/// What an action is checked against.
pub struct Scene<'a> {
    /// The chain's parameters.
    pub rules: &'a Rules,
    /// The height of the block.
    pub height: Height,
    /// The transaction around the action.
    pub body: &'a Body,
    /// Its id.
    pub tx: TxId,
    /// The number of the action within it.
    pub at: usize,
    /// The cells as they are.
    pub cells: &'a dyn Cells,
    /// Whom an answer to a challenge must convince.
    pub judge: &'a dyn Judge,
}

impl Scene<'_> {
    /// The constraint, unless a mutation test has switched its check off.
    pub(crate) fn demand(&self, check: Check, constraint: Constraint) -> Vec<Constraint> {
        #[cfg(test)]
        if self.rules.holds(check, false) {
            return vec![Constraint::Waived(Box::new(constraint))];
        }
        #[cfg(not(test))]
        let _ = check;
        vec![constraint]
    }

    /// The signature, unless a mutation test has switched its check off.
    pub(crate) fn signed(&self, check: Check, signed: Signed) -> Vec<Signed> {
        #[cfg(test)]
        if self.rules.holds(check, false) {
            return vec![];
        }
        #[cfg(not(test))]
        let _ = check;
        vec![signed]
    }
}

/// Cells by their ids.
pub trait Cells {
    /// The cell of that id, if it lives.
    fn cell(&self, id: &CellId) -> Option<Cell>;
}

/// No cells, for a transaction that touches none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCells;

impl Cells for NoCells {
    fn cell(&self, _: &CellId) -> Option<Cell> {
        None
    }
}

impl Action {
    /// What follows from the action: a pure function of action, cells and height.
    ///
    /// # Errors
    /// [`CellError`] when the action makes no sense there.
    // spec: LEDGER-7.2
    pub fn check(&self, scene: &Scene<'_>) -> Result<Demand, CellError> {
        match self {
            Self::Till(action) => till::check::check(action, scene),
            Self::Deed(action) => deed::check::check(action, scene),
            Self::Channel(action) => channel::check::check(action, scene),
            Self::Bond(action) => bond::check::check(action, scene),
            Self::Challenge(action) => challenge::check::check(action, scene),
        }
    }

    /// Slots that the action takes in the range proof; follows from the action alone.
    #[must_use]
    pub fn slots(&self) -> usize {
        match self {
            Self::Till(action) => action.slots(),
            Self::Channel(action) => action.slots(),
            Self::Bond(action) => action.slots(),
            Self::Deed(_) | Self::Challenge(_) => 0,
        }
    }

    /// Bytes that the action carries beside numbers and points: they cost as memos do.
    #[must_use]
    pub fn loose_bytes(&self) -> usize {
        match self {
            Self::Challenge(ChallengeAction::Answer { answer, .. }) => answer.len(),
            _ => 0,
        }
    }

    /// Whether the action takes value out of a cell, once and never again.
    #[must_use]
    pub fn takes(&self) -> bool {
        match self {
            Self::Till(action) => matches!(action, TillAction::Payout { .. }),
            Self::Deed(_) => false,
            Self::Channel(action) => action.takes(),
            Self::Bond(action) => matches!(action, BondAction::Withdraw { .. }),
            Self::Challenge(action) => action.takes(),
        }
    }

    /// What the action destroys in public.
    // spec: LEDGER-7.4
    #[must_use]
    pub fn burned(&self, rules: &Rules) -> Amount {
        match self {
            Self::Challenge(ChallengeAction::Slash { .. }) => rules.bonds.burned(),
            _ => Amount::ZERO,
        }
    }

    /// The cell that the action is about, or zeros for one that it makes.
    #[must_use]
    pub fn cell(&self) -> CellId {
        let cell = match self {
            Self::Till(action) => action.till(),
            Self::Deed(action) => action.deed(),
            Self::Channel(action) => action.channel(),
            Self::Bond(action) => action.bond(),
            Self::Challenge(action) => Some(action.subject()),
        };
        cell.unwrap_or(CellId(Digest([0; 32])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::hash_to_scalar;
    use mutirao_wire::Amount;

    fn opening(amount: u64) -> Opening {
        Opening::new(Amount(amount), hash_to_scalar("test", &[&amount.to_le_bytes()]))
    }

    // spec: LEDGER-7.3
    #[test]
    fn coefficients_and_terms_stay_within_their_bounds() {
        let point = opening(1).commit();
        for a in [COEFFICIENT_BOUND - 1, 1 - COEFFICIENT_BOUND] {
            assert!(Linear::new(vec![(a, point); TERMS_MAX], i64::MIN).is_ok());
        }
        for a in [COEFFICIENT_BOUND, -COEFFICIENT_BOUND, i32::MAX, i32::MIN] {
            assert_eq!(Linear::new(vec![(a, point)], 0), Err(CellError::Bounds));
        }
        assert_eq!(Linear::new(vec![(1, point); TERMS_MAX + 1], 0), Err(CellError::Bounds));
    }

    // spec: LEDGER-7.2
    #[test]
    fn a_combination_of_commitments_is_the_commitment_to_the_combination() {
        let (one, two) = (opening(u64::MAX), opening(70));
        let terms = vec![(16_383, one.commit()), (-5, two.commit())];
        let linear = Linear::new(terms, -9).unwrap();
        let blinding = linear.blinding(&[&one, &two]);
        let value = i128::from(u64::MAX) * 16_383 - 5 * 70 - 9;
        let value = Scalar::from(u128::try_from(value).unwrap());
        assert_eq!(linear.sum().0, generators().commit(&value, &blinding.0));
        assert_eq!(linear.value(&[&one, &two]), None);
        let small = Linear::new(vec![(2, one.commit()), (-2, one.commit())], 3).unwrap();
        assert_eq!(small.value(&[&one, &one]), Some(3));
    }
}
