//! The only floats of the engine: published weights become integers here, once.
//!
//! Pure and reproducible: IEEE 754 double precision with `+ - * /` and comparisons, one after the
//! other in the order written; no library function, no fused multiply-add, no threads. Powers of
//! two are made from exponent bits. What needs more than doubles (rotary frequencies) is computed
//! with arbitrary precision and rounded correctly.
#![allow(clippy::float_arithmetic)]

mod blocks;
mod encoding;
mod fidelity;
mod frequency;
mod gain;
mod row;

pub use encoding::Encoding;
pub(crate) use fidelity::Tally;
pub use frequency::FrequencyError;
pub(crate) use frequency::{epsilon, frequencies};
pub(crate) use gain::{Gain, gain};
pub(crate) use row::{RowError, rows};

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
