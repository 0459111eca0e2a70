//! What the metadata of a Gemma says, and what llama.cpp knows of it without being told.

use super::names::Network;
use super::{Gguf, GgufError};
use serde_json::{Map, Value, json};

/// Layers of those models whose scores are divided by the root of `hidden / heads`, not of the head
/// size; nothing in the file says so (source: ggml-org/llama.cpp, `src/llama-model.cpp`).
const LAYERS_OF_27B: [(&str, u64); 2] = [("gemma2", 46), ("gemma3", 62)];
/// Of Gemma 3, every so many layers one sees everything.
const PATTERN: u32 = 6;
/// Base of the frequencies of layers with a window, where the file does not say one.
const WINDOW_BASE: u32 = 10_000;

impl Gguf {
    /// What a Gemma's configuration says beyond that of others.
    // spec: ENGINE-16.8
    pub(super) fn put_gemma(
        &self,
        network: &Network,
        fields: &mut Map<String, Value>,
    ) -> Result<(), GgufError> {
        if network.architecture == "gemma" {
            return Ok(());
        }
        let key = |field: &str| format!("{}.{field}", network.architecture);
        for field in ["attn_logit_softcapping", "final_logit_softcapping"] {
            let cap = self.real(network, field).ok();
            fields.insert(field.into(), cap.map_or(Value::Null, Value::from));
        }
        let window = self.number(&key("attention.sliding_window"));
        let missing = || GgufError::Missing { key: key("attention.sliding_window") };
        fields.insert("sliding_window".into(), json!(window.ok_or_else(missing)?));
        let layers = self.number(&key("block_count")).unwrap_or(0);
        let heads = self.number(&key("attention.head_count")).unwrap_or(1).max(1);
        let is_27b = LAYERS_OF_27B.contains(&(network.architecture.as_str(), layers));
        let size = match is_27b {
            true => self.number(&key("embedding_length")).unwrap_or(0) / heads,
            false => network.head as u64,
        };
        fields.insert("query_pre_attn_scalar".into(), json!(size));
        if network.architecture == "gemma3" {
            fields.insert("sliding_window_pattern".into(), json!(PATTERN));
            let base =
                self.real(network, "rope.freq_base_swa").map_or(json!(WINDOW_BASE), Value::from);
            fields.insert("rope_local_base_freq".into(), base);
            if !fields.contains_key("rope_theta") {
                fields.insert("rope_theta".into(), json!(1_000_000));
            }
        }
        Ok(())
    }
}
