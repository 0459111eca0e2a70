//! The line before providers that are full: who has no place now may have one in a moment, and a
//! client that asked everybody waits instead of giving up.

use super::{Action, Client};
use crate::Millis;
use crate::session::watchdog::{LAST_PATIENCE, PLACE_PAUSE_MAX, PLACE_PAUSE_MIN};
use mutirao_wire::{PeerKey, SignedOffer};
use std::collections::VecDeque;

/// Providers without a free place.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    full: VecDeque<SignedOffer>,
    since: Option<Millis>,
    pause: Millis,
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.full.is_empty()
    }

    /// Somebody has a place: the next wait is a new one.
    pub(super) fn ends(&mut self) {
        self.since = None;
    }

    /// Those to be asked again, and when; `None` when nobody is full or the wait was long enough.
    fn again(&mut self, now: Millis) -> Option<(VecDeque<SignedOffer>, Millis)> {
        let since = *self.since.get_or_insert_with(|| {
            self.pause = PLACE_PAUSE_MIN;
            now
        });
        if self.full.is_empty() || now >= since + LAST_PATIENCE {
            return None;
        }
        let at = now + self.pause;
        self.pause = (self.pause * 2).min(PLACE_PAUSE_MAX);
        Some((std::mem::take(&mut self.full), at))
    }
}

impl Client {
    /// The current provider has no place. It did not fail, so nothing is said about it.
    // spec: SESSION-5.5
    pub(super) fn is_full(&mut self, now: Millis, why: String, actions: &mut Vec<Action>) {
        let Some(current) = self.current.take() else { return };
        actions.push(Action::Hang(current.attempt));
        self.tried.push((current.order.provider, why));
        self.line.full.push_back(current.offer);
        self.drop_unproven();
        self.ask_next(now, actions);
    }

    /// A liar that left as if it were full is not asked again.
    pub(super) fn never_again(&mut self, liar: PeerKey) {
        self.candidates.retain(|offer| offer.offer.provider != liar);
        self.line.full.retain(|offer| offer.offer.provider != liar);
    }

    /// Goes to rest until those who are full are asked again; whether there is anybody.
    // spec: SESSION-5.5
    pub(super) fn rests(&mut self, now: Millis) -> bool {
        let Some((again, at)) = self.line.again(now) else { return false };
        self.tried.retain(|(peer, _)| again.iter().all(|offer| offer.offer.provider != *peer));
        self.candidates = again;
        self.wake = Some(at);
        true
    }
}
