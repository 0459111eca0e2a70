//! What the client owes, and when it pays: as reading is announced, as windows are signed, and at
//! the end what the receipt says. Nothing is paid without a channel, nor beyond a cap.

use super::{Action, Attempt, Client, Current, Fault, Mode};
use crate::Millis;
use crate::session::payment::{self, Work, owed, usage};
use mutirao_wire::{Amount, ChannelId, Order, PeerKey, SignedOffer};

/// A channel towards a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Means {
    /// Which.
    pub channel: ChannelId,
    /// What may be drawn from it.
    pub left: Amount,
}

/// What one provider was paid for its part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payment {
    /// Who.
    pub provider: PeerKey,
    /// How much.
    pub paid: Amount,
    /// In how many vouchers.
    pub vouchers: u32,
}

/// The money side of one attempt.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Account {
    pub(super) read: u32,
    pub(super) cached: u32,
    paid: Amount,
}

impl Client {
    /// The channel and the ceiling of an order with that provider at those prices.
    // spec: SESSION-7.1, SESSION-7.5
    pub(super) fn means(&self, offer: &SignedOffer) -> (ChannelId, Amount) {
        let free = offer.offer.prices.are_free();
        let means = self.policy.means.get(&offer.offer.provider).filter(|_| !free);
        let spent = self.spent_with(&offer.offer.provider);
        means.map_or((ChannelId::NONE, Amount::ZERO), |means| {
            let left = means.left.saturating_sub(spent);
            (means.channel, left.min(self.policy.cap.saturating_sub(self.spent())))
        })
    }

    /// Why an order cannot be paid, if it cannot.
    // spec: SESSION-7.5
    pub(super) fn unpayable(&self, order: &Order) -> Option<String> {
        if order.prices.are_free() {
            return None;
        }
        if order.channel == ChannelId::NONE {
            return Some("it wants to be paid, and no channel leads to it".into());
        }
        let least = payment::least(order, self.prompt());
        let enough = least.is_some_and(|least| least <= order.ceiling);
        let least = least.map_or("more than there is".into(), |least| least.to_string());
        let (ceiling, cap) = (order.ceiling, self.policy.cap);
        (!enough).then(|| {
            format!("a first token costs {least}; {ceiling} may be spent there, {cap} in all")
        })
    }

    /// What was spent on this answer.
    #[must_use]
    pub fn spent(&self) -> Amount {
        Amount(self.payments.iter().map(|payment| payment.paid.0).sum())
    }

    fn spent_with(&self, provider: &PeerKey) -> Amount {
        let there = self.payments.iter().filter(|payment| payment.provider == *provider);
        Amount(there.map(|payment| payment.paid.0).sum())
    }

    pub(super) fn prompt(&self) -> u32 {
        u32::try_from(self.job.prompt.len()).unwrap_or(u32::MAX)
    }

    /// What the provider announced of its reading.
    // spec: SESSION-7.2
    pub(super) fn progressed(
        &mut self,
        done: u32,
        cached: u32,
        actions: &mut Vec<Action>,
    ) -> Result<(), Fault> {
        let prompt = self.prompt();
        let Some(current) = &mut self.current else { return Ok(()) };
        let all = prompt.saturating_add(current.order.start);
        if done > all || done < current.account.read || cached > prompt {
            return Err(Fault::Unexpected("progress beyond what there is to read"));
        }
        (current.account.read, current.account.cached) = (done, cached);
        self.pay(Work { read: done, cached, written: 0 }, actions)
    }

    /// Pays for what is signed; in checked mode for what replay confirmed of it.
    // spec: SESSION-7.2
    pub(super) fn pay_signed(&mut self, actions: &mut Vec<Action>) -> Result<(), Fault> {
        let signed = self.signed.last().map_or(0, |signed| signed.statement.checkpoint.index);
        let good = match self.policy.mode {
            Mode::Checked => u32::try_from(self.proven).unwrap_or(u32::MAX).min(signed),
            Mode::Streamed { .. } => signed,
        };
        let Some(current) = &self.current else { return Ok(()) };
        if good <= current.order.start {
            return Ok(());
        }
        let served = mutirao_wire::Served { start: current.order.start, end: good };
        self.pay(Work::whole(self.prompt(), served, current.account.cached), actions)
    }

    /// Pays what the receipt says, once, and leaves its signer, who owes nothing more. In checked
    /// mode that waits for replay.
    // spec: SESSION-7.2
    pub(super) fn pay_receipt(&mut self, actions: &mut Vec<Action>) {
        let receipt = self.receipt.as_ref().map(|(signed, _)| signed.receipt);
        let Some((receipt, current)) = receipt.zip(self.current.as_mut()) else { return };
        if std::mem::replace(&mut current.left, true) {
            return;
        }
        let (attempt, cached) = (current.attempt, current.account.cached);
        let work = Work::whole(self.prompt(), receipt.served, cached);
        // Its price was compared with the ceiling before.
        let _ = self.pay(work, actions);
        actions.push(Action::Hang(attempt));
    }

    /// What all that the receipt is about costs.
    pub(super) fn price(&self, current: &Current, served: mutirao_wire::Served) -> Option<Amount> {
        let work = Work::whole(self.prompt(), served, current.account.cached);
        owed(&current.order.prices, self.prompt(), work)
    }

    /// Pays what is owed for that much work and not paid yet.
    // spec: SESSION-7.2, SESSION-7.4
    pub(super) fn pay(&mut self, work: Work, actions: &mut Vec<Action>) -> Result<(), Fault> {
        let prompt = self.prompt();
        let Some(current) = self.current.as_mut().filter(|it| !it.order.prices.are_free()) else {
            return Ok(());
        };
        let order = current.order;
        let owed = owed(&order.prices, prompt, work).filter(|owed| *owed <= order.ceiling);
        let owed = owed.ok_or(Fault::AboveTheCeiling)?;
        let more = owed.saturating_sub(current.account.paid);
        if more > Amount::ZERO {
            current.account.paid = owed;
            let (attempt, channel) = (current.attempt, order.channel);
            self.enter(order.provider, more);
            let usage = usage(&order, owed);
            actions.push(Action::Pay { attempt, channel, more, paid: owed, usage });
        }
        Ok(())
    }

    fn enter(&mut self, provider: PeerKey, more: Amount) {
        if self.payments.last().is_none_or(|last| last.provider != provider) {
            self.payments.push(Payment { provider, paid: Amount::ZERO, vouchers: 0 });
        }
        if let Some(last) = self.payments.last_mut() {
            last.paid = Amount(last.paid.0.saturating_add(more.0));
            last.vouchers += 1;
        }
    }

    /// A voucher could not be drawn: it was not paid after all, and the provider is left.
    // spec: SESSION-7.6
    pub(super) fn cannot_pay(
        &mut self,
        now: Millis,
        attempt: Attempt,
        missing: Amount,
        why: &str,
        actions: &mut Vec<Action>,
    ) {
        let provider = self.current.as_ref().filter(|it| it.attempt == attempt);
        let Some(provider) = provider.map(|current| current.order.provider) else { return };
        let mut entries = self.payments.iter_mut().rev();
        if let Some(entry) = entries.find(|entry| entry.provider == provider) {
            entry.paid = entry.paid.saturating_sub(missing);
            entry.vouchers = entry.vouchers.saturating_sub(1);
        }
        if self.receipt.is_none() {
            self.leave(now, format!("a voucher cannot be drawn: {why}"), false, actions);
        }
    }
}
