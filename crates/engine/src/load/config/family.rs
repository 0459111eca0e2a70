//! The families that op set 1 runs, and what a configuration means in each of them.

use super::{ConfigError, ConfigWindow, Fields};
use crate::load::quantise::{Real, Rope};
use crate::model::header::Shape;
use crate::model::variant::Activation;
use serde_json::Value;

/// A family by its `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Llama,
    Mistral,
    Qwen2,
    Qwen3,
    Gemma,
    Gemma2,
    Gemma3,
}

/// Every family: `model_type` and architecture.
const FAMILIES: [(Family, &str, &str); 7] = [
    (Family::Llama, "llama", "LlamaForCausalLM"),
    (Family::Mistral, "mistral", "MistralForCausalLM"),
    (Family::Qwen2, "qwen2", "Qwen2ForCausalLM"),
    (Family::Qwen3, "qwen3", "Qwen3ForCausalLM"),
    (Family::Gemma, "gemma", "GemmaForCausalLM"),
    (Family::Gemma2, "gemma2", "Gemma2ForCausalLM"),
    (Family::Gemma3, "gemma3_text", "Gemma3ForCausalLM"),
];

impl Family {
    pub(super) fn name(self) -> &'static str {
        FAMILIES.iter().find(|(family, _, _)| *family == self).map_or("", |(_, name, _)| name)
    }

    pub(super) fn is_gemma(self) -> bool {
        matches!(self, Self::Gemma | Self::Gemma2 | Self::Gemma3)
    }

    /// The head size where a configuration does not say one, if that is not `hidden / heads`.
    pub(super) fn head_size(self) -> Option<u32> {
        match self {
            Self::Qwen3 => Some(128),
            Self::Gemma | Self::Gemma2 | Self::Gemma3 => Some(256),
            Self::Llama | Self::Mistral | Self::Qwen2 => None,
        }
    }
}

impl Fields<'_> {
    pub(super) fn family(&self) -> Result<Family, ConfigError> {
        let (field, wanted) = ("model_type", "the name of a family");
        let value = self.get(field).ok_or(ConfigError::Field { field, wanted })?;
        let reason = "op set 1 runs llama, mistral, qwen2, qwen3, gemma, gemma2 and gemma3_text";
        let known = FAMILIES.iter().find(|(_, name, _)| value == name);
        self.unless(known.is_some(), field, value, reason)?;
        let (family, _, architecture) = known.copied().unwrap_or(FAMILIES[0]);
        if let Some(list) = self.get("architectures") {
            let known =
                list.as_array().is_some_and(|list| list.iter().all(|name| name == architecture));
            let reason = "that is not the language model of this model_type";
            self.unless(known, "architectures", list, reason)?;
        }
        Ok(family)
    }

    pub(super) fn activation(&self, family: Family) -> Result<Activation, ConfigError> {
        let (later, earlier) = ("hidden_activation", "hidden_act");
        let is_later = family.is_gemma() && self.get(later).is_some();
        let field = if is_later { later } else { earlier };
        let wanted = "the name of an activation";
        let value = self.get(field).ok_or(ConfigError::Field { field, wanted })?;
        let reason = "op set 1 has silu and gelu_pytorch_tanh";
        let known = value == "silu" || value == "gelu_pytorch_tanh";
        self.unless(known, field, value, reason)?;
        Ok(if value == "silu" { Activation::Silu } else { Activation::Gelu })
    }

    /// What scores are divided by the root of.
    pub(super) fn attention_size(&self, family: Family, shape: &Shape) -> Result<u32, ConfigError> {
        let field = "query_pre_attn_scalar";
        if !matches!(family, Family::Gemma2 | Family::Gemma3) {
            return Ok(shape.head_size);
        }
        let wanted = "a number from 1 to 65536";
        let size = self.number_or(field, 256)?;
        let fits = (1..=1 << 16).contains(&size);
        if fits { Ok(size) } else { Err(ConfigError::Field { field, wanted }) }
    }

    /// A soft cap; Gemma 2 must say whether it has one.
    pub(super) fn cap(
        &self,
        family: Family,
        field: &'static str,
    ) -> Result<Option<Real>, ConfigError> {
        let has_caps = matches!(family, Family::Gemma2 | Family::Gemma3);
        match self.0.get(field) {
            None if family == Family::Gemma2 => {
                Err(ConfigError::Field { field, wanted: "a number above zero, or null" })
            }
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                self.unless(has_caps, field, value, "only Gemma 2 and 3 have soft caps")?;
                self.real(field).map(Some)
            }
        }
    }

    /// The layers with a window; none where the window holds the whole context.
    pub(super) fn window(
        &self,
        family: Family,
        shape: &Shape,
        rope: Rope,
    ) -> Result<Option<ConfigWindow>, ConfigError> {
        let layers = self.window_layers(family, shape)?;
        if !layers.contains(&true) {
            return Ok(None);
        }
        let positions = self.number("sliding_window")?;
        let wanted = "a number above zero";
        if positions == 0 {
            return Err(ConfigError::Field { field: "sliding_window", wanted });
        }
        // A window as long as the context hides nothing, but Gemma's layers turn differently in it.
        if positions >= shape.context && family != Family::Gemma3 {
            return Ok(None);
        }
        Ok(Some(ConfigWindow { positions: positions.min(shape.context), rope, layers }))
    }

    fn window_layers(&self, family: Family, shape: &Shape) -> Result<Vec<bool>, ConfigError> {
        let (field, value) = ("sliding_window", self.get("sliding_window"));
        if matches!(family, Family::Llama | Family::Gemma) {
            let none = &Value::Null;
            let reason = "this family attends to all positions";
            self.unless(value.is_none(), field, value.unwrap_or(none), reason)?;
        }
        let unused = match family {
            Family::Qwen2 | Family::Qwen3 => !self.flag("use_sliding_window", false)?,
            Family::Llama | Family::Gemma => true,
            Family::Mistral => value.is_none(),
            Family::Gemma2 | Family::Gemma3 => false,
        };
        let count = shape.layers.min(crate::model::header::LAYERS_MAX);
        if let Some(list) = self.get("layer_types") {
            return self.layer_types(list, count);
        }
        let every = match self.get("_sliding_window_pattern") {
            Some(_) => self.number("_sliding_window_pattern")?,
            None => self.number_or("sliding_window_pattern", 6)?,
        };
        let from = if unused { u32::MAX } else { self.number_or("max_window_layers", 0)? };
        let has = |layer: u32| match family {
            Family::Qwen2 | Family::Qwen3 => layer >= from,
            Family::Gemma2 => layer % 2 == 0,
            Family::Gemma3 => (layer + 1) % every.max(1) != 0,
            Family::Llama | Family::Gemma | Family::Mistral => !unused,
        };
        Ok((0..count).map(has).collect())
    }

    fn layer_types(&self, list: &Value, count: u32) -> Result<Vec<bool>, ConfigError> {
        let (field, reason) = ("layer_types", "op set 1 has full_attention and sliding_attention");
        let kinds = list.as_array().map_or(&[][..], Vec::as_slice);
        let known = |kind: &Value| kind == "full_attention" || kind == "sliding_attention";
        self.unless(kinds.iter().all(known), field, list, reason)?;
        let wanted = "a list of as many kinds as there are layers";
        if kinds.len() as u64 != u64::from(count) {
            return Err(ConfigError::Field { field, wanted });
        }
        Ok(kinds.iter().map(|kind| kind == "sliding_attention").collect())
    }
}
