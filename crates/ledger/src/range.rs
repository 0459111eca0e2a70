//! Range proofs: hidden amounts lie in `[0, 2^64)`, all those of one transaction in one proof.
//!
//! Bulletproofs+ (Chung, Han, Ju, Kim, Seo 2020) by `tari_bulletproofs_plus`, pinned to one exact
//! version. Around it stands what a verifier must not leave to a library: exact length, exact
//! number of slots, padding made by ourselves, batches within one chunk, and a panic that is a
//! refusal. `slow` is a second verifier that shares only the transcript with the first.

#[cfg(any(test, feature = "testing"))]
pub mod slow;

use crate::commit::Opening;
use crate::curve::{Point, Sum, generators};
use crate::sigma::Element;
use crate::transcript::Transcript;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use mutirao_wire::Amount;
use rand_core::CryptoRng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use tari_bulletproofs_plus::PedersenGens;
use tari_bulletproofs_plus::commitment_opening::CommitmentOpening;
use tari_bulletproofs_plus::generators::pedersen_gens::ExtensionDegree;
use tari_bulletproofs_plus::range_parameters::RangeParameters;
use tari_bulletproofs_plus::range_proof::{RangeProof, VerifyAction};
use tari_bulletproofs_plus::range_statement::RangeStatement;
use tari_bulletproofs_plus::range_witness::RangeWitness;
use thiserror::Error;

/// Bits of an amount.
const BITS: usize = 64;
/// Slots of one proof at most.
// spec: LEDGER-4.8
pub const SLOTS_MAX: usize = 16;
/// Proofs that the library checks in one multiplication; beyond, it would make chunks of its own.
const BATCH_MAX: usize = 256;
/// Bytes of a proof's points and scalars.
const ELEMENT: usize = 32;

type Parameters = RangeParameters<RistrettoPoint>;

/// A proof could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no range proof for {slots} slots: {reason}")]
pub struct RangeError {
    /// Slots that were asked for.
    pub slots: usize,
    /// What the library says.
    pub reason: String,
}

/// Generators and tables for that many slots, a power of two; made once, up to 16 MB for sixteen.
fn parameters(slots: usize) -> &'static Parameters {
    static SIZES: [OnceLock<Parameters>; 5] = [const { OnceLock::new() }; 5];
    let size = SIZES.get(slots.trailing_zeros() as usize);
    size.expect("at most sixteen slots").get_or_init(|| {
        let made = RangeParameters::init(BITS, slots, pedersen());
        made.expect("64 bits and a power of two of slots are what the library takes")
    })
}

fn pedersen() -> PedersenGens<RistrettoPoint> {
    let compressed = |point: &Point| CompressedRistretto(*point.bytes());
    let all = generators();
    PedersenGens {
        h_base: *all.v.inner(),
        h_base_compressed: compressed(&all.v),
        g_base_vec: vec![*all.h.inner()],
        g_base_compressed_vec: vec![compressed(&all.h)],
        extension_degree: ExtensionDegree::DefaultPedersen,
    }
}

/// Slots after padding: the next power of two.
// spec: LEDGER-4.8
#[must_use]
pub fn padded(slots: usize) -> usize {
    slots.next_power_of_two()
}

/// Bytes of a proof for that many slots, before padding.
// spec: LEDGER-4.7
#[must_use]
pub fn proof_bytes(slots: usize) -> usize {
    let rounds = (BITS * padded(slots)).ilog2() as usize;
    1 + ELEMENT * (6 + 2 * rounds)
}

/// What one proof is about: a message and the slots in order.
#[derive(Debug, Clone)]
pub struct RangeClaim {
    /// The transaction, without its proofs.
    pub message: [u8; 32],
    /// Hidden amounts; 1 to 16, before padding.
    pub slots: Vec<Element>,
    /// The proof.
    pub proof: Vec<u8>,
}

fn transcript(message: &[u8; 32]) -> Transcript {
    Transcript::new(b"range", message)
}

/// A statement as the library takes it. Padding is nothing at all: the identity, which holds zero
/// and which no prover chooses.
// spec: LEDGER-4.8
fn statement(slots: &[Element]) -> RangeStatement<RistrettoPoint> {
    let nothing = Element::from(Sum::zero());
    let count = padded(slots.len());
    let all = || slots.iter().chain(std::iter::repeat(&nothing)).take(count);
    RangeStatement {
        generators: parameters(count).clone(),
        commitments: all().map(|slot| *slot.point()).collect(),
        commitments_compressed: all().map(|slot| CompressedRistretto(*slot.bytes())).collect(),
        minimum_value_promises: vec![None; count],
        seed_nonce: None,
    }
}

/// Proves that what the openings open lies in range.
///
/// # Errors
/// [`RangeError`] for no slot or too many, and when an opening does not open its slot.
pub fn prove(
    message: &[u8; 32],
    slots: &[Element],
    openings: &[Opening],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, RangeError> {
    let fail = |reason: String| RangeError { slots: slots.len(), reason };
    if slots.is_empty() || slots.len() > SLOTS_MAX || slots.len() != openings.len() {
        return Err(fail("one opening a slot, one to sixteen slots".to_owned()));
    }
    let nothing = Opening::new(Amount::ZERO, Scalar::ZERO);
    let all = openings.iter().chain(std::iter::repeat(&nothing)).take(padded(slots.len()));
    let open = |it: &Opening| CommitmentOpening::new(it.amount.0, vec![*it.blinding.scalar()]);
    let witness = RangeWitness::init(all.map(open).collect());
    let witness = witness.map_err(|error| fail(error.to_string()))?;
    let mut inner = transcript(message).into_inner();
    let proof = RangeProof::prove_with_rng(&mut inner, &statement(slots), &witness, rng);
    Ok(proof.map_err(|error| fail(error.to_string()))?.to_bytes())
}

/// Whether all of the proofs hold: one multiplication for each size and 256 proofs.
// spec: LEDGER-4.6, LEDGER-4.7
#[must_use]
pub fn verify(claims: &[&RangeClaim]) -> bool {
    let sizes = [1, 2, 4, 8, 16];
    let known = claims.iter().all(|claim| (1..=SLOTS_MAX).contains(&claim.slots.len()));
    known
        && sizes.iter().all(|size| {
            let of_size = |claim: &&&RangeClaim| padded(claim.slots.len()) == *size;
            let group: Vec<&RangeClaim> = claims.iter().filter(of_size).copied().collect();
            group.chunks(BATCH_MAX).all(verify_chunk)
        })
}

fn verify_chunk(claims: &[&RangeClaim]) -> bool {
    let Some(proofs) = claims.iter().map(|claim| read(claim)).collect::<Option<Vec<_>>>() else {
        return false;
    };
    let mut transcripts: Vec<_> =
        claims.iter().map(|claim| transcript(&claim.message).into_inner()).collect();
    let statements: Vec<_> = claims.iter().map(|claim| statement(&claim.slots)).collect();
    let check = || {
        let action = VerifyAction::VerifyOnly;
        RangeProof::verify_batch(&mut transcripts, &statements, &proofs, action).is_ok()
    };
    catch_unwind(AssertUnwindSafe(check)).unwrap_or(false)
}

/// The proof of a claim, if it has the one length and layout that its slots ask for.
fn read(claim: &RangeClaim) -> Option<RangeProof<RistrettoPoint>> {
    let right = claim.proof.len() == proof_bytes(claim.slots.len());
    let one_blinding = claim.proof.first() == Some(&(ExtensionDegree::DefaultPedersen as u8));
    let parse = || RangeProof::from_bytes(&claim.proof).ok();
    if right && one_blinding { catch_unwind(parse).ok().flatten() } else { None }
}

#[cfg(test)]
mod tests;
