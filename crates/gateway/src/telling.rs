//! An answer on its way to an HTTP client, piece by piece or whole, in the words of any API.
//!
//! An answer in pieces runs in a task of its own that ends as soon as nobody reads any more; the
//! place in the queue ends with it.

use crate::backend::{Answer, Ask, AskFailure, Said};
use crate::door::Door;
use crate::error::ApiError;
use crate::pay::{self, Bill};
use crate::queue::Place;
use futures_util::stream::{Stream, StreamExt, iter, unfold};
use mutirao_wire::PeerKey;
use mutirao_wire::form::Call;
use mutirao_wire::limits::ANSWER_TOKENS_MAX;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// So long an answer may fail with a status of its own; then the line is opened and kept alive.
const FIRST_WORD: Duration = Duration::from_secs(2);
/// Events that wait for a slow reader; then the writing waits.
const EVENTS_WAITING: usize = 64;

/// How an API says what happens while an answer comes.
pub(crate) trait Words: Send + Sync + 'static {
    /// Before the first text.
    fn opening(&self) -> Vec<String>;
    /// More text, never empty.
    fn text(&self, text: &str, provider: &PeerKey) -> Vec<String>;
    /// A call of a tool, whole; the first of an answer is number 0.
    fn call(&self, number: usize, call: &Call) -> Vec<String>;
    /// A provider is gone, where the API has a place for that.
    fn lost(&self, provider: &PeerKey, why: &str) -> Option<String>;
    /// Everything behind the last text; who was lost may have been said before.
    fn closing(&self, answer: &Answer, lost: &[Loss]) -> Vec<String>;
    /// It failed after the opening.
    fn failed(&self, error: &ApiError) -> String;
}

/// A provider that was lost while the answer came, and why.
pub(crate) type Loss = (PeerKey, String);

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

/// The whole answer at once, and who was lost meanwhile.
pub(crate) async fn whole(door: &Door, ask: Ask) -> Result<(Answer, Vec<Loss>), ApiError> {
    let (say, mut said) = mpsc::channel(events_of(&ask));
    let mut hanging = Hanging(door, true);
    let answered = door.backend.clone().ask(ask, say).await;
    hanging.1 = false;
    let answer = answered.inspect_err(|_| door.metrics.failed())?;
    door.metrics.answered(&answer);
    let mut lost = Vec::new();
    while let Ok(event) = said.try_recv() {
        if let Said::Lost { provider, why } = event {
            lost.push((provider, why));
        }
    }
    Ok((answer, lost))
}

/// The answer in pieces. Whatever fails soon, and before the first word, is an error with its own
/// status, as it is without a stream.
pub(crate) async fn pieces(
    door: Arc<Door>,
    ask: Ask,
    place: Place,
    words: Arc<dyn Words>,
    bill: Option<Bill>,
) -> Result<impl Stream<Item = String> + Send + 'static, ApiError> {
    let (send, mut events) = mpsc::channel(EVENTS_WAITING);
    let mut telling =
        Telling { words: words.clone(), send, lost: Vec::new(), begun: false, bill, calls: 0 };
    tokio::spawn(async move {
        let _place = place;
        tell(&door, ask, &mut telling).await;
    });
    let first: Option<String> = events.recv().await.transpose()?;
    let rest = unfold((events, words), |(mut events, words)| async {
        let event = events.recv().await?;
        Some((event.unwrap_or_else(|error| words.failed(&error)), (events, words)))
    });
    Ok(iter(first).chain(rest))
}

struct Telling {
    words: Arc<dyn Words>,
    send: mpsc::Sender<Result<String, ApiError>>,
    lost: Vec<Loss>,
    /// Whether the status was sent, so that an error can only be an event.
    begun: bool,
    /// Where the answer is paid for by whoever asks.
    bill: Option<Bill>,
    /// Calls that were told.
    calls: usize,
}

/// Runs the answer until it is whole, fails, or nobody listens.
async fn tell(door: &Door, ask: Ask, telling: &mut Telling) {
    let (say, mut said) = mpsc::channel(events_of(&ask));
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
        if std::mem::replace(&mut self.begun, true) {
            return true;
        }
        let mut heard = true;
        for event in self.words.opening() {
            heard &= self.send.send(Ok(event)).await.is_ok();
        }
        heard
    }

    /// Sends events behind the opening; whether anybody still listens.
    async fn say<T>(&mut self, events: impl FnOnce(&dyn Words) -> T + Send) -> bool
    where
        T: IntoIterator<Item = String>,
        T::IntoIter: Send,
    {
        let mut heard = self.begin().await;
        let events = events(&*self.words).into_iter();
        for event in events {
            heard = heard && self.send.send(Ok(event)).await.is_ok();
        }
        heard
    }

    /// Something was written, and is paid for.
    fn earned(&mut self) {
        self.bill.iter_mut().for_each(Bill::heard);
    }

    async fn hear(&mut self, said: &Said) -> bool {
        match said {
            Said::Text { text, .. } if text.is_empty() => true,
            Said::Text { text, provider } => {
                self.earned();
                self.say(|words| words.text(text, provider)).await
            }
            Said::Call { call, .. } => {
                self.earned();
                let number = self.calls;
                self.calls += 1;
                self.say(|words| words.call(number, call)).await
            }
            // A loss before the first word changes nothing that anybody saw, but the prompt was.
            Said::Lost { provider, why } => {
                self.lost.push((*provider, why.clone()));
                self.say(|words| words.lost(provider, why)).await
            }
        }
    }

    async fn end(&mut self, door: &Door, ended: Result<Answer, AskFailure>) {
        let bill = self.bill.take();
        pay::close(bill, ended.as_ref().ok()).await;
        let answer = match ended {
            Ok(answer) => answer,
            Err(failure) => {
                door.metrics.failed();
                let _ = self.send.send(Err(failure.into())).await;
                return;
            }
        };
        door.metrics.answered(&answer);
        self.begin().await;
        for event in self.words.closing(&answer, &self.lost) {
            let _ = self.send.send(Ok(event)).await;
        }
    }
}
