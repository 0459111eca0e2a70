//! Gains of a norm as 16-bit integers, at the finest scale that fits.

use super::{Values, nearest, power_of_two};
use crate::model::bounds::{finest_head_norm, finest_norm};
use crate::op::rmsnorm::NormScales;

/// Most fraction bits of gains.
const GAIN_BITS_MAX: u8 = 24;
/// Most fraction bits of a norm's output: leaves the rows behind it room for their own scale.
const VALUE_BITS_MAX: u8 = 22;

/// A norm's gains with its scales, and how much each channel counts for the weights behind it.
#[derive(Debug)]
pub(crate) struct Gain {
    pub(crate) integers: Vec<i16>,
    pub(crate) scales: NormScales,
    /// The square of the gain: what an error in the channel's weights is weighted by.
    pub(super) importance: Vec<f64>,
    /// Bits that moved from each gain into the columns behind it.
    pub(crate) columns: Vec<u8>,
}

/// Converts the gains of a norm; none if they are too large for 16 bits.
// spec: ENGINE-15.3
pub(crate) fn gain(values: &Values) -> Option<Gain> {
    let (gain_bits, integers) = integers(values)?;
    let scales = finest_norm(&integers, gain_bits, VALUE_BITS_MAX)?;
    let importance = values.0.iter().map(|gain| gain * gain).collect();
    Some(Gain { integers, scales, importance, columns: Vec::new() })
}

/// The same of gains from which some bits move into the columns behind them.
// spec: ENGINE-15.11
pub(crate) fn balanced_gain(mut values: Values, columns: Vec<u8>) -> Option<Gain> {
    values.shift(1, 0, &columns, &[]);
    Some(Gain { columns, ..gain(&values)? })
}

/// The same for the norm of a head, whose output turns.
// spec: ENGINE-15.10
pub(crate) fn head_gain(values: &Values, most: u8) -> Option<Gain> {
    let (gain_bits, integers) = integers(values)?;
    let scales = finest_head_norm(&integers, gain_bits, most)?;
    Some(Gain { integers, scales, importance: Vec::new(), columns: Vec::new() })
}

/// Fraction bits of gains, and the gains with them.
fn integers(values: &Values) -> Option<(u8, Vec<i16>)> {
    let largest = values.largest();
    let fits = |bits: &u8| largest * power_of_two((*bits).into()) <= 32766.0;
    let gain_bits = (0..=GAIN_BITS_MAX).rev().find(fits)?;
    let unit = power_of_two(gain_bits.into());
    let integer = |gain: &f64| i16::try_from(nearest(gain * unit)).expect("at most 32767");
    Some((gain_bits, values.0.iter().map(integer).collect()))
}
