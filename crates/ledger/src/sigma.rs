//! Proofs that somebody knows secrets behind public points, all of one shape.
//!
//! **Statement.** A [`Relation`] is a list of equations `Pᵢ = Σⱼ wⱼ·Bᵢⱼ` over shared secrets `wⱼ`.
//!
//! **Protocol** (Maurer 2009, "Unifying Zero-Knowledge Proofs of Knowledge", made non-interactive
//! with one transcript): the prover draws a nonce `kⱼ` a secret and sends `Aᵢ = Σⱼ kⱼ·Bᵢⱼ`; the
//! challenge `c` hashes kind, message, every `Pᵢ`, every `Bᵢⱼ` and every `Aᵢ`; the answer is
//! `zⱼ = kⱼ + c·wⱼ`; the verifier checks `Σⱼ zⱼ·Bᵢⱼ = Aᵢ + c·Pᵢ` for each `i`.
//!
//! One implementation serves every proof but the range proof: what a proof says is data.

mod batch;

pub use batch::Batch;

use crate::curve::{Point, Sum, generators, put_scalar, read_scalar};
use crate::transcript::Transcript;
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;
use mutirao_wire::{Decode, DecodeError, Encode, Reader};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// A point with its encoding.
#[derive(Debug, Clone, Copy)]
pub struct Element {
    point: RistrettoPoint,
    bytes: [u8; 32],
}

impl From<Point> for Element {
    fn from(point: Point) -> Self {
        Self { point: *point.inner(), bytes: *point.bytes() }
    }
}
impl From<Sum> for Element {
    fn from(sum: Sum) -> Self {
        Self { point: sum.0, bytes: sum.bytes() }
    }
}

impl Element {
    /// The point itself.
    #[must_use]
    pub fn point(&self) -> &RistrettoPoint {
        &self.point
    }

    /// Its encoding.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

/// What a secret multiplies.
#[derive(Debug, Clone, Copy)]
pub enum Base {
    /// A generator, by its letter.
    Fixed(Letter),
    /// Any other point.
    Free(Element),
}

/// The generators, as an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter {
    /// Tag half of keys.
    G,
    /// Spend half of keys.
    T,
    /// Amounts.
    V,
    /// Blindings.
    H,
    /// Names in deeds.
    W,
}

impl Letter {
    fn point(self) -> Point {
        let all = generators();
        match self {
            Self::G => all.g,
            Self::T => all.t,
            Self::V => all.v,
            Self::H => all.h,
            Self::W => all.w,
        }
    }
}

impl Letter {
    /// A multiple, by table where there is one.
    fn times(self, scalar: &Scalar) -> RistrettoPoint {
        let all = generators();
        match self {
            Self::G => all.times_g(scalar),
            Self::T => all.times_t(scalar),
            Self::V => all.times_v(scalar),
            Self::H => all.times_h(scalar),
            Self::W => all.w.inner() * scalar,
        }
    }
}

impl Base {
    fn times(&self, scalar: &Scalar) -> RistrettoPoint {
        match self {
            Self::Fixed(letter) => letter.times(scalar),
            Self::Free(element) => element.point * scalar,
        }
    }

    fn element(&self) -> Element {
        match self {
            Self::Fixed(letter) => letter.point().into(),
            Self::Free(element) => *element,
        }
    }
}

/// One equation: the left side, and which secret multiplies which base on the right.
#[derive(Debug, Clone)]
struct Equation {
    result: Element,
    terms: Vec<(usize, Base)>,
}

/// What is proven.
#[derive(Debug, Clone)]
pub struct Relation {
    kind: &'static [u8],
    secrets: usize,
    equations: Vec<Equation>,
}

impl Relation {
    /// A relation of that kind over that many secrets, without equations yet.
    #[must_use]
    pub fn new(kind: &'static [u8], secrets: usize) -> Self {
        Self { kind, secrets, equations: Vec::new() }
    }

    /// Adds `result = Σ secret·base`.
    #[must_use]
    pub fn with(mut self, result: impl Into<Element>, terms: &[(usize, Base)]) -> Self {
        self.equations.push(Equation { result: result.into(), terms: terms.to_vec() });
        self
    }

    /// The transcript up to the first message of the prover.
    // spec: LEDGER-4.1
    fn transcript(&self, message: &[u8; 32]) -> Transcript {
        let mut transcript = Transcript::new(self.kind, message);
        transcript.number(b"secrets", self.secrets as u64);
        for equation in &self.equations {
            transcript.bytes(b"result", &equation.result.bytes);
            for (secret, base) in &equation.terms {
                transcript.number(b"secret", *secret as u64);
                transcript.bytes(b"base", &base.element().bytes);
            }
        }
        transcript
    }

    /// Proves that the secrets fulfil the relation. Secrets that do not give a proof that fails.
    pub fn prove(
        &self,
        message: &[u8; 32],
        secrets: &[&Scalar],
        rng: &mut impl CryptoRng,
    ) -> SigmaProof {
        let mut transcript = self.transcript(message);
        let mut source = transcript.nonces(secrets, rng);
        let nonces: Zeroizing<Vec<Scalar>> =
            Zeroizing::new((0..self.secrets).map(|_| source.draw()).collect());
        let commitments: Vec<Point> =
            self.equations.iter().map(|equation| equation.at(&nonces)).collect();
        let challenge = challenge(&mut transcript, &commitments);
        let answer = |(nonce, secret): (&Scalar, &&Scalar)| nonce + challenge * *secret;
        let responses = nonces.iter().zip(secrets).map(answer).collect();
        SigmaProof { commitments, responses }
    }

    /// Checks one proof on its own.
    #[must_use]
    pub fn verify(&self, message: &[u8; 32], proof: &SigmaProof) -> bool {
        if !self.fits(proof) {
            return false;
        }
        let challenge = challenge(&mut self.transcript(message), &proof.commitments);
        let pairs = self.equations.iter().zip(&proof.commitments);
        pairs.fold(true, |holds, (equation, commitment)| {
            holds & equation.holds(&proof.responses, &challenge, commitment)
        })
    }

    /// Appends the whole statement, for a digest of it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.kind);
        for equation in &self.equations {
            out.extend_from_slice(&equation.result.bytes);
            equation.terms.iter().for_each(|(_, base)| out.extend(base.element().bytes));
        }
    }

    fn fits(&self, proof: &SigmaProof) -> bool {
        proof.commitments.len() == self.equations.len() && proof.responses.len() == self.secrets
    }
}

impl Equation {
    /// `Σⱼ zⱼ·Bⱼ − c·P = A`.
    fn holds(&self, responses: &[Scalar], challenge: &Scalar, commitment: &Point) -> bool {
        let (mut sum, mut scalars) = (RistrettoPoint::default(), vec![-challenge]);
        let mut points = vec![self.result.point];
        for (secret, base) in &self.terms {
            let response = responses.get(*secret).copied().unwrap_or_default();
            match base {
                Base::Fixed(letter) => sum += letter.times(&response),
                Base::Free(element) => {
                    scalars.push(response);
                    points.push(element.point);
                }
            }
        }
        sum + RistrettoPoint::vartime_multiscalar_mul(scalars, points) == *commitment.inner()
    }

    /// The right side at these nonces; never the identity for fresh ones.
    fn at(&self, nonces: &[Scalar]) -> Point {
        let nonce = |secret: &usize| nonces.get(*secret).copied().unwrap_or_default();
        let terms = self.terms.iter().map(|(secret, base)| base.times(&nonce(secret)));
        Point::fresh(terms.sum())
    }
}

fn challenge(transcript: &mut Transcript, commitments: &[Point]) -> Scalar {
    commitments.iter().for_each(|commitment| transcript.point(b"commitment", commitment));
    transcript.challenge(b"challenge")
}

/// Commitments and responses; how many follows from the relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigmaProof {
    commitments: Vec<Point>,
    responses: Vec<Scalar>,
}

/// Shapes a proof may have: equations and secrets.
const SHAPES: [(usize, usize); 3] = [(1, 1), (1, 2), (2, 2)];

impl Encode for SigmaProof {
    fn encode(&self, out: &mut Vec<u8>) {
        let shape = (self.commitments.len(), self.responses.len());
        let index = SHAPES.iter().position(|known| *known == shape);
        let index = index.and_then(|index| u8::try_from(index).ok());
        index.expect("every relation has a known shape").encode(out);
        self.commitments.iter().for_each(|point| point.encode(out));
        self.responses.iter().for_each(|scalar| put_scalar(out, scalar));
    }
}

impl Decode for SigmaProof {
    // spec: LEDGER-4.3
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let index = u8::decode(input)?;
        let unknown = DecodeError::Unknown { what: "shape of proof", value: index.into() };
        let (points, scalars) = *SHAPES.get(usize::from(index)).ok_or(unknown)?;
        let commitments = (0..points).map(|_| Point::decode(input)).collect::<Result<_, _>>()?;
        let scalar = |_| read_scalar(input, "response");
        Ok(Self { commitments, responses: (0..scalars).map(scalar).collect::<Result<_, _>>()? })
    }
}

/// `O = x·G + y·T` and `U = x·J`: whoever spends the note behind `O` leaves the tag `J`.
// spec: LEDGER-4.4
#[must_use]
pub fn spend(one_time: &Point, tag: &Point) -> Relation {
    let (g, t) = (Base::Fixed(Letter::G), Base::Fixed(Letter::T));
    Relation::new(b"spend", 2)
        .with(*one_time, &[(0, g), (1, t)])
        .with(generators().u, &[(0, Base::Free((*tag).into()))])
}

/// `J = x⁻¹·U`.
// spec: LEDGER-4.4
#[must_use]
pub fn tag(x: &crate::key::Secret) -> Point {
    Point::fresh(generators().u.inner() * x.scalar().invert())
}

/// `U = x·J`: whoever left this tag speaks.
#[must_use]
pub fn payer(tag: &Point) -> Relation {
    Relation::new(b"payer", 1).with(generators().u, &[(0, Base::Free((*tag).into()))])
}

/// `E = d·H`: inputs and outputs differ by nothing but blinding.
// spec: LEDGER-4.5
#[must_use]
pub fn excess(excess: &Sum) -> Relation {
    Relation::new(b"excess", 1).with(*excess, &[(0, Base::Fixed(Letter::H))])
}

/// `D = d·H`: a combination of hidden amounts is zero.
#[must_use]
pub fn equal(difference: &Sum) -> Relation {
    Relation::new(b"equal", 1).with(*difference, &[(0, Base::Fixed(Letter::H))])
}

/// `O = x·G + y·T`: the owner of a one-time key agrees, and leaves no tag.
#[must_use]
pub fn owner(one_time: &Point) -> Relation {
    let terms = [(0, Base::Fixed(Letter::G)), (1, Base::Fixed(Letter::T))];
    Relation::new(b"owner", 2).with(*one_time, &terms)
}

/// `P = p·H`: the holder of a till's key agrees.
#[must_use]
pub fn holder(key: &Point) -> Relation {
    Relation::new(b"holder", 1).with(*key, &[(0, Base::Fixed(Letter::H))])
}

/// `K = k·G`: the payer signed a voucher, which is the message.
// spec: LEDGER-12.3
#[must_use]
pub fn voucher(key: &Point) -> Relation {
    Relation::new(b"voucher", 1).with(*key, &[(0, Base::Fixed(Letter::G))])
}

/// `D = m·W + r·H`: somebody can open the name in a deed.
#[must_use]
pub fn name(name: &Point) -> Relation {
    let terms = [(0, Base::Fixed(Letter::W)), (1, Base::Fixed(Letter::H))];
    Relation::new(b"name", 2).with(*name, &terms)
}

/// `C = v·V + r·H` and `D = r·P`: the holder of `P` can take the blinding off `C`.
#[must_use]
pub fn handle(commitment: &Point, key: &Point, handle: &Point) -> Relation {
    let (v, h) = (Base::Fixed(Letter::V), Base::Fixed(Letter::H));
    Relation::new(b"handle", 2)
        .with(*commitment, &[(0, v), (1, h)])
        .with(*handle, &[(1, Base::Free((*key).into()))])
}

/// `P = p·H` and `D = p·(B − C) + q·H`: the new commitment `C` hides what the pot `(B, D)` holds.
#[must_use]
pub fn restated(key: &Point, balance: &Sum, handle: &Sum, restated: &Point) -> Relation {
    let difference = Element::from(Sum(balance.0 - restated.inner()));
    let h = Base::Fixed(Letter::H);
    Relation::new(b"restated", 2)
        .with(*key, &[(0, h)])
        .with(*handle, &[(0, Base::Free(difference)), (1, h)])
}

#[cfg(test)]
mod tests;
