//! Linear: `y = rnd(acc * M, S - t)` with `acc = sum W x`, one row of weights at a time.
//!
//! `W = m q` is the effective weight (a small integer times a group multiplier), `x * 2^t` the
//! activation, `M * 2^-C` the row's scale. With `in` and `out` the fraction bits of input and
//! output, `S = C + in - out`. The certificate `sum W^2 < 2^33` and the L2 rule give |acc| < 2^31.

use crate::fixed::rnd;

/// Squares of the effective weights of one row sum to less than this.
// spec: ENGINE-3.4
pub const ROW_SQUARES_BOUND: u64 = 1 << 33;

/// `sum W x` of one row. In 64 bits here; 32 wrapping bits give the same by the certificate.
// spec: ENGINE-3.5
#[must_use]
pub fn accumulate(weights: impl Iterator<Item = i32>, x: &[i16]) -> i64 {
    weights.zip(x).map(|(w, x)| i64::from(w) * i64::from(*x)).sum()
}

/// `rnd(acc * M, shift)`, at most 2^47 in magnitude.
// spec: ENGINE-3.6
#[inline(always)]
#[must_use]
pub fn scale(acc: i32, multiplier: u16, shift: u32) -> i64 {
    rnd(i64::from(acc) * i64::from(multiplier), shift)
}

/// Fraction bits that a bias has beyond those of the output.
pub const BIAS_BITS: u32 = 8;

/// The same with a bias, of eight more fraction bits: `rnd(rnd(acc M, shift - 8) + B, 8)`.
///
/// The static proof keeps `shift` at 8 and above.
// spec: ENGINE-3.8
#[inline]
#[must_use]
pub fn scale_biased(acc: i32, multiplier: u16, shift: u32, bias: i32) -> i64 {
    rnd(scale(acc, multiplier, shift - BIAS_BITS) + i64::from(bias), BIAS_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn scaling_agrees_with_wide_integers(
            acc in any::<i32>(), multiplier in any::<u16>(), shift in 0u32..=62
        ) {
            // spec: ENGINE-3.6
            let (twice, step) = (2 * i128::from(acc) * i128::from(multiplier), 1i128 << shift);
            let expected = (twice + step).div_euclid(2 * step);
            prop_assert_eq!(i128::from(scale(acc, multiplier, shift)), expected);
        }

        #[test]
        fn a_bias_is_added_with_eight_bits_to_spare(
            acc in any::<i32>(), multiplier in any::<u16>(), shift in 8u32..=62,
            bias in any::<i32>()
        ) {
            // spec: ENGINE-3.8
            let (product, step) = (i128::from(acc) * i128::from(multiplier), 1i128 << (shift - 8));
            let fine = (2 * product + step).div_euclid(2 * step) + i128::from(bias);
            let expected = (fine + 128).div_euclid(256);
            prop_assert_eq!(i128::from(scale_biased(acc, multiplier, shift, bias)), expected);
        }

        #[test]
        fn accumulating_agrees_with_wide_integers(
            pairs in prop::collection::vec((-1905i32..=1905, any::<i16>()), 0..90)
        ) {
            // spec: ENGINE-3.5
            let (weights, x): (Vec<i32>, Vec<i16>) = pairs.into_iter().unzip();
            let wide = |(w, x): (&i32, &i16)| i128::from(*w) * i128::from(*x);
            let expected: i128 = weights.iter().zip(&x).map(wide).sum();
            prop_assert_eq!(i128::from(accumulate(weights.iter().copied(), &x)), expected);
        }
    }

    #[test]
    fn a_row_and_an_input_at_their_bounds_stay_within_32_bits() {
        // spec: ENGINE-3.5
        // 2^33 - 1 and 2^29 - 1 as sums of squares over the same columns, all signs equal.
        let weights = [1905i32; 2367];
        let squares: i64 = weights.iter().map(|w| i64::from(w * w)).sum();
        assert!(squares < 1 << 33 && squares + 1905 * 1905 >= 1 << 33);
        let x = [476i16; 2367];
        assert!(x.iter().map(|x| i64::from(*x).pow(2)).sum::<i64>() < 1 << 29);
        let acc = accumulate(weights.iter().copied(), &x);
        assert!(acc < 1 << 31 && acc > (1 << 31) - (1 << 24), "{acc}");
        assert_eq!(accumulate(weights.iter().map(|w| -w), &x), -acc);
    }

    #[test]
    fn scaling_rounds_once_with_halves_up() {
        // spec: ENGINE-3.6
        assert_eq!(scale(3, 1 << 15, 16), 2);
        assert_eq!(scale(-3, 1 << 15, 16), -1);
        assert_eq!(scale(i32::MIN, 65535, 0), -(65535i64 << 31));
        assert_eq!(scale(i32::MAX, 65535, 62), 0);
    }
}
