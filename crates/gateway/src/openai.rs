//! The OpenAI API, as its stock clients use it.

mod completions;
mod reply;
mod request;
mod responses;
mod score;

use crate::backend::{Ask, ModelEntry};
use crate::door::Door;
use crate::error::ApiError;
use crate::guard::Caller;
use crate::pay::{self, Bill};
use crate::telling;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
pub use completions::create as complete;
use futures_util::{Stream, StreamExt};
pub(crate) use reply::{provenance, reason};
pub use request::ChatRequest;
pub(crate) use request::{MAX_TOKENS, Texts, is_something, read, within};
pub use responses::create as respond;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

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

/// A comment is sent after so much silence, so that nothing in between thinks the line is dead.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Pieces of an answer as events.
fn streamed(
    pieces: impl Stream<Item = String> + Send + 'static,
    event: fn(String) -> Event,
) -> Response {
    let events = pieces.map(move |piece| Ok::<_, Infallible>(event(piece)));
    let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("working");
    Sse::new(events).keep_alive(heartbeat).into_response()
}

/// An event without a name.
fn data(piece: String) -> Event {
    Event::default().data(piece)
}

/// `POST /v1/chat/completions`
pub async fn chat(
    State(door): State<Arc<Door>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let request = ChatRequest::read(&body)?;
    let pays = caller == Caller::Payer;
    let ask = Ask { caller, ..request.ask()? };
    let checked = door.backend.clone().check(ask.clone()).await?;
    let mut bill = match (pays, &door.register) {
        (true, Some(register)) => {
            match pay::admit(&door, register, &headers, &ask, checked.prompt_tokens).await {
                Ok(bill) => Some(bill),
                Err(demand) => return Ok(demand),
            }
        }
        _ => None,
    };
    let head = reply::Head::new("chatcmpl", &ask.model, &checked);
    let place = door.enter(&ask, &checked, bill.as_ref()).await?;
    bill.iter_mut().for_each(Bill::begin);
    if request.is_streamed() {
        let words = Arc::new(reply::Chunks { head, wants_usage: request.wants_usage() });
        let receipt = bill.as_ref().and_then(|bill| Bill::receipt(bill.admission(), None));
        let events = telling::pieces(door, ask, place, words, bill).await?;
        return Ok(pay::with(receipt, streamed(events, data)));
    }
    let answered = telling::whole(&door, ask).await;
    drop(place);
    let receipt = pay::close(bill, answered.as_ref().ok().map(|(answer, _)| answer)).await;
    let (answer, lost) = answered?;
    Ok(pay::with(receipt, Json(head.completion(&answer, &lost)).into_response()))
}
