//! Reads a published `config.json` and refuses by name what op set 1 cannot run.

use crate::load::quantise::Real;
use crate::model::header::{END_OF_TEXT_MAX, Shape};
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
    pub(crate) rope_theta: Real,
    pub(crate) end_of_text: Vec<Token>,
}

impl Config {
    // spec: ENGINE-15.8
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
        fields.refuse_what_cannot_run()?;
        let shape = fields.shape()?;
        Ok(Self {
            name: fields.name(),
            epsilon: fields.real("rms_norm_eps")?,
            rope_theta: fields.rope_theta()?,
            end_of_text: fields.end_of_text(shape.vocabulary)?,
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
        self.must_be("model_type", "llama", "only the Llama family runs under op set 1")?;
        self.must_be("hidden_act", "silu", "op set 1 has the SwiGLU activation only")?;
        if let Some(list) = self.get("architectures") {
            let known = list
                .as_array()
                .is_some_and(|list| list.iter().all(|name| name == "LlamaForCausalLM"));
            self.unless(known, "architectures", list, "only LlamaForCausalLM is known")?;
        }
        for (field, reason) in [
            ("attention_bias", "op set 1 has no bias in attention"),
            ("mlp_bias", "op set 1 has no bias in the feed-forward layer"),
        ] {
            let value = self.get(field).unwrap_or(&Value::Bool(false));
            self.unless(value == &Value::Bool(false), field, value, reason)?;
        }
        for (field, reason) in [
            ("rope_scaling", "scaled rotary embeddings are not in op set 1"),
            ("quantization_config", "only unquantised weights can be converted"),
            ("sliding_window", "op set 1 attends to all positions"),
        ] {
            let value = self.get(field).unwrap_or(&Value::Null);
            let harmless = value.is_null() || field == "rope_scaling" && is_default_rope(value);
            self.unless(harmless, field, value, reason)?;
        }
        let whole = Value::from(1);
        let field = "partial_rotary_factor";
        let value = self.get(field).unwrap_or(&whole);
        let is_whole = Real::from_json(value) == Real::from_json(&whole);
        self.unless(is_whole, field, value, "op set 1 turns whole heads")
    }

    fn must_be(
        &self,
        field: &'static str,
        wanted: &'static str,
        reason: &'static str,
    ) -> Result<(), ConfigError> {
        let value = self.get(field).ok_or(ConfigError::Field { field, wanted })?;
        self.unless(value == wanted, field, value, reason)
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

    /// A flag that is not set where it is missing.
    fn flag(&self, field: &'static str) -> Result<bool, ConfigError> {
        let flag = self.get(field).map_or(Some(false), Value::as_bool);
        flag.ok_or(ConfigError::Field { field, wanted: "true or false" })
    }

    fn real(&self, field: &'static str) -> Result<Real, ConfigError> {
        let real = self.get(field).and_then(Real::from_json);
        real.ok_or(ConfigError::Field { field, wanted: "a positive number" })
    }

    fn shape(&self) -> Result<Shape, ConfigError> {
        let hidden = self.number("hidden_size")?;
        let heads = self.number("num_attention_heads")?;
        let head_size = match heads {
            0 => 0,
            _ => self.number_or("head_dim", hidden / heads)?,
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
            tied: self.flag("tie_word_embeddings")?.into(),
        })
    }

    /// Newer files keep `rope_theta` inside `rope_parameters`; older ones leave out 10 000.
    fn rope_theta(&self) -> Result<Real, ConfigError> {
        let field = "rope_parameters";
        if let Some(value) = self.get(field) {
            let reason = "scaled rotary embeddings are not in op set 1";
            self.unless(is_default_rope(value), field, value, reason)?;
            if let Some(theta) = value.get("rope_theta") {
                let wanted = "a rope_theta above zero";
                return Real::from_json(theta).ok_or(ConfigError::Field { field, wanted });
            }
        }
        let theta = self.get("rope_theta").cloned().unwrap_or_else(|| Value::from(10_000));
        Real::from_json(&theta)
            .ok_or(ConfigError::Field { field: "rope_theta", wanted: "a number above zero" })
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
    fn name(&self) -> String {
        let field = |field| self.get(field).and_then(Value::as_str);
        let path = field("_name_or_path").and_then(|path| path.rsplit('/').next());
        let name = field("name").or(path).filter(|name| !name.is_empty()).unwrap_or("llama");
        let mut name = name.to_owned();
        while name.len() > MODEL_NAME_BYTES_MAX {
            name.pop();
        }
        name
    }
}

/// An object that says in so many words that nothing is scaled.
fn is_default_rope(value: &Value) -> bool {
    let kind = value.get("rope_type").or_else(|| value.get("type"));
    kind.is_some_and(|kind| kind == "default")
}
