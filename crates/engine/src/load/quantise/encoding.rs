//! How published numbers are spelt, and what they are as doubles, exactly.

use super::{Values, blocks, power_of_two};

/// How a tensor's numbers are stored. Rows follow one another without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of IEEE single precision.
    Bf16,
    /// ggml's blocks of 32 with a scale, and with a least number for those that end in 1.
    Q4_0,
    /// As its name says.
    Q4_1,
    /// As its name says.
    Q5_0,
    /// As its name says.
    Q5_1,
    /// As its name says.
    Q8_0,
    /// ggml's blocks of 256 with scales of scales.
    Q4K,
    /// As its name says.
    Q5K,
    /// As its name says.
    Q6K,
}

impl Encoding {
    /// Numbers of a block, and its bytes. A row is a whole number of blocks.
    #[must_use]
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q4K => (256, 144),
            Self::Q5K => (256, 176),
            Self::Q6K => (256, 210),
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
            Self::Q4_0 => self.blocks(bytes, blocks::q4_0),
            Self::Q4_1 => self.blocks(bytes, blocks::q4_1),
            Self::Q5_0 => self.blocks(bytes, blocks::q5_0),
            Self::Q5_1 => self.blocks(bytes, blocks::q5_1),
            Self::Q8_0 => self.blocks(bytes, blocks::q8_0),
            Self::Q4K => self.blocks(bytes, blocks::q4_k),
            Self::Q5K => self.blocks(bytes, blocks::q5_k),
            Self::Q6K => self.blocks(bytes, blocks::q6_k),
        })
    }

    fn blocks(self, bytes: &[u8], unpack: fn(&[u8], &mut Vec<f64>)) -> Vec<f64> {
        let (numbers, size) = self.block();
        let blocks = bytes.chunks_exact(size);
        let mut out = Vec::with_capacity(blocks.len() * numbers);
        blocks.for_each(|block| unpack(block, &mut out));
        out
    }
}

fn single(bytes: &[u8]) -> f64 {
    f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).into()
}

fn from_brain_half(half: u16) -> f64 {
    f32::from_bits(u32::from(half) << 16).into()
}

/// IEEE half precision: one sign bit, five of exponent, ten of fraction.
pub(super) fn from_half(half: u16) -> f64 {
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

    /// Made by `vectors/gguf/make.py` with the `gguf` package.
    const BLOCKS: &str = include_str!("../../../../../vectors/gguf/blocks.json");

    fn bytes(value: &serde_json::Value) -> Vec<u8> {
        let text = value.as_str().expect("hexadecimal");
        let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("a byte");
        (0..text.len()).step_by(2).map(byte).collect()
    }

    #[test]
    fn every_kind_of_block_stands_for_what_its_makers_say_to_the_last_bit() {
        // spec: ENGINE-16.4
        let vectors: serde_json::Value = serde_json::from_str(BLOCKS).expect("JSON");
        let kinds = [
            ("Q4_0", Encoding::Q4_0),
            ("Q4_1", Encoding::Q4_1),
            ("Q5_0", Encoding::Q5_0),
            ("Q5_1", Encoding::Q5_1),
            ("Q8_0", Encoding::Q8_0),
            ("Q4_K", Encoding::Q4K),
            ("Q5_K", Encoding::Q5K),
            ("Q6_K", Encoding::Q6K),
            ("BF16", Encoding::Bf16),
        ];
        assert_eq!(vectors.as_object().map(serde_json::Map::len), Some(kinds.len()));
        for (name, encoding) in kinds {
            let (blocks, singles) = (&vectors[name]["bytes"], &vectors[name]["singles"]);
            let found = encoding.widen(&bytes(blocks)).0;
            let wanted: Vec<f64> = bytes(singles).chunks_exact(4).map(single).collect();
            assert_eq!(found.len(), wanted.len(), "{name}");
            for (index, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
                assert_eq!(found.to_bits(), wanted.to_bits(), "{name} {index}: {found} {wanted}");
            }
        }
    }
}
