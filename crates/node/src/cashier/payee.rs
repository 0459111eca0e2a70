//! Being paid: terms, channels that pay us, closing.

use super::vouchers::Shop;
use super::{Cashier, CashierError, Desk, cell};
use mutirao_ledger::cell::CellId;
use mutirao_ledger::cell::till::Share;
use mutirao_ledger::commit::Opening;
use mutirao_ledger::deal::{Ask, Reply, Taken, Terms};
use mutirao_ledger::rules::Height;
use mutirao_ledger::tx::TxId;
use mutirao_wallet::WalletError;
use mutirao_wallet::earning;
use mutirao_wallet::paying::ChannelError;
use mutirao_wallet::send::SendError;
use mutirao_wire::{Amount, ChannelId, Decode};

/// The least that a channel must hold: its own closing must be worth the fee.
const LEAST_DEPOSIT: Amount = Amount(1_000);
/// Blocks before its end in which a channel is closed at the latest.
// spec: WALLET-7.6
pub(crate) const CLOSING_TIME: u64 = 4;

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
        let known = self.vouchers().shops.contains_key(&cell(channel));
        if !known {
            self.ask(move |desk| desk.ready_shop(cell(channel))).await.ok()?.ok()?;
        }
        self.vouchers().promise(link, channel, ceiling)
    }

    /// Takes a voucher that is said to pay so much for an order, in all.
    pub(crate) fn redeem(
        &self,
        link: u64,
        channel: ChannelId,
        paid: Amount,
        voucher: &[u8],
    ) -> Result<Amount, String> {
        self.vouchers().redeem(link, channel, paid, voucher)
    }

    /// What requests and orders took of a channel in all, those that run among them.
    pub(crate) fn settled(&self, channel: ChannelId) -> Amount {
        self.vouchers().settled(channel)
    }

    /// A request ended that took so much of what was set aside for it.
    pub(crate) async fn charge(&self, link: u64, channel: ChannelId, price: Amount) {
        self.vouchers().charge(link, channel, price);
        self.ended(link, channel).await;
    }

    /// An order ended.
    pub(crate) async fn ended(&self, link: u64, channel: ChannelId) {
        let cashier = self.clone();
        let ended = move || cashier.vouchers().ended(link, channel);
        let _ = tokio::task::spawn_blocking(ended).await;
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
        let reading = wallet.book().reading.ok_or(SendError::Unread).map_err(WalletError::from)?;
        let (chain, blocks) = (reading.rules.chain, self.blocks);
        Ok(Terms { chain, number, payee, royalties, deposit: LEAST_DEPOSIT, blocks })
    }

    fn take(
        &mut self,
        channel: CellId,
        told: (u64, Vec<Opening>),
        royalties: Vec<Share>,
    ) -> Result<Taken, CashierError> {
        self.read()?;
        // What its vouchers said is newer here than in its file.
        self.vouchers().keep_earned(channel, true)?;
        let Self { purse, reach, .. } = self;
        let (wallet, chance) = purse.parts();
        let height = wallet.book().height();
        let expiry = Height(height.0.saturating_add(self.blocks / 2));
        let terms = earning::Terms { royalties, deposit: LEAST_DEPOSIT, expiry };
        let earning = wallet.receive_channel(channel, told, &terms, reach, chance)?;
        let last = earning.best.as_ref().map(|best| best.voucher.clone());
        let holder = wallet.holder(channel, &earning)?;
        let mut vouchers = self.vouchers();
        match vouchers.shops.get_mut(&channel) {
            Some(shop) => shop.grown(earning),
            None => drop(vouchers.shops.insert(channel, Shop::new(earning, holder))),
        }
        Ok(Taken { last })
    }

    /// Makes a channel ready that was taken by an earlier process.
    fn ready_shop(&mut self, id: CellId) -> Result<(), CashierError> {
        let wallet = self.purse.wallet();
        let unknown = WalletError::from(ChannelError::Unknown(id));
        let earning = wallet.notes().earning(id)?.ok_or(unknown)?;
        let holder = wallet.holder(id, &earning)?;
        self.vouchers().shops.entry(id).or_insert(Shop::new(earning, holder));
        Ok(())
    }

    /// Only whoever opened a channel can open what is inside.
    fn asked_to_close(&mut self, id: CellId, told: &Opening) -> Result<Option<TxId>, CashierError> {
        self.vouchers().keep_earned(id, true)?;
        let unknown = WalletError::from(ChannelError::Unknown(id));
        let earning = self.purse.wallet().notes().earning(id)?.ok_or(unknown)?;
        let parts = earning.channel.parts();
        if !parts.first().is_some_and(|part| told.opens(part)) {
            let why = "only its payer may ask for its end".to_owned();
            return Err(WalletError::from(ChannelError::Other { id, why }).into());
        }
        self.close(id)
    }

    fn close(&mut self, id: CellId) -> Result<Option<TxId>, CashierError> {
        self.vouchers().keep_earned(id, true)?;
        self.read()?;
        let Self { purse, reach, .. } = self;
        let (wallet, chance) = purse.parts();
        let draft = wallet.prepare_close(id, reach, chance)?;
        let tx = draft.map(|draft| wallet.send(draft, reach, chance)).transpose()?;
        self.read()?;
        self.vouchers().shops.remove(&id);
        self.purse.wallet().notes().forget_earning(id)?;
        Ok(tx)
    }

    fn tend(&mut self) -> usize {
        if let Err(error) = self.read() {
            tracing::warn!(%error, "the ledger could not be read; channels wait");
            return 0;
        }
        let height = self.purse.wallet().book().height().0;
        let due = |expiry: Height| expiry.0 <= height.saturating_add(CLOSING_TIME);
        let all = self.purse.wallet().notes().earnings().unwrap_or_default();
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
