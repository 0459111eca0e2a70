//! What a prover knows, by the public points it knows it about.

use super::{Cells, Constraint, Demand, Linear};
use crate::commit::Opening;
use crate::curve::{Point, PointName, hash_to_scalar};
use crate::key::{Secret, SpendKey};
use crate::sigma::SigmaProof;
use curve25519_dalek::scalar::Scalar;
use mutirao_wire::Amount;
use rand_core::CryptoRng;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use zeroize::Zeroizing;

/// A prover lacks a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KnowledgeError {
    /// The secret behind a point.
    #[error("the secret behind {0:?} is not known")]
    Unknown(PointName),
    /// An inequality that does not hold.
    #[error("the amounts do not fulfil what the cell asks for")]
    Unfulfilled,
}

/// Secrets by public point.
#[derive(Debug, Clone, Default)]
pub struct Knowledge {
    openings: BTreeMap<Point, Opening>,
    pairs: BTreeMap<Point, (Secret, Secret)>,
    keys: BTreeMap<Point, Secret>,
    others: BTreeSet<Point>,
}

/// What a plan becomes an action with.
pub struct Making<'a> {
    /// Whose plan it is.
    pub keys: &'a SpendKey,
    /// The cells as they are.
    pub cells: &'a dyn Cells,
    /// Fresh blindings.
    pub blindings: &'a mut Blindings,
    /// Where to put what proves the action.
    pub known: &'a mut Knowledge,
}

impl Knowledge {
    /// The opening of a commitment.
    pub fn opening(&mut self, commitment: Point, opening: Opening) {
        self.openings.insert(commitment, opening);
    }

    /// Both secrets of a one-time key, or name and blinding of a deed.
    pub fn pair(&mut self, point: Point, secrets: (Secret, Secret)) {
        self.pairs.insert(point, secrets);
    }

    /// The secret of a till's key.
    pub fn key(&mut self, point: Point, secret: Secret) {
        self.keys.insert(point, secret);
    }

    /// A one-time key of somebody else, who will agree later.
    pub fn other(&mut self, point: Point) {
        self.others.insert(point);
    }

    /// Whether somebody else proves this.
    fn is_others(&self, constraint: &Constraint) -> bool {
        matches!(constraint, Constraint::Sig(point) if self.others.contains(point))
    }

    /// The proofs that others have to make: their places among those of a transaction, and whose.
    #[must_use]
    pub fn others(&self, demands: &[Demand]) -> Vec<(usize, Point)> {
        let all = demands.iter().flat_map(|demand| &demand.constraints);
        let proven = all.filter(|constraint| constraint.relation().is_some()).enumerate();
        let theirs = proven.filter_map(|(at, constraint)| match constraint {
            Constraint::Sig(point) if self.others.contains(point) => Some((at, *point)),
            _ => None,
        });
        theirs.collect()
    }

    fn find<'a, T>(map: &'a BTreeMap<Point, T>, at: &Point) -> Result<&'a T, KnowledgeError> {
        map.get(at).ok_or(KnowledgeError::Unknown((*at).into()))
    }

    /// Opens the slot of an inequality.
    ///
    /// # Errors
    /// [`KnowledgeError`] when a term is not known or the inequality does not hold.
    pub fn slot(&self, linear: &Linear) -> Result<Opening, KnowledgeError> {
        let open = |(_, point): &(i32, Point)| Self::find(&self.openings, point);
        let openings = linear.terms.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let amount = linear.value(&openings).ok_or(KnowledgeError::Unfulfilled)?;
        Ok(Opening { amount: Amount(amount), blinding: linear.blinding(&openings) })
    }

    /// The opening of a commitment that was told.
    ///
    /// # Errors
    /// [`KnowledgeError::Unknown`].
    pub fn open(&self, commitment: &Point) -> Result<&Opening, KnowledgeError> {
        Self::find(&self.openings, commitment)
    }

    /// Proves a constraint; none for an inequality, which is a slot.
    ///
    /// # Errors
    /// [`KnowledgeError`] when a secret is missing.
    pub fn prove(
        &self,
        constraint: &Constraint,
        message: &[u8; 32],
        rng: &mut impl CryptoRng,
    ) -> Result<Option<SigmaProof>, KnowledgeError> {
        let Some(relation) = constraint.relation() else { return Ok(None) };
        let secrets = self.secrets(constraint)?;
        let secrets: Vec<&Scalar> = secrets.iter().collect();
        Ok(Some(relation.prove(message, &secrets, rng)))
    }

    fn secrets(&self, of: &Constraint) -> Result<Zeroizing<Vec<Scalar>>, KnowledgeError> {
        let pair = |point| {
            let (one, two) = Self::find(&self.pairs, point)?;
            Ok(vec![*one.scalar(), *two.scalar()])
        };
        let secrets = match of {
            // Well-formed and false: it keeps the place until the other agrees.
            of if self.is_others(of) => vec![Scalar::ONE; 2],
            Constraint::Ge(_) => vec![],
            Constraint::Eq(linear) => vec![self.difference(linear)?],
            Constraint::Sig(point) | Constraint::Open(point) => pair(point)?,
            Constraint::Holds(key) => vec![*Self::find(&self.keys, key)?.scalar()],
            Constraint::Handle { commitment, .. } => {
                let opening = self.open(commitment)?;
                vec![Scalar::from(opening.amount.0), *opening.blinding.scalar()]
            }
            Constraint::Restate { key, restated, .. } => {
                let key = *Self::find(&self.keys, key)?.scalar();
                vec![key, key * self.open(restated)?.blinding.scalar()]
            }
            // A forger's best try: it does not know.
            #[cfg(test)]
            Constraint::Waived(_) => vec![Scalar::ONE; 2],
        };
        Ok(Zeroizing::new(secrets))
    }

    /// The blinding of a combination of names.
    fn difference(&self, linear: &Linear) -> Result<Scalar, KnowledgeError> {
        linear.terms.iter().try_fold(Scalar::ZERO, |sum, (a, point)| {
            let (_, blinding) = Self::find(&self.pairs, point)?;
            Ok(sum + super::signed((*a).into()) * blinding.scalar())
        })
    }
}

/// Fresh blindings of one transaction: they depend on a secret and on what the transaction spends,
/// so that a broken generator repeats none.
// spec: LEDGER-4.2
pub struct Blindings {
    seed: Zeroizing<[u8; 32]>,
    drawn: u64,
}

impl Blindings {
    /// For one transaction.
    #[must_use]
    pub fn new(secret: &Secret, context: &[u8; 32], rng: &mut impl CryptoRng) -> Self {
        let mut fresh = [0; 32];
        rng.fill_bytes(&mut fresh);
        let parts: [&[u8]; 3] = [secret.scalar().as_bytes(), context, &fresh];
        let seed = crate::curve::expand("mutirao v1 ledger blindings", &parts);
        Self { seed: Zeroizing::new(seed), drawn: 0 }
    }

    /// The next one.
    pub fn draw(&mut self) -> Scalar {
        self.drawn += 1;
        let parts: [&[u8]; 2] = [&*self.seed, &self.drawn.to_le_bytes()];
        hash_to_scalar("mutirao v1 ledger fresh blinding", &parts)
    }
}
