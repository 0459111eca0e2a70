//! Milliseconds since 1970 that never run backwards within one process.

use mutirao_market::Millis;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Reads the wall clock once and counts on from there, so that a clock set back makes no session
/// wait for ever.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
    at: Millis,
}

impl Clock {
    /// Starts from now.
    #[must_use]
    pub fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), at: millis(since) }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.at + millis(self.began.elapsed())
    }

    /// How long it runs.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// How long until `when`.
    #[must_use]
    pub fn until(&self, when: Millis) -> Duration {
        Duration::from_millis(when.saturating_sub(self.now()))
    }
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
