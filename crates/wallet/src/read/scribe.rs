//! From a block that concerns us to what the book says of it.

use crate::book::{
    Act, Arrival, Book, Entry, Held, LOOK_AHEAD, OwnChannel, OwnDeed, OwnTill, Spent,
};
use crate::keys::Keys;
use mutirao_ledger::cell::channel::{ChannelAction, Payer};
use mutirao_ledger::cell::deed::{DeedAction, DeedOpening};
use mutirao_ledger::cell::keepsake::{Keepsake, Side};
use mutirao_ledger::cell::till::{TillAction, proof};
use mutirao_ledger::cell::{Action, CellId};
use mutirao_ledger::note::NoteIndex;
use mutirao_ledger::note::memo::Memo;
use mutirao_ledger::scan::{CompactTx, Found};
use mutirao_ledger::service::Piece;
use mutirao_ledger::tx::{Issue, Transaction};
use mutirao_wire::Amount;

/// Keys of tills beyond the last one known that a till is held against.
// spec: WALLET-1.3
const TILLS_AHEAD: u64 = 32;

/// Writes one block into a book.
pub(super) struct Scribe<'a> {
    keys: &'a Keys,
    book: &'a mut Book,
    piece: &'a Piece,
}

impl<'a> Scribe<'a> {
    pub(super) fn new(keys: &'a Keys, book: &'a mut Book, piece: &'a Piece) -> Self {
        Self { keys, book, piece }
    }

    /// Whether the block brings us something or spends something of ours.
    pub(super) fn concerns_us(&self, found: &[(usize, Found)]) -> bool {
        let spends = |tx: &CompactTx| tx.tags.iter().any(|tag| self.book.tagged(tag).is_some());
        !found.is_empty() || self.piece.transactions.iter().any(spends)
    }

    /// Notes of everybody before this block.
    pub(super) fn notes_before(&self) -> u64 {
        self.book.reading.map_or(0, |reading| reading.notes)
    }

    /// Writes it down; `whole` are the block's transactions, in the same order.
    pub(super) fn write(&mut self, found: Vec<(usize, Found)>, whole: &[Transaction]) {
        let mut found = found.into_iter().peekable();
        let piece = self.piece;
        for (at, (tx, transaction)) in piece.transactions.iter().zip(whole).enumerate() {
            let mut ours = Vec::new();
            while let Some((_, one)) = found.next_if(|(number, _)| *number == at) {
                ours.push(one);
            }
            self.one(tx, transaction, ours);
        }
    }

    fn one(&mut self, tx: &CompactTx, transaction: &Transaction, ours: Vec<Found>) {
        let spent = self.spend(tx);
        let mut entry = Entry {
            tx: tx.id,
            height: self.piece.height,
            time: self.piece.time,
            spent: spent.unwrap_or_default(),
            returned: Amount::ZERO,
            arrivals: Vec::new(),
            fee: transaction.body.fee,
            minted: matches!(transaction.body.issue, Issue::Mint { .. }),
            acts: Vec::new(),
        };
        let carried: Vec<(u8, NoteIndex, Memo)> = ours
            .into_iter()
            .filter_map(|one| self.take(tx, transaction, one, &mut entry))
            .collect();
        let taken = !carried.is_empty();
        if !taken && spent.is_none() {
            return;
        }
        for (at, action) in transaction.body.actions.iter().enumerate() {
            let act = match action {
                Action::Till(action) => self.till(action, CellId::new(tx.id, at)),
                Action::Deed(action) => self.deed(action, CellId::new(tx.id, at), &carried),
                Action::Channel(action) => self.channel(action, CellId::new(tx.id, at), &carried),
                // Their keepsakes are notes of ours; what they are about the book does not say yet.
                Action::Bond(_) | Action::Challenge(_) => None,
            };
            entry.acts.extend(act);
        }
        self.book.enter(entry);
    }

    /// What it spends of ours; none when it spends nothing of ours.
    fn spend(&mut self, tx: &CompactTx) -> Option<Amount> {
        let spent = Spent { tx: tx.id, height: self.piece.height };
        let mut sum = None;
        for tag in &tx.tags {
            if let Some(held) = self.book.spend(tag, spent) {
                let before: Amount = sum.unwrap_or_default();
                // Amounts of one transaction add up below 2^64: the supply does.
                sum = Some(Amount(before.0.saturating_add(held.note.opening.amount.0)));
            }
        }
        sum
    }

    /// Takes in a note; where it stands and what was said with it, if it was new.
    fn take(
        &mut self,
        tx: &CompactTx,
        transaction: &Transaction,
        found: Found,
        entry: &mut Entry,
    ) -> Option<(u8, NoteIndex, Memo)> {
        let output = u8::try_from(found.output).ok()?;
        let whole = transaction.body.outputs.get(found.output)?;
        let Found { index, note, .. } = found;
        let memo = note.open_memo(whole).unwrap_or_default();
        let (address, amount, own) = (note.address, note.opening.amount, note.own);
        let tag = self.keys.balance().map(|keys| *keys.tag(&note).bytes());
        let height = self.piece.height;
        let held = Held { index, tx: tx.id, output, height, note, tag, spent: None };
        if !self.book.hold(held) {
            return None;
        }
        if own {
            entry.returned = Amount(entry.returned.0.saturating_add(amount.0));
        } else {
            let memo = memo.words().to_vec();
            entry.arrivals.push(Arrival { output, address, amount, memo });
        }
        self.widen(address.0);
        Some((output, index, memo))
    }

    /// Somebody paid a subaddress that this wallet does not remember giving away.
    // spec: WALLET-4.4
    fn widen(&mut self, index: u64) {
        self.book.issued = self.book.issued.max(index);
        let wanted = index.saturating_add(LOOK_AHEAD);
        if wanted > self.book.window {
            self.book.window = wanted.max(self.book.window.saturating_mul(2));
        }
    }

    fn till(&mut self, action: &TillAction, cell: CellId) -> Option<Act> {
        match action {
            TillAction::Open { key, .. } => {
                let spender = self.keys.spender()?;
                let known = self.book.tills.iter().map(|till| till.number + 1).max().unwrap_or(0);
                let mut numbers = 0..known.saturating_add(TILLS_AHEAD);
                let is_it = |number: &u64| {
                    proof::public_key(&spender.till_key(*number)).as_ref() == Some(key)
                };
                let number = numbers.find(is_it)?;
                self.book.tills.push(OwnTill { cell, number });
                Some(Act::TillOpened(cell))
            }
            TillAction::Deposit { till, .. } => Some(Act::TillPaid(*till)),
            TillAction::Payout { till, .. } => Some(Act::TillPaidOut(*till)),
        }
    }

    // spec: WALLET-7.1
    fn channel(
        &mut self,
        action: &ChannelAction,
        made: CellId,
        carried: &[(u8, NoteIndex, Memo)],
    ) -> Option<Act> {
        let mut kept = carried.iter().filter_map(|(_, _, memo)| Keepsake::from_memo(memo));
        match action {
            ChannelAction::Open { payer, payee, royalties, expiry, .. } => {
                let keys = self.keys.spender()?.keys();
                let ours = |kept: &Keepsake| {
                    kept.side == Side::Payer && Payer::new(keys, kept).party().public() == *payer
                };
                let (cell, kept) = (made, vec![kept.find(ours)?]);
                let (payee, royalties, expiry) = (*payee, royalties.clone(), *expiry);
                self.book.channels.push(OwnChannel { cell, kept, payee, royalties, expiry });
                Some(Act::ChannelOpened(cell))
            }
            ChannelAction::TopUp { channel, .. } => {
                let own = self.book.channels.iter_mut().find(|own| own.cell == *channel)?;
                let nonce = own.kept.first()?.nonce;
                own.kept.push(kept.find(|kept| kept.nonce == nonce)?);
                Some(Act::ChannelToppedUp(*channel))
            }
            ChannelAction::Close { voucher, .. } => Some(Act::ChannelClosed(voucher.channel)),
            ChannelAction::Settle { channel } => {
                self.book.channels.retain(|own| own.cell != *channel);
                Some(Act::ChannelSettled(*channel))
            }
            ChannelAction::Refund { channel } => {
                self.book.channels.retain(|own| own.cell != *channel);
                Some(Act::ChannelRefunded(*channel))
            }
        }
    }

    fn deed(
        &mut self,
        action: &DeedAction,
        made: CellId,
        carried: &[(u8, NoteIndex, Memo)],
    ) -> Option<Act> {
        let (cell, name, carrier) = match action {
            DeedAction::Register { name, carrier } => (made, name, carrier),
            DeedAction::Transfer { deed, name, carrier } => (*deed, name, carrier),
            DeedAction::Retire { deed } => {
                return self.lose(*deed);
            }
        };
        let lost = self.lose(cell);
        let came = carried.iter().find(|(output, ..)| output == carrier);
        let opening = came.and_then(|(_, owner, memo)| {
            let opening = DeedOpening::from_memo(memo)?;
            (opening.commit() == *name).then_some((*owner, opening))
        });
        let Some((owner, opening)) = opening else { return lost };
        let named = opening.name;
        self.book.deeds.push(OwnDeed { cell, opening, owner });
        Some(Act::DeedCame(cell, named))
    }

    fn lose(&mut self, cell: CellId) -> Option<Act> {
        let before = self.book.deeds.len();
        self.book.deeds.retain(|deed| deed.cell != cell);
        (self.book.deeds.len() < before).then_some(Act::DeedLeft(cell))
    }
}
