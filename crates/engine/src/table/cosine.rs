//! `COS[i] = round(16384 * cos(2 pi i / 65536))`: the rotation of queries and keys.

use super::q62::{self, ONE};

/// Entries: one whole turn.
pub const LENGTH: usize = 1 << 16;
const QUARTER: usize = LENGTH / 4;

/// The table: a quarter is computed, the rest follows by symmetry (there are no ties to break).
// spec: ENGINE-2.3
#[must_use]
pub fn table() -> Vec<i16> {
    let half_pi = quarter_turn();
    let quarter: Vec<i16> =
        (0..=QUARTER).map(|i| i16::try_from(entry(half_pi, i).0).expect("at most 16384")).collect();
    (0..LENGTH)
        .map(|i| match (i / QUARTER, i % QUARTER) {
            (0, rest) => quarter[rest],
            (1, rest) => -quarter[QUARTER - rest],
            (2, rest) => -quarter[rest],
            (_, rest) => quarter[QUARTER - rest],
        })
        .collect()
}

/// Half of pi by Machin's formula, `pi/4 = 4 atan(1/5) - atan(1/239)`.
pub(super) fn quarter_turn() -> u64 {
    2 * (4 * arc_tangent(5) - arc_tangent(239))
}

/// `atan(1/x)` by its series.
fn arc_tangent(x: u64) -> u64 {
    let (mut power, mut sum, mut n) = (ONE / x, 0u64, 1);
    while power > 0 {
        let term = power / n;
        sum = if n % 4 == 1 { sum + term } else { sum - term };
        power /= x * x;
        n += 2;
    }
    sum
}

/// One entry of the first quarter, and its distance from the rounding boundary. Both series run
/// on angles up to an eighth of a turn, where they are short.
pub(super) fn entry(half_pi: u64, i: usize) -> (u64, u64) {
    let angle = |steps: usize| {
        let wide = u128::from(half_pi) * steps as u128 / QUARTER as u128;
        u64::try_from(wide).expect("an eighth of a turn at most")
    };
    let value = match i {
        _ if i <= QUARTER / 2 => series(angle(i), 0),
        _ => series(angle(QUARTER - i), 1),
    };
    q62::round(value, 1 << 14)
}

/// The cosine (`first` = 0) or sine (`first` = 1) of `angle`.
fn series(angle: u64, first: u64) -> u64 {
    let square = q62::mul(angle, angle);
    let mut term = if first == 0 { ONE } else { angle };
    let (mut sum, mut n, mut plus) = (term, first, false);
    while term > 0 {
        term = q62::mul(term, square) / ((n + 1) * (n + 2));
        sum = if plus { sum + term } else { sum - term };
        (n, plus) = (n + 2, !plus);
    }
    sum
}
