//! An answer as server-sent events, each the moment it comes.
//!
//! The answer runs in a task of its own that ends as soon as nobody reads any more; the place in
//! the queue ends with it.

use super::reply::Head;
use crate::backend::{Answer, Ask, AskFailure, Checked, Said};
use crate::door::Door;
use crate::error::ApiError;
use crate::queue::Place;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream::{iter, unfold};
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// A comment is sent after so much silence, so that nothing in between thinks the line is dead.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// So long an answer may fail with a status of its own; then the line is opened and kept alive.
const FIRST_WORD: Duration = Duration::from_secs(2);
/// Events that wait for a slow reader; then the writing waits.
const EVENTS_WAITING: usize = 64;

/// Answers with a stream of chunks. Whatever fails soon, and before the first word, is an error
/// with its own status, as it is without a stream.
pub async fn respond(
    door: Arc<Door>,
    ask: Ask,
    checked: &Checked,
    place: Place,
    wants_usage: bool,
) -> Result<Response, ApiError> {
    let (send, mut events) = mpsc::channel(EVENTS_WAITING);
    let head = Head::new(&ask.model, checked);
    let mut telling = Telling { head, send, wants_usage, begun: false };
    tokio::spawn(async move {
        let _place = place;
        tell(&door, ask, &mut telling).await;
    });
    let first = events.recv().await.transpose()?;
    let rest = unfold(events, |mut events| async {
        let event = events.recv().await?;
        Some((event.unwrap_or_else(|error: ApiError| error.object().to_string()), events))
    });
    let events = iter(first).chain(rest);
    let events = events.map(|data| Ok::<_, Infallible>(Event::default().data(data)));
    let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("working");
    Ok(Sse::new(events).keep_alive(heartbeat).into_response())
}

struct Telling {
    head: Head,
    send: mpsc::Sender<Result<String, ApiError>>,
    wants_usage: bool,
    /// Whether the status was sent, so that an error can only be an event.
    begun: bool,
}

/// Runs the answer until it is whole, fails, or nobody listens.
async fn tell(door: &Door, ask: Ask, telling: &mut Telling) {
    let (say, mut said) = mpsc::channel(super::events_of(&ask));
    let mut answering = door.backend.clone().ask(ask, say);
    let first_word = tokio::time::sleep(FIRST_WORD);
    tokio::pin!(first_word);
    let ended = loop {
        tokio::select! {
            biased;
            () = telling.send.closed() => return door.metrics.abandoned(),
            Some(event) = said.recv() => {
                if !telling.hear(&event).await {
                    return door.metrics.abandoned();
                }
            }
            ended = &mut answering => break ended,
            () = &mut first_word, if !telling.begun => {
                if !telling.begin().await {
                    return door.metrics.abandoned();
                }
            }
        }
    };
    while let Ok(event) = said.try_recv() {
        telling.hear(&event).await;
    }
    telling.end(door, ended).await;
}

impl Telling {
    /// Sends the opening, if it was not sent; whether anybody still listens.
    async fn begin(&mut self) -> bool {
        let opening = self.head.opening().to_string();
        std::mem::replace(&mut self.begun, true) || self.send.send(Ok(opening)).await.is_ok()
    }

    /// Sends one event; whether anybody still listens.
    async fn say(&mut self, object: &Value) -> bool {
        self.begin().await && self.send.send(Ok(object.to_string())).await.is_ok()
    }

    async fn hear(&mut self, said: &Said) -> bool {
        match said {
            Said::Text { text, .. } if text.is_empty() => true,
            Said::Text { text, provider } => {
                let chunk = self.head.text(text, provider);
                self.say(&chunk).await
            }
            // A loss before the first word changes nothing that anybody saw, but the prompt was.
            Said::Lost { provider, why } => {
                let chunk = self.head.lost(provider, why);
                self.say(&chunk).await
            }
        }
    }

    async fn end(&mut self, door: &Door, ended: Result<Answer, AskFailure>) {
        let answer = match ended {
            Ok(answer) => answer,
            Err(failure) => {
                door.metrics.failed();
                let _ = self.send.send(Err(failure.into())).await;
                return;
            }
        };
        door.metrics.answered(&answer);
        let closing = self.head.closing(&answer);
        self.say(&closing).await;
        if self.wants_usage {
            let usage = self.head.usage(&answer);
            self.say(&usage).await;
        }
        let _ = self.send.send(Ok("[DONE]".into())).await;
    }
}
