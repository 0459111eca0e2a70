//! How near integer weights are to the published ones: a report for people, never part of a model.

use super::{Values, power_of_two};
use crate::model::matrix::Matrix;

/// Sums of squares: of the published weights, and of what was lost of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    signal: f64,
    noise: f64,
}

impl Tally {
    /// Of some rows, of which the first has number `first`.
    pub(crate) fn of(values: &Values, matrix: &Matrix, first: usize) -> Self {
        let mut tally = Self::default();
        for (row, weights) in (first..).zip(values.0.chunks_exact(matrix.columns.max(1))) {
            let scale =
                f64::from(matrix.multiplier[row]) * power_of_two(-i32::from(matrix.exponent[row]));
            for (weight, integer) in weights.iter().zip(matrix.row(row)) {
                let miss = weight - f64::from(integer) * scale;
                tally.signal += weight * weight;
                tally.noise += miss * miss;
            }
        }
        tally
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { signal: self.signal + other.signal, noise: self.noise + other.noise }
    }

    /// Signal to noise in tenths of a decibel; none where nothing was lost.
    pub(crate) fn decibel_tenths(self) -> Option<i32> {
        let ratio = self.signal / self.noise;
        (self.noise > 0.0 && ratio > 0.0).then(|| (100.0 * ratio.log10()) as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::header::Profile;

    #[test]
    fn a_loss_of_a_hundredth_of_the_squares_is_twenty_decibels() {
        let matrix = Matrix {
            profile: Profile::W8,
            rows: 1,
            columns: 2,
            q: vec![9, 0],
            m: vec![1],
            multiplier: vec![1 << 15],
            exponent: vec![15],
        };
        let tally = Tally::of(&Values(vec![10.0, 0.0]), &matrix, 0);
        assert_eq!(tally.decibel_tenths(), Some(200));
        let exact = Tally::of(&Values(vec![9.0, 0.0]), &matrix, 0);
        assert_eq!(exact.decibel_tenths(), None);
        assert_eq!(exact.and(tally).decibel_tenths(), Some(225));
    }
}
