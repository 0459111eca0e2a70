//! `SIG[i + 32768] = round(65536 / (1 + e^(-i/2048)))`: the gate of SwiGLU.

use super::q62::{self, ONE};

/// Entries.
pub const LENGTH: usize = 1 << 16;
const MIDDLE: usize = LENGTH / 2;

/// The table: `SIG[-i] = 65536 - SIG[i]`, so half of it is computed.
// spec: ENGINE-2.4
#[must_use]
pub fn table() -> Vec<u32> {
    let powers = powers();
    let upper = |i| u32::try_from(entry(&powers, i).0).expect("at most 65536");
    (0..LENGTH)
        .map(|at| match at.checked_sub(MIDDLE) {
            Some(i) => upper(i),
            None => 65536 - upper(MIDDLE - at),
        })
        .collect()
}

/// `e^(-2^k / 2048)` for k in 0..16: by the series up to 1/e, then by squaring.
pub(super) fn powers() -> Vec<u64> {
    let mut powers: Vec<u64> = (0..12).map(|k| q62::exp_minus(ONE >> (11 - k))).collect();
    for k in 12..16 {
        let root = powers[k - 1];
        powers.push(q62::mul(root, root));
    }
    powers
}

/// The entry for `i` in 0..=32768, and its distance from the rounding boundary.
pub(super) fn entry(powers: &[u64], i: usize) -> (u64, u64) {
    let chosen = powers.iter().enumerate().filter(|(bit, _)| (i >> bit) & 1 == 1);
    let power = chosen.fold(ONE, |product, (_, power)| q62::mul(product, *power));
    q62::round(q62::div(ONE, ONE + power), 1 << 16)
}
