//! Rows of weights as `m q M 2^-C`, chosen to lose least where the input is largest.

use super::{Gain, Values, exponent, nearest, power_of_two};
use crate::model::header::Profile;
use crate::model::matrix::{GROUP_MULTIPLIER_MAX, Matrix};
use crate::op::linear::ROW_SQUARES_BOUND;
use std::ops::RangeInclusive;
use thiserror::Error;

/// A row whose weights are too large for any scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("row {row} has weights too large for op set 1")]
pub struct RowError {
    /// The row.
    pub row: usize,
}

/// Quantises rows of `columns`, of which the first has number `first` in its matrix. `gain` is that
/// of the norm before them, if any: an error in a column counts by the square of its gain.
/// `exponents` are those that keep the shift in range.
pub(crate) fn rows(
    values: &Values,
    (first, columns): (usize, usize),
    profile: Profile,
    gain: Option<&Gain>,
    exponents: &RangeInclusive<u8>,
) -> Result<Matrix, RowError> {
    let even = vec![1.0; columns];
    let importance = gain.map_or(even.as_slice(), |gain| &gain.importance);
    let mut matrix = Matrix::none(profile, columns);
    for (index, weights) in values.0.chunks_exact(columns.max(1)).enumerate() {
        let source = Source { weights, importance, profile };
        let row = source.quantise(exponents).ok_or(RowError { row: first + index })?;
        matrix.q.extend(row.q);
        matrix.m.extend(row.m);
        matrix.multiplier.push(row.scale.multiplier);
        matrix.exponent.push(row.scale.exponent);
        matrix.rows += 1;
    }
    Ok(matrix)
}

/// `M * 2^-C`.
#[derive(Debug, Clone, Copy)]
struct Scale {
    multiplier: u16,
    exponent: u8,
}

impl Scale {
    /// The least scale not below `wanted` with an exponent in range; none if that is too large.
    fn at_least(wanted: f64, exponents: &RangeInclusive<u8>) -> Option<Self> {
        let most = i32::from(*exponents.end());
        let mut exponent = (15 - exponent(wanted)).min(most);
        if exponent < 0 {
            return None;
        }
        let scaled = wanted * power_of_two(exponent);
        let mut multiplier = scaled as u32;
        multiplier += u32::from(f64::from(multiplier) < scaled);
        multiplier = multiplier.max(1 << 15);
        if multiplier == 1 << 16 {
            (multiplier, exponent) = (1 << 15, exponent - 1);
        }
        let exponent = u8::try_from(exponent).ok().filter(|it| exponents.contains(it))?;
        Some(Self { multiplier: u16::try_from(multiplier).ok()?, exponent })
    }

    fn value(self) -> f64 {
        f64::from(self.multiplier) * power_of_two(-i32::from(self.exponent))
    }
}

/// A quantised row and its weighted error.
struct Row {
    q: Vec<i8>,
    m: Vec<i8>,
    scale: Scale,
    error: f64,
}

/// A row as published.
struct Source<'a> {
    weights: &'a [f64],
    importance: &'a [f64],
    profile: Profile,
}

impl Source<'_> {
    /// The best of the profile's scales; coarser where the certificate wants it.
    // spec: ENGINE-15.2
    fn quantise(&self, exponents: &RangeInclusive<u8>) -> Option<Row> {
        let largest = self.weights.iter().fold(0.0, |largest: f64, w| largest.max(w.abs()));
        let levels = f64::from(self.q_most()) * f64::from(GROUP_MULTIPLIER_MAX);
        let mut best: Option<Row> = None;
        for stretch in self.stretches() {
            let wanted = largest / levels * stretch;
            let Some(row) = self.certified(wanted, exponents) else { continue };
            if best.as_ref().is_none_or(|best| row.error < best.error) {
                best = Some(row);
            }
        }
        best
    }

    /// Scales to try, against the one that just holds the largest weight. Four bits gain from
    /// clipping it a little.
    fn stretches(&self) -> &'static [f64] {
        match self.profile {
            Profile::W8 => &[1.0],
            Profile::W4 => &[1.0, 0.9375, 0.875],
        }
    }

    fn q_most(&self) -> i32 {
        if self.profile == Profile::W8 { 127 } else { 8 }
    }

    /// At a scale not below `wanted`, coarsened until the certificate holds.
    fn certified(&self, mut wanted: f64, exponents: &RangeInclusive<u8>) -> Option<Row> {
        loop {
            let scale = Scale::at_least(wanted, exponents)?;
            let row = self.at(scale);
            let group = self.profile.group();
            let products = row.q.chunks(group).zip(&row.m).flat_map(|(q, m)| {
                q.iter().map(|q| u64::from((i32::from(*q) * i32::from(*m)).unsigned_abs()))
            });
            if products.map(|w| w * w).sum::<u64>() < ROW_SQUARES_BOUND {
                return Some(row);
            }
            wanted = scale.value() * 1.0625;
        }
    }

    fn at(&self, scale: Scale) -> Row {
        let mut row =
            Row { q: Vec::with_capacity(self.weights.len()), m: Vec::new(), scale, error: 0.0 };
        let group = self.profile.group();
        for (weights, importance) in self.weights.chunks(group).zip(self.importance.chunks(group)) {
            let (m, error) = self.group(weights, importance, scale.value());
            let step = f64::from(m) * scale.value();
            row.q.extend(weights.iter().map(|w| self.round(*w, step)));
            row.m.push(m);
            row.error += error;
        }
        row
    }

    /// `q` of one weight.
    fn round(&self, weight: f64, step: f64) -> i8 {
        let range = self.profile.q_range();
        let (least, most) = (f64::from(*range.start()), f64::from(*range.end()));
        let q = (weight / step).clamp(least, most);
        i8::try_from(nearest(q)).expect("clamped").min(*range.end())
    }

    /// The multiplier of a group with the least weighted error; the first of equals.
    fn group(&self, weights: &[f64], importance: &[f64], scale: f64) -> (i8, f64) {
        let largest = weights.iter().fold(0.0, |largest: f64, w| largest.max(w.abs()));
        let whole = nearest(largest / (scale * f64::from(self.q_most()))).clamp(0, 64);
        let around = (whole - 2).max(1)..=(whole + 2).clamp(1, GROUP_MULTIPLIER_MAX.into());
        let signs: &[i32] = if self.profile.signed_groups() { &[1, -1] } else { &[1] };
        let mut best = (GROUP_MULTIPLIER_MAX, f64::INFINITY);
        for m in around.flat_map(|m| signs.iter().map(move |sign| m * sign)) {
            let Ok(m) = i8::try_from(m.clamp(-15, 15)) else { continue };
            let error = self.error(weights, importance, f64::from(m) * scale);
            if error < best.1 {
                best = (m, error);
            }
        }
        best
    }

    fn error(&self, weights: &[f64], importance: &[f64], step: f64) -> f64 {
        let mut sum = 0.0;
        for (weight, importance) in weights.iter().zip(importance) {
            let miss = weight - f64::from(self.round(*weight, step)) * step;
            sum += importance * (miss * miss);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quantised(weights: &[f64], profile: Profile) -> Option<Matrix> {
        let place = (0, weights.len());
        rows(&Values(weights.to_vec()), place, profile, None, &(0..=45)).ok()
    }

    /// What the integers stand for.
    fn meaning(matrix: &Matrix) -> Vec<f64> {
        let scale = f64::from(matrix.multiplier[0]) / 2f64.powi(matrix.exponent[0].into());
        matrix.row(0).map(|w| f64::from(w) * scale).collect()
    }

    proptest! {
        // spec: ENGINE-15.2
        #[test]
        fn a_row_keeps_its_certificate_and_its_weights(
            weights in proptest::collection::vec(-1f64..1.0, 1..300), scale in 1e-4f64..10.0,
            four in any::<bool>()
        ) {
            let weights: Vec<f64> = weights.iter().map(|w| w * scale).collect();
            // With the multiplier that clips nothing a weight is off by half a step at most. Four
            // bits reach a step further down than up, so there a weight at the short end is off by
            // a step, and of the two signs one has at most half of such weights. What is chosen may
            // clip a weight, but loses no more in all.
            let (profile, step, part) = match four {
                true => (Profile::W4, 1.0 / 8.0, 0.625),
                false => (Profile::W8, 1.0 / 127.0, 0.25),
            };
            let matrix = quantised(&weights, profile).expect("of an ordinary size");
            prop_assert_eq!(matrix.check(), Ok(()));
            let largest = weights.iter().fold(0f64, |a, w| a.max(w.abs()));
            let misses = weights.iter().zip(meaning(&matrix)).map(|(weight, meant)| weight - meant);
            let lost: f64 = misses.map(|miss| miss * miss).sum();
            let bound = weights.len() as f64 * (largest * step).powi(2) * part;
            prop_assert!(lost <= bound * 1.001, "{lost} is lost, at most {bound} should be");
        }
    }

    #[test]
    fn a_long_row_of_equal_weights_is_coarsened_to_its_certificate() {
        // spec: ENGINE-15.2
        let matrix = quantised(&vec![0.5; 16384], Profile::W8).expect("fits");
        assert_eq!(matrix.check(), Ok(()));
        assert!(matrix.row_squares(0) > ROW_SQUARES_BOUND / 4, "coarser than needed");
        assert!(meaning(&matrix).iter().all(|w| (w - 0.5).abs() < 0.005));
    }

    #[test]
    fn zero_tiny_and_huge_rows_have_an_answer() {
        let zero = quantised(&[0.0; 70], Profile::W4).expect("zeros fit");
        assert!(zero.q.iter().all(|q| *q == 0) && zero.check().is_ok());
        let tiny = quantised(&[1e-300; 70], Profile::W8).expect("vanishes");
        assert!(tiny.q.iter().all(|q| *q == 0));
        assert!(quantised(&[1e-310, 1.0], Profile::W8).is_some());
        assert!(quantised(&[1e9; 3], Profile::W8).is_none());
        assert!(quantised(&[1e300; 3], Profile::W8).is_none());
    }
}
