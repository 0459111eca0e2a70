//! Those who say what they offer when the session has begun already: a busy machine is late, and
//! may be the only one that stays alive.

use super::{Action, Client};
use crate::Millis;
use mutirao_wire::SignedOffer;

impl Client {
    /// The same, where offers may still come until then: [`super::Event::Offered`] brings them.
    #[must_use]
    pub fn awaiting(mut self, until: Millis) -> Self {
        self.awaited = Some(until);
        self
    }

    /// Takes in who was late, behind those who were not.
    // spec: SESSION-5.7
    pub(super) fn offered(
        &mut self,
        now: Millis,
        offers: Vec<SignedOffer>,
        more: bool,
        actions: &mut Vec<Action>,
    ) {
        let fresh = offers.into_iter().filter(|offer| !self.knows(offer)).collect::<Vec<_>>();
        self.candidates.extend(fresh);
        if !more {
            self.awaited = None;
        }
        let rests = self.current.is_none() && self.receipt.is_none() && self.wake.is_some();
        if rests {
            self.ask_next(now, actions);
        } else if !self.candidates.is_empty() {
            let hasty = now.max(self.hasty);
            self.wake = self.wake.map(|wake| wake.min(hasty));
        }
    }

    /// Whether that provider was asked already, or will be.
    fn knows(&self, offer: &SignedOffer) -> bool {
        let provider = offer.offer.provider;
        self.tried.iter().any(|(tried, _)| *tried == provider)
            || self.seen_by.contains(&provider)
            || self.candidates.iter().any(|known| known.offer.provider == provider)
            || self.current.as_ref().is_some_and(|it| it.order.provider == provider)
    }

    /// Goes to rest until somebody offers, where that may still happen.
    pub(super) fn awaits(&mut self, now: Millis) -> bool {
        let until = self.awaited.filter(|until| now < *until);
        self.wake = until.or(self.wake);
        until.is_some()
    }
}
