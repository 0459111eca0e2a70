//! The only floats of the engine: published weights become integers here, once.
//!
//! Pure and reproducible: IEEE 754 double precision with `+ - * /` and comparisons, one after the
//! other in the order written; no library function, no fused multiply-add, no threads. Powers of
//! two are made from exponent bits. What needs more than doubles (rotary frequencies) is computed
//! with arbitrary precision and rounded correctly.
#![allow(clippy::float_arithmetic)]

mod balance;
mod bias;
mod blocks;
mod encoding;
mod fidelity;
mod frequency;
mod gain;
mod row;
mod singles;
mod stretch;

pub(crate) use balance::{Extent, bits_to_move};
pub(crate) use bias::Bias;
pub use encoding::Encoding;
pub(crate) use fidelity::Tally;
pub use frequency::FrequencyError;
pub(crate) use frequency::{Rope, Scaling, epsilon, frequencies};
pub(crate) use gain::{Gain, balanced_gain, gain, head_gain};
pub(crate) use row::{RowError, rows};
#[cfg(feature = "testing")]
pub(crate) use singles::one_more;
pub(crate) use stretch::Stretch;

use serde_json::Value;

/// A finite positive number of a configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Real(f64);

impl Real {
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        value.as_f64().filter(|number| number.is_finite() && *number > 0.0).map(Self)
    }
}

/// Some of a tensor's numbers, row-major.
#[derive(Debug)]
pub(crate) struct Values(Vec<f64>);

impl Values {
    /// The place of the first number that is none.
    pub(crate) fn first_not_finite(&self) -> Option<usize> {
        self.0.iter().position(|value| !value.is_finite())
    }

    /// All numbers as singles: each is one, as it was published.
    pub(crate) fn singles(&self) -> Vec<f32> {
        self.0.iter().map(|value| *value as f32).collect()
    }

    /// Every number times the root of `width`.
    pub(crate) fn times_root(&mut self, width: u32) {
        let factor = f64::from(width).sqrt();
        self.0.iter_mut().for_each(|value| *value *= factor);
    }

    /// Every number plus one.
    pub(crate) fn plus_one(&mut self) {
        self.0.iter_mut().for_each(|value| *value += 1.0);
    }

    /// Every number less one: exact for singles near it.
    pub(crate) fn less_one(&mut self) {
        self.0.iter_mut().for_each(|value| *value -= 1.0);
    }

    /// Every number over the root of `width`.
    pub(crate) fn over_root(&mut self, width: u32) {
        let divisor = f64::from(width).sqrt();
        self.0.iter_mut().for_each(|value| *value /= divisor);
    }

    /// The largest magnitude.
    fn largest(&self) -> f64 {
        self.0.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()))
    }

    /// Takes each number from another place.
    pub(crate) fn unpair(&mut self, place: impl Fn(usize) -> usize) {
        self.0 = (0..self.0.len()).map(|index| self.0[place(index)]).collect();
    }
}

/// The number of a double whose decimal digits are the fewest that mean this single: `1e-5` for the
/// single nearest to it. None for what is not finite.
// spec: ENGINE-16.5
pub(crate) fn shortest(single_bits: u32) -> Option<serde_json::Number> {
    let number: f64 = f32::from_bits(single_bits).to_string().parse().ok()?;
    serde_json::Number::from_f64(number)
}

/// The bits of the single that is nearest to a number of a configuration.
#[cfg(feature = "testing")]
pub(crate) fn nearest_single(value: &Value) -> Option<u32> {
    value.as_f64().map(|number| (number as f32).to_bits())
}

/// How far a residual stream can reach: an embedding, and norms that add to it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reach(f64);

impl Reach {
    /// No entry of the embedding is larger.
    pub(crate) fn begin(&mut self, values: &Values) {
        self.0 = self.0.max(values.largest());
    }

    /// And then a norm with these gains adds to it.
    pub(crate) fn add(&mut self, gains: &Values) {
        let width = u32::try_from(gains.0.len()).expect("a width of op set 1");
        self.0 += f64::from(width).sqrt() * gains.largest();
    }

    /// The most fraction bits of `bits` with which it stays below 2^30, or the fewest.
    // spec: ENGINE-15.10
    pub(crate) fn bits(self, bits: std::ops::RangeInclusive<u8>) -> u8 {
        let fits = |bits: &u8| self.0 * power_of_two((*bits).into()) < 1_073_741_824.0;
        bits.clone().rev().find(fits).unwrap_or(*bits.start())
    }
}

/// A soft cap in units of which there are `units` to one; none beyond 32 bits.
// spec: ENGINE-15.10
pub(crate) fn cap(cap: Real, units: CapUnits) -> Option<u32> {
    let units = match units {
        CapUnits::Logits => 4096.0,
        CapUnits::Octaves => 2_954.639_443_740_597,
    };
    let units = cap.0 * units;
    if units < 1e9 { u32::try_from(nearest(units)).ok() } else { None }
}

/// What a soft cap is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CapUnits {
    /// 12 fraction bits.
    Logits,
    /// Steps of 2^-11 octaves: 2048 log2(e) to one.
    Octaves,
}

/// `2^exponent` for exponents of normal numbers.
fn power_of_two(exponent: i32) -> f64 {
    let biased = u64::try_from(exponent + 1023).expect("not below the least normal exponent");
    f64::from_bits(biased << 52)
}

/// The exponent of a normal number: `2^e <= x < 2^(e+1)`; of a smaller one, the least.
fn exponent(x: f64) -> i32 {
    let biased = i32::try_from((x.to_bits() >> 52) & 0x7FF).expect("11 bits");
    biased.max(1) - 1023
}

/// The integer nearest to `x`, halves upwards, for |x| below 2^31.
fn nearest(x: f64) -> i32 {
    let (shifted, truncated) = (x + 0.5, (x + 0.5) as i32);
    if f64::from(truncated) > shifted { truncated - 1 } else { truncated }
}
