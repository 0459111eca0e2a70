//! Reads a published `config.json` and refuses by name what op set 1 cannot run.

mod family;
mod rope;

use crate::load::quantise::{Real, Rope};
use crate::model::header::{END_OF_TEXT_MAX, Shape};
use crate::model::variant::Activation;
use family::Family;
use mutirao_wire::Token;
use mutirao_wire::limits::MODEL_NAME_BYTES_MAX;
use serde_json::{Map, Value};
use thiserror::Error;

/// Largest `config.json`.
const CONFIG_BYTES_MAX: usize = 1 << 20;

/// Why a configuration cannot be converted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not JSON, not an object, or too long.
    #[error("config.json cannot be read: {0}")]
    NotJson(String),
    /// A field is missing or has the wrong type.
    #[error("config.json: {field} is missing or not {wanted}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// A known field has a value that op set 1 cannot run.
    #[error("config.json: {field} is {value}, but {reason}")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// Why not.
        reason: &'static str,
    },
}

/// What of a configuration determines the model.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) epsilon: Real,
    pub(crate) rope: Rope,
    pub(crate) end_of_text: Vec<Token>,
    /// Scores are divided by the root of this.
    pub(crate) attention_size: u32,
    pub(crate) activation: Activation,
    pub(crate) window: Option<ConfigWindow>,
    pub(crate) score_cap: Option<Real>,
    pub(crate) logit_cap: Option<Real>,
    /// Queries, keys and values have biases.
    pub(crate) biased: bool,
    /// Queries and keys are normed head by head.
    pub(crate) head_norm: bool,
    /// What attention and feed-forward give is normed before it is added.
    pub(crate) after_norm: bool,
    /// Published gains lack one.
    pub(crate) offset_gains: bool,
    /// Rows of the embedding are multiplied by the root of their length before the first layer.
    pub(crate) scaled_embedding: bool,
}

/// Layers that see only the latest positions.
#[derive(Debug)]
pub(crate) struct ConfigWindow {
    pub(crate) positions: u32,
    pub(crate) rope: Rope,
    pub(crate) layers: Vec<bool>,
}

impl Config {
    // spec: ENGINE-15.8, ENGINE-15.9
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        if bytes.len() > CONFIG_BYTES_MAX {
            return Err(ConfigError::NotJson(format!("{} bytes are too many", bytes.len())));
        }
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| ConfigError::NotJson(error.to_string()))?;
        let fields = Fields(
            value
                .as_object()
                .ok_or_else(|| ConfigError::NotJson("it is not an object".to_owned()))?,
        );
        let family = fields.family()?;
        fields.refuse_what_cannot_run()?;
        let shape = fields.shape(family)?;
        let (rope, window_rope) = fields.ropes(family)?;
        Ok(Self {
            name: fields.name(family),
            epsilon: fields.real("rms_norm_eps")?,
            rope,
            end_of_text: fields.end_of_text(shape.vocabulary)?,
            attention_size: fields.attention_size(family, &shape)?,
            activation: fields.activation(family)?,
            window: fields.window(family, &shape, window_rope)?,
            score_cap: fields.cap(family, "attn_logit_softcapping")?,
            logit_cap: fields.cap(family, "final_logit_softcapping")?,
            biased: family == Family::Qwen2,
            head_norm: matches!(family, Family::Qwen3 | Family::Gemma3),
            after_norm: matches!(family, Family::Gemma2 | Family::Gemma3),
            offset_gains: family.is_gemma(),
            scaled_embedding: family.is_gemma(),
            shape,
        })
    }
}

struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    /// A field that is there and not null.
    fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    fn refuse_what_cannot_run(&self) -> Result<(), ConfigError> {
        for (field, reason) in [
            ("attention_bias", "op set 1 has no bias behind attention"),
            ("mlp_bias", "op set 1 has no bias in the feed-forward layer"),
            ("use_bidirectional_attention", "op set 1 looks backwards only"),
        ] {
            let value = self.get(field).unwrap_or(&Value::Bool(false));
            self.unless(value == &Value::Bool(false), field, value, reason)?;
        }
        let field = "quantization_config";
        let value = self.get(field).unwrap_or(&Value::Null);
        let reason = "only unquantised weights can be converted";
        self.unless(value.is_null(), field, value, reason)?;
        let whole = Value::from(1);
        let field = "partial_rotary_factor";
        let value = self.get(field).unwrap_or(&whole);
        let is_whole = Real::from_json(value) == Real::from_json(&whole);
        self.unless(is_whole, field, value, "op set 1 turns whole heads")
    }

    fn unless(
        &self,
        fine: bool,
        field: &'static str,
        value: &Value,
        reason: &'static str,
    ) -> Result<(), ConfigError> {
        let shown: String = value.to_string().chars().take(100).collect();
        let error = ConfigError::Unsupported { field, value: shown, reason };
        if fine { Ok(()) } else { Err(error) }
    }

    fn number(&self, field: &'static str) -> Result<u32, ConfigError> {
        let number = self.get(field).and_then(Value::as_u64);
        let number = number.and_then(|number| u32::try_from(number).ok());
        number.ok_or(ConfigError::Field { field, wanted: "a number below 2^32" })
    }

    fn number_or(&self, field: &'static str, otherwise: u32) -> Result<u32, ConfigError> {
        if self.get(field).is_some() { self.number(field) } else { Ok(otherwise) }
    }

    /// A flag, with its value where it is missing.
    fn flag(&self, field: &'static str, otherwise: bool) -> Result<bool, ConfigError> {
        let flag = self.get(field).map_or(Some(otherwise), Value::as_bool);
        flag.ok_or(ConfigError::Field { field, wanted: "true or false" })
    }

    fn real(&self, field: &'static str) -> Result<Real, ConfigError> {
        let real = self.get(field).and_then(Real::from_json);
        real.ok_or(ConfigError::Field { field, wanted: "a positive number" })
    }

    fn shape(&self, family: Family) -> Result<Shape, ConfigError> {
        let hidden = self.number("hidden_size")?;
        let heads = self.number("num_attention_heads")?;
        let head_size = match (heads, family.head_size()) {
            (0, _) => 0,
            (_, Some(size)) => self.number_or("head_dim", size)?,
            (_, None) => self.number_or("head_dim", hidden / heads)?,
        };
        let context = self.number("max_position_embeddings")?;
        Ok(Shape {
            hidden,
            layers: self.number("num_hidden_layers")?,
            heads,
            kv_heads: self.number_or("num_key_value_heads", heads)?,
            head_size,
            inner: self.number("intermediate_size")?,
            vocabulary: self.number("vocab_size")?,
            context: context.min(crate::model::header::CONTEXT_MAX),
            tied: self.flag("tie_word_embeddings", family.is_gemma())?.into(),
        })
    }

    fn end_of_text(&self, vocabulary: u32) -> Result<Vec<Token>, ConfigError> {
        let wanted = "a token or at most 16 tokens of the vocabulary";
        let error = || ConfigError::Field { field: "eos_token_id", wanted };
        let ids = match self.get("eos_token_id") {
            None => Vec::new(),
            Some(Value::Array(list)) => list.clone(),
            Some(one) => vec![one.clone()],
        };
        let known = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
        let token = |id| known(id).filter(|id| *id < vocabulary).map(Token).ok_or_else(error);
        let mut tokens: Vec<Token> = ids.iter().map(token).collect::<Result<_, _>>()?;
        tokens.sort_unstable();
        tokens.dedup();
        if tokens.len() <= END_OF_TEXT_MAX { Ok(tokens) } else { Err(error()) }
    }

    /// A name for people: `name`, or the last part of `_name_or_path`, or the family's.
    fn name(&self, family: Family) -> String {
        let field = |field| self.get(field).and_then(Value::as_str);
        let path = field("_name_or_path").and_then(|path| path.rsplit('/').next());
        let name = field("name").or(path).filter(|name| !name.is_empty());
        let mut name = name.unwrap_or(family.name()).to_owned();
        while name.len() > MODEL_NAME_BYTES_MAX {
            name.pop();
        }
        name
    }
}
