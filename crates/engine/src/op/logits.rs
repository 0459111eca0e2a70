//! Logits: the last linear layer, 12 fraction bits in `i32`, and a trap outside.

use crate::fixed::{Trap, narrow};
use crate::op::linear::scale;

/// Fraction bits of a logit.
// spec: ENGINE-9.1
pub const BITS: u32 = 12;

/// One logit from its accumulator.
///
/// # Errors
/// [`Trap`] when it does not fit `i32`.
pub fn logit(acc: i32, multiplier: u16, shift: u32) -> Result<i32, Trap> {
    narrow(scale(acc, multiplier, shift))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_logit_is_the_wide_quotient_or_a_trap(
            acc in any::<i32>(), multiplier in 32768u16.., shift in 0u32..=62
        ) {
            // spec: ENGINE-9.1
            let (twice, step) = (2 * i128::from(acc) * i128::from(multiplier), 1i128 << shift);
            let expected = i32::try_from((twice + step).div_euclid(2 * step)).map_err(|_| Trap);
            prop_assert_eq!(logit(acc, multiplier, shift), expected);
        }
    }

    #[test]
    fn a_logit_beyond_32_bits_traps() {
        // spec: ENGINE-9.1
        assert_eq!(logit(1 << 15, 1 << 15, 0), Ok(1 << 30));
        assert_eq!(logit(1 << 16, 1 << 15, 0), Err(Trap));
        assert_eq!(logit(-(1 << 16), 1 << 15, 0), Ok(i32::MIN));
    }
}
