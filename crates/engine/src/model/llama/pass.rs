//! One pass of a chunk of tokens through the network.
//!
//! Every token's numbers depend on itself and the positions before it, never on its neighbours in
//! the chunk, so any chunking gives the same bits. A token that traps voids those after it.

use super::attend::{LayerCache, Scratch};
use super::linear::{self, Activations, Linear, Outputs, Traps};
use super::spare::Spare;
use super::{HeadNorm, Layer, Llama, Norm};
use crate::kernel::Kernels;
use crate::model::variant::Activation;
use crate::op::rope::{self, Angle};
use crate::op::swiglu::GATE_BOUND;
use crate::op::{attention, residual, rmsnorm};
use crate::pool::Pool;
use crate::split;
use crate::table::Tables;
use mutirao_wire::Token;

/// Told the logits after a token: its index in the chunk, and the logits.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(usize, &[i32]);

/// A chunk on its way.
// spec: ENGINE-1.3
pub(crate) struct Pass<'a> {
    network: &'a Llama,
    kernels: Kernels,
    pool: &'a dyn Pool,
    tables: &'static Tables,
    /// Position of the first token.
    start: usize,
    tokens: usize,
    /// `[token][channel]`.
    residual: Vec<i32>,
    /// `[token][pair]`.
    angles: Vec<Angle>,
    /// The same in layers with a window.
    window_angles: Vec<Angle>,
    traps: Traps,
    spare: &'a Spare,
}

impl<'a> Pass<'a> {
    /// Begins with the embedding rows. The caller has checked the tokens and positions.
    // spec: ENGINE-5.1
    pub(crate) fn new(
        network: &'a Llama,
        kernels: Kernels,
        pool: &'a dyn Pool,
        tokens: &[Token],
        start: usize,
        spare: &'a Spare,
    ) -> Self {
        let tables = Tables::get();
        let hidden = network.shape.hidden as usize;
        let mut residual = vec![0; tokens.len() * hidden];
        for (token, row) in tokens.iter().zip(residual.chunks_exact_mut(hidden)) {
            embed(network, token.0 as usize, row);
        }
        let positions = start..start + tokens.len();
        let (tokens, traps) = (tokens.len(), Traps::new(tokens.len()));
        let angles = angles_of(&network.rope, positions.clone());
        let window_angles = angles_of(&network.window_rope, positions);
        Self {
            network,
            kernels,
            pool,
            tables,
            start,
            tokens,
            residual,
            angles,
            window_angles,
            traps,
            spare,
        }
    }

    /// Runs all layers, appending to the caches. Returns the index of the first token that trapped.
    pub(crate) fn layers(&mut self, caches: &mut [LayerCache]) -> Option<usize> {
        let network = self.network;
        for (layer, cache) in network.layers.iter().zip(caches) {
            self.attention(layer, cache);
            self.feed_forward(layer);
        }
        self.traps.first()
    }

    /// Computes the logits after every token from `first` up to the first one that trapped, and
    /// visits them in order. Returns the index of the token whose logits trapped, or that trapped.
    // spec: ENGINE-9.1, ENGINE-9.3
    pub(crate) fn logits(&self, first: usize, visit: Visit<'_>) -> Option<usize> {
        let end = self.traps.first().unwrap_or(self.tokens);
        let vocabulary = self.network.shape.vocabulary as usize;
        let mut logits = vec![0; vocabulary];
        for block in (first..end).step_by(LOGIT_TOKENS) {
            let tokens = block..(block + LOGIT_TOKENS).min(end);
            let input = self.normalised(&self.network.final_norm, tokens.clone());
            let traps = Traps::new(tokens.len());
            let head = &[&self.network.head];
            let outputs = linear::run(self.kernels, self.pool, head, &input, &traps, self.spare);
            for token in 0..traps.first().unwrap_or(tokens.len()) {
                outputs.copy(0, token, &mut logits);
                self.cap(&mut logits);
                visit(block + token, &logits);
            }
            if let Some(token) = traps.first() {
                return Some(block + token);
            }
        }
        self.traps.first()
    }

    fn hidden(&self) -> usize {
        self.network.shape.hidden as usize
    }

    fn run(&self, matrices: &[&Linear], input: &Activations<'_>) -> Outputs<'a> {
        linear::run(self.kernels, self.pool, matrices, input, &self.traps, self.spare)
    }

    /// Norm and L2 rule of some tokens.
    fn normalised(&self, norm: &Norm, tokens: std::ops::Range<usize>) -> Activations<'a> {
        let hidden = self.hidden();
        let mut input = Activations::new(tokens.len(), hidden, self.spare);
        let rows = self.residual[tokens.start * hidden..tokens.end * hidden].chunks_exact(hidden);
        let mut items: Vec<_> = rows.zip(input.rows()).collect();
        let grain = split::grain(self.pool, items.len(), 8 * hidden);
        split::each(self.pool, &mut items, grain, &|(x, (out, exponent))| {
            let mut wide = self.spare.take(x.len());
            let epsilon = self.network.epsilon;
            self.kernels.normalise(x, &norm.gain, norm.scales, epsilon, &mut wide);
            **exponent = self.kernels.shorten_32(&wide, &mut out[..x.len()]);
        });
        drop(items);
        input
    }

    /// Caps logits where the model does.
    // spec: ENGINE-9.4
    fn cap(&self, logits: &mut [i32]) {
        let Some(cap) = self.network.logit_cap else { return };
        for logit in logits {
            *logit = cap.apply((*logit).into(), &self.tables.sigmoid) as i32;
        }
    }

    /// Adds a linear layer's outputs to the residual stream, normed first where there is a norm.
    // spec: ENGINE-5.2, ENGINE-6.5
    fn add(&mut self, outputs: &Outputs<'_>, norm: Option<&Norm>) {
        let (hidden, epsilon) = (self.hidden(), self.network.epsilon);
        let (kernels, traps, pool, spare) = (self.kernels, &self.traps, self.pool, self.spare);
        let mut items: Vec<_> = self.residual.chunks_exact_mut(hidden).enumerate().collect();
        let grain = split::grain(pool, items.len(), 4 * hidden);
        split::each(pool, &mut items, grain, &|(token, x)| {
            let mut row = spare.take(hidden);
            outputs.copy(0, *token, &mut row);
            if let Some(norm) = norm {
                let mut normed = spare.take(hidden);
                kernels.normalise(&row, &norm.gain, norm.scales, epsilon, &mut normed);
                std::mem::swap(&mut row, &mut normed);
            }
            if !kernels.add(x, &row) {
                traps.set(*token);
            }
        });
    }

    fn attention(&mut self, layer: &Layer, cache: &mut LayerCache) {
        let input = self.normalised(&layer.input, 0..self.tokens);
        let outputs = self.run(&[&layer.query, &layer.key, &layer.value], &input);
        let (keys, values) = (layer.query.tiles(), layer.query.tiles() + layer.key.tiles());
        let kv_width = self.network.shape.kv_width() as usize;
        let query_width = self.network.shape.query_width() as usize;
        for token in 0..self.tokens {
            let key = self.turned(layer, 1, &outputs, (keys, token), kv_width);
            cache.push(&key, &self.values(&outputs, values, token, kv_width));
        }
        let query = |token| self.turned(layer, 0, &outputs, (0, token), query_width);
        let queries: Vec<Vec<i16>> = (0..self.tokens).map(query).collect();
        drop(outputs);
        let input = self.attended(layer, cache, &queries);
        let outputs = self.run(&[&layer.output], &input);
        self.add(&outputs, layer.after_attention.as_ref());
    }

    /// One token's queries (`kind` 0) or keys (1), normed where heads are, turned to its position.
    fn turned(
        &self,
        layer: &Layer,
        kind: usize,
        outputs: &Outputs<'_>,
        (tile, token): (usize, usize),
        width: usize,
    ) -> Vec<i16> {
        let pairs = self.network.rope.len();
        let all = if layer.window.is_some() { &self.window_angles } else { &self.angles };
        let angles = &all[token * pairs..(token + 1) * pairs];
        let (mut row, mut turned) = (vec![0; width], vec![0; width]);
        outputs.copy(tile, token, &mut row);
        if let Some(norms) = &layer.head_norms {
            norm_heads(&norms[kind], &mut row);
        }
        let mut fits = true;
        for (row, turned) in row.chunks_exact(2 * pairs).zip(turned.chunks_exact_mut(2 * pairs)) {
            for (pair, angle) in angles.iter().enumerate() {
                let pair_turned = rope::rotate(row[pair], row[pair + pairs], *angle);
                fits &= pair_turned.is_ok();
                (turned[pair], turned[pair + pairs]) = pair_turned.unwrap_or_default();
            }
        }
        if !fits {
            self.traps.set(token);
        }
        turned
    }

    fn values(&self, outputs: &Outputs<'_>, tile: usize, token: usize, width: usize) -> Vec<i16> {
        let mut row = vec![0; width];
        outputs.copy(tile, token, &mut row);
        let short = |v: &i32| match v.unsigned_abs() < attention::VALUE_BOUND.unsigned_abs() {
            true => *v as i16,
            false => {
                self.traps.set(token);
                0
            }
        };
        row.iter().map(short).collect()
    }

    /// Attention of every token, ready for the output projection.
    // spec: ENGINE-7.3
    fn attended(&self, layer: &Layer, cache: &LayerCache, queries: &[Vec<i16>]) -> Activations<'a> {
        let shape = &self.network.shape;
        let (size, width) = (shape.head_size as usize, shape.query_width() as usize);
        let shared = (shape.heads / shape.kv_heads) as usize;
        let mut input = Activations::new(self.tokens, width, self.spare);
        let mut items: Vec<_> = queries.iter().zip(input.rows()).enumerate().collect();
        let cost = 2 * width * (self.start + self.tokens);
        // Later tokens see more: smaller parts than threads keep them all busy to the end.
        let grain = split::grain(self.pool, items.len(), cost).div_ceil(4);
        split::each(self.pool, &mut items, grain, &|(token, (query, (out, exponent)))| {
            let mut scratch = Scratch::new(self.kernels, &self.tables.exponential);
            let mut wide = self.spare.take::<i32>(width);
            let end = self.start + *token + 1;
            // spec: ENGINE-7.9
            let seen = layer.window.map_or(0, |window| end.saturating_sub(window))..end;
            for (head, wide) in wide.chunks_exact_mut(size).enumerate() {
                let query = &query[head * size..(head + 1) * size];
                let scale = layer.heads[head];
                cache.attend(head / shared, query, seen.clone(), scale, &mut scratch, wide);
            }
            **exponent = self.kernels.shorten_32(&wide, &mut out[..width]);
        });
        drop(items);
        input
    }

    fn feed_forward(&mut self, layer: &Layer) {
        let input = self.normalised(&layer.post, 0..self.tokens);
        let outputs = self.run(&[&layer.gate, &layer.up], &input);
        let input = self.gated(layer, &outputs);
        drop(outputs);
        let outputs = self.run(&[&layer.down], &input);
        self.add(&outputs, layer.after_feed_forward.as_ref());
    }

    // spec: ENGINE-8.1, ENGINE-8.2, ENGINE-8.3
    fn gated(&self, layer: &Layer, outputs: &Outputs<'_>) -> Activations<'a> {
        let inner = self.network.shape.inner as usize;
        let opening = match self.network.activation {
            Activation::Silu => &self.tables.sigmoid,
            Activation::Gelu => &self.tables.gelu,
        };
        let mut input = Activations::new(self.tokens, inner, self.spare);
        let mut items: Vec<_> = input.rows().enumerate().collect();
        let grain = split::grain(self.pool, items.len(), 16 * inner);
        split::each(self.pool, &mut items, grain, &|(token, (out, exponent))| {
            let (mut gates, mut ups) = (self.spare.take(inner), self.spare.take(inner));
            outputs.copy(0, *token, &mut gates);
            outputs.copy(layer.gate.tiles(), *token, &mut ups);
            let mut wide = self.spare.take::<i64>(inner);
            let bits = layer.gate_bits;
            let largest = self.kernels.gate(&gates, &ups, bits, opening, &mut wide);
            if i64::from(largest) >= GATE_BOUND {
                self.traps.set(*token);
                wide.fill(0);
            }
            **exponent = self.kernels.shorten_64(&wide, &mut out[..inner]);
        });
        drop(items);
        input
    }
}

/// Tokens whose logits are computed together.
const LOGIT_TOKENS: usize = 32;

/// The angles of every pair at every position.
fn angles_of(rope: &[u64], positions: std::ops::Range<usize>) -> Vec<Angle> {
    let cosine = &Tables::get().cosine;
    let at = |position: usize| rope.iter().map(move |f| rope::angle(position as u64, *f, cosine));
    positions.flat_map(at).collect()
}

/// Norms every head of a row.
// spec: ENGINE-6.6
fn norm_heads(norm: &HeadNorm, row: &mut [i32]) {
    let HeadNorm { norm: Norm { gain, scales }, epsilon } = norm;
    for (head, epsilon) in row.chunks_exact_mut(gain.len()).zip(epsilon) {
        let plain = head.to_vec();
        rmsnorm::normalise(&plain, gain, *scales, *epsilon, head);
    }
}

fn embed(network: &Llama, token: usize, out: &mut [i32]) {
    let embedding = &network.embedding;
    embedding.packed.row(token, out);
    let (multiplier, shift) = (embedding.multiplier[token], embedding.shift[token].into());
    for out in out {
        *out = residual::embed(*out, multiplier, shift);
    }
}
