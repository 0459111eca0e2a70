//! Answers and models as Ollama's clients read them, with one object of our own beside.

use super::request::Kind;
use crate::backend::{Answer, ModelEntry};
use crate::error::ApiError;
use crate::openai::{provenance, reason};
use crate::telling::{Loss, Words};
use mutirao_wire::PeerKey;
use mutirao_wire::form::Call;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What every line of one answer repeats.
#[derive(Debug)]
pub struct Head {
    model: String,
    kind: Kind,
}

/// Now, as RFC 3339 has it.
fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

impl Head {
    pub fn new(model: &str, kind: Kind) -> Self {
        Self { model: model.to_owned(), kind }
    }

    fn line(&self, text: &str, done: bool) -> Value {
        let mut line = json!({ "model": self.model, "created_at": now(), "done": done });
        match self.kind {
            Kind::Chat => line["message"] = json!({ "role": "assistant", "content": text }),
            Kind::Generate => line["response"] = text.into(),
        }
        line
    }

    /// The answer to a question that asks nothing.
    pub fn loaded(&self) -> Value {
        let mut line = self.line("", true);
        line["done_reason"] = "load".into();
        line
    }

    /// The whole answer in one object, or its end in the last line.
    fn end(&self, text: &str, answer: &Answer, lost: &[Loss]) -> Value {
        let mut line = self.line(text, true);
        let nanoseconds = |time: std::time::Duration| time.as_nanos() as u64;
        line["done_reason"] = reason(answer.finish).into();
        line["total_duration"] = nanoseconds(answer.total).into();
        line["load_duration"] = 0.into();
        line["prompt_eval_count"] = answer.prompt_tokens.into();
        line["prompt_eval_duration"] = nanoseconds(answer.first_token).into();
        line["eval_count"] = answer.answer_tokens.into();
        let writing = answer.total.saturating_sub(answer.first_token);
        line["eval_duration"] = nanoseconds(writing).into();
        line["mutirao"] = provenance(answer, lost);
        line
    }

    pub fn whole(&self, answer: &Answer, lost: &[Loss]) -> Value {
        let mut line = self.end(&answer.text, answer, lost);
        if !answer.calls.is_empty() {
            line["message"]["tool_calls"] = answer.calls.iter().map(function).collect();
        }
        line
    }
}

fn function(call: &Call) -> Value {
    json!({ "function": call })
}

/// An answer as a stream of lines.
#[derive(Debug)]
pub struct Lines(pub Head);

impl Words for Lines {
    fn opening(&self) -> Vec<String> {
        vec![self.0.line("", false).to_string()]
    }

    fn text(&self, text: &str, provider: &PeerKey) -> Vec<String> {
        let mut line = self.0.line(text, false);
        line["mutirao"] = json!({ "provider": provider.to_string() });
        vec![line.to_string()]
    }

    fn call(&self, _: usize, call: &Call) -> Vec<String> {
        let mut line = self.0.line("", false);
        line["message"]["tool_calls"] = json!([function(call)]);
        vec![line.to_string()]
    }

    fn lost(&self, provider: &PeerKey, why: &str) -> Option<String> {
        let mut line = self.0.line("", false);
        line["mutirao"] = json!({ "lost": { "provider": provider.to_string(), "why": why } });
        Some(line.to_string())
    }

    fn closing(&self, answer: &Answer, lost: &[Loss]) -> Vec<String> {
        vec![self.0.end("", answer, lost).to_string()]
    }

    fn failed(&self, error: &ApiError) -> String {
        json!({ "error": error.message() }).to_string()
    }
}

/// A number as people read it: 1.2M.
fn short(number: u64) -> String {
    let units = [(1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K")];
    match units.iter().find(|(unit, _)| number >= *unit) {
        Some((unit, name)) => format!("{}.{}{name}", number / unit, number % unit * 10 / unit),
        None => number.to_string(),
    }
}

fn details(model: &ModelEntry) -> Value {
    let parameters = model.facts.as_ref().map(|facts| short(facts.parameters));
    json!({
        "parent_model": "",
        "format": "mutirao",
        "family": "",
        "families": null,
        "parameter_size": parameters.unwrap_or_default(),
        "quantization_level": "",
    })
}

/// A model in the list of all. Its digest is its id, known once it was opened.
pub fn listed(model: &ModelEntry) -> Value {
    let digest = model.facts.as_ref().map_or("", |facts| &facts.model_id);
    json!({
        "name": model.name,
        "model": model.name,
        "modified_at": OffsetDateTime::UNIX_EPOCH.format(&Rfc3339).unwrap_or_default(),
        "size": model.bytes,
        "digest": digest,
        "details": details(model),
    })
}

/// A model that is open; it stays so.
pub fn open(model: &ModelEntry) -> Value {
    let mut entry = listed(model);
    entry["size_vram"] = 0.into();
    entry["context_length"] = model.facts.as_ref().map_or(0, |facts| facts.context).into();
    entry["expires_at"] = "9999-12-31T23:59:59Z".into();
    entry
}

/// What is known of a model.
pub fn shown(model: &ModelEntry) -> Value {
    let facts = model.facts.as_ref();
    json!({
        "modelfile": "",
        "parameters": "",
        "template": facts.map_or("", |facts| &facts.template),
        "details": details(model),
        "model_info": {
            "general.name": model.name,
            "general.parameter_count": facts.map(|facts| facts.parameters),
            "mutirao.model_id": facts.map(|facts| &facts.model_id),
            "mutirao.context_length": facts.map(|facts| facts.context),
        },
        "capabilities": ["completion", "tools"],
    })
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn large_numbers_are_said_shortly() {
        let said = [999, 1_000, 1_251_000, 1_104_000_000].map(short);
        assert_eq!(said, ["999", "1.0K", "1.2M", "1.1B"]);
    }
}
