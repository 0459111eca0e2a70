//! The payee's side of channels: keys to be paid under, the best voucher of each channel, closing.
//!
//! Vouchers stand on no ledger, so what is here cannot be had again from the words: each channel
//! has one of the [`crate::notes`] with its best voucher, replaced at every voucher and synced when
//! an order ends.

use crate::cells::Told;
use crate::paying::ChannelError;
use crate::read::Ledger;
use crate::send::{Draft, Order, SendError};
use crate::wallet::{Wallet, WalletError};
use mutirao_ledger::build::Plan;
use mutirao_ledger::cell::channel::proof::payee_key;
use mutirao_ledger::cell::channel::{Channel, ChannelPlan, ClosePlan, Drawn, Holder, PARTS_MAX};
use mutirao_ledger::cell::till::Share;
use mutirao_ledger::cell::{Cell, CellId, Cells};
use mutirao_ledger::commit::Opening;
use mutirao_ledger::curve::Point;
use mutirao_ledger::rules::Height;
use mutirao_wire::codec::put_list;
use mutirao_wire::{Amount, Decode, DecodeError, Encode, Reader};
use rand_core::CryptoRng;

/// A channel that pays us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earning {
    /// The number of the key that it names.
    pub number: u64,
    /// What it was on the ledger.
    pub channel: Channel,
    /// What its payer told of what is inside.
    pub told: Vec<Opening>,
    /// The best voucher.
    pub best: Option<Drawn>,
}

impl Earning {
    /// What the best voucher is worth.
    #[must_use]
    pub fn earned(&self) -> Amount {
        self.best.as_ref().map_or(Amount::ZERO, |best| best.opening.amount)
    }
}

impl Encode for Earning {
    fn encode(&self, out: &mut Vec<u8>) {
        self.number.encode(out);
        self.channel.encode(out);
        put_list(out, &self.told);
        self.best.encode(out);
    }
}
impl Decode for Earning {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            number: u64::decode(input)?,
            channel: Channel::decode(input)?,
            told: input.list("openings", PARTS_MAX)?,
            best: Option::decode(input)?,
        })
    }
}

/// What a payee insists on before it works for a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Which tills must get which share.
    pub royalties: Vec<Share>,
    /// The least that it must hold.
    pub deposit: Amount,
    /// The height before which it must not expire.
    pub expiry: Height,
}

impl Wallet {
    /// A key that nobody was given, and its number, drawn among 2^64: a stranger who asks for terms
    /// makes nobody write anything.
    ///
    /// # Errors
    /// [`WalletError`].
    // spec: WALLET-7.4
    pub fn new_payee(&self, rng: &mut impl CryptoRng) -> Result<(u64, Point), WalletError> {
        let number = rng.next_u64();
        Ok((number, self.payee(number)?))
    }

    fn payee(&self, number: u64) -> Result<Point, WalletError> {
        let keys = self.spender().ok_or(SendError::ViewOnly)?.keys();
        Ok(payee_key(keys, number).public())
    }

    /// Takes a channel, if it is on the ledger as agreed. One that is known is read anew: it may
    /// have been topped up.
    ///
    /// # Errors
    /// [`WalletError`]; nothing is written then.
    // spec: WALLET-7.4
    pub fn receive_channel(
        &self,
        id: CellId,
        (number, told): (u64, Vec<Opening>),
        terms: &Terms,
        ledger: &mut impl Ledger,
        rng: &mut impl CryptoRng,
    ) -> Result<Earning, WalletError> {
        let cells = Told::ask(ledger, &[id])?;
        let Some(Cell::Channel(channel)) = cells.cell(&id) else {
            return Err(ChannelError::Gone(id).into());
        };
        let best = self.notes().earning(id)?.and_then(|known| known.best);
        let earning = Earning { number, channel, told, best };
        self.holder_of(id, &earning, terms)?;
        self.notes().keep_earning(id, &earning, true, rng)?;
        Ok(earning)
    }

    /// Whether a channel is as agreed.
    fn holder_of(&self, id: CellId, earning: &Earning, terms: &Terms) -> Result<(), WalletError> {
        let holder = self.holder(id, earning)?;
        let channel = &earning.channel;
        let wrong = [
            (channel.royalties != terms.royalties, "its royalties are others"),
            (holder.deposit() < terms.deposit, "it holds too little that was told"),
            (channel.expiry < terms.expiry, "it expires too early"),
        ];
        let wrong = wrong.into_iter().find(|(wrong, _)| *wrong);
        let other = |why: &str| ChannelError::Other { id, why: why.to_owned() };
        wrong.map_or(Ok(()), |(_, why)| Err(other(why).into()))
    }

    /// Keeps vouchers of a channel, from its best one on.
    ///
    /// # Errors
    /// [`WalletError`] when it is not what it was taken for.
    pub fn holder(&self, id: CellId, earning: &Earning) -> Result<Holder, WalletError> {
        let rules = self.book().reading.map(|it| it.rules).ok_or(SendError::Unread)?;
        let payee = self.payee(earning.number)?;
        let other =
            |error: &dyn std::fmt::Display| ChannelError::Other { id, why: error.to_string() };
        let holder = Holder::new(rules.chain, id, &earning.channel, payee, &earning.told);
        let mut holder = holder.map_err(|error| other(&error))?;
        if let Some(best) = &earning.best {
            holder.accept(best.clone()).map_err(|error| other(&error))?;
        }
        Ok(holder)
    }

    /// Makes it ready to take what the best voucher of a channel says; none without a voucher.
    ///
    /// # Errors
    /// [`WalletError`].
    // spec: WALLET-7.6
    pub fn prepare_close(
        &self,
        id: CellId,
        ledger: &mut impl Ledger,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Draft>, WalletError> {
        let earning = self.notes().earning(id)?.ok_or(ChannelError::Unknown(id))?;
        let Some(drawn) = earning.best else { return Ok(None) };
        let told = Told::ask(ledger, &[id])?;
        if told.cell(&id).is_none() {
            return Err(ChannelError::Gone(id).into());
        }
        let keys = self.spender().ok_or(SendError::ViewOnly)?.keys();
        let key = payee_key(keys, earning.number);
        let close = ChannelPlan::Close(ClosePlan { drawn, told: earning.told, key });
        Ok(Some(self.prepare(&Order::plan(Plan::Channel(close)), &told, rng)?))
    }
}
