//! Numbers of the header that come from real functions: rotary frequencies and epsilon.

use super::Real;
use astro_float::{BigFloat, Consts, RoundingMode};
use thiserror::Error;

/// The arithmetic could not be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("rope_theta gives frequencies outside zero to one turn a position")]
pub struct FrequencyError;

/// Working precision in bits. The two precisions agree on the rounded integer or a third decides;
/// an error of 2^-180 and a tie to the same closeness do not meet by chance.
const PRECISIONS: [usize; 2] = [256, 448];

/// `f_j = round(2^64 theta^(-2j/dh) / 2 pi)` for every pair, halves up.
// spec: ENGINE-15.4
pub(crate) fn frequencies(theta: Real, head_size: u32) -> Result<Vec<u64>, FrequencyError> {
    let mut constants = Consts::new().map_err(|_| FrequencyError)?;
    (0..head_size / 2)
        .map(|pair| {
            let [first, second] =
                PRECISIONS.map(|bits| frequency(theta, pair, head_size, bits, &mut constants));
            match (first, second) {
                (Some(first), Some(second)) if first == second => Ok(first),
                _ => Err(FrequencyError),
            }
        })
        .collect()
}

fn frequency(
    theta: Real,
    pair: u32,
    head_size: u32,
    bits: usize,
    constants: &mut Consts,
) -> Option<u64> {
    let mode = RoundingMode::ToEven;
    let number = |n: u32| BigFloat::from_u32(n, bits);
    let part = number(2 * pair).div(&number(head_size), bits, mode).neg();
    let theta = BigFloat::from_f64(theta.0, bits);
    let power = theta.pow(&part, bits, mode, constants);
    let turn = constants.pi(bits, mode).mul(&number(2), bits, mode);
    let mut turns = power.div(&turn, bits, mode);
    let exponent = turns.exponent()?;
    turns.set_exponent(exponent.checked_add(64)?);
    round(&turns.add(&BigFloat::from_f64(0.5, bits), bits, mode).floor())
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

    #[test]
    fn frequencies_are_correctly_rounded() {
        // spec: ENGINE-15.4
        let found = frequencies(Real(10_000.0), 64).expect("ordinary");
        // 2^64 / 2 pi, and the same over 10 000^(62/64), to 20 digits.
        assert_eq!(found[0], 2_935_890_503_282_001_226);
        for (pair, frequency) in found.iter().enumerate() {
            let real = 2f64.powi(64) / std::f64::consts::TAU * 1e4f64.powf(-(pair as f64) / 32.0);
            assert!((*frequency as f64 / real - 1.0).abs() < 1e-12, "pair {pair}");
        }
        assert!(frequencies(Real(1e-3), 64).is_err(), "more than a turn a position");
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
