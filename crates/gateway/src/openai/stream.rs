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
use futures_util::stream::unfold;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// A comment is sent after so much silence, so that nothing in between thinks the line is dead.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Events that wait for a slow reader; then the writing waits.
const EVENTS_WAITING: usize = 64;

/// Answers with a stream of chunks.
pub fn respond(
    door: Arc<Door>,
    ask: Ask,
    checked: &Checked,
    place: Place,
    wants_usage: bool,
) -> Response {
    let (send, events) = mpsc::channel::<String>(EVENTS_WAITING);
    let head = Head::new(&ask.model, checked);
    let telling = Telling { head, send, wants_usage };
    tokio::spawn(async move {
        let _place = place;
        tell(&door, ask, &telling).await;
    });
    let events = unfold(events, |mut events| async {
        let data = events.recv().await?;
        Some((Ok::<_, Infallible>(Event::default().data(data)), events))
    });
    let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("working");
    Sse::new(events).keep_alive(heartbeat).into_response()
}

struct Telling {
    head: Head,
    send: mpsc::Sender<String>,
    wants_usage: bool,
}

/// Runs the answer until it is whole, fails, or nobody listens.
async fn tell(door: &Door, ask: Ask, telling: &Telling) {
    let (say, mut said) = mpsc::channel(super::events_of(&ask));
    let mut answering = door.backend.clone().ask(ask, say);
    if !telling.say(&telling.head.opening()).await {
        return door.metrics.abandoned();
    }
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
        }
    };
    while let Ok(event) = said.try_recv() {
        telling.hear(&event).await;
    }
    telling.end(door, ended).await;
}

impl Telling {
    /// Sends one event; whether anybody still listens.
    async fn say(&self, object: &Value) -> bool {
        self.send.send(object.to_string()).await.is_ok()
    }

    async fn hear(&self, said: &Said) -> bool {
        match said {
            Said::Text { text, .. } if text.is_empty() => true,
            Said::Text { text, provider } => self.say(&self.head.text(text, provider)).await,
            Said::Lost { provider, why } => self.say(&self.head.lost(provider, why)).await,
        }
    }

    async fn end(&self, door: &Door, ended: Result<Answer, AskFailure>) {
        let answer = match ended {
            Ok(answer) => answer,
            Err(failure) => {
                door.metrics.failed();
                self.say(&ApiError::from(failure).object()).await;
                return;
            }
        };
        door.metrics.answered(&answer);
        self.say(&self.head.closing(&answer)).await;
        if self.wants_usage {
            self.say(&self.head.usage(&answer)).await;
        }
        let _ = self.send.send("[DONE]".into()).await;
    }
}
