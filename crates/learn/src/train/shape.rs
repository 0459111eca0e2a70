//! The shape of a model and where each tensor lies in the one long list of its numbers.

use std::ops::Range;

/// Sizes of a Llama model with a tied head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Tokens in the vocabulary.
    pub vocabulary: usize,
    /// Numbers per position between layers.
    pub hidden: usize,
    /// Layers.
    pub layers: usize,
    /// Inner size of the feed-forward part.
    pub feed_forward: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub shared_heads: usize,
    /// Numbers per head; even.
    pub head_size: usize,
    /// Positions the model is declared for.
    pub context: usize,
}

/// The base of the rotary frequencies.
pub const ROPE_BASE: f64 = 10_000.0;
/// What keeps a norm away from division by zero.
pub const NORM_EPSILON: f64 = 1e-5;

/// The largest head the trainer has room for.
pub const HEAD_SIZE_MAX: usize = 128;

/// How a tensor is initialised and updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The token table, also the head.
    Embedding,
    /// A matrix inside a layer.
    Matrix,
    /// A matrix whose product is added to the residual stream.
    Residual,
    /// The gains of a norm.
    Norm,
}

/// One named tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its name in a Hugging Face checkpoint.
    pub name: String,
    /// Rows: outputs.
    pub rows: usize,
    /// Columns: inputs; 1 for a norm.
    pub columns: usize,
    /// First number.
    pub offset: usize,
    /// What it is.
    pub kind: Kind,
}

impl Tensor {
    /// Where its numbers lie.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.rows * self.columns
    }
}

/// Where the tensors of one layer lie; what is multiplied together lies together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerPlaces {
    /// Queries, keys and values: one matrix of (q + 2·kv) rows.
    pub attention_in: Range<usize>,
    /// Back from the heads.
    pub attention_out: Range<usize>,
    /// Gate and up: one matrix of 2·ffn rows.
    pub feed_in: Range<usize>,
    /// Down.
    pub feed_out: Range<usize>,
    /// Gains before attention.
    pub norm_attention: Range<usize>,
    /// Gains before the feed-forward part.
    pub norm_feed: Range<usize>,
}

impl Shape {
    /// The shipped model: 1.2 million parameters, powers of two throughout.
    pub const SMALL: Self = Self {
        vocabulary: 2048,
        hidden: 128,
        layers: 4,
        feed_forward: 512,
        heads: 4,
        shared_heads: 2,
        head_size: 32,
        context: 2048,
    };

    /// True if the trainer can run the shape: nothing empty, heads that pair up and group evenly.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        let sizes = self.vocabulary > 0 && self.hidden > 0 && self.layers > 0;
        let heads = self.heads > 0 && self.shared_heads > 0 && self.head_size > 0;
        sizes
            && heads
            && self.feed_forward > 0
            && self.hidden.is_multiple_of(4)
            && self.heads.is_multiple_of(self.shared_heads)
            && self.head_size.is_multiple_of(2)
            && self.head_size <= HEAD_SIZE_MAX
    }

    /// Numbers per position in all query heads.
    #[must_use]
    pub const fn query_width(&self) -> usize {
        self.heads * self.head_size
    }

    /// Numbers per position in all key heads (or all value heads).
    #[must_use]
    pub const fn key_width(&self) -> usize {
        self.shared_heads * self.head_size
    }

    /// Numbers per position in queries, keys and values together.
    #[must_use]
    pub const fn attention_width(&self) -> usize {
        self.query_width() + 2 * self.key_width()
    }

    /// All tensors in order.
    #[must_use]
    pub fn tensors(&self) -> Vec<Tensor> {
        let mut list = Lister::default();
        list.add("model.embed_tokens", self.vocabulary, self.hidden, Kind::Embedding);
        for layer in 0..self.layers {
            let name = |part: &str| format!("model.layers.{layer}.{part}");
            let (width, inner) = (self.hidden, self.feed_forward);
            list.add(&name("self_attn.q_proj"), self.query_width(), width, Kind::Matrix);
            list.add(&name("self_attn.k_proj"), self.key_width(), width, Kind::Matrix);
            list.add(&name("self_attn.v_proj"), self.key_width(), width, Kind::Matrix);
            list.add(&name("self_attn.o_proj"), width, self.query_width(), Kind::Residual);
            list.add(&name("mlp.gate_proj"), inner, width, Kind::Matrix);
            list.add(&name("mlp.up_proj"), inner, width, Kind::Matrix);
            list.add(&name("mlp.down_proj"), width, inner, Kind::Residual);
            list.add(&name("input_layernorm"), width, 1, Kind::Norm);
            list.add(&name("post_attention_layernorm"), width, 1, Kind::Norm);
        }
        list.add("model.norm", self.hidden, 1, Kind::Norm);
        list.tensors
    }

    /// How many numbers the model has.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.tensors().last().map_or(0, |last| last.range().end)
    }

    /// Where each layer's matrices lie, and the gains of the last norm.
    #[must_use]
    pub fn places(&self) -> (Vec<LayerPlaces>, Range<usize>) {
        let tensors = self.tensors();
        let layers = tensors[1..tensors.len() - 1]
            .chunks(9)
            .map(|part| LayerPlaces {
                attention_in: part[0].offset..part[3].offset,
                attention_out: part[3].range(),
                feed_in: part[4].offset..part[6].offset,
                feed_out: part[6].range(),
                norm_attention: part[7].range(),
                norm_feed: part[8].range(),
            })
            .collect();
        (layers, tensors[tensors.len() - 1].range())
    }
}

#[derive(Default)]
struct Lister {
    tensors: Vec<Tensor>,
}

impl Lister {
    fn add(&mut self, name: &str, rows: usize, columns: usize, kind: Kind) {
        let offset = self.tensors.last().map_or(0, |last| last.range().end);
        self.tensors.push(Tensor { name: format!("{name}.weight"), rows, columns, offset, kind });
    }
}
