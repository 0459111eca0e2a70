//! Room for so many answers at once and so much memory, a line of bounded length before it, and a
//! clear no after that.
//!
//! Whoever asks has a line of their own, and the lines take turns, so that one who asks twenty
//! things makes nobody wait for twenty. Nobody overtakes: the one whose turn it is may want more
//! memory than is free, and would wait for ever if smaller ones slipped by. Whoever goes away, out
//! of the line or out of a place, makes room at once.

use crate::error::ApiError;
use crate::guard::Caller;
use crate::metrics::Metrics;
use axum::http::StatusCode;
use mutirao_wire::Digest;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::oneshot;

/// Whose line it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// The owner's, or a key's.
    Caller(Caller),
    /// Of whoever pays through this channel.
    Channel(Digest),
}

/// Who runs and who waits.
#[derive(Debug)]
pub struct Queue {
    running_max: usize,
    /// Bytes that all who run share.
    memory: u64,
    waiting_max: usize,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    bytes: u64,
    /// Those that are not empty, in the order of their turns.
    lines: VecDeque<Line>,
    tickets: u64,
}

#[derive(Debug)]
struct Line {
    whose: Whose,
    waiting: VecDeque<Ticket>,
}

#[derive(Debug)]
struct Ticket {
    number: u64,
    bytes: u64,
    call: oneshot::Sender<Place>,
}

/// A place among those that run; given back when dropped.
#[derive(Debug)]
pub struct Place {
    queue: Arc<Queue>,
    bytes: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.running -= 1;
        state.bytes -= self.bytes;
        drop(state);
        self.queue.advance();
    }
}

/// One that waits; out of the line when dropped.
struct Waiting<'a>(&'a Arc<Queue>, u64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.0.lock().take_out(self.1) {
            self.0.advance();
        }
    }
}

impl State {
    fn waiting(&self) -> usize {
        self.lines.iter().map(|line| line.waiting.len()).sum()
    }

    fn line_of(&mut self, whose: &Whose) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| line.whose == *whose)
    }

    fn push(&mut self, whose: Whose, bytes: u64, call: oneshot::Sender<Place>) -> u64 {
        self.tickets += 1;
        let ticket = Ticket { number: self.tickets, bytes, call };
        match self.line_of(&whose) {
            Some(line) => line.waiting.push_back(ticket),
            None => self.lines.push_back(Line { whose, waiting: VecDeque::from([ticket]) }),
        }
        self.tickets
    }

    /// Whether it was in a line.
    fn take_out(&mut self, number: u64) -> bool {
        let before = self.waiting();
        for line in &mut self.lines {
            line.waiting.retain(|ticket| ticket.number != number);
        }
        self.lines.retain(|line| !line.waiting.is_empty());
        self.waiting() < before
    }

    /// Sends away the last of the longest line, if that line is longer than this one would be; so
    /// nobody can fill all of it.
    fn make_room_for(&mut self, whose: &Whose) -> bool {
        let own = self.line_of(whose).map_or(0, |line| line.waiting.len());
        let longest = self.lines.iter_mut().max_by_key(|line| line.waiting.len());
        let longest = longest.filter(|line| line.waiting.len() > own + 1);
        longest.is_some_and(|line| line.waiting.pop_back().is_some())
    }
}

fn full() -> ApiError {
    let message = "every place is taken and the line is full; try again in a moment";
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message)
}

impl Queue {
    pub fn new(
        running_max: usize,
        memory: u64,
        waiting_max: usize,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let (running_max, state) = (running_max.max(1), Mutex::default());
        Arc::new(Self { running_max, memory, waiting_max, metrics, state })
    }

    // spec: HTTP-1.6
    /// Waits for a place and so many bytes. One that wants more than there ever are gets all of
    /// them: it is refused by who knows what it is.
    pub async fn enter(self: &Arc<Self>, whose: Whose, bytes: u64) -> Result<Place, ApiError> {
        let began = Instant::now();
        let (call, called) = oneshot::channel();
        let number = self.line_up(whose, bytes.min(self.memory), call).ok_or_else(full)?;
        let _waiting = Waiting(self, number);
        self.advance();
        let place = called.await.map_err(|_| full())?;
        self.metrics.waited(began.elapsed());
        Ok(place)
    }

    fn line_up(&self, whose: Whose, bytes: u64, call: oneshot::Sender<Place>) -> Option<u64> {
        let mut state = self.lock();
        let waits = !state.lines.is_empty() || !self.fits(&state, bytes);
        if waits && state.waiting() >= self.waiting_max && !state.make_room_for(&whose) {
            return None;
        }
        Some(state.push(whose, bytes, call))
    }

    fn fits(&self, state: &State, bytes: u64) -> bool {
        state.running < self.running_max && self.memory - state.bytes >= bytes
    }

    /// Calls everybody whose turn has come.
    fn advance(self: &Arc<Self>) {
        while let Some(Ticket { bytes, call, .. }) = self.next() {
            // Whoever went away just now gives it back by not taking it.
            drop(call.send(Place { queue: self.clone(), bytes }));
        }
    }

    /// Takes the next one out of its line, if there is room for it; then its line is the last.
    fn next(&self) -> Option<Ticket> {
        let mut state = self.lock();
        let ticket = self.next_of(&mut state);
        self.metrics.running.set(i64::try_from(state.running).unwrap_or(i64::MAX));
        self.metrics.waiting.set(i64::try_from(state.waiting()).unwrap_or(i64::MAX));
        ticket
    }

    fn next_of(&self, state: &mut State) -> Option<Ticket> {
        let bytes = state.lines.front()?.waiting.front()?.bytes;
        if !self.fits(state, bytes) {
            return None;
        }
        let mut line = state.lines.pop_front()?;
        let ticket = line.waiting.pop_front()?;
        if !line.waiting.is_empty() {
            state.lines.push_back(line);
        }
        state.running += 1;
        state.bytes += bytes;
        Some(ticket)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
