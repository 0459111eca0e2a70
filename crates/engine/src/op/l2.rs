//! The L2 rule: a wide vector becomes int16 and one exponent, short enough for exact sums.
//!
//! `x_0 = v`, `x_t = rnd(rnd(v, t-1), 1)`; t is the least `t >= max(0, bitlen(max|v|) - 15)` with
//! `sum x_t^2 < 2^29`. Below that bound on t one entry alone breaks the sum, so t is the least of
//! all; the value represented is `x * 2^t`. With a row of weights `sum W^2 < 2^33` the product is
//! below 2^31 by Cauchy-Schwarz, so 32 wrapping bits hold it in any order of summation.

use crate::fixed::{bit_length, rnd};

/// Squares of an activation vector sum to less than this.
pub const SQUARES_BOUND: u64 = 1 << 29;

/// A wide entry: 32 bits where the operator before proves that they suffice, else 64.
pub trait Wide: Copy {
    /// The absolute value.
    fn magnitude(self) -> u64;
    /// `x_t` of this entry, for a t at or above the least that can be chosen.
    fn at(self, t: u32) -> i32;
}

impl Wide for i64 {
    fn magnitude(self) -> u64 {
        self.unsigned_abs()
    }

    #[inline(always)]
    fn at(self, t: u32) -> i32 {
        let x = if t == 0 { self } else { rnd(rnd(self, t - 1), 1) };
        x as i32
    }
}

/// For entries below 2^30 in magnitude, so that no sum leaves 32 bits.
impl Wide for i32 {
    fn magnitude(self) -> u64 {
        u64::from(self.unsigned_abs())
    }

    #[inline(always)]
    fn at(self, t: u32) -> i32 {
        if t == 0 {
            return self;
        }
        let half = (1i32 << (t - 1)) >> 1;
        (self.wrapping_add(half) >> (t - 1)).wrapping_add(1) >> 1
    }
}

/// Writes `x_t` of `wide` into `out` and returns t.
///
/// # Panics
/// When the slices differ in length.
// spec: ENGINE-4.1
pub fn shorten<T: Wide>(wide: &[T], out: &mut [i16]) -> u32 {
    assert_eq!(wide.len(), out.len());
    let largest = wide.iter().fold(0, |largest, v| v.magnitude().max(largest));
    let mut t = bit_length(largest).saturating_sub(15);
    while squares(wide, t) >= SQUARES_BOUND {
        t += 1;
    }
    for (x, v) in out.iter_mut().zip(wide) {
        *x = v.at(t) as i16;
    }
    t
}

/// `sum x_t^2`. Entries are at most 2^15 in magnitude, so a square fits 32 bits.
fn squares<T: Wide>(wide: &[T], t: u32) -> u64 {
    let square = |v: &T| {
        let x = v.at(t);
        u64::from(x.wrapping_mul(x) as u32)
    };
    wide.iter().map(square).fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rule as written, in 128 bits, trying every t from zero.
    fn least(wide: &[i64]) -> (Vec<i128>, u32) {
        let half_up = |x: i128, s: u32| if s == 0 { x } else { (x + (1 << (s - 1))) >> s };
        for t in 0..64 {
            let at = |v: &i64| match t {
                0 => i128::from(*v),
                _ => half_up(half_up(i128::from(*v), t - 1), 1),
            };
            let x: Vec<i128> = wide.iter().map(at).collect();
            if x.iter().map(|x| x * x).sum::<i128>() < 1 << 29 {
                return (x, t);
            }
        }
        unreachable!("64 bits shrink to nothing")
    }

    fn agrees(wide: &[i64]) {
        let mut out = vec![0i16; wide.len()];
        let t = shorten(wide, &mut out);
        let (expected, least) = least(wide);
        assert_eq!(t, least);
        assert!(out.iter().map(|x| i128::from(*x)).eq(expected));
        if wide.iter().all(|v| v.unsigned_abs() < 1 << 30) {
            let narrow: Vec<i32> = wide.iter().map(|v| *v as i32).collect();
            let mut again = vec![0i16; wide.len()];
            assert_eq!((shorten(&narrow, &mut again), again), (t, out));
        }
    }

    proptest! {
        // spec: ENGINE-4.1
        #[test]
        fn chooses_the_least_exponent_of_all(
            wide in proptest::collection::vec(-(1i64 << 45)..(1 << 45), 0..40), shift in 0u32..45
        ) {
            agrees(&wide.iter().map(|v| v >> shift).collect::<Vec<_>>());
        }
    }

    #[test]
    fn holds_at_zero_ties_one_huge_entry_and_the_exact_bound() {
        agrees(&[]);
        agrees(&[0; 7]);
        agrees(&[1 << 44, 1, -1, 0]);
        agrees(&[-(1 << 45), 1 << 20]);
        agrees(&vec![1 << 23; 16384]);
        agrees(&[3, -3, 5, -5, 1 << 16]);
        agrees(&[32767, -32768, 32767]);
        // 16384^2 + 16383^2 + 181^2 + 2^2 + 1 + 1 is 2^29 - 1 - some: the edge from both sides.
        let mut edge = vec![16384i64, 16383];
        let mut left = (1i64 << 29) - 1 - (16384 * 16384 + 16383 * 16383);
        while left > 0 {
            edge.push(left.isqrt());
            left -= left.isqrt() * left.isqrt();
        }
        assert_eq!(edge.iter().map(|x| x * x).sum::<i64>(), (1 << 29) - 1);
        agrees(&edge);
        let mut out = vec![0; edge.len()];
        assert_eq!(shorten(&edge, &mut out), 0);
        edge.push(1);
        agrees(&edge);
        out.push(0);
        assert_eq!(shorten(&edge, &mut out), 1);
    }
}
