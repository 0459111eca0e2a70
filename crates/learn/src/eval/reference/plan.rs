//! What a `config.json` says, as numbers.

use super::ReferenceError;
use serde_json::Value;

/// What opens the feed-forward layer's gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    Silu,
    Gelu,
}

/// Sizes, scales and kinds.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) hidden: usize,
    pub(super) inner: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_size: usize,
    pub(super) vocabulary: usize,
    pub(super) tied: bool,
    pub(super) biased: bool,
    pub(super) head_norm: bool,
    pub(super) after_norm: bool,
    pub(super) gate: Gate,
    pub(super) embedding_scale: f32,
    pub(super) score_scale: f32,
    pub(super) score_cap: Option<f32>,
    pub(super) logit_cap: Option<f32>,
    /// Of each layer.
    pub(super) windows: Vec<Option<usize>>,
    offset: f32,
    epsilon: f32,
    /// Radians a position of every pair, everywhere and in layers with a window.
    turns: [Vec<f64>; 2],
}

struct Config(Value);

impl Config {
    fn find(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    fn count(&self, field: &str) -> Result<usize, ReferenceError> {
        let count = self.find(field).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        count.filter(|count| *count > 0).ok_or_else(|| ReferenceError::Field(field.to_owned()))
    }

    fn count_or(&self, field: &str, otherwise: usize) -> Result<usize, ReferenceError> {
        if self.find(field).is_some() { self.count(field) } else { Ok(otherwise) }
    }

    fn real(&self, field: &str) -> Option<f64> {
        self.find(field).and_then(Value::as_f64)
    }
}

impl Plan {
    pub(super) fn read(config: &[u8]) -> Result<Self, ReferenceError> {
        let config = Config(serde_json::from_slice(config)?);
        let family = config.find("model_type").and_then(Value::as_str).unwrap_or_default();
        let gemma = family.starts_with("gemma");
        let later = matches!(family, "gemma2" | "gemma3_text");
        let (hidden, heads) = (config.count("hidden_size")?, config.count("num_attention_heads")?);
        let head_size = match family {
            "qwen3" => config.count_or("head_dim", 128)?,
            _ if gemma => config.count_or("head_dim", 256)?,
            _ => config.count_or("head_dim", hidden / heads)?,
        };
        let divisor =
            if later { config.count_or("query_pre_attn_scalar", 256)? } else { head_size };
        let single = |number: f64| number as f32;
        Ok(Self {
            hidden,
            inner: config.count("intermediate_size")?,
            heads,
            kv_heads: config.count_or("num_key_value_heads", heads)?,
            head_size,
            vocabulary: config.count("vocab_size")?,
            tied: config.find("tie_word_embeddings").and_then(Value::as_bool).unwrap_or(gemma),
            biased: family == "qwen2",
            head_norm: matches!(family, "qwen3" | "gemma3_text"),
            after_norm: later,
            gate: gate(&config)?,
            embedding_scale: if gemma { (hidden as f32).sqrt() } else { 1.0 },
            score_scale: 1.0 / (divisor as f32).sqrt(),
            score_cap: config.real("attn_logit_softcapping").map(single),
            logit_cap: config.real("final_logit_softcapping").map(single),
            windows: windows(&config, family)?,
            offset: if gemma { 1.0 } else { 0.0 },
            epsilon: config.real("rms_norm_eps").map_or(1e-6, single),
            turns: turns(&config, family, head_size)?,
        })
    }

    /// Numbers of all query heads of a position.
    pub(super) fn query_width(&self) -> usize {
        self.heads * self.head_size
    }

    /// Numbers of all key heads of a position, or all value heads.
    pub(super) fn kv_width(&self) -> usize {
        self.kv_heads * self.head_size
    }

    /// The name of the matrix that gives logits.
    pub(super) fn head(&self) -> &'static str {
        if self.tied { "model.embed_tokens.weight" } else { "lm_head.weight" }
    }

    /// Every tensor with its rows and columns; a vector is one row.
    pub(super) fn tensors(&self) -> Vec<(String, (usize, usize))> {
        let (hidden, inner, size) = (self.hidden, self.inner, self.head_size);
        let (query, kv) = (self.query_width(), self.kv_width());
        let mut all = vec![
            ("model.embed_tokens.weight".to_owned(), (self.vocabulary, hidden)),
            ("model.norm.weight".to_owned(), (1, hidden)),
        ];
        if !self.tied {
            all.push((self.head().to_owned(), (self.vocabulary, hidden)));
        }
        for layer in 0..self.windows.len() {
            let mut put = |wanted: bool, part: &str, size: (usize, usize)| {
                all.extend(wanted.then(|| (format!("model.layers.{layer}.{part}"), size)));
            };
            for part in ["input_layernorm", "post_attention_layernorm"] {
                put(true, &format!("{part}.weight"), (1, hidden));
            }
            for part in ["pre_feedforward_layernorm", "post_feedforward_layernorm"] {
                put(self.after_norm, &format!("{part}.weight"), (1, hidden));
            }
            for (kind, rows) in [("q", query), ("k", kv), ("v", kv)] {
                put(true, &format!("self_attn.{kind}_proj.weight"), (rows, hidden));
                put(self.biased, &format!("self_attn.{kind}_proj.bias"), (1, rows));
            }
            for kind in ["q", "k"] {
                put(self.head_norm, &format!("self_attn.{kind}_norm.weight"), (1, size));
            }
            put(true, "self_attn.o_proj.weight", (hidden, query));
            for kind in ["gate", "up"] {
                put(true, &format!("mlp.{kind}_proj.weight"), (inner, hidden));
            }
            put(true, "mlp.down_proj.weight", (hidden, inner));
        }
        all
    }

    /// Published gains as what they multiply by.
    pub(super) fn gains(&self, published: Vec<f32>) -> Vec<f32> {
        published.into_iter().map(|gain| gain + self.offset).collect()
    }

    /// Every stretch of `x` as long as `gain`, normed.
    pub(super) fn normed(&self, x: &[f32], gain: &[f32]) -> Vec<f32> {
        let row = |row: &[f32]| {
            let squares: f64 = row.iter().map(|x| f64::from(*x).powi(2)).sum();
            let mean = squares / row.len() as f64 + f64::from(self.epsilon);
            let factor = (1.0 / mean.sqrt()) as f32;
            row.iter().zip(gain).map(move |(x, gain)| x * factor * gain).collect::<Vec<f32>>()
        };
        x.chunks_exact(gain.len()).flat_map(row).collect()
    }

    /// Turns the heads of every position, the first of which is `start`.
    pub(super) fn turn(&self, rows: &mut [f32], heads: usize, start: usize, in_window: bool) {
        let (turns, size) = (&self.turns[usize::from(in_window)], self.head_size);
        let mut angles = Vec::with_capacity(turns.len());
        for (position, row) in (start..).zip(rows.chunks_exact_mut(heads * size)) {
            angles.clear();
            angles.extend(turns.iter().map(|turn| (turn * position as f64).sin_cos()));
            for head in row.chunks_exact_mut(size) {
                for (pair, (sin, cos)) in angles.iter().enumerate() {
                    let (sin, cos) = (*sin as f32, *cos as f32);
                    let (a, b) = (head[pair], head[pair + size / 2]);
                    head[pair] = a * cos - b * sin;
                    head[pair + size / 2] = b * cos + a * sin;
                }
            }
        }
    }
}

fn gate(config: &Config) -> Result<Gate, ReferenceError> {
    let name = config.find("hidden_activation").or_else(|| config.find("hidden_act"));
    match name.and_then(Value::as_str) {
        Some("silu") => Ok(Gate::Silu),
        Some("gelu_pytorch_tanh") => Ok(Gate::Gelu),
        _ => Err(ReferenceError::Field("hidden_act".to_owned())),
    }
}

fn windows(config: &Config, family: &str) -> Result<Vec<Option<usize>>, ReferenceError> {
    let layers = config.count("num_hidden_layers")?;
    let uses = config.find("use_sliding_window") == Some(&Value::Bool(true));
    let has = |layer: usize| -> Result<bool, ReferenceError> {
        if let Some(kinds) = config.find("layer_types") {
            return Ok(kinds.get(layer).is_some_and(|kind| kind == "sliding_attention"));
        }
        Ok(match family {
            "mistral" => config.find("sliding_window").is_some(),
            "qwen2" | "qwen3" => uses && layer >= config.count_or("max_window_layers", layers)?,
            "gemma2" => layer.is_multiple_of(2),
            "gemma3_text" => {
                !(layer + 1).is_multiple_of(config.count_or("sliding_window_pattern", 6)?)
            }
            _ => false,
        })
    };
    let window = |layer| match has(layer)? {
        true => config.count("sliding_window").map(Some),
        false => Ok(None),
    };
    (0..layers).map(window).collect()
}

fn turns(config: &Config, family: &str, size: usize) -> Result<[Vec<f64>; 2], ReferenceError> {
    let usual = if family == "gemma3_text" { 1e6 } else { 1e4 };
    let theta = config.real("rope_theta").unwrap_or(usual);
    let nothing = Value::Null;
    if let Some(both) = config.find("rope_parameters") {
        let of = |kind: &str| both.get(kind).unwrap_or(both);
        let turns = |kind: &str| {
            let rope = of(kind);
            scaled(size, rope.get("rope_theta").and_then(Value::as_f64).unwrap_or(theta), rope)
        };
        return Ok([turns("full_attention")?, turns("sliding_attention")?]);
    }
    let full = scaled(size, theta, config.find("rope_scaling").unwrap_or(&nothing))?;
    let window = match family {
        "gemma3_text" => {
            scaled(size, config.real("rope_local_base_freq").unwrap_or(1e4), &nothing)?
        }
        _ => full.clone(),
    };
    Ok([full, window])
}

fn scaled(size: usize, theta: f64, rope: &Value) -> Result<Vec<f64>, ReferenceError> {
    let kind = rope.get("rope_type").or_else(|| rope.get("type")).and_then(Value::as_str);
    let number = |field: &str| {
        let number = rope.get(field).and_then(Value::as_f64);
        number.ok_or_else(|| ReferenceError::Field(field.to_owned()))
    };
    let plain = (0..size / 2).map(|pair| theta.powf(-2.0 * pair as f64 / size as f64));
    match kind.unwrap_or("default") {
        "default" => Ok(plain.collect()),
        "linear" => {
            let factor = number("factor")?;
            Ok(plain.map(|turn| turn / factor).collect())
        }
        "llama3" => {
            let (factor, low) = (number("factor")?, number("low_freq_factor")?);
            let (high, old) = (number("high_freq_factor")?, "original_max_position_embeddings");
            let old = number(old)?;
            let one = |turn: f64| {
                let often = old * turn / std::f64::consts::TAU;
                let part = ((often - low) / (high - low)).clamp(0.0, 1.0);
                (1.0 - part) * turn / factor + part * turn
            };
            Ok(plain.map(one).collect())
        }
        other => Err(ReferenceError::Field(format!("rope_type {other}"))),
    }
}
