//! SwiGLU and GeGLU: `h = silu(g) u` or `h = gelu(g) u`, the gate's opening from a table.
//!
//! ```text
//! i = clamp(rnd(g, fg - 11), -32768, 32767)
//! h = rnd(g SIG[i], 16) u        GEL in place of SIG for gelu
//! ```
//!
//! The header proves |g|, |u| < 2^22, so h is below 2^45.

use crate::fixed::rnd;

/// |g| and |u| are below this.
pub const GATE_BOUND: i64 = 1 << 22;
/// Fraction bits of the table's argument.
pub const INDEX_BITS: u32 = 11;

/// One entry of `h`. `opening` is the sigmoid's table, or gelu's.
// spec: ENGINE-8.2, ENGINE-8.3
#[inline(always)]
#[must_use]
pub fn gate(g: i32, u: i32, gate_bits: u32, opening: &[u32]) -> i64 {
    let step = rnd(g.into(), gate_bits - INDEX_BITS).clamp(-32768, 32767);
    let opened = i64::from(opening[(step + 32768) as usize]) * i64::from(g);
    rnd(opened, 16) * i64::from(u)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Tables;
    use proptest::prelude::*;

    #[test]
    fn a_gate_opens_fully_closes_fully_and_is_half_at_zero() {
        // spec: ENGINE-8.2
        let sigmoid = &Tables::get().sigmoid;
        let most = (1 << 22) - 1;
        assert_eq!(gate(most, most, 11, sigmoid), i64::from(most).pow(2));
        assert_eq!(gate(-most, most, 11, sigmoid), 0);
        assert_eq!(gate(0, most, 16, sigmoid), 0);
        assert_eq!(gate(3, 5, 20, sigmoid), 2 * 5);
        assert_eq!(gate(-3, 5, 20, sigmoid), -5);
    }

    proptest! {
        #[test]
        fn agrees_with_wide_integers(
            g in -4_194_303i32..4_194_304, u in -4_194_303i32..4_194_304, bits in 11u32..=20
        ) {
            // spec: ENGINE-8.1, ENGINE-8.2
            let sigmoid = &Tables::get().sigmoid;
            let half_up = |x: i128, step: i128| (2 * x + step).div_euclid(2 * step);
            let index = half_up(g.into(), 1 << (bits - 11)).clamp(-32768, 32767);
            let opened = i128::from(g) * i128::from(sigmoid[(index + 32768) as usize]);
            let expected = half_up(opened, 1 << 16) * i128::from(u);
            prop_assert!(expected.abs() < 1 << 45);
            prop_assert_eq!(i128::from(gate(g, u, bits, sigmoid)), expected);
        }

        #[test]
        fn is_close_to_the_real_function(
            g in -4_194_303i32..4_194_304, u in -4_194_303i32..4_194_304
        ) {
            let h = gate(g, u, 18, &Tables::get().sigmoid) as f64 / 2f64.powi(36);
            let (real_g, real_u) = (f64::from(g) / 2f64.powi(18), f64::from(u) / 2f64.powi(18));
            let real = real_g / (1.0 + (-real_g).exp()) * real_u;
            prop_assert!((h - real).abs() < 0.01 * (1.0 + real_u.abs()), "{h} is not {real}");
            // spec: ENGINE-8.3
            let h = gate(g, u, 18, &Tables::get().gelu) as f64 / 2f64.powi(36);
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (real_g + 0.044715 * real_g.powi(3));
            let real = real_g / 2.0 * (1.0 + inner.tanh()) * real_u;
            prop_assert!((h - real).abs() < 0.01 * (1.0 + real_u.abs()), "{h} is not {real}");
        }
    }
}
