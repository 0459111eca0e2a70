//! Random days of three people on a disk whose current fails, beside a plain model: a table of
//! numbers, which the ledger must match after every step.

use super::platter::Platter;
use super::seeded;
use crate::{Chain, Chance, Genesis, Store, Submitted, audit};
use mutirao_ledger::build::{self, BuildError, Input, Plan, Wish};
use mutirao_ledger::cell::deed::{DeedOpening, RegisterPlan, TransferPlan};
use mutirao_ledger::cell::till::{DepositPlan, OpenPlan, PayoutPlan};
use mutirao_ledger::cell::{Cell, CellId, Cells};
use mutirao_ledger::curve::hash_to_scalar;
use mutirao_ledger::examine::History;
use mutirao_ledger::key::address::{Address, Network};
use mutirao_ledger::key::{Secret, Seed, SpendKey, SubaddressIndex};
use mutirao_ledger::note::memo::Memo;
use mutirao_ledger::note::{NoteIndex, OwnedNote, Payment, To};
use mutirao_ledger::rules::{FeeLevel, Height};
use mutirao_ledger::scan::{CompactTx, Scanner};
use mutirao_ledger::tx::Transaction;
use mutirao_wire::{Amount, Digest};
use rand_core::TryRng;

const PEOPLE: usize = 3;
/// One step in so many ends with the current failing somewhere in it.
const CRASHES: u64 = 12;

struct Person {
    keys: SpendKey,
    scanner: Scanner,
    notes: Vec<Input>,
}

impl Person {
    fn new(at: u64) -> Self {
        let keys = Seed::new(&[9; 64]).account(at);
        let scanner = Scanner::new(keys.receive_key(), 0);
        Self { keys, scanner, notes: Vec::new() }
    }

    fn address(&self) -> Address {
        self.keys.receive_key().address(Network::Test, SubaddressIndex::MAIN)
    }

    fn balance(&self) -> u64 {
        self.notes.iter().map(|input| input.note.opening.amount.0).sum()
    }
}

/// A deed: its cell, who owns it, and what that takes.
type Owned = (CellId, usize, OwnedNote, DeedOpening);

/// What everybody would know if nothing were hidden.
#[derive(Default)]
struct Plain {
    balances: [u64; PEOPLE],
    supply: u64,
    till: Option<CellId>,
    /// In the till: settled, and collected in the current epoch.
    pot: (u64, u64),
    epoch: u64,
    deeds: Vec<Owned>,
}

/// Three people, a till and some deeds, on a disk.
pub struct Life {
    disk: Platter,
    chain: Chain,
    people: Vec<Person>,
    plain: Plain,
    dice: Chance,
    chance: Chance,
    fails: bool,
    /// How often the current failed.
    pub crashes: u64,
    /// How often a block was there afterwards that nobody had heard of.
    pub unheard: u64,
}

fn open(disk: &Platter, seed: u64) -> Chain {
    let genesis = Genesis { till_epoch: 8, ..Genesis::test("model") };
    let store = Store::over(disk.clone(), &genesis).expect("it opens after any crash");
    Chain::over(store, 2, seeded(seed)).expect("opened")
}

fn till_key() -> Secret {
    Secret::new(hash_to_scalar("test till", &[&[1]]))
}

impl Life {
    fn new(seed: u64, fails: bool) -> Self {
        let disk = Platter::default();
        let chain = open(&disk, seed);
        let people = (0..PEOPLE as u64).map(Person::new).collect();
        let (dice, chance) = (seeded(seed + 1), seeded(seed + 2));
        let (plain, crashes, unheard) = (Plain::default(), 0, 0);
        let mut life = Self { disk, chain, people, plain, dice, chance, fails, crashes, unheard };
        (0..PEOPLE).for_each(|to| life.mint(to, 500_000));
        let key = till_key();
        let tx = life.carry_out(0, vec![], vec![Plan::OpenTill(OpenPlan { key, shares: vec![] })]);
        life.plain.till = Some(CellId::new(tx.expect("there is enough").id(), 0));
        life
    }

    fn roll(&mut self, below: u64) -> u64 {
        self.dice.try_next_u64().expect("dice") % below
    }

    fn person(&mut self) -> usize {
        self.roll(PEOPLE as u64) as usize
    }

    fn payment(&self, to: usize, amount: u64) -> Payment {
        let to = To::Address(self.people[to].address());
        Payment { to, amount: Amount(amount), memo: Memo::default() }
    }

    fn next_height(&self) -> Height {
        Height(self.chain.stand().tip.height.0 + 1)
    }

    /// What a till has collected is settled when an epoch has passed.
    fn roll_over(&mut self) {
        let now = self.chain.rules().epoch(self.next_height());
        if now > self.plain.epoch {
            self.plain.pot = (self.plain.pot.0 + self.plain.pot.1, 0);
            self.plain.epoch = now;
        }
    }

    /// The current fails, and is back. What was acknowledged must be there.
    fn restart(&mut self) {
        let seed = self.roll(u64::MAX);
        let before = self.chain.stand().clone();
        self.disk.start_again(seed);
        self.chain = open(&self.disk, seed);
        let after = self.chain.stand().tip.height.0;
        let known = before.tip.height.0;
        assert!(after == known || after == known + 1, "{known} was acknowledged, {after} is there");
        self.unheard += u64::from(after > known);
        self.crashes += 1;
        audit::of_store(self.chain.store()).expect("its members are those of its root");
    }

    /// Lets a block come to be, whatever the current does. `try_once` asks for it.
    fn persist(&mut self, try_once: &dyn Fn(&mut Chain) -> bool) {
        if self.fails && self.roll(CRASHES) == 0 {
            let fuse = self.roll(40);
            self.disk.fails_after(fuse);
        }
        let before = self.chain.stand().tip.height;
        while !try_once(&mut self.chain) {
            assert!(self.disk.is_dead(), "it fails only where the current does");
            self.restart();
            if self.chain.stand().tip.height > before {
                break;
            }
        }
        assert_eq!(self.chain.stand().tip.height.0, before.0 + 1, "one block each time");
        self.disk.fails_after(u64::MAX);
        self.read_last();
    }

    /// Everybody reads the last block.
    fn read_last(&mut self) {
        let height = self.chain.stand().tip.height;
        let store = self.chain.store();
        let block = store.block(height).expect("read").expect("it is there");
        let mut first = store.notes_before(height).expect("read").expect("it is there");
        for tx in &block.transactions {
            let compact = [CompactTx::new(tx, NoteIndex(first))];
            for person in &mut self.people {
                let spent = |input: &Input| {
                    let (address, offset) = (input.note.address, input.note.offsets().0);
                    let secret = person.keys.balance_key().tag_secret(address, offset);
                    let tag = mutirao_ledger::sigma::tag(&secret);
                    tx.body.spends.iter().any(|spend| spend.tag == tag)
                };
                person.notes.retain(|input| !spent(input));
                let found = person.scanner.scan(&compact).into_iter();
                let inputs = found.map(|(_, it)| Input { index: it.index, note: it.note });
                person.notes.extend(inputs.filter(|it| it.note.opening.amount != Amount::ZERO));
            }
            first += tx.body.outputs.len() as u64;
        }
    }

    fn mint(&mut self, to: usize, amount: u64) {
        let address = self.people[to].address();
        self.persist(&move |chain| {
            chain.thirst(address, Amount(amount)).is_ok() && chain.advance(1_000).is_ok()
        });
        self.plain.balances[to] += amount;
        self.plain.supply += amount;
    }

    /// Builds a transaction and sees it into a block; none where there is too little.
    fn carry_out(
        &mut self,
        of: usize,
        payments: Vec<Payment>,
        plans: Vec<Plan>,
    ) -> Option<Transaction> {
        let inputs = self.people[of].notes.iter().take(16).cloned().collect();
        let height = self.next_height();
        let valid_until = Height(height.0 + 10);
        let wish = Wish { inputs, payments, plans, level: FeeLevel::Normal, valid_until };
        let view = self.chain.store().view().expect("read");
        let rules = *self.chain.rules();
        let keys = &self.people[of].keys;
        let built = match build::build(keys, &rules, &wish, &view, height, &mut self.chance) {
            Ok(built) => built.transaction,
            Err(BuildError::TooLittle { .. }) => return None,
            Err(error) => panic!("{error}"),
        };
        drop(view);
        let (id, fee) = (built.id(), built.body.fee.0);
        let again = built.clone();
        self.persist(&move |chain| match chain.submit(vec![again.clone()]) {
            Ok(outcome) => match &outcome[..] {
                [Submitted::Waits(_)] => matches!(chain.advance(1_000), Ok(Some(_))),
                other => panic!("{other:?}"),
            },
            Err(_) => false,
        });
        assert!(self.chain.store().place(&id).expect("read").is_some(), "it stands");
        self.plain.balances[of] -= fee;
        self.plain.supply -= fee;
        Some(built)
    }

    fn step(&mut self) {
        self.roll_over();
        let of = self.person();
        match self.roll(10) {
            0..3 => self.send(of, 1),
            3 | 4 => self.send(of, 3),
            5 => self.pay_in(of),
            6 => self.pay_out(),
            7 => self.register(of),
            8 => self.transfer(),
            _ => {
                let amount = 1 + self.roll(20_000);
                self.mint(of, amount);
            }
        }
        self.compare();
    }

    fn send(&mut self, of: usize, payees: usize) {
        let paid: Vec<(usize, u64)> =
            (0..payees).map(|_| (self.person(), self.roll(90_000))).collect();
        let payments = paid.iter().map(|(to, amount)| self.payment(*to, *amount)).collect();
        if self.carry_out(of, payments, vec![]).is_some() {
            for (to, amount) in paid {
                self.plain.balances[of] -= amount;
                self.plain.balances[to] += amount;
            }
        }
    }

    fn pay_in(&mut self, of: usize) {
        let amount = self.roll(50_000);
        let till = self.plain.till.expect("it was opened");
        let plan = DepositPlan { till, amount: Amount(amount), royalty: None };
        if self.carry_out(of, vec![], vec![Plan::Deposit(plan)]).is_some() {
            self.plain.balances[of] -= amount;
            self.plain.pot.1 += amount;
        }
    }

    fn pay_out(&mut self) {
        let total = self.plain.pot.0;
        let till = self.plain.till.expect("it was opened");
        let plan = PayoutPlan { till, key: till_key(), total: Amount(total) };
        if self.carry_out(0, vec![], vec![Plan::Payout(plan)]).is_some() {
            self.plain.balances[0] += total;
            self.plain.pot.0 = 0;
        }
    }

    fn register(&mut self, of: usize) {
        if self.plain.deeds.len() >= 5 {
            return;
        }
        let name = Digest([self.roll(200) as u8; 32]);
        let plan = RegisterPlan { name, to: To::Own };
        if let Some(tx) = self.carry_out(of, vec![], vec![Plan::Register(plan)]) {
            let (note, opening) = self.carried(of, &tx);
            self.plain.deeds.push((CellId::new(tx.id(), 0), of, note, opening));
        }
    }

    fn transfer(&mut self) {
        let Some((deed, of, owner, opening)) = self.plain.deeds.first().cloned() else { return };
        let next = self.person();
        let to = if next == of { To::Own } else { To::Address(self.people[next].address()) };
        let plan = TransferPlan { deed, opening: opening.clone(), owner, to };
        if let Some(tx) = self.carry_out(of, vec![], vec![Plan::Transfer(plan)]) {
            let (note, again) = self.carried(next, &tx);
            assert_eq!(again.name, opening.name);
            self.plain.deeds.remove(0);
            self.plain.deeds.push((deed, next, note, again));
        }
    }

    /// The note that carries a deed to its owner, and what its memo says.
    fn carried(&self, owner: usize, tx: &Transaction) -> (OwnedNote, DeedOpening) {
        let found = self.people[owner].scanner.scan(&[CompactTx::new(tx, NoteIndex(0))]);
        let read = |it: mutirao_ledger::scan::Found| {
            let memo = it.note.open_memo(&tx.body.outputs[it.output]).ok()?;
            DeedOpening::from_memo(&memo).map(|opening| (it.note, opening))
        };
        found.into_iter().find_map(|(_, it)| read(it)).expect("carried")
    }

    fn compare(&mut self) {
        self.roll_over();
        for (at, balance) in self.plain.balances.iter().enumerate() {
            assert_eq!(self.people[at].balance(), *balance, "person {at}");
        }
        assert_eq!(self.chain.stand().summary.supply, Amount(self.plain.supply));
        let view = self.chain.store().view().expect("read");
        let till = self.plain.till.and_then(|id| view.cell(&id));
        let Some(Cell::Till(till)) = till else { panic!("{till:?}") };
        let till = till.at(self.chain.rules().epoch(self.next_height()));
        assert!(till.settled.holds(&till_key(), Amount(self.plain.pot.0)), "settled");
        assert!(till.current.holds(&till_key(), Amount(self.plain.pot.1)), "collected");
        for (id, _, note, opening) in &self.plain.deeds {
            let Some(Cell::Deed(deed)) = view.cell(id) else { panic!("a deed is lost") };
            assert_eq!((deed.owner, deed.name), (note.one_time, opening.commit()));
        }
    }

    /// Everybody begins with nothing but keys, and reads all blocks.
    fn restore(&mut self) {
        let (store, last) = (self.chain.store(), self.chain.stand().tip.height);
        let mut first = 0;
        let (mut all, mut tags) = (Vec::new(), std::collections::BTreeSet::new());
        for height in 1..=last.0 {
            let block = store.block(Height(height)).expect("read").expect("no block is missing");
            for tx in &block.transactions {
                all.push(CompactTx::new(tx, NoteIndex(first)));
                first += tx.body.outputs.len() as u64;
                tags.extend(tx.body.spends.iter().map(|spend| *spend.tag.bytes()));
            }
        }
        assert_eq!(store.view().expect("read").note_count(), first);
        for (at, person) in self.people.iter().enumerate() {
            let balance = person.keys.balance_key();
            let left = person.scanner.scan(&all).into_iter().filter(|(_, it)| {
                let secret = balance.tag_secret(it.note.address, it.note.offsets().0);
                !tags.contains(mutirao_ledger::sigma::tag(&secret).bytes())
            });
            let sum: u64 = left.map(|(_, it)| it.note.opening.amount.0).sum();
            assert_eq!(sum, self.plain.balances[at], "person {at}");
        }
    }

    /// So many random steps; on a disk whose current `fails` now and then, or on one that is sound.
    ///
    /// # Panics
    /// When the ledger is not what the model says.
    #[must_use]
    pub fn live(seed: u64, steps: u64, fails: bool) -> Self {
        let mut life = Self::new(seed, fails);
        (0..steps).for_each(|_| life.step());
        life.restore();
        audit::both(life.chain.store()).expect("the root is that of a replay, the supply exact");
        life
    }

    /// What came of it.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.chain.store()
    }
}
