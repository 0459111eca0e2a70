//! `GEL[i + 32768] = round(65536 / (1 + e^-y))` with `y = sqrt(8/pi) (z + 0.044715 z^3)` and
//! `z = i/2048`: the gate of GeGLU, whose activation is `z` times this.
//!
//! That is gelu with the hyperbolic tangent, `z/2 (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3)))`.

use super::cosine::quarter_turn;
use super::q62::{self, ONE};

const MIDDLE: usize = (1 << 16) / 2;
/// Beyond this entry `65536 e^-y` is below a half by far.
pub(super) const FLAT: usize = 4 * 2048 + 1024;

/// The table: `GEL[-i] = 65536 - GEL[i]`, so half of it is computed.
// spec: ENGINE-2.5
#[must_use]
pub fn table() -> Vec<u32> {
    let scale = scale();
    let upper = |i| u32::try_from(entry(scale, i).0).expect("at most 65536");
    (0..1 << 16)
        .map(|at: usize| match at.checked_sub(MIDDLE) {
            Some(i) => upper(i),
            None => 65536 - upper(MIDDLE - at),
        })
        .collect()
}

/// `sqrt(8/pi)`, from half of pi.
pub(super) fn scale() -> u64 {
    let four_over_half_pi = (u128::from(ONE) * u128::from(ONE) * 4) / u128::from(quarter_turn());
    // sqrt(8/pi) = sqrt(4 / (pi/2)); the root of a number with 124 fraction bits has 62.
    u64::try_from((four_over_half_pi << 62).isqrt()).expect("below two")
}

/// The entry for `i` in 0..=32768, and its distance from the rounding boundary.
pub(super) fn entry(scale: u64, i: usize) -> (u64, u64) {
    if i > FLAT {
        return (65536, ONE / 2);
    }
    let i = i as u128;
    // z + 0.044715 z^3 = i (2^22 10^6 + 44715 i^2) / (2^33 10^6): below 2^28 for a whole of 9.
    let polynomial = ((i * ((1_000_000 << 22) + 44_715 * i * i)) << 26) / 1_000_000;
    // 59 fraction bits: at most 2^3.1 before and 2^3.8 after the scale.
    let y = u64::try_from((polynomial * u128::from(scale)) >> 62).expect("below 16");
    let (whole, part) = (y >> 59, y & ((1 << 59) - 1));
    let tenth = q62::exp_minus(ONE);
    let power = (0..whole).fold(q62::exp_minus(part << 3), |power, _| q62::mul(power, tenth));
    q62::round(q62::div(ONE, ONE + power), 1 << 16)
}
