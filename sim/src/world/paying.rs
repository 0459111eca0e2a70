//! Money in the simulation: channels whose vouchers are plain totals, and the books that the judge
//! compares. What makes a voucher unforgeable is the ledger's, and tested there.

use super::{Happening, World};
use crate::cable::{Packet, Way};
use crate::plan::Purse;
use crate::record::Account;
use mutirao_market::Millis;
use mutirao_market::session::client::{Attempt, Means};
use mutirao_market::session::frame::{ClientFrame, ProviderFrame};
use mutirao_market::session::payment::step;
use mutirao_market::session::provider::Event;
use mutirao_wire::{Amount, ChannelId, Decode, Digest, Encode, Order, PeerKey};
use std::collections::BTreeMap;

/// What every channel holds: more than a trial costs.
const DEPOSIT: Amount = Amount(1 << 40);

fn channel(client: usize, provider: &PeerKey) -> ChannelId {
    ChannelId(Digest::of("mutirao sim channel", &[&client.to_le_bytes(), &provider.0]))
}

impl World {
    /// The channels of a client: one towards each provider.
    pub(super) fn means(&self, client: usize) -> BTreeMap<PeerKey, Means> {
        let means = |key: PeerKey| {
            let channel = channel(client, &key);
            let drawn = self.record.channels.get(&channel).map_or(0, |(drawn, _)| *drawn);
            (key, Means { channel, left: Amount(DEPOSIT.0 - drawn) })
        };
        self.servers.iter().map(|server| means(server.key())).collect()
    }

    /// What the channel of an order still holds, as the provider knows it.
    pub(super) fn holds(&self, frame: &ClientFrame) -> Option<Amount> {
        let ClientFrame::Open { order, .. } = frame else { return None };
        let best = self.record.channels.get(&order.channel).map_or(0, |(_, best)| *best);
        Some(Amount(DEPOSIT.0 - best))
    }

    /// Opens the books of an attempt.
    pub(super) fn open_account(&mut self, cable: usize, order: &Order) {
        let (ask, provider) = (self.cables[cable].ask, order.provider);
        let step = step(&order.prices).unwrap_or_default();
        self.record.accounts.insert(cable, Account::new(ask, provider, step, order.ceiling));
    }

    /// A client draws a voucher, unless it is a miser's.
    pub(super) fn draw(&mut self, ask: usize, attempt: Attempt, more: Amount, paid: Amount) {
        let Some(cable) = self.askers[ask].cables.get(&attempt).copied() else { return };
        let provider = self.servers[self.cables[cable].provider].key();
        let plan = &self.askers[ask].plan;
        let (channel, purse) = (channel(plan.client, &provider), plan.purse);
        let drawn = &mut self.record.asks[ask].drawn;
        let number = *drawn;
        *drawn += 1;
        let forged = match purse {
            Purse::Stops(after) if number >= after => return,
            Purse::Forges(after) => number >= after,
            _ => false,
        };
        let total = &mut self.record.channels.entry(channel).or_default().0;
        *total += if forged { 0 } else { more.0 };
        let voucher = [total.to_bytes(), vec![u8::from(forged)]].concat();
        if let Some(account) = self.record.accounts.get_mut(&cable).filter(|_| !forged) {
            account.drawn = Amount(account.drawn.0 + more.0);
        }
        let frame = ClientFrame::Pay { paid, voucher };
        self.put(cable, Way::Up, Packet::Frame(frame.to_bytes()));
    }

    /// A provider looks at a voucher.
    pub(super) fn redeem(
        &mut self,
        cable: usize,
        channel: ChannelId,
        paid: Amount,
        voucher: &[u8],
    ) -> Event {
        let Some((total, 0)) = read(voucher) else {
            return Event::Unpaid("the voucher is not signed by the payer".into());
        };
        let best = &mut self.record.channels.entry(channel).or_default().1;
        *best = (*best).max(total);
        let best = *best;
        let Some(account) = self.record.accounts.get(&cable).copied() else {
            return Event::Unpaid("no order".into());
        };
        let server = &mut self.servers[self.cables[cable].provider];
        let claimed = server.claimed.entry(channel).or_default();
        let more = paid.saturating_sub(account.redeemed);
        if *claimed + more.0 > best {
            return Event::Unpaid("the voucher is for less than it is said to be".into());
        }
        *claimed += more.0;
        if let Some(account) = self.record.accounts.get_mut(&cable) {
            account.redeemed = account.redeemed.max(paid);
        }
        Event::Paid(paid)
    }

    /// Writes down what a provider tells.
    pub(super) fn book_told(&mut self, cable: usize, frame: &ProviderFrame) {
        let Some(told) = self.tally(cable).map(|tally| tally.tell(frame).0) else { return };
        if let Some(account) = self.record.accounts.get_mut(&cable) {
            account.told = told;
            let exposed = told.saturating_sub(account.redeemed);
            account.exposed = account.exposed.max(exposed);
        }
    }

    /// Writes down what a client is asked to pay for.
    pub(super) fn book_heard(&mut self, cable: usize, frame: &ProviderFrame) {
        let Some(tally) = &mut self.cables[cable].heard_of else { return };
        let (owed, asks) = tally.tell(frame);
        if let Some(account) = self.record.accounts.get_mut(&cable).filter(|_| asks) {
            account.announced = owed;
        }
    }

    /// A provider that waits for a voucher will not wait for ever.
    pub(super) fn watch_payment(&mut self, cable: usize) {
        let now = self.agenda.now();
        let Some(talk) = self.talk(cable) else { return };
        let waits = talk.half.awaits_payment();
        let since = talk.unpaid_since.take();
        let patience = talk.half.patience().unwrap_or_default();
        if waits {
            talk.unpaid_since = since.or(Some(now));
            if since.is_none() {
                self.agenda.after(patience, Happening::Due(cable, now));
            }
        }
    }

    pub(super) fn due(&mut self, cable: usize, since: Millis) {
        let now = self.agenda.now();
        if let Some(until) = self.servers[self.cables[cable].provider].frozen(now) {
            return self.agenda.at(until, Happening::Due(cable, since));
        }
        let dead = self.servers[self.cables[cable].provider].is_dead();
        let waits = self.talk(cable).is_some_and(|talk| talk.unpaid_since == Some(since));
        if waits && !dead {
            self.feed(cable, Event::Unpaid("no voucher came for too long".into()));
        }
    }
}

/// A total and a byte that says whether it is forged: what a voucher is here.
fn read(voucher: &[u8]) -> Option<(u64, u8)> {
    let (total, forged) = voucher.split_at_checked(8)?;
    let [forged] = forged else { return None };
    Some((u64::from_bytes(total).ok()?, *forged))
}
