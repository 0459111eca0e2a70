//! Answers as OpenAI's clients read them, with one object of our own: who wrote it, the receipt,
//! how far it was checked, and who saw the prompt.

use crate::backend::{Answer, Checked};
use mutirao_wire::{Finish, PeerKey};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// What every object of one answer repeats.
#[derive(Debug, Clone)]
pub struct Head {
    id: String,
    created: u64,
    model: String,
    fingerprint: String,
}

/// Why an answer ended, in OpenAI's words.
fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Length => "length",
        Finish::Trap | Finish::ProviderStopped => "content_filter",
        Finish::Eos | Finish::Stop | Finish::Cancelled { .. } => "stop",
    }
}

fn usage(answer: &Answer) -> Value {
    json!({
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.answer_tokens,
        "total_tokens": answer.prompt_tokens + answer.answer_tokens,
    })
}

fn keys(keys: &[PeerKey]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}

fn energy((joules, source): (f64, &str)) -> Value {
    json!({ "joules": joules, "source": source })
}

fn provenance(answer: &Answer, lost: &[Value]) -> Value {
    let receipt = answer.receipt.to_string();
    json!({
        "providers": keys(&answer.providers),
        "seen_by": keys(&answer.seen_by),
        "receipt": answer.receipt_kept.then(|| format!("/v1/receipts/{receipt}")),
        "receipt_id": receipt,
        "verification": answer.verification,
        "finish": answer.finish.word(),
        "energy": answer.energy.map(energy),
        "first_token_ms": answer.first_token.as_millis() as u64,
        "total_ms": answer.total.as_millis() as u64,
        "lost": lost,
    })
}

impl Head {
    pub fn new(model: &str, checked: &Checked) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            id: format!("chatcmpl-{:x}", now.as_nanos()),
            created: now.as_secs(),
            model: model.to_owned(),
            fingerprint: checked.fingerprint.clone(),
        }
    }

    fn object(&self, kind: &str, choices: &Value) -> Value {
        json!({
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": choices,
        })
    }

    /// The whole answer in one object.
    pub fn completion(&self, answer: &Answer, lost: &[Value]) -> Value {
        let mut object = self.object(
            "chat.completion",
            &json!([{
                "index": 0,
                "message": { "role": "assistant", "content": answer.text, "refusal": null },
                "logprobs": null,
                "finish_reason": reason(answer.finish),
            }]),
        );
        object["usage"] = usage(answer);
        object["mutirao"] = provenance(answer, lost);
        object
    }

    fn chunk(&self, delta: &Value, finish: Option<&str>) -> Value {
        let choice =
            json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish });
        self.object("chat.completion.chunk", &json!([choice]))
    }

    /// The first chunk of a stream.
    pub fn opening(&self) -> Value {
        self.chunk(&json!({ "role": "assistant", "content": "" }), None)
    }

    /// More text.
    pub fn text(&self, text: &str, provider: &PeerKey) -> Value {
        let mut chunk = self.chunk(&json!({ "content": text }), None);
        chunk["mutirao"] = json!({ "provider": provider.to_string() });
        chunk
    }

    /// A provider is gone; the next text comes from another.
    pub fn lost(&self, provider: &PeerKey, why: &str) -> Value {
        let mut chunk = self.chunk(&json!({}), None);
        chunk["mutirao"] = json!({ "lost": { "provider": provider.to_string(), "why": why } });
        chunk
    }

    /// The last chunk with a choice.
    pub fn closing(&self, answer: &Answer) -> Value {
        let mut chunk = self.chunk(&json!({}), Some(reason(answer.finish)));
        chunk["mutirao"] = provenance(answer, &[]);
        chunk
    }

    /// The chunk that `stream_options.include_usage` asks for.
    pub fn usage(&self, answer: &Answer) -> Value {
        let mut chunk = self.object("chat.completion.chunk", &json!([]));
        chunk["usage"] = usage(answer);
        chunk
    }
}
