//! Conversion: a published model in, a model file out. A pure function of the source bytes.
//!
//! Tensors are read a few rows at a time and go to a [`Sink`] one by one, so what is in memory is
//! one converted tensor and little more, however large the model.

mod balance;
mod sink;
mod tensors;
mod work;

pub use sink::{InMemoryFile, Part, Sink, SinkError};

use crate::load::LoadError;
use crate::load::catalogue::{Catalogue, Files, InMemory, SourceError};
use crate::load::config::{Config, ConfigError};
use crate::load::format;
use crate::load::gguf::GgufError;
use crate::load::quantise::{self, CapUnits, FrequencyError, Reach};
use crate::load::safetensors::SafetensorsError;
use crate::model::Model;
use crate::model::header::{self, Header, HeaderError, LayerScales, OP_SET_1, Profile, Shape};
use crate::model::variant::{Variant, Window};
use crate::op::residual;
use crate::op::rmsnorm::NormScales;
use crate::pool::{Pool, Serial};
use mutirao_wire::{Digest, ModelId};
use tensors::Weights;
use thiserror::Error;
use work::Work;

/// Grows whenever the same published bytes would give another file.
const CONVERSION: u32 = 2;

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
    /// A soft cap cannot be represented.
    #[error("a soft cap is too large for op set 1")]
    Cap,
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

/// What stands behind the number of a layer in a tensor's name, in every family.
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
/// And where queries, keys and values have biases.
const BIASES: [&str; 3] =
    ["self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"];
/// And where heads are normed.
const HEAD_NORMS: [&str; 2] = ["self_attn.q_norm.weight", "self_attn.k_norm.weight"];
/// And where outputs are normed: the norm behind attention has the name that otherwise the one
/// before the feed-forward layer has.
const AFTER_NORMS: [&str; 2] =
    ["pre_feedforward_layernorm.weight", "post_feedforward_layernorm.weight"];

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
    let mut sink = InMemoryFile::default();
    convert_into(&published, profile, &Serial, &mut sink)?;
    let file = sink.into_bytes();
    Model::from_bytes(&file)?;
    Ok(file)
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
    published.catalogue.only(|name| is_known(name, &config))?;
    let residual_bits = residual_bits(published, &config)?;
    let mut header = header(&config, profile, residual_bits)?;
    header.check_front()?;
    let work = Work::new(published, &header, pool, sink);
    let variant = header.variant.clone();
    let shape = config.shape;
    let mut weights = Weights { work, config: &config, variant, shape, profile, residual_bits };
    let final_gain = weights.final_gain("model.norm.weight")?;
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
fn is_known(name: &str, config: &Config) -> bool {
    let layers = config.shape.layers;
    if ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"].contains(&name) {
        return true;
    }
    let part = name.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.'));
    part.is_some_and(|(layer, part)| {
        let layer = layer.parse::<u32>().is_ok_and(|n| n < layers && n.to_string() == layer);
        let known = LAYER_TENSORS.contains(&part)
            || part == "self_attn.rotary_emb.inv_freq"
            || config.biased && BIASES.contains(&part)
            || config.head_norm && HEAD_NORMS.contains(&part)
            || config.after_norm && AFTER_NORMS.contains(&part);
        layer && known
    })
}

/// Fraction bits of the residual stream. Where everything that is added to it is normed first, it
/// is known how far it reaches, and it gets as many as fit.
// spec: ENGINE-15.10
fn residual_bits(published: &Published<'_>, config: &Config) -> Result<u8, ConvertError> {
    /// Rows of the embedding that are read at once.
    const ROWS: usize = 64;
    if !config.after_norm {
        return Ok(RESIDUAL_BITS);
    }
    let (vocabulary, hidden) = (config.shape.vocabulary as usize, config.shape.hidden as usize);
    let sheet =
        |name: &str, shape: &[usize]| published.catalogue.sheet(published.files, name, shape);
    let mut reach = Reach::default();
    let embedding = sheet("model.embed_tokens.weight", &[vocabulary, hidden])?;
    for first in (0..vocabulary).step_by(ROWS) {
        let mut rows = embedding.numbers(first..(first + ROWS).min(vocabulary))?;
        if config.scaled_embedding {
            rows.times_root(config.shape.hidden);
        }
        reach.begin(&rows);
    }
    for layer in 0..config.shape.layers {
        for part in ["post_attention_layernorm", "post_feedforward_layernorm"] {
            let name = format!("model.layers.{layer}.{part}.weight");
            let mut gains = sheet(&name, &[hidden])?.numbers(0..1)?;
            if config.offset_gains {
                gains.plus_one();
            }
            reach.add(&gains);
        }
    }
    Ok(reach.bits(residual::BITS))
}

/// What the network has beyond Llama.
fn variant(config: &Config, residual_bits: u8) -> Result<Variant, ConvertError> {
    let size = config.shape.head_size;
    let cap = |cap: Option<_>, units| match cap.map(|cap| quantise::cap(cap, units)) {
        None => Ok(0),
        Some(cap) => cap.ok_or(ConvertError::Cap),
    };
    let head_epsilon = || {
        let epsilon = quantise::epsilon(config.epsilon, size, residual_bits);
        epsilon.ok_or(ConvertError::Epsilon)
    };
    let window = |window: &crate::load::config::ConfigWindow| {
        let rope = quantise::frequencies(&window.rope, size)?;
        let (positions, layers) = (window.positions, window.layers.clone());
        Ok::<Window, ConvertError>(Window { positions, rope, layers })
    };
    Ok(Variant {
        biased: config.biased,
        head_norm: if config.head_norm { Some(head_epsilon()?) } else { None },
        after_norm: config.after_norm,
        activation: config.activation,
        score_cap: cap(config.score_cap, CapUnits::Octaves)?,
        logit_cap: cap(config.logit_cap, CapUnits::Logits)?,
        window: config.window.as_ref().map(window).transpose()?,
    })
}

/// The header but for its scales, which have their place already.
fn header(config: &Config, profile: Profile, residual_bits: u8) -> Result<Header, ConvertError> {
    let shape = config.shape;
    let (attention_multiplier, attention_shift) = header::attention_scale(config.attention_size);
    let epsilon = quantise::epsilon(config.epsilon, shape.hidden, residual_bits);
    let variant = variant(config, residual_bits)?;
    Ok(Header {
        op_set: OP_SET_1,
        profile,
        layers: vec![no_scales(&shape, &variant); shape.layers as usize],
        variant,
        name: config.name.clone(),
        shape,
        residual_bits,
        epsilon: epsilon.ok_or(ConvertError::Epsilon)?,
        rope: quantise::frequencies(&config.rope, shape.head_size)?,
        attention_multiplier,
        attention_shift,
        final_norm: NO_NORM,
        end_of_text: config.end_of_text.clone(),
    })
}

/// The scales of a norm that are not known yet.
const NO_NORM: NormScales = NormScales { gain_bits: 0, value_bits: 0 };

/// The scales of a layer that are not known yet: as many bytes as those that will be.
fn no_scales(shape: &Shape, variant: &Variant) -> LayerScales {
    let bits = |heads: u32| vec![0; heads as usize];
    LayerScales {
        input: NO_NORM,
        query_bits: bits(shape.heads),
        key_bits: bits(shape.kv_heads),
        value_bits: bits(shape.kv_heads),
        post: NO_NORM,
        gate_bits: 0,
        up_bits: 0,
        head_norms: variant.head_norm.map(|_| [NO_NORM; 2]),
        after_gain_bits: variant.after_norm.then_some([0; 2]),
    }
}

fn unfit(name: &str, reason: &str) -> ConvertError {
    ConvertError::Unfit { name: name.to_owned(), reason: reason.to_owned() }
}
