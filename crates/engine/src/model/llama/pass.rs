//! One pass of tokens through the network: neighbours of one sequence, or of several that share the
//! reading of the weights.
//!
//! Every token's numbers depend on itself and the positions before it in its own sequence, never on
//! the other tokens of the pass, so any chunking and any company gives the same bits. A token that
//! traps voids those after it in its sequence, and nobody else's.

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

/// Told the logits after a token: its part of the pass, its index there, and the logits.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(usize, usize, &[i32]);

/// Neighbouring tokens of one sequence.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) tokens: &'a [Token],
    /// Position of the first of them.
    pub(crate) start: usize,
    /// Index of the first whose logits are wanted.
    pub(crate) first: usize,
    pub(crate) caches: &'a mut [LayerCache],
}

/// Where a token of a pass belongs.
#[derive(Debug, Clone, Copy)]
struct Place {
    part: usize,
    /// In its part.
    index: usize,
    /// In its sequence.
    position: usize,
}

/// Tokens on their way.
// spec: ENGINE-1.3
pub(crate) struct Pass<'a> {
    network: &'a Llama,
    kernels: Kernels,
    pool: &'a dyn Pool,
    tables: &'static Tables,
    /// Of every token.
    places: Vec<Place>,
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
        parts: &[Part<'_>],
        spare: &'a Spare,
    ) -> Self {
        let places = places_of(parts);
        let hidden = network.shape.hidden as usize;
        let mut residual = vec![0; places.len() * hidden];
        let tokens = parts.iter().flat_map(|part| part.tokens);
        for (token, row) in tokens.zip(residual.chunks_exact_mut(hidden)) {
            embed(network, token.0 as usize, row);
        }
        Self {
            network,
            kernels,
            pool,
            tables: Tables::get(),
            residual,
            angles: angles_of(&network.rope, &places),
            window_angles: angles_of(&network.window_rope, &places),
            traps: Traps::new(places.len()),
            places,
            spare,
        }
    }

    /// Runs all layers, appending to the caches.
    pub(crate) fn layers(&mut self, parts: &mut [Part<'_>]) {
        let network = self.network;
        for (number, layer) in network.layers.iter().enumerate() {
            self.attention(number, layer, parts);
            self.feed_forward(layer);
        }
    }

    /// Computes the logits that are wanted, up to the first token of each part that trapped, and
    /// visits them in order. Of each part, the index of the first token that trapped, or whose
    /// logits did.
    // spec: ENGINE-9.1, ENGINE-9.3
    pub(crate) fn logits(&self, parts: &[Part<'_>], visit: Visit<'_>) -> Vec<Option<usize>> {
        let mut ends = self.trapped(parts.len());
        let mut logits = vec![0; self.network.shape.vocabulary as usize];
        let before = |end: &Option<usize>, index| end.is_none_or(|end| index < end);
        let wanted = |Place { part, index, .. }: Place| {
            index >= parts[part].first && before(&ends[part], index)
        };
        let tokens = (0..self.places.len()).filter(|token| wanted(self.places[*token]));
        let tokens: Vec<usize> = tokens.collect();
        for block in tokens.chunks(LOGIT_TOKENS) {
            let input = self.normalised(&self.network.final_norm, block.iter().copied());
            let traps = Traps::new(block.len());
            let head = &[&self.network.head];
            let outputs = linear::run(self.kernels, self.pool, head, &input, &traps, self.spare);
            for (row, token) in block.iter().enumerate() {
                let Place { part, index, .. } = self.places[*token];
                if traps.at(row) && before(&ends[part], index) {
                    ends[part] = Some(index);
                }
                if before(&ends[part], index) {
                    outputs.copy(0, row, &mut logits);
                    self.cap(&mut logits);
                    visit(part, index, &logits);
                }
            }
        }
        ends
    }

    /// Visits the last state of every token, as the output layer would read it, up to the first one
    /// that trapped; the index of that one.
    pub(crate) fn states(&self, visit: &mut dyn FnMut(&[i32])) -> Option<usize> {
        let end = self.trapped(1).first().copied().flatten();
        let Norm { gain, scales } = &self.network.final_norm;
        let mut state = vec![0; self.hidden()];
        for row in self.residual.chunks_exact(self.hidden()).take(end.unwrap_or(usize::MAX)) {
            self.kernels.normalise(row, gain, *scales, self.network.epsilon, &mut state);
            visit(&state);
        }
        end
    }

    /// The first token of each part that trapped.
    fn trapped(&self, parts: usize) -> Vec<Option<usize>> {
        let mut ends = vec![None; parts];
        for (token, place) in self.places.iter().enumerate() {
            if self.traps.at(token) {
                ends[place.part].get_or_insert(place.index);
            }
        }
        ends
    }

    fn hidden(&self) -> usize {
        self.network.shape.hidden as usize
    }

    fn run(&self, matrices: &[&Linear], input: &Activations<'_>) -> Outputs<'a> {
        linear::run(self.kernels, self.pool, matrices, input, &self.traps, self.spare)
    }

    /// Norm and L2 rule of some tokens.
    fn normalised(
        &self,
        norm: &Norm,
        tokens: impl ExactSizeIterator<Item = usize>,
    ) -> Activations<'a> {
        let hidden = self.hidden();
        let mut input = Activations::new(tokens.len(), hidden, self.spare);
        let rows = tokens.map(|token| &self.residual[token * hidden..(token + 1) * hidden]);
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

    fn attention(&mut self, number: usize, layer: &Layer, parts: &mut [Part<'_>]) {
        let input = self.normalised(&layer.input, 0..self.places.len());
        let outputs = self.run(&[&layer.query, &layer.key, &layer.value], &input);
        let (keys, values) = (layer.query.tiles(), layer.query.tiles() + layer.key.tiles());
        let kv_width = self.network.shape.kv_width() as usize;
        let query_width = self.network.shape.query_width() as usize;
        for (token, place) in self.places.iter().enumerate() {
            let key = self.turned(layer, 1, &outputs, (keys, token), kv_width);
            let value = self.values(&outputs, values, token, kv_width);
            parts[place.part].caches[number].push(&key, &value);
        }
        let query = |token| self.turned(layer, 0, &outputs, (0, token), query_width);
        let queries: Vec<Vec<i16>> = (0..self.places.len()).map(query).collect();
        drop(outputs);
        let caches: Vec<&LayerCache> = parts.iter().map(|part| &part.caches[number]).collect();
        let input = self.attended(layer, &caches, &queries);
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
    fn attended(
        &self,
        layer: &Layer,
        caches: &[&LayerCache],
        queries: &[Vec<i16>],
    ) -> Activations<'a> {
        let width = self.network.shape.query_width() as usize;
        let mut wide = self.spare.take::<i32>(queries.len() * width);
        self.attend(layer, caches, queries, &mut wide);
        let mut input = Activations::new(queries.len(), width, self.spare);
        let mut items: Vec<_> = wide.chunks_exact(width).zip(input.rows()).collect();
        let grain = split::grain(self.pool, items.len(), 4 * width);
        split::each(self.pool, &mut items, grain, &|(wide, (out, exponent))| {
            **exponent = self.kernels.shorten_32(wide, &mut out[..width]);
        });
        drop(items);
        input
    }

    /// Query heads that share keys are one item: a single token's heads keep all threads busy.
    fn attend(&self, layer: &Layer, caches: &[&LayerCache], queries: &[Vec<i16>], out: &mut [i32]) {
        let shape = &self.network.shape;
        let (size, heads) = (shape.head_size as usize, shape.kv_heads as usize);
        let width = size * (shape.heads / shape.kv_heads) as usize;
        let longest = self.places.iter().map(|place| place.position + 1).max().unwrap_or(0);
        let mut items: Vec<_> = out.chunks_exact_mut(width).enumerate().collect();
        // Later tokens see more: smaller parts than threads keep them all busy to the end.
        let grain = split::grain(self.pool, items.len(), 2 * width * longest).div_ceil(4);
        split::each(self.pool, &mut items, grain, &|(item, out)| {
            let (token, head) = (*item / heads, *item % heads);
            let Place { part, position, .. } = self.places[token];
            // spec: ENGINE-7.9
            let seen = layer.window.map_or(0, |window| (position + 1).saturating_sub(window));
            let query = queries[token][head * width..].chunks_exact(size);
            let scales = &layer.heads[head * width / size..];
            let mut scratch = Scratch::new(self.kernels, &self.tables.exponential);
            for ((query, scale), out) in query.zip(scales).zip(out.chunks_exact_mut(size)) {
                caches[part].attend(head, query, seen..position + 1, *scale, &mut scratch, out);
            }
        });
    }

    fn feed_forward(&mut self, layer: &Layer) {
        let input = self.normalised(&layer.post, 0..self.places.len());
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
        let mut input = Activations::new(self.places.len(), inner, self.spare);
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

/// Where every token belongs.
fn places_of(parts: &[Part<'_>]) -> Vec<Place> {
    let of = |(part, Part { tokens, start, .. }): (usize, &Part<'_>)| {
        let start = *start;
        (0..tokens.len()).map(move |index| Place { part, index, position: start + index })
    };
    parts.iter().enumerate().flat_map(of).collect()
}

/// The angles of every pair at every token's position.
fn angles_of(rope: &[u64], places: &[Place]) -> Vec<Angle> {
    let cosine = &Tables::get().cosine;
    let at = |place: &Place| {
        let position = place.position as u64;
        rope.iter().map(move |f| rope::angle(position, *f, cosine))
    };
    places.iter().flat_map(at).collect()
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
