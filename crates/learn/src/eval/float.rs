//! The float model as it answers: a pass over the prompt, then token by token, keeping what was
//! seen.

use super::compare::{Predictor, choice};
use super::exact::Answerer;
use crate::train::Shape;
use crate::train::attention::soften;
use crate::train::layers::{Rotations, gate, norm};
use crate::train::real::{Matrix, Real, add_scaled, dot};
use crate::train::shape::LayerPlaces;
use std::convert::Infallible;
use std::ops::Range;

/// A model in `f32`.
#[derive(Debug, Clone)]
pub struct FloatModel {
    shape: Shape,
    weights: Vec<f32>,
    places: Vec<LayerPlaces>,
    last_norm: Range<usize>,
    rotations: Rotations<f32>,
}

/// What a sequence has seen so far.
#[derive(Debug, Clone)]
pub struct FloatSession<'a> {
    model: &'a FloatModel,
    /// Per layer: rows of keys and values side by side, keys already turned.
    seen: Vec<Vec<f32>>,
    position: usize,
}

/// `out = x · weightᵀ` for a few rows.
pub(super) fn product(x: &[f32], weight: &[f32], inner: usize) -> Vec<f32> {
    let (rows, outer) = (x.len() / inner, weight.len() / inner);
    if rows == 1 {
        return weight.chunks_exact(inner).map(|row| dot(row, x)).collect();
    }
    let mut out = vec![0.0; rows * outer];
    let weight = Matrix::new(weight, outer, inner).transposed();
    f32::multiply(Matrix::new(x, rows, inner), weight, 0.0, &mut out);
    out
}

fn add(target: &mut [f32], source: &[f32]) {
    add_scaled(target, 1.0, source);
}

impl FloatModel {
    /// A model of the shape's weights, tensor after tensor.
    ///
    /// # Panics
    /// When the shape needs another number of weights.
    #[must_use]
    pub fn new(shape: &Shape, weights: Vec<f32>) -> Self {
        assert_eq!(weights.len(), shape.parameters(), "weights must fit the shape");
        let (places, last_norm) = shape.places();
        let rotations = Rotations::new(shape, shape.context);
        Self { shape: *shape, weights, places, last_norm, rotations }
    }

    /// An empty sequence.
    #[must_use]
    pub fn session(&self) -> FloatSession<'_> {
        FloatSession { model: self, seen: vec![Vec::new(); self.shape.layers], position: 0 }
    }

    fn normed(&self, x: &[f32], gain: &Range<usize>) -> Vec<f32> {
        let mut out = vec![0.0; x.len()];
        let mut reciprocals = vec![0.0; x.len() / self.shape.hidden];
        norm(x, &self.weights[gain.clone()], &mut out, &mut reciprocals);
        out
    }

    fn feed_forward(&self, stream: &mut [f32], places: &LayerPlaces) {
        let inner = self.shape.feed_forward;
        let x = self.normed(stream, &places.norm_feed);
        let both = product(&x, &self.weights[places.feed_in.clone()], self.shape.hidden);
        let (mut sigmoids, mut gated) = (vec![0.0; both.len() / 2], vec![0.0; both.len() / 2]);
        gate(&both, inner, &mut sigmoids, &mut gated);
        add(stream, &product(&gated, &self.weights[places.feed_out.clone()], inner));
    }

    /// One position's queries over everything seen.
    fn attended(&self, queries: &[f32], seen: &[f32], out: &mut [f32]) {
        let (size, keys) = (self.shape.head_size, self.shape.key_width());
        let scale = 1.0 / (size as f32).sqrt();
        let group = self.shape.heads / self.shape.shared_heads;
        let heads = queries.chunks_exact(size).zip(out.chunks_exact_mut(size));
        for (head, (query, out)) in heads.enumerate() {
            let at = head / group * size;
            let rows = || seen.chunks_exact(2 * keys);
            let mut weights: Vec<f32> =
                rows().map(|row| dot(query, &row[at..at + size]) * scale).collect();
            soften(&mut weights);
            for (weight, row) in weights.iter().zip(rows()) {
                add_scaled(out, *weight, &row[keys + at..keys + at + size]);
            }
        }
    }
}

impl FloatSession<'_> {
    /// Reads tokens and returns the normed stream after each of them.
    ///
    /// # Panics
    /// When a token is outside the vocabulary or the context is full.
    fn read(&mut self, tokens: &[u32]) -> Vec<f32> {
        let (model, hidden) = (self.model, self.model.shape.hidden);
        assert!(self.position + tokens.len() <= model.shape.context, "the context is full");
        let row = |token: &u32| {
            let at = *token as usize * hidden;
            &model.weights[at..at + hidden]
        };
        let mut stream: Vec<f32> = tokens.iter().flat_map(row).copied().collect();
        for layer in 0..model.shape.layers {
            self.attention(layer, &mut stream);
            model.feed_forward(&mut stream, &model.places[layer]);
        }
        self.position += tokens.len();
        model.normed(&stream, &model.last_norm)
    }

    fn attention(&mut self, layer: usize, stream: &mut [f32]) {
        let (model, places) = (self.model, &self.model.places[layer]);
        let shape = &model.shape;
        let (queries, width) = (shape.query_width(), shape.attention_width());
        let x = model.normed(stream, &places.norm_attention);
        let mut rows = product(&x, &model.weights[places.attention_in.clone()], shape.hidden);
        let mut out = vec![0.0; rows.len() / width * queries];
        let pairs = rows.chunks_exact_mut(width).zip(out.chunks_exact_mut(queries));
        for (index, (row, out)) in pairs.enumerate() {
            let turned = &mut row[..queries + shape.key_width()];
            model.rotations.turn(turned, self.position + index, 1.0);
            self.seen[layer].extend_from_slice(&row[queries..]);
            model.attended(&row[..queries], &self.seen[layer], out);
        }
        add(stream, &product(&out, &model.weights[places.attention_out.clone()], queries));
    }

    fn head(&self, normed: &[f32]) -> Vec<f32> {
        let (hidden, vocabulary) = (self.model.shape.hidden, self.model.shape.vocabulary);
        product(normed, &self.model.weights[..vocabulary * hidden], hidden)
    }

    /// Reads tokens and returns the logits after the last.
    ///
    /// # Panics
    /// When there are no tokens, one is outside the vocabulary, or the context is full.
    #[must_use]
    pub fn feed(&mut self, tokens: &[u32]) -> Vec<f32> {
        assert!(!tokens.is_empty(), "there must be a token to predict from");
        let normed = self.read(tokens);
        self.head(&normed[normed.len() - self.model.shape.hidden..])
    }
}

impl Answerer for FloatModel {
    type Error = Infallible;

    fn answer(&mut self, prompt: &[u32], end: u32, limit: usize) -> Result<Vec<u32>, Infallible> {
        let mut session = self.session();
        let mut next = choice(&session.feed(prompt)) as u32;
        let mut said = Vec::new();
        while next != end && said.len() < limit {
            said.push(next);
            next = choice(&session.feed(&[next])) as u32;
        }
        Ok(said)
    }
}

impl Predictor for FloatModel {
    type Error = Infallible;

    fn predict(
        &mut self,
        tokens: &[u32],
        visit: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), Infallible> {
        let mut session = self.session();
        let normed = session.read(tokens);
        for (index, logits) in session.head(&normed).chunks_exact(self.shape.vocabulary).enumerate()
        {
            visit(index, logits);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::lessons::Row;
    use crate::train::pass::Pass;
    use crate::train::{Recipe, TrainState};

    #[test]
    fn answering_token_by_token_predicts_what_the_training_pass_predicts() {
        let shape = Shape { layers: 2, vocabulary: 64, context: 32, ..Shape::SMALL };
        let recipe = Recipe { shape, steps: 1, seed: 3, rows: 1, row_tokens: 32 };
        let weights = TrainState::new(&recipe).weights().to_vec();
        let tokens: Vec<u32> = (0..20).map(|index| index * 7 % 64).collect();
        let row = Row {
            examples: std::iter::once(0..20).collect(),
            tokens: tokens.clone(),
            targets: Vec::new(),
        };
        let mut pass = Pass::new(&shape, 32);
        let trained = pass.logits(&weights, &row).to_vec();
        let model = FloatModel::new(&shape, weights.clone());
        let mut session = model.session();
        let mut answered = session.feed(&tokens[..5]);
        for (index, token) in tokens.iter().enumerate().skip(5) {
            let expected = &trained[(index - 1) * 64..index * 64];
            for (a, b) in answered.iter().zip(expected) {
                assert!((a - b).abs() < 1e-3, "after token {index}: {a} is not {b}");
            }
            answered = session.feed(&[*token]);
        }
    }
}
