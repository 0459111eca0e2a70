//! Many proofs, one multiplication.
//!
//! Each equation is multiplied by a weight of its own and all are added. The weights hash every
//! challenge and response of the batch, so nobody can choose proofs whose errors cancel; two
//! machines weigh the same batch alike.

use super::{Letter, Relation, SigmaProof, challenge};
use crate::transcript::Transcript;
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};

/// Proofs on their way to one check.
#[derive(Default)]
pub struct Batch {
    entries: Vec<Entry>,
}

struct Entry {
    relation: Relation,
    proof: SigmaProof,
    challenge: Scalar,
}

impl Batch {
    /// Adds a proof; false, and nothing added, when its shape is not that of the relation.
    #[must_use]
    pub fn add(&mut self, relation: &Relation, message: &[u8; 32], proof: &SigmaProof) -> bool {
        if !relation.fits(proof) {
            return false;
        }
        let challenge = challenge(&mut relation.transcript(message), &proof.commitments);
        self.entries.push(Entry { relation: relation.clone(), proof: proof.clone(), challenge });
        true
    }

    /// Whether all of them hold. An empty batch holds.
    // spec: LEDGER-4.6
    #[must_use]
    pub fn verify(&self) -> bool {
        let mut weights = self.weights();
        let mut total = Total::default();
        for entry in &self.entries {
            entry.weigh(&mut weights, &mut total);
        }
        total.is_zero()
    }

    fn weights(&self) -> Transcript {
        let mut transcript = Transcript::new(b"weights", &[0; 32]);
        for entry in &self.entries {
            transcript.bytes(b"challenge", entry.challenge.as_bytes());
            let responses = entry.proof.responses.iter();
            responses.for_each(|response| transcript.bytes(b"response", response.as_bytes()));
        }
        transcript
    }
}

impl Entry {
    fn weigh(&self, weights: &mut Transcript, total: &mut Total) {
        for (equation, commitment) in self.relation.equations.iter().zip(&self.proof.commitments) {
            let weight = weights.challenge(b"weight");
            for (secret, base) in &equation.terms {
                let response = self.proof.responses.get(*secret).copied().unwrap_or_default();
                total.add(weight * response, base);
            }
            total.add_point(-weight, *commitment.inner());
            total.add_point(-weight * self.challenge, equation.result.point);
        }
    }
}

/// A sum of multiples; those of generators are added up first.
#[derive(Default)]
struct Total {
    fixed: [Scalar; 5],
    scalars: Vec<Scalar>,
    points: Vec<RistrettoPoint>,
}

impl Total {
    fn add(&mut self, scalar: Scalar, base: &super::Base) {
        match base {
            super::Base::Fixed(letter) => {
                if let Some(sum) = self.fixed.get_mut(*letter as usize) {
                    *sum += scalar;
                }
            }
            super::Base::Free(element) => self.add_point(scalar, element.point),
        }
    }

    fn add_point(&mut self, scalar: Scalar, point: RistrettoPoint) {
        self.scalars.push(scalar);
        self.points.push(point);
    }

    fn is_zero(&self) -> bool {
        let letters = [Letter::G, Letter::T, Letter::V, Letter::H, Letter::W];
        let fixed = letters.iter().map(|letter| *letter.point().inner()).zip(&self.fixed);
        let fixed = fixed.filter(|(_, scalar)| **scalar != Scalar::ZERO);
        let all = self.points.iter().copied().zip(&self.scalars).chain(fixed);
        let (points, scalars): (Vec<RistrettoPoint>, Vec<&Scalar>) = all.unzip();
        RistrettoPoint::vartime_multiscalar_mul(scalars, points).is_identity()
    }
}
