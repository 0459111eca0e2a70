//! RoPE: each pair (j, j + half) of a head turns by an angle that grows with the position.
//!
//! ```text
//! turns = pos f_j mod 2^64          f_j = round(2^64 theta^(-2j/dh) / 2 pi), in the header
//! index = (turns + 2^47) >> 48 mod 2^16
//! a' = rnd(a cos - b sin, 14)       b' = rnd(b cos + a sin, 14)
//! cos = COS[index]                  sin = COS[index - 2^14 mod 2^16]
//! ```

use crate::fixed::{Trap, rnd};

/// Cosine and sine of one pair's angle, 14 fraction bits.
pub type Angle = (i16, i16);

/// The angle of one pair at `position`.
// spec: ENGINE-7.1
#[must_use]
pub fn angle(position: u64, frequency: u64, cosine: &[i16]) -> Angle {
    let turns = position.wrapping_mul(frequency);
    let index = (turns.wrapping_add(1 << 47) >> 48) as u16;
    (cosine[usize::from(index)], cosine[usize::from(index.wrapping_sub(1 << 14))])
}

/// Turns one pair.
///
/// # Errors
/// [`Trap`] when a coordinate leaves `i16`, before or after the turn.
// spec: ENGINE-7.2
#[inline]
pub fn rotate(a: i32, b: i32, (cos, sin): Angle) -> Result<(i16, i16), Trap> {
    let short = |x: i64| i16::try_from(x).map_err(|_| Trap);
    let (a, b) = (short(a.into())?, short(b.into())?);
    let product = |x: i16, y: i16| i64::from(i32::from(x) * i32::from(y));
    let first = rnd(product(a, cos) - product(b, sin), 14);
    let second = rnd(product(b, cos) + product(a, sin), 14);
    Ok((short(first)?, short(second)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Tables;
    use proptest::prelude::*;

    #[test]
    fn quarter_turns_are_exact_at_every_position() {
        // spec: ENGINE-7.1
        let cosine = &Tables::get().cosine;
        let quarter = 1u64 << 62;
        for position in [0u64, 1, 2, 3, 1 << 17, (1 << 17) + 1, (1 << 17) - 1] {
            let expected = [(16384, 0), (0, 16384), (-16384, 0), (0, -16384)];
            let turned = angle(position, quarter, cosine);
            assert_eq!(turned, expected[(position % 4) as usize], "position {position}");
        }
        // Just below half a step rounds down, half a step rounds up, and a whole turn wraps.
        assert_eq!(angle(1, (1 << 47) - 1, cosine), (16384, 0));
        assert_eq!(angle(1, 1 << 47, cosine), (cosine[1], cosine[65536 - (1 << 14) + 1]));
        assert_eq!(angle(1, u64::MAX, cosine), (16384, 0));
    }

    #[test]
    fn leaving_16_bits_traps_before_and_after() {
        // spec: ENGINE-7.2
        assert_eq!(rotate(32768, 0, (16384, 0)), Err(Trap));
        assert_eq!(rotate(32767, 32767, (11585, 11585)), Err(Trap));
        assert_eq!(rotate(100, -200, (0, 16384)), Ok((200, 100)));
    }

    proptest! {
        #[test]
        fn agrees_with_wide_integers(
            a in -40000i32..40000, b in -40000i32..40000, position in any::<u64>(),
            frequency in any::<u64>()
        ) {
            // spec: ENGINE-7.1, ENGINE-7.2
            let cosine = &Tables::get().cosine;
            let turns = (u128::from(position) * u128::from(frequency)) % (1 << 64);
            let index = ((turns + (1 << 47)) >> 48) % 65536;
            let entry = |index: u128| i128::from(cosine[(index % 65536) as usize]);
            let (cos, sin) = (entry(index), entry(index + 65536 - 16384));
            let half_up = |x: i128| (2 * x + (1 << 14)).div_euclid(1 << 15);
            let short = |x: i128| i16::try_from(x).map_err(|_| Trap);
            let (wide_a, wide_b) = (i128::from(a), i128::from(b));
            let first = short(half_up(wide_a * cos - wide_b * sin));
            let second = short(half_up(wide_b * cos + wide_a * sin));
            let expected = short(wide_a)
                .and(short(wide_b))
                .and(first)
                .and_then(|first| Ok((first, second?)));
            let turned = rotate(a, b, angle(position, frequency, cosine));
            prop_assert_eq!(turned, expected);
        }

        #[test]
        fn a_turn_keeps_the_length_of_a_pair(
            a in -23000i32..23000, b in -23000i32..23000, position in 0u64..(1 << 17),
            frequency in any::<u64>()
        ) {
            let turned = rotate(a, b, angle(position, frequency, &Tables::get().cosine));
            let (x, y) = turned.expect("short enough");
            let length = |a: i64, b: i64| (a * a + b * b).isqrt();
            let (before, after) = (length(a.into(), b.into()), length(x.into(), y.into()));
            prop_assert!((before - after).abs() <= 4, "{before} became {after}");
        }
    }
}
