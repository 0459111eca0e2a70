//! What tests of this crate build upon: a chain in a folder of its own, and somebody with notes.

mod life;
mod platter;

pub use life::Life;
pub use platter::Platter;

use crate::{Chain, Chance, Genesis};
use mutirao_ledger::build::{self, Input, Wish};
use mutirao_ledger::cell::NoCells;
use mutirao_ledger::examine::History;
use mutirao_ledger::key::address::{Address, Network};
use mutirao_ledger::key::{Seed, SpendKey, SubaddressIndex};
use mutirao_ledger::note::memo::Memo;
use mutirao_ledger::note::{NoteIndex, Payment, To};
use mutirao_ledger::rules::{FeeLevel, Height};
use mutirao_ledger::scan::{CompactTx, Found, Scanner};
use mutirao_ledger::tx::Transaction;
use mutirao_wire::Amount;

/// Chance that can be repeated.
#[must_use]
pub fn seeded(seed: u64) -> Chance {
    let mut secret = [0; 32];
    secret[..8].copy_from_slice(&seed.to_le_bytes());
    Chance::new(&secret)
}

/// Base units of each note.
pub const NOTE: u64 = 100_000;

/// Somebody who has notes and pays with them, one a transaction.
pub struct Payer {
    keys: SpendKey,
    notes: Vec<Input>,
    rng: Chance,
    rules: mutirao_ledger::rules::Rules,
}

impl Payer {
    /// Lets the faucet of a chain make that many notes.
    pub fn new(chain: &mut Chain, notes: usize) -> Self {
        let keys = Seed::new(&[5; 64]).account(0);
        let address = keys.receive_key().address(Network::Test, SubaddressIndex::MAIN);
        let mut payer = Self { keys, notes: Vec::new(), rng: seeded(77), rules: *chain.rules() };
        for _ in 0..notes {
            if chain.thirst(address, Amount(NOTE)).is_err() {
                payer.drain(chain);
                chain.thirst(address, Amount(NOTE)).expect("there is a place again");
            }
        }
        payer.drain(chain);
        payer
    }

    fn drain(&mut self, chain: &mut Chain) {
        let mut first = chain.store().view().expect("read").note_count();
        while let Some(block) = chain.advance(1_000).expect("advances") {
            for tx in &block.transactions {
                self.look(tx, first);
                first += tx.body.outputs.len() as u64;
            }
            chain.news(Some(&block));
        }
    }

    fn look(&mut self, tx: &Transaction, first: u64) {
        let scanner = Scanner::new(self.keys.receive_key(), 0);
        let found = scanner.scan(&[CompactTx::new(tx, NoteIndex(first))]);
        let note = |(_, found): (usize, Found)| Input { index: found.index, note: found.note };
        let notes = found.into_iter().map(note);
        self.notes.extend(notes.filter(|input| input.note.opening.amount != Amount::ZERO));
    }

    /// How many notes there are.
    pub fn notes(&self) -> usize {
        self.notes.len()
    }

    /// Pays 5 base units with the note of that number.
    pub fn transfer(&mut self, note: usize, valid_until: Height) -> Transaction {
        let to = Seed::new(&[6; 64]).account(note as u64).receive_key();
        let to: Address = to.address(Network::Test, SubaddressIndex(1));
        let payment = Payment { to: To::Address(to), amount: Amount(5), memo: Memo::default() };
        let wish = Wish {
            inputs: vec![self.notes[note].clone()],
            payments: vec![payment],
            plans: vec![],
            level: FeeLevel::Normal,
            valid_until,
        };
        let (keys, rules, rng) = (&self.keys, &self.rules, &mut self.rng);
        let built = build::build(keys, rules, &wish, &NoCells, Height(1), rng);
        built.expect("a transfer").transaction
    }
}

/// A chain in a folder of its own, and its payer.
pub struct Town {
    /// The chain.
    pub chain: Chain,
    payer: Payer,
    folder: tempfile::TempDir,
}

impl Town {
    /// With that many notes.
    pub fn new(notes: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let genesis = Genesis::test("town");
        let mut chain = Chain::create(folder.path(), &genesis, 2, seeded(1)).expect("begun");
        let payer = Payer::new(&mut chain, notes);
        assert_eq!(payer.notes(), notes);
        Self { chain, payer, folder }
    }

    /// The same once more, block for block.
    pub fn twin(notes: usize) -> Self {
        Self::new(notes)
    }

    /// Where it lies.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A transfer with the note of that number.
    pub fn transfer(&mut self, note: usize) -> Transaction {
        self.payer.transfer(note, Height(1_000_000))
    }

    /// The same with a last height.
    pub fn transfer_until(&mut self, note: usize, valid_until: Height) -> Transaction {
        self.payer.transfer(note, valid_until)
    }

    /// Submits a transfer.
    pub fn submit(&mut self, note: usize) {
        let tx = self.transfer(note);
        let outcome = self.chain.submit(vec![tx]).expect("taken");
        assert!(matches!(&outcome[..], [crate::Submitted::Waits(_)]), "{outcome:?}");
    }

    /// The chain alone; the folder lives on with the second.
    pub fn part(self) -> (Chain, Payer, tempfile::TempDir) {
        (self.chain, self.payer, self.folder)
    }
}
