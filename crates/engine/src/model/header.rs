//! The header of a model file: everything about a model but its weights and its texts.
//!
//! It comes from strangers, so it is bounded, canonical, and checked as a whole before anything
//! is allocated from it. Bounds that need the weights are proven in [`crate::model::bounds`].
#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]

use crate::model::variant::Variant;
use crate::op::residual;
use crate::op::rmsnorm::NormScales;
use crate::op::swiglu::INDEX_BITS;
use mutirao_wire::codec::{put_bytes, put_list};
use mutirao_wire::limits::MODEL_NAME_BYTES_MAX;
use mutirao_wire::{Decode, DecodeError, Encode, OpSet, Reader, Token, record};
use thiserror::Error;

/// The only op set of this version.
pub const OP_SET_1: OpSet = OpSet(1);
/// Version of the header's own layout.
pub const HEADER_VERSION: u16 = 1;
/// Most layers.
pub const LAYERS_MAX: u32 = 512;
/// Widest residual stream, and most query channels of a layer.
pub const WIDTH_MAX: u32 = 1 << 14;
/// Widest feed-forward layer.
pub const INNER_MAX: u32 = 1 << 17;
/// Largest head.
pub const HEAD_SIZE_MAX: u32 = 256;
/// Largest vocabulary.
pub const VOCABULARY_MAX: u32 = 1 << 20;
/// Longest context.
pub const CONTEXT_MAX: u32 = 1 << 17;
/// Most end-of-text tokens.
pub const END_OF_TEXT_MAX: usize = 16;
/// Most fraction bits of any static scale.
pub const BITS_MAX: u8 = 30;
/// Most fraction bits of gate and up, so that the down projection's shift stays in range.
pub const GATE_BITS_MAX: u8 = 20;
/// Most fraction bits that one value head may have beyond the coarsest of its layer.
pub const ALIGN_MAX: u8 = 16;

/// Why a header cannot be one of op set 1.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// It does not decode.
    #[error("header: {0}")]
    Decode(#[from] DecodeError),
    /// A number is outside what the op set can carry.
    #[error("{what} is {value}; op set 1 wants {least} to {most}")]
    OutOfRange {
        /// The field.
        what: &'static str,
        /// Its value.
        value: u64,
        /// Least allowed.
        least: u64,
        /// Most allowed.
        most: u64,
    },
    /// Two fields contradict one another.
    #[error("{0}")]
    Mismatch(&'static str),
}

/// How a layer's weights are stored: 8 or 4 bits. Embedding and head are 8 bits in both.
// spec: ENGINE-3.1
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// 8 bits, a multiplier for every 64 columns.
    W8,
    /// 4 bits, a signed multiplier for every 32 columns.
    W4,
}

impl Encode for Profile {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::W8 => 8u8.encode(out),
            Self::W4 => 4u8.encode(out),
        }
    }
}

impl Decode for Profile {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(input)? {
            8 => Ok(Self::W8),
            4 => Ok(Self::W4),
            value => Err(DecodeError::Unknown { what: "profile", value: value.into() }),
        }
    }
}

/// The family of a network without any difference from Llama.
const LLAMA: u8 = 1;
/// The family of its relatives, which say how they differ.
const RELATIVE: u8 = 2;

/// The sizes of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Channels of the residual stream.
    pub hidden: u32,
    /// Layers.
    pub layers: u32,
    /// Query heads.
    pub heads: u32,
    /// Key and value heads; each serves `heads / kv_heads` query heads.
    pub kv_heads: u32,
    /// Channels of a head, even.
    pub head_size: u32,
    /// Channels of the feed-forward layer.
    pub inner: u32,
    /// Tokens.
    pub vocabulary: u32,
    /// Most positions.
    pub context: u32,
    /// 1 when the head is the embedding, 0 when it has weights of its own.
    pub tied: u8,
}

record!(Shape { hidden, layers, heads, kv_heads, head_size, inner, vocabulary, context, tied });

impl Shape {
    /// Query channels of a layer.
    #[must_use]
    pub fn query_width(&self) -> u32 {
        self.heads.saturating_mul(self.head_size)
    }

    /// Key (or value) channels of a layer.
    #[must_use]
    pub fn kv_width(&self) -> u32 {
        self.kv_heads.saturating_mul(self.head_size)
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// [`HeaderError`] naming the field.
    // spec: ENGINE-10.2
    pub fn check(&self) -> Result<(), HeaderError> {
        within("hidden size", self.hidden, 1, WIDTH_MAX)?;
        within("layer count", self.layers, 1, LAYERS_MAX)?;
        within("head size", self.head_size, 2, HEAD_SIZE_MAX)?;
        within("head count", self.heads, 1, WIDTH_MAX)?;
        within("key-value head count", self.kv_heads, 1, self.heads)?;
        within("query width", self.query_width(), 2, WIDTH_MAX)?;
        within("feed-forward size", self.inner, 1, INNER_MAX)?;
        within("vocabulary", self.vocabulary, 1, VOCABULARY_MAX)?;
        within("context", self.context, 1, CONTEXT_MAX)?;
        within("tied flag", self.tied.into(), 0, 1)?;
        agree(self.head_size % 2 == 0, "the head size is odd, rotary pairs need an even one")?;
        agree(self.heads % self.kv_heads == 0, "query heads do not divide among key-value heads")
    }
}

/// Fraction bits of everything in one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerScales {
    /// The norm before attention.
    pub input: NormScales,
    /// Of each query head.
    pub query_bits: Vec<u8>,
    /// Of each key head.
    pub key_bits: Vec<u8>,
    /// Of each value head.
    pub value_bits: Vec<u8>,
    /// The norm before the feed-forward layer.
    pub post: NormScales,
    /// Of the gate.
    pub gate_bits: u8,
    /// Of the up projection.
    pub up_bits: u8,
    /// The norms of each query head and of each key head, in models that have them. What attention
    /// sees then has their fraction bits; `query_bits` and `key_bits` are those before the norm.
    pub head_norms: Option<[NormScales; 2]>,
    /// Fraction bits of the gains of the norms after attention and after the feed-forward layer,
    /// in models that have them. Their outputs have those of the residual stream.
    pub after_gain_bits: Option<[u8; 2]>,
}

impl LayerScales {
    /// Fraction bits of the coarsest value head, that all heads' outputs are brought to.
    #[must_use]
    pub fn coarsest_value(&self) -> u8 {
        self.value_bits.iter().copied().min().unwrap_or(0)
    }

    /// Fraction bits of a query head as attention sees it.
    #[must_use]
    pub fn seen_query_bits(&self, head: usize) -> u8 {
        let own = self.query_bits.get(head).copied().unwrap_or(0);
        self.head_norms.map_or(own, |[query, _]| query.value_bits)
    }

    /// Fraction bits of a key head as attention sees it.
    #[must_use]
    pub fn seen_key_bits(&self, head: usize) -> u8 {
        let own = self.key_bits.get(head).copied().unwrap_or(0);
        self.head_norms.map_or(own, |[_, key]| key.value_bits)
    }

    fn decode(
        input: &mut Reader<'_>,
        shape: &Shape,
        variant: &Variant,
    ) -> Result<Self, DecodeError> {
        Ok(Self {
            input: norm(input)?,
            query_bits: bits(input, shape.heads)?,
            key_bits: bits(input, shape.kv_heads)?,
            value_bits: bits(input, shape.kv_heads)?,
            post: norm(input)?,
            gate_bits: u8::decode(input)?,
            up_bits: u8::decode(input)?,
            head_norms: match variant.head_norm {
                Some(_) => Some([norm(input)?, norm(input)?]),
                None => None,
            },
            after_gain_bits: match variant.after_norm {
                true => Some([u8::decode(input)?, u8::decode(input)?]),
                false => None,
            },
        })
    }

    fn check(&self, residual_bits: u8) -> Result<(), HeaderError> {
        self.check_more(residual_bits)?;
        check_norm(self.input)?;
        check_norm(self.post)?;
        let heads = self.query_bits.iter().chain(&self.key_bits).chain(&self.value_bits);
        heads.into_iter().try_for_each(|bits| range("head scale", *bits, 0, BITS_MAX))?;
        let finest = self.value_bits.iter().copied().max().unwrap_or(0);
        let apart = finest.saturating_sub(self.coarsest_value());
        range("spread of value scales", apart, 0, ALIGN_MAX)?;
        let least = u8::try_from(INDEX_BITS).unwrap_or(u8::MAX);
        range("gate scale", self.gate_bits, least, GATE_BITS_MAX)?;
        range("up scale", self.up_bits, 0, GATE_BITS_MAX)
    }

    /// What only relatives of Llama have. A norm of heads takes its epsilon from that for `Fx` bits
    /// by shifting it down, so its inputs have at most as many.
    fn check_more(&self, residual_bits: u8) -> Result<(), HeaderError> {
        for scales in self.head_norms.iter().flatten() {
            check_norm(*scales)?;
            let heads = self.query_bits.iter().chain(&self.key_bits);
            heads.into_iter().try_for_each(|bits| {
                range("scale of a head before its norm", *bits, 0, residual_bits)
            })?;
        }
        let gains = self.after_gain_bits.iter().flatten();
        gains.into_iter().try_for_each(|bits| range("gain scale", *bits, 0, BITS_MAX))
    }
}

impl Encode for LayerScales {
    fn encode(&self, out: &mut Vec<u8>) {
        put_norm(self.input, out);
        [&self.query_bits, &self.key_bits, &self.value_bits]
            .iter()
            .for_each(|bits| out.extend_from_slice(bits));
        put_norm(self.post, out);
        out.extend_from_slice(&[self.gate_bits, self.up_bits]);
        self.head_norms.iter().flatten().for_each(|scales| put_norm(*scales, out));
        out.extend(self.after_gain_bits.iter().flatten());
    }
}

/// All of a model but its weights and texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The integer semantics.
    pub op_set: OpSet,
    /// How layers are stored.
    pub profile: Profile,
    /// How the network differs from Llama.
    pub variant: Variant,
    /// A name for people; the model id is what machines use.
    pub name: String,
    /// The sizes.
    pub shape: Shape,
    /// `Fx`, fraction bits of the residual stream.
    pub residual_bits: u8,
    /// `eps_int` of every norm.
    pub epsilon: u64,
    /// `f_j` of every rotary pair.
    pub rope: Vec<u64>,
    /// `A_M` of the attention scale.
    pub attention_multiplier: u16,
    /// `A_S` of a head is this and the scales of its queries and keys.
    pub attention_shift: u8,
    /// The layers' scales.
    pub layers: Vec<LayerScales>,
    /// The norm before the head.
    pub final_norm: NormScales,
    /// Tokens that end an answer, ascending.
    pub end_of_text: Vec<Token>,
}

impl Header {
    /// Checks everything that does not need the weights.
    ///
    /// # Errors
    /// [`HeaderError`] naming the field.
    // spec: ENGINE-10.2
    pub fn check(&self) -> Result<(), HeaderError> {
        self.check_front()?;
        agree(
            self.layers.len() as u64 == u64::from(self.shape.layers),
            "the scales are not those of as many layers as the shape says",
        )?;
        self.layers.iter().try_for_each(|layer| layer.check(self.residual_bits))?;
        self.layers.iter().try_for_each(|layer| self.check_attention(layer))?;
        check_norm(self.final_norm)?;
        self.check_end_of_text()
    }

    /// What does not need the scales.
    pub(crate) fn check_front(&self) -> Result<(), HeaderError> {
        self.shape.check()?;
        range(
            "residual scale",
            self.residual_bits,
            *residual::BITS.start(),
            *residual::BITS.end(),
        )?;
        if self.epsilon >= 1 << 54 {
            let (value, most) = (self.epsilon, (1 << 54) - 1);
            return Err(HeaderError::OutOfRange { what: "epsilon", value, least: 0, most });
        }
        let pairs = u64::from(self.shape.head_size / 2);
        agree(self.rope.len() as u64 == pairs, "a frequency for every rotary pair is wanted")?;
        within("attention multiplier", self.attention_multiplier.into(), 1 << 15, u16::MAX.into())?;
        self.variant.check(&self.shape)
    }

    /// `A_S` of a query head and its key head.
    #[must_use]
    pub fn attention_shift(&self, query_bits: u8, key_bits: u8) -> u32 {
        u32::from(self.attention_shift) + u32::from(query_bits) + u32::from(key_bits)
    }

    fn check_attention(&self, layer: &LayerScales) -> Result<(), HeaderError> {
        let queries = (0..layer.query_bits.len()).map(|head| layer.seen_query_bits(head));
        let keys = (0..layer.key_bits.len()).map(|head| layer.seen_key_bits(head));
        let shift = self.attention_shift(queries.max().unwrap_or(0), keys.max().unwrap_or(0));
        within("attention shift", shift, 0, 62)
    }

    fn check_end_of_text(&self) -> Result<(), HeaderError> {
        let known = |token: &Token| token.0 < self.shape.vocabulary;
        agree(self.end_of_text.iter().all(known), "an end-of-text token is out of vocabulary")?;
        let ascends = self.end_of_text.is_sorted_by(|a, b| a < b);
        agree(ascends, "end-of-text tokens are not in ascending order")
    }
}

impl Encode for Header {
    fn encode(&self, out: &mut Vec<u8>) {
        HEADER_VERSION.encode(out);
        self.op_set.encode(out);
        self.profile.encode(out);
        let is_llama = self.variant.is_llama();
        if is_llama { LLAMA } else { RELATIVE }.encode(out);
        put_bytes(out, self.name.as_bytes());
        self.shape.encode(out);
        if !is_llama {
            self.variant.encode(out);
        }
        self.residual_bits.encode(out);
        self.epsilon.encode(out);
        self.rope.iter().for_each(|frequency| frequency.encode(out));
        self.attention_multiplier.encode(out);
        self.attention_shift.encode(out);
        self.layers.iter().for_each(|layer| layer.encode(out));
        put_norm(self.final_norm, out);
        put_list(out, &self.end_of_text);
    }
}

impl Decode for Header {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        version("header version", HEADER_VERSION, u16::decode(input)?)?;
        let op_set = OpSet::decode(input)?;
        version("op set", OP_SET_1.0, op_set.0)?;
        let profile = Profile::decode(input)?;
        let family = u8::decode(input)?;
        let name = input.text("model name", MODEL_NAME_BYTES_MAX)?;
        let shape = Shape::decode(input)?;
        bounded("head size", shape.head_size, HEAD_SIZE_MAX)?;
        bounded("head count", shape.heads.max(shape.kv_heads), WIDTH_MAX)?;
        bounded("layer count", shape.layers, LAYERS_MAX)?;
        let variant = match family {
            LLAMA => Variant::default(),
            RELATIVE => Variant::decode(input, &shape)?,
            other => {
                return Err(DecodeError::Unknown { what: "model family", value: other.into() });
            }
        };
        let residual_bits = u8::decode(input)?;
        let epsilon = u64::decode(input)?;
        let pairs = 0..shape.head_size / 2;
        let rope = pairs.map(|_| u64::decode(input)).collect::<Result<_, _>>()?;
        let attention_multiplier = u16::decode(input)?;
        let attention_shift = u8::decode(input)?;
        let layers = (0..shape.layers).map(|_| LayerScales::decode(input, &shape, &variant));
        let layers = layers.collect::<Result<_, _>>()?;
        let final_norm = norm(input)?;
        let end_of_text = input.tokens("end-of-text tokens", END_OF_TEXT_MAX)?;
        Ok(Self {
            op_set,
            profile,
            variant,
            name,
            shape,
            residual_bits,
            epsilon,
            rope,
            attention_multiplier,
            attention_shift,
            layers,
            final_norm,
            end_of_text,
        })
    }
}

fn version(what: &'static str, known: u16, found: u16) -> Result<(), DecodeError> {
    let error = DecodeError::Unknown { what, value: found.into() };
    if known == found { Ok(()) } else { Err(error) }
}

fn bounded(what: &'static str, value: u32, most: u32) -> Result<(), DecodeError> {
    let error = DecodeError::TooLong { what, count: value.into(), maximum: most.into() };
    if value <= most { Ok(()) } else { Err(error) }
}

/// One byte a head; `take` compares with the bytes that are left before anything is copied.
fn bits(input: &mut Reader<'_>, count: u32) -> Result<Vec<u8>, DecodeError> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    Ok(input.take(count)?.to_vec())
}

fn norm(input: &mut Reader<'_>) -> Result<NormScales, DecodeError> {
    Ok(NormScales { gain_bits: u8::decode(input)?, value_bits: u8::decode(input)? })
}

fn put_norm(scales: NormScales, out: &mut Vec<u8>) {
    out.extend_from_slice(&[scales.gain_bits, scales.value_bits]);
}

fn check_norm(scales: NormScales) -> Result<(), HeaderError> {
    range("gain scale", scales.gain_bits, 0, BITS_MAX)?;
    range("norm scale", scales.value_bits, 0, BITS_MAX)
}

fn range(what: &'static str, value: u8, least: u8, most: u8) -> Result<(), HeaderError> {
    within(what, value.into(), least.into(), most.into())
}

pub(super) fn within(
    what: &'static str,
    value: u32,
    least: u32,
    most: u32,
) -> Result<(), HeaderError> {
    let (number, lowest, highest) = (value.into(), least.into(), most.into());
    let error = HeaderError::OutOfRange { what, value: number, least: lowest, most: highest };
    if (least..=most).contains(&value) { Ok(()) } else { Err(error) }
}

pub(super) fn agree(truth: bool, otherwise: &'static str) -> Result<(), HeaderError> {
    if truth { Ok(()) } else { Err(HeaderError::Mismatch(otherwise)) }
}

/// `floor(log2(e) * 2^62)`.
const LOG2_E: u64 = 6_653_256_548_922_161_245;

/// The attention scale of heads of this size, `2^11 log2(e) / sqrt(dh)`, as `A_M * 2^-shift` with
/// `A_M` in 2^15..2^16, halves up.
// spec: ENGINE-15.6
#[must_use]
pub fn attention_scale(head_size: u32) -> (u16, u8) {
    let square = u128::from(LOG2_E) * u128::from(LOG2_E) / u128::from(head_size.max(1));
    let root = square.isqrt();
    let mut drop = 128 - root.leading_zeros() - 16;
    let mut multiplier = (root + (1 << (drop - 1))) >> drop;
    if multiplier == 1 << 16 {
        (multiplier, drop) = (1 << 15, drop + 1);
    }
    let multiplier = u16::try_from(multiplier).expect("normalised to 16 bits");
    (multiplier, u8::try_from(62 - 11 - drop).expect("heads are at most 256 wide"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_scales_are_those_of_the_real_numbers() {
        // spec: ENGINE-15.6
        for size in [2u32, 32, 64, 80, 96, 128, 256] {
            let (multiplier, shift) = attention_scale(size);
            let found = f64::from(multiplier) / f64::from(1u32 << shift);
            let real = 2048.0 * std::f64::consts::LOG2_E / f64::from(size).sqrt();
            assert!((found / real - 1.0).abs() < 2f64.powi(-16), "{size}: {found} is not {real}");
        }
    }
}
