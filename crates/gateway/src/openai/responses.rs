//! `POST /v1/responses`: the same questions in OpenAI's newer words. Nothing is kept between two
//! requests, so what would refer to an earlier one is refused.

use super::reply::{provenance, stamp};
use super::request::{ChatRequest, Content, Said};
use crate::backend::{Answer, Ask};
use crate::door::Door;
use crate::error::ApiError;
use crate::guard::Caller;
use crate::telling::{self, Loss, Words};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::StreamExt;
use mutirao_wire::{Finish, PeerKey};
use serde::Deserialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Items(Vec<Said>),
}

/// The fields that are understood. Others that change no answer (`store`, `metadata`) pass.
#[derive(Debug, Deserialize)]
struct Request {
    model: String,
    input: Input,
    instructions: Option<String>,
    max_output_tokens: Option<u32>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    stream: Option<bool>,
    tools: Option<Value>,
    text: Option<Value>,
    previous_response_id: Option<String>,
    conversation: Option<Value>,
    background: Option<bool>,
    truncation: Option<String>,
}

impl Request {
    fn read(body: &[u8]) -> Result<Self, ApiError> {
        serde_json::from_slice(body).map_err(|error| {
            let message = format!("the body is no request for a response: {error}");
            ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", message)
        })
    }

    /// The same as a chat completion.
    fn chat(self) -> Result<ChatRequest, ApiError> {
        self.refuse_what_would_be_ignored()?;
        let said = |role: &str, text| Said::new(role, Content::Text(text));
        let items = match self.input {
            Input::Text(text) => vec![said("user", text)],
            Input::Items(items) => items,
        };
        let before = self.instructions.map(|text| said("system", text));
        let messages = before.into_iter().chain(items).collect();
        let mut chat = ChatRequest::of(self.model, messages);
        chat.stream = self.stream;
        chat.max_tokens = self.max_output_tokens;
        (chat.temperature, chat.top_p, chat.tools) = (self.temperature, self.top_p, self.tools);
        chat.response_format = self.text.map(|text| text["format"].clone());
        Ok(chat)
    }

    fn refuse_what_would_be_ignored(&self) -> Result<(), ApiError> {
        let truncated = self.truncation.as_deref().is_some_and(|how| how != "disabled");
        let kept = "nothing is kept between requests; send the whole conversation as input";
        let refused = [
            (self.previous_response_id.is_some(), "previous_response_id", kept),
            (self.conversation.as_ref().is_some_and(|id| !id.is_null()), "conversation", kept),
            (self.background == Some(true), "background", "answers are not kept"),
            (truncated, "truncation", "nothing is left out of a prompt"),
        ];
        let first = refused.into_iter().find(|(refused, ..)| *refused);
        first.map_or(Ok(()), |(_, name, message)| Err(ApiError::parameter(name, message)))
    }
}

/// `POST /v1/responses`
pub async fn create(
    State(door): State<Arc<Door>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let request = Request::read(&body)?.chat()?;
    let ask = Ask { caller: caller.key(), ..request.ask()? };
    door.backend.clone().check(ask.clone()).await?;
    let head = Head::new(&ask.model);
    let place = door.queue.enter(&door.metrics).await?;
    if request.is_streamed() {
        let words = Arc::new(Events { head, next: AtomicU64::new(0) });
        let events = telling::pieces(door, ask, place, words, None).await?;
        let events = events.map(|event| Ok::<_, Infallible>(named(&event)));
        let heartbeat = KeepAlive::new().interval(super::HEARTBEAT).text("working");
        return Ok(Sse::new(events).keep_alive(heartbeat).into_response());
    }
    let (answer, lost) = telling::whole(&door, ask).await?;
    drop(place);
    Ok(Json(head.response(Some((&answer, &lost)))).into_response())
}

/// The name of an event stands in the line before its object; an object has one line.
fn named(event: &str) -> Event {
    event.split('\n').filter(|line| !line.is_empty()).fold(Event::default(), |event, line| {
        if line.starts_with('{') { event.data(line) } else { event.event(line) }
    })
}

/// What every object of one answer repeats.
#[derive(Debug)]
struct Head {
    id: String,
    created: u64,
    model: String,
}

fn item(id: &str, status: &str, content: &Value) -> Value {
    json!({
        "id": format!("msg_{id}"),
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    })
}

fn part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
}

/// Whether the answer was ended by its length, in OpenAI's words.
fn status(answer: &Answer) -> &'static str {
    match answer.finish {
        Finish::Eos | Finish::Stop | Finish::Cancelled { .. } => "completed",
        Finish::Length | Finish::Trap | Finish::ProviderStopped => "incomplete",
    }
}

impl Head {
    fn new(model: &str) -> Self {
        let (id, created) = stamp();
        Self { id, created, model: model.to_owned() }
    }

    /// The response, whole or with nothing in it yet.
    fn response(&self, answered: Option<(&Answer, &[Loss])>) -> Value {
        let mut response = json!({
            "id": format!("resp_{}", self.id),
            "object": "response",
            "created_at": self.created,
            "model": self.model,
            "status": "in_progress",
            "output": [],
            "error": null,
            "incomplete_details": null,
            "instructions": null,
            "metadata": {},
            "parallel_tool_calls": false,
            "tool_choice": "auto",
            "tools": [],
            "store": false,
        });
        if let Some((answer, lost)) = answered {
            let status = status(answer);
            response["status"] = status.into();
            response["output"] = json!([item(&self.id, status, &json!([part(&answer.text)]))]);
            if status == "incomplete" {
                let length = answer.finish == Finish::Length;
                let reason = if length { "max_output_tokens" } else { "content_filter" };
                response["incomplete_details"] = json!({ "reason": reason });
            }
            response["usage"] = usage(answer);
            response["mutirao"] = provenance(answer, lost);
        }
        response
    }
}

fn usage(answer: &Answer) -> Value {
    json!({
        "input_tokens": answer.prompt_tokens,
        "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": answer.answer_tokens,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": answer.prompt_tokens + answer.answer_tokens,
    })
}

/// A response as a stream of numbered events.
#[derive(Debug)]
struct Events {
    head: Head,
    /// Number of the next event.
    next: AtomicU64,
}

impl Events {
    /// An event, its name before it.
    fn event(&self, name: &str, mut object: Value) -> String {
        object["type"] = name.into();
        object["sequence_number"] = self.next.fetch_add(1, Ordering::Relaxed).into();
        format!("{name}\n{object}")
    }

    /// One about the text of the answer.
    fn of_text(&self, name: &str, mut object: Value) -> String {
        object["item_id"] = format!("msg_{}", self.head.id).into();
        object["output_index"] = 0.into();
        object["content_index"] = 0.into();
        self.event(name, object)
    }
}

impl Words for Events {
    fn opening(&self) -> Vec<String> {
        let response = self.head.response(None);
        let empty = item(&self.head.id, "in_progress", &json!([]));
        vec![
            self.event("response.created", json!({ "response": response })),
            self.event("response.in_progress", json!({ "response": response })),
            self.event("response.output_item.added", json!({ "output_index": 0, "item": empty })),
            self.of_text("response.content_part.added", json!({ "part": part("") })),
        ]
    }

    fn text(&self, text: &str, provider: &PeerKey) -> String {
        let provider = json!({ "provider": provider.to_string() });
        let delta = json!({ "delta": text, "logprobs": [], "mutirao": provider });
        self.of_text("response.output_text.delta", delta)
    }

    /// These events have no place for it; the losses stand in the last one.
    fn lost(&self, _: &PeerKey, _: &str) -> Option<String> {
        None
    }

    fn closing(&self, answer: &Answer, lost: &[Loss]) -> Vec<String> {
        let (text, status) = (&answer.text, status(answer));
        let whole = item(&self.head.id, status, &json!([part(text)]));
        let response = self.head.response(Some((answer, lost)));
        vec![
            self.of_text("response.output_text.done", json!({ "text": text, "logprobs": [] })),
            self.of_text("response.content_part.done", json!({ "part": part(text) })),
            self.event("response.output_item.done", json!({ "output_index": 0, "item": whole })),
            self.event(&format!("response.{status}"), json!({ "response": response })),
        ]
    }

    fn failed(&self, error: &ApiError) -> String {
        let error = error.object()["error"].clone();
        self.event(
            "error",
            json!({ "code": error["code"], "message": error["message"], "param": error["param"] }),
        )
    }
}
