//! The soft cap: `c tanh(x / c)`, from the sigmoid's table with a straight line between entries.
//!
//! ```text
//! y = min(max(x, -8 c), 8 c)                  R = floor((2^41 + c) / 2c), that is 2^40 / c
//! i = min(max(rnd(y R, 20), -2^23), 2^23 - 1)  j = i >> 8, f = i - 256 j
//! e = SIG[j] (256 - f) + SIG[min(j + 1, 32767)] f
//! cap(x) = rnd((2 e - 2^24) c, 24)
//! ```
//!
//! `tanh(a) = 2 sigmoid(2 a) - 1`, and the table's steps are 2^-11, so i is `2 x / c` in steps of
//! 2^-19. At 8 c the real function is within 2^-22 of c. |y| R < 2^45, and |cap(x)| <= c.

use crate::fixed::rnd;

/// Largest c.
pub const CAP_MAX: u32 = (1 << 24) - 1;
/// Least c: a step of the index is not coarser than one of x.
pub const CAP_MIN: u32 = 1 << 8;

/// A soft cap, in the units of what it caps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    reach: i64,
    inverse: i64,
}

impl Cap {
    /// The cap at `reach`; none for 0.
    ///
    /// # Panics
    /// When it is neither 0 nor within [`CAP_MIN`] to [`CAP_MAX`].
    #[must_use]
    pub fn new(reach: u32) -> Option<Self> {
        if reach == 0 {
            return None;
        }
        assert!((CAP_MIN..=CAP_MAX).contains(&reach), "the header was checked");
        let reach = i64::from(reach);
        Some(Self { reach, inverse: ((1 << 41) + reach) / (2 * reach) })
    }

    /// The capped value.
    // spec: ENGINE-9.4
    #[inline]
    #[must_use]
    pub fn apply(self, x: i64, sigmoid: &[u32]) -> i64 {
        let bounded = x.clamp(-8 * self.reach, 8 * self.reach);
        let index = rnd(bounded * self.inverse, 20).clamp(-(1 << 23), (1 << 23) - 1);
        let (entry, part) = (index >> 8, index & 255);
        let at = |entry: i64| i64::from(sigmoid[(entry.min(32767) + 32768) as usize]);
        let even = at(entry) * (256 - part) + at(entry + 1) * part;
        rnd((2 * even - (1 << 24)) * self.reach, 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Tables;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_the_equations_and_with_the_real_function(
            reach in CAP_MIN..=CAP_MAX, wide in any::<i64>(), shift in 1u32..60
        ) {
            // spec: ENGINE-9.4
            let (x, sigmoid) = (wide >> shift, &Tables::get().sigmoid);
            let found = Cap::new(reach).expect("a cap").apply(x, sigmoid);
            let c = i128::from(reach);
            let half_up = |x: i128, s: u32| (2 * x + (1 << s)).div_euclid(2 << s);
            let y = i128::from(x).max(-8 * c).min(8 * c);
            let i = half_up(y * (((1 << 41) + c) / (2 * c)), 20).clamp(-(1 << 23), (1 << 23) - 1);
            let (j, f) = (i.div_euclid(256), i.rem_euclid(256));
            let entry = |j: i128| i128::from(sigmoid[(j.min(32767) + 32768) as usize]);
            let e = entry(j) * (256 - f) + entry(j + 1) * f;
            prop_assert_eq!(i128::from(found), half_up((2 * e - (1 << 24)) * c, 24));
            prop_assert!(found.abs() <= i64::from(reach));
            let real = f64::from(reach) * (x as f64 / f64::from(reach)).tanh();
            let miss = (found as f64 - real).abs();
            prop_assert!(miss <= 1.0 + f64::from(reach) / 32768.0, "{found} is not {real}");
        }
    }

    #[test]
    fn a_cap_is_the_identity_in_the_middle_and_flat_at_the_ends() {
        // spec: ENGINE-9.4
        let sigmoid = &Tables::get().sigmoid;
        let cap = Cap::new(30 << 12).expect("a cap");
        assert_eq!(cap.apply(0, sigmoid), 0);
        assert_eq!(cap.apply(i64::MAX, sigmoid), 30 << 12);
        assert_eq!(cap.apply(i64::MIN, sigmoid), -(30 << 12));
        assert!((cap.apply(4096, sigmoid) - 4094).abs() <= 4);
        assert_eq!(Cap::new(0), None);
    }
}
