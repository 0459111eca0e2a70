//! How published numbers are spelt, and what they are as doubles, exactly.

use super::{Values, power_of_two};

/// How a tensor's numbers are stored. Rows follow one another without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of IEEE single precision.
    Bf16,
}

impl Encoding {
    /// Numbers of a block, and its bytes. A row is a whole number of blocks.
    #[must_use]
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
        }
    }

    /// Bytes of a row; none where it is not a whole number of blocks, or beyond all counting.
    #[must_use]
    pub fn row_bytes(self, columns: usize) -> Option<usize> {
        let (numbers, bytes) = self.block();
        if columns % numbers == 0 { (columns / numbers).checked_mul(bytes) } else { None }
    }

    /// The numbers of whole blocks, little-endian.
    pub(crate) fn widen(self, bytes: &[u8]) -> Values {
        let halves = || bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        Values(match self {
            Self::F32 => bytes.chunks_exact(4).map(single).collect(),
            Self::Bf16 => halves().map(from_brain_half).collect(),
            Self::F16 => halves().map(from_half).collect(),
        })
    }
}

fn single(bytes: &[u8]) -> f64 {
    f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).into()
}

fn from_brain_half(half: u16) -> f64 {
    f32::from_bits(u32::from(half) << 16).into()
}

/// IEEE half precision: one sign bit, five of exponent, ten of fraction.
fn from_half(half: u16) -> f64 {
    let (exponent, fraction) = (i32::from(half >> 10 & 31), i32::from(half & 1023));
    let magnitude = match exponent {
        0 => f64::from(fraction) * power_of_two(-24),
        31 if fraction == 0 => f64::INFINITY,
        31 => f64::NAN,
        _ => f64::from(fraction + 1024) * power_of_two(exponent - 25),
    };
    if half >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_widen_exactly() {
        let pairs: [(u16, f64); 9] = [
            (0x0000, 0.0),
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x3555, 0.333_251_953_125),
            (0x7BFF, 65504.0),
            (0x0001, 5.960_464_477_539_063e-8),
            (0x03FF, 6.097_555_160_522_461e-5),
            (0x0400, 6.103_515_625e-5),
            (0xFC00, f64::NEG_INFINITY),
        ];
        for (half, value) in pairs {
            assert_eq!(from_half(half), value, "{half:04x}");
        }
        assert!(from_half(0x7C01).is_nan());
    }
}
