//! A second verifier of range proofs, written from the paper and not from the library: it folds the
//! generators round by round and looks at one proof at a time. Slow, and only for tests: where the
//! two disagree, one of them is wrong.
//!
//! Paper letter → here: `g, h` → `values[0]`, `blinding`; `𝐠, 𝐡` → `left, right`; `y, z, e` the
//! challenges; `A, A', B` → `a, a1, b`; `r', s', δ'` → `r1, s1, d1`. The commitment is `v·V + r·H`.

use super::{BITS, RangeClaim, padded, parameters, proof_bytes};
use crate::curve::generators;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity, IsIdentity};
use mutirao_wire::Reader;
use tari_merlin::Transcript as Merlin;

struct Proof {
    d1: Scalar,
    a: [u8; 32],
    a1: [u8; 32],
    b: [u8; 32],
    r1: Scalar,
    s1: Scalar,
    rounds: Vec<([u8; 32], [u8; 32])>,
}

fn parse(bytes: &[u8]) -> Option<Proof> {
    let mut input = Reader::new(bytes);
    let scalar = |input: &mut Reader<'_>| {
        Option::<Scalar>::from(Scalar::from_canonical_bytes(input.array().ok()?))
    };
    if input.array::<1>().ok()? != [1] {
        return None;
    }
    let d1 = scalar(&mut input)?;
    let (a, a1, b) = (input.array().ok()?, input.array().ok()?, input.array().ok()?);
    let (r1, s1) = (scalar(&mut input)?, scalar(&mut input)?);
    let mut rounds = Vec::new();
    while input.left() > 0 {
        rounds.push((input.array().ok()?, input.array().ok()?));
    }
    Some(Proof { d1, a, a1, b, r1, s1, rounds })
}

fn point(bytes: [u8; 32]) -> Option<RistrettoPoint> {
    CompressedRistretto(bytes).decompress().filter(|point| !point.is_identity())
}

fn ask(transcript: &mut Merlin, label: &'static [u8]) -> Option<Scalar> {
    let mut bytes = [0; 64];
    transcript.challenge_bytes(label, &mut bytes);
    let challenge = Scalar::from_bytes_mod_order_wide(&bytes);
    (challenge != Scalar::ZERO).then_some(challenge)
}

/// The transcript as the library begins it.
fn begin(claim: &RangeClaim, slots: &[[u8; 32]]) -> Merlin {
    let mut transcript = super::transcript(&claim.message).into_inner();
    transcript.append_message(b"dom-sep", b"Bulletproofs+ Range Proof");
    transcript.append_message(b"H", generators().v.bytes());
    transcript.append_message(b"G", generators().h.bytes());
    transcript.append_u64(b"N", BITS as u64);
    transcript.append_u64(b"T", 1);
    transcript.append_u64(b"M", slots.len() as u64);
    slots.iter().for_each(|slot| transcript.append_message(b"Ci", slot));
    slots.iter().for_each(|_| transcript.append_u64(b"vi - minimum_value", 0));
    transcript
}

fn powers(base: Scalar, count: usize) -> Vec<Scalar> {
    std::iter::successors(Some(Scalar::ONE), |last| Some(last * base)).take(count).collect()
}

/// Whether one claim holds, by the book.
#[must_use]
pub fn verify(claim: &RangeClaim) -> bool {
    let right = claim.proof.len() == proof_bytes(claim.slots.len());
    right && check(claim).unwrap_or(false)
}

fn check(claim: &RangeClaim) -> Option<bool> {
    let count = padded(claim.slots.len());
    let proof = parse(&claim.proof)?;
    let mut slots: Vec<[u8; 32]> = claim.slots.iter().map(|slot| *slot.bytes()).collect();
    slots.resize(count, [0; 32]);
    let mut transcript = begin(claim, &slots);
    transcript.append_message(b"A", &proof.a);
    let y = ask(&mut transcript, b"y")?;
    let z = ask(&mut transcript, b"z")?;
    let mut state = Fold::start(claim, count, y, z, point(proof.a)?);
    for (l, r) in &proof.rounds {
        transcript.append_message(b"L", l);
        transcript.append_message(b"R", r);
        state = state.fold(point(*l)?, point(*r)?, ask(&mut transcript, b"e")?)?;
    }
    transcript.append_message(b"A1", &proof.a1);
    transcript.append_message(b"B", &proof.b);
    let e = ask(&mut transcript, b"e")?;
    state.last(&proof, point(proof.a1)?, point(proof.b)?, e)
}

/// The weighted inner product argument between two rounds.
struct Fold {
    left: Vec<RistrettoPoint>,
    right: Vec<RistrettoPoint>,
    sum: RistrettoPoint,
    y: Scalar,
}

impl Fold {
    /// `Â = A − z·𝐠 + Σ (z·1 + d∘y^↼)·𝐡 + y^(mn+1)·Σ z^(2j)·Cⱼ + ζ·V`
    fn start(claim: &RangeClaim, count: usize, y: Scalar, z: Scalar, a: RistrettoPoint) -> Self {
        let length = BITS * count;
        let left: Vec<_> = parameters(count).gi_base_iter().copied().collect();
        let right: Vec<_> = parameters(count).hi_base_iter().copied().collect();
        let ys = powers(y, length + 2);
        let z2 = z * z;
        let twos = powers(Scalar::from(2u8), BITS);
        let d: Vec<Scalar> = (0..count)
            .flat_map(|slot| {
                let z = powers(z2, slot + 2).last().copied().unwrap_or_default();
                twos.iter().map(move |two| z * two).collect::<Vec<_>>()
            })
            .collect();
        let at = |index: usize| ys.get(index).copied().unwrap_or_default();
        let mut sum = a;
        for (index, ((left, right), d)) in left.iter().zip(&right).zip(&d).enumerate() {
            sum += left * -z + right * (d * at(length - index) + z);
        }
        for (slot, commitment) in claim.slots.iter().enumerate() {
            let z = powers(z2, slot + 2).last().copied().unwrap_or_default();
            sum += commitment.point() * (z * at(length + 1));
        }
        let sum_y: Scalar = ys.iter().skip(1).take(length).sum();
        let sum_d: Scalar = d.iter().sum();
        sum += generators().v.inner() * (sum_y * (z - z2) - at(length + 1) * z * sum_d);
        Self { left, right, sum, y }
    }

    fn fold(self, l: RistrettoPoint, r: RistrettoPoint, e: Scalar) -> Option<Self> {
        let half = self.left.len() / 2;
        let (left_low, left_high) = self.left.split_at_checked(half)?;
        let (right_low, right_high) = self.right.split_at_checked(half)?;
        let inverse = e.invert();
        let y_half = powers(self.y, half + 1).last()?.invert();
        let fold = |low: &[RistrettoPoint], high: &[RistrettoPoint], a: Scalar, b: Scalar| {
            low.iter().zip(high).map(|(low, high)| low * a + high * b).collect()
        };
        Some(Self {
            left: fold(left_low, left_high, inverse, e * y_half),
            right: fold(right_low, right_high, e, inverse),
            sum: self.sum + l * (e * e) + r * (inverse * inverse),
            y: self.y,
        })
    }

    /// `e²·P + e·A' + B = r'e·g + s'e·h + r'ys'·V + δ'·H`
    fn last(
        &self,
        proof: &Proof,
        a1: RistrettoPoint,
        b: RistrettoPoint,
        e: Scalar,
    ) -> Option<bool> {
        let ([left], [right]) = (&self.left[..], &self.right[..]) else { return None };
        let (value, blinding) = (generators().v.inner(), generators().h.inner());
        let seen = self.sum * (e * e) + a1 * e + b;
        let said = left * (proof.r1 * e)
            + right * (proof.s1 * e)
            + value * (proof.r1 * self.y * proof.s1)
            + blinding * proof.d1;
        Some((seen - said) == RistrettoPoint::identity())
    }
}
