//! Fixed-point integers: the one rounding rule, bit lengths and the trap.
//!
//! Every operator of op set 1 rounds through [`rnd`]; there is no second rule and no saturation.

/// A value left its declared range: the answer ends at this token, identically everywhere.
// spec: ENGINE-1.4
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trap;

/// `(x + 2^(shift-1)) >> shift`, arithmetic, and `x` itself for a shift of 0: to the nearest
/// integer, halves upwards.
///
/// The callers' bounds keep `shift` within 0..=62 and the sum within 64 bits.
// spec: ENGINE-1.2
#[inline(always)]
#[must_use]
pub fn rnd(x: i64, shift: u32) -> i64 {
    (x + ((1i64 << shift) >> 1)) >> shift
}

/// Number of bits of `x`: 0 for 0, else one more than the position of the highest one.
#[inline]
#[must_use]
pub fn bit_length(x: u64) -> u32 {
    u64::BITS - x.leading_zeros()
}

/// The least integer whose square is not below `x`.
#[must_use]
pub fn root_above(x: u128) -> u128 {
    let root = x.isqrt();
    if root * root < x { root + 1 } else { root }
}

/// `x` as an `i32`, or the trap.
///
/// # Errors
/// [`Trap`] outside the range of `i32`.
#[inline]
pub fn narrow(x: i64) -> Result<i32, Trap> {
    i32::try_from(x).map_err(|_| Trap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn halves_go_up_on_both_sides_of_zero() {
        // spec: ENGINE-1.2
        let rounded: Vec<i64> = (-4..=4).map(|x| rnd(x, 1)).collect();
        assert_eq!(rounded, [-2, -1, -1, 0, 0, 1, 1, 2, 2]);
        assert_eq!(rnd(-7, 0), -7);
    }

    proptest! {
        #[test]
        fn rounding_is_the_floor_of_x_over_2_to_the_shift_plus_a_half(
            x in -(1i64 << 60)..(1i64 << 60), shift in 0u32..=60
        ) {
            let (x2, step) = (2 * i128::from(x), 1i128 << shift);
            prop_assert_eq!(i128::from(rnd(x, shift)), (x2 + step).div_euclid(2 * step));
        }

        #[test]
        fn a_root_above_is_the_least(x in 0u128..(1 << 100)) {
            let root = root_above(x);
            prop_assert!(root * root >= x);
            prop_assert!(root == 0 || (root - 1) * (root - 1) < x);
        }
    }

    #[test]
    fn bit_lengths_count_from_one() {
        assert_eq!([0, 1, 2, 3, 4, u64::MAX].map(bit_length), [0, 1, 2, 2, 3, 64]);
    }

    #[test]
    fn narrowing_traps_just_outside_32_bits() {
        // spec: ENGINE-1.4
        assert_eq!(narrow(i64::from(i32::MIN)), Ok(i32::MIN));
        assert_eq!(narrow(i64::from(i32::MAX) + 1), Err(Trap));
    }
}
