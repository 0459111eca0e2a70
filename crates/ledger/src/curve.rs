//! The group everything lives in: ristretto255, its generators, and numbers and points as bytes.
//!
//! Nobody knows a relation between two generators: all but the standard one are hashes of their
//! names. A point from outside is decoded once, canonical and not the identity, and keeps its
//! bytes, so that what is hashed is what was sent.

use blake3::Hasher;
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoBasepointTable, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use mutirao_wire::{Decode, DecodeError, Encode, Reader};
use std::fmt;
use std::sync::LazyLock;

/// The generators, by the letters of the specification.
///
/// | letter | carries |
/// |---|---|
/// | `g` | the tag half of a one-time key |
/// | `t` | the spend half of a one-time key |
/// | `v` | an amount |
/// | `h` | a blinding |
/// | `u` | what a spend's tag is a fraction of |
/// | `w` | what a deed names |
// spec: LEDGER-1.1
pub struct Generators {
    /// The standard basepoint.
    pub g: Point,
    /// Spend half of a one-time key.
    pub t: Point,
    /// Amounts.
    pub v: Point,
    /// Blindings.
    pub h: Point,
    /// Linking tags.
    pub u: Point,
    /// Names in deeds.
    pub w: Point,
    tables: Tables,
}

/// Multiples of the four generators that wallets multiply all day: 30 kB each.
struct Tables {
    g: RistrettoBasepointTable,
    t: RistrettoBasepointTable,
    v: RistrettoBasepointTable,
    h: RistrettoBasepointTable,
}

static GENERATORS: LazyLock<Generators> = LazyLock::new(|| {
    let [t, v, h, u, w] = ["T", "V", "H", "U", "W"]
        .map(|name| hash_to_point("mutirao v1 ledger generator", &[name.as_bytes()]))
        .map(Point::fresh);
    let g = Point::fresh(RISTRETTO_BASEPOINT_POINT);
    let [table_g, table_t, table_v, table_h] =
        [g, t, v, h].map(|point| RistrettoBasepointTable::create(point.inner()));
    let tables = Tables { g: table_g, t: table_t, v: table_v, h: table_h };
    Generators { g, t, v, h, u, w, tables }
});

/// The generators; computed once.
#[must_use]
pub fn generators() -> &'static Generators {
    &GENERATORS
}

impl Generators {
    /// `value·V + blinding·H`.
    #[must_use]
    pub fn commit(&self, value: &Scalar, blinding: &Scalar) -> RistrettoPoint {
        value * &self.tables.v + blinding * &self.tables.h
    }

    /// `x·G + y·T`.
    #[must_use]
    pub fn key(&self, x: &Scalar, y: &Scalar) -> RistrettoPoint {
        x * &self.tables.g + y * &self.tables.t
    }

    /// `x·G`.
    #[must_use]
    pub fn times_g(&self, x: &Scalar) -> RistrettoPoint {
        x * &self.tables.g
    }

    /// `x·T`.
    #[must_use]
    pub fn times_t(&self, x: &Scalar) -> RistrettoPoint {
        x * &self.tables.t
    }

    /// `x·V`.
    #[must_use]
    pub fn times_v(&self, x: &Scalar) -> RistrettoPoint {
        x * &self.tables.v
    }

    /// `r·H`.
    #[must_use]
    pub fn times_h(&self, r: &Scalar) -> RistrettoPoint {
        r * &self.tables.h
    }
}

/// `N` bytes that depend on the domain and on every part; each part is preceded by its length.
#[must_use]
pub fn expand<const N: usize>(domain: &str, parts: &[&[u8]]) -> [u8; N] {
    let mut hasher = Hasher::new_derive_key(domain);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut out = [0; N];
    hasher.finalize_xof().fill(&mut out);
    out
}

/// A scalar without bias: 64 bytes reduced.
#[must_use]
pub fn hash_to_scalar(domain: &str, parts: &[&[u8]]) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&expand(domain, parts))
}

/// A point of which nobody knows the logarithm.
#[must_use]
pub fn hash_to_point(domain: &str, parts: &[&[u8]]) -> RistrettoPoint {
    RistrettoPoint::from_uniform_bytes(&expand(domain, parts))
}

/// Appends a scalar.
pub fn put_scalar(out: &mut Vec<u8>, scalar: &Scalar) {
    scalar.as_bytes().encode(out);
}

/// Reads a scalar below the group order.
///
/// # Errors
/// [`DecodeError::NotCanonical`] for any other 32 bytes.
// spec: LEDGER-1.3
pub fn read_scalar(input: &mut Reader<'_>, what: &'static str) -> Result<Scalar, DecodeError> {
    let read = Scalar::from_canonical_bytes(input.array()?);
    Option::from(read).ok_or(DecodeError::NotCanonical { what })
}

/// A point other than the identity, with its one encoding.
#[derive(Clone, Copy)]
pub struct Point {
    bytes: [u8; 32],
    inner: RistrettoPoint,
}

impl Point {
    /// Wraps a point that we computed; none for the identity.
    #[must_use]
    pub fn new(inner: RistrettoPoint) -> Option<Self> {
        (!inner.is_identity()).then(|| Self { bytes: inner.compress().to_bytes(), inner })
    }

    /// Wraps a point made from fresh secrets.
    ///
    /// # Panics
    /// For the identity, which a secret scalar hits with probability 2^-252.
    pub(crate) fn fresh(inner: RistrettoPoint) -> Self {
        Self::new(inner).expect("a multiple by a fresh secret is not the identity")
    }

    /// Reads a point.
    ///
    /// # Errors
    /// [`DecodeError::NotCanonical`] for the identity and for bytes that encode no point.
    // spec: LEDGER-1.2
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, DecodeError> {
        let inner = CompressedRistretto(bytes).decompress();
        let inner = inner.filter(|inner| !inner.is_identity());
        inner.map(|inner| Self { bytes, inner }).ok_or(DecodeError::NotCanonical { what: "point" })
    }

    /// The encoding.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The point itself.
    #[must_use]
    pub fn inner(&self) -> &RistrettoPoint {
        &self.inner
    }
}

/// A point's encoding, for errors: it is small and shows its first bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PointName(pub [u8; 32]);

impl fmt::Debug for PointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<Point> for PointName {
    fn from(point: Point) -> Self {
        Self(point.bytes)
    }
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}
impl Eq for Point {}
impl PartialOrd for Point {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Point {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bytes.cmp(&other.bytes)
    }
}
impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
impl Encode for Point {
    fn encode(&self, out: &mut Vec<u8>) {
        self.bytes.encode(out);
    }
}
impl Decode for Point {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::from_bytes(input.array()?)
    }
}

/// A sum of points that may be nothing: what a till holds, what an audit adds up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sum(pub RistrettoPoint);

impl Sum {
    /// The identity.
    #[must_use]
    pub fn zero() -> Self {
        Self(RistrettoPoint::default())
    }

    /// The encoding; 32 zero bytes for the identity.
    #[must_use]
    pub fn bytes(&self) -> [u8; 32] {
        self.0.compress().to_bytes()
    }

    /// As a point; none for the identity.
    #[must_use]
    pub fn point(&self) -> Option<Point> {
        Point::new(self.0)
    }
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
impl Encode for Sum {
    fn encode(&self, out: &mut Vec<u8>) {
        self.bytes().encode(out);
    }
}
impl Decode for Sum {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let inner = CompressedRistretto(input.array()?).decompress();
        inner.map(Self).ok_or(DecodeError::NotCanonical { what: "sum" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use curve25519_dalek::constants::{EIGHT_TORSION, RISTRETTO_BASEPOINT_COMPRESSED};

    // spec: LEDGER-1.2
    #[test]
    fn refuses_every_point_of_small_order_and_the_identity() {
        for point in EIGHT_TORSION {
            assert!(Point::from_bytes(point.compress().to_bytes()).is_err());
        }
        assert!(Point::from_bytes([0; 32]).is_err());
    }

    // spec: LEDGER-1.2
    #[test]
    fn refuses_a_second_encoding_of_a_point() {
        let good = RISTRETTO_BASEPOINT_COMPRESSED.to_bytes();
        assert!(Point::from_bytes(good).is_ok());
        let mut sign = good;
        sign[31] |= 0x80;
        assert!(Point::from_bytes(sign).is_err());
        let mut negative = good;
        negative[0] ^= 1;
        assert!(Point::from_bytes(negative).is_err());
        let above_the_field = [
            [0xff; 32],
            std::array::from_fn(|at| [0xed, 0xff, 0x7f][usize::from(at > 0) + at / 31]),
        ];
        for bytes in above_the_field {
            assert!(Point::from_bytes(bytes).is_err() && Sum::from_bytes(&bytes).is_err());
        }
    }

    // spec: LEDGER-1.3
    #[test]
    fn refuses_a_scalar_at_or_above_the_order() {
        let largest = (-Scalar::ONE).to_bytes();
        assert!(read_scalar(&mut Reader::new(&largest), "number").is_ok());
        let mut order = largest;
        order[0] += 1;
        assert!(read_scalar(&mut Reader::new(&order), "number").is_err());
        assert!(read_scalar(&mut Reader::new(&[0xff; 32]), "number").is_err());
    }

    // spec: LEDGER-1.1
    #[test]
    fn no_two_generators_are_one() {
        let all = generators();
        let mut names: Vec<_> =
            [all.g, all.t, all.v, all.h, all.u, all.w].iter().map(|point| *point.bytes()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 6);
    }

    #[test]
    fn tables_agree_with_plain_multiplication() {
        let (x, y) = (hash_to_scalar("test", &[b"x"]), hash_to_scalar("test", &[b"y"]));
        let all = generators();
        assert_eq!(all.commit(&x, &y), all.v.inner() * x + all.h.inner() * y);
        assert_eq!(all.key(&x, &y), all.g.inner() * x + all.t.inner() * y);
    }
}
