//! Static proofs: integers that no input can exceed, from the weights and gains alone.
//!
//! After a norm, `v = n gain 2^(fv-ge)` with `|n| <= sqrt(d)`; the L2 rule at exponent t changes an
//! entry by at most `3/4 2^t`, and `v` itself is off by at most 1/2. For a row W that gives
//!
//! ```text
//! |sum W x 2^t| <= |W gain| sqrt(d) 2^(fv-ge) (1 + 2^-20) + |W|_1 (3/4 2^9 + 1/2)
//! ```
//!
//! and times `M 2^-S`, one more for rounding, the row's reach; a bias reaches as far as it is
//! large. Everything is rounded up, 16 fraction bits. Conversion picks scales by these; loading
//! proves them again.

use crate::fixed::root_above;
use crate::model::matrix::Matrix;
use crate::op::attention::{EXTRA_BITS, VALUE_BOUND};
use crate::op::linear::BIAS_BITS;
use crate::op::rmsnorm::NormScales;
use crate::op::swiglu::GATE_BOUND;

/// Largest exponent the L2 rule can give after a norm, whose vector is shorter than 2^23.
// spec: ENGINE-4.2
pub const NORM_EXPONENT_MAX: u32 = 9;
/// Largest shift anywhere.
pub const SHIFT_MAX: u32 = 62;
/// Least shift of a row with a bias: so much is left at the largest exponent.
pub const BIASED_SHIFT_MIN: u32 = NORM_EXPONENT_MAX + BIAS_BITS;
const ONE: u128 = 1 << 16;
/// A reach beyond this is out of every declared range; it keeps the sums below in 128 bits.
const REACH_MAX: u128 = 1 << 50;

/// Largest exponent the L2 rule can give for `length` entries of magnitude at most `2^bits`.
// spec: ENGINE-4.2
#[must_use]
pub fn exponent_max(bits: u32, length: usize) -> u32 {
    let fits = |t: &u32| {
        let side = 4 * (1u128 << (bits - t)) + 3;
        (length as u128) * side * side < 1 << 33
    };
    (0..bits).find(fits).unwrap_or(bits).max((bits + 1).saturating_sub(15))
}

/// Largest exponent after attention over `width` channels.
#[must_use]
pub fn attention_exponent_max(width: usize) -> u32 {
    exponent_max(VALUE_BOUND.ilog2() + EXTRA_BITS, width)
}

/// Largest exponent after SwiGLU over `inner` channels.
#[must_use]
pub fn gate_exponent_max(inner: usize) -> u32 {
    exponent_max(2 * GATE_BOUND.ilog2(), inner)
}

/// Whether a norm's shifts and its output stay in range: `sqrt(d) max|gain| 2^(fv-ge) < 2^23`.
// spec: ENGINE-6.4
#[must_use]
pub fn norm_holds(gain: &[i16], scales: NormScales) -> bool {
    let (ge, fv) = (u32::from(scales.gain_bits), u32::from(scales.value_bits));
    norm_shifts_hold(gain.len(), scales) && norm_square(gain) << (2 * fv) < 1u128 << (46 + 2 * ge)
}

/// Whether the shift of a norm over `width` channels is within 0 to 62 for every input.
fn norm_shifts_hold(width: usize, scales: NormScales) -> bool {
    let (ge, fv) = (u32::from(scales.gain_bits), u32::from(scales.value_bits));
    let least = (0..30).find(|k| (width as u64) << (2 * k) >= 1 << 30).unwrap_or(30);
    least + ge >= fv && 29 + 14 + ge - fv.min(ge) <= SHIFT_MAX
}

/// `d max|gain|^2`.
fn norm_square(gain: &[i16]) -> u128 {
    let largest = gain.iter().map(|gain| gain.unsigned_abs()).max().unwrap_or(0);
    gain.len() as u128 * u128::from(largest).pow(2)
}

/// Whether a norm whose output is added to the residual stream, with its `residual_bits`, has
/// shifts in range and an output below 2^30.
// spec: ENGINE-6.5
#[must_use]
pub fn after_norm_holds(gain: &[i16], gain_bits: u8, residual_bits: u8) -> bool {
    let scales = NormScales { gain_bits, value_bits: residual_bits };
    let ge = u32::from(gain_bits);
    norm_shifts_hold(gain.len(), scales)
        && norm_square(gain) << (2 * u32::from(residual_bits)) < 1u128 << (60 + 2 * ge)
}

/// Whether the norm of a head has shifts in range, and gives rotary pairs that stay below 2^15,
/// turned or not.
// spec: ENGINE-6.6
#[must_use]
pub fn head_norm_holds(gain: &[i16], scales: NormScales) -> bool {
    let length = root_above(norm_square(gain) << 32) << scales.value_bits >> scales.gain_bits;
    norm_shifts_hold(gain.len(), scales) && turns_hold(length + 1 + ONE)
}

/// How far one row after a norm can reach.
#[derive(Debug, Clone, Copy)]
pub struct RowReach {
    numerator: u128,
    exponent: u32,
    input_bits: u32,
}

impl RowReach {
    /// Of one row of `matrix` behind a norm.
    #[must_use]
    pub fn of(matrix: &Matrix, row: usize, gain: &[i16], scales: NormScales) -> Self {
        let (mut squares, mut sum) = (0u128, 0u128);
        for (w, gain) in matrix.row(row).zip(gain) {
            let product = u128::from(w.unsigned_abs()) * u128::from(gain.unsigned_abs());
            squares += product * product;
            sum += u128::from(w.unsigned_abs());
        }
        let width = root_above((gain.len() as u128) << 32);
        let length = root_above(squares) * width;
        let main = ((length << scales.value_bits) >> scales.gain_bits) + 1;
        let error = sum * 385 * ONE;
        let numerator = (main + (main >> 20) + 1 + error) * u128::from(matrix.multiplier[row]);
        let exponent = matrix.exponent[row].into();
        Self { numerator, exponent, input_bits: scales.value_bits.into() }
    }

    /// The largest magnitude with `output_bits`, 16 fraction bits; none if the row's shift leaves
    /// its range or the reach leaves every range. A bias has `output_bits` and eight more.
    // spec: ENGINE-3.8, ENGINE-7.7
    #[must_use]
    pub fn with_bits(&self, output_bits: u8, bias: Option<u32>) -> Option<u64> {
        let shift = (self.exponent + self.input_bits).checked_sub(output_bits.into())?;
        let range = match bias {
            None => NORM_EXPONENT_MAX..=SHIFT_MAX,
            Some(_) => BIASED_SHIFT_MIN..=SHIFT_MAX,
        };
        if !range.contains(&shift) {
            return None;
        }
        let bias = u128::from(bias.unwrap_or(0)) << (16 - BIAS_BITS);
        let reach = (self.numerator >> shift) + 1 + ONE + bias;
        u64::try_from(reach).ok().filter(|reach| u128::from(*reach) < REACH_MAX)
    }
}

/// Whether every row stays strictly below `bound`.
// spec: ENGINE-8.1
fn rows_hold(reaches: &[Option<u64>], bound: u64) -> bool {
    reaches.iter().all(|reach| reach.is_some_and(|reach| reach < bound << 16))
}

/// Whether every rotary pair of a head stays strictly below 2^15, turned or not. `reaches` are
/// those of the head's rows; row j turns with row j + half.
// spec: ENGINE-7.7
fn pairs_hold(reaches: &[Option<u64>]) -> bool {
    let (first, second) = reaches.split_at(reaches.len() / 2);
    first.iter().zip(second).all(|(a, b)| pair_holds(*a, *b).unwrap_or(false))
}

fn pair_holds(a: Option<u64>, b: Option<u64>) -> Option<bool> {
    let length = root_above(u128::from(a?).pow(2) + u128::from(b?).pow(2));
    Some(turns_hold(length))
}

/// Whether a pair of this length, 16 fraction bits, stays strictly below 2^15 when it turns.
fn turns_hold(length: u128) -> bool {
    length + (length >> 12) + 2 * ONE < 1 << 31
}

/// The most fraction bits up to `most` for which `holds`.
fn finest(most: u8, holds: impl Fn(u8) -> bool) -> Option<u8> {
    (0..=most).rev().find(|bits| holds(*bits))
}

/// The finest scales of a norm with these integer gains at `gain_bits`, at most `most`.
#[must_use]
pub fn finest_norm(gain: &[i16], gain_bits: u8, most: u8) -> Option<NormScales> {
    let scales = |value_bits| NormScales { gain_bits, value_bits };
    finest(most, |bits| norm_holds(gain, scales(bits))).map(scales)
}

/// The finest scales of a norm of heads with these integer gains at `gain_bits`, at most `most`.
#[must_use]
pub fn finest_head_norm(gain: &[i16], gain_bits: u8, most: u8) -> Option<NormScales> {
    let scales = |value_bits| NormScales { gain_bits, value_bits };
    finest(most, |bits| head_norm_holds(gain, scales(bits))).map(scales)
}

/// What the outputs of a matrix behind a norm must fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Heads of 16 bits, turned by any angle.
    Pairs,
    /// Heads of 12 bits and a sign.
    Values,
    /// 22 bits and a sign.
    Gates,
    /// Heads of 30 bits and a sign, normed before they are turned.
    Wide,
}

impl Fit {
    fn holds(self, reaches: &[Option<u64>]) -> bool {
        match self {
            Self::Pairs => pairs_hold(reaches),
            Self::Values => rows_hold(reaches, VALUE_BOUND.unsigned_abs().into()),
            Self::Gates => rows_hold(reaches, GATE_BOUND.unsigned_abs()),
            Self::Wide => rows_hold(reaches, 1 << 30),
        }
    }
}

/// The magnitude of a row's bias at some fraction bits of the output; none where rows have none.
pub type BiasOf<'a> = &'a dyn Fn(usize, u8) -> Option<u32>;

/// For rows without biases.
pub const NO_BIAS: BiasOf<'static> = &|_, _| None;

/// A matrix behind a norm, and how far its rows reach.
#[derive(Debug)]
pub struct Behind {
    reaches: Vec<RowReach>,
}

impl Behind {
    /// Of all rows.
    #[must_use]
    pub fn new(matrix: &Matrix, gain: &[i16], scales: NormScales) -> Self {
        let reach = |row| RowReach::of(matrix, row, gain, scales);
        Self { reaches: (0..matrix.rows).map(reach).collect() }
    }

    /// The finest scale up to `most` of every head of `size` rows.
    #[must_use]
    pub fn finest(&self, size: usize, fit: Fit, most: u8, bias: BiasOf<'_>) -> Option<Vec<u8>> {
        let heads = self.reaches.len().div_ceil(size.max(1));
        let bits = |head| finest(most, |bits| self.holds(head, size, fit, bits, bias));
        (0..heads).map(bits).collect()
    }

    /// Whether these scales, one for each head, are proven.
    #[must_use]
    pub fn proves(&self, bits: &[u8], fit: Fit, bias: BiasOf<'_>) -> bool {
        let size = self.reaches.len() / bits.len();
        let mut heads = bits.iter().enumerate();
        heads.all(|(head, bits)| self.holds(head, size, fit, *bits, bias))
    }

    fn holds(&self, head: usize, size: usize, fit: Fit, bits: u8, bias: BiasOf<'_>) -> bool {
        let rows = head * size..((head + 1) * size).min(self.reaches.len());
        let reach = |row: usize| self.reaches[row].with_bits(bits, bias(row, bits));
        fit.holds(&rows.map(reach).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::l2;

    #[test]
    fn no_vector_reaches_beyond_its_largest_exponent() {
        // spec: ENGINE-4.2
        for (bits, length) in [(16, 1), (16, 64), (16, 1 << 14), (44, 1), (44, 9), (44, 1 << 17)] {
            let most = exponent_max(bits, length);
            let mut out = vec![0; length];
            let found = l2::shorten(&vec![1i64 << bits; length], &mut out);
            assert!(found <= most && most <= found + 1, "{found} of {most} for {length}");
            let found = l2::shorten(&vec![-(1i64 << bits); length], &mut out);
            assert!(found <= most, "{found} of {most} for {length}");
        }
        // After a norm: all the length in one channel, or spread over all of them.
        let mut one = vec![0i32; 1 << 14];
        one[5] = (1 << 23) - 1;
        let mut out = vec![0; 1 << 14];
        assert_eq!(l2::shorten(&one, &mut out), NORM_EXPONENT_MAX);
        assert!(l2::shorten(&vec![(1i32 << 16) - 1; 1 << 14], &mut out) <= NORM_EXPONENT_MAX);
    }

    #[test]
    fn no_input_drives_a_row_beyond_its_reach() {
        // spec: ENGINE-7.7
        // The input that a row likes best: parallel to it, and as long as a norm leaves anything.
        let gain: Vec<i16> = (0..48).map(|j| 9000 + 300 * j).collect();
        let scales = finest_norm(&gain, 14, 22).expect("ordinary gains");
        let matrix = crate::model::matrix::Matrix {
            profile: crate::Profile::W8,
            rows: 1,
            columns: 48,
            q: (0..48).map(|j: i32| (j * 37 % 255 - 127) as i8).collect(),
            m: vec![15],
            multiplier: vec![50_000],
            exponent: vec![28],
        };
        let ideal: Vec<f64> =
            matrix.row(0).zip(&gain).map(|(w, g)| f64::from(w) * f64::from(*g)).collect();
        let length = ideal.iter().map(|x| x * x).sum::<f64>().sqrt();
        let x: Vec<i32> = ideal.iter().map(|x| (x / length * 1e8) as i32).collect();
        let mut wide = vec![0i32; 48];
        crate::op::rmsnorm::normalise(&x, &gain, scales, 0, &mut wide);
        let mut short = vec![0i16; 48];
        let t = l2::shorten(&wide, &mut short);
        let acc = crate::op::linear::accumulate(matrix.row(0), &short);
        for bits in 0..=10 {
            let reach =
                RowReach::of(&matrix, 0, &gain, scales).with_bits(bits, None).expect("fits");
            let shift = 28 + u32::from(scales.value_bits) - u32::from(bits) - t;
            let y = crate::op::linear::scale(acc as i32, 50_000, shift).unsigned_abs();
            assert!(y << 16 <= reach, "{y} is beyond {reach}");
            assert!(reach < (y + 2) << 17, "{reach} is far beyond {y}");
        }
    }
}
