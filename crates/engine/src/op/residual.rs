//! The residual stream: `i32` with 16 fraction bits, from the embedding row through every layer.

use crate::fixed::{Trap, rnd};

/// Fraction bits of the residual stream that op set 1 files may choose.
pub const BITS: std::ops::RangeInclusive<u8> = 8..=16;

/// One entry of an embedding row: `rnd(W M, C - Fx)`.
///
/// |W| is at most 1905 and M below 2^16, so the result is below 2^27 and never traps.
// spec: ENGINE-5.1
#[must_use]
pub fn embed(weight: i32, multiplier: u16, shift: u32) -> i32 {
    rnd(i64::from(weight) * i64::from(multiplier), shift) as i32
}

/// `x + y`.
///
/// # Errors
/// [`Trap`] when the sum does not fit `i32`.
// spec: ENGINE-5.2
#[inline]
pub fn add(x: i32, y: i32) -> Result<i32, Trap> {
    x.checked_add(y).ok_or(Trap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_and_sums_agree_with_wide_integers(
            weight in -1905i32..=1905, multiplier in 32768u16.., shift in 0u32..=62,
            x in any::<i32>(), y in any::<i32>()
        ) {
            // spec: ENGINE-5.1, ENGINE-5.2
            let (twice, step) = (2 * i128::from(weight) * i128::from(multiplier), 1i128 << shift);
            let expected = (twice + step).div_euclid(2 * step);
            prop_assert_eq!(i128::from(embed(weight, multiplier, shift)), expected);
            let sum = i32::try_from(i128::from(x) + i128::from(y)).map_err(|_| Trap);
            prop_assert_eq!(add(x, y), sum);
        }
    }

    #[test]
    fn a_sum_outside_32_bits_traps() {
        // spec: ENGINE-5.2
        assert_eq!(add(i32::MAX, 0), Ok(i32::MAX));
        assert_eq!(add(i32::MAX, 1), Err(Trap));
        assert_eq!(add(i32::MIN, -1), Err(Trap));
    }

    #[test]
    fn the_largest_embedding_entry_fits() {
        // spec: ENGINE-5.1
        assert_eq!(embed(-1905, u16::MAX, 0), -1905 * 65535);
        assert_eq!(embed(3, 1 << 15, 16), 2);
    }
}
