//! Published weights, widened to single precision.

use super::ReferenceError;
use safetensors::{Dtype, SafeTensors};

/// The tensors of some files.
pub(super) struct Weights<'a>(Vec<SafeTensors<'a>>);

impl<'a> Weights<'a> {
    pub(super) fn new(files: &[&'a [u8]]) -> Result<Self, ReferenceError> {
        let files: Result<_, _> = files.iter().map(|file| SafeTensors::deserialize(file)).collect();
        Ok(Self(files?))
    }

    /// A tensor of `size` numbers.
    pub(super) fn take(&self, name: &str, size: usize) -> Result<Vec<f32>, ReferenceError> {
        let view = self.0.iter().find_map(|file| file.tensor(name).ok());
        let numbers = view.and_then(|view| widen(view.dtype(), view.data()));
        let numbers = numbers.filter(|numbers| numbers.len() == size);
        numbers.ok_or_else(|| ReferenceError::Tensor(name.to_owned()))
    }
}

fn widen(kind: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let halves = || bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let single = |four: &[u8]| f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
    match kind {
        Dtype::F32 => Some(bytes.chunks_exact(4).map(single).collect()),
        Dtype::BF16 => Some(halves().map(|half| f32::from_bits(u32::from(half) << 16)).collect()),
        Dtype::F16 => Some(halves().map(from_half).collect()),
        _ => None,
    }
}

fn from_half(half: u16) -> f32 {
    let (exponent, fraction) = (i32::from(half >> 10 & 31), f32::from(half & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f32.powi(-24),
        31 => f32::INFINITY,
        _ => (fraction + 1024.0) * 2f32.powi(exponent - 25),
    };
    if half >> 15 == 1 { -magnitude } else { magnitude }
}
