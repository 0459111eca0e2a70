//! Attention of one query head over the positions it may see: two passes, never rescaled.
//!
//! ```text
//! sc = q . k                      exact in 64 bits
//! z  = rnd(sc A_M, A_S)           steps of 2^-11 octaves; log2(e) / sqrt(dh) is in A
//!                                 where the model caps its scores, the cap of that
//! mx = max z
//! p  = EXP2[min(mx - z, 65535)]   Z = sum p, e = bitlen(Z), r = floor(2^(e+15) / Z)
//! o  = rnd(sum(p v) r, e + 11 + s)
//! ```
//!
//! |v| < 2^12 gives |sum(p v)| < Z 2^12, the product with r < 2^(e+27) <= 2^59, and |o| <= 2^16.
//! o has four more fraction bits than v; `s` brings heads of different scales to that of the
//! coarsest one of the layer.

use crate::fixed::{bit_length, rnd};
use crate::op::cap::Cap;
use crate::table::Tables;

/// Fraction bits that the output has beyond those of the values.
pub const EXTRA_BITS: u32 = 4;
/// Every |v| is below this.
pub const VALUE_BOUND: i32 = 1 << 12;

/// How scores of one head become octaves, and its output the layer's scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadScale {
    /// `A_M`.
    pub multiplier: u16,
    /// `A_S`.
    pub shift: u32,
    /// `s`, fraction bits of this head's values above the layer's coarsest.
    pub align: u32,
    /// What caps the scores, in 2^-11 octaves.
    pub cap: Option<Cap>,
}

/// `r` and the shift that follows it, for the sum of all `p`.
// spec: ENGINE-7.6
#[must_use]
pub fn inverse(sum: u64, align: u32) -> (i64, u32) {
    let bits = bit_length(sum);
    let inverse = (1u64 << (bits + 15)) / sum;
    (inverse as i64, bits + 11 + align)
}

/// `z` of one score.
// spec: ENGINE-7.4, ENGINE-7.10
#[inline(always)]
#[must_use]
pub fn octaves(score: i64, scale: HeadScale) -> i64 {
    let octaves = rnd(score.wrapping_mul(i64::from(scale.multiplier)), scale.shift);
    match scale.cap {
        None => octaves,
        Some(cap) => cap.apply(octaves, &Tables::get().sigmoid),
    }
}

/// `p` of a score `below` the largest, both in octaves.
// spec: ENGINE-7.5
#[inline(always)]
#[must_use]
pub fn power(below: i64, exponential: &[u16]) -> u16 {
    exponential[below.min(65535) as usize]
}

/// Attends `query` to all of `keys` and `values`, plainly. `query.len()` is the head's size.
///
/// # Panics
/// When there is no position, or the slices do not hold whole positions.
// spec: ENGINE-7.3
pub fn attend(
    query: &[i16],
    keys: &[i16],
    values: &[i16],
    scale: HeadScale,
    exponential: &[u16],
    out: &mut [i32],
) {
    let size = query.len();
    let dot = |key: &[i16]| -> i64 {
        query.iter().zip(key).map(|(q, k)| i64::from(*q) * i64::from(*k)).sum()
    };
    let scores: Vec<i64> = keys.chunks_exact(size).map(|key| octaves(dot(key), scale)).collect();
    let largest = *scores.iter().max().expect("a query sees at least itself");
    let powers: Vec<u16> = scores.iter().map(|z| power(largest - z, exponential)).collect();
    let (inverse, shift) = inverse(powers.iter().map(|p| u64::from(*p)).sum(), scale.align);
    for (channel, out) in out.iter_mut().enumerate() {
        let column = values.iter().skip(channel).step_by(size);
        let sum: i64 = powers.iter().zip(column).map(|(p, v)| i64::from(*p) * i64::from(*v)).sum();
        *out = rnd(sum * inverse, shift) as i32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SCALE: HeadScale = HeadScale { multiplier: 40000, shift: 24, align: 0, cap: None };

    #[test]
    fn equal_scores_average_the_values_also_when_their_sum_is_a_power_of_two() {
        // spec: ENGINE-7.3, ENGINE-7.6
        let exponential = &Tables::get().exponential;
        for positions in [1usize, 2, 3, 7, 64, 1000, 1 << 17] {
            let (keys, mut out) = (vec![0i16; 2 * positions], [0i32; 2]);
            let values: Vec<i16> = [4095, -4095].repeat(positions);
            attend(&[30000, -30000], &keys, &values, SCALE, exponential, &mut out);
            let miss = (out[0] - 65520).abs().max((out[1] + 65520).abs());
            assert!(miss <= 4, "{positions} positions gave {out:?}");
        }
        for bits in 15..=31 {
            let (inverse, shift) = inverse(1 << bits, 0);
            assert_eq!((inverse, shift), (1 << 16, bits + 12));
            assert!(inverse_is_floor((1 << bits) - 1) && inverse_is_floor((1 << bits) + 1));
        }
    }

    /// The equations of the module doc, one by one in 128 bits.
    fn slow(query: &[i16], keys: &[i16], values: &[i16], scale: HeadScale) -> Vec<i128> {
        let half_up = |x: i128, s: u32| (2 * x + (1 << s)).div_euclid(2 << s);
        let size = query.len();
        let wide = |x: &i16| i128::from(*x);
        let dot = |key: &[i16]| query.iter().zip(key).map(|(q, k)| wide(q) * wide(k)).sum::<i128>();
        let z: Vec<i128> = keys
            .chunks(size)
            .map(|key| half_up(dot(key) * i128::from(scale.multiplier), scale.shift))
            .map(|z| match scale.cap {
                None => z,
                Some(cap) => cap.apply(z as i64, &Tables::get().sigmoid).into(),
            })
            .collect();
        let most = z.iter().max().expect("a position");
        let exponential = &Tables::get().exponential;
        let power = |z: &i128| i128::from(exponential[(most - z).min(65535) as usize]);
        let p: Vec<i128> = z.iter().map(power).collect();
        let total: i128 = p.iter().sum();
        let e = (0..).find(|e| total < 1 << e).expect("some length");
        let r = (1i128 << (e + 15)) / total;
        let sum = |j| p.iter().zip(values.chunks(size)).map(|(p, v)| p * wide(&v[j])).sum::<i128>();
        (0..size).map(|j| half_up(sum(j) * r, e + 11 + scale.align)).collect()
    }

    proptest! {
        #[test]
        fn agrees_with_the_equations(
            (size, query, keys, values) in (1usize..9, 1usize..40).prop_flat_map(|(size, count)| (
                Just(size),
                prop::collection::vec(any::<i16>(), size),
                prop::collection::vec(any::<i16>(), size * count),
                prop::collection::vec(-4095i16..=4095, size * count),
            )),
            multiplier in 32768u16.., shift in 8u32..=40, align in 0u32..=16,
            capped in any::<bool>()
        ) {
            // spec: ENGINE-7.3, ENGINE-7.4, ENGINE-7.5, ENGINE-7.6, ENGINE-7.10
            let cap = if capped { Cap::new(147_732) } else { None };
            let scale = HeadScale { multiplier, shift, align, cap };
            let mut out = vec![0; size];
            attend(&query, &keys, &values, scale, &Tables::get().exponential, &mut out);
            let expected = slow(&query, &keys, &values, scale);
            prop_assert!(expected.iter().all(|o| o.abs() <= 1 << 16));
            prop_assert!(out.iter().map(|o| i128::from(*o)).eq(expected));
        }
    }

    fn inverse_is_floor(sum: u64) -> bool {
        let (inverse, shift) = inverse(sum, 3);
        let whole = 1u128 << (shift - 14 + 15);
        let product = inverse as u128 * u128::from(sum);
        product <= whole && whole < product + u128::from(sum)
    }

    #[test]
    fn scores_far_below_the_largest_weigh_nothing() {
        // spec: ENGINE-7.4, ENGINE-7.5
        let exponential = &Tables::get().exponential;
        assert_eq!(power(0, exponential), 32767);
        assert_eq!(power(2048, exponential), 16384);
        assert_eq!(power(1 << 40, exponential), 0);
        assert_eq!(octaves(-(1 << 38), SCALE), -(40000 << 14));
        let mut out = [0; 1];
        let (keys, values) = ([32767, -32767], [77, -4095]);
        attend(&[32767], &keys, &values, SCALE, exponential, &mut out);
        assert_eq!(out, [77 * 16]);
    }
}
