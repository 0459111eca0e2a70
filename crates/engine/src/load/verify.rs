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

/// The tensors of a layer, proven. `M` is a matrix, or what became of it.
pub(crate) struct Layer<M> {
    pub(crate) input_gain: Vec<i16>,
    pub(crate) query: M,
    pub(crate) key: M,
    pub(crate) value: M,
    /// Of queries, keys and values; empty where there are none.
    pub(crate) biases: [Vec<i32>; 3],
    /// Of queries and keys, where heads are normed.
    pub(crate) head_gains: Option<[Vec<i16>; 2]>,
    pub(crate) output: M,
    pub(crate) after_attention_gain: Option<Vec<i16>>,
    pub(crate) post_gain: Vec<i16>,
    pub(crate) gate: M,
    pub(crate) up: M,
    pub(crate) down: M,
    pub(crate) after_feed_forward_gain: Option<Vec<i16>>,
}

impl<M> Layer<M> {
    /// The same with its matrices turned into something else, one by one.
    pub(crate) fn map<N>(self, mut turn: impl FnMut(M) -> N) -> Layer<N> {
        Layer {
            input_gain: self.input_gain,
            query: turn(self.query),
            key: turn(self.key),
            value: turn(self.value),
            biases: self.biases,
            head_gains: self.head_gains,
            output: turn(self.output),
            after_attention_gain: self.after_attention_gain,
            post_gain: self.post_gain,
            gate: turn(self.gate),
            up: turn(self.up),
            down: turn(self.down),
            after_feed_forward_gain: self.after_feed_forward_gain,
        }
    }
}

/// Proves one layer.
pub(crate) fn layer(
    header: &Header,
    scales: &LayerScales,
    tensors: &[Tensor<'_>],
) -> Result<Layer<Matrix>, LoadError> {
    let mut tensors = tensors.iter();
    let mut next = || tensors.next().expect("a layer has as many tensors as its header says");
    let [input, query, key, value] = [(); 4].map(|()| next());
    let biases = [(); 3].map(|()| header.variant.biased.then(&mut next));
    let head_norms = scales.head_norms.map(|scales| scales.map(|scales| (next(), scales)));
    let output = next();
    let after_attention = header.variant.after_norm.then(&mut next);
    let [post, gate, up, down] = [(); 4].map(|()| next());
    let after_feed_forward = header.variant.after_norm.then(&mut next);
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
    let heads = if head_norms.is_some() { Fit::Wide } else { Fit::Pairs };
    let biases = biases.map(|bias| bias.map_or(Vec::new(), Tensor::biases));
    let [query_bias, key_bias, value_bias] = &biases;
    let after = |tensor: Option<&Tensor<'_>>, which: usize| {
        let bits = scales.after_gain_bits.map(|bits| bits[which]);
        tensor.zip(bits).map(|(tensor, bits)| after_norm(header, tensor, bits)).transpose()
    };
    Ok(Layer {
        query: behind(query, first, &scales.query_bits, heads, query_bias)?,
        key: behind(key, first, &scales.key_bits, heads, key_bias)?,
        value: behind(value, first, &scales.value_bits, Fit::Values, value_bias)?,
        output: matrix(output, attention - residual, attention_exponent)?,
        gate: behind(gate, second, &[scales.gate_bits], Fit::Gates, &[])?,
        up: behind(up, second, &[scales.up_bits], Fit::Gates, &[])?,
        down: matrix(down, inner - residual, gate_exponent)?,
        head_gains: match head_norms {
            Some([query, key]) => Some([head_norm(query)?, head_norm(key)?]),
            None => None,
        },
        after_attention_gain: after(after_attention, 0)?,
        after_feed_forward_gain: after(after_feed_forward, 1)?,
        biases,
        input_gain,
        post_gain,
    })
}

/// The gains of a norm of heads, proven.
// spec: ENGINE-6.6
fn head_norm((tensor, scales): (&Tensor<'_>, NormScales)) -> Result<Vec<i16>, LoadError> {
    let gain = tensor.gains();
    match bounds::head_norm_holds(&gain, scales) {
        true => Ok(gain),
        false => Err(tensor.bound("the scale of heads is too fine for their gains")),
    }
}

/// The gains of a norm whose output is added to the residual stream, proven.
// spec: ENGINE-6.5
fn after_norm(header: &Header, tensor: &Tensor<'_>, bits: u8) -> Result<Vec<i16>, LoadError> {
    let gain = tensor.gains();
    match bounds::after_norm_holds(&gain, bits, header.residual_bits) {
        true => Ok(gain),
        false => Err(tensor.bound("the residual stream's scale is too fine for these gains")),
    }
}

/// Proves a matrix behind a norm: the certificate, and a static scale for each of its heads.
fn behind(
    tensor: &Tensor<'_>,
    (gain, scales): (&[i16], NormScales),
    bits: &[u8],
    fit: Fit,
    bias: &[i32],
) -> Result<Matrix, LoadError> {
    let matrix = tensor.matrix()?;
    check(tensor, &matrix)?;
    let bias = |row: usize, _| bias.get(row).map(|bias| bias.unsigned_abs());
    if !Behind::new(&matrix, gain, scales).proves(bits, fit, &bias) {
        return Err(tensor.bound("a static scale is too fine for its rows"));
    }
    Ok(matrix)
}
