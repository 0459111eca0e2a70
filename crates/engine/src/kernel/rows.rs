//! What is done entry by entry between two linear layers, as plain loops that a compiler can turn
//! into wide registers: the door compiles each of them anew for every set of kernels.
//!
//! The operators in `op` say what these must compute; here sums wrap where those prove that nothing
//! overflows, and the exponent of the L2 rule is not tried from the bottom.

use super::packed::TILE;
use crate::fixed::bit_length;
use crate::op::l2::SQUARES_BOUND;
use crate::op::rmsnorm::{NormScales, Root, root_of};

/// `rnd` where the caller proves that nothing overflows.
#[inline(always)]
fn rnd(x: i64, shift: u32) -> i64 {
    x.wrapping_add(1i64.wrapping_shl(shift) >> 1).wrapping_shr(shift)
}

/// Turns the accumulators of a tile, `[token][TILE]`, into outputs; tells the tokens that trap.
#[inline(always)]
pub(super) fn scale(
    out: &mut [i32],
    multiplier: &[u16; TILE],
    shift: &[u8; TILE],
    exponents: &[u32],
    trap: &dyn Fn(usize),
) {
    for (token, out) in out.chunks_exact_mut(TILE).enumerate() {
        let mut fits = true;
        for ((out, m), s) in out.iter_mut().zip(multiplier).zip(shift) {
            // An exponent above the proven one belongs to a token that has trapped before.
            let shift = u32::from(*s).saturating_sub(exponents[token]);
            let y = rnd(i64::from(*out).wrapping_mul(i64::from(*m)), shift);
            let narrow = y as i32;
            let same = i64::from(narrow) == y;
            fits &= same;
            *out = if same { narrow } else { 0 };
        }
        if !fits {
            trap(token);
        }
    }
}

/// Adds `y` to `x`; entries that leave 32 bits become 0, and the answer is whether there were none.
#[inline(always)]
pub(super) fn add(x: &mut [i32], y: &[i32]) -> bool {
    let mut fits = true;
    for (x, y) in x.iter_mut().zip(y) {
        let (sum, wraps) = x.overflowing_add(*y);
        fits &= !wraps;
        *x = if wraps { 0 } else { sum };
    }
    fits
}

/// Gate and up as the input of down; the largest magnitude of both.
#[inline(always)]
pub(super) fn gate(g: &[i32], u: &[i32], bits: u32, opening: &[u32], wide: &mut [i64]) -> u32 {
    let opening: &[u32; 1 << 16] = opening.try_into().expect("a table of 2^16 entries");
    let mut largest = 0;
    for ((wide, g), u) in wide.iter_mut().zip(g).zip(u) {
        largest = largest.max(g.unsigned_abs()).max(u.unsigned_abs());
        let (g, u) = (i64::from(*g), i64::from(*u));
        let step = rnd(g, bits.wrapping_sub(11)).clamp(-32768, 32767);
        let opened = i64::from(opening[usize::from(step as u16 ^ 0x8000)]);
        *wide = rnd(opened.wrapping_mul(g), 16).wrapping_mul(u);
    }
    largest
}

/// Scores without a cap as octaves.
#[inline(always)]
pub(super) fn octaves(dots: &[i32], multiplier: u16, shift: u32, out: &mut [i64]) {
    for (out, dot) in out.iter_mut().zip(dots) {
        *out = rnd(i64::from(*dot).wrapping_mul(i64::from(multiplier)), shift);
    }
}

/// The weights of octaves, and their sum.
#[inline(always)]
pub(super) fn powers(octaves: &[i64], exponential: &[u16], out: &mut [i16]) -> u64 {
    let exponential: &[u16; 1 << 16] = exponential.try_into().expect("a table of 2^16 entries");
    let largest = octaves.iter().fold(i64::MIN, |largest, z| largest.max(*z));
    let mut sum = 0u64;
    for (out, z) in out.iter_mut().zip(octaves) {
        let power = exponential[usize::from(largest.wrapping_sub(*z).min(65535) as u16)];
        sum = sum.wrapping_add(u64::from(power));
        *out = power as i16;
    }
    sum
}

/// An entry of a vector that the L2 rule shortens.
pub trait Entry: Copy {
    /// The absolute value.
    fn magnitude(self) -> u64;
    /// `x_t` of this entry, for a t at or above the least that can be chosen.
    fn at(self, t: u32) -> i32;
}

impl Entry for i64 {
    #[inline(always)]
    fn magnitude(self) -> u64 {
        self.unsigned_abs()
    }

    #[inline(always)]
    fn at(self, t: u32) -> i32 {
        if t == 0 { self as i32 } else { rnd(rnd(self, t - 1), 1) as i32 }
    }
}

/// For entries below 2^30 in magnitude.
impl Entry for i32 {
    #[inline(always)]
    fn magnitude(self) -> u64 {
        u64::from(self.unsigned_abs())
    }

    #[inline(always)]
    fn at(self, t: u32) -> i32 {
        if t == 0 {
            return self;
        }
        let half = 1i32.wrapping_shl(t - 1) >> 1;
        self.wrapping_add(half).wrapping_shr(t - 1).wrapping_add(1) >> 1
    }
}

/// The L2 rule.
#[inline(always)]
pub(super) fn shorten<T: Entry>(wide: &[T], out: &mut [i16]) -> u32 {
    let largest = wide.iter().fold(0, |largest, v| v.magnitude().max(largest));
    let first = bit_length(largest).saturating_sub(15);
    let squares = squares(wide, first);
    let t = if squares < SQUARES_BOUND { first } else { search(wide, first, squares) };
    for (x, v) in out.iter_mut().zip(wide) {
        *x = v.at(t) as i16;
    }
    t
}

/// The least exponent above `first`, whose squares are too many.
///
/// Every `x_t` is within 3/4 of `v 2^-t`, so the length of n of them is within 3/4 root(n) of that
/// of `v 2^-t`. While half the length, and half again, stays above the bound by so much, no sum
/// has to be computed to know that t fails.
#[inline(always)]
fn search<T: Entry>(wide: &[T], first: u32, found: u64) -> u32 {
    let slack = ((wide.len() as u64).isqrt() + 1) * 3 / 4 + 1;
    let length = found.isqrt().saturating_sub(slack);
    let enough = SQUARES_BOUND.isqrt() + 1 + slack;
    let mut t = first + 1;
    while length >> (t - first) >= enough {
        t += 1;
    }
    while squares(wide, t) >= SQUARES_BOUND {
        t += 1;
    }
    t
}

/// `sum x_t^2`. Entries are at most 2^15 in magnitude, so a square fits 32 bits.
#[inline(always)]
fn squares<T: Entry>(wide: &[T], t: u32) -> u64 {
    let square = |v: &T| {
        let x = v.at(t);
        u64::from(x.wrapping_mul(x) as u32)
    };
    wide.iter().map(square).fold(0, u64::wrapping_add)
}

/// RMSNorm.
#[inline(always)]
pub(super) fn normalise(
    x: &[i32],
    gain: &[i16],
    scales: NormScales,
    epsilon: u64,
    out: &mut [i32],
) {
    let largest = x.iter().fold(0, |largest, x| x.unsigned_abs().max(largest));
    let entry_shift = bit_length(largest.into()).saturating_sub(20);
    let short = |x: i32| rnd(i64::from(x), entry_shift) as i32;
    let square = |x: &i32| i64::from(short(*x)).wrapping_mul(i64::from(short(*x))) as u64;
    let sum = x.iter().map(square).fold(0, u64::wrapping_add);
    let Root { root, root_bits, .. } = root_of(sum, entry_shift, x.len() as u64, epsilon);
    let shift = root_bits + u32::from(scales.gain_bits) - u32::from(scales.value_bits);
    for ((out, x), gain) in out.iter_mut().zip(x).zip(gain) {
        let product = i64::from(short(*x)).wrapping_mul(i64::from(root as i32));
        *out = rnd(product.wrapping_mul(i64::from(*gain)), shift) as i32;
    }
}
