//! How a network differs from Llama: what its relatives add, as data of the header.
//!
//! A model without any difference is written as family 1 and carries nothing of this; family 2 is
//! followed by all of it, and says at least one difference, so that a model has one header.
#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]

use crate::model::header::{CONTEXT_MAX, HeaderError, Shape, agree, within};
use crate::op::cap::{CAP_MAX, CAP_MIN};
use mutirao_wire::{Decode, DecodeError, Encode, Reader};

/// What opens the gate of the feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// `z sigmoid(z)`.
    #[default]
    Silu,
    /// `z/2 (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3)))`.
    Gelu,
}

/// Layers that see only the latest positions, and turn by frequencies of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// How many positions they see, their own included.
    pub positions: u32,
    /// `f_j` of every rotary pair in these layers.
    pub rope: Vec<u64>,
    /// Whether each layer is such a one.
    pub layers: Vec<bool>,
}

/// What a network has beyond Llama.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variant {
    /// Queries, keys and values have biases.
    pub biased: bool,
    /// Queries and keys are normed head by head; with `eps_int` of these norms, for `Fx` bits.
    pub head_norm: Option<u64>,
    /// What attention and feed-forward give is normed before it is added.
    pub after_norm: bool,
    /// The gate's activation.
    pub activation: Activation,
    /// The soft cap of attention scores in 2^-11 octaves, 0 for none.
    pub score_cap: u32,
    /// The soft cap of logits with their 12 fraction bits, 0 for none.
    pub logit_cap: u32,
    /// Layers with a window.
    pub window: Option<Window>,
}

impl Variant {
    /// Whether there is no difference.
    #[must_use]
    pub fn is_llama(&self) -> bool {
        *self == Self::default()
    }

    /// The window of a layer, if it has one.
    #[must_use]
    pub fn window_of(&self, layer: usize) -> Option<&Window> {
        let has = |window: &&Window| window.layers.get(layer).copied().unwrap_or(false);
        self.window.as_ref().filter(has)
    }

    /// Tensors of a layer.
    #[must_use]
    pub fn layer_tensors(&self) -> usize {
        let more = |has: bool, count: usize| if has { count } else { 0 };
        9 + more(self.biased, 3) + more(self.head_norm.is_some(), 2) + more(self.after_norm, 2)
    }

    /// Reads what follows the shape of family 2.
    pub(super) fn decode(input: &mut Reader<'_>, shape: &Shape) -> Result<Self, DecodeError> {
        let biased = flag(input, "bias flag")?;
        let head_norm = match flag(input, "head norm flag")? {
            true => Some(u64::decode(input)?),
            false => None,
        };
        let after_norm = flag(input, "after norm flag")?;
        let activation = match u8::decode(input)? {
            1 => Activation::Silu,
            2 => Activation::Gelu,
            value => return Err(DecodeError::Unknown { what: "activation", value: value.into() }),
        };
        let (score_cap, logit_cap) = (u32::decode(input)?, u32::decode(input)?);
        let window = Window::decode(input, shape)?;
        let found =
            Self { biased, head_norm, after_norm, activation, score_cap, logit_cap, window };
        match found.is_llama() {
            true => {
                Err(DecodeError::Unknown { what: "model family without a difference", value: 2 })
            }
            false => Ok(found),
        }
    }

    /// Checks the numbers against the shape.
    // spec: ENGINE-10.6
    pub(super) fn check(&self, shape: &Shape) -> Result<(), HeaderError> {
        if let Some(value) = self.head_norm.filter(|epsilon| *epsilon >= 1 << 54) {
            let (what, most) = ("epsilon of heads", (1 << 54) - 1);
            return Err(HeaderError::OutOfRange { what, value, least: 0, most });
        }
        for (what, cap) in [("score cap", self.score_cap), ("logit cap", self.logit_cap)] {
            let least = if cap == 0 { 0 } else { CAP_MIN };
            within(what, cap, least, CAP_MAX)?;
        }
        self.window.as_ref().map_or(Ok(()), |window| window.check(shape))
    }
}

impl Window {
    fn decode(input: &mut Reader<'_>, shape: &Shape) -> Result<Option<Self>, DecodeError> {
        let positions = u32::decode(input)?;
        if positions == 0 {
            return Ok(None);
        }
        let pairs = 0..shape.head_size / 2;
        let rope = pairs.map(|_| u64::decode(input)).collect::<Result<_, _>>()?;
        let layers = (0..shape.layers).map(|_| flag(input, "window flag"));
        Ok(Some(Self { positions, rope, layers: layers.collect::<Result<_, _>>()? }))
    }

    fn check(&self, shape: &Shape) -> Result<(), HeaderError> {
        within("window", self.positions, 1, CONTEXT_MAX)?;
        let fits = self.rope.len() as u64 == u64::from(shape.head_size / 2)
            && self.layers.len() as u64 == u64::from(shape.layers);
        agree(fits, "the window is not one of as many pairs and layers as the shape says")?;
        agree(self.layers.contains(&true), "no layer has the window")?;
        agree(self.positions <= shape.context, "the window is longer than the context")
    }
}

impl Encode for Variant {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend([u8::from(self.biased), u8::from(self.head_norm.is_some())]);
        self.head_norm.iter().for_each(|epsilon| epsilon.encode(out));
        out.extend([
            u8::from(self.after_norm),
            if self.activation == Activation::Silu { 1 } else { 2 },
        ]);
        self.score_cap.encode(out);
        self.logit_cap.encode(out);
        self.window.as_ref().map_or(0, |window| window.positions).encode(out);
        if let Some(window) = &self.window {
            window.rope.iter().for_each(|frequency| frequency.encode(out));
            out.extend(window.layers.iter().map(|has| u8::from(*has)));
        }
    }
}

fn flag(input: &mut Reader<'_>, what: &'static str) -> Result<bool, DecodeError> {
    match u8::decode(input)? {
        0 => Ok(false),
        1 => Ok(true),
        value => Err(DecodeError::Unknown { what, value: value.into() }),
    }
}
