//! `POST /v1/responses`: the same questions in OpenAI's newer words. Nothing is kept between two
//! requests, so what would refer to an earlier one is refused.

use super::reply::{provenance, stamp};
use super::request::{ChatRequest, Content, Said, read};
use super::streamed;
use crate::backend::{Answer, Ask};
use crate::door::Door;
use crate::error::ApiError;
use crate::guard::Caller;
use crate::telling::{self, Loss, Words};
use axum::body::Bytes;
use axum::extract::State;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use mutirao_wire::form::Call;
use mutirao_wire::{Finish, PeerKey};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Items(Vec<Item>),
}

/// Something that was said or done before.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Item {
    /// A call of a tool, as an earlier answer had it.
    Call {
        name: String,
        arguments: Value,
    },
    /// What the tool said.
    Output {
        output: Content,
    },
    Said(Said),
}

impl Item {
    fn said(self) -> Said {
        match self {
            Self::Call { name, arguments } => Said::calling(name, arguments),
            Self::Output { output } => Said::new("tool", output),
            Self::Said(said) => said,
        }
    }
}

/// The items as messages, the calls of one turn in one message.
fn turns(items: Vec<Item>) -> Vec<Said> {
    let mut turns: Vec<Said> = Vec::new();
    for next in items.into_iter().map(Item::said) {
        let next = match turns.last_mut() {
            Some(last) => last.join(next),
            None => Some(next),
        };
        turns.extend(next);
    }
    turns
}

/// The format of a text, in the words of chat completions.
fn format(text: &Value) -> Value {
    let format = &text["format"];
    match format["type"].as_str() {
        Some("json_schema") => json!({ "type": "json_schema", "json_schema": format }),
        _ => format.clone(),
    }
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
    tool_choice: Option<Value>,
    parallel_tool_calls: Option<bool>,
    text: Option<Value>,
    previous_response_id: Option<String>,
    conversation: Option<Value>,
    background: Option<bool>,
    truncation: Option<String>,
}

impl Request {
    /// The same as a chat completion.
    fn chat(self) -> Result<ChatRequest, ApiError> {
        self.refuse_what_would_be_ignored()?;
        let said = |role: &str, text| Said::new(role, Content::Text(text));
        let items = match self.input {
            Input::Text(text) => vec![said("user", text)],
            Input::Items(items) => turns(items),
        };
        let before = self.instructions.map(|text| said("system", text));
        let messages = before.into_iter().chain(items).collect();
        let mut chat = ChatRequest::of(self.model, messages);
        chat.stream = self.stream;
        chat.max_tokens = self.max_output_tokens;
        (chat.temperature, chat.top_p, chat.tools) = (self.temperature, self.top_p, self.tools);
        chat.response_format = self.text.as_ref().map(format);
        (chat.tool_choice, chat.parallel_tool_calls) = (self.tool_choice, self.parallel_tool_calls);
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
    let request = read::<Request>(&body, "request for a response")?.chat()?;
    let ask = Ask { caller, ..request.ask()? };
    let checked = door.backend.clone().check(ask.clone()).await?;
    let head = Head::new(&ask.model);
    let place = door.enter(&ask, &checked, None).await?;
    if request.is_streamed() {
        let words = Arc::new(Events::new(head));
        let events = telling::pieces(door, ask, place, words, None).await?;
        return Ok(streamed(events, |event| named(&event)));
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

/// What an answer consists of: its text, unless it only calls tools, and its calls.
fn output(id: &str, answer: &Answer) -> Vec<Value> {
    let speaks = !answer.text.is_empty() || answer.calls.is_empty();
    let text = speaks.then(|| item(id, status(answer), &json!([part(&answer.text)])));
    let calls = answer.calls.iter().enumerate().map(|(number, call)| called(id, number, call));
    text.into_iter().chain(calls).collect()
}

fn called(id: &str, number: usize, call: &Call) -> Value {
    json!({
        "id": format!("fc_{id}_{number}"),
        "type": "function_call",
        "call_id": format!("call_{id}_{number}"),
        "name": call.name,
        "arguments": call.arguments.to_string(),
        "status": "completed",
    })
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
            response["output"] = output(&self.id, answer).into();
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
        "input_tokens_details": { "cached_tokens": answer.cached_tokens },
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
    /// Whether there is a text.
    speaks: AtomicBool,
}

impl Events {
    fn new(head: Head) -> Self {
        Self { head, next: AtomicU64::new(0), speaks: AtomicBool::new(false) }
    }

    /// The events before the first text; none later.
    fn begun(&self) -> Vec<String> {
        if self.speaks.swap(true, Ordering::Relaxed) {
            return Vec::new();
        }
        let empty = item(&self.head.id, "in_progress", &json!([]));
        vec![
            self.event("response.output_item.added", json!({ "output_index": 0, "item": empty })),
            self.of_text("response.content_part.added", json!({ "part": part("") })),
        ]
    }

    /// The events behind the last text.
    fn ended(&self, answer: &Answer) -> Vec<String> {
        let text = &answer.text;
        let whole = item(&self.head.id, status(answer), &json!([part(text)]));
        vec![
            self.of_text("response.output_text.done", json!({ "text": text, "logprobs": [] })),
            self.of_text("response.content_part.done", json!({ "part": part(text) })),
            self.event("response.output_item.done", json!({ "output_index": 0, "item": whole })),
        ]
    }

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
        vec![
            self.event("response.created", json!({ "response": response })),
            self.event("response.in_progress", json!({ "response": response })),
        ]
    }

    fn text(&self, text: &str, provider: &PeerKey) -> Vec<String> {
        let provider = json!({ "provider": provider.to_string() });
        let delta = json!({ "delta": text, "logprobs": [], "mutirao": provider });
        let mut events = self.begun();
        events.push(self.of_text("response.output_text.delta", delta));
        events
    }

    fn call(&self, number: usize, call: &Call) -> Vec<String> {
        let index = number + usize::from(self.speaks.load(Ordering::Relaxed));
        let whole = called(&self.head.id, number, call);
        let mut empty = whole.clone();
        (empty["arguments"], empty["status"]) = ("".into(), "in_progress".into());
        let (id, arguments) = (whole["id"].clone(), whole["arguments"].clone());
        let place = json!({ "output_index": index, "item_id": id });
        let of_call = |name: &str, field: &str| {
            let mut object = place.clone();
            object[field] = arguments.clone();
            self.event(&format!("response.function_call_arguments.{name}"), object)
        };
        let of_item = |name: &str, item: Value| {
            let object = json!({ "output_index": index, "item": item });
            self.event(&format!("response.output_item.{name}"), object)
        };
        vec![
            of_item("added", empty),
            of_call("delta", "delta"),
            of_call("done", "arguments"),
            of_item("done", whole),
        ]
    }

    /// These events have no place for it; the losses stand in the last one.
    fn lost(&self, _: &PeerKey, _: &str) -> Option<String> {
        None
    }

    fn closing(&self, answer: &Answer, lost: &[Loss]) -> Vec<String> {
        let mut events = Vec::new();
        if answer.calls.is_empty() {
            events.extend(self.begun());
        }
        if self.speaks.load(Ordering::Relaxed) {
            events.extend(self.ended(answer));
        }
        let response = self.head.response(Some((answer, lost)));
        let name = format!("response.{}", status(answer));
        events.push(self.event(&name, json!({ "response": response })));
        events
    }

    fn failed(&self, error: &ApiError) -> String {
        let error = error.object()["error"].clone();
        self.event(
            "error",
            json!({ "code": error["code"], "message": error["message"], "param": error["param"] }),
        )
    }
}
