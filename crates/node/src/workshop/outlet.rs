//! Where answers go: to a session in this process, or out of it.

use super::EVENTS_A_ROUND;
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
