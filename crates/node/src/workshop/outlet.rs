//! Where answers go: to a session in this process, or out of it.

use super::EVENTS_A_ROUND;
use crate::manners::Manners;
use mutirao_market::session::provider::Event;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// Whoever hears an answer. Nothing here waits for it.
pub(crate) trait Outlet: Send + std::fmt::Debug {
    /// Whether anybody still wants the answer.
    fn is_open(&self) -> bool;
    /// How many events have room.
    fn room(&self) -> usize;
    /// Whether there was room.
    fn tell(&self, event: Event) -> bool;
    /// Whether all that comes of one round has room.
    fn has_room(&self) -> bool {
        self.room() >= EVENTS_A_ROUND
    }
}

/// What becomes of a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Stays,
    Leaves,
}

/// Whether nobody listens any more, or the machine's owner comes first. Nobody waits for the owner
/// to go: the reader's watchdog is faster, and another machine can go on at once.
pub(crate) fn looks_up(outlet: &dyn Outlet, manners: &Manners) -> Fate {
    let reason = manners.reason();
    let leaves = reason.is_some_and(|why| outlet.tell(Event::Leaving(why.words().into())));
    if leaves || !outlet.is_open() { Fate::Leaves } else { Fate::Stays }
}

/// A session in this process.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    written: mpsc::Sender<Event>,
    stop: Arc<AtomicBool>,
}

impl Channel {
    /// Into this channel, until `stop` says that nobody listens.
    pub(crate) fn new(written: mpsc::Sender<Event>, stop: Arc<AtomicBool>) -> Self {
        Self { written, stop }
    }
}

impl Outlet for Channel {
    fn is_open(&self) -> bool {
        !self.stop.load(Ordering::Relaxed) && !self.written.is_closed()
    }

    fn room(&self) -> usize {
        self.written.capacity()
    }

    fn tell(&self, event: Event) -> bool {
        self.written.try_send(event).is_ok()
    }
}
