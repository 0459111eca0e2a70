//! Llama and its relatives: RMSNorm, rotary grouped-query attention, a gated feed-forward layer.
//! The header's data says which; what a model does not have costs it a branch.
//!
//! ```text
//! x = embed(token)
//! each layer:  x += output(attention(rope(query, key), value)) of norm(x)
//!              x += down(swiglu(gate, up)) of norm(x)
//! logits = head(norm(x))
//! ```
//!
//! Relatives may have biases, norms of heads before they turn, norms after each half of a layer,
//! gelu for silu, layers with a window, and soft caps of scores and logits.

mod attend;
mod linear;
mod pass;
mod spare;

pub(crate) use attend::LayerCache;
pub(crate) use pass::{Part, Pass, Visit};
pub(crate) use spare::Spare;

use crate::kernel::Packed;
use crate::load::format::{File, Tensor};
use crate::load::{LoadError, ProvenLayer, verify_layer, verify_matrix, verify_norm};
use crate::model::bounds::NORM_EXPONENT_MAX;
use crate::model::header::{Header, LayerScales, Shape};
use crate::model::matrix::Matrix;
use crate::model::variant::{Activation, Variant};
use crate::op::attention::{EXTRA_BITS, HeadScale};
use crate::op::cap::Cap;
use crate::op::logits;
use crate::op::rmsnorm::NormScales;
use linear::Linear;
pub(crate) use linear::Weights;
use std::sync::Arc;

/// The network, packed.
#[derive(Debug)]
pub(crate) struct Llama {
    shape: Shape,
    epsilon: u64,
    rope: Vec<u64>,
    window_rope: Vec<u64>,
    activation: Activation,
    logit_cap: Option<Cap>,
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
    /// The norms of query heads and of key heads.
    head_norms: Option<[HeadNorm; 2]>,
    after_attention: Option<Norm>,
    after_feed_forward: Option<Norm>,
    /// How many of the latest positions it sees, its own included, where not all.
    window: Option<usize>,
}

/// A norm that every head of a kind has.
#[derive(Debug)]
struct HeadNorm {
    norm: Norm,
    /// `eps_int` at the fraction bits of each head.
    epsilon: Vec<u64>,
}

/// Where the tensors of a model come from: a file that is proven on the way, or one that was.
pub(crate) trait Tensors {
    fn embedding(&self, header: &Header) -> Result<Weights, LoadError>;
    fn layer(&self, header: &Header, layer: usize) -> Result<ProvenLayer<Weights>, LoadError>;
    fn final_norm(&self, header: &Header) -> Result<Vec<i16>, LoadError>;
    /// None in a tied model.
    fn head(&self, header: &Header) -> Result<Option<Weights>, LoadError>;
}

/// Proves and packs.
// spec: ENGINE-10.5
impl Tensors for File<'_> {
    fn embedding(&self, header: &Header) -> Result<Weights, LoadError> {
        self.proven_embedding(header).map(Weights::of)
    }

    fn layer(&self, header: &Header, layer: usize) -> Result<ProvenLayer<Weights>, LoadError> {
        Ok(self.proven_layer(header, layer)?.map(Weights::of))
    }

    fn final_norm(&self, header: &Header) -> Result<Vec<i16>, LoadError> {
        verify_norm(self.last(header, 0), header.final_norm)
    }

    fn head(&self, header: &Header) -> Result<Option<Weights>, LoadError> {
        self.proven_head(header).map(|head| head.map(Weights::of))
    }
}

impl File<'_> {
    /// A tensor behind the layers.
    fn last(&self, header: &Header, index: usize) -> &Tensor<'_> {
        &self.tensors[1 + header.variant.layer_tensors() * header.layers.len() + index]
    }

    // spec: ENGINE-9.2
    pub(crate) fn proven_embedding(&self, header: &Header) -> Result<Matrix, LoadError> {
        let [tensor, ..] = self.tensors.as_slice() else {
            unreachable!("every header has an embedding")
        };
        if header.shape.tied == 1 {
            verify_matrix(tensor, logit_offset(header), NORM_EXPONENT_MAX)?;
        }
        verify_matrix(tensor, -i32::from(header.residual_bits), 0)
    }

    pub(crate) fn proven_layer(
        &self,
        header: &Header,
        layer: usize,
    ) -> Result<ProvenLayer<Matrix>, LoadError> {
        let count = header.variant.layer_tensors();
        let tensors = &self.tensors[1 + layer * count..1 + (layer + 1) * count];
        verify_layer(header, &header.layers[layer], tensors)
    }

    pub(crate) fn proven_head(&self, header: &Header) -> Result<Option<Matrix>, LoadError> {
        if header.shape.tied == 1 {
            return Ok(None);
        }
        verify_matrix(self.last(header, 1), logit_offset(header), NORM_EXPONENT_MAX).map(Some)
    }
}

impl Llama {
    /// Puts a network together.
    pub(crate) fn new(header: &Header, tensors: &dyn Tensors) -> Result<Self, LoadError> {
        let layer = |layer| Ok(build_layer(header, layer, tensors.layer(header, layer)?));
        let layers = (0..header.layers.len()).map(layer).collect::<Result<_, LoadError>>()?;
        let (embedding, tied) = build_embedding(header, tensors.embedding(header)?);
        let offset = logit_offset(header);
        let head = tensors.head(header)?.map(|head| Linear::new(head, |_| offset));
        Ok(Self {
            shape: header.shape,
            epsilon: header.epsilon,
            rope: header.rope.clone(),
            window_rope: window_rope(&header.variant),
            activation: header.variant.activation,
            logit_cap: Cap::new(header.variant.logit_cap),
            embedding,
            layers,
            final_norm: Norm { gain: tensors.final_norm(header)?, scales: header.final_norm },
            head: head.unwrap_or(tied),
        })
    }

    pub(crate) fn layers(&self) -> usize {
        self.layers.len()
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }
}

fn window_rope(variant: &Variant) -> Vec<u64> {
    variant.window.as_ref().map_or(Vec::new(), |window| window.rope.clone())
}

/// What a logit's shift adds to `C`.
// spec: ENGINE-9.1
fn logit_offset(header: &Header) -> i32 {
    i32::from(header.final_norm.value_bits) - logits::BITS as i32
}

/// The embedding, and the head that shares its weights in a tied model.
// spec: ENGINE-5.1, ENGINE-9.2
fn build_embedding(header: &Header, weights: Weights) -> (Embedding, Linear) {
    let (offset, residual) = (logit_offset(header), i32::from(header.residual_bits));
    let shift = |c: &u8| (i32::from(*c) - residual).clamp(0, 62) as u8;
    let embedding = Embedding {
        packed: weights.packed.clone(),
        multiplier: weights.multiplier.clone(),
        shift: weights.exponent.iter().map(shift).collect(),
    };
    (embedding, Linear::new(weights, |_| offset))
}

fn build_layer(header: &Header, layer: usize, proven: ProvenLayer<Weights>) -> Layer {
    let scales = &header.layers[layer];
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
    let after = |gain: Option<Vec<i16>>, which: usize| {
        let value_bits = header.residual_bits;
        let scales =
            scales.after_gain_bits.map(|bits| NormScales { gain_bits: bits[which], value_bits });
        gain.zip(scales).map(|(gain, scales)| Norm { gain, scales })
    };
    let [query_bias, key_bias, value_bias] = proven.biases;
    Layer {
        query: Linear::new(proven.query, heads(&scales.query_bits)).with_bias(query_bias),
        key: Linear::new(proven.key, heads(&scales.key_bits)).with_bias(key_bias),
        value: Linear::new(proven.value, heads(&scales.value_bits)).with_bias(value_bias),
        output: Linear::new(proven.output, |_| output),
        gate: Linear::new(proven.gate, |_| gate),
        up: Linear::new(proven.up, |_| up),
        down: Linear::new(proven.down, |_| down),
        gate_bits: scales.gate_bits.into(),
        heads: head_scales(header, scales),
        head_norms: proven.head_gains.map(|gains| head_norms(header, scales, gains)),
        after_attention: after(proven.after_attention_gain, 0),
        after_feed_forward: after(proven.after_feed_forward_gain, 1),
        window: header.variant.window_of(layer).map(|window| window.positions as usize),
        input: Norm { gain: proven.input_gain, scales: scales.input },
        post: Norm { gain: proven.post_gain, scales: scales.post },
    }
}

/// The attention scale of every query head.
// spec: ENGINE-7.4
fn head_scales(header: &Header, scales: &LayerScales) -> Vec<HeadScale> {
    let shared = scales.query_bits.len() / scales.key_bits.len();
    let scale = |head: usize| HeadScale {
        multiplier: header.attention_multiplier,
        shift: header
            .attention_shift(scales.seen_query_bits(head), scales.seen_key_bits(head / shared)),
        align: u32::from(scales.value_bits[head / shared] - scales.coarsest_value()),
        cap: Cap::new(header.variant.score_cap),
    };
    (0..scales.query_bits.len()).map(scale).collect()
}

/// The norms of query heads and of key heads.
// spec: ENGINE-6.6
fn head_norms(header: &Header, scales: &LayerScales, gains: [Vec<i16>; 2]) -> [HeadNorm; 2] {
    let whole = header.variant.head_norm.unwrap_or(0);
    let epsilon = |bits: &u8| whole >> (2 * (header.residual_bits - bits));
    let of = |gain, scales, bits: &[u8]| HeadNorm {
        norm: Norm { gain, scales },
        epsilon: bits.iter().map(epsilon).collect(),
    };
    let [query, key] = gains;
    let [query_scales, key_scales] = scales.head_norms.unwrap_or([header.final_norm; 2]);
    [of(query, query_scales, &scales.query_bits), of(key, key_scales, &scales.key_bits)]
}
