//! Transactions that wait for a block: which there are, which exclude one another, who comes first.
//!
//! Everything here was checked before and is bounded. A transaction leaves when a block with it is
//! final, not when one is proposed; when another one takes what it would; when its last height has
//! passed; or when somebody pays more for its place.

use mutirao_ledger::cell::bond::BondAction;
use mutirao_ledger::cell::deed::DeedAction;
use mutirao_ledger::cell::till::TillAction;
use mutirao_ledger::cell::{Action, CellId};
use mutirao_ledger::rules::Height;
use mutirao_ledger::service::{Refusal, RefusalKind};
use mutirao_ledger::tx::{Transaction, TxId};
use mutirao_wire::Encode;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Transactions.
    pub transactions: usize,
    /// Bytes of all of them.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { transactions: 20_000, bytes: 64 << 20 }
    }
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Transactions.
    pub transactions: usize,
    /// Bytes of all of them.
    pub bytes: usize,
}

/// What one transaction takes and no other can take too.
// spec: CHAIN-5.3
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Taken {
    /// A note.
    Tag([u8; 32]),
    /// A one-time key.
    Key([u8; 32]),
    /// What a till has settled.
    Pot(CellId),
    /// A deed.
    Deed(CellId),
    /// What a channel, a bond or a challenge holds.
    Held(CellId),
}

fn taken(tx: &Transaction) -> Vec<Taken> {
    let tags = tx.body.spends.iter().map(|spend| Taken::Tag(*spend.tag.bytes()));
    let keys = tx.body.outputs.iter().map(|output| Taken::Key(*output.one_time.bytes()));
    let cells = tx.body.actions.iter().filter_map(|action| match action {
        Action::Till(TillAction::Payout { till, .. }) => Some(Taken::Pot(*till)),
        Action::Deed(DeedAction::Transfer { deed, .. } | DeedAction::Retire { deed }) => {
            Some(Taken::Deed(*deed))
        }
        Action::Channel(action) if action.takes() => action.channel().map(Taken::Held),
        Action::Bond(BondAction::Withdraw { bond }) => Some(Taken::Held(*bond)),
        Action::Challenge(action) if action.takes() => Some(Taken::Held(action.subject())),
        _ => None,
    });
    tags.chain(keys).chain(cells).collect()
}

/// Who comes first: the higher fee for a byte, then who came earlier.
type Rank = (Reverse<u64>, u64);

#[derive(Debug)]
struct Entry {
    transaction: Transaction,
    taken: Vec<Taken>,
    bytes: usize,
    rank: Rank,
}

/// All that waits.
#[derive(Debug)]
pub struct Mempool {
    limits: Limits,
    entries: BTreeMap<TxId, Entry>,
    order: BTreeMap<Rank, TxId>,
    takes: BTreeMap<Taken, TxId>,
    until: BTreeSet<(Height, TxId)>,
    bytes: usize,
    came: u64,
}

impl Mempool {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: BTreeMap::new(),
            order: BTreeMap::new(),
            takes: BTreeMap::new(),
            until: BTreeSet::new(),
            bytes: 0,
            came: 0,
        }
    }

    pub fn standing(&self) -> Standing {
        Standing { transactions: self.entries.len(), bytes: self.bytes }
    }

    pub fn get(&self, id: &TxId) -> Option<&Transaction> {
        self.entries.get(id).map(|entry| &entry.transaction)
    }

    /// In the order in which they should stand in a block.
    pub fn in_order(&self) -> impl Iterator<Item = (&TxId, &Transaction, usize)> {
        self.order.values().filter_map(|id| {
            let entry = self.entries.get(id)?;
            Some((id, &entry.transaction, entry.bytes))
        })
    }

    /// Whether something that waits takes what this one would.
    pub fn conflict(&self, tx: &Transaction) -> Option<Refusal> {
        let other = taken(tx).iter().find_map(|it| self.takes.get(it).map(|id| (*it, *id)))?;
        let (kind, what) = match other.0 {
            Taken::Tag(_) => (RefusalKind::Spent, "a note that it spends"),
            Taken::Key(_) => (RefusalKind::Conflict, "a one-time key of it"),
            Taken::Pot(_) => (RefusalKind::Conflict, "the pot of a till that it takes"),
            Taken::Deed(_) => (RefusalKind::Conflict, "a deed that it moves"),
            Taken::Held(_) => (RefusalKind::Conflict, "what a cell holds"),
        };
        let why = format!("{what} is taken by transaction {}, which waits", other.1.0.short());
        Some(Refusal::new(kind, &why))
    }

    /// Takes one in that was checked and conflicts with nothing; returns those whose place it took.
    ///
    /// # Errors
    /// A refusal where there is no place for what it pays.
    // spec: CHAIN-5.4
    pub fn insert(&mut self, transaction: Transaction) -> Result<Vec<TxId>, Refusal> {
        let bytes = transaction.to_bytes().len();
        let rank = (Reverse(rate(&transaction, bytes)), self.came);
        let evicted = self.make_room(bytes, rank)?;
        for id in &evicted {
            self.remove(id);
        }
        self.came += 1;
        let id = transaction.id();
        let taken = taken(&transaction);
        self.takes.extend(taken.iter().map(|it| (*it, id)));
        self.order.insert(rank, id);
        self.until.insert((transaction.body.valid_until, id));
        self.bytes += bytes;
        self.entries.insert(id, Entry { transaction, taken, bytes, rank });
        Ok(evicted)
    }

    /// Those that must go for `bytes` of that rank, from the last one up.
    fn make_room(&self, bytes: usize, rank: Rank) -> Result<Vec<TxId>, Refusal> {
        let (mut count, mut held) = (self.entries.len() + 1, self.bytes + bytes);
        let mut evicted = Vec::new();
        let mut last = self.order.iter().rev();
        while count > self.limits.transactions || held > self.limits.bytes {
            let full = || {
                let why = format!("{} transactions wait already", self.entries.len());
                Refusal::new(RefusalKind::Full, &why)
            };
            let (other, id) = last.next().ok_or_else(full)?;
            // Who pays the same waits behind who came earlier: a place is never lost for nothing.
            if other.0.0 >= rank.0.0 {
                return Err(full());
            }
            evicted.push(*id);
            count -= 1;
            held -= self.entries.get(id).map_or(0, |entry| entry.bytes);
        }
        Ok(evicted)
    }

    /// Takes one out.
    pub fn remove(&mut self, id: &TxId) -> Option<Transaction> {
        let entry = self.entries.remove(id)?;
        self.order.remove(&entry.rank);
        self.until.remove(&(entry.transaction.body.valid_until, *id));
        self.bytes -= entry.bytes;
        for it in &entry.taken {
            self.takes.remove(it);
        }
        Some(entry.transaction)
    }

    /// A block with these is final, and `next` is the next height: what it took is gone, for others
    /// too. Returns those that can never stand in a block any more, and why.
    // spec: CHAIN-5.5
    pub fn settle(&mut self, all: &[Transaction], next: Height) -> Vec<(TxId, Refusal)> {
        let mut gone = Vec::new();
        for tx in all {
            self.remove(&tx.id());
            for it in taken(tx) {
                let Some(other) = self.takes.get(&it).copied() else { continue };
                self.remove(&other);
                let why = format!("transaction {} took what it takes", tx.id().0.short());
                gone.push((other, Refusal::new(RefusalKind::Spent, &why)));
            }
        }
        while let Some((until, id)) = self.until.first().copied().filter(|it| it.0 < next) {
            self.remove(&id);
            let why = format!("valid until block {}, the next is {}", until.0, next.0);
            gone.push((id, Refusal::new(RefusalKind::Expired, &why)));
        }
        gone
    }
}

/// Base units for 1 024 bytes.
fn rate(tx: &Transaction, bytes: usize) -> u64 {
    let units = u128::from(tx.body.fee.0) * 1024 / (bytes.max(1) as u128);
    u64::try_from(units).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mutirao_ledger::testing::Bank;
    use mutirao_wire::Amount;

    fn pool(transactions: usize) -> Mempool {
        Mempool::new(Limits { transactions, bytes: 1 << 20 })
    }

    fn paying(bank: &Bank, pair: usize, fee: u64) -> Transaction {
        let mut tx = bank.transfer(pair);
        tx.body.fee = Amount(fee);
        tx
    }

    // spec: CHAIN-5.4
    #[test]
    fn who_pays_more_comes_first_and_takes_the_last_place() {
        let bank = Bank::new(16);
        let mut pool = pool(3);
        for (pair, fee) in [(0, 100), (1, 300), (2, 100)] {
            assert_eq!(pool.insert(paying(&bank, pair, fee)), Ok(vec![]));
        }
        let fees: Vec<u64> = pool.in_order().map(|(_, tx, _)| tx.body.fee.0).collect();
        assert_eq!(fees, [300, 100, 100]);
        let refusal = pool.insert(paying(&bank, 3, 100)).expect_err("no place");
        assert_eq!(refusal.kind, RefusalKind::Full);
        let last = paying(&bank, 2, 100).id();
        assert_eq!(pool.insert(paying(&bank, 3, 200)), Ok(vec![last]));
        assert_eq!(pool.standing().transactions, 3);
        let held: usize = pool.in_order().map(|(_, _, bytes)| bytes).sum();
        assert_eq!(pool.standing().bytes, held);
    }

    // spec: CHAIN-5.3
    #[test]
    fn a_note_that_one_spends_no_other_spends() {
        let bank = Bank::new(16);
        let mut pool = pool(3);
        pool.insert(paying(&bank, 0, 100)).expect("a place");
        let refusal = pool.conflict(&paying(&bank, 0, 200)).expect("the same notes");
        assert_eq!(refusal.kind, RefusalKind::Spent);
        assert_eq!(pool.conflict(&paying(&bank, 1, 100)), None);
        pool.remove(&paying(&bank, 0, 100).id());
        assert_eq!(pool.conflict(&paying(&bank, 0, 200)), None);
        assert_eq!(pool.standing(), Standing::default());
    }

    // spec: CHAIN-5.5
    #[test]
    fn a_final_block_takes_out_what_it_has_what_it_excludes_and_what_came_too_late() {
        let bank = Bank::new(16);
        let mut pool = pool(9);
        let mut late = paying(&bank, 3, 100);
        late.body.valid_until = Height(4);
        let (one, rival) = (paying(&bank, 0, 100), paying(&bank, 1, 100));
        for tx in [&one, &rival, &late, &paying(&bank, 2, 100)] {
            pool.insert(tx.clone()).expect("a place");
        }
        let gone = pool.settle(&[one, paying(&bank, 1, 700)], Height(5));
        let kinds: Vec<_> = gone.iter().map(|(id, refusal)| (*id, refusal.kind)).collect();
        let wanted = [(rival.id(), RefusalKind::Spent), (late.id(), RefusalKind::Expired)];
        assert_eq!(kinds, wanted);
        assert_eq!(pool.standing().transactions, 1);
    }
}
