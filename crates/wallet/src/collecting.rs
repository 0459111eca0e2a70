//! What lies in the tills of a wallet: others pay into them, in transactions that bring it no note,
//! so every whole block is read and each deposit is held against the tills' keys.
//!
//! Reading all blocks shows a ledger nothing about which till is whose.

use crate::book::OwnTill;
use crate::cells::Told;
use crate::read::{Ledger, ReadError, head};
use crate::send::{Draft, Order, SendError};
use crate::wallet::{Wallet, WalletError};
use mutirao_ledger::build::Plan;
use mutirao_ledger::cell::channel::ChannelAction;
use mutirao_ledger::cell::till::{Deposit, OpenPlan, PayoutPlan, Share, TillAction, proof};
use mutirao_ledger::cell::{Action, Cell, CellId, Cells};
use mutirao_ledger::key::Secret;
use mutirao_ledger::rules::Height;
use mutirao_ledger::service::{Answer, Question};
use mutirao_wire::codec::put_list;
use mutirao_wire::{Amount, Decode, DecodeError, Encode, Reader, record};
use rand_core::CryptoRng;

/// The file that remembers what was read.
const FILE: &str = "tills";
const FILE_BYTES_MAX: usize = 1 << 20;
/// Tills in it at most.
const TILLS_MAX: usize = 4096;
/// Where somebody lied about an amount, it is looked for below two to this.
const SEARCH_BITS: u32 = 36;

/// What lies in one till.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collected {
    /// Which.
    pub till: CellId,
    /// Can be taken out.
    pub settled: Amount,
    /// Can be taken out in the next epoch.
    pub current: Amount,
    /// The epoch of `current`.
    epoch: u64,
}

record!(Collected { till, settled, current, epoch });

impl Collected {
    fn new(till: CellId) -> Self {
        Self { till, settled: Amount::ZERO, current: Amount::ZERO, epoch: 0 }
    }

    /// As it is in an epoch.
    fn roll(&mut self, epoch: u64) {
        if epoch > self.epoch {
            self.settled = Amount(self.settled.0.saturating_add(self.current.0));
            (self.current, self.epoch) = (Amount::ZERO, epoch);
        }
    }
}

/// How far blocks were read, and what they brought.
#[derive(Debug, Clone, Default)]
struct Collection {
    height: u64,
    tills: Vec<Collected>,
}

impl Encode for Collection {
    fn encode(&self, out: &mut Vec<u8>) {
        self.height.encode(out);
        put_list(out, &self.tills);
    }
}
impl Decode for Collection {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { height: u64::decode(input)?, tills: input.list("tills", TILLS_MAX)? })
    }
}

impl Wallet {
    /// Makes a new till ready, which passes shares on to others.
    ///
    /// # Errors
    /// [`WalletError`].
    // spec: WALLET-8.1
    pub fn prepare_till(
        &self,
        shares: Vec<Share>,
        ledger: &mut impl Ledger,
        rng: &mut impl CryptoRng,
    ) -> Result<Draft, WalletError> {
        let ids: Vec<CellId> = shares.iter().map(|share| share.till).collect();
        let told = Told::ask(ledger, &ids)?;
        let known = self.book().tills.iter().map(|till| till.number + 1).max().unwrap_or(0);
        let key = self.till_key(known)?;
        Ok(self.prepare(&Order::plan(Plan::OpenTill(OpenPlan { key, shares })), &told, rng)?)
    }

    fn till_key(&self, number: u64) -> Result<Secret, SendError> {
        Ok(self.spender().ok_or(SendError::ViewOnly)?.till_key(number))
    }

    /// Reads all blocks that are new and says what lies in the tills of this wallet.
    ///
    /// # Errors
    /// [`WalletError`].
    // spec: WALLET-8.2
    pub fn collect(
        &self,
        ledger: &mut impl Ledger,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<Collected>, WalletError> {
        let tills = &self.book().tills;
        let mut kept: Collection = self.notes().read(FILE, FILE_BYTES_MAX)?.unwrap_or_default();
        if kept.tills.len() != tills.len() {
            // A till that is new here may have been paid before.
            let fresh = tills.iter().map(|till| Collected::new(till.cell)).collect();
            kept = Collection { height: 0, tills: fresh };
        }
        let keys = self.keys_of(tills)?;
        let head = head(ledger)?;
        while kept.height < head.height.0 {
            let height = Height(kept.height + 1);
            let epoch = head.rules.epoch(height);
            for action in actions(height, ledger)? {
                note(&action, epoch, &keys, &mut kept.tills);
            }
            kept.height = height.0;
        }
        let now = head.rules.epoch(Height(head.height.0 + 1));
        self.notes().keep(FILE, &kept, false, rng)?;
        kept.tills.iter_mut().for_each(|till| till.roll(now));
        Ok(kept.tills)
    }

    fn keys_of(&self, tills: &[OwnTill]) -> Result<Vec<Secret>, SendError> {
        tills.iter().map(|till| self.till_key(till.number)).collect()
    }

    /// Makes it ready to take out what is settled; what the till passes on goes to the others. None
    /// where there is nothing.
    ///
    /// # Errors
    /// [`WalletError`].
    // spec: WALLET-8.3
    pub fn prepare_payout(
        &self,
        till: CellId,
        ledger: &mut impl Ledger,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Draft>, WalletError> {
        let number = self.book().tills.iter().find(|own| own.cell == till).map(|own| own.number);
        let number = number.ok_or(crate::paying::ChannelError::Unknown(till))?;
        let key = self.till_key(number)?;
        let collected = self.collect(ledger, rng)?.into_iter().find(|it| it.till == till);
        let told = Told::ask(ledger, &[till])?;
        let rules = self.book().reading.map(|it| it.rules).ok_or(SendError::Unread)?;
        let next = Height(head(ledger)?.height.0.saturating_add(1));
        let Some(Cell::Till(cell)) = told.cell(&till) else { return Ok(None) };
        let settled = cell.at(rules.epoch(next)).settled;
        let believed = collected.map(|it| it.settled).filter(|it| settled.holds(&key, *it));
        let total = believed.or_else(|| settled.search(&key, SEARCH_BITS)).unwrap_or_default();
        if total == Amount::ZERO {
            return Ok(None);
        }
        let payout = PayoutPlan { till, key, total };
        Ok(Some(self.prepare(&Order::plan(Plan::Payout(payout)), &told, rng)?))
    }
}

/// What happens to cells in a block.
fn actions(height: Height, ledger: &mut impl Ledger) -> Result<Vec<Action>, WalletError> {
    match ledger.ask(&Question::Block(height)).map_err(ReadError::from)? {
        Answer::Block(block) => {
            let transactions = block.transactions.into_iter();
            Ok(transactions.flat_map(|transaction| transaction.body.actions).collect())
        }
        _ => Err(ReadError::Forgotten { after: height.0.saturating_sub(1) }.into()),
    }
}

/// Adds what an action brings to our tills, and takes away what it pays out.
fn note(action: &Action, epoch: u64, keys: &[Secret], tills: &mut [Collected]) {
    let deposits: &[Deposit] = match action {
        Action::Till(TillAction::Deposit { deposit, .. }) => std::slice::from_ref(deposit),
        Action::Till(TillAction::Payout { till, shares, .. }) => {
            if let Some(own) = tills.iter_mut().find(|own| own.till == *till) {
                own.roll(epoch);
                own.settled = Amount::ZERO;
            }
            shares
        }
        Action::Channel(ChannelAction::Close { royalties, .. }) => royalties,
        _ => return,
    };
    for deposit in deposits {
        for (key, till) in keys.iter().zip(tills.iter_mut()) {
            if let Some(amount) = proof::read(key, deposit) {
                till.roll(epoch);
                till.current = Amount(till.current.0.saturating_add(amount.0));
            }
        }
    }
}
