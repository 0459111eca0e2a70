//! Family Llama: RMSNorm, rotary grouped-query attention, SwiGLU, described by header data.
//!
//! ```text
//! x = embed(token)
//! each layer:  x += output(attention(rope(query, key), value)) of norm(x)
//!              x += down(swiglu(gate, up)) of norm(x)
//! logits = head(norm(x))
//! ```

mod attend;
mod linear;
mod pass;

pub(crate) use attend::LayerCache;
pub(crate) use pass::{Pass, Visit};

use crate::kernel::Packed;
use crate::load::format::{File, Tensor};
use crate::load::{LoadError, verify_layer, verify_matrix, verify_norm};
use crate::model::bounds::NORM_EXPONENT_MAX;
use crate::model::header::{Header, LayerScales, Shape};
use crate::op::attention::{EXTRA_BITS, HeadScale};
use crate::op::logits;
use crate::op::rmsnorm::NormScales;
use linear::Linear;
use std::sync::Arc;

/// The network, packed.
#[derive(Debug)]
pub(crate) struct Llama {
    shape: Shape,
    epsilon: u64,
    rope: Vec<u64>,
    embedding: Embedding,
    layers: Vec<Layer>,
    final_norm: Norm,
    head: Linear,
}

/// Gains and scales of one norm.
#[derive(Debug)]
struct Norm {
    gain: Vec<i16>,
    scales: NormScales,
}

/// The rows that begin the residual stream.
#[derive(Debug)]
struct Embedding {
    packed: Arc<Packed>,
    multiplier: Vec<u16>,
    /// `C - Fx` of each row.
    shift: Vec<u8>,
}

/// One layer.
#[derive(Debug)]
struct Layer {
    input: Norm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    post: Norm,
    gate: Linear,
    up: Linear,
    down: Linear,
    gate_bits: u32,
    heads: Vec<HeadScale>,
}

impl Llama {
    /// Proves and packs the tensors of a parsed file.
    pub(crate) fn load(file: &File<'_>) -> Result<Self, LoadError> {
        let header = &file.header;
        let [embedding, rest @ ..] = file.tensors.as_slice() else {
            unreachable!("every header has an embedding")
        };
        let layers = rest.chunks(9).zip(&header.layers);
        let layers = layers.map(|(tensors, scales)| load_layer(header, scales, tensors));
        let layers = layers.collect::<Result<_, _>>()?;
        let last = &rest[9 * header.layers.len()..];
        let [norm, ..] = last else { unreachable!("every header has a final norm") };
        let gain = verify_norm(norm, header.final_norm)?;
        let (embedding, tied) = load_embedding(header, embedding)?;
        Ok(Self {
            shape: header.shape,
            epsilon: header.epsilon,
            rope: header.rope.clone(),
            embedding,
            layers,
            final_norm: Norm { gain, scales: header.final_norm },
            head: match last.get(1) {
                Some(head) => load_head(header, head)?,
                None => tied,
            },
        })
    }

    pub(crate) fn layers(&self) -> usize {
        self.layers.len()
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }
}

/// What a logit's shift adds to `C`.
// spec: ENGINE-9.1
fn logit_offset(header: &Header) -> i32 {
    i32::from(header.final_norm.value_bits) - logits::BITS as i32
}

/// The embedding, and the head that shares its weights in a tied model.
// spec: ENGINE-5.1, ENGINE-9.2
fn load_embedding(header: &Header, tensor: &Tensor<'_>) -> Result<(Embedding, Linear), LoadError> {
    let residual = -i32::from(header.residual_bits);
    let matrix = verify_matrix(tensor, residual, 0)?;
    let offset = logit_offset(header);
    if header.shape.tied == 1 {
        verify_matrix(tensor, offset, NORM_EXPONENT_MAX)?;
    }
    let packed = Arc::new(Packed::new(&matrix));
    let shifts = |offset: i32| {
        let shift = |c: &u8| (i32::from(*c) + offset).clamp(0, 62) as u8;
        matrix.exponent.iter().map(shift).collect()
    };
    let (multiplier, head_shift): (_, Vec<u8>) = (matrix.multiplier.clone(), shifts(offset));
    let head = Linear { packed: packed.clone(), multiplier, shift: head_shift };
    let shift = shifts(residual);
    Ok((Embedding { packed, multiplier: matrix.multiplier, shift }, head))
}

fn load_head(header: &Header, tensor: &Tensor<'_>) -> Result<Linear, LoadError> {
    let offset = logit_offset(header);
    let matrix = verify_matrix(tensor, offset, NORM_EXPONENT_MAX)?;
    Ok(Linear::new(&matrix, |_| offset))
}

fn load_layer(
    header: &Header,
    scales: &LayerScales,
    tensors: &[Tensor<'_>],
) -> Result<Layer, LoadError> {
    let proven = verify_layer(header, scales, tensors)?;
    let size = header.shape.head_size as usize;
    let less = |input: u8, output: u8| i32::from(input) - i32::from(output);
    let before = scales.input.value_bits;
    let heads = |bits: &'_ [u8]| {
        let offsets: Vec<i32> = bits.iter().map(|bits| less(before, *bits)).collect();
        move |row: usize| offsets[row / size]
    };
    let attention = scales.coarsest_value() + EXTRA_BITS as u8;
    let [gate, up] = [scales.gate_bits, scales.up_bits].map(|b| less(scales.post.value_bits, b));
    let output = less(attention, header.residual_bits);
    let down = less(scales.gate_bits + scales.up_bits, header.residual_bits);
    Ok(Layer {
        query: Linear::new(&proven.query, heads(&scales.query_bits)),
        key: Linear::new(&proven.key, heads(&scales.key_bits)),
        value: Linear::new(&proven.value, heads(&scales.value_bits)),
        output: Linear::new(&proven.output, |_| output),
        gate: Linear::new(&proven.gate, |_| gate),
        up: Linear::new(&proven.up, |_| up),
        down: Linear::new(&proven.down, |_| down),
        gate_bits: scales.gate_bits.into(),
        heads: head_scales(header, scales),
        input: Norm { gain: proven.input_gain, scales: scales.input },
        post: Norm { gain: proven.post_gain, scales: scales.post },
    })
}

/// The attention scale of every query head.
// spec: ENGINE-7.4
fn head_scales(header: &Header, scales: &LayerScales) -> Vec<HeadScale> {
    let shared = scales.query_bits.len() / scales.key_bits.len();
    let scale = |(head, query_bits): (usize, &u8)| HeadScale {
        multiplier: header.attention_multiplier,
        shift: header.attention_shift(*query_bits, scales.key_bits[head / shared]),
        align: u32::from(scales.value_bits[head / shared] - scales.coarsest_value()),
    };
    scales.query_bits.iter().enumerate().map(scale).collect()
}
