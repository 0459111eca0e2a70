//! The tensors of a model file, converted in its order, with the scales that they are proven to
//! keep.

use super::work::{Manner, Work};
use super::{Config, ConvertError, PAIR_BITS_MAX, unfit};
use crate::load::quantise::{self, Bias, Gain, Values};
use crate::model::bounds::{self, BIASED_SHIFT_MIN, Behind, Fit, NORM_EXPONENT_MAX, SHIFT_MAX};
use crate::model::header::{ALIGN_MAX, BITS_MAX, GATE_BITS_MAX, LayerScales, Profile, Shape};
use crate::model::variant::Variant;
use crate::op::attention::EXTRA_BITS;
use crate::op::logits;
use crate::op::rmsnorm::NormScales;
use crate::op::swiglu::INDEX_BITS;
use std::ops::RangeInclusive;

pub(super) const LARGE_GAIN: &str = "a gain is too large for 16 bits";

/// Exponents C that keep `C + input - output` within `least..=62`.
// spec: ENGINE-3.7
fn exponents(input_bits: u8, output_bits: u8, least: u32) -> RangeInclusive<u8> {
    let difference = i32::from(output_bits) - i32::from(input_bits);
    let bound = |shift: u32| u8::try_from((shift as i32 + difference).clamp(0, 255)).unwrap_or(255);
    bound(least)..=bound(SHIFT_MAX)
}

/// The tensors being read, in the order of the model file.
pub(super) struct Weights<'a> {
    pub(super) work: Work<'a>,
    pub(super) config: &'a Config,
    pub(super) variant: Variant,
    pub(super) shape: Shape,
    pub(super) profile: Profile,
    pub(super) residual_bits: u8,
}

impl Weights<'_> {
    /// The published gains of a norm, as what they multiply by.
    pub(super) fn gains(&mut self, name: &str, width: u32) -> Result<Values, ConvertError> {
        let mut gains = self.work.vector(name, width)?;
        if self.config.offset_gains {
            gains.plus_one();
        }
        Ok(gains)
    }

    fn gain(&mut self, name: &str) -> Result<Gain, ConvertError> {
        let gains = self.gains(name, self.shape.hidden)?;
        quantise::gain(&gains).ok_or_else(|| unfit(name, LARGE_GAIN))
    }

    /// The gains before the head. A head that is the embedding cannot be balanced with them, and is
    /// larger by what the embedding is scaled by, so the gains are smaller by it.
    // spec: ENGINE-15.10
    pub(super) fn final_gain(&mut self, name: &str) -> Result<Gain, ConvertError> {
        if self.shape.tied == 0 {
            let head = [("lm_head.weight", self.shape.vocabulary)];
            return Ok(self.balanced(name, &head, Profile::W8)?.0);
        }
        let mut gains = self.gains(name, self.shape.hidden)?;
        if self.config.scaled_embedding {
            gains.over_root(self.shape.hidden);
        }
        quantise::gain(&gains).ok_or_else(|| unfit(name, LARGE_GAIN))
    }

    /// Keeps the gains of a norm of heads, which turn.
    fn head_norm(&mut self, name: &str) -> Result<NormScales, ConvertError> {
        let gains = self.gains(name, self.shape.head_size)?;
        let gain = quantise::head_gain(&gains, PAIR_BITS_MAX);
        let gain = gain.ok_or_else(|| unfit(name, LARGE_GAIN))?;
        self.work.put_gain(&gain)?;
        Ok(gain.scales)
    }

    /// Keeps the gains of a norm whose output is added to the residual stream.
    fn after_norm(&mut self, name: &str) -> Result<u8, ConvertError> {
        let gain = self.gain(name)?;
        let bits = gain.scales.gain_bits;
        if !bounds::after_norm_holds(&gain.integers, bits, self.residual_bits) {
            return Err(unfit(name, "what it adds to the residual stream has no static bound"));
        }
        self.work.put_gain(&gain)?;
        Ok(bits)
    }

    /// Also the head, where it is tied: then its shifts bound the exponents too.
    pub(super) fn embedding(&mut self, final_gain: &Gain) -> Result<(), ConvertError> {
        let mut range = exponents(0, self.residual_bits, 0);
        if self.shape.tied == 1 {
            let head = head_exponents(final_gain);
            range = *range.start().max(head.start())..=*range.end().min(head.end());
        }
        let times_root = self.config.scaled_embedding;
        let (profile, exponents) = (Profile::W8, &range);
        let manner = Manner { times_root, ..Manner::plain(profile, exponents) };
        let shape = (self.shape.vocabulary, self.shape.hidden);
        let embedding = self.work.matrix("model.embed_tokens.weight", shape, manner)?;
        self.work.put(embedding)
    }

    pub(super) fn head(&mut self, final_gain: &Gain) -> Result<(), ConvertError> {
        let range = head_exponents(final_gain);
        let manner = Manner::behind(final_gain, Profile::W8, &range);
        let shape = (self.shape.vocabulary, self.shape.hidden);
        let head = self.work.matrix("lm_head.weight", shape, manner)?;
        self.work.put(head)
    }

    /// Converts one layer and returns its scales.
    pub(super) fn layer(&mut self, layer: u32) -> Result<LayerScales, ConvertError> {
        let shape = self.shape;
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        let (input, values) = self.balanced_attention(layer)?;
        self.work.put_gain(&input)?;
        let [query_bits, key_bits, value_bits] = self.heads(layer, &input, &values.rows)?;
        let head_norms = match self.variant.head_norm {
            Some(_) => Some([
                self.head_norm(&name("self_attn.q_norm"))?,
                self.head_norm(&name("self_attn.k_norm"))?,
            ]),
            None => None,
        };
        let coarsest = value_bits.iter().copied().min().unwrap_or(0);
        let least = bounds::attention_exponent_max(shape.query_width() as usize);
        let range = exponents(coarsest + EXTRA_BITS as u8, self.residual_bits, least);
        let output = (shape.hidden, shape.query_width());
        self.plain(&name("self_attn.o_proj"), output, &range, &values.columns)?;
        let [after_attention, before, after] = match self.variant.after_norm {
            true => [
                "post_attention_layernorm",
                "pre_feedforward_layernorm",
                "post_feedforward_layernorm",
            ],
            false => ["", "post_attention_layernorm", ""],
        };
        let mut after_gain_bits = self.variant.after_norm.then_some([0; 2]);
        if let Some(bits) = &mut after_gain_bits {
            bits[0] = self.after_norm(&name(after_attention))?;
        }
        let (post, ups) = self.balanced_feed_forward(layer, &name(before))?;
        self.work.put_gain(&post)?;
        let gate_bits = self.gates(&name("mlp.gate_proj"), &post, INDEX_BITS, &[])?;
        let up_bits = self.gates(&name("mlp.up_proj"), &post, 0, &ups.rows)?;
        let least = bounds::gate_exponent_max(shape.inner as usize);
        let range = exponents(gate_bits + up_bits, self.residual_bits, least);
        self.plain(&name("mlp.down_proj"), (shape.hidden, shape.inner), &range, &ups.columns)?;
        if let Some(bits) = &mut after_gain_bits {
            bits[1] = self.after_norm(&name(after))?;
        }
        let (input, post) = (input.scales, post.scales);
        Ok(LayerScales {
            input,
            query_bits,
            key_bits,
            value_bits,
            post,
            gate_bits,
            up_bits,
            head_norms,
            after_gain_bits,
        })
    }

    /// Queries, keys and values, and their biases: a scale for each head. `values` are the bits
    /// that move out of the rows of values.
    fn heads(
        &mut self,
        layer: u32,
        input: &Gain,
        values: &[u8],
    ) -> Result<[Vec<u8>; 3], ConvertError> {
        let (query, kv, size) =
            (self.shape.query_width(), self.shape.kv_width(), self.shape.head_size);
        let pairs = match self.variant.head_norm {
            Some(_) => (Fit::Wide, self.residual_bits),
            None => (Fit::Pairs, PAIR_BITS_MAX),
        };
        let none: &[u8] = &[];
        let kinds = [
            ("q", query, pairs, none),
            ("k", kv, pairs, none),
            ("v", kv, (Fit::Values, BITS_MAX), values),
        ];
        let mut found: [Vec<u8>; 3] = Default::default();
        let mut biases = Vec::new();
        for ((kind, rows, fit, moved), found) in kinds.into_iter().zip(&mut found) {
            let name = format!("model.layers.{layer}.self_attn.{kind}_proj");
            let bias = self.bias(&format!("{name}.bias"), rows, moved)?;
            let manner = (input, moved);
            let name = format!("{name}.weight");
            let mut bits = self.behind(&name, (rows, size), manner, fit, bias.as_ref())?;
            if fit.0 == Fit::Values {
                let coarsest = bits.iter().copied().min().unwrap_or(0);
                bits.iter_mut().for_each(|bits| *bits = (*bits).min(coarsest + ALIGN_MAX));
            }
            biases.extend(bias.map(|bias| (bias, rows, bits.clone())));
            *found = bits;
        }
        for (bias, rows, bits) in &biases {
            self.work.put_bias(bias, (*rows, size), bits)?;
        }
        Ok(found)
    }

    /// The biases of a matrix, where it has them, less the bits that move out of its rows.
    fn bias(&mut self, name: &str, rows: u32, moved: &[u8]) -> Result<Option<Bias>, ConvertError> {
        if !self.variant.biased {
            return Ok(None);
        }
        let mut biases = self.work.vector(name, rows)?;
        biases.shift(1, 0, moved, &[]);
        Ok(Some(Bias::new(biases)))
    }

    /// A matrix that no norm stands in front of.
    fn plain(
        &mut self,
        name: &str,
        shape: (u32, u32),
        exponents: &RangeInclusive<u8>,
        columns: &[u8],
    ) -> Result<(), ConvertError> {
        let manner = Manner { columns, ..Manner::plain(self.profile, exponents) };
        let matrix = self.work.matrix(name, shape, manner)?;
        self.work.put(matrix)
    }

    /// Gate or up: one scale, at least `least`.
    fn gates(
        &mut self,
        name: &str,
        gain: &Gain,
        least: u32,
        moved: &[u8],
    ) -> Result<u8, ConvertError> {
        let (inner, fit) = (self.shape.inner, (Fit::Gates, GATE_BITS_MAX));
        let bits = self.behind(name, (inner, inner), (gain, moved), fit, None)?;
        let bits = bits.first().copied().filter(|bits| u32::from(*bits) >= least);
        bits.ok_or_else(|| unfit(name, "its outputs have no static scale"))
    }

    /// A matrix behind a norm, whose outputs get the finest static scale that is proven to hold:
    /// one for each `size` rows, up to `most`. The bits of `moved` move out of its rows.
    fn behind(
        &mut self,
        name: &str,
        (rows, size): (u32, u32),
        (gain, moved): (&Gain, &[u8]),
        (fit, most): (Fit, u8),
        bias: Option<&Bias>,
    ) -> Result<Vec<u8>, ConvertError> {
        let least = if bias.is_some() { BIASED_SHIFT_MIN } else { NORM_EXPONENT_MAX };
        let range = exponents(gain.scales.value_bits, 0, least);
        let manner = Manner { rows: moved, ..Manner::behind(gain, self.profile, &range) };
        let pending = self.work.matrix(name, (rows, self.shape.hidden), manner)?;
        let reaches = Behind::new(&pending.matrix, &gain.integers, gain.scales);
        let magnitude = |row: usize, bits: u8| {
            bias.map(|bias| bias.at(row, bits).map_or(u32::MAX, i32::unsigned_abs))
        };
        let bits = reaches.finest(size as usize, fit, most, &magnitude);
        self.work.put(pending)?;
        bits.ok_or_else(|| unfit(name, "its outputs have no static scale"))
    }
}

fn head_exponents(final_gain: &Gain) -> RangeInclusive<u8> {
    exponents(final_gain.scales.value_bits, logits::BITS as u8, NORM_EXPONENT_MAX)
}
