//! Llama 3.1's rotary frequencies: GGUF has a factor for each pair instead of the four numbers that
//! the configuration says. The numbers are found again, or the factors are refused.

use super::{Real, Rope, Scaling, frequencies};
use crate::load::catalogue::{Catalogue, Files, SourceError};
use serde_json::{Value, json};

/// What every published model of the kind has.
const LOW: f64 = 1.0;
const HIGH: f64 = 4.0;
/// Bits of the original context that are tried: from 16 to 2^20 positions.
const CONTEXT_BITS: std::ops::RangeInclusive<u32> = 4..=20;
/// How far a factor may be from that of the formula. Whoever writes them counts in single
/// precision, which is off by a hundredth of this at most.
const TOLERANCE: f64 = 1e-4;
/// The base of frequencies where nothing says one.
const BASE: f64 = 10_000.0;

/// What the frequency of each pair is divided by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stretch(Vec<f32>);

impl Stretch {
    /// Reads the tensor of that name, one number for each pair of a head.
    pub(crate) fn read(
        catalogue: &Catalogue,
        files: &dyn Files,
        name: &str,
        pairs: usize,
    ) -> Result<Self, SourceError> {
        catalogue.singles(files, name, &[pairs], 0..1).map(Self)
    }

    /// Whether it does nothing.
    pub(crate) fn is_none(&self) -> bool {
        self.0.iter().all(|factor| *factor == 1.0)
    }

    /// `rope_scaling` of a configuration that gives these factors with frequencies of this base;
    /// none where they are of another kind.
    // spec: ENGINE-16.6
    pub(crate) fn scaling(&self, theta: Option<&Value>) -> Option<Value> {
        let theta = theta.map_or(Some(Real(BASE)), Real::from_json)?;
        let plain = Rope { theta, scaling: Scaling::None };
        let head = u32::try_from(2 * self.0.len()).ok()?;
        let turns: Vec<f64> =
            frequencies(&plain, head).ok()?.iter().map(|f| *f as f64 / 2.0_f64.powi(64)).collect();
        // The slowest pair is divided by the whole factor.
        let factor = self.0.last().copied().map(f64::from).filter(|factor| *factor > 1.0)?;
        let fits = |bits: &u32| {
            let original = f64::from(1u32 << bits);
            let expected = turns.iter().map(|turns| stretched(original * turns, factor));
            let near = |(found, expected): (&f32, f64)| {
                (f64::from(*found) / expected - 1.0).abs() < TOLERANCE
            };
            self.0.iter().zip(expected).all(near)
        };
        let bits = CONTEXT_BITS.rev().find(fits)?;
        Some(json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": LOW,
            "high_freq_factor": HIGH,
            "original_max_position_embeddings": 1u32 << bits,
        }))
    }
}

/// What a pair that turns so often in the original context is divided by.
fn stretched(often: f64, factor: f64) -> f64 {
    let part = ((often - LOW) / (HIGH - LOW)).clamp(0.0, 1.0);
    1.0 / ((1.0 - part) / factor + part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(theta: f32, factor: f64, original: u32) -> Vec<f32> {
        // In single precision, as those who write such files count.
        let pair = |pair: u16| {
            let turns = theta.powf(-f32::from(pair) / 64.0) / std::f32::consts::TAU;
            stretched(f64::from(original as f32 * turns), factor) as f32
        };
        (0..64).map(pair).collect()
    }

    fn found(factors: Vec<f32>, theta: u32) -> Option<Value> {
        Stretch(factors).scaling(Some(&theta.into()))
    }

    #[test]
    fn the_four_numbers_are_found_again() {
        // spec: ENGINE-16.6
        for (factor, original) in [(8.0, 8192), (32.0, 8192), (2.0, 131_072), (8.0, 64)] {
            let found = found(factors(5e5, factor, original), 500_000).expect("known");
            assert_eq!(found["factor"], factor);
            assert_eq!(found["original_max_position_embeddings"], original);
        }
        assert!(Stretch(vec![1.0; 64]).is_none());
    }

    #[test]
    fn factors_of_another_kind_are_not_taken_for_these() {
        // spec: ENGINE-16.6
        let mut one_off = factors(5e5, 8.0, 8192);
        one_off[40] *= 1.001;
        for factors in [one_off, vec![2.0; 64], vec![0.0; 64], vec![f32::NAN; 64], Vec::new()] {
            assert_eq!(found(factors, 500_000), None);
        }
        assert_eq!(found(factors(5e5, 8.0, 8192), 10_000), None, "of another base");
    }
}
