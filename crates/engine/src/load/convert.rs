//! Conversion: a published Llama in, a model file out. A pure function of the source bytes.
//!
//! Tensors are read a few rows at a time and go to a [`Sink`] one by one, so what is in memory is
//! one converted tensor and little more, however large the model.

mod sink;
mod work;

pub use sink::{Part, Sink, SinkError};

use crate::load::LoadError;
use crate::load::catalogue::{Catalogue, Files, InMemory, SourceError};
use crate::load::config::{Config, ConfigError};
use crate::load::format;
use crate::load::gguf::GgufError;
use crate::load::quantise::{self, FrequencyError, Gain};
use crate::load::safetensors::SafetensorsError;
use crate::model::Model;
use crate::model::bounds::{self, Behind, Fit, NORM_EXPONENT_MAX, SHIFT_MAX};
use crate::model::header::{
    self, ALIGN_MAX, BITS_MAX, Family, GATE_BITS_MAX, Header, HeaderError, LayerScales, OP_SET_1,
    Profile, Shape,
};
use crate::op::attention::EXTRA_BITS;
use crate::op::logits;
use crate::op::rmsnorm::NormScales;
use crate::op::swiglu::INDEX_BITS;
use crate::pool::{Pool, Serial};
use mutirao_wire::{Digest, ModelId};
use std::ops::RangeInclusive;
use thiserror::Error;
use work::{Manner, Work};

/// Grows whenever the same published bytes would give another file.
const CONVERSION: u32 = 1;

/// A published model, as bytes.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// `config.json`.
    pub config: &'a [u8],
    /// `model.safetensors`, f32, f16 or bf16.
    pub weights: &'a [u8],
    /// `tokenizer.json`.
    pub tokenizer: &'a [u8],
    /// The chat template.
    pub template: &'a [u8],
}

/// A published model whose weights are read as they are wanted.
#[derive(Clone, Copy)]
pub struct Published<'a> {
    /// `config.json`.
    pub config: &'a [u8],
    /// Which tensors there are.
    pub catalogue: &'a Catalogue,
    /// The files that they are in.
    pub files: &'a dyn Files,
    /// `tokenizer.json`.
    pub tokenizer: &'a [u8],
    /// The chat template.
    pub template: &'a [u8],
}

/// What a conversion made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// The id of the model.
    pub id: ModelId,
    /// The root of the digest tree over its tensors.
    pub weights_root: Digest,
    /// Bytes of the file.
    pub bytes: u64,
    /// What became of each tensor, in the order of the file.
    pub tensors: Vec<TensorReport>,
}

/// What became of a tensor, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorReport {
    /// Its name in the model file.
    pub name: String,
    /// Its weights, or gains.
    pub weights: u64,
    /// Its bytes in the model file.
    pub bytes: u64,
    /// Signal to noise against the published weights, in tenths of a decibel; none where nothing
    /// was lost, and for gains.
    pub decibel_tenths: Option<i32>,
}

/// Why a model cannot be converted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The configuration is not one that op set 1 runs.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A size is outside op set 1.
    #[error("the model does not fit op set 1: {0}")]
    Header(#[from] HeaderError),
    /// The weights are not a safetensors file.
    #[error("the weights are not a safetensors file: {0}")]
    Weights(#[from] SafetensorsError),
    /// The file is no GGUF model.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A tensor cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The tokenizer or template is too long.
    #[error("the {what} has {actual} bytes, at most {maximum} fit a model file")]
    TooLong {
        /// Which.
        what: &'static str,
        /// Its length.
        actual: usize,
        /// The bound.
        maximum: usize,
    },
    /// A bound of op set 1 cannot be kept.
    #[error("tensor {name} does not fit op set 1: {reason}")]
    Unfit {
        /// The tensor.
        name: String,
        /// Which bound.
        reason: String,
    },
    /// The rotary frequencies cannot be represented.
    #[error(transparent)]
    Frequency(#[from] FrequencyError),
    /// Epsilon cannot be represented.
    #[error("rms_norm_eps is too large for op set 1")]
    Epsilon,
    /// What was converted cannot be kept.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The file that was made does not prove itself: a defect of this program.
    #[error("the converted file is refused: {0}")]
    Refused(#[from] LoadError),
}

/// Fraction bits of the residual stream that conversion chooses.
const RESIDUAL_BITS: u8 = 16;

/// Most fraction bits that conversion gives queries and keys: with those of the attention scale, at
/// most 8, a score's shift is at most 62 also where all of a head's weights are zero.
const PAIR_BITS_MAX: u8 = 27;

/// What stands behind the number of a layer in a tensor's name.
const LAYER_TENSORS: [&str; 9] = [
    "input_layernorm.weight",
    "self_attn.q_proj.weight",
    "self_attn.k_proj.weight",
    "self_attn.v_proj.weight",
    "self_attn.o_proj.weight",
    "post_attention_layernorm.weight",
    "mlp.gate_proj.weight",
    "mlp.up_proj.weight",
    "mlp.down_proj.weight",
];

/// Converts a published model that is in memory to a model file in memory.
///
/// # Errors
/// [`ConvertError`] naming what does not fit.
// spec: ENGINE-15.1
pub fn convert(source: &Source<'_>, profile: Profile) -> Result<Vec<u8>, ConvertError> {
    let Source { config, weights, tokenizer, template } = *source;
    check_texts(tokenizer, template)?;
    Config::parse(config)?.shape.check()?;
    let files = InMemory(vec![weights]);
    let catalogue = &Catalogue::safetensors(&files)?;
    let published = Published { config, catalogue, files: &files, tokenizer, template };
    let mut sink = sink::Whole::default();
    convert_into(&published, profile, &Serial, &mut sink)?;
    Model::from_bytes(&sink.0)?;
    Ok(sink.0)
}

/// Converts a published model tensor by tensor, on the threads of `pool`. Neither the pool nor what
/// the sink kept from an earlier run changes a bit of what is made. The file proves itself when it
/// is opened, as any other does.
///
/// # Errors
/// [`ConvertError`] naming what does not fit, or what could not be read or kept.
// spec: ENGINE-15.1, ENGINE-16.2
pub fn convert_into(
    published: &Published<'_>,
    profile: Profile,
    pool: &dyn Pool,
    sink: &mut dyn Sink,
) -> Result<Converted, ConvertError> {
    check_texts(published.tokenizer, published.template)?;
    let config = Config::parse(published.config)?;
    config.shape.check()?;
    let mut header = header(&config, profile)?;
    published.catalogue.only(|name| is_known(name, config.shape.layers))?;
    let work = Work::new(published, &header, pool, sink);
    let mut weights = Weights { work, shape: config.shape, profile };
    let final_gain = weights.gain("model.norm.weight")?;
    header.final_norm = final_gain.scales;
    weights.embedding(&final_gain)?;
    for (layer, scales) in (0..).zip(&mut header.layers) {
        *scales = weights.layer(layer)?;
    }
    weights.work.put_gain(&final_gain)?;
    if config.shape.tied == 0 {
        weights.head(&final_gain)?;
    }
    weights.work.finish(&header)
}

fn check_texts(tokenizer: &[u8], template: &[u8]) -> Result<(), ConvertError> {
    check_length("tokenizer", tokenizer, format::TOKENIZER_BYTES_MAX)?;
    check_length("template", template, format::TEMPLATE_BYTES_MAX)
}

fn check_length(what: &'static str, bytes: &[u8], maximum: usize) -> Result<(), ConvertError> {
    let actual = bytes.len();
    if actual <= maximum { Ok(()) } else { Err(ConvertError::TooLong { what, actual, maximum }) }
}

/// Whether conversion reads a tensor of this name, or may leave it out: a tied model's second copy
/// of its head, and rotary frequencies, which follow from the configuration.
// spec: ENGINE-15.7
fn is_known(name: &str, layers: u32) -> bool {
    if ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"].contains(&name) {
        return true;
    }
    let part = name.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.'));
    part.is_some_and(|(layer, part)| {
        let layer = layer.parse::<u32>().is_ok_and(|n| n < layers && n.to_string() == layer);
        layer && (LAYER_TENSORS.contains(&part) || part == "self_attn.rotary_emb.inv_freq")
    })
}

/// The header but for its scales, which have their place already.
fn header(config: &Config, profile: Profile) -> Result<Header, ConvertError> {
    let shape = config.shape;
    let (attention_multiplier, attention_shift) = header::attention_scale(shape.head_size);
    let epsilon = quantise::epsilon(config.epsilon, shape.hidden, RESIDUAL_BITS);
    Ok(Header {
        op_set: OP_SET_1,
        profile,
        family: Family::Llama,
        name: config.name.clone(),
        shape,
        residual_bits: RESIDUAL_BITS,
        epsilon: epsilon.ok_or(ConvertError::Epsilon)?,
        rope: quantise::frequencies(config.rope_theta, shape.head_size)?,
        attention_multiplier,
        attention_shift,
        layers: vec![no_scales(&shape); shape.layers as usize],
        final_norm: NO_NORM,
        end_of_text: config.end_of_text.clone(),
    })
}

/// The scales of a norm that are not known yet.
const NO_NORM: NormScales = NormScales { gain_bits: 0, value_bits: 0 };

/// The scales of a layer that are not known yet: as many bytes as those that will be.
fn no_scales(shape: &Shape) -> LayerScales {
    let bits = |heads: u32| vec![0; heads as usize];
    LayerScales {
        input: NO_NORM,
        query_bits: bits(shape.heads),
        key_bits: bits(shape.kv_heads),
        value_bits: bits(shape.kv_heads),
        post: NO_NORM,
        gate_bits: 0,
        up_bits: 0,
    }
}

/// Exponents C that keep `C + input - output` within `least..=62`.
// spec: ENGINE-3.7
fn exponents(input_bits: u8, output_bits: u8, least: u32) -> RangeInclusive<u8> {
    let difference = i32::from(output_bits) - i32::from(input_bits);
    let bound = |shift: u32| u8::try_from((shift as i32 + difference).clamp(0, 255)).unwrap_or(255);
    bound(least)..=bound(SHIFT_MAX)
}

/// The tensors being read, in the order of the model file.
struct Weights<'a> {
    work: Work<'a>,
    shape: Shape,
    profile: Profile,
}

impl Weights<'_> {
    fn gain(&mut self, name: &str) -> Result<Gain, ConvertError> {
        self.work.gain(name, self.shape.hidden)
    }

    /// Also the head, where it is tied: then its shifts bound the exponents too.
    fn embedding(&mut self, final_gain: &Gain) -> Result<(), ConvertError> {
        let mut range = exponents(0, RESIDUAL_BITS, 0);
        if self.shape.tied == 1 {
            let head = head_exponents(final_gain);
            range = *range.start().max(head.start())..=*range.end().min(head.end());
        }
        let manner = Manner { profile: Profile::W8, gain: None, exponents: &range };
        let shape = (self.shape.vocabulary, self.shape.hidden);
        let embedding = self.work.matrix("model.embed_tokens.weight", shape, manner)?;
        self.work.put(embedding)
    }

    fn head(&mut self, final_gain: &Gain) -> Result<(), ConvertError> {
        let range = head_exponents(final_gain);
        let manner = Manner { profile: Profile::W8, gain: Some(final_gain), exponents: &range };
        let shape = (self.shape.vocabulary, self.shape.hidden);
        let head = self.work.matrix("lm_head.weight", shape, manner)?;
        self.work.put(head)
    }

    /// Converts one layer and returns its scales.
    fn layer(&mut self, layer: u32) -> Result<LayerScales, ConvertError> {
        let shape = self.shape;
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        let input = self.gain(&name("input_layernorm"))?;
        self.work.put_gain(&input)?;
        let (query, kv) = (shape.query_width(), shape.kv_width());
        let query_bits = self.pairs(&name("self_attn.q_proj"), query, &input)?;
        let key_bits = self.pairs(&name("self_attn.k_proj"), kv, &input)?;
        let mut value_bits = self.values(&name("self_attn.v_proj"), kv, &input)?;
        let coarsest = value_bits.iter().copied().min().unwrap_or(0);
        value_bits.iter_mut().for_each(|bits| *bits = (*bits).min(coarsest + ALIGN_MAX));
        let least = bounds::attention_exponent_max(query as usize);
        let range = exponents(coarsest + EXTRA_BITS as u8, RESIDUAL_BITS, least);
        self.plain(&name("self_attn.o_proj"), (shape.hidden, query), &range)?;
        let post = self.gain(&name("post_attention_layernorm"))?;
        self.work.put_gain(&post)?;
        let gate_bits = self.gates(&name("mlp.gate_proj"), &post, INDEX_BITS)?;
        let up_bits = self.gates(&name("mlp.up_proj"), &post, 0)?;
        let least = bounds::gate_exponent_max(shape.inner as usize);
        let range = exponents(gate_bits + up_bits, RESIDUAL_BITS, least);
        self.plain(&name("mlp.down_proj"), (shape.hidden, shape.inner), &range)?;
        let (input, post) = (input.scales, post.scales);
        Ok(LayerScales { input, query_bits, key_bits, value_bits, post, gate_bits, up_bits })
    }

    /// A matrix that no norm stands in front of.
    fn plain(
        &mut self,
        name: &str,
        shape: (u32, u32),
        exponents: &RangeInclusive<u8>,
    ) -> Result<(), ConvertError> {
        let manner = Manner { profile: self.profile, gain: None, exponents };
        let matrix = self.work.matrix(name, shape, manner)?;
        self.work.put(matrix)
    }

    /// Queries or keys: one scale for each head.
    fn pairs(&mut self, name: &str, rows: u32, gain: &Gain) -> Result<Vec<u8>, ConvertError> {
        self.behind(name, (rows, self.shape.head_size), gain, Fit::Pairs, PAIR_BITS_MAX)
    }

    /// Values: one scale for each head.
    fn values(&mut self, name: &str, rows: u32, gain: &Gain) -> Result<Vec<u8>, ConvertError> {
        self.behind(name, (rows, self.shape.head_size), gain, Fit::Values, BITS_MAX)
    }

    /// Gate or up: one scale, at least `least`.
    fn gates(&mut self, name: &str, gain: &Gain, least: u32) -> Result<u8, ConvertError> {
        let inner = self.shape.inner;
        let bits = self.behind(name, (inner, inner), gain, Fit::Gates, GATE_BITS_MAX)?;
        let bits = bits.first().copied().filter(|bits| u32::from(*bits) >= least);
        bits.ok_or_else(|| unfit(name, "its outputs have no static scale"))
    }

    /// A matrix behind a norm, whose outputs get the finest static scale that is proven to hold:
    /// one for each `size` rows, up to `most`.
    fn behind(
        &mut self,
        name: &str,
        (rows, size): (u32, u32),
        gain: &Gain,
        fit: Fit,
        most: u8,
    ) -> Result<Vec<u8>, ConvertError> {
        let range = exponents(gain.scales.value_bits, 0, NORM_EXPONENT_MAX);
        let manner = Manner { profile: self.profile, gain: Some(gain), exponents: &range };
        let pending = self.work.matrix(name, (rows, self.shape.hidden), manner)?;
        let reaches = Behind::new(&pending.matrix, &gain.integers, gain.scales);
        let bits = reaches.finest(size as usize, fit, most);
        self.work.put(pending)?;
        bits.ok_or_else(|| unfit(name, "its outputs have no static scale"))
    }
}

fn head_exponents(final_gain: &Gain) -> RangeInclusive<u8> {
    exponents(final_gain.scales.value_bits, logits::BITS as u8, NORM_EXPONENT_MAX)
}

fn unfit(name: &str, reason: &str) -> ConvertError {
    ConvertError::Unfit { name: name.to_owned(), reason: reason.to_owned() }
}
