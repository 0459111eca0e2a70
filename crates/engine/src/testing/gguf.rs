//! GGUF files for tests, written as llama.cpp would, from a published model.

use crate::load::{Catalogue, InMemory};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// Tensors begin at multiples of this.
const ALIGNMENT: usize = 32;

/// A GGUF file in the making.
#[derive(Debug, Clone, Default)]
pub struct GgufWriter {
    keys: Vec<u8>,
    key_count: u64,
    tensors: Vec<(String, Vec<usize>, u32, Vec<u8>)>,
}

fn text(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.bytes());
}

impl GgufWriter {
    /// Writes a key with the bytes of a value of this kind.
    pub fn raw(&mut self, key: &str, kind: u32, value: &[u8]) -> &mut Self {
        text(key, &mut self.keys);
        self.keys.extend(kind.to_le_bytes());
        self.keys.extend(value);
        self.key_count += 1;
        self
    }

    /// Writes a list of `count` items.
    pub fn list(&mut self, key: &str, kind: u32, count: u64, items: &[u8]) -> &mut Self {
        let mut value = kind.to_le_bytes().to_vec();
        value.extend(count.to_le_bytes());
        value.extend(items);
        self.raw(key, 9, &value)
    }

    /// Writes a text.
    pub fn text(&mut self, key: &str, value: &str) -> &mut Self {
        let mut bytes = Vec::new();
        text(value, &mut bytes);
        self.raw(key, 8, &bytes)
    }

    /// Writes a number.
    pub fn number(&mut self, key: &str, value: u32) -> &mut Self {
        self.raw(key, 4, &value.to_le_bytes())
    }

    /// Writes a yes or no.
    pub fn flag(&mut self, key: &str, value: bool) -> &mut Self {
        self.raw(key, 7, &[value.into()])
    }

    /// Writes a list of texts.
    pub fn texts<S: AsRef<str>>(&mut self, key: &str, values: &[S]) -> &mut Self {
        let mut items = Vec::new();
        values.iter().for_each(|value| text(value.as_ref(), &mut items));
        self.list(key, 8, values.len() as u64, &items)
    }

    /// Writes a list of numbers.
    pub fn numbers(&mut self, key: &str, values: &[i32]) -> &mut Self {
        let items: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.list(key, 5, values.len() as u64, &items)
    }

    /// Adds a tensor of one of ggml's kinds, its sizes with the fastest last.
    pub fn tensor(&mut self, name: &str, shape: &[usize], kind: u32, bytes: Vec<u8>) -> &mut Self {
        self.tensors.push((name.to_owned(), shape.to_vec(), kind, bytes));
        self
    }

    /// The tensors, to be changed.
    pub fn tensors(&mut self) -> &mut Vec<(String, Vec<usize>, u32, Vec<u8>)> {
        &mut self.tensors
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> Vec<u8> {
        let mut file = b"GGUF\x03\0\0\0".to_vec();
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend(self.key_count.to_le_bytes());
        file.extend(&self.keys);
        let mut offset = 0u64;
        for (name, shape, kind, bytes) in &self.tensors {
            text(name, &mut file);
            file.extend((shape.len() as u32).to_le_bytes());
            shape.iter().rev().for_each(|size| file.extend((*size as u64).to_le_bytes()));
            file.extend(kind.to_le_bytes());
            file.extend(offset.to_le_bytes());
            offset += bytes.len().next_multiple_of(ALIGNMENT) as u64;
        }
        for (.., bytes) in &self.tensors {
            file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
            file.extend(bytes);
        }
        file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
        file
    }

    /// Sizes and weights of a published Llama, in F32 and with its heads turned as llama.cpp turns
    /// them; no tokenizer yet.
    ///
    /// # Panics
    /// When it is not one, or its weights are neither F32 nor BF16.
    #[must_use]
    pub fn llama(config: &Value, weights: &[u8]) -> Self {
        let mut config = config.clone();
        config["model_type"] = "llama".into();
        Self::published(&config, weights)
    }

    /// The same of a Llama or a Gemma.
    ///
    /// # Panics
    /// As [`GgufWriter::llama`].
    #[must_use]
    pub fn published(config: &Value, weights: &[u8]) -> Self {
        let number = |field: &str| config[field].as_u64().expect("a number") as u32;
        let head = config["head_dim"]
            .as_u64()
            .unwrap_or_else(|| u64::from(number("hidden_size") / number("num_attention_heads")));
        let family = config["model_type"].as_str().expect("a family").trim_end_matches("_text");
        let mut writer = Self::default();
        writer.text("general.architecture", family);
        writer.text("general.name", config["name"].as_str().unwrap_or(family));
        for (field, key) in [
            ("max_position_embeddings", "context_length"),
            ("hidden_size", "embedding_length"),
            ("num_hidden_layers", "block_count"),
            ("intermediate_size", "feed_forward_length"),
            ("num_attention_heads", "attention.head_count"),
            ("num_key_value_heads", "attention.head_count_kv"),
        ] {
            writer.number(&format!("{family}.{key}"), number(field));
        }
        if let Some(window) = config["sliding_window"].as_u64() {
            writer.number(&format!("{family}.attention.sliding_window"), window as u32);
        }
        writer.number(&format!("{family}.attention.key_length"), head as u32);
        for (field, key) in [
            ("rms_norm_eps", "attention.layer_norm_rms_epsilon"),
            ("rope_theta", "rope.freq_base"),
            ("attn_logit_softcapping", "attn_logit_softcapping"),
            ("final_logit_softcapping", "final_logit_softcapping"),
        ] {
            if config[field].is_number() {
                let bits = single(&config[field]);
                writer.raw(&format!("{family}.{key}"), 6, &bits.to_le_bytes());
            }
        }
        let scaling = &config["rope_scaling"];
        if scaling["rope_type"] == "linear" {
            writer.text(&format!("{family}.rope.scaling.type"), "linear");
            let bits = single(&scaling["factor"]);
            writer.raw(&format!("{family}.rope.scaling.factor"), 6, &bits.to_le_bytes());
        }
        let end = config["eos_token_id"].as_u64().or_else(|| config["eos_token_id"][0].as_u64());
        writer.number("tokenizer.ggml.eos_token_id", end.expect("a token") as u32);
        writer.weights(weights, head as usize, family);
        writer
    }

    fn weights(&mut self, weights: &[u8], head: usize, family: &str) {
        let file = SafeTensors::deserialize(weights).expect("a safetensors file");
        let catalogue = Catalogue::safetensors(&InMemory(vec![weights])).expect("the same");
        for (name, _) in catalogue.iter() {
            let view = file.tensor(name).expect("is there");
            let mut bytes = view.data().to_vec();
            match view.dtype() {
                Dtype::F32 => {}
                Dtype::BF16 => {
                    bytes = bytes.chunks(2).flat_map(|half| [0, 0, half[0], half[1]]).collect();
                }
                other => panic!("{other:?} is not written here"),
            }
            let (theirs, is_turned) = theirs(name, matches!(family, "gemma2" | "gemma3"));
            if is_turned && family == "llama" {
                bytes = turned(&bytes, view.shape()[1] * 4, head);
            }
            if family.starts_with("gemma") && theirs.ends_with("norm.weight") {
                bytes = with_one(&bytes);
            }
            self.tensor(&theirs, view.shape(), 0, bytes);
        }
    }

    /// The same in several files: as many tensors in each as there are places for, but for the
    /// last. Keys are in the first, as `llama-gguf-split` writes them.
    ///
    /// # Panics
    /// When there are fewer tensors than files.
    #[must_use]
    pub fn split(&self, count: usize) -> Vec<Vec<u8>> {
        let each = self.tensors.len().div_ceil(count);
        let parts = self.tensors.chunks(each).enumerate().map(|(part, tensors)| {
            let mut writer = if part == 0 { self.clone() } else { Self::default() };
            writer.tensors = tensors.to_vec();
            for (key, number) in [("split.no", part), ("split.count", count)] {
                writer.raw(key, 2, &(number as u16).to_le_bytes());
            }
            let all = self.tensors.len() as i32;
            writer.raw("split.tensors.count", 5, &all.to_le_bytes());
            writer.file()
        });
        let parts: Vec<Vec<u8>> = parts.collect();
        assert_eq!(parts.len(), count, "a tensor for each file at least");
        parts
    }
}

/// Singles with one added.
fn with_one(bytes: &[u8]) -> Vec<u8> {
    let bits = |four: &[u8]| u32::from_le_bytes([four[0], four[1], four[2], four[3]]);
    let more = |four| crate::load::quantise::one_more(bits(four)).to_le_bytes();
    bytes.chunks_exact(4).flat_map(more).collect()
}

/// The bits of the nearest single to a number of a configuration.
fn single(value: &Value) -> u32 {
    crate::load::quantise::nearest_single(value).expect("a number")
}

/// Rows with the two halves of each rotary pair side by side.
fn turned(bytes: &[u8], row: usize, head: usize) -> Vec<u8> {
    let rows: Vec<&[u8]> = bytes.chunks(row).collect();
    let heads = rows.chunks(head);
    let pairs = heads.flat_map(|rows| {
        let (first, second) = rows.split_at(head / 2);
        first.iter().zip(second).flat_map(|(one, other)| [*one, *other])
    });
    pairs.flatten().copied().collect()
}

fn theirs(name: &str, has_after_norms: bool) -> (String, bool) {
    let part = match name {
        "model.embed_tokens.weight" => return ("token_embd.weight".into(), false),
        "model.norm.weight" => return ("output_norm.weight".into(), false),
        "lm_head.weight" => return ("output.weight".into(), false),
        name => name.strip_prefix("model.layers.").expect("a layer's"),
    };
    let (layer, part) = part.split_once('.').expect("a part of it");
    let theirs = match part.strip_suffix(".weight").expect("a weight") {
        "post_attention_layernorm" if has_after_norms => "post_attention_norm",
        "pre_feedforward_layernorm" => "ffn_norm",
        "post_feedforward_layernorm" => "post_ffw_norm",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "input_layernorm" => "attn_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "post_attention_layernorm" => "ffn_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        other => panic!("{other} has no name in GGUF here"),
    };
    (format!("blk.{layer}.{theirs}.weight"), ["attn_q", "attn_k"].contains(&theirs))
}
