//! The Ollama API, as its stock clients use it: one JSON object a line.
//!
//! Clients send the door's token as they send a key: `OLLAMA_HOST` and `OLLAMA_API_KEY`.

mod reply;
mod request;

use crate::backend::{Ask, ModelEntry};
use crate::door::Door;
use crate::error::ApiError;
use crate::guard::Caller;
use crate::telling;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::StreamExt;
use reply::{Head, Lines};
use request::{Kind, Request};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;

/// What clients see when something fails: a text under `error`.
pub struct Failure(ApiError);

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.0.with_body(&json!({ "error": self.0.message() }))
    }
}

/// `GET /api/version`
pub async fn version() -> Response {
    Json(json!({ "version": env!("CARGO_PKG_VERSION") })).into_response()
}

/// `GET /api/tags`
pub async fn tags(State(door): State<Arc<Door>>) -> Response {
    let models = door.backend.clone().models().await;
    let models: Vec<Value> = models.iter().map(reply::listed).collect();
    Json(json!({ "models": models })).into_response()
}

/// `GET /api/ps`
pub async fn running(State(door): State<Arc<Door>>) -> Response {
    let models = door.backend.clone().models().await;
    let open = models.iter().filter(|model| model.facts.is_some());
    let models: Vec<Value> = open.map(reply::open).collect();
    Json(json!({ "models": models })).into_response()
}

/// `POST /api/show`
pub async fn show(State(door): State<Arc<Door>>, body: Bytes) -> Result<Response, Failure> {
    let name = request::shown(&body)?;
    let models = door.backend.clone().models().await;
    let found = models.iter().find(|model| model.name == name);
    let model: &ModelEntry = found.ok_or_else(|| {
        let message = format!("model {name:?} not found; GET /api/tags lists what is here");
        ApiError::new(StatusCode::NOT_FOUND, "model_not_found", message)
    })?;
    Ok(Json(reply::shown(model)).into_response())
}

/// `POST /api/chat`
pub async fn chat(
    State(door): State<Arc<Door>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, Failure> {
    respond(door, caller, Request::read(&body, Kind::Chat)?).await
}

/// `POST /api/generate`
pub async fn generate(
    State(door): State<Arc<Door>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, Failure> {
    respond(door, caller, Request::read(&body, Kind::Generate)?).await
}

async fn respond(door: Arc<Door>, caller: Caller, request: Request) -> Result<Response, Failure> {
    let head = Head::new(request.model(), request.kind);
    let Some(ask) = request.ask()? else {
        // Nothing is asked: clients mean that the model be opened.
        return Ok(Json(head.loaded()).into_response());
    };
    let ask = Ask { caller, ..ask };
    let checked = door.backend.clone().check(ask.clone()).await.map_err(ApiError::from)?;
    let place = door.enter(&ask, &checked, None).await?;
    if request.is_streamed() {
        let lines = telling::pieces(door, ask, place, Arc::new(Lines(head)), None).await?;
        let lines = lines.map(|line| Ok::<_, Infallible>(format!("{line}\n")));
        let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
        return Ok((kind, Body::from_stream(lines)).into_response());
    }
    let (answer, lost) = telling::whole(&door, ask).await?;
    drop(place);
    Ok(Json(head.whole(&answer, &lost)).into_response())
}
