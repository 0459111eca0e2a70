//! Paying: channels towards providers, and vouchers drawn from them.

use super::{Cashier, CashierError, Desk, Way, cell, named};
use mutirao_ledger::cell::CellId;
use mutirao_ledger::cell::channel::{OpenPlan, Voucher};
use mutirao_ledger::commit::Opening;
use mutirao_ledger::deal::Terms;
use mutirao_ledger::rules::Height;
use mutirao_market::session::client::Means;
use mutirao_wallet::send::SendError;
use mutirao_wallet::{Wallet, WalletError};
use mutirao_wire::{Amount, ChannelId, Digest, Encode, ModelId, PeerKey};
use std::collections::BTreeMap;

/// The file that says which channel leads to whom.
const WAYS: &str = "ways";
const WAYS_BYTES_MAX: usize = 1 << 20;
/// Blocks before its end in which a channel is not used any more: its payee closes it by then.
const MARGIN: u64 = 8;

/// A channel that stands on the ledger, and what its payee has to be told.
#[derive(Debug)]
pub(crate) struct Opened {
    pub channel: CellId,
    pub number: u64,
    pub told: Vec<Opening>,
}

impl Cashier {
    /// The channels that lead to these providers for a model, and what is left in them.
    ///
    /// # Errors
    /// [`CashierError`].
    pub(crate) async fn means(
        &self,
        model: ModelId,
        peers: Vec<PeerKey>,
    ) -> Result<BTreeMap<PeerKey, Means>, CashierError> {
        self.ask(move |desk| desk.means(model, &peers)).await?
    }

    /// Opens a channel to a provider under its terms and waits until it stands on the ledger.
    ///
    /// # Errors
    /// [`CashierError`].
    pub(crate) async fn open_channel(&self, terms: Terms) -> Result<Opened, CashierError> {
        self.ask(move |desk| desk.open_channel(&terms)).await?
    }

    /// Puts more into a channel and waits until that stands on the ledger.
    ///
    /// # Errors
    /// [`CashierError`].
    pub(crate) async fn top_up(&self, channel: ChannelId) -> Result<Opened, CashierError> {
        self.ask(move |desk| desk.top_up(cell(channel))).await?
    }

    /// Remembers that a channel leads to a provider, and goes on after the voucher that it showed.
    ///
    /// # Errors
    /// [`CashierError`].
    pub(crate) async fn remember(
        &self,
        (peer, model): (PeerKey, ModelId),
        (channel, number): (CellId, u64),
        last: Option<Voucher>,
    ) -> Result<(), CashierError> {
        let way = Way { peer, model, channel, number };
        self.ask(move |desk| desk.remember(way, last.as_ref())).await?
    }

    /// Draws a voucher: its bytes as they go into a frame. No ledger is asked.
    // spec: SESSION-7.8
    ///
    /// # Errors
    /// [`CashierError`], or why the channel gives none.
    pub(crate) async fn draw(
        &self,
        channel: ChannelId,
        more: Amount,
        usage: Digest,
    ) -> Result<Vec<u8>, String> {
        let drawn = self.ask(move |desk| desk.draw(cell(channel), more, usage)).await;
        drawn.map_err(|error| error.to_string())?
    }

    /// Waits for the disk: an answer is paid.
    pub(crate) async fn settle(&self) {
        let _ = self.ask(Desk::keep_all).await;
    }
}

impl Desk {
    fn ways(&self) -> Result<Vec<Way>, CashierError> {
        let bytes: Option<Ways> = self.purse.wallet().note(WAYS, WAYS_BYTES_MAX)?;
        Ok(bytes.map(|ways| ways.0).unwrap_or_default())
    }

    fn means(
        &mut self,
        model: ModelId,
        peers: &[PeerKey],
    ) -> Result<BTreeMap<PeerKey, Means>, CashierError> {
        let height = self.purse.wallet().book().height();
        let mut means = BTreeMap::new();
        for way in self.ways()?.into_iter().filter(|way| way.model == model) {
            let Ok(channel) = self.purse.wallet().channel(way.channel) else { continue };
            let lives = channel.expiry.0 > height.0.saturating_add(MARGIN);
            if lives && peers.contains(&way.peer) {
                let left = self.drawer(way.channel)?.left();
                means.insert(way.peer, Means { channel: named(way.channel), left });
            }
        }
        Ok(means)
    }

    fn top_up(&mut self, id: CellId) -> Result<Opened, CashierError> {
        let way = self.ways()?.into_iter().find(|way| way.channel == id);
        let number = way.map(|way| way.number).ok_or(CashierError::Gone)?;
        let Self { purse, reach, .. } = self;
        purse.read(reach)?;
        let (wallet, chance) = purse.parts();
        let before = wallet.channel(id).map_err(WalletError::from)?.deposit();
        let draft = wallet.prepare_top_up(id, self.deposit, reach, chance)?;
        wallet.send(draft, reach, chance)?;
        purse.read(reach)?;
        let wallet = purse.wallet();
        let after = wallet.channel(id).map_err(WalletError::from)?.deposit();
        let told = wallet.told(id)?;
        self.drawer(id)?.topped_up(after.saturating_sub(before));
        Ok(Opened { channel: id, number, told })
    }

    fn open_channel(&mut self, terms: &Terms) -> Result<Opened, CashierError> {
        let Self { purse, reach, .. } = self;
        purse.read(reach)?;
        let (wallet, chance) = purse.parts();
        let height = wallet.book().height();
        let life = self.blocks.max(terms.blocks);
        let open = |amount: Amount| OpenPlan {
            amount: amount.max(terms.deposit),
            payee: terms.payee,
            royalties: terms.royalties.clone(),
            expiry: Height(height.0.saturating_add(life)),
        };
        let draft = match wallet.prepare_channel(open(self.deposit), reach, chance) {
            Err(WalletError::Send(SendError::TooLittle { .. })) => {
                wallet.prepare_channel(open(self.least), reach, chance)?
            }
            other => other?,
        };
        wallet.send(draft, reach, chance)?;
        purse.read(reach)?;
        let wallet = purse.wallet();
        let made = wallet.channels().iter().find(|channel| channel.payee == terms.payee);
        let channel = made.map(|channel| channel.cell).ok_or(CashierError::Gone)?;
        Ok(Opened { channel, number: terms.number, told: wallet.told(channel)? })
    }

    fn remember(&mut self, way: Way, last: Option<&Voucher>) -> Result<(), CashierError> {
        if let Some(last) = last {
            self.drawer(way.channel)?.resume(last);
        }
        let mut ways = self.ways()?;
        ways.retain(|known| (known.peer, known.model) != (way.peer, way.model));
        ways.push(way);
        let (wallet, chance) = self.purse.parts();
        Ok(wallet.keep_note(WAYS, &Ways(ways), true, chance)?)
    }

    fn drawer(
        &mut self,
        id: CellId,
    ) -> Result<&mut mutirao_ledger::cell::channel::Drawer, WalletError> {
        if !self.drawers.contains_key(&id) {
            let drawer = self.purse.wallet().drawer(id)?;
            self.drawers.insert(id, drawer);
        }
        self.drawers
            .get_mut(&id)
            .ok_or_else(|| mutirao_wallet::paying::ChannelError::Unknown(id).into())
    }

    /// The voucher leaves only once it is written down what it spends.
    fn draw(&mut self, id: CellId, more: Amount, usage: Digest) -> Result<Vec<u8>, String> {
        let spent = self.spent_with(more).map_err(|error| error.to_string())?;
        if spent > self.daily {
            return Err(format!("{} may be spent in a day", self.daily));
        }
        self.drawer(id).map_err(|error| error.to_string())?;
        let Self { drawers, purse, .. } = self;
        let drawer = drawers.get_mut(&id).ok_or("no such channel")?;
        let drawn = drawer.draw(more, usage, purse.parts().1).map_err(|error| error.to_string())?;
        self.keep_drawn(id, false).map_err(|error| error.to_string())?;
        self.spend(more).map_err(|error| error.to_string())?;
        Ok(drawn.to_bytes())
    }

    pub(super) fn keep_drawn(&mut self, id: CellId, sync: bool) -> Result<(), CashierError> {
        let Some(drawer) = self.drawers.get(&id) else { return Ok(()) };
        let progress = drawer.progress();
        let (wallet, chance) = self.purse.parts();
        Ok(wallet.keep_progress(id, progress, sync, chance)?)
    }
}

/// To which provider a channel of this wallet leads, if that is known.
///
/// # Errors
/// [`WalletError`] when the file is damaged.
pub fn provider_of(wallet: &Wallet, channel: CellId) -> Result<Option<PeerKey>, WalletError> {
    let ways: Option<Ways> = wallet.note(WAYS, WAYS_BYTES_MAX)?;
    let mut ways = ways.map(|ways| ways.0).unwrap_or_default().into_iter();
    Ok(ways.find(|way| way.channel == channel).map(|way| way.peer))
}

/// All ways, in one file.
struct Ways(Vec<Way>);

impl Encode for Ways {
    fn encode(&self, out: &mut Vec<u8>) {
        mutirao_wire::codec::put_list(out, &self.0);
    }
}
impl mutirao_wire::Decode for Ways {
    fn decode(input: &mut mutirao_wire::Reader<'_>) -> Result<Self, mutirao_wire::DecodeError> {
        Ok(Self(input.list("ways", 4096)?))
    }
}
