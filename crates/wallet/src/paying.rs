//! The payer's side of channels: opening, drawing vouchers, taking back what is left.
//!
//! Everything but the number of the last voucher follows from the words and the ledger; that number
//! is among the [`crate::notes`].

use crate::book::OwnChannel;
use crate::cells::Told;
use crate::read::Ledger;
use crate::send::{Draft, Order, SendError};
use crate::wallet::{Wallet, WalletError};
use mutirao_ledger::build::Plan;
use mutirao_ledger::cell::channel::{ChannelPlan, Drawer, OpenPlan, Payer, RefundPlan, TopUpPlan};
use mutirao_ledger::cell::{Cell, CellId, Cells};
use mutirao_ledger::commit::Opening;
use mutirao_wire::Amount;
use rand_core::CryptoRng;
use thiserror::Error;

/// Why nothing can be done with a channel.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// Not one of ours.
    #[error("this wallet has no channel {}; `mutirao channel ls` lists them", .0.0.short())]
    Unknown(CellId),
    /// It ended.
    #[error("channel {} is not on the ledger any more: it was taken back", .0.0.short())]
    Gone(CellId),
    /// A channel on the ledger that is not what was agreed.
    #[error("channel {} is not as agreed: {why}", id.0.short())]
    Other {
        /// Which.
        id: CellId,
        /// What is different.
        why: String,
    },
}

impl Wallet {
    /// Makes the opening of a channel ready. The tills of its royalties must be on the ledger.
    ///
    /// # Errors
    /// [`WalletError`].
    // spec: WALLET-7.1
    pub fn prepare_channel(
        &self,
        open: OpenPlan,
        ledger: &mut impl Ledger,
        rng: &mut impl CryptoRng,
    ) -> Result<Draft, WalletError> {
        let tills: Vec<CellId> = open.royalties.iter().map(|share| share.till).collect();
        let told = Told::ask(ledger, &tills)?;
        Ok(self.prepare(&Order::plan(Plan::Channel(ChannelPlan::Open(open))), &told, rng)?)
    }

    /// Makes it ready to put more into a channel.
    ///
    /// # Errors
    /// [`WalletError`].
    // spec: WALLET-7.1
    pub fn prepare_top_up(
        &self,
        id: CellId,
        amount: Amount,
        ledger: &mut impl Ledger,
        rng: &mut impl CryptoRng,
    ) -> Result<Draft, WalletError> {
        let kept = *self.channel(id)?.kept.first().ok_or(ChannelError::Unknown(id))?;
        let told = Told::ask(ledger, &[id])?;
        let more = ChannelPlan::TopUp(TopUpPlan { channel: id, kept, amount });
        Ok(self.prepare(&Order::plan(Plan::Channel(more)), &told, rng)?)
    }

    /// Makes it ready to take back what is left: of a closed channel at once, of an open one once
    /// it expired.
    ///
    /// # Errors
    /// [`WalletError`].
    // spec: WALLET-7.3
    pub fn prepare_refund(
        &self,
        id: CellId,
        ledger: &mut impl Ledger,
        rng: &mut impl CryptoRng,
    ) -> Result<Draft, WalletError> {
        let kept = self.channel(id)?.kept.clone();
        let told = Told::ask(ledger, &[id])?;
        if told.cell(&id).is_none() {
            return Err(ChannelError::Gone(id).into());
        }
        let back = ChannelPlan::Refund(RefundPlan { channel: id, kept });
        Ok(self.prepare(&Order::plan(Plan::Channel(back)), &told, rng)?)
    }

    /// Channels that this wallet opened and has not taken back.
    #[must_use]
    pub fn channels(&self) -> &[OwnChannel] {
        &self.book().channels
    }

    /// One of them.
    ///
    /// # Errors
    /// [`ChannelError::Unknown`].
    pub fn channel(&self, id: CellId) -> Result<&OwnChannel, ChannelError> {
        let found = self.channels().iter().find(|channel| channel.cell == id);
        found.ok_or(ChannelError::Unknown(id))
    }

    /// Its payer, who makes all its secrets again.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn payer(&self, id: CellId) -> Result<Payer, WalletError> {
        let keys = self.spender().ok_or(SendError::ViewOnly)?.keys();
        let kept = self.channel(id)?.kept.first().ok_or(ChannelError::Unknown(id))?;
        Ok(Payer::new(keys, kept))
    }

    /// What the payee is told, so that it can open what covers the vouchers.
    ///
    /// # Errors
    /// [`WalletError`].
    // spec: WALLET-7.2
    pub fn told(&self, id: CellId) -> Result<Vec<Opening>, WalletError> {
        let payer = self.payer(id)?;
        Ok(self.channel(id)?.kept.iter().map(|kept| payer.part(kept)).collect())
    }

    /// Draws its vouchers, from where the last one left off.
    ///
    /// # Errors
    /// [`WalletError`].
    // spec: WALLET-7.2
    pub fn drawer(&self, id: CellId) -> Result<Drawer, WalletError> {
        let rules = self.book().reading.map(|it| it.rules).ok_or(SendError::Unread)?;
        let (payer, deposit) = (self.payer(id)?, self.channel(id)?.deposit());
        Ok(Drawer::new(rules.chain, id, payer, deposit, self.notes().progress(id)?))
    }

    /// What a channel of ours is on the ledger; none when it is not there any more.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn look_at(
        &self,
        ids: &[CellId],
        ledger: &mut impl Ledger,
    ) -> Result<Vec<Option<Cell>>, WalletError> {
        let mut cells = Vec::new();
        for some in ids.chunks(mutirao_ledger::service::CELLS_MAX) {
            let told = Told::ask(ledger, some)?;
            cells.extend(some.iter().map(|id| told.cell(id)));
        }
        Ok(cells)
    }
}
