//! The OpenAI API, as its stock clients use it.

mod reply;
mod request;
mod stream;

use crate::backend::{Ask, Checked, ModelEntry, Said};
use crate::door::Door;
use crate::error::ApiError;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mutirao_wire::limits::ANSWER_TOKENS_MAX;
pub use request::ChatRequest;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::mpsc;

fn entry(model: &ModelEntry) -> Value {
    json!({
        "id": model.name,
        "object": "model",
        "created": 0,
        "owned_by": "mutirao",
        "model_id": model.facts.as_ref().map(|facts| &facts.model_id),
        "context_length": model.facts.as_ref().map(|facts| facts.context),
    })
}

/// `GET /v1/models`
pub async fn models(State(door): State<Arc<Door>>) -> Response {
    let models = door.backend.clone().models().await;
    let data: Vec<Value> = models.iter().map(entry).collect();
    Json(json!({ "object": "list", "data": data })).into_response()
}

/// `GET /v1/models/{name}`
pub async fn model(
    State(door): State<Arc<Door>>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let models = door.backend.clone().models().await;
    let found = models.iter().find(|model| model.name == name);
    let unknown = || {
        let message = format!("no model named {name:?}; GET /v1/models lists what is here");
        ApiError::new(StatusCode::NOT_FOUND, "model_not_found", message)
    };
    Ok(Json(entry(found.ok_or_else(unknown)?)).into_response())
}

/// `POST /v1/chat/completions`
pub async fn chat(State(door): State<Arc<Door>>, body: Bytes) -> Result<Response, ApiError> {
    let request = ChatRequest::read(&body)?;
    let ask = request.ask()?;
    let checked = door.backend.clone().check(ask.clone()).await?;
    let place = door.queue.enter(&door.metrics).await?;
    if request.is_streamed() {
        let wants_usage = request.wants_usage();
        return stream::respond(door, ask, &checked, place, wants_usage).await;
    }
    let response = whole(&door, ask, &checked).await;
    drop(place);
    response
}

/// Room for everything that can be said about an answer, so that saying never has to wait.
fn events_of(ask: &Ask) -> usize {
    2 * (ask.max_tokens as usize).min(ANSWER_TOKENS_MAX) + 64
}

/// Counts a client that hung up before its answer was whole.
struct Hanging<'a>(&'a Door, bool);

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.metrics.abandoned();
        }
    }
}

async fn whole(door: &Door, ask: Ask, checked: &Checked) -> Result<Response, ApiError> {
    let model = ask.model.clone();
    let (say, mut said) = mpsc::channel(events_of(&ask));
    let mut hanging = Hanging(door, true);
    let answered = door.backend.clone().ask(ask, say).await;
    hanging.1 = false;
    let answer = answered.inspect_err(|_| door.metrics.failed())?;
    door.metrics.answered(&answer);
    let mut lost = Vec::new();
    while let Ok(event) = said.try_recv() {
        if let Said::Lost { provider, why } = event {
            lost.push(json!({ "provider": provider.to_string(), "why": why }));
        }
    }
    let head = reply::Head::new(&model, checked);
    Ok(Json(head.completion(&answer, &lost)).into_response())
}
