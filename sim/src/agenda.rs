//! The virtual clock: what happens next, ordered by time and then by when it was decided.

use mutirao_market::Millis;
use std::collections::BTreeMap;

/// When every trial begins: far enough from zero that a subtraction of times shows.
pub const DAWN: Millis = 1_000_000;

/// What is still to happen.
#[derive(Debug, Clone)]
pub struct Agenda<T> {
    now: Millis,
    next: u64,
    due: BTreeMap<(Millis, u64), T>,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { now: DAWN, next: 0, due: BTreeMap::new() }
    }
}

impl<T> Agenda<T> {
    /// The time.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.now
    }

    /// Plans something; what lies in the past happens now.
    pub fn at(&mut self, time: Millis, what: T) {
        self.due.insert((time.max(self.now), self.next), what);
        self.next += 1;
    }

    /// Plans something in a while.
    pub fn after(&mut self, delay: Millis, what: T) {
        self.at(self.now + delay, what);
    }

    /// Moves the clock to what happens next; its number tells it from all others.
    pub fn advance(&mut self) -> Option<(u64, T)> {
        let ((time, number), what) = self.due.pop_first()?;
        self.now = time;
        Some((number, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_decided_first_happens_first_at_the_same_time() {
        let mut agenda = Agenda::default();
        agenda.after(5, "late");
        agenda.after(1, "one");
        agenda.after(1, "two");
        agenda.at(0, "at once");
        let order: Vec<_> = std::iter::from_fn(|| agenda.advance()).map(|(_, what)| what).collect();
        assert_eq!(order, ["at once", "one", "two", "late"]);
        assert_eq!(agenda.now(), DAWN + 5);
    }
}
