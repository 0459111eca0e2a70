//! A published model of any family that op set 1 runs, in single precision, as it was trained: what
//! the integer engine is held against.
//!
//! A reading of its own of `config.json` and of the weights: a conversion that misunderstood either
//! would not agree with it. Obvious rather than quick; nothing two machines must agree on.

mod plan;
mod weights;

use super::compare::Predictor;
use super::float::product;
use plan::{Gate, Plan};
use std::convert::Infallible;
use thiserror::Error;
use weights::Weights;

/// Why a published model cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// The configuration is not JSON.
    #[error("config.json cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A field is missing, or nothing is known of its value.
    #[error("config.json: {0} is missing or not understood")]
    Field(String),
    /// The weights are not safetensors files.
    #[error("the weights cannot be read: {0}")]
    Weights(#[from] safetensors::SafeTensorError),
    /// A tensor is missing or has another size than the configuration says.
    #[error("tensor {0} is missing or has another size or type than it should")]
    Tensor(String),
}

/// The model.
#[derive(Debug)]
pub struct Reference {
    plan: Plan,
    embedding: Vec<f32>,
    layers: Vec<Layer>,
    final_norm: Vec<f32>,
    head: Option<Vec<f32>>,
}

#[derive(Debug)]
struct Layer {
    input_norm: Vec<f32>,
    /// Query, key and value, each with its biases or none.
    heads: [(Vec<f32>, Option<Vec<f32>>); 3],
    head_norms: Option<[Vec<f32>; 2]>,
    output: Vec<f32>,
    after_attention: Option<Vec<f32>>,
    before: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    down: Vec<f32>,
    after: Option<Vec<f32>>,
}

impl Reference {
    /// Of a configuration and the safetensors files with its weights.
    ///
    /// # Errors
    /// [`ReferenceError`].
    pub fn read(config: &[u8], files: &[&[u8]]) -> Result<Self, ReferenceError> {
        let plan = Plan::read(config)?;
        let weights = Weights::new(files)?;
        let layers = (0..plan.windows.len()).map(|layer| Layer::read(&plan, &weights, layer));
        let layers = layers.collect::<Result<_, _>>()?;
        let size = plan.vocabulary * plan.hidden;
        let head = match plan.tied {
            true => None,
            false => Some(weights.take("lm_head.weight", size)?),
        };
        Ok(Self {
            embedding: weights.take("model.embed_tokens.weight", size)?,
            layers,
            final_norm: plan.gains(weights.take("model.norm.weight", plan.hidden)?),
            head,
            plan,
        })
    }

    /// The logits after every token, one list after the other.
    #[must_use]
    pub fn logits(&self, tokens: &[u32]) -> Vec<f32> {
        let plan = &self.plan;
        let row = |token: &u32| {
            let at = *token as usize * plan.hidden;
            self.embedding[at..at + plan.hidden].iter().map(|entry| entry * plan.embedding_scale)
        };
        let mut x: Vec<f32> = tokens.iter().flat_map(row).collect();
        for (layer, window) in self.layers.iter().zip(&plan.windows) {
            layer.attention(plan, *window, &mut x);
            layer.feed_forward(plan, &mut x);
        }
        let x = plan.normed(&x, &self.final_norm);
        let mut logits = product(&x, self.head.as_ref().unwrap_or(&self.embedding), plan.hidden);
        logits.iter_mut().for_each(|logit| *logit = capped(*logit, plan.logit_cap));
        logits
    }

    /// Tokens that it knows.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.plan.vocabulary
    }
}

impl Layer {
    fn read(plan: &Plan, weights: &Weights<'_>, layer: usize) -> Result<Self, ReferenceError> {
        let take = |part: &str, size| weights.take(&format!("model.layers.{layer}.{part}"), size);
        let gains = |part: &str, size| Ok(plan.gains(take(part, size)?));
        let (hidden, inner) = (plan.hidden, plan.inner);
        let (query, kv) = (plan.heads * plan.head_size, plan.kv_heads * plan.head_size);
        let some = |wanted: bool, part: &str, size| match wanted {
            true => gains(part, size).map(Some),
            false => Ok::<_, ReferenceError>(None),
        };
        let head = |kind: &str, rows: usize| {
            let weight = take(&format!("self_attn.{kind}_proj.weight"), rows * hidden)?;
            let bias = match plan.biased {
                true => Some(take(&format!("self_attn.{kind}_proj.bias"), rows)?),
                false => None,
            };
            Ok::<_, ReferenceError>((weight, bias))
        };
        let before = match plan.after_norm {
            true => "pre_feedforward_layernorm.weight",
            false => "post_attention_layernorm.weight",
        };
        let norms = |part: &str| gains(part, plan.head_size);
        Ok(Self {
            input_norm: gains("input_layernorm.weight", hidden)?,
            heads: [head("q", query)?, head("k", kv)?, head("v", kv)?],
            head_norms: match plan.head_norm {
                true => {
                    Some([norms("self_attn.q_norm.weight")?, norms("self_attn.k_norm.weight")?])
                }
                false => None,
            },
            output: take("self_attn.o_proj.weight", hidden * query)?,
            after_attention: some(plan.after_norm, "post_attention_layernorm.weight", hidden)?,
            before: gains(before, hidden)?,
            gate: take("mlp.gate_proj.weight", inner * hidden)?,
            up: take("mlp.up_proj.weight", inner * hidden)?,
            down: take("mlp.down_proj.weight", hidden * inner)?,
            after: some(plan.after_norm, "post_feedforward_layernorm.weight", hidden)?,
        })
    }

    fn attention(&self, plan: &Plan, window: Option<usize>, x: &mut [f32]) {
        let normed = plan.normed(x, &self.input_norm);
        let [mut query, mut key, value] = [0, 1, 2].map(|kind| {
            let (weight, bias) = &self.heads[kind];
            let mut rows = product(&normed, weight, plan.hidden);
            for row in rows.chunks_exact_mut(weight.len() / plan.hidden) {
                let bias = bias.iter().flatten();
                row.iter_mut().zip(bias).for_each(|(row, bias)| *row += bias);
            }
            rows
        });
        if let Some([of_query, of_key]) = &self.head_norms {
            query = plan.normed(&query, of_query);
            key = plan.normed(&key, of_key);
        }
        plan.turn(&mut query, plan.heads, window.is_some());
        plan.turn(&mut key, plan.kv_heads, window.is_some());
        let mixed = attended(plan, window, [&query, &key, &value]);
        let width = plan.heads * plan.head_size;
        let out = product(&mixed, &self.output, width);
        add(
            x,
            match &self.after_attention {
                Some(gain) => plan.normed(&out, gain),
                None => out,
            },
        );
    }

    fn feed_forward(&self, plan: &Plan, x: &mut [f32]) {
        let normed = plan.normed(x, &self.before);
        let mut gate = product(&normed, &self.gate, plan.hidden);
        let up = product(&normed, &self.up, plan.hidden);
        for (gate, up) in gate.iter_mut().zip(&up) {
            *gate = opened(*gate, plan.gate) * up;
        }
        let out = product(&gate, &self.down, plan.inner);
        add(
            x,
            match &self.after {
                Some(gain) => plan.normed(&out, gain),
                None => out,
            },
        );
    }
}

fn add(x: &mut [f32], y: Vec<f32>) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

/// Every query over what it may see.
fn attended(plan: &Plan, window: Option<usize>, [query, key, value]: [&[f32]; 3]) -> Vec<f32> {
    let (size, shared) = (plan.head_size, plan.heads / plan.kv_heads);
    let (query_width, kv_width) = (plan.heads * size, plan.kv_heads * size);
    let mut out = vec![0.0; query.len()];
    let rows = query.chunks_exact(query_width).zip(out.chunks_exact_mut(query_width));
    for (position, (query, out)) in rows.enumerate() {
        let first = window.map_or(0, |window| (position + 1).saturating_sub(window));
        let heads = query.chunks_exact(size).zip(out.chunks_exact_mut(size));
        for (head, (query, out)) in heads.enumerate() {
            let places = (first..=position).map(|at| at * kv_width + head / shared * size);
            let scores = places.clone().map(|at| {
                let dot: f32 = query.iter().zip(&key[at..at + size]).map(|(q, k)| q * k).sum();
                f64::from(capped(dot * plan.score_scale, plan.score_cap))
            });
            let scores: Vec<f64> = scores.collect();
            let largest = scores.iter().fold(f64::MIN, |largest, score| largest.max(*score));
            let powers: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
            let total: f64 = powers.iter().sum();
            for (power, at) in powers.iter().zip(places) {
                let part = (power / total) as f32;
                let value = &value[at..at + size];
                out.iter_mut().zip(value).for_each(|(out, value)| *out += part * value);
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

impl Predictor for Reference {
    type Error = Infallible;

    fn predict(
        &mut self,
        tokens: &[u32],
        visit: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), Infallible> {
        let logits = self.logits(tokens);
        for (index, logits) in logits.chunks_exact(self.plan.vocabulary).enumerate() {
            visit(index, logits);
        }
        Ok(())
    }
}
