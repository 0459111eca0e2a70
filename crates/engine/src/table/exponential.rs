//! `EXP2[i] = round(32767 * 2^(-i/2048))`: what attention and sampling take powers from.

use super::q62::{self, ONE};

/// Entries.
pub const LENGTH: usize = 1 << 16;
/// Steps to an octave.
const OCTAVE: usize = 2048;

/// The table. `EXP2[2048] = 16383.5` is the one tie; it goes up, like every half.
// spec: ENGINE-2.2
#[must_use]
pub fn table() -> Vec<u16> {
    let value = |(entry, _): (u64, u64)| u16::try_from(entry).expect("at most 32767");
    let step = fractions();
    (0..LENGTH).map(|i| value(entry(&step, i))).collect()
}

/// `2^(-i/2048)` for i in 0..2048: products of the square roots of a half.
pub(super) fn fractions() -> Vec<u64> {
    let mut roots = Vec::new();
    let mut root = ONE / 2;
    for _ in 0..11 {
        let wide = (u128::from(root) << 62).isqrt();
        root = u64::try_from(wide).expect("a root of a number below one");
        roots.push(root);
    }
    let power = |i: usize| {
        let chosen = roots.iter().enumerate().filter(|(bit, _)| (i >> (10 - bit)) & 1 == 1);
        chosen.fold(ONE, |product, (_, root)| q62::mul(product, *root))
    };
    (0..OCTAVE).map(power).collect()
}

/// One entry, and its distance from the rounding boundary. The halvings are exact.
pub(super) fn entry(fractions: &[u64], i: usize) -> (u64, u64) {
    let halvings = i / OCTAVE;
    let product = u128::from(fractions[i % OCTAVE]) * 32767;
    let shift = 62 + halvings;
    let half = 1u128 << (shift - 1);
    let fraction = product & ((1u128 << shift) - 1);
    let distance = fraction.abs_diff(half) >> halvings;
    let nearest = (product + half) >> shift;
    (
        u64::try_from(nearest).expect("at most 32767"),
        u64::try_from(distance).expect("below one, in units of 2^-62"),
    )
}
