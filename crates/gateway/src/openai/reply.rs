//! Answers as OpenAI's clients read them, with one object of our own: who wrote it, the receipt,
//! how far it was checked, and who saw the prompt.

use crate::backend::{Answer, Checked, Payment};
use crate::error::ApiError;
use crate::openai::score::of_chat;
use crate::telling::{Loss, Words};
use mutirao_wire::form::Call;
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

/// Why an answer ended, in the words of OpenAI and others.
pub fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Length => "length",
        Finish::Trap | Finish::ProviderStopped => "content_filter",
        Finish::Eos | Finish::Stop | Finish::Cancelled { .. } => "stop",
    }
}

/// Why an answer ended: to call tools, where it does.
pub fn ending(answer: &Answer) -> &'static str {
    match reason(answer.finish) {
        "stop" if !answer.calls.is_empty() => "tool_calls",
        reason => reason,
    }
}

pub fn usage(answer: &Answer) -> Value {
    json!({
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.answer_tokens,
        "total_tokens": answer.prompt_tokens + answer.answer_tokens,
        "prompt_tokens_details": { "cached_tokens": answer.cached_tokens },
    })
}

fn keys(keys: &[PeerKey]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}

fn energy((joules, source): (f64, &str)) -> Value {
    json!({ "joules": joules, "source": source })
}

fn payment(payment: &Payment) -> Value {
    json!({ "provider": payment.provider.to_string(), "paid": payment.paid.0,
        "vouchers": payment.vouchers })
}

fn loss((provider, why): &Loss) -> Value {
    json!({ "provider": provider.to_string(), "why": why })
}

/// What no other API has a word for.
pub fn provenance(answer: &Answer, lost: &[Loss]) -> Value {
    let lost: Vec<Value> = lost.iter().map(loss).collect();
    let receipt = answer.receipt.to_string();
    json!({
        "providers": keys(&answer.providers),
        "seen_by": keys(&answer.seen_by),
        "receipt": answer.receipt_kept.then(|| format!("/v1/receipts/{receipt}")),
        "receipt_id": receipt,
        "verification": answer.verification,
        "finish": answer.finish.word(),
        "energy": answer.energy.map(energy),
        "price": answer.price().0,
        "payments": answer.payments.iter().map(payment).collect::<Vec<_>>(),
        "first_token_ms": answer.first_token.as_millis() as u64,
        "total_ms": answer.total.as_millis() as u64,
        "lost": lost,
    })
}

/// An id that no other answer of this door has, and the time in seconds since 1970.
pub fn stamp() -> (String, u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (format!("{:x}", now.as_nanos()), now.as_secs())
}

impl Head {
    /// Of a new answer whose id is of this kind.
    pub fn new(kind: &str, model: &str, checked: &Checked) -> Self {
        let (id, created) = stamp();
        Self {
            id: format!("{kind}-{id}"),
            created,
            model: model.to_owned(),
            fingerprint: checked.fingerprint.clone(),
        }
    }

    /// The last objects of a stream: the closing one, the counts if they are wanted, and its end.
    pub fn end(&self, kind: &str, closing: &Value, answer: &Answer, counts: bool) -> Vec<String> {
        let counts = counts.then(|| {
            let mut counts = self.object(kind, &json!([]));
            counts["usage"] = usage(answer);
            counts.to_string()
        });
        [closing.to_string()].into_iter().chain(counts).chain(["[DONE]".to_owned()]).collect()
    }

    pub fn object(&self, kind: &str, choices: &Value) -> Value {
        json!({
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": choices,
        })
    }

    /// Names a call among all of this door's.
    fn call(&self, number: usize, call: &Call) -> Value {
        let id = self.id.trim_start_matches("chatcmpl-");
        json!({
            "id": format!("call_{id}_{number}"),
            "type": "function",
            "function": { "name": call.name, "arguments": call.arguments.to_string() },
        })
    }

    fn message(&self, answer: &Answer) -> Value {
        let content = answer.text.as_str();
        let mut message = json!({ "role": "assistant", "content": content, "refusal": null });
        if !answer.calls.is_empty() {
            let calls = answer.calls.iter().enumerate();
            message["tool_calls"] = calls.map(|(number, call)| self.call(number, call)).collect();
            message["content"] = if content.is_empty() { Value::Null } else { content.into() };
        }
        message
    }

    /// The whole answer in one object.
    pub fn completion(&self, answer: &Answer, lost: &[Loss]) -> Value {
        let mut object = self.object(
            "chat.completion",
            &json!([{
                "index": 0,
                "message": self.message(answer),
                "logprobs": of_chat(answer.logprobs.as_deref()),
                "finish_reason": ending(answer),
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
}

/// An answer as a stream of chunks.
#[derive(Debug)]
pub struct Chunks {
    pub head: Head,
    /// `stream_options.include_usage`
    pub wants_usage: bool,
}

impl Words for Chunks {
    fn opening(&self) -> Vec<String> {
        let role = json!({ "role": "assistant", "content": "" });
        vec![self.head.chunk(&role, None).to_string()]
    }

    fn text(&self, text: &str, provider: &PeerKey) -> Vec<String> {
        let mut chunk = self.head.chunk(&json!({ "content": text }), None);
        chunk["mutirao"] = json!({ "provider": provider.to_string() });
        vec![chunk.to_string()]
    }

    fn call(&self, number: usize, call: &Call) -> Vec<String> {
        let mut call = self.head.call(number, call);
        call["index"] = number.into();
        vec![self.head.chunk(&json!({ "tool_calls": [call] }), None).to_string()]
    }

    fn lost(&self, provider: &PeerKey, why: &str) -> Option<String> {
        let mut chunk = self.head.chunk(&json!({}), None);
        chunk["mutirao"] = json!({ "lost": { "provider": provider.to_string(), "why": why } });
        Some(chunk.to_string())
    }

    fn closing(&self, answer: &Answer, lost: &[Loss]) -> Vec<String> {
        let mut closing = self.head.chunk(&json!({}), Some(ending(answer)));
        closing["choices"][0]["logprobs"] = of_chat(answer.logprobs.as_deref());
        closing["mutirao"] = provenance(answer, lost);
        self.head.end("chat.completion.chunk", &closing, answer, self.wants_usage)
    }

    fn failed(&self, error: &ApiError) -> String {
        error.object().to_string()
    }
}
