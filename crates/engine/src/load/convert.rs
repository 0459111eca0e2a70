//! Conversion: a published Llama in, a model file out. A pure function of the source bytes.

use crate::load::LoadError;
use crate::load::config::{Config, ConfigError};
use crate::load::format::{self, gain_sections, matrix_sections};
use crate::load::quantise::{self, FrequencyError, Gain, RowError, SourceError};
use crate::model::Model;
use crate::model::bounds::{self, Behind, Fit, NORM_EXPONENT_MAX, SHIFT_MAX};
use crate::model::header::{
    self, ALIGN_MAX, BITS_MAX, Family, GATE_BITS_MAX, Header, HeaderError, LayerScales, OP_SET_1,
    Profile, Shape,
};
use crate::model::matrix::Matrix;
use crate::op::attention::EXTRA_BITS;
use crate::op::logits;
use crate::op::rmsnorm::NormScales;
use crate::op::swiglu::INDEX_BITS;
use safetensors::SafeTensors;
use std::ops::RangeInclusive;
use thiserror::Error;

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
    Weights(String),
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

/// Converts a published model to a model file.
///
/// # Errors
/// [`ConvertError`] naming what does not fit.
// spec: ENGINE-15.1
pub fn convert(source: &Source<'_>, profile: Profile) -> Result<Vec<u8>, ConvertError> {
    check_length("tokenizer", source.tokenizer, format::TOKENIZER_BYTES_MAX)?;
    check_length("template", source.template, format::TEMPLATE_BYTES_MAX)?;
    let config = Config::parse(source.config)?;
    config.shape.check()?;
    let mut header = header(&config, profile)?;
    let file = SafeTensors::deserialize(source.weights)
        .map_err(|error| ConvertError::Weights(error.to_string()))?;
    quantise::only(&file, |name| is_known(name, config.shape.layers))?;
    let mut sections = Vec::new();
    let weights = Weights { file: &file, shape: config.shape, profile };
    let final_gain = weights.gain("model.norm.weight")?;
    header.final_norm = final_gain.scales;
    sections.push(matrix_sections(&weights.embedding(&final_gain)?));
    for layer in 0..config.shape.layers {
        let scales = weights.layer(layer, &mut sections)?;
        header.layers.push(scales);
    }
    sections.push(gain_sections(&final_gain.integers));
    if config.shape.tied == 0 {
        sections.push(matrix_sections(&weights.head(&final_gain)?));
    }
    let file = format::write(&header, source.tokenizer, source.template, &sections);
    Model::from_bytes(&file)?;
    Ok(file)
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
        layers: Vec::new(),
        // The scales are not known yet.
        final_norm: NormScales { gain_bits: 0, value_bits: 0 },
        end_of_text: config.end_of_text.clone(),
    })
}

/// Exponents C that keep `C + input - output` within `least..=62`.
// spec: ENGINE-3.7
fn exponents(input_bits: u8, output_bits: u8, least: u32) -> RangeInclusive<u8> {
    let difference = i32::from(output_bits) - i32::from(input_bits);
    let bound = |shift: u32| u8::try_from((shift as i32 + difference).clamp(0, 255)).unwrap_or(255);
    bound(least)..=bound(SHIFT_MAX)
}

/// The tensors being read.
struct Weights<'a> {
    file: &'a SafeTensors<'a>,
    shape: Shape,
    profile: Profile,
}

impl Weights<'_> {
    fn gain(&self, name: &str) -> Result<Gain, ConvertError> {
        let values = quantise::values(self.file, name, &[self.shape.hidden as usize])?;
        quantise::gain(&values).ok_or_else(|| unfit(name, "a gain is too large for 16 bits"))
    }

    fn matrix(
        &self,
        name: &str,
        (rows, columns): (u32, u32),
        profile: Profile,
        gain: Option<&Gain>,
        exponents: &RangeInclusive<u8>,
    ) -> Result<Matrix, ConvertError> {
        let (rows, columns) = (rows as usize, columns as usize);
        let values = quantise::values(self.file, name, &[rows, columns])?;
        quantise::matrix(&values, rows, profile, gain, exponents)
            .map_err(|error: RowError| unfit(name, &error.to_string()))
    }

    /// Also the head, where it is tied: then its shifts bound the exponents too.
    fn embedding(&self, final_gain: &Gain) -> Result<Matrix, ConvertError> {
        let mut range = exponents(0, RESIDUAL_BITS, 0);
        if self.shape.tied == 1 {
            let head = head_exponents(final_gain);
            range = *range.start().max(head.start())..=*range.end().min(head.end());
        }
        let shape = (self.shape.vocabulary, self.shape.hidden);
        self.matrix("model.embed_tokens.weight", shape, Profile::W8, None, &range)
    }

    fn head(&self, final_gain: &Gain) -> Result<Matrix, ConvertError> {
        let shape = (self.shape.vocabulary, self.shape.hidden);
        let range = head_exponents(final_gain);
        self.matrix("lm_head.weight", shape, Profile::W8, Some(final_gain), &range)
    }

    /// Converts one layer: appends its sections, returns its scales.
    fn layer(
        &self,
        layer: u32,
        sections: &mut Vec<Vec<Vec<u8>>>,
    ) -> Result<LayerScales, ConvertError> {
        let shape = self.shape;
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        let input = self.gain(&name("input_layernorm"))?;
        let behind = BehindNorm { weights: self, gain: &input };
        let heads = |part, width, fit, most| behind.heads(&name(part), width, fit, most);
        let (query_width, kv_width) = (shape.query_width(), shape.kv_width());
        let pairs = |part, width| heads(part, width, Fit::Pairs, PAIR_BITS_MAX);
        let (query, query_bits) = pairs("self_attn.q_proj", query_width)?;
        let (key, key_bits) = pairs("self_attn.k_proj", kv_width)?;
        let (value, value_bits) = heads("self_attn.v_proj", kv_width, Fit::Values, BITS_MAX)?;
        let coarsest = value_bits.iter().copied().min().unwrap_or(0);
        let value_bits: Vec<u8> =
            value_bits.iter().map(|bits| (*bits).min(coarsest + ALIGN_MAX)).collect();
        let attention = coarsest + EXTRA_BITS as u8;
        let least = bounds::attention_exponent_max(shape.query_width() as usize);
        let range = exponents(attention, RESIDUAL_BITS, least);
        let output = self.layer_matrix(
            &name("self_attn.o_proj"),
            (shape.hidden, shape.query_width()),
            &range,
        )?;
        let post = self.gain(&name("post_attention_layernorm"))?;
        let behind = BehindNorm { weights: self, gain: &post };
        let (gate, gate_bits) = behind.gates(&name("mlp.gate_proj"), INDEX_BITS)?;
        let (up, up_bits) = behind.gates(&name("mlp.up_proj"), 0)?;
        let least = bounds::gate_exponent_max(shape.inner as usize);
        let range = exponents(gate_bits + up_bits, RESIDUAL_BITS, least);
        let down =
            self.layer_matrix(&name("mlp.down_proj"), (shape.hidden, shape.inner), &range)?;
        sections.push(gain_sections(&input.integers));
        sections.extend([&query, &key, &value, &output].map(matrix_sections));
        sections.push(gain_sections(&post.integers));
        sections.extend([&gate, &up, &down].map(matrix_sections));
        let (input, post) = (input.scales, post.scales);
        Ok(LayerScales { input, query_bits, key_bits, value_bits, post, gate_bits, up_bits })
    }

    fn layer_matrix(
        &self,
        name: &str,
        shape: (u32, u32),
        range: &RangeInclusive<u8>,
    ) -> Result<Matrix, ConvertError> {
        self.matrix(name, shape, self.profile, None, range)
    }
}

fn head_exponents(final_gain: &Gain) -> RangeInclusive<u8> {
    exponents(final_gain.scales.value_bits, logits::BITS as u8, NORM_EXPONENT_MAX)
}

fn unfit(name: &str, reason: &str) -> ConvertError {
    ConvertError::Unfit { name: name.to_owned(), reason: reason.to_owned() }
}

/// Matrices behind a norm, whose outputs get the finest static scale that is proven to hold.
struct BehindNorm<'a> {
    weights: &'a Weights<'a>,
    gain: &'a Gain,
}

impl BehindNorm<'_> {
    /// One scale for each `size` rows, up to `most`.
    fn matrix(
        &self,
        name: &str,
        (rows, size): (u32, u32),
        fit: Fit,
        most: u8,
    ) -> Result<(Matrix, Vec<u8>), ConvertError> {
        let (shape, profile) = ((rows, self.weights.shape.hidden), self.weights.profile);
        let range = exponents(self.gain.scales.value_bits, 0, NORM_EXPONENT_MAX);
        let matrix = self.weights.matrix(name, shape, profile, Some(self.gain), &range)?;
        let reaches = Behind::new(&matrix, &self.gain.integers, self.gain.scales);
        let bits = reaches.finest(size as usize, fit, most);
        Ok((matrix, bits.ok_or_else(|| unfit(name, "its outputs have no static scale"))?))
    }

    /// One scale for each head.
    fn heads(
        &self,
        name: &str,
        rows: u32,
        fit: Fit,
        most: u8,
    ) -> Result<(Matrix, Vec<u8>), ConvertError> {
        self.matrix(name, (rows, self.weights.shape.head_size), fit, most)
    }

    /// One scale for gate or up, at least `least`.
    fn gates(&self, name: &str, least: u32) -> Result<(Matrix, u8), ConvertError> {
        let inner = self.weights.shape.inner;
        let (matrix, bits) = self.matrix(name, (inner, inner), Fit::Gates, GATE_BITS_MAX)?;
        let bits = bits.first().copied().filter(|bits| u32::from(*bits) >= least);
        Ok((matrix, bits.ok_or_else(|| unfit(name, "its outputs have no static scale"))?))
    }
}
