//! Vouchers: drawn, taken, and written down, without waiting for the wallet or its ledger.
//!
//! Whoever holds the lock does a signature, a check or a small file, some hundred microseconds.

use super::{Way, cell, named};
use crate::callers::Caller;
use mutirao_chain::Chance;
use mutirao_ledger::cell::CellId;
use mutirao_ledger::cell::channel::{Drawer, Drawn, Holder, Voucher, VoucherError};
use mutirao_ledger::rules::Height;
use mutirao_market::session::client::Means;
use mutirao_wallet::WalletError;
use mutirao_wallet::earning::Earning;
use mutirao_wallet::notes::Notes;
use mutirao_wire::codec::put_list;
use mutirao_wire::{
    Amount, ChannelId, Decode, DecodeError, Digest, Encode, ModelId, PeerKey, Reader, record,
};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// The file that counts what was spent today.
const SPENT: &str = "spent-today";
const SPENT_BYTES_MAX: usize = 1 << 17;
/// Callers of one day at most.
const CALLERS_MAX: usize = 2048;
const DAY_SECONDS: u64 = 86_400;
/// Blocks before its end in which a channel is not used any more: its payee closes it by then.
const MARGIN: u64 = 8;

/// Spent in one day, by universal time: the cap of a day outlives the process that counts it.
#[derive(Debug, Clone, Default)]
struct Spent {
    day: u64,
    amount: Amount,
    /// How much of it for whom.
    callers: Vec<SpentFor>,
}

/// Spent for one caller.
#[derive(Debug, Clone, Copy)]
struct SpentFor {
    caller: Digest,
    amount: Amount,
}

record!(SpentFor { caller, amount });

impl Encode for Spent {
    fn encode(&self, out: &mut Vec<u8>) {
        self.day.encode(out);
        self.amount.encode(out);
        put_list(out, &self.callers);
    }
}
impl Decode for Spent {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (day, amount) = (u64::decode(input)?, Amount::decode(input)?);
        Ok(Self { day, amount, callers: input.list("callers", CALLERS_MAX)? })
    }
}

impl Spent {
    /// Notes so much more, within the caps of the day and of whoever asks.
    fn add(&mut self, more: Amount, daily: Amount, caller: Option<&Caller>) -> Result<(), String> {
        self.amount = Amount(self.amount.0.saturating_add(more.0));
        if self.amount > daily {
            return Err(format!("{daily} may be spent in a day"));
        }
        let Some(caller) = caller else { return Ok(()) };
        let amount = Amount(self.of(caller).0.saturating_add(more.0));
        if amount > caller.daily {
            return Err(format!("the key {:?} may spend {} in a day", caller.name, caller.daily));
        }
        self.callers.retain(|known| known.caller != caller.digest());
        self.callers.push(SpentFor { caller: caller.digest(), amount });
        Ok(())
    }

    fn of(&self, caller: &Caller) -> Amount {
        let known = self.callers.iter().find(|known| known.caller == caller.digest());
        known.map_or(Amount::ZERO, |known| known.amount)
    }
}

fn today() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs() / DAY_SECONDS)
}

/// A channel that we pay through.
pub(super) struct Lane {
    pub way: Way,
    pub expiry: Height,
    pub drawer: Drawer,
}

/// A channel that pays us, and what runs on it.
pub(super) struct Shop {
    pub earning: Earning,
    pub holder: Holder,
    /// What orders that ended were paid.
    settled: u64,
    /// Orders that run, by the number of their link.
    running: BTreeMap<u64, Running>,
}

/// An order that runs.
#[derive(Clone, Copy)]
struct Running {
    ceiling: u64,
    claimed: u64,
}

impl Shop {
    pub fn new(earning: Earning, holder: Holder) -> Self {
        let settled = earning.earned().0;
        Self { earning, holder, settled, running: BTreeMap::new() }
    }

    /// The same channel, after it was topped up.
    pub fn grown(&mut self, earning: Earning) {
        self.holder.topped_up(&earning.channel, &earning.told);
        let best = self.earning.best.take();
        self.earning = Earning { best, ..earning };
    }

    /// What no order may draw yet.
    fn free(&self) -> Amount {
        let promised: u64 = self.running.values().map(|order| order.ceiling).sum();
        let used = self.settled.saturating_add(promised);
        Amount(self.holder.deposit().0.saturating_sub(used))
    }

    fn claimed(&self) -> u64 {
        self.settled + self.running.values().map(|order| order.claimed).sum::<u64>()
    }
}

/// All vouchers of one wallet.
pub(super) struct Vouchers {
    pub notes: Notes,
    pub chance: Chance,
    /// Most that is spent in a day.
    pub daily: Amount,
    /// The height of the ledger as the wallet read it last.
    pub height: Height,
    pub lanes: BTreeMap<CellId, Lane>,
    pub shops: BTreeMap<CellId, Shop>,
}

impl Vouchers {
    /// What may still be spent today, by whoever asks.
    pub fn left_today(&self, caller: Option<&Caller>) -> Result<Amount, WalletError> {
        let spent = self.spent()?;
        let left = self.daily.saturating_sub(spent.amount);
        let own = caller.map(|caller| caller.daily.saturating_sub(spent.of(caller)));
        Ok(own.map_or(left, |own| own.min(left)))
    }

    fn spent(&self) -> Result<Spent, WalletError> {
        let kept: Spent = self.notes.read(SPENT, SPENT_BYTES_MAX)?.unwrap_or_default();
        let day = today();
        Ok(if kept.day == day { kept } else { Spent { day, ..Spent::default() } })
    }

    /// The channels that lead to these providers for a model, and what is left in them.
    pub fn means(&self, model: ModelId, peers: &[PeerKey]) -> BTreeMap<PeerKey, Means> {
        let lives = |lane: &&Lane| lane.expiry.0 > self.height.0.saturating_add(MARGIN);
        let leads = |lane: &&Lane| lane.way.model == model && peers.contains(&lane.way.peer);
        let lanes = self.lanes.values().filter(lives).filter(leads);
        let means =
            |lane: &Lane| Means { channel: named(lane.way.channel), left: lane.drawer.left() };
        lanes.map(|lane| (lane.way.peer, means(lane))).collect()
    }

    /// A voucher leaves only once it is written down what it spends.
    // spec: SESSION-7.8
    pub fn draw(
        &mut self,
        channel: ChannelId,
        more: Amount,
        usage: Digest,
        caller: Option<&Caller>,
    ) -> Result<Vec<u8>, String> {
        let id = cell(channel);
        let words = |error: WalletError| error.to_string();
        let mut spent = self.spent().map_err(words)?;
        spent.add(more, self.daily, caller)?;
        let lane = self.lanes.get_mut(&id).ok_or("no such channel")?;
        let drawn = lane.drawer.draw(more, usage, &mut self.chance);
        let drawn = drawn.map_err(|error| error.to_string())?;
        let progress = lane.drawer.progress();
        self.notes.keep_progress(id, progress, false, &mut self.chance).map_err(words)?;
        self.notes.keep(SPENT, &spent, false, &mut self.chance).map_err(words)?;
        Ok(drawn.to_bytes())
    }

    /// Goes on after a voucher that a payee showed us.
    pub fn resume(&mut self, id: CellId, last: &Voucher) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.drawer.resume(last);
        }
    }

    /// What a channel holds for an order of at most so much, which is promised to it by this; none
    /// where the channel is not known.
    pub fn promise(&mut self, link: u64, channel: ChannelId, ceiling: Amount) -> Option<Amount> {
        let shop = self.shops.get_mut(&cell(channel))?;
        let free = shop.free();
        if ceiling <= free {
            shop.running.insert(link, Running { ceiling: ceiling.0, claimed: 0 });
        }
        Some(free)
    }

    /// Takes a voucher that is said to pay so much for an order, in all. One that comes after a
    /// later one pays nothing more by itself, but what orders say that they paid must be within the
    /// best one.
    // spec: SESSION-7.2
    pub fn redeem(
        &mut self,
        link: u64,
        channel: ChannelId,
        paid: Amount,
        voucher: &[u8],
    ) -> Result<Amount, String> {
        let id = cell(channel);
        let drawn = Drawn::from_bytes(voucher).map_err(|error| error.to_string())?;
        let shop = self.shops.get_mut(&id).ok_or("no such channel")?;
        match shop.holder.accept(drawn) {
            Ok(_) => shop.earning.best = shop.holder.best().cloned(),
            Err(VoucherError::Sequence { .. }) => {}
            Err(error) => return Err(error.to_string()),
        }
        let (best, claimed) = (shop.earning.earned().0, shop.claimed());
        let order = shop.running.get_mut(&link).ok_or("no order runs on this stream")?;
        let more = paid.0.saturating_sub(order.claimed);
        if claimed.saturating_add(more) > best {
            return Err("the voucher is for less than it is said to be".into());
        }
        order.claimed += more;
        let paid = Amount(order.claimed);
        self.keep_earned(id, false).map_err(|error| error.to_string())?;
        Ok(paid)
    }

    /// What is taken of a channel.
    pub fn settled(&self, channel: ChannelId) -> Amount {
        Amount(self.shops.get(&cell(channel)).map_or(0, Shop::claimed))
    }

    /// What an order takes in the end, of what it claimed.
    pub fn charge(&mut self, link: u64, channel: ChannelId, price: Amount) {
        let shop = self.shops.get_mut(&cell(channel));
        if let Some(order) = shop.and_then(|shop| shop.running.get_mut(&link)) {
            order.claimed = order.claimed.min(price.0);
        }
    }

    /// An order ended.
    pub fn ended(&mut self, link: u64, channel: ChannelId) {
        let id = cell(channel);
        let Some(shop) = self.shops.get_mut(&id) else { return };
        if let Some(order) = shop.running.remove(&link) {
            shop.settled += order.claimed;
        }
        if let Err(error) = self.keep_earned(id, true) {
            tracing::error!(%error, "the best voucher of a channel was not written down");
        }
    }

    pub fn keep_earned(&mut self, id: CellId, sync: bool) -> Result<(), WalletError> {
        let Some(shop) = self.shops.get(&id) else { return Ok(()) };
        self.notes.keep_earning(id, &shop.earning, sync, &mut self.chance)
    }

    /// Waits for the disk, so that not even a loss of power costs a voucher.
    pub fn settle(&mut self) {
        let drawn: Vec<_> =
            self.lanes.iter().map(|(id, lane)| (*id, lane.drawer.progress())).collect();
        for (id, progress) in drawn {
            if let Err(error) = self.notes.keep_progress(id, progress, true, &mut self.chance) {
                tracing::warn!(%error, "how far a channel is was not written down");
            }
        }
    }
}
