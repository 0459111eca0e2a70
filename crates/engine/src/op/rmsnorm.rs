//! RMSNorm: `v = x / rms(x) * gain`, with the inverse root as one integer.
//!
//! ```text
//! t0 = max(0, bitlen(max|x|) - 20)        xs = rnd(x, t0)
//! S  = sum xs^2 + (eps_int >> 2 t0)       eps_int = floor(eps d 2^(2 Fx)), S < 2^55
//! u  = least even with S >> u < 2^28      Sm = max(S >> u, 1)
//! k  = least with r = isqrt(floor(d 2^(2k) / Sm)) >= 2^15, so r < 2^16
//! v  = rnd(xs r gain, k + u/2 + ge - fv)
//! ```
//!
//! `1/rms = sqrt(d/S) = r 2^(-k - u/2)` to 16 bits. The header proves sqrt(d) max|gain| 2^(fv-ge)
//! < 2^23, which bounds the length of the whole vector v and so each entry.

use crate::fixed::{bit_length, rnd};

/// Fraction bits of one norm's gain (`ge`) and output (`fv`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NormScales {
    /// `ge`, fraction bits of the gain.
    pub gain_bits: u8,
    /// `fv`, fraction bits of the normalised vector.
    pub value_bits: u8,
}

/// The integers of one normalisation that do not depend on the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    /// `t0`, what the entries are first rounded by.
    pub entry_shift: u32,
    /// `r`, the inverse root.
    pub root: i64,
    /// `k + u/2`, the fraction bits of `r` for entries so rounded.
    pub root_bits: u32,
}

/// The inverse root of a residual vector.
// spec: ENGINE-6.1, ENGINE-6.2
#[must_use]
pub fn root(x: &[i32], epsilon: u64) -> Root {
    let largest = x.iter().fold(0, |largest, x| x.unsigned_abs().max(largest));
    let entry_shift = bit_length(largest.into()).saturating_sub(20);
    let square = |x: &i32| {
        let short = rnd(i64::from(*x), entry_shift);
        (short.wrapping_mul(short)) as u64
    };
    let sum = x.iter().map(square).fold(0, u64::wrapping_add);
    root_of(sum, entry_shift, x.len() as u64, epsilon)
}

/// The inverse root for the squares of `size` entries, rounded by `entry_shift` and summed.
// spec: ENGINE-6.2
#[must_use]
pub(crate) fn root_of(squares: u64, entry_shift: u32, size: u64, epsilon: u64) -> Root {
    let sum = squares + (epsilon >> (2 * entry_shift));
    let drop = bit_length(sum).saturating_sub(28).next_multiple_of(2);
    let short = (sum >> drop).max(1);
    let enough = |k: &u32| (size << (2 * k)) >= short << 30;
    let k = (0..30).find(enough).expect("2^(2 * 29) alone exceeds 2^28 * 2^30");
    let root = ((size << (2 * k)) / short).isqrt() as i64;
    Root { entry_shift, root, root_bits: k + drop / 2 }
}

/// Writes `v` of the residual vector `x`.
///
/// # Panics
/// When the slices differ in length.
// spec: ENGINE-6.3
pub fn normalise(x: &[i32], gain: &[i16], scales: NormScales, epsilon: u64, out: &mut [i32]) {
    assert!(x.len() == gain.len() && x.len() == out.len());
    let Root { entry_shift, root, root_bits } = root(x, epsilon);
    let shift = root_bits + u32::from(scales.gain_bits) - u32::from(scales.value_bits);
    for ((out, x), gain) in out.iter_mut().zip(x).zip(gain) {
        let short = rnd(i64::from(*x), entry_shift);
        *out = rnd(short.wrapping_mul(root).wrapping_mul(i64::from(*gain)), shift) as i32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SCALES: NormScales = NormScales { gain_bits: 14, value_bits: 12 };

    /// The equations of the module doc, one by one in 128 bits.
    fn slow(x: &[i32], gain: &[i16], epsilon: u64) -> Vec<i128> {
        let half_up = |x: i128, s: u32| if s == 0 { x } else { (x + (1 << (s - 1))) >> s };
        let largest = x.iter().map(|x| i128::from(*x).abs()).max().unwrap_or(0);
        let mut t0 = 0;
        while largest >= 1 << (20 + t0) {
            t0 += 1;
        }
        let xs: Vec<i128> = x.iter().map(|x| half_up(i128::from(*x), t0)).collect();
        let s = xs.iter().map(|x| x * x).sum::<i128>() + (i128::from(epsilon) >> (2 * t0));
        let u = (0..40).step_by(2).find(|u| s >> u < 1 << 28).expect("below 2^55");
        let sm = (s >> u).max(1);
        let d = x.len() as i128;
        let r = |k: u32| ((d << (2 * k)) / sm).isqrt();
        let k = (0..40).find(|k| r(*k) >= 1 << 15).expect("it grows");
        assert!(r(k) < 1 << 16);
        let shift = k + u / 2 + 14 - 12;
        xs.iter().zip(gain).map(|(x, g)| half_up(x * r(k) * i128::from(*g), shift)).collect()
    }

    fn agrees(x: &[i32], epsilon: u64) {
        let gain: Vec<i16> = (0..x.len()).map(|j| (j % 30) as i16 * 997 - 8000).collect();
        let mut out = vec![0; x.len()];
        normalise(x, &gain, SCALES, epsilon, &mut out);
        assert!(out.iter().map(|v| i128::from(*v)).eq(slow(x, &gain, epsilon)));
    }

    proptest! {
        // spec: ENGINE-6.1, ENGINE-6.3
        #[test]
        fn agrees_with_the_equations(
            x in proptest::collection::vec(any::<i32>(), 1..60), shift in 0u32..32,
            epsilon in 0u64..(1 << 50)
        ) {
            agrees(&x.iter().map(|x| x >> shift).collect::<Vec<_>>(), epsilon >> shift);
        }

        // spec: ENGINE-6.2
        #[test]
        fn the_root_stands_in_its_bracket(
            x in proptest::collection::vec(any::<i32>(), 1..60), shift in 0u32..32
        ) {
            let x: Vec<i32> = x.iter().map(|x| x >> shift).collect();
            let found = root(&x, 3);
            prop_assert!((1 << 15..1 << 16).contains(&found.root));
        }
    }

    #[test]
    fn agrees_at_zero_at_one_channel_and_at_the_largest_width() {
        agrees(&[0; 64], 0);
        agrees(&[0; 64], 1 << 40);
        let mut one = vec![0; 128];
        one[77] = i32::MIN;
        agrees(&one, 42);
        agrees(&vec![i32::MIN; 1 << 14], (1 << 54) - 1);
        agrees(&vec![i32::MAX; 1 << 14], 0);
        agrees(&[1], 0);
    }
}
