//! `POST /api/chat` and `/api/generate`, read strictly where meaning depends on it: an option that
//! would be ignored is refused, because ignoring it would give another answer than was asked for.

use crate::backend::Ask;
use crate::error::ApiError;
use crate::form::{SaidCall, Wanted};
use crate::guard::Caller;
use crate::openai::{MAX_TOKENS, Texts, is_something, read, within};
use mutirao_wire::Sampling;
use mutirao_wire::bundle::Message;
use mutirao_wire::form::{Form, any_object};
use mutirao_wire::limits::MESSAGES_MAX;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Which of the two ways to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A conversation.
    Chat,
    /// One prompt.
    Generate,
}

#[derive(Debug, Deserialize)]
struct Said {
    role: String,
    #[serde(default)]
    content: String,
    images: Option<Value>,
    #[serde(default)]
    tool_calls: Option<Vec<SaidCall>>,
}

/// The options that are understood.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<i64>,
    min_p: Option<f64>,
    seed: Option<i64>,
    num_predict: Option<i64>,
    stop: Option<Texts>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Options that change no answer here, whatever they are: how much memory and which processor.
const NO_MATTER: [&str; 10] = [
    "num_ctx",
    "num_batch",
    "num_gpu",
    "main_gpu",
    "num_thread",
    "num_keep",
    "low_vram",
    "numa",
    "use_mmap",
    "use_mlock",
];
/// Options that change no answer while they have this value.
const NEUTRAL: [(&str, f64); 6] = [
    ("repeat_penalty", 1.0),
    ("presence_penalty", 0.0),
    ("frequency_penalty", 0.0),
    ("mirostat", 0.0),
    ("tfs_z", 1.0),
    ("typical_p", 1.0),
];

/// A request. Fields that change no answer (`keep_alive`) pass.
#[derive(Debug, Deserialize)]
struct Fields {
    #[serde(alias = "name")]
    model: String,
    #[serde(default)]
    messages: Vec<Said>,
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    system: String,
    stream: Option<bool>,
    #[serde(default)]
    options: Option<Options>,
    format: Option<Value>,
    tools: Option<Value>,
    think: Option<Value>,
    images: Option<Value>,
    suffix: Option<String>,
    template: Option<String>,
    context: Option<Value>,
    raw: Option<bool>,
}

/// A request of one kind.
#[derive(Debug)]
pub struct Request {
    pub kind: Kind,
    fields: Fields,
}

/// The name without the tag that clients add to names that have none.
fn plain(name: &str) -> &str {
    name.strip_suffix(":latest").unwrap_or(name)
}

/// The model that `/api/show` asks for.
pub fn shown(body: &[u8]) -> Result<String, ApiError> {
    #[derive(Deserialize)]
    struct Show {
        #[serde(alias = "name")]
        model: String,
    }
    read::<Show>(body, "such request").map(|show| plain(&show.model).to_owned())
}

impl Request {
    /// Reads a body.
    ///
    /// # Errors
    /// [`ApiError`] that says which field is wrong.
    pub fn read(body: &[u8], kind: Kind) -> Result<Self, ApiError> {
        Ok(Self { kind, fields: read(body, "such request")? })
    }

    pub fn model(&self) -> &str {
        plain(&self.fields.model)
    }

    /// Whether the answer comes in pieces, as it does when nobody says otherwise.
    pub fn is_streamed(&self) -> bool {
        self.fields.stream.unwrap_or(true)
    }

    /// The question, none where nothing is asked, or the first thing in it that cannot be done.
    pub fn ask(&self) -> Result<Option<Ask>, ApiError> {
        self.refuse_what_would_be_ignored()?;
        let messages = self.messages()?;
        if messages.len() > MESSAGES_MAX {
            let message = format!("messages: at most {MESSAGES_MAX} are taken");
            return Err(ApiError::parameter("messages", message));
        }
        if messages.iter().all(|message| message.role == "system") {
            return Ok(None);
        }
        let none = Options::default();
        let options = self.fields.options.as_ref().unwrap_or(&none);
        Ok(Some(Ask {
            logprobs: None,
            model: self.model().to_owned(),
            messages,
            sampling: options.sampling()?,
            seed: options.seed.map(i64::cast_unsigned),
            max_tokens: options.max_tokens()?,
            stop: Texts::stops(options.stop.as_ref())?,
            form: self.form()?,
            caller: Caller::Owner,
            raw: self.is_raw(),
        }))
    }

    fn is_raw(&self) -> bool {
        self.kind == Kind::Generate && self.fields.raw == Some(true)
    }

    /// `"json"` or a schema, and tools.
    fn form(&self) -> Result<Form, ApiError> {
        let schema = match &self.fields.format {
            Some(Value::String(word)) if word == "json" => Some(any_object()),
            Some(Value::Object(fields)) => Some(Value::Object(fields.clone())),
            None | Some(Value::Null) => None,
            Some(Value::String(word)) if word.is_empty() => None,
            Some(other) => {
                let message = format!("format is {other}; \"json\" or a JSON schema is taken");
                return Err(ApiError::parameter("format", message));
            }
        };
        let tools = self.fields.tools.as_ref();
        let form = Wanted { tools, ..Wanted::default() }.form()?;
        Ok(Form { schema, ..form })
    }

    fn messages(&self) -> Result<Vec<Message>, ApiError> {
        let Fields { messages, prompt, system, .. } = &self.fields;
        if self.kind == Kind::Chat {
            return messages.iter().map(Said::message).collect();
        }
        let said = [("system", system), ("user", prompt)];
        let said = said.into_iter().filter(|(_, content)| !content.is_empty());
        let message = |(role, content): (&str, &String)| Message {
            role: role.to_owned(),
            content: content.clone(),
        };
        Ok(said.map(message).collect())
    }

    fn refuse_what_would_be_ignored(&self) -> Result<(), ApiError> {
        let Fields { tools, think, images, context, .. } = &self.fields;
        let generates = self.kind == Kind::Generate;
        let some = |value: &Option<Value>| {
            value.as_ref().is_some_and(|value| is_something(value) && *value != Value::Bool(false))
        };
        let text = |value: &Option<String>| value.as_ref().is_some_and(|text| !text.is_empty());
        let refused = [
            (generates && some(tools), "tools", "tools belong to /api/chat"),
            (some(think), "think", "no model here thinks aloud"),
            (some(images), "images", "only text is supported"),
            (some(context), "context", "give the conversation to /api/chat"),
            (text(&self.fields.suffix), "suffix", "suffixes are not supported"),
            (text(&self.fields.template), "template", "the template is part of the model"),
            (self.is_raw() && !self.fields.system.is_empty(), "system", "raw has no template"),
        ];
        let first = refused.into_iter().find(|(refused, ..)| *refused);
        first.map_or(Ok(()), |(_, name, message)| Err(ApiError::parameter(name, message)))?;
        self.fields.options.as_ref().map_or(Ok(()), Options::refuse_what_would_be_ignored)
    }
}

impl Options {
    fn refuse_what_would_be_ignored(&self) -> Result<(), ApiError> {
        let matters = |(name, value): &(&String, &Value)| {
            let neutral = NEUTRAL
                .iter()
                .any(|(other, neutral)| other == name && value.as_f64() == Some(*neutral));
            !neutral && !value.is_null() && !NO_MATTER.contains(&name.as_str())
        };
        match self.others.iter().find(matters) {
            None => Ok(()),
            Some((name, value)) => {
                let message =
                    format!("{name} = {value} is not supported; it would change the answer");
                Err(ApiError::parameter("options", message))
            }
        }
    }

    /// Greedy when no temperature is given: the same question, the same answer.
    fn sampling(&self) -> Result<Sampling, ApiError> {
        let temperature = within("temperature", self.temperature.unwrap_or(0.0), 2.0)?;
        let part = |name, value: Option<f64>, usual| -> Result<u32, ApiError> {
            let value = within(name, value.unwrap_or(usual), 1.0)?;
            Ok((value * f64::from(Sampling::ONE)).round() as u32)
        };
        Ok(Sampling {
            temperature_milli: (temperature * 1000.0).round() as u32,
            top_p: part("top_p", self.top_p, 1.0)?.max(1),
            min_p: part("min_p", self.min_p, 0.0)?,
            // Below 1 is all of them, as it is with Ollama.
            top_k: u32::try_from(self.top_k.unwrap_or(0).max(0)).unwrap_or(0),
            ..Sampling::greedy()
        })
    }

    /// -1 and -2 mean as many as there is room for.
    fn max_tokens(&self) -> Result<u32, ApiError> {
        match self.num_predict {
            None | Some(..0) => Ok(MAX_TOKENS),
            Some(0) => Err(ApiError::parameter("num_predict", "num_predict: at least 1")),
            Some(count) => Ok(u32::try_from(count).unwrap_or(u32::MAX)),
        }
    }
}

impl Said {
    fn message(&self) -> Result<Message, ApiError> {
        let some = |value: &Option<Value>| value.as_ref().is_some_and(is_something);
        if some(&self.images) {
            return Err(ApiError::parameter("messages", "only text is supported in messages"));
        }
        if !["system", "user", "assistant", "tool"].contains(&self.role.as_str()) {
            let message = format!("role {:?}: system, user, assistant or tool", self.role);
            return Err(ApiError::parameter("messages", message));
        }
        let content = SaidCall::behind(&self.content, self.tool_calls.as_deref())?;
        Ok(Message { role: self.role.clone(), content })
    }
}
