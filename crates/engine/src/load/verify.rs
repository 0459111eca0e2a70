//! Proves the static bounds of a file's weights. Conversion promises them; a file from a stranger
//! promises nothing.

use crate::load::LoadError;
use crate::load::format::Tensor;
use crate::model::bounds::{self, Behind, Fit, SHIFT_MAX};
use crate::model::header::{Header, LayerScales};
use crate::model::matrix::Matrix;
use crate::op::attention::EXTRA_BITS;
use crate::op::rmsnorm::NormScales;
use std::ops::RangeInclusive;

/// The gains of a norm, with its shifts proven.
pub(crate) fn norm(tensor: &Tensor<'_>, scales: NormScales) -> Result<Vec<i16>, LoadError> {
    let gain = tensor.gains();
    if !bounds::norm_holds(&gain, scales) {
        return Err(tensor.bound("the norm's scale is too fine for its gains"));
    }
    Ok(gain)
}

/// A matrix with its certificate and, for each row, `C + input - output` proven to stay within
/// `shifts`.
pub(crate) fn matrix(
    tensor: &Tensor<'_>,
    input_less_output: i32,
    exponent_max: u32,
) -> Result<Matrix, LoadError> {
    let matrix = tensor.matrix()?;
    check(tensor, &matrix)?;
    let shifts = shifts(exponent_max);
    let shift = |exponent: &u8| i32::from(*exponent) + input_less_output;
    if !matrix.exponent.iter().all(|exponent| shifts.contains(&shift(exponent))) {
        return Err(tensor.bound("a row's shift is out of range"));
    }
    Ok(matrix)
}

// spec: ENGINE-3.7
fn shifts(exponent_max: u32) -> RangeInclusive<i32> {
    exponent_max as i32..=SHIFT_MAX as i32
}

fn check(tensor: &Tensor<'_>, matrix: &Matrix) -> Result<(), LoadError> {
    matrix.check().map_err(|bad| LoadError::Bound {
        what: format!("{}, row {}", tensor.spec.name, bad.row),
        why: bad.why,
    })
}

/// The nine tensors of a layer, proven.
pub(crate) struct Layer {
    pub(crate) input_gain: Vec<i16>,
    pub(crate) query: Matrix,
    pub(crate) key: Matrix,
    pub(crate) value: Matrix,
    pub(crate) output: Matrix,
    pub(crate) post_gain: Vec<i16>,
    pub(crate) gate: Matrix,
    pub(crate) up: Matrix,
    pub(crate) down: Matrix,
}

/// Proves one layer.
pub(crate) fn layer(
    header: &Header,
    scales: &LayerScales,
    tensors: &[Tensor<'_>],
) -> Result<Layer, LoadError> {
    let [input, query, key, value, output, post, gate, up, down] = tensors else {
        unreachable!("a layer has nine tensors")
    };
    let residual = i32::from(header.residual_bits);
    let attention = i32::from(scales.coarsest_value()) + EXTRA_BITS as i32;
    let inner = i32::from(scales.gate_bits) + i32::from(scales.up_bits);
    let width = header.shape.query_width() as usize;
    let attention_exponent = bounds::attention_exponent_max(width);
    let gate_exponent = bounds::gate_exponent_max(header.shape.inner as usize);
    let input_gain = norm(input, scales.input)?;
    let post_gain = norm(post, scales.post)?;
    let first = (input_gain.as_slice(), scales.input);
    let second = (post_gain.as_slice(), scales.post);
    Ok(Layer {
        query: behind(query, first, &scales.query_bits, Fit::Pairs)?,
        key: behind(key, first, &scales.key_bits, Fit::Pairs)?,
        value: behind(value, first, &scales.value_bits, Fit::Values)?,
        output: matrix(output, attention - residual, attention_exponent)?,
        gate: behind(gate, second, &[scales.gate_bits], Fit::Gates)?,
        up: behind(up, second, &[scales.up_bits], Fit::Gates)?,
        down: matrix(down, inner - residual, gate_exponent)?,
        input_gain,
        post_gain,
    })
}

/// Proves a matrix behind a norm: the certificate, and a static scale for each of its heads.
fn behind(
    tensor: &Tensor<'_>,
    (gain, scales): (&[i16], NormScales),
    bits: &[u8],
    fit: Fit,
) -> Result<Matrix, LoadError> {
    let matrix = tensor.matrix()?;
    check(tensor, &matrix)?;
    if !Behind::new(&matrix, gain, scales).proves(bits, fit) {
        return Err(tensor.bound("a static scale is too fine for its rows"));
    }
    Ok(matrix)
}
