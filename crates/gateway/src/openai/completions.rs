//! `POST /v1/completions`: a text goes on. No chat template stands around it.

use super::reply::{Head, ending, provenance, usage};
use super::request::{ChatRequest, Content, Said, StreamOptions, Texts, read};
use super::score::of_completion;
use super::{data, streamed};
use crate::backend::{Answer, Ask};
use crate::door::Door;
use crate::error::ApiError;
use crate::guard::Caller;
use crate::telling::{self, Loss, Words};
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use mutirao_wire::PeerKey;
use mutirao_wire::form::Call;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Tokens of an answer when the request names no number, as OpenAI's.
const MAX_TOKENS: u32 = 16;

/// The fields that are understood. Others that change no answer (`user`) pass.
#[derive(Debug, Deserialize)]
struct Request {
    model: String,
    prompt: Texts,
    max_tokens: Option<u32>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    seed: Option<i64>,
    stop: Option<Texts>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    n: Option<u32>,
    best_of: Option<u32>,
    presence_penalty: Option<f64>,
    frequency_penalty: Option<f64>,
    logit_bias: Option<Value>,
    logprobs: Option<u8>,
    echo: Option<bool>,
    suffix: Option<String>,
}

impl Request {
    /// The same as a chat of one message, which nothing is put around.
    fn chat(self) -> Result<ChatRequest, ApiError> {
        let refused = |name, message| Err(ApiError::parameter(name, message));
        let Ok([prompt]) = <[String; 1]>::try_from(self.prompt.list()) else {
            return refused("prompt", "prompt: one text at a time");
        };
        let some = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if self.echo == Some(true) || some(&self.suffix) || self.best_of.unwrap_or(1) != 1 {
            return refused("echo", "echo, suffix and best_of are not supported");
        }
        let said = Said::new("user", Content::Text(prompt));
        let mut chat = ChatRequest::of(self.model, vec![said]);
        chat.max_tokens = Some(self.max_tokens.unwrap_or(MAX_TOKENS));
        (chat.temperature, chat.top_p, chat.seed) = (self.temperature, self.top_p, self.seed);
        (chat.stop, chat.n, chat.logit_bias) = (self.stop, self.n, self.logit_bias);
        (chat.stream, chat.stream_options) = (self.stream, self.stream_options);
        (chat.presence_penalty, chat.frequency_penalty) =
            (self.presence_penalty, self.frequency_penalty);
        (chat.logprobs, chat.top_logprobs) = (self.logprobs.map(|_| true), self.logprobs);
        Ok(chat)
    }
}

/// `POST /v1/completions`
pub async fn create(
    State(door): State<Arc<Door>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let request = read::<Request>(&body, "request for a completion")?.chat()?;
    let ask = Ask { caller, raw: true, ..request.ask()? };
    let checked = door.backend.clone().check(ask.clone()).await?;
    let head = Head::new("cmpl", &ask.model, &checked);
    let words = Completion { head, wants_usage: request.wants_usage() };
    let place = door.enter(&ask, &checked, None).await?;
    if request.is_streamed() {
        let events = telling::pieces(door, ask, place, Arc::new(words), None).await?;
        return Ok(streamed(events, data));
    }
    let (answer, lost) = telling::whole(&door, ask).await?;
    drop(place);
    Ok(Json(words.whole(&answer, &lost)).into_response())
}

/// A text that goes on, whole or as a stream of objects.
#[derive(Debug)]
struct Completion {
    head: Head,
    wants_usage: bool,
}

impl Completion {
    fn object(&self, text: &str, finish: Option<&str>) -> Value {
        let choice = json!({ "index": 0, "text": text, "logprobs": null, "finish_reason": finish });
        self.head.object("text_completion", &json!([choice]))
    }

    fn whole(&self, answer: &Answer, lost: &[Loss]) -> Value {
        let mut object = self.object(&answer.text, Some(ending(answer)));
        object["choices"][0]["logprobs"] = of_completion(answer.logprobs.as_deref());
        object["usage"] = usage(answer);
        object["mutirao"] = provenance(answer, lost);
        object
    }
}

impl Words for Completion {
    fn opening(&self) -> Vec<String> {
        Vec::new()
    }

    fn text(&self, text: &str, provider: &PeerKey) -> Vec<String> {
        let mut object = self.object(text, None);
        object["mutirao"] = json!({ "provider": provider.to_string() });
        vec![object.to_string()]
    }

    /// A completion is asked for without tools.
    fn call(&self, _: usize, _: &Call) -> Vec<String> {
        Vec::new()
    }

    fn lost(&self, provider: &PeerKey, why: &str) -> Option<String> {
        let mut object = self.object("", None);
        object["mutirao"] = json!({ "lost": { "provider": provider.to_string(), "why": why } });
        Some(object.to_string())
    }

    fn closing(&self, answer: &Answer, lost: &[Loss]) -> Vec<String> {
        let mut closing = self.object("", Some(ending(answer)));
        closing["choices"][0]["logprobs"] = of_completion(answer.logprobs.as_deref());
        closing["mutirao"] = provenance(answer, lost);
        self.head.end("text_completion", &closing, answer, self.wants_usage)
    }

    fn failed(&self, error: &ApiError) -> String {
        error.object().to_string()
    }
}
