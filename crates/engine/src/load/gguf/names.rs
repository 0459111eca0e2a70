//! What GGUF calls the tensors and sizes of a network, and what `transformers` calls them.

/// Networks whose tensors mean the same under either name. Gemma's do not: its gains lack the one
/// that GGUF adds to them.
pub(super) const ARCHITECTURES: &[&str] = &["llama", "qwen2", "qwen3"];

/// Sizes that every network has: our word, and the key after the architecture's name.
pub(super) const NUMBERS: &[(&str, &str)] = &[
    ("hidden_size", "embedding_length"),
    ("intermediate_size", "feed_forward_length"),
    ("num_hidden_layers", "block_count"),
    ("num_attention_heads", "attention.head_count"),
    ("max_position_embeddings", "context_length"),
];

/// Parts of a layer.
const PARTS: &[(&str, &str)] = &[
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// What decides how tensors are named and laid out.
pub(super) struct Network {
    /// `general.architecture`.
    pub(super) architecture: String,
    /// Size of a head.
    pub(super) head: usize,
    /// Whether the halves of rotary pairs stand side by side, as llama.cpp turns Llama's.
    pub(super) has_pairs: bool,
}

impl Network {
    /// The published name of a tensor, with the size of its heads where their pairs stand side by
    /// side. A name that is not known stays as it is, and is refused by it later.
    // spec: ENGINE-16.3
    pub(super) fn published(&self, name: &str) -> (String, Option<usize>) {
        match name {
            "token_embd.weight" => return ("model.embed_tokens.weight".into(), None),
            "output_norm.weight" => return ("model.norm.weight".into(), None),
            "output.weight" => return ("lm_head.weight".into(), None),
            _ => {}
        }
        self.of_layer(name).unwrap_or_else(|| (name.to_owned(), None))
    }

    fn of_layer(&self, name: &str) -> Option<(String, Option<usize>)> {
        let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
        let (part, kind) = rest.split_once('.')?;
        let (_, ours) = PARTS.iter().find(|(theirs, _)| *theirs == part)?;
        let turned = self.has_pairs && ["attn_q", "attn_k"].contains(&part);
        Some((format!("model.layers.{layer}.{ours}.{kind}"), turned.then_some(self.head)))
    }
}
