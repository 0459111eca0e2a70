//! Weights as published: f32, f16 or bf16, little-endian, widened exactly.

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use thiserror::Error;

/// Why a tensor cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file does not have it.
    #[error("tensor {name} is missing")]
    Missing {
        /// The tensor.
        name: String,
    },
    /// The file has a tensor that conversion would silently leave out.
    #[error("tensor {name} has no place in op set 1's Llama")]
    Unknown {
        /// The tensor.
        name: String,
    },
    /// It has another shape than the configuration says.
    #[error("tensor {name} has shape {actual:?}, config.json says {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// By the configuration.
        expected: Vec<usize>,
        /// In the file.
        actual: Vec<usize>,
    },
    /// It has a type that is not converted.
    #[error("tensor {name} is {actual}, wanted F32, F16 or BF16")]
    Type {
        /// The tensor.
        name: String,
        /// Its type.
        actual: String,
    },
    /// A weight is infinite or not a number.
    #[error("tensor {name} holds a weight that is not finite, at {index}")]
    NotFinite {
        /// The tensor.
        name: String,
        /// The first such weight.
        index: usize,
    },
}

/// A tensor's numbers, row-major.
#[derive(Debug)]
pub(crate) struct Values(pub(super) Vec<f64>);

/// Refuses a file with tensors beyond those that `known` accepts, naming the first by name.
pub(crate) fn only(
    file: &SafeTensors<'_>,
    known: impl Fn(&str) -> bool,
) -> Result<(), SourceError> {
    let names = file.names();
    let unknown = names.into_iter().filter(|name| !known(name)).min();
    unknown.map_or(Ok(()), |name| Err(SourceError::Unknown { name: name.to_owned() }))
}

/// Reads the tensor `name` of the given shape.
pub(crate) fn values(
    file: &SafeTensors<'_>,
    name: &str,
    shape: &[usize],
) -> Result<Values, SourceError> {
    let named = || name.to_owned();
    let view = file.tensor(name).map_err(|_| SourceError::Missing { name: named() })?;
    if view.shape() != shape {
        let (expected, actual) = (shape.to_vec(), view.shape().to_vec());
        return Err(SourceError::Shape { name: named(), expected, actual });
    }
    let values = widen(&view).ok_or_else(|| {
        let actual = format!("{:?}", view.dtype());
        SourceError::Type { name: named(), actual }
    })?;
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(Values(values)),
        Some(index) => Err(SourceError::NotFinite { name: named(), index }),
    }
}

fn widen(view: &TensorView<'_>) -> Option<Vec<f64>> {
    let halves =
        || view.data().chunks_exact(2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    let bits = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    Some(match view.dtype() {
        Dtype::F32 => {
            view.data().chunks_exact(4).map(|bytes| f32::from_bits(bits(bytes)).into()).collect()
        }
        Dtype::BF16 => halves().map(|half| f32::from_bits(u32::from(half) << 16).into()).collect(),
        Dtype::F16 => halves().map(from_half).collect(),
        _ => return None,
    })
}

/// IEEE half precision: one sign bit, five of exponent, ten of fraction.
fn from_half(half: u16) -> f64 {
    let (exponent, fraction) = (i32::from(half >> 10 & 31), i32::from(half & 1023));
    let magnitude = match exponent {
        0 => f64::from(fraction) * super::power_of_two(-24),
        31 if fraction == 0 => f64::INFINITY,
        31 => f64::NAN,
        _ => f64::from(fraction + 1024) * super::power_of_two(exponent - 25),
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
