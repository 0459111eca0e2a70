//! The network: a pass over some tokens, then over more, keeping what was seen.

use super::plan::{Gate, Plan};
use super::{Reference, ReferenceError};
use crate::train::real::{Matrix, Real, add_scaled, dot};
use mutirao_engine::pool::Pool;
use std::sync::OnceLock;

/// Most numbers of a matrix that are widened at once: four megabytes.
const NUMBERS_AT_ONCE: usize = 1 << 20;

/// A text in progress.
pub struct Sequence<'a> {
    reference: &'a Reference<'a>,
    /// Per layer: keys, already turned, and values.
    seen: Vec<[Vec<f32>; 2]>,
    position: usize,
}

/// `x · weightᵀ` for a few rows.
fn multiply(x: &[f32], weight: &[f32], inner: usize) -> Vec<f32> {
    let (rows, outer) = (x.len() / inner, weight.len() / inner);
    if rows == 1 {
        return weight.chunks_exact(inner).map(|row| dot(row, x)).collect();
    }
    let mut out = vec![0.0; rows * outer];
    let weight = Matrix::new(weight, outer, inner).transposed();
    f32::multiply(Matrix::new(x, rows, inner), weight, 0.0, &mut out);
    out
}

/// What `job` gives for every part, in order.
fn gather<T: Send + Sync>(
    pool: &dyn Pool,
    parts: usize,
    job: &(dyn Fn(usize) -> T + Sync),
) -> Vec<T> {
    let slots: Vec<OnceLock<T>> = (0..parts).map(|_| OnceLock::new()).collect();
    pool.run(parts, &|part| {
        let _ = slots[part].set(job(part));
    });
    slots.into_iter().filter_map(OnceLock::into_inner).collect()
}

impl Reference<'_> {
    /// `x` times a matrix of `outer` rows, some of them at a time.
    fn product(
        &self,
        x: &[f32],
        name: &str,
        (outer, inner): (usize, usize),
    ) -> Result<Vec<f32>, ReferenceError> {
        if x.is_empty() {
            return Ok(Vec::new());
        }
        let rows = (NUMBERS_AT_ONCE / inner).clamp(1, outer);
        let part = |index: usize| -> Result<Vec<f32>, ReferenceError> {
            let range = index * rows..((index + 1) * rows).min(outer);
            Ok(multiply(x, &self.weights.rows(name, (outer, inner), range)?, inner))
        };
        let parts = outer.div_ceil(rows);
        if parts == 1 {
            return part(0);
        }
        let tokens = x.len() / inner;
        let mut out = vec![0.0; tokens * outer];
        for (index, part) in gather(self.pool, parts, &part).into_iter().enumerate() {
            let (part, first) = (part?, index * rows);
            let width = part.len() / tokens.max(1);
            for (part, out) in part.chunks_exact(width.max(1)).zip(out.chunks_exact_mut(outer)) {
                out[first..first + width].copy_from_slice(part);
            }
        }
        Ok(out)
    }

    fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>, ReferenceError> {
        Ok(self.weights.rows(name, (1, length), 0..1)?.into_owned())
    }

    /// `x` normed by the gains of that name, which are as long as each stretch.
    fn normed(&self, x: &[f32], name: &str, length: usize) -> Result<Vec<f32>, ReferenceError> {
        Ok(self.plan.normed(x, &self.plan.gains(self.vector(name, length)?)))
    }

    /// The logits of some positions.
    pub(super) fn head(&self, normed: &[f32]) -> Result<Vec<f32>, ReferenceError> {
        let plan = &self.plan;
        let mut logits = self.product(normed, plan.head(), (plan.vocabulary, plan.hidden))?;
        logits.iter_mut().for_each(|logit| *logit = capped(*logit, plan.logit_cap));
        Ok(logits)
    }

    fn embedded(&self, tokens: &[u32]) -> Result<Vec<f32>, ReferenceError> {
        let (plan, vocabulary) = (&self.plan, self.plan.vocabulary);
        let mut x = Vec::with_capacity(tokens.len() * plan.hidden);
        for token in tokens {
            let row = *token as usize;
            if row >= vocabulary {
                return Err(ReferenceError::Token { token: *token, vocabulary });
            }
            let size = (vocabulary, plan.hidden);
            let entry = self.weights.rows("model.embed_tokens.weight", size, row..row + 1)?;
            x.extend(entry.iter().map(|entry| entry * plan.embedding_scale));
        }
        Ok(x)
    }

    fn feed_forward(&self, layer: usize, x: &mut [f32]) -> Result<(), ReferenceError> {
        let (plan, part) = (&self.plan, |part: &str| format!("model.layers.{layer}.{part}.weight"));
        let (hidden, inner) = (plan.hidden, plan.inner);
        let before = match plan.after_norm {
            true => "pre_feedforward_layernorm",
            false => "post_attention_layernorm",
        };
        let normed = self.normed(x, &part(before), hidden)?;
        let mut gate = self.product(&normed, &part("mlp.gate_proj"), (inner, hidden))?;
        let up = self.product(&normed, &part("mlp.up_proj"), (inner, hidden))?;
        for (gate, up) in gate.iter_mut().zip(&up) {
            *gate = opened(*gate, plan.gate) * up;
        }
        let mut out = self.product(&gate, &part("mlp.down_proj"), (hidden, inner))?;
        if plan.after_norm {
            out = self.normed(&out, &part("post_feedforward_layernorm"), hidden)?;
        }
        add(x, &out);
        Ok(())
    }
}

impl<'a> Sequence<'a> {
    pub(super) fn new(reference: &'a Reference<'a>) -> Self {
        let layers = reference.plan.windows.len();
        let seen = (0..layers).map(|_| [Vec::new(), Vec::new()]).collect();
        Self { reference, seen, position: 0 }
    }

    /// Reads tokens and returns the normed stream after each of them.
    ///
    /// # Errors
    /// [`ReferenceError`] when the weights cannot be read, or do not know a token.
    pub(super) fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>, ReferenceError> {
        let reference = self.reference;
        let mut x = reference.embedded(tokens)?;
        for layer in 0..self.seen.len() {
            self.attention(layer, &mut x)?;
            reference.feed_forward(layer, &mut x)?;
        }
        self.position += tokens.len();
        reference.normed(&x, "model.norm.weight", reference.plan.hidden)
    }

    /// Reads tokens and returns the logits after the last; none where there are no tokens.
    ///
    /// # Errors
    /// As [`Sequence::read`].
    pub fn feed(&mut self, tokens: &[u32]) -> Result<Vec<f32>, ReferenceError> {
        let normed = self.read(tokens)?;
        let last = normed.len().saturating_sub(self.reference.plan.hidden);
        self.reference.head(&normed[last..])
    }

    fn attention(&mut self, layer: usize, x: &mut [f32]) -> Result<(), ReferenceError> {
        let (reference, plan) = (self.reference, &self.reference.plan);
        let part = |part: &str| format!("model.layers.{layer}.{part}.weight");
        let normed = reference.normed(x, &part("input_layernorm"), plan.hidden)?;
        let [mut query, mut key, value] = ["q", "k", "v"].map(|kind| {
            let outer = if kind == "q" { plan.query_width() } else { plan.kv_width() };
            let name = format!("self_attn.{kind}_proj");
            let mut rows = reference.product(&normed, &part(&name), (outer, plan.hidden))?;
            if plan.biased {
                let bias = reference.vector(&format!("model.layers.{layer}.{name}.bias"), outer)?;
                rows.chunks_exact_mut(outer).for_each(|row| add(row, &bias));
            }
            Ok::<_, ReferenceError>(rows)
        });
        if plan.head_norm {
            let size = plan.head_size;
            query = query.and_then(|q| reference.normed(&q, &part("self_attn.q_norm"), size));
            key = key.and_then(|k| reference.normed(&k, &part("self_attn.k_norm"), size));
        }
        let (mut query, mut key) = (query?, key?);
        let window = plan.windows[layer];
        plan.turn(&mut query, plan.heads, self.position, window.is_some());
        plan.turn(&mut key, plan.kv_heads, self.position, window.is_some());
        self.seen[layer][0].extend(key);
        self.seen[layer][1].extend(value?);
        let mixed = attended(plan, window, self.position, &query, &self.seen[layer]);
        let size = (plan.hidden, plan.query_width());
        let mut out = reference.product(&mixed, &part("self_attn.o_proj"), size)?;
        if plan.after_norm {
            out = reference.normed(&out, &part("post_attention_layernorm"), plan.hidden)?;
        }
        add(x, &out);
        Ok(())
    }
}

fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

/// Every query, the first at `start`, over what it may see.
fn attended(
    plan: &Plan,
    window: Option<usize>,
    start: usize,
    query: &[f32],
    [key, value]: &[Vec<f32>; 2],
) -> Vec<f32> {
    let (size, shared) = (plan.head_size, plan.heads / plan.kv_heads);
    let (query_width, kv_width) = (plan.query_width(), plan.kv_width());
    let mut out = vec![0.0; query.len()];
    let rows = query.chunks_exact(query_width).zip(out.chunks_exact_mut(query_width));
    for (position, (query, out)) in (start..).zip(rows) {
        let first = window.map_or(0, |window| (position + 1).saturating_sub(window));
        let heads = query.chunks_exact(size).zip(out.chunks_exact_mut(size));
        for (head, (query, out)) in heads.enumerate() {
            let places = (first..=position).map(|at| at * kv_width + head / shared * size);
            let score = |at: usize| {
                let score = dot(query, &key[at..at + size]) * plan.score_scale;
                f64::from(capped(score, plan.score_cap))
            };
            let scores: Vec<f64> = places.clone().map(score).collect();
            let largest = scores.iter().fold(f64::MIN, |largest, score| largest.max(*score));
            let powers: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
            let total: f64 = powers.iter().sum();
            for (power, at) in powers.iter().zip(places) {
                add_scaled(out, (power / total) as f32, &value[at..at + size]);
            }
        }
    }
    out
}

fn opened(gate: f32, kind: Gate) -> f32 {
    match kind {
        Gate::Silu => gate / (1.0 + (-gate).exp()),
        Gate::Gelu => {
            let inner = (2.0 / std::f32::consts::PI).sqrt() * (gate + 0.044_715 * gate.powi(3));
            0.5 * gate * (1.0 + inner.tanh())
        }
    }
}

fn capped(x: f32, cap: Option<f32>) -> f32 {
    cap.map_or(x, |cap| cap * (x / cap).tanh())
}
