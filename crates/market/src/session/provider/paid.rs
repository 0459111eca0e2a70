//! What a provider was paid for an order, and what it keeps to itself until it is paid more.

use super::{Action, Event, Provider, Work, count};
use crate::Millis;
use crate::session::frame::ProviderFrame;
use crate::session::payment::{self, owed, step};
use mutirao_wire::{Amount, ChannelId, Job, Order, Served};
use std::collections::VecDeque;

/// How long a provider waits for a voucher that is due.
pub const PAYMENT_PATIENCE: Millis = 10_000;

/// Why an order is refused whose payment is not certain.
pub(super) const UNCOVERED: &str =
    "no channel known here covers the order; open one, or order with a lower ceiling";

/// The money side of one order.
#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    /// What vouchers pay.
    paid: Amount,
    /// Tokens of prompt and prefix that were said to be read.
    read: u32,
    cached: u32,
    /// What the engine said and the client was not told.
    held: VecDeque<Event>,
}

impl Account {
    /// Nothing of what was held back is told any more.
    pub(super) fn forget(&mut self) {
        self.held.clear();
    }
}

/// Whether an order for this job can be paid: it is free, or its channel holds what it may cost at
/// most, and that is enough to begin with.
// spec: SESSION-7.1
pub(super) fn covers(order: &Order, job: &Job, holds: Option<Amount>) -> bool {
    let least = payment::least(order, count(&job.prompt));
    let enough = least.is_some_and(|least| least <= order.ceiling);
    let held = order.channel != ChannelId::NONE && holds.is_some_and(|it| it >= order.ceiling);
    order.prices.are_free() || (enough && held)
}

impl Work {
    fn done(&self) -> payment::Work {
        let Account { read, cached, .. } = self.account;
        payment::Work { read, cached, written: count(&self.answer) - self.order.start }
    }

    /// What all costs once this is told.
    fn owed_after(&self, event: &Event) -> Option<Amount> {
        let done = self.done();
        let after = match event {
            Event::Reading { done: read, cached, .. } => {
                payment::Work { read: *read, cached: *cached, ..done }
            }
            Event::Token(_) => payment::Work { written: done.written + 1, ..done },
            _ => done,
        };
        owed(&self.order.prices, count(&self.job.prompt), after)
    }

    /// What the receipt says.
    pub(super) fn price(&self, served: Served) -> Option<Amount> {
        let prompt = count(&self.job.prompt);
        owed(&self.order.prices, prompt, payment::Work::whole(prompt, served, self.account.cached))
    }

    /// Whether that much may be told with what was paid.
    // spec: SESSION-7.3
    fn may_tell(&self, event: &Event) -> bool {
        let credit = step(&self.order.prices).and_then(|step| self.account.paid.checked_add(step));
        self.owed_after(event).zip(credit).is_some_and(|(owed, credit)| owed <= credit)
    }
}

impl Provider {
    /// Whether the engine is ahead of what was paid. Machines leave it alone then, and say
    /// [`Event::Unpaid`] after [`PAYMENT_PATIENCE`].
    #[must_use]
    pub fn awaits_payment(&self) -> bool {
        !self.whole && self.work.as_ref().is_some_and(|work| !work.account.held.is_empty())
    }

    /// Whether the order does not pay for this.
    // spec: SESSION-7.4
    pub(super) fn is_beyond(&self, event: &Event) -> bool {
        let Some(work) = self.work.as_ref().filter(|work| !work.order.prices.are_free()) else {
            return false;
        };
        work.owed_after(event).is_none_or(|owed| owed > work.order.ceiling)
    }

    /// Keeps back what is not paid for.
    // spec: SESSION-7.3
    pub(super) fn holds_back(&mut self, event: &Event) -> bool {
        let Some(work) = &mut self.work else { return false };
        let holds = !work.account.held.is_empty() || !work.may_tell(event);
        if holds {
            work.account.held.push_back(event.clone());
        }
        holds
    }

    pub(super) fn reading(&mut self, done: u32, total: u32, cached: u32) -> Vec<Action> {
        let Some(work) = &mut self.work else { return Vec::new() };
        (work.account.read, work.account.cached) = (done, cached);
        vec![Action::Send(ProviderFrame::Progress { done, total, cached })]
    }

    /// The last of the reading, which is paid like the rest.
    // spec: SESSION-7.2
    pub(super) fn read_all(&mut self) -> Vec<Action> {
        let priced = self.work.as_ref().filter(|work| !work.order.prices.are_free());
        let Some(work) = priced else { return Vec::new() };
        let total = count(&work.job.prompt).saturating_add(work.order.start);
        let cached = work.account.cached;
        self.reading(total, total, cached)
    }

    pub(super) fn redeem(&mut self, paid: Amount, voucher: Vec<u8>) -> Vec<Action> {
        let Some(work) = &self.work else { return Vec::new() };
        vec![Action::Redeem { channel: work.order.channel, paid, voucher }]
    }

    /// Tells what was held back, as far as it is paid for now.
    // spec: SESSION-7.3
    pub(super) fn paid(&mut self, now: Millis, amount: Amount) -> Vec<Action> {
        if let Some(work) = &mut self.work {
            work.account.paid = work.account.paid.max(amount);
        }
        let mut actions = Vec::new();
        while let Some(event) = self.next_told() {
            actions.extend(self.tell(now, &event));
        }
        actions
    }

    fn next_told(&mut self) -> Option<Event> {
        let work = self.work.as_mut().filter(|_| !self.over && !self.whole)?;
        let tells = work.account.held.front().is_some_and(|next| work.may_tell(next));
        if tells { work.account.held.pop_front() } else { None }
    }
}
