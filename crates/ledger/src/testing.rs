//! What tests of this crate and of others build upon: chance that can be repeated, and a state with
//! many notes in it.

mod paid;

pub use paid::Shop;

use crate::block::{self, Block};
use crate::build::{self, Input, Wish};
use crate::curve::generators;
use crate::examine::{self, History, Permit, Resolved};
use crate::key::address::{Address, Network};
use crate::key::{Seed, SpendKey, SubaddressIndex};
use crate::note::memo::Memo;
use crate::note::{NoteIndex, Payment, To};
use crate::rules::{ChainId, FeeLevel, Height, Rules};
use crate::scan::{CompactTx, Found, Scanner};
use crate::state::MemoryState;
use crate::tx::Transaction;
use mutirao_wire::{Amount, Digest, Encode};
use rand_core::{TryCryptoRng, TryRng};
use std::convert::Infallible;

/// The worst generator there is: it always says the same.
pub struct Constant;

impl TryRng for Constant {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(0);
        Ok(())
    }
}
impl TryCryptoRng for Constant {}

/// A generator that repeats itself for the same seed: BLAKE3 in counter mode. For tests.
pub struct Seeded(blake3::OutputReader);

impl Seeded {
    /// Starts at a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("mutirao v1 ledger test chance");
        hasher.update(&seed.to_le_bytes());
        Self(hasher.finalize_xof())
    }
}

impl TryRng for Seeded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}
impl TryCryptoRng for Seeded {}

/// A state in which one account has many notes of 1 000 base units, for benches and vectors.
pub struct Bank {
    /// The owner of all notes.
    pub keys: SpendKey,
    /// The chain's parameters.
    pub rules: Rules,
    /// All notes are there.
    pub state: MemoryState,
    /// The next height.
    pub height: Height,
    notes: Vec<Input>,
}

impl Bank {
    /// With that many notes.
    ///
    /// # Panics
    /// When the ledger does not take its own transactions.
    #[must_use]
    pub fn new(notes: u64) -> Self {
        let rules = Rules::new(ChainId(Digest([7; 32])), Amount(10), 8);
        let keys = Seed::new(&[1; 64]).account(0);
        let mut bank =
            Self { keys, rules, state: MemoryState::default(), height: Height(1), notes: vec![] };
        (0..notes.div_ceil(16)).for_each(|_| bank.mint());
        bank
    }

    fn address(&self) -> Address {
        self.keys.receive_key().address(Network::Test, SubaddressIndex::MAIN)
    }

    /// Sixteen more notes.
    fn mint(&mut self) {
        let to = To::Address(self.address());
        let pay = Payment { to, amount: Amount(1_000), memo: Memo::default() };
        let mut rng = Seeded::new(self.height.0);
        let built = build::mint(&self.rules, self.height, &vec![pay; 16], &mut rng);
        let transaction = built.expect("new value").transaction;
        let permit = Permit { mint: Amount(16_000), ..Permit::default() };
        let first = NoteIndex(self.state.note_count());
        let found = Scanner::new(self.keys.receive_key(), 0);
        let found = found.scan(&[CompactTx::new(&transaction, first)]);
        let note = |(_, found): (usize, Found)| Input { index: found.index, note: found.note };
        self.notes.extend(found.into_iter().map(note));
        self.mine(transaction, permit);
    }

    fn mine(&mut self, transaction: Transaction, permit: Permit) {
        let block = Block { height: self.height, transactions: vec![transaction] };
        let pending = block::resolve(&block, &self.state, &self.state.summary, &self.rules, permit);
        let pending = pending.expect("a block");
        self.state.commit(pending.summary.clone(), &pending.effects());
        self.height = Height(self.height.0 + 1);
    }

    /// Pays 5 base units with the pair of notes of that number.
    #[must_use]
    pub fn wish(&self, pair: usize) -> Wish {
        let to = Seed::new(&[2; 64]).account(0).receive_key();
        let to = To::Address(to.address(Network::Test, SubaddressIndex(1)));
        Wish {
            inputs: self.notes.iter().skip(2 * pair).take(2).cloned().collect(),
            payments: vec![Payment { to, amount: Amount(5), memo: Memo::default() }],
            plans: vec![],
            level: FeeLevel::Normal,
            valid_until: Height(self.height.0 + 100),
        }
    }

    /// A transfer of two notes to two.
    ///
    /// # Panics
    /// When there is no such pair.
    #[must_use]
    pub fn transfer(&self, pair: usize) -> Transaction {
        let mut rng = Seeded::new(pair as u64);
        let wish = self.wish(pair);
        let built =
            build::build(&self.keys, &self.rules, &wish, &self.state, self.height, &mut rng);
        built.expect("a transfer").transaction
    }

    /// The same, with its claims known and not yet checked.
    ///
    /// # Panics
    /// When there is no such pair.
    #[must_use]
    pub fn resolved(&self, pair: usize) -> Resolved {
        let (tx, permit) = (self.transfer(pair), Permit::default());
        examine::against(&tx, &self.state, &self.rules, self.height, permit).expect("it fits")
    }
}

/// Frozen examples, a line each: name, space, hexadecimal digits or text.
#[must_use]
pub fn frozen() -> String {
    let bank = Bank::new(2);
    let receive = bank.keys.receive_key();
    let address = |index| receive.address(Network::Main, SubaddressIndex(index));
    let tx = bank.transfer(0);
    let compact = CompactTx::new(&tx, NoteIndex(3));
    let generators = generators();
    let lines = [
        ("generator_T", hex(generators.t.bytes())),
        ("generator_V", hex(generators.v.bytes())),
        ("generator_H", hex(generators.h.bytes())),
        ("generator_U", hex(generators.u.bytes())),
        ("generator_W", hex(generators.w.bytes())),
        ("address_main", address(0).to_string()),
        ("address_sub_1", address(1).to_string()),
        ("address_test", receive.address(Network::Test, SubaddressIndex::MAIN).to_string()),
        ("state_root", bank.state.summary.root().hex()),
        ("state_summary", hex(&bank.state.summary.to_bytes())),
        ("transaction_id", tx.id().0.hex()),
        ("transaction_witness_id", tx.witness_id().0.hex()),
        ("transaction", hex(&tx.to_bytes())),
        ("compact", hex(&compact.to_bytes())),
    ];
    let paid = paid::frozen();
    lines.into_iter().chain(paid).map(|(name, value)| format!("{name} {value}\n")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
