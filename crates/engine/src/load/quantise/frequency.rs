//! Numbers of the header that come from real functions: rotary frequencies and epsilon.

use super::Real;
use astro_float::{BigFloat, Consts, RoundingMode};
use thiserror::Error;

/// The arithmetic could not be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("rope_theta gives frequencies outside zero to one turn a position")]
pub struct FrequencyError;

/// How a configuration stretches the frequencies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scaling {
    /// Not at all.
    None,
    /// All of them by one factor.
    Linear(Real),
    /// Slow ones by a factor, fast ones not, and those between by degrees.
    Llama3 {
        /// What slow frequencies are divided by.
        factor: Real,
        /// Slow is what turns less often than this in the original context.
        low: Real,
        /// Fast is what turns more often than this.
        high: Real,
        /// Positions of the original context.
        original: Real,
    },
}

/// The rotary embedding of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rope {
    pub(crate) theta: Real,
    pub(crate) scaling: Scaling,
}

/// Working precision in bits. The two precisions agree on the rounded integer or a third decides;
/// an error of 2^-180 and a tie to the same closeness do not meet by chance.
const PRECISIONS: [usize; 2] = [256, 448];

/// `f_j = round(2^64 s(theta^(-2j/dh) / 2 pi))` for every pair, halves up; s is the scaling.
// spec: ENGINE-15.4
pub(crate) fn frequencies(rope: &Rope, head_size: u32) -> Result<Vec<u64>, FrequencyError> {
    let mut constants = Consts::new().map_err(|_| FrequencyError)?;
    (0..head_size / 2)
        .map(|pair| {
            let [first, second] =
                PRECISIONS.map(|bits| frequency(rope, pair, head_size, bits, &mut constants));
            match (first, second) {
                (Some(first), Some(second)) if first == second => Ok(first),
                _ => Err(FrequencyError),
            }
        })
        .collect()
}

fn frequency(
    rope: &Rope,
    pair: u32,
    head_size: u32,
    bits: usize,
    constants: &mut Consts,
) -> Option<u64> {
    let mode = RoundingMode::ToEven;
    let number = |n: u32| BigFloat::from_u32(n, bits);
    let part = number(2 * pair).div(&number(head_size), bits, mode).neg();
    let theta = BigFloat::from_f64(rope.theta.0, bits);
    let power = theta.pow(&part, bits, mode, constants);
    let turn = constants.pi(bits, mode).mul(&number(2), bits, mode);
    let mut turns = scaled(power.div(&turn, bits, mode), rope.scaling, bits);
    let exponent = turns.exponent()?;
    turns.set_exponent(exponent.checked_add(64)?);
    round(&turns.add(&BigFloat::from_f64(0.5, bits), bits, mode).floor())
}

/// Turns a position after scaling.
// spec: ENGINE-15.4
fn scaled(turns: BigFloat, scaling: Scaling, bits: usize) -> BigFloat {
    let mode = RoundingMode::ToEven;
    let number = |real: Real| BigFloat::from_f64(real.0, bits);
    match scaling {
        Scaling::None => turns,
        Scaling::Linear(factor) => turns.div(&number(factor), bits, mode),
        Scaling::Llama3 { factor, low, high, original } => {
            let slow = turns.div(&number(factor), bits, mode);
            let often = turns.mul(&number(original), bits, mode);
            if often.cmp(&number(low)).is_some_and(|order| order < 0) {
                return slow;
            }
            if often.cmp(&number(high)).is_some_and(|order| order > 0) {
                return turns;
            }
            let span = number(high).sub(&number(low), bits, mode);
            let part = often.sub(&number(low), bits, mode).div(&span, bits, mode);
            let more = turns.sub(&slow, bits, mode).mul(&part, bits, mode);
            slow.add(&more, bits, mode)
        }
    }
}

/// A whole number as 64 bits. The mantissa is in words of 64 bits, the most significant last, and
/// stands for a fraction in [1/2, 1) times 2^exponent.
fn round(whole: &BigFloat) -> Option<u64> {
    if whole.is_zero() {
        return Some(0);
    }
    let (words, _, sign, exponent, _) = whole.as_raw_parts()?;
    if sign.is_negative() || !(1..=64).contains(&exponent) {
        return None;
    }
    let top = *words.last()?;
    u32::try_from(64 - exponent).ok().map(|shift| top >> shift)
}

/// `floor(eps d 2^(2 Fx))`, exactly: a double is an integer times a power of two.
// spec: ENGINE-15.5
pub(crate) fn epsilon(epsilon: Real, width: u32, residual_bits: u8) -> Option<u64> {
    let bits = epsilon.0.to_bits();
    let biased = i32::try_from(bits >> 52).ok()?;
    let fraction = bits & ((1 << 52) - 1);
    let mantissa = if biased == 0 { fraction } else { fraction | 1 << 52 };
    let exponent = biased.max(1) - 1075 + 2 * i32::from(residual_bits);
    let product = u128::from(mantissa) * u128::from(width);
    let shift = exponent.unsigned_abs();
    let value = match exponent {
        0.. if shift < 40 => product << shift,
        0.. => return None,
        _ if shift < 128 => product >> shift,
        _ => 0,
    };
    u64::try_from(value).ok().filter(|value| *value < 1 << 54)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(theta: f64) -> Rope {
        Rope { theta: Real(theta), scaling: Scaling::None }
    }

    #[test]
    fn frequencies_are_correctly_rounded() {
        // spec: ENGINE-15.4
        let found = frequencies(&plain(10_000.0), 64).expect("ordinary");
        // 2^64 / 2 pi, and the same over 10 000^(62/64), to 20 digits.
        assert_eq!(found[0], 2_935_890_503_282_001_226);
        for (pair, frequency) in found.iter().enumerate() {
            let real = 2f64.powi(64) / std::f64::consts::TAU * 1e4f64.powf(-(pair as f64) / 32.0);
            assert!((*frequency as f64 / real - 1.0).abs() < 1e-12, "pair {pair}");
        }
        assert!(frequencies(&plain(1e-3), 64).is_err(), "more than a turn a position");
    }

    #[test]
    fn scaled_frequencies_are_those_of_the_formulas() {
        // spec: ENGINE-15.4
        let plain = frequencies(&plain(500_000.0), 128).expect("ordinary");
        let with = |scaling| Rope { theta: Real(500_000.0), scaling };
        let linear = frequencies(&with(Scaling::Linear(Real(8.0))), 128).expect("ordinary");
        let (low, high, original) = (Real(1.0), Real(4.0), Real(8192.0));
        let llama3 = Scaling::Llama3 { factor: Real(32.0), low, high, original };
        let llama3 = frequencies(&with(llama3), 128).expect("ordinary");
        let mut kinds = [0; 3];
        for ((plain, linear), llama3) in plain.iter().zip(&linear).zip(&llama3) {
            assert!(linear.abs_diff(*plain / 8) <= 1);
            let turns = *plain as f64 / 2f64.powi(64);
            let often = 8192.0 * turns;
            let part = ((often - 1.0) / 3.0).clamp(0.0, 1.0);
            let expected = (1.0 - part) * turns / 32.0 + part * turns;
            assert!((*llama3 as f64 / 2f64.powi(64) / expected - 1.0).abs() < 1e-9);
            kinds[if often < 1.0 { 0 } else { 1 + usize::from(often > 4.0) }] += 1;
        }
        assert!(kinds.iter().all(|count| *count > 3), "all three kinds are met: {kinds:?}");
    }

    #[test]
    fn epsilon_is_the_exact_floor() {
        // spec: ENGINE-15.5
        assert_eq!(epsilon(Real(0.5), 3, 16), Some(3 << 31));
        // 1e-5 * 128 * 2^32 = 5497558.138...
        assert_eq!(epsilon(Real(1e-5), 128, 16), Some(5_497_558));
        assert_eq!(epsilon(Real(1e-300), 128, 16), Some(0));
        assert_eq!(epsilon(Real(1e9), 1 << 14, 16), None);
        assert_eq!(epsilon(Real(1e300), 1 << 14, 16), None);
    }
}
