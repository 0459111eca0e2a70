//! Biases of rows as integers, with eight fraction bits more than the rows' outputs.

use super::{Values, nearest, power_of_two};
use crate::op::linear::BIAS_BITS;

/// The published biases of a matrix.
#[derive(Debug)]
pub(crate) struct Bias(pub(super) Values);

impl Bias {
    pub(crate) fn new(values: Values) -> Self {
        Self(values)
    }

    /// The bias of a row whose output has `bits`; none beyond 30 bits and a sign.
    // spec: ENGINE-15.10
    pub(crate) fn at(&self, row: usize, bits: u8) -> Option<i32> {
        let unit = power_of_two(i32::from(bits) + BIAS_BITS as i32);
        let scaled = self.0.0.get(row).map_or(0.0, |bias| bias * unit);
        if scaled.abs() < 1_073_741_824.0 { Some(nearest(scaled)) } else { None }
    }
}
