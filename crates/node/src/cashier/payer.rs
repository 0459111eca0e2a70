//! Paying: channels towards providers.

use super::vouchers::{Lane, Vouchers};
use super::{Cashier, CashierError, Desk, Way, cell};
use crate::callers::Caller;
use mutirao_ledger::cell::CellId;
use mutirao_ledger::cell::channel::{OpenPlan, Voucher};
use mutirao_ledger::commit::Opening;
use mutirao_ledger::deal::{Ask, Terms};
use mutirao_ledger::rules::Height;
use mutirao_market::session::client::Means;
use mutirao_wallet::send::SendError;
use mutirao_wallet::{Wallet, WalletError};
use mutirao_wire::codec::put_list;
use mutirao_wire::{
    Amount, ChannelId, Decode, DecodeError, Digest, Encode, ModelId, PeerKey, Reader,
};
use std::collections::BTreeMap;

/// The file that says which channel leads to whom.
const WAYS: &str = "ways";
const WAYS_BYTES_MAX: usize = 1 << 20;
const WAYS_MAX: usize = 4096;
/// Bytes of a sealed tab at most.
const TAB_BYTES_MAX: usize = 256;

/// The file of what requests took of a channel.
fn tab(channel: ChannelId) -> String {
    format!("tab-{}", channel.0.hex())
}

/// A channel that stands on the ledger, and what its payee has to be told.
#[derive(Debug)]
pub(crate) struct Opened {
    pub channel: CellId,
    pub number: u64,
    pub told: Vec<Opening>,
}

impl Cashier {
    /// What may still be spent today, by whoever asks; nothing where that cannot be read.
    pub(crate) fn left_today(&self, caller: Option<&Caller>) -> Amount {
        self.vouchers().left_today(caller).unwrap_or_else(|error| {
            tracing::error!(%error, "what was spent today cannot be read; nothing more is");
            Amount::ZERO
        })
    }

    /// The channels that lead to these providers for a model, and what is left in them.
    pub(crate) fn means(&self, model: ModelId, peers: &[PeerKey]) -> BTreeMap<PeerKey, Means> {
        self.vouchers().means(model, peers)
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

    /// What was drawn of a channel so far.
    pub(crate) fn drawn(&self, channel: ChannelId) -> Amount {
        let vouchers = self.vouchers();
        let lane = vouchers.lanes.get(&cell(channel));
        lane.map_or(Amount::ZERO, |lane| lane.drawer.progress().paid)
    }

    /// What the payee of a channel says that requests took of it, as it was heard last.
    pub(crate) fn tab(&self, channel: ChannelId) -> Amount {
        let kept = self.vouchers().notes.read(&tab(channel), TAB_BYTES_MAX);
        kept.ok().flatten().unwrap_or_default()
    }

    /// Remembers that. A tab that is lost costs a question more.
    pub(crate) fn keep_tab(&self, channel: ChannelId, settled: Amount) {
        let mut vouchers = self.vouchers();
        let Vouchers { notes, chance, .. } = &mut *vouchers;
        if let Err(error) = notes.keep(&tab(channel), &settled, false, chance) {
            tracing::warn!(%error, "what requests took of a channel was not written down");
        }
    }

    /// The words that show a channel to its payee once more.
    ///
    /// # Errors
    /// [`CashierError`].
    pub(crate) async fn shown_again(
        &self,
        channel: ChannelId,
        model: ModelId,
    ) -> Result<Vec<u8>, CashierError> {
        self.ask(move |desk| desk.shown_again(cell(channel), model)).await?
    }

    /// Draws a voucher: its bytes as they go into a frame. No ledger is asked.
    ///
    /// # Errors
    /// Why the channel gives none.
    pub(crate) fn draw(
        &self,
        channel: ChannelId,
        more: Amount,
        usage: Digest,
        caller: Option<&Caller>,
    ) -> Result<Vec<u8>, String> {
        self.vouchers().draw(channel, more, usage, caller)
    }

    /// Waits for the disk: an answer is paid.
    pub(crate) async fn settle(&self) {
        let cashier = self.clone();
        let _ = tokio::task::spawn_blocking(move || cashier.vouchers().settle()).await;
    }
}

impl Desk {
    fn ways(&self) -> Result<Vec<Way>, CashierError> {
        Ok(ways(self.purse.wallet())?)
    }

    /// Makes all channels ready that lead somewhere.
    pub(super) fn ready_lanes(&self) -> Result<(), CashierError> {
        for way in self.ways()? {
            self.ready_lane(way)?;
        }
        Ok(())
    }

    /// One that was taken back leads nowhere any more.
    fn ready_lane(&self, way: Way) -> Result<(), WalletError> {
        let wallet = self.purse.wallet();
        let Ok(channel) = wallet.channel(way.channel) else { return Ok(()) };
        let (expiry, drawer) = (channel.expiry, wallet.drawer(way.channel)?);
        self.vouchers().lanes.entry(way.channel).or_insert(Lane { way, expiry, drawer });
        Ok(())
    }

    fn open_channel(&mut self, terms: &Terms) -> Result<Opened, CashierError> {
        self.read()?;
        let Self { purse, reach, .. } = self;
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
        self.read()?;
        let wallet = self.purse.wallet();
        let made = wallet.channels().iter().find(|channel| channel.payee == terms.payee);
        let channel = made.map(|channel| channel.cell).ok_or(CashierError::Gone)?;
        Ok(Opened { channel, number: terms.number, told: wallet.told(channel)? })
    }

    fn top_up(&mut self, id: CellId) -> Result<Opened, CashierError> {
        let way = self.ways()?.into_iter().find(|way| way.channel == id);
        let number = way.map(|way| way.number).ok_or(CashierError::Gone)?;
        self.read()?;
        let Self { purse, reach, .. } = self;
        let (wallet, chance) = purse.parts();
        let before = wallet.channel(id).map_err(WalletError::from)?.deposit();
        let draft = wallet.prepare_top_up(id, self.deposit, reach, chance)?;
        wallet.send(draft, reach, chance)?;
        self.read()?;
        let wallet = self.purse.wallet();
        let after = wallet.channel(id).map_err(WalletError::from)?.deposit();
        let told = wallet.told(id)?;
        if let Some(lane) = self.vouchers().lanes.get_mut(&id) {
            lane.drawer.topped_up(after.saturating_sub(before));
        }
        Ok(Opened { channel: id, number, told })
    }

    fn shown_again(&mut self, channel: CellId, model: ModelId) -> Result<Vec<u8>, CashierError> {
        let way = self.ways()?.into_iter().find(|way| way.channel == channel);
        let number = way.map(|way| way.number).ok_or(CashierError::Gone)?;
        let told = self.purse.wallet().told(channel)?;
        Ok(Ask::Take { model, channel, number, told }.to_bytes())
    }

    fn remember(&mut self, way: Way, last: Option<&Voucher>) -> Result<(), CashierError> {
        self.ready_lane(way)?;
        if let Some(last) = last {
            self.vouchers().resume(way.channel, last);
        }
        let mut ways = self.ways()?;
        ways.retain(|known| known.channel != way.channel);
        ways.push(way);
        let (wallet, chance) = self.purse.parts();
        Ok(wallet.notes().keep(WAYS, &Ways(ways), true, chance)?)
    }
}

pub(super) fn ways(wallet: &Wallet) -> Result<Vec<Way>, WalletError> {
    let ways: Option<Ways> = wallet.notes().read(WAYS, WAYS_BYTES_MAX)?;
    Ok(ways.map(|ways| ways.0).unwrap_or_default())
}

/// To which provider a channel of this wallet leads, if that is known.
///
/// # Errors
/// [`WalletError`] when the file is damaged.
pub fn provider_of(wallet: &Wallet, channel: CellId) -> Result<Option<PeerKey>, WalletError> {
    let mut ways = ways(wallet)?.into_iter();
    Ok(ways.find(|way| way.channel == channel).map(|way| way.peer))
}

/// All ways, in one file.
struct Ways(Vec<Way>);

impl Encode for Ways {
    fn encode(&self, out: &mut Vec<u8>) {
        put_list(out, &self.0);
    }
}
impl Decode for Ways {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(input.list("ways", WAYS_MAX)?))
    }
}
