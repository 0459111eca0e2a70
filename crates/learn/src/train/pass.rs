//! One pass over a row of examples: forwards with everything kept, and back to the gradients.

use super::attention::{attend, attend_back};
use super::layers::{Rotations, cross_entropy, gate, gate_back, norm, norm_back};
use super::lessons::Row;
use super::real::{Matrix, Real, add_scaled};
use super::shape::{LayerPlaces, Shape};
use std::ops::Range;

/// What one layer keeps for the way back.
#[derive(Debug, Default)]
struct Kept<T> {
    entry: Vec<T>,
    entry_reciprocal: Vec<T>,
    entry_normed: Vec<T>,
    attention_in: Vec<T>,
    weights: Vec<T>,
    attended: Vec<T>,
    middle: Vec<T>,
    middle_reciprocal: Vec<T>,
    middle_normed: Vec<T>,
    both: Vec<T>,
    sigmoids: Vec<T>,
    gated: Vec<T>,
}

/// Buffers of one pass, reused from step to step so that a step allocates nothing of size.
#[derive(Debug)]
pub struct Pass<T> {
    shape: Shape,
    places: Vec<LayerPlaces>,
    last_norm: Range<usize>,
    rotations: Rotations<T>,
    layers: Vec<Kept<T>>,
    exit: Vec<T>,
    exit_reciprocal: Vec<T>,
    exit_normed: Vec<T>,
    wanted: Vec<usize>,
    logits: Vec<T>,
    d_stream: Vec<T>,
    d_wide: Vec<T>,
    d_inner: Vec<T>,
    d_normed: Vec<T>,
    scratch: Vec<T>,
}

/// Makes `buffer` exactly `length` long; what is in it does not matter.
fn size<T: Real>(buffer: &mut Vec<T>, length: usize) {
    buffer.resize(length, T::ZERO);
}

/// `out = x · weightᵀ` for `rows` positions.
fn forward<T: Real>(x: &[T], weight: &[T], rows: usize, keep: T, out: &mut [T]) {
    let (inner, outer) = (x.len() / rows, out.len() / rows);
    let weight = Matrix::new(weight, outer, inner).transposed();
    T::multiply(Matrix::new(x, rows, inner), weight, keep, out);
}

/// The way back through [`forward`]: adds to `d_weight`, and sets `d_x`.
fn backward<T: Real>(
    x: &[T],
    weight: &[T],
    rows: usize,
    d_out: &[T],
    d_weight: &mut [T],
    d_x: &mut [T],
) {
    let (inner, outer) = (x.len() / rows, d_out.len() / rows);
    let d_out = Matrix::new(d_out, rows, outer);
    T::multiply(d_out.transposed(), Matrix::new(x, rows, inner), T::ONE, d_weight);
    T::multiply(d_out, Matrix::new(weight, outer, inner), T::ZERO, d_x);
}

/// The lines of `from` at `places`, `width` numbers each.
fn gather<T: Real>(from: &[T], width: usize, places: &[usize], to: &mut Vec<T>) {
    to.clear();
    for place in places {
        to.extend_from_slice(&from[place * width..(place + 1) * width]);
    }
}

/// The way back through [`gather`]: the lines of `buffer` go to their places among `rows` lines.
fn scatter<T: Real>(
    buffer: &mut Vec<T>,
    width: usize,
    places: &[usize],
    rows: usize,
    scratch: &mut Vec<T>,
) {
    size(scratch, rows * width);
    scratch.fill(T::ZERO);
    for (line, place) in buffer.chunks_exact(width).zip(places) {
        scratch[place * width..(place + 1) * width].copy_from_slice(line);
    }
    std::mem::swap(buffer, scratch);
}

impl<T: Real> Pass<T> {
    /// Buffers for rows of up to `positions` tokens.
    #[must_use]
    pub fn new(shape: &Shape, positions: usize) -> Self {
        let (places, last_norm) = shape.places();
        Self {
            shape: *shape,
            places,
            last_norm,
            rotations: Rotations::new(shape, positions),
            layers: (0..shape.layers).map(|_| Kept::default()).collect(),
            exit: Vec::new(),
            exit_reciprocal: Vec::new(),
            exit_normed: Vec::new(),
            wanted: Vec::new(),
            logits: Vec::new(),
            d_stream: Vec::new(),
            d_wide: Vec::new(),
            d_inner: Vec::new(),
            d_normed: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// The loss of the row, each target weighted by `weight · scale`, and its gradient added to
    /// `gradient`.
    pub fn learn(&mut self, weights: &[T], row: &Row, scale: f64, gradient: &mut [T]) -> f64 {
        if row.targets.is_empty() {
            return 0.0;
        }
        self.wanted.clear();
        self.wanted.extend(row.targets.iter().map(|target| target.position));
        self.run(weights, row);
        let loss = self.head(weights, row, scale, gradient);
        self.norm_exit_back(weights, gradient);
        for layer in (0..self.shape.layers).rev() {
            self.feed_back(layer, weights, gradient);
            self.attention_back(layer, row, weights, gradient);
        }
        let hidden = self.shape.hidden;
        for (&token, d_row) in row.tokens.iter().zip(self.d_stream.chunks_exact(hidden)) {
            let at = token as usize * hidden;
            add_scaled(&mut gradient[at..at + hidden], T::ONE, d_row);
        }
        loss
    }

    /// The logits after every token of the row.
    pub fn logits(&mut self, weights: &[T], row: &Row) -> &[T] {
        let rows = row.tokens.len();
        self.wanted.clear();
        self.wanted.extend(0..rows);
        self.run(weights, row);
        let (vocabulary, hidden) = (self.shape.vocabulary, self.shape.hidden);
        size(&mut self.logits, rows * vocabulary);
        forward(
            &self.exit_normed,
            &weights[..vocabulary * hidden],
            rows,
            T::ZERO,
            &mut self.logits,
        );
        &self.logits
    }

    /// Forwards to the last norm. Past the last layer's attention only the wanted positions are
    /// followed: nobody looks at the others.
    fn run(&mut self, weights: &[T], row: &Row) {
        let (rows, hidden) = (row.tokens.len(), self.shape.hidden);
        size(&mut self.exit, rows * hidden);
        for (&token, out) in row.tokens.iter().zip(self.exit.chunks_exact_mut(hidden)) {
            let at = token as usize * hidden;
            out.copy_from_slice(&weights[at..at + hidden]);
        }
        for layer in 0..self.shape.layers {
            self.attention(layer, row, weights);
            self.feed(layer, weights);
        }
        size(&mut self.exit_normed, self.exit.len());
        size(&mut self.exit_reciprocal, self.wanted.len());
        let gain = &weights[self.last_norm.clone()];
        norm(&self.exit, gain, &mut self.exit_normed, &mut self.exit_reciprocal);
    }

    /// Takes the stream from `exit`, leaves it in `middle`.
    fn attention(&mut self, layer: usize, row: &Row, weights: &[T]) {
        let (kept, places, shape) = (&mut self.layers[layer], &self.places[layer], &self.shape);
        let (rows, width) = (row.tokens.len(), shape.attention_width());
        std::mem::swap(&mut kept.entry, &mut self.exit);
        size(&mut kept.entry_normed, rows * shape.hidden);
        size(&mut kept.entry_reciprocal, rows);
        let gain = &weights[places.norm_attention.clone()];
        norm(&kept.entry, gain, &mut kept.entry_normed, &mut kept.entry_reciprocal);
        size(&mut kept.attention_in, rows * width);
        let matrix = &weights[places.attention_in.clone()];
        forward(&kept.entry_normed, matrix, rows, T::ZERO, &mut kept.attention_in);
        size(&mut kept.attended, rows * shape.query_width());
        let squares = row.examples.iter().map(|span| span.len() * span.len()).sum::<usize>();
        size(&mut kept.weights, squares * shape.heads);
        let turned = shape.query_width() + shape.key_width();
        let mut used = 0;
        for span in &row.examples {
            let lines = &mut kept.attention_in[span.start * width..span.end * width];
            for (position, line) in lines.chunks_exact_mut(width).enumerate() {
                self.rotations.turn(&mut line[..turned], position, T::ONE);
            }
            let at = span.start * shape.query_width()..span.end * shape.query_width();
            let square = span.len() * span.len();
            for head in 0..shape.heads {
                let weights = &mut kept.weights[used..used + square];
                attend(shape, head, lines, weights, &mut kept.attended[at.clone()]);
                used += square;
            }
        }
        if layer + 1 == shape.layers {
            gather(&kept.entry, shape.hidden, &self.wanted, &mut kept.middle);
            gather(&kept.attended, shape.query_width(), &self.wanted, &mut self.scratch);
            std::mem::swap(&mut kept.attended, &mut self.scratch);
        } else {
            kept.middle.clone_from(&kept.entry);
        }
        let (matrix, rows) = (&weights[places.attention_out.clone()], kept.middle.len());
        forward(&kept.attended, matrix, rows / shape.hidden, T::ONE, &mut kept.middle);
    }

    /// Takes the stream from `middle`, leaves it in `exit`.
    fn feed(&mut self, layer: usize, weights: &[T]) {
        let (kept, places, shape) = (&mut self.layers[layer], &self.places[layer], &self.shape);
        let (rows, inner) = (kept.middle.len() / shape.hidden, shape.feed_forward);
        size(&mut kept.middle_normed, rows * shape.hidden);
        size(&mut kept.middle_reciprocal, rows);
        let gain = &weights[places.norm_feed.clone()];
        norm(&kept.middle, gain, &mut kept.middle_normed, &mut kept.middle_reciprocal);
        size(&mut kept.both, rows * 2 * inner);
        size(&mut kept.sigmoids, rows * inner);
        size(&mut kept.gated, rows * inner);
        let matrix = &weights[places.feed_in.clone()];
        forward(&kept.middle_normed, matrix, rows, T::ZERO, &mut kept.both);
        gate(&kept.both, inner, &mut kept.sigmoids, &mut kept.gated);
        self.exit.clone_from(&kept.middle);
        let matrix = &weights[places.feed_out.clone()];
        forward(&kept.gated, matrix, rows, T::ONE, &mut self.exit);
    }

    /// Logits and loss of the wanted positions; leaves the derivative of the normed stream in
    /// `d_normed`.
    fn head(&mut self, weights: &[T], row: &Row, scale: f64, gradient: &mut [T]) -> f64 {
        let (hidden, vocabulary) = (self.shape.hidden, self.shape.vocabulary);
        let (targets, table) = (row.targets.len(), vocabulary * hidden);
        size(&mut self.logits, targets * vocabulary);
        forward(&self.exit_normed, &weights[..table], targets, T::ZERO, &mut self.logits);
        let mut loss = 0.0;
        for (target, logits) in row.targets.iter().zip(self.logits.chunks_exact_mut(vocabulary)) {
            let weight = f64::from(target.weight) * scale;
            loss += cross_entropy(logits, target.token as usize) * weight;
            logits[target.token as usize] += -T::ONE;
            let weight = T::of(weight);
            for logit in logits {
                *logit = *logit * weight;
            }
        }
        size(&mut self.d_normed, targets * hidden);
        let (d_table, d_x) = (&mut gradient[..table], &mut self.d_normed);
        backward(&self.exit_normed, &weights[..table], targets, &self.logits, d_table, d_x);
        loss
    }

    fn norm_exit_back(&mut self, weights: &[T], gradient: &mut [T]) {
        size(&mut self.d_stream, self.exit.len());
        self.d_stream.fill(T::ZERO);
        norm_back(
            &self.exit,
            &weights[self.last_norm.clone()],
            &self.exit_reciprocal,
            &self.d_normed,
            &mut self.d_stream,
            &mut gradient[self.last_norm.clone()],
        );
    }

    fn feed_back(&mut self, layer: usize, weights: &[T], gradient: &mut [T]) {
        let (kept, places) = (&self.layers[layer], &self.places[layer]);
        let rows = kept.middle.len() / self.shape.hidden;
        let inner = self.shape.feed_forward;
        size(&mut self.d_inner, rows * inner);
        size(&mut self.d_wide, rows * 2 * inner);
        let at = places.feed_out.clone();
        let d_weight = &mut gradient[at.clone()];
        backward(&kept.gated, &weights[at], rows, &self.d_stream, d_weight, &mut self.d_inner);
        gate_back(&kept.both, inner, &kept.sigmoids, &self.d_inner, &mut self.d_wide);
        let at = places.feed_in.clone();
        size(&mut self.d_normed, rows * self.shape.hidden);
        let (d_weight, d_x) = (&mut gradient[at.clone()], &mut self.d_normed);
        backward(&kept.middle_normed, &weights[at], rows, &self.d_wide, d_weight, d_x);
        let at = places.norm_feed.clone();
        norm_back(
            &kept.middle,
            &weights[at.clone()],
            &kept.middle_reciprocal,
            &self.d_normed,
            &mut self.d_stream,
            &mut gradient[at],
        );
    }

    fn attention_back(&mut self, layer: usize, row: &Row, weights: &[T], gradient: &mut [T]) {
        let (kept, places, shape) = (&self.layers[layer], &self.places[layer], &self.shape);
        let (rows, hidden) = (row.tokens.len(), shape.hidden);
        let (width, queries) = (shape.attention_width(), shape.query_width());
        let outs = self.d_stream.len() / hidden;
        size(&mut self.d_inner, outs * queries);
        let at = places.attention_out.clone();
        let d_weight = &mut gradient[at.clone()];
        backward(&kept.attended, &weights[at], outs, &self.d_stream, d_weight, &mut self.d_inner);
        if layer + 1 == shape.layers {
            scatter(&mut self.d_inner, queries, &self.wanted, rows, &mut self.scratch);
            scatter(&mut self.d_stream, hidden, &self.wanted, rows, &mut self.scratch);
        }
        size(&mut self.d_wide, rows * width);
        self.d_wide.fill(T::ZERO);
        let turned = queries + shape.key_width();
        let mut used = 0;
        for span in &row.examples {
            let at = span.start * width..span.end * width;
            let lines = &kept.attention_in[at.clone()];
            let d_lines = &mut self.d_wide[at];
            let d_out = &self.d_inner[span.start * queries..span.end * queries];
            let square = span.len() * span.len();
            for head in 0..shape.heads {
                let weights = &kept.weights[used..used + square];
                attend_back(shape, head, lines, weights, d_out, d_lines, &mut self.scratch);
                used += square;
            }
            for (position, line) in d_lines.chunks_exact_mut(width).enumerate() {
                self.rotations.turn(&mut line[..turned], position, -T::ONE);
            }
        }
        let at = places.attention_in.clone();
        size(&mut self.d_normed, rows * hidden);
        let (d_weight, d_x) = (&mut gradient[at.clone()], &mut self.d_normed);
        backward(&kept.entry_normed, &weights[at], rows, &self.d_wide, d_weight, d_x);
        let at = places.norm_attention.clone();
        norm_back(
            &kept.entry,
            &weights[at.clone()],
            &kept.entry_reciprocal,
            &self.d_normed,
            &mut self.d_stream,
            &mut gradient[at],
        );
    }
}
