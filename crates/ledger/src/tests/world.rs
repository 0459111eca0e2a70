//! A few people, one chain, and blocks when a test says so.

use crate::block::{self, Block, BlockError};
use crate::build::{self, BuildError, Built, Input, Plan, Wish};
use crate::cell::challenge::{Evidence, Judge};
use crate::curve::Sum;
use crate::examine::{History, Permit};
use crate::key::address::{Address, Network};
use crate::key::{Seed, SpendKey, SubaddressIndex};
use crate::note::memo::Memo;
use crate::note::{NoteIndex, OwnedNote, Payment, To, Watch};
use crate::rules::{BondRules, ChainId, FeeLevel, Height, Rules};
use crate::state::MemoryState;
use crate::testing::Seeded;
use crate::tx::{Body, Membership, Transaction};
use mutirao_wire::{Amount, Digest};
use std::collections::BTreeSet;

/// What convinces the judge of this world.
pub const PROOF: &[u8] = b"a proof";

/// The judge of this world knows one proof of everything.
#[derive(Debug)]
struct Words;

impl Judge for Words {
    fn convinces(&self, _: &Evidence, answer: &[u8]) -> bool {
        answer == PROOF
    }
}

/// Nothing new and nothing destroyed, and a judge.
pub fn permit() -> Permit {
    Permit { judge: &Words, ..Permit::default() }
}

/// Small numbers, so that tests see the end of everything.
pub const BONDS: BondRules = BondRules {
    minimum: Amount(1_000),
    slash: Amount(300),
    reward: Amount(200),
    deposit: Amount(50),
    delay: 5,
    window: 3,
};

pub struct World {
    pub rules: Rules,
    pub state: MemoryState,
    pub people: Vec<Person>,
    pub rng: Seeded,
    /// Every transaction, with the place of its first note.
    pub past: Vec<(u64, Transaction)>,
    spent: BTreeSet<u64>,
}

pub struct Person {
    pub keys: SpendKey,
    pub notes: Vec<Input>,
}

impl World {
    /// With that many people and 1 000 000 base units each, in two notes.
    pub fn new(people: u64) -> Self {
        Self::of(people, 1)
    }

    /// The same with other people, and another chance.
    pub fn of(people: u64, seed: u8) -> Self {
        let rules = Rules::new(ChainId(Digest([7; 32])), Amount(10), 4);
        let rules = Rules { bonds: BONDS, ..rules };
        let rng = Seeded::new(people + 1_000 * (u64::from(seed) - 1));
        let seed = Seed::new(&[seed; 64]);
        let person = |at| Person { keys: seed.account(at), notes: vec![] };
        let mut world = Self {
            rules,
            state: MemoryState::default(),
            people: (0..people).map(person).collect(),
            rng,
            past: vec![],
            spent: BTreeSet::new(),
        };
        let all = |at: usize| [world.pay(at, 600_000), world.pay(at, 400_000)];
        let all: Vec<_> = (0..world.people.len()).flat_map(all).chain([world.pay(0, 0)]).collect();
        world.mint_all(&all);
        world
    }

    pub fn address(&self, at: usize) -> Address {
        self.people[at].keys.receive_key().address(Network::Test, SubaddressIndex::MAIN)
    }

    pub fn height(&self) -> Height {
        Height(self.state.summary.height.0 + 1)
    }

    pub fn mint(&mut self, to: usize, amount: u64) {
        self.mint_all(&[self.pay(to, amount)]);
    }

    fn mint_all(&mut self, payments: &[Payment]) {
        let amount = payments.iter().map(|payment| payment.amount.0).sum();
        let built = build::mint(&self.rules, self.height(), payments, &mut self.rng).unwrap();
        let permit = Permit { mint: Amount(amount), ..permit() };
        self.mine_with(vec![built.transaction], permit).unwrap();
    }

    pub fn pay(&self, to: usize, amount: u64) -> Payment {
        let to = To::Address(self.address(to));
        Payment { to, amount: Amount(amount), memo: Memo::default() }
    }

    /// A wish of that person, paid with all its notes, or the first sixteen.
    pub fn wish(&self, of: usize, payments: Vec<Payment>, plans: Vec<Plan>) -> Wish {
        let inputs = self.people[of].notes.iter().take(16).cloned().collect();
        let valid_until = Height(self.height().0 + 10);
        Wish { inputs, payments, plans, level: FeeLevel::Normal, valid_until }
    }

    pub fn build(&mut self, of: usize, wish: &Wish) -> Result<Built, BuildError> {
        let keys = self.people[of].keys.clone();
        let height = self.height();
        build::build(&keys, &self.rules, wish, &self.state, height, &mut self.rng)
    }

    /// As [`World::build`], by somebody who changes the body before proving it.
    pub fn build_with(
        &mut self,
        of: usize,
        wish: &Wish,
        change: impl FnOnce(&mut Body),
    ) -> Transaction {
        let keys = self.people[of].keys.clone();
        let place: (&dyn crate::cell::Cells, Height) = (&self.state, self.height());
        let built = build::build_with(&keys, &self.rules, wish, place, &mut self.rng, change);
        built.unwrap().transaction
    }

    pub fn send(&mut self, from: usize, to: usize, amount: u64) -> Transaction {
        let wish = self.wish(from, vec![self.pay(to, amount)], vec![]);
        self.build(from, &wish).unwrap().transaction
    }

    pub fn act(&mut self, of: usize, plan: Plan) -> Transaction {
        let wish = self.wish(of, vec![], vec![plan]);
        self.build(of, &wish).unwrap().transaction
    }

    pub fn mine(&mut self, transactions: Vec<Transaction>) -> Result<(), BlockError> {
        self.mine_with(transactions, permit())
    }

    pub fn mine_with(
        &mut self,
        transactions: Vec<Transaction>,
        permit: Permit,
    ) -> Result<(), BlockError> {
        let block = Block { height: self.height(), transactions };
        let pending = block::accept(&block, &self.state, &self.state.summary, &self.rules, permit)?;
        let mut first = self.state.note_count();
        self.state.commit(pending.summary.clone(), &pending.effects());
        for transaction in block.transactions {
            self.scan(first, &transaction);
            let made = transaction.body.outputs.len() as u64;
            self.spent.extend(transaction.body.spends.iter().map(|spend| {
                let Membership::Explicit(index) = spend.membership;
                index.0
            }));
            self.past.push((first, transaction));
            first += made;
        }
        self.audit();
        Ok(())
    }

    /// What the world says of a block without taking it.
    pub fn judge(&self, transactions: Vec<Transaction>) -> Result<(), BlockError> {
        self.judge_by(&self.rules, transactions, permit())
    }

    pub fn judge_by(
        &self,
        rules: &Rules,
        transactions: Vec<Transaction>,
        permit: Permit,
    ) -> Result<(), BlockError> {
        let block = Block { height: self.height(), transactions };
        block::accept(&block, &self.state, &self.state.summary, rules, permit).map(|_| ())
    }

    fn scan(&mut self, first: u64, tx: &Transaction) {
        for person in &mut self.people {
            let balance = person.keys.balance_key();
            let left = |input: &Input| {
                let x = balance.tag_secret(input.note.address, input.note.offsets().0);
                !tx.body.spends.iter().any(|spend| spend.tag == crate::sigma::tag(&x))
            };
            person.notes.retain(left);
            for (at, note) in found(&person.keys, tx) {
                let index = NoteIndex(first + at as u64);
                if note.opening.amount != Amount::ZERO {
                    person.notes.push(Input { index, note });
                }
            }
        }
    }

    pub fn balance(&self, of: usize) -> u64 {
        self.people[of].notes.iter().map(|input| input.note.opening.amount.0).sum()
    }

    /// Empty blocks up to a height; the next block has that height then.
    pub fn wait(&mut self, until: Height) {
        while self.height() < until {
            self.mine(vec![]).unwrap();
        }
    }

    /// Σ unspent C = supply·V + Σ excess, from what is known of every note in the test: which are
    /// spent is public in this version.
    pub fn audit(&self) {
        let mut unspent = self.state.pots().0;
        for (at, note) in (0..).zip(self.state.notes()) {
            if !self.spent.contains(&at) {
                unspent += note.commitment.inner();
            }
        }
        assert!(self.state.summary.is_balanced(&Sum(unspent)), "supply audit");
    }
}

/// The notes of a transaction that belong to these keys.
pub fn found(keys: &SpendKey, tx: &Transaction) -> Vec<(usize, OwnedNote)> {
    let key = keys.receive_key();
    let addresses = key.subaddresses(2);
    let watch = Watch { key: &key, addresses: &addresses };
    let body = &tx.body;
    let find = |at: usize| {
        let ephemeral = body.ephemerals.get(at).unwrap_or(&body.ephemerals[0]);
        let shared = key.shared(ephemeral);
        let output = (&body.outputs[at]).into();
        watch.recognise(&shared, ephemeral, &body.context(), at, &output).map(|note| (at, note))
    };
    (0..body.outputs.len()).filter_map(find).collect()
}
