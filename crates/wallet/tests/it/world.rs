//! A ledger in memory that keeps the law, and people with wallets on disk.

use mutirao_ledger::block::{self, Block};
use mutirao_ledger::build;
use mutirao_ledger::cell::{Cell, CellId, Cells, NoCells};
use mutirao_ledger::examine::{History, Permit};
use mutirao_ledger::key::SubaddressIndex;
use mutirao_ledger::key::address::{Address, Network};
use mutirao_ledger::note::memo::Memo;
use mutirao_ledger::note::{NoteIndex, Payment, To};
use mutirao_ledger::rules::{ChainId, Height, Rules};
use mutirao_ledger::sealed::{Sealed, Tip};
use mutirao_ledger::service::{Answer, Head, Piece, Place, Question, Refusal, RefusalKind};
use mutirao_ledger::state::MemoryState;
use mutirao_ledger::testing::Seeded;
use mutirao_ledger::tx::Transaction;
use mutirao_wallet::keys::Keys;
use mutirao_wallet::keystore::{Cost, Password};
use mutirao_wallet::read::Caught;
use mutirao_wallet::send::{Order, SendError};
use mutirao_wallet::words::Words;
use mutirao_wallet::{Ledger, NewWallet, Unreachable, Wallet, WalletError};
use mutirao_wire::{Amount, Digest};
use std::path::{Path, PathBuf};

/// A chain in memory with whatever a test does to it.
#[derive(Clone)]
pub struct Chain {
    pub rules: Rules,
    pub state: MemoryState,
    pub blocks: Vec<Sealed>,
    /// Taken, and not yet in a block.
    pub waiting: Vec<Transaction>,
    /// Answers nothing.
    pub silent: bool,
    /// Answers all but what is to be sent.
    pub deaf: bool,
    /// Refuses everything with this.
    pub refuses: Option<RefusalKind>,
    /// What a liar does to its stream.
    pub lie: Option<fn(&mut Vec<Piece>)>,
    /// What was asked.
    pub asked: Vec<Question>,
    notes_before: Vec<u64>,
    rng: u64,
}

impl Chain {
    pub fn new(name: u8) -> Self {
        Self {
            rules: Rules::new(ChainId(Digest([name; 32])), Amount(10), 4),
            state: MemoryState::default(),
            blocks: Vec::new(),
            waiting: Vec::new(),
            silent: false,
            deaf: false,
            refuses: None,
            lie: None,
            asked: Vec::new(),
            notes_before: Vec::new(),
            rng: u64::from(name),
        }
    }

    pub fn height(&self) -> Height {
        self.state.summary.height
    }

    fn next(&self) -> Height {
        Height(self.height().0 + 1)
    }

    fn tip(&self) -> Tip {
        let tip = self.blocks.last().map(|block| block.header.tip());
        tip.unwrap_or_else(|| Tip::genesis(self.rules.chain))
    }

    fn push(&mut self, transactions: Vec<Transaction>, permit: Permit) {
        let block = Block { height: self.next(), transactions };
        let summary = &self.state.summary;
        let pending = block::accept(&block, &self.state, summary, &self.rules, permit).unwrap();
        self.notes_before.push(self.state.note_count());
        self.state.commit(pending.summary.clone(), &pending.effects());
        let root = self.state.summary.root();
        let now = 1_764_000_000_000 + 1_000 * block.height.0;
        let sealed = Sealed::new(&self.tip(), now, root, block.transactions);
        self.blocks.push(sealed);
    }

    /// All that waits, in a block.
    pub fn mine(&mut self) {
        let all = std::mem::take(&mut self.waiting);
        if !all.is_empty() {
            self.push(all, Permit::default());
        }
    }

    /// New value, as a faucet makes it.
    pub fn mint(&mut self, payments: &[(Address, u64)]) {
        self.rng += 1;
        let pay = |(address, amount): &(Address, u64)| Payment {
            to: To::Address(*address),
            amount: Amount(*amount),
            memo: Memo::default(),
        };
        let mut all: Vec<Payment> = payments.iter().map(pay).collect();
        if all.len() == 2 {
            all.push(Payment { amount: Amount(0), ..all[0].clone() });
        }
        let total = payments.iter().map(|(_, amount)| amount).sum();
        let mut rng = Seeded::new(self.rng);
        let built = build::mint(&self.rules, self.next(), &all, &mut rng).unwrap();
        let permit = Permit { mint: Amount(total), ..Permit::default() };
        self.push(vec![built.transaction], permit);
    }

    /// A block that concerns nobody.
    pub fn idle(&mut self, blocks: u64) {
        let nobody = Keys::new(Words::from_entropy(&[99; 32]));
        let address = nobody.receive().address(Network::Test, SubaddressIndex::MAIN);
        (0..blocks).for_each(|_| self.mint(&[(address, 1)]));
    }

    /// What a liar says of how many notes there were before each block.
    pub fn pretend_notes(&mut self, before: &[u64]) {
        self.notes_before = before.to_vec();
    }

    fn head(&self) -> Head {
        Head {
            rules: self.rules,
            network: Network::Test,
            height: self.height(),
            root: self.state.summary.root(),
            supply: self.state.summary.supply,
            time: self.blocks.last().map_or(0, |block| block.header.time),
        }
    }

    fn piece(&self, at: usize) -> Option<Piece> {
        Some(Piece::new(self.blocks.get(at)?, *self.notes_before.get(at)?))
    }

    fn submit(&mut self, tx: &Transaction) -> Answer {
        if let Some(kind) = self.refuses {
            return Answer::Refused(Refusal::new(kind, "because"));
        }
        let there = self.blocks.iter().flat_map(|block| &block.transactions).chain(&self.waiting);
        if there.clone().any(|other| other.id() == tx.id()) {
            return Answer::Accepted(tx.id());
        }
        let clash = self.waiting.iter().flat_map(|other| &other.body.spends);
        if clash.clone().any(|spend| tx.body.spends.iter().any(|own| own.tag == spend.tag)) {
            return Answer::Refused(Refusal::new(RefusalKind::Spent, "it waits already"));
        }
        match block::admit(tx, &self.state, &self.rules, self.next()) {
            Ok(_) => {
                self.waiting.push(tx.clone());
                Answer::Accepted(tx.id())
            }
            Err(error) => Answer::Refused((&error).into()),
        }
    }

    fn find(&self, id: mutirao_ledger::tx::TxId) -> Answer {
        for (at, block) in self.blocks.iter().enumerate() {
            let mut first = self.notes_before[at];
            for tx in &block.transactions {
                if tx.id() == id {
                    let place = Place { height: block.header.height, first: NoteIndex(first) };
                    let transaction = Box::new(tx.clone());
                    return Answer::Transaction { place: Some(place), transaction };
                }
                first += tx.body.outputs.len() as u64;
            }
        }
        let waits = self.waiting.iter().find(|tx| tx.id() == id);
        waits.map_or(Answer::Unknown, |tx| Answer::Transaction {
            place: None,
            transaction: Box::new(tx.clone()),
        })
    }
}

impl Ledger for Chain {
    fn ask(&mut self, question: &Question) -> Result<Answer, Unreachable> {
        self.asked.push(question.clone());
        let sends = matches!(question, Question::Submit(_));
        if self.silent || (self.deaf && sends) {
            return Err(Unreachable("silence".to_owned()));
        }
        Ok(match question {
            Question::Head => Answer::Head(self.head()),
            Question::Compact { after, most } => {
                let from = usize::try_from(after.0).unwrap();
                // Few at a time, so that a reading takes several steps.
                let most = usize::from(*most).min(3);
                let mut pieces = (from..from + most).filter_map(|at| self.piece(at)).collect();
                if let Some(lie) = self.lie {
                    lie(&mut pieces);
                }
                Answer::Compact(pieces)
            }
            Question::Block(height) => {
                let at = usize::try_from(height.0).unwrap().checked_sub(1);
                let block = at.and_then(|at| self.blocks.get(at));
                block.map_or(Answer::Unknown, |block| Answer::Block(Box::new(block.clone())))
            }
            Question::Transaction(id) => self.find(*id),
            Question::Submit(tx) => self.submit(tx),
            Question::Cells(ids) => {
                Answer::Cells(ids.iter().map(|id| self.state.cell(id)).collect())
            }
            Question::Faucet { address, amount } => {
                self.mint(&[(*address, amount.0)]);
                let last = self.blocks.last().unwrap();
                Answer::Accepted(last.transactions[0].id())
            }
            // Words that wallets do not use.
            #[allow(unreachable_patterns, reason = "there may be none")]
            _ => Answer::Unknown,
        })
    }
}

impl Cells for Chain {
    fn cell(&self, id: &CellId) -> Option<Cell> {
        self.state.cell(id)
    }
}

pub fn password() -> Password {
    Password::new("correct horse".to_owned())
}

/// Somebody with a wallet.
pub struct Person {
    pub place: tempfile::TempDir,
    pub wallet: Wallet,
    pub rng: Seeded,
}

impl Person {
    pub fn new(number: u8) -> Self {
        Self::of(Keys::new(Words::from_entropy(&[number; 32])), 0)
    }

    /// On an empty machine.
    pub fn of(keys: Keys, issued: u64) -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut rng = Seeded::new(issued + 77);
        let (folder, password) = (place.path().join("wallet"), password());
        let new = NewWallet {
            folder: &folder,
            network: Network::Test,
            keys,
            issued,
            password: &password,
            cost: Cost::LEAST,
        };
        let wallet = Wallet::create(new, &mut rng).unwrap();
        Self { place, wallet, rng }
    }

    pub fn folder(&self) -> PathBuf {
        self.place.path().join("wallet")
    }

    /// As after a kill: what is in memory is gone.
    pub fn reopen(self) -> Self {
        let Self { place, wallet, rng } = self;
        drop(wallet);
        let wallet = open(&place.path().join("wallet")).unwrap();
        Self { place, wallet, rng }
    }

    pub fn address(&self) -> Address {
        self.wallet.address(SubaddressIndex::MAIN)
    }

    pub fn read(&mut self, chain: &mut Chain) -> Result<Caught, WalletError> {
        self.wallet.read(chain, &mut self.rng)
    }

    pub fn spendable(&self) -> u64 {
        self.wallet.balance().spendable.0
    }

    /// Prepares and sends.
    pub fn pay(&mut self, to: Address, amount: u64, chain: &mut Chain) -> Result<u64, WalletError> {
        self.act(&Order::pay(payment(to, amount, "")), chain)
    }

    /// Sends, and says what it cost.
    pub fn act(&mut self, order: &Order, chain: &mut Chain) -> Result<u64, WalletError> {
        let draft = self.prepare(order, chain)?;
        let fee = draft.fee().0;
        self.wallet.send(draft, chain, &mut self.rng)?;
        Ok(fee)
    }

    pub fn prepare(
        &mut self,
        order: &Order,
        chain: &Chain,
    ) -> Result<mutirao_wallet::send::Draft, SendError> {
        let cells: &dyn Cells = if order.plans.is_empty() { &NoCells } else { chain };
        self.wallet.prepare(order, cells, &mut self.rng)
    }
}

pub fn open(folder: &Path) -> Result<Wallet, WalletError> {
    Wallet::open(folder, &password())
}

pub fn payment(to: Address, amount: u64, memo: &str) -> Payment {
    let memo = Memo::new(memo.as_bytes()).unwrap();
    Payment { to: To::Address(to), amount: Amount(amount), memo }
}
