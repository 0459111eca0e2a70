//! Being paid: terms, channels that pay us, their vouchers, closing.

use super::{Cashier, CashierError, Desk, cell};
use mutirao_ledger::cell::CellId;
use mutirao_ledger::cell::channel::{Drawn, Holder, VoucherError};
use mutirao_ledger::cell::till::Share;
use mutirao_ledger::commit::Opening;
use mutirao_ledger::deal::{Ask, Reply, Taken, Terms};
use mutirao_ledger::rules::Height;
use mutirao_ledger::tx::TxId;
use mutirao_wallet::WalletError;
use mutirao_wallet::earning::{self, Earning};
use mutirao_wallet::paying::ChannelError;
use mutirao_wire::{Amount, ChannelId, Decode};
use std::collections::BTreeMap;

/// The least that a channel must hold: its own closing must be worth the fee.
const LEAST_DEPOSIT: Amount = Amount(1_000);
/// Blocks before its end in which a channel is closed at the latest.
pub(crate) const CLOSING_TIME: u64 = 4;

/// A channel that pays us, and what runs on it.
pub(super) struct Shop {
    earning: Earning,
    holder: Holder,
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
    fn new(earning: Earning, holder: Holder) -> Self {
        let settled = earning.earned().0;
        Self { earning, holder, settled, running: BTreeMap::new() }
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

impl Cashier {
    /// Replies to a payer.
    pub(crate) async fn deal(&self, words: Vec<u8>, royalties: Vec<Share>) -> Reply {
        let reply = self.ask(move |desk| desk.deal(&words, royalties)).await;
        reply.unwrap_or_else(|error| Reply::No(error.to_string()))
    }

    /// What a channel holds for an order of at most so much, which is promised to it by this.
    pub(crate) async fn promise(
        &self,
        link: u64,
        channel: ChannelId,
        ceiling: Amount,
    ) -> Option<Amount> {
        self.ask(move |desk| desk.promise(link, cell(channel), ceiling)).await.ok()?
    }

    /// Takes a voucher that is said to pay so much for an order, in all.
    pub(crate) async fn redeem(
        &self,
        link: u64,
        channel: ChannelId,
        paid: Amount,
        voucher: Vec<u8>,
    ) -> Result<Amount, String> {
        let redeemed = self.ask(move |desk| desk.redeem(link, cell(channel), paid, &voucher)).await;
        redeemed.map_err(|error| error.to_string())?
    }

    /// An order ended.
    pub(crate) async fn ended(&self, link: u64, channel: ChannelId) {
        let _ = self.ask(move |desk| desk.ended(link, cell(channel))).await;
    }

    /// Closes every channel that is about to expire; how many were closed.
    pub(crate) async fn tend(&self) -> usize {
        self.ask(Desk::tend).await.unwrap_or(0)
    }
}

impl Desk {
    fn deal(&mut self, words: &[u8], royalties: Vec<Share>) -> Reply {
        let ask = match Ask::from_bytes(words) {
            Ok(ask) => ask,
            Err(error) => return Reply::No(format!("these are no words of a deal: {error}")),
        };
        let reply = match ask {
            Ask::Terms(_) => self.terms(royalties).map(Reply::Terms),
            Ask::Take { channel, number, told, .. } => {
                self.take(channel, (number, told), royalties).map(Reply::Taken)
            }
            Ask::Close { channel, told } => self.asked_to_close(channel, &told).map(Reply::Closed),
        };
        reply.unwrap_or_else(|error| Reply::No(error.to_string()))
    }

    fn terms(&mut self, royalties: Vec<Share>) -> Result<Terms, CashierError> {
        let (wallet, chance) = self.purse.parts();
        let (number, payee) = wallet.new_payee(chance)?;
        let rules = wallet.book().reading.map(|reading| reading.rules);
        let chain = rules.ok_or(mutirao_wallet::send::SendError::Unread);
        let chain = chain.map_err(WalletError::from)?.chain;
        Ok(Terms { chain, number, payee, royalties, deposit: LEAST_DEPOSIT, blocks: self.blocks })
    }

    fn take(
        &mut self,
        channel: CellId,
        told: (u64, Vec<Opening>),
        royalties: Vec<Share>,
    ) -> Result<Taken, CashierError> {
        let Self { purse, reach, .. } = self;
        purse.read(reach)?;
        let (wallet, chance) = purse.parts();
        let height = wallet.book().height();
        let expiry = Height(height.0.saturating_add(self.blocks / 2));
        let terms = earning::Terms { royalties, deposit: LEAST_DEPOSIT, expiry };
        let earning = wallet.receive_channel(channel, told, &terms, reach, chance)?;
        let last = earning.best.as_ref().map(|best| best.voucher.clone());
        let holder = wallet.holder(channel, &earning)?;
        match self.shops.get_mut(&channel) {
            Some(shop) => (shop.earning, shop.holder) = (earning, holder),
            None => drop(self.shops.insert(channel, Shop::new(earning, holder))),
        }
        Ok(Taken { last })
    }

    /// The channel, from its file where it is not known yet.
    fn shop(&mut self, id: CellId) -> Result<&mut Shop, CashierError> {
        if !self.shops.contains_key(&id) {
            let wallet = self.purse.wallet();
            let unknown = WalletError::from(ChannelError::Unknown(id));
            let earning = wallet.earning(id)?.ok_or(unknown)?;
            let holder = wallet.holder(id, &earning)?;
            self.shops.insert(id, Shop::new(earning, holder));
        }
        self.shops.get_mut(&id).ok_or(CashierError::Gone)
    }

    fn promise(&mut self, link: u64, id: CellId, ceiling: Amount) -> Option<Amount> {
        let shop = self.shop(id).ok()?;
        let free = shop.free();
        if ceiling <= free {
            shop.running.insert(link, Running { ceiling: ceiling.0, claimed: 0 });
        }
        Some(free)
    }

    /// A voucher that comes after a later one pays nothing more by itself, but what orders say that
    /// they paid must be within the best one.
    fn redeem(
        &mut self,
        link: u64,
        id: CellId,
        paid: Amount,
        voucher: &[u8],
    ) -> Result<Amount, String> {
        let drawn = Drawn::from_bytes(voucher).map_err(|error| error.to_string())?;
        let shop = self.shop(id).map_err(|error| error.to_string())?;
        match shop.holder.accept(drawn) {
            Ok(_) => shop.earning.best = shop.holder.best().cloned(),
            Err(VoucherError::Sequence { .. }) => {}
            Err(error) => return Err(error.to_string()),
        }
        let (best, claimed) = (shop.earning.earned().0, shop.claimed());
        let Some(order) = shop.running.get_mut(&link) else { return Err("no order".into()) };
        let more = paid.0.saturating_sub(order.claimed);
        if claimed.saturating_add(more) > best {
            return Err("the voucher is for less than it is said to be".into());
        }
        order.claimed += more;
        let paid = Amount(order.claimed);
        self.keep_earned(id, false).map_err(|error| error.to_string())?;
        Ok(paid)
    }

    pub(super) fn keep_earned(&mut self, id: CellId, sync: bool) -> Result<(), CashierError> {
        let Some(shop) = self.shops.get(&id) else { return Ok(()) };
        let (wallet, chance) = self.purse.parts();
        Ok(wallet.keep_earning(id, &shop.earning, sync, chance)?)
    }

    fn ended(&mut self, link: u64, id: CellId) {
        let Some(shop) = self.shops.get_mut(&id) else { return };
        if let Some(order) = shop.running.remove(&link) {
            shop.settled += order.claimed;
        }
        if let Err(error) = self.keep_earned(id, true) {
            tracing::error!(%error, "the best voucher of a channel was not written down");
        }
    }

    /// Only whoever opened a channel can open what is inside.
    fn asked_to_close(&mut self, id: CellId, told: &Opening) -> Result<Option<TxId>, CashierError> {
        let shop = self.shop(id)?;
        let parts = shop.earning.channel.parts();
        if !parts.first().is_some_and(|part| told.opens(part)) {
            let why = "only its payer may ask for its end".to_owned();
            return Err(WalletError::from(ChannelError::Other { id, why }).into());
        }
        self.close(id)
    }

    fn close(&mut self, id: CellId) -> Result<Option<TxId>, CashierError> {
        self.keep_earned(id, true)?;
        let Self { purse, reach, .. } = self;
        purse.read(reach)?;
        let (wallet, chance) = purse.parts();
        let draft = wallet.prepare_close(id, reach, chance)?;
        let tx = draft.map(|draft| wallet.send(draft, reach, chance)).transpose()?;
        purse.read(reach)?;
        self.shops.remove(&id);
        self.purse.wallet().forget_earning(id)?;
        Ok(tx)
    }

    fn tend(&mut self) -> usize {
        let Self { purse, reach, .. } = self;
        if let Err(error) = purse.read(reach) {
            tracing::warn!(%error, "the ledger could not be read; channels wait");
            return 0;
        }
        let height = purse.wallet().book().height().0;
        let due = |expiry: Height| expiry.0 <= height.saturating_add(CLOSING_TIME);
        let all = purse.wallet().earnings().unwrap_or_default();
        let ending = all.iter().filter(|(_, earning)| due(earning.channel.expiry));
        let mut closed = 0;
        for (id, _) in ending {
            match self.close(*id) {
                Ok(_) => closed += 1,
                Err(error) => tracing::error!(%error, channel = %id.0.short(), "not closed"),
            }
        }
        closed
    }
}
