//! What GGUF calls the tensors and sizes of a network, and what `transformers` calls them.

/// What GGUF calls the networks that are read, and what `config.json` calls them.
pub(super) const ARCHITECTURES: &[(&str, &str)] = &[
    ("llama", "llama"),
    ("qwen2", "qwen2"),
    ("qwen3", "qwen3"),
    ("gemma", "gemma"),
    ("gemma2", "gemma2"),
    ("gemma3", "gemma3_text"),
];

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

/// What is called otherwise where outputs are normed too.
const PARTS_WITH_AFTER_NORMS: &[(&str, &str)] = &[
    ("post_attention_norm", "post_attention_layernorm"),
    ("ffn_norm", "pre_feedforward_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];

/// What a tensor is under its published name.
pub(super) struct Published {
    pub(super) name: String,
    /// The size of its heads where their pairs stand side by side.
    pub(super) paired: Option<usize>,
    /// Whether one was added to each of its numbers.
    pub(super) plus_one: bool,
}

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
    /// `model_type`.
    pub(super) fn family(&self) -> &'static str {
        let known = ARCHITECTURES.iter().find(|(theirs, _)| *theirs == self.architecture);
        known.map_or("", |(_, ours)| ours)
    }

    /// Whether its gains lack one when they are published, and GGUF adds it.
    pub(super) fn is_gemma(&self) -> bool {
        self.architecture.starts_with("gemma")
    }

    /// The published name of a tensor. One that is not known keeps its own, and is refused by it
    /// later.
    // spec: ENGINE-16.3
    pub(super) fn published(&self, name: &str) -> Published {
        let plus_one = self.is_gemma() && name.ends_with("norm.weight");
        let whole = match name {
            "token_embd.weight" => Some("model.embed_tokens.weight"),
            "output_norm.weight" => Some("model.norm.weight"),
            "output.weight" => Some("lm_head.weight"),
            _ => None,
        };
        let (name, paired) = match whole {
            Some(whole) => (whole.to_owned(), None),
            None => self.of_layer(name).unwrap_or_else(|| (name.to_owned(), None)),
        };
        Published { name, paired, plus_one }
    }

    fn of_layer(&self, name: &str) -> Option<(String, Option<usize>)> {
        let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
        let (part, kind) = rest.split_once('.')?;
        let after = match self.architecture.as_str() {
            "gemma2" | "gemma3" => PARTS_WITH_AFTER_NORMS,
            _ => &[],
        };
        let (_, ours) = after.iter().chain(PARTS).find(|(theirs, _)| *theirs == part)?;
        let turned = self.has_pairs && ["attn_q", "attn_k"].contains(&part);
        Some((format!("model.layers.{layer}.{ours}.{kind}"), turned.then_some(self.head)))
    }
}
