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

    #[test]
    fn a_logit_beyond_32_bits_traps() {
        // spec: ENGINE-9.1
        assert_eq!(logit(1 << 15, 1 << 15, 0), Ok(1 << 30));
        assert_eq!(logit(1 << 16, 1 << 15, 0), Err(Trap));
        assert_eq!(logit(-(1 << 16), 1 << 15, 0), Ok(i32::MIN));
    }
}
