//! `POST /v1/chat/completions`, read strictly where meaning depends on it: a setting that would be
//! ignored is refused, because ignoring it would give another answer than was asked for.

use crate::backend::Ask;
use crate::error::ApiError;
use crate::form::{SaidCall, SaidFunction, Wanted};
use crate::guard::Caller;
use crate::openai::score::TOP_MAX;
use axum::http::StatusCode;
use mutirao_wire::Sampling;
use mutirao_wire::bundle::Message;
use mutirao_wire::limits::MESSAGES_MAX;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Tokens of an answer when the request names no number.
pub(crate) const MAX_TOKENS: u32 = 1024;
/// Most stop texts, as OpenAI's.
const STOPS_MAX: usize = 4;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
pub(super) struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Said {
    role: String,
    content: Option<Content>,
    #[serde(default)]
    tool_calls: Option<Vec<SaidCall>>,
}

/// One text or several: how OpenAI's and Ollama's fields often are.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    pub(crate) fn list(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }

    /// As texts that end an answer, if they are few and none is empty.
    pub(crate) fn stops(stop: Option<&Self>) -> Result<Vec<String>, ApiError> {
        let stops = stop.cloned().map(Self::list).unwrap_or_default();
        if stops.len() > STOPS_MAX || stops.iter().any(String::is_empty) {
            let message = format!("stop: at most {STOPS_MAX} texts, none of them empty");
            return Err(ApiError::parameter("stop", message));
        }
        Ok(stops)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// The fields that are understood. Others that change no answer (`user`, `store`, `metadata`) pass.
#[derive(Debug, Default, Deserialize)]
pub struct ChatRequest {
    model: String,
    messages: Vec<Said>,
    pub(super) stream: Option<bool>,
    pub(super) stream_options: Option<StreamOptions>,
    pub(super) max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    pub(super) seed: Option<i64>,
    pub(super) stop: Option<Texts>,
    pub(super) n: Option<u32>,
    pub(super) presence_penalty: Option<f64>,
    pub(super) frequency_penalty: Option<f64>,
    pub(super) logit_bias: Option<Value>,
    pub(super) logprobs: Option<bool>,
    pub(super) top_logprobs: Option<u8>,
    pub(super) response_format: Option<Value>,
    pub(super) tools: Option<Value>,
    pub(super) tool_choice: Option<Value>,
    pub(super) parallel_tool_calls: Option<bool>,
    functions: Option<Value>,
}

/// Reads a body that should be a request of this name.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8], name: &str) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        let message = format!("the body is no {name}: {error}");
        ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", message)
    })
}

pub(crate) fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    }
}

impl ChatRequest {
    /// One with nothing but a conversation in it.
    pub(super) fn of(model: String, messages: Vec<Said>) -> Self {
        Self { model, messages, ..Self::default() }
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`ApiError`] that says which field is wrong.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        read(body, "chat completion request")
    }

    /// Whether the answer comes in pieces.
    pub fn is_streamed(&self) -> bool {
        self.stream.unwrap_or(false)
    }

    /// Whether a stream ends with the counts.
    pub fn wants_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(|options| options.include_usage)
    }

    /// The question, or the first thing in it that cannot be done.
    pub fn ask(&self) -> Result<Ask, ApiError> {
        self.refuse_what_would_be_ignored()?;
        if self.messages.is_empty() || self.messages.len() > MESSAGES_MAX {
            let message = format!("messages: 1 to {MESSAGES_MAX} are taken");
            return Err(ApiError::parameter("messages", message));
        }
        let max_tokens = self.max_completion_tokens.or(self.max_tokens).unwrap_or(MAX_TOKENS);
        if max_tokens == 0 {
            return Err(ApiError::parameter("max_tokens", "max_tokens: at least 1"));
        }
        Ok(Ask {
            model: self.model.clone(),
            messages: self.messages.iter().map(Said::message).collect::<Result<_, _>>()?,
            sampling: self.sampling()?,
            seed: self.seed.map(i64::cast_unsigned),
            max_tokens,
            stop: Texts::stops(self.stop.as_ref())?,
            form: self.wanted().form()?,
            logprobs: self.logprobs()?,
            caller: Caller::Owner,
            raw: false,
        })
    }

    /// How many other tokens are to be named at each place, if any probability is wanted.
    fn logprobs(&self) -> Result<Option<u8>, ApiError> {
        let top = self.top_logprobs.unwrap_or(0);
        if top > TOP_MAX {
            let message = format!("top_logprobs is {top}; 0 to {TOP_MAX} is taken");
            return Err(ApiError::parameter("top_logprobs", message));
        }
        match self.logprobs.unwrap_or(false) {
            true => Ok(Some(top)),
            false if top > 0 => {
                let message = "top_logprobs wants logprobs to be true";
                Err(ApiError::parameter("top_logprobs", message))
            }
            false => Ok(None),
        }
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            format: self.response_format.as_ref(),
            tools: self.tools.as_ref(),
            choice: self.tool_choice.as_ref(),
            parallel: self.parallel_tool_calls,
        }
    }

    fn refuse_what_would_be_ignored(&self) -> Result<(), ApiError> {
        let some = |value: &Option<Value>| value.as_ref().is_some_and(is_something);
        let penalty = |value: Option<f64>| value.unwrap_or(0.0) != 0.0;
        let refused = [
            (self.n.unwrap_or(1) != 1, "n", "one answer at a time"),
            (some(&self.functions), "functions", "functions are called tools now"),
            (some(&self.logit_bias), "logit_bias", "logit_bias is not supported"),
            (penalty(self.presence_penalty), "presence_penalty", "penalties are not supported"),
            (penalty(self.frequency_penalty), "frequency_penalty", "penalties are not supported"),
        ];
        let first = refused.into_iter().find(|(refused, ..)| *refused);
        first.map_or(Ok(()), |(_, name, message)| Err(ApiError::parameter(name, message)))
    }

    /// Greedy when no temperature is given: the same question, the same answer.
    fn sampling(&self) -> Result<Sampling, ApiError> {
        let temperature = within("temperature", self.temperature.unwrap_or(0.0), 2.0)?;
        let top_p = within("top_p", self.top_p.unwrap_or(1.0), 1.0)?;
        Ok(Sampling {
            temperature_milli: (temperature * 1000.0).round() as u32,
            top_p: ((top_p * f64::from(Sampling::ONE)).round() as u32).max(1),
            ..Sampling::greedy()
        })
    }
}

impl Said {
    pub(super) fn new(role: &str, content: Content) -> Self {
        Self { role: role.to_owned(), content: Some(content), tool_calls: None }
    }

    /// An assistant's call of a tool.
    pub(super) fn calling(name: String, arguments: Value) -> Self {
        let call = SaidCall { function: SaidFunction { name, arguments } };
        Self { role: "assistant".to_owned(), content: None, tool_calls: Some(vec![call]) }
    }

    /// Goes on with what the same assistant did next, if it is that.
    pub(super) fn join(&mut self, next: Self) -> Option<Self> {
        if self.role != "assistant" || next.role != "assistant" || next.content.is_some() {
            return Some(next);
        }
        let calls = self.tool_calls.get_or_insert_default();
        calls.extend(next.tool_calls.unwrap_or_default());
        None
    }

    fn message(&self) -> Result<Message, ApiError> {
        let role = match self.role.as_str() {
            "developer" => "system",
            role @ ("system" | "user" | "assistant" | "tool") => role,
            other => {
                let message = format!("role {other:?}: system, user, assistant or tool");
                return Err(ApiError::parameter("messages", message));
            }
        };
        let content = SaidCall::behind(&self.text()?, self.tool_calls.as_deref())?;
        Ok(Message { role: role.into(), content })
    }

    fn text(&self) -> Result<String, ApiError> {
        let parts = match &self.content {
            None => return Ok(String::new()),
            Some(Content::Text(text)) => return Ok(text.clone()),
            Some(Content::Parts(parts)) => parts,
        };
        let text = |part: &Part| match (part.kind.as_str(), &part.text) {
            ("text" | "input_text" | "output_text", Some(text)) => Ok(text.clone()),
            _ => {
                let message = format!("content of type {:?}: only text is supported", part.kind);
                Err(ApiError::parameter("messages", message))
            }
        };
        parts.iter().map(text).collect()
    }
}

pub(crate) fn within(name: &'static str, value: f64, maximum: f64) -> Result<f64, ApiError> {
    if (0.0..=maximum).contains(&value) {
        return Ok(value);
    }
    Err(ApiError::parameter(name, format!("{name} is {value}; 0 to {maximum} is taken")))
}
