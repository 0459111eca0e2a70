//! One wallet: its folder, its keys, its book.

use crate::balance::Balance;
use crate::book::{Book, State};
use crate::history::{self, Line, Whose};
use crate::keys::{Keys, Spender, Tier, ViewKey, ViewKeyError};
use crate::keystore::{self, Contents, Cost, KEYSTORE_BYTES_MAX, KeystoreError, Password};
use crate::keystore::{ShortPassword, VaultKey};
use crate::notes::Notes;
use crate::paying::ChannelError;
use crate::proof::{ProveError, Shown};
use crate::read::{Caught, Ledger, ReadError, Reader};
use crate::send::{Desk, Draft, Order, SendError};
use crate::shelf::{Shelf, ShelfError};
use crate::vault::{self, BOOK_BYTES_MAX, VaultError};
use mutirao_ledger::cell::{Cells, NoCells};
use mutirao_ledger::key::SubaddressIndex;
use mutirao_ledger::key::address::{Address, Network};
use mutirao_ledger::note::NoteIndex;
use mutirao_ledger::payment::PaymentProof;
use mutirao_ledger::rules::{FeeLevel, Rules};
use mutirao_ledger::service::{Answer, Question};
use mutirao_ledger::tx::{Body, TxId};
use rand_core::CryptoRng;
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;

/// Why a wallet could not do what it was asked to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WalletError {
    /// Its files.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// Its keystore.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// Its book.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A new password that protects nothing.
    #[error(transparent)]
    Short(#[from] ShortPassword),
    /// The ledger could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Something was not sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// A payment could not be shown.
    #[error(transparent)]
    Prove(#[from] ProveError),
    /// A channel.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// Keys that this wallet does not give away.
    #[error(transparent)]
    ViewKey(#[from] ViewKeyError),
}

/// What a new wallet is made from.
#[derive(Debug)]
pub struct NewWallet<'a> {
    /// Its folder.
    pub folder: &'a Path,
    /// Which ledger it is for.
    pub network: Network,
    /// Its keys.
    pub keys: Keys,
    /// The last subaddress that is known to have been given away.
    pub issued: u64,
    /// What protects it.
    pub password: &'a Password,
    /// How much work it is to try one password.
    pub cost: Cost,
}

/// One wallet; as long as it lives no other process has it.
#[derive(Debug)]
pub struct Wallet {
    shelf: Arc<Shelf>,
    contents: Contents,
    book: Book,
}

impl Wallet {
    /// Makes a wallet where there is none.
    ///
    /// # Errors
    /// [`WalletError`]; nothing is ever written over another wallet.
    pub fn create(new: NewWallet<'_>, rng: &mut impl CryptoRng) -> Result<Self, WalletError> {
        new.password.check()?;
        if Shelf::is_there(new.folder) {
            return Err(ShelfError::Exists { path: new.folder.to_owned() }.into());
        }
        let NewWallet { network, keys, .. } = new;
        let contents = Contents { network, vault: VaultKey::fresh(rng), keys };
        let bytes = keystore::seal(&contents, new.password, new.cost, rng)?;
        let shelf = Shelf::create(new.folder, &bytes)?;
        // What an earlier wallet may have left here is not this one's.
        shelf.put_book_aside()?;
        let book = Book::new(new.issued);
        let wallet = Self { shelf: Arc::new(shelf), contents, book };
        wallet.keep(rng)?;
        Ok(wallet)
    }

    /// Opens a wallet.
    ///
    /// # Errors
    /// [`WalletError`]: a wrong password, a damaged keystore and a damaged book are told apart.
    pub fn open(folder: &Path, password: &Password) -> Result<Self, WalletError> {
        let (shelf, contents) = Self::unlock(folder, password)?;
        let bytes = shelf.book(BOOK_BYTES_MAX)?;
        let book = bytes.map(|bytes| vault::open(&bytes, &contents.vault)).transpose()?;
        // Without a book everything is read again, as from the words.
        let (shelf, book) = (Arc::new(shelf), book.unwrap_or_else(|| Book::new(0)));
        Ok(Self { shelf, contents, book })
    }

    /// Opens a wallet and reads nothing of its book but what the ledger does not know: it is read
    /// anew from the beginning. A book that does not open is put aside.
    ///
    /// # Errors
    /// As [`Wallet::open`], but for a damaged book.
    // spec: WALLET-3.3
    pub fn open_anew(
        folder: &Path,
        password: &Password,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, WalletError> {
        let (shelf, contents) = Self::unlock(folder, password)?;
        let bytes = shelf.book(BOOK_BYTES_MAX)?;
        let book = bytes.map(|bytes| vault::open::<Book>(&bytes, &contents.vault));
        let mut book = match book {
            Some(Ok(book)) => book,
            _ => Book::new(0),
        };
        book.forget_reading();
        shelf.put_book_aside()?;
        let wallet = Self { shelf: Arc::new(shelf), contents, book };
        wallet.keep(rng)?;
        Ok(wallet)
    }

    fn unlock(folder: &Path, password: &Password) -> Result<(Shelf, Contents), WalletError> {
        let shelf = Shelf::open(folder)?;
        let contents = keystore::open(&shelf.keys(KEYSTORE_BYTES_MAX)?, password)?;
        Ok((shelf, contents))
    }

    /// Puts the same keys under another password.
    ///
    /// # Errors
    /// [`WalletError`]; the old password then still opens it.
    pub fn change_password(
        &self,
        password: &Password,
        cost: Cost,
        rng: &mut impl CryptoRng,
    ) -> Result<(), WalletError> {
        password.check()?;
        let bytes = keystore::seal(&self.contents, password, cost, rng)?;
        Ok(self.shelf.put_keys(&bytes)?)
    }

    fn keep(&self, rng: &mut impl CryptoRng) -> Result<(), WalletError> {
        Ok(self.shelf.put_book(&vault::seal(&self.book, &self.contents.vault, rng)?)?)
    }

    /// Which ledger it is for.
    #[must_use]
    pub fn network(&self) -> Network {
        self.contents.network
    }

    /// How much it may do.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.contents.keys.tier()
    }

    /// What it remembers.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Its words and keys, where it has them.
    #[must_use]
    pub fn spender(&self) -> Option<&Spender> {
        self.contents.keys.spender()
    }

    /// Keys of a lower tier, for another machine.
    ///
    /// # Errors
    /// [`ViewKeyError::Tier`].
    pub fn view_key(&self, tier: Tier) -> Result<ViewKey, ViewKeyError> {
        ViewKey::new(&self.contents.keys, tier, self.contents.network, self.book.issued)
    }

    /// The address of that number; 0 is the main address.
    #[must_use]
    pub fn address(&self, index: SubaddressIndex) -> Address {
        self.contents.keys.receive().address(self.contents.network, index)
    }

    /// A subaddress that nobody has been given, and its number. It is remembered before it is
    /// given away.
    ///
    /// # Errors
    /// [`WalletError`] when it cannot be written down.
    // spec: WALLET-4.4
    pub fn new_address(
        &mut self,
        rng: &mut impl CryptoRng,
    ) -> Result<(SubaddressIndex, Address), WalletError> {
        let issued = self.book.issued.saturating_add(1);
        let mut book = self.book.clone();
        book.issued = issued;
        book.window = book.window.max(issued.saturating_add(crate::book::LOOK_AHEAD));
        self.replace(book, rng)?;
        let index = SubaddressIndex(issued);
        Ok((index, self.address(index)))
    }

    /// Its small files, for whoever must not wait for it.
    #[must_use]
    pub fn notes(&self) -> Notes {
        Notes::new(self.shelf.clone(), self.contents.vault.clone())
    }

    /// The book changes only together with its file.
    pub(crate) fn replace(
        &mut self,
        book: Book,
        rng: &mut impl CryptoRng,
    ) -> Result<(), WalletError> {
        let before = std::mem::replace(&mut self.book, book);
        self.keep(rng).inspect_err(|_| self.book = before)
    }

    /// Reads all that is new.
    ///
    /// # Errors
    /// [`WalletError`]; what was read before stays.
    pub fn read(
        &mut self,
        ledger: &mut impl Ledger,
        rng: &mut impl CryptoRng,
    ) -> Result<Caught, WalletError> {
        let Self { shelf, contents, book } = self;
        let keep = |book: &Book| -> Result<(), WalletError> {
            Ok(shelf.put_book(&vault::seal(book, &contents.vault, rng)?)?)
        };
        Reader::new(&contents.keys, contents.network, ledger).read(book, keep)
    }

    /// How much there is.
    #[must_use]
    pub fn balance(&self) -> Balance {
        Balance::of(&self.book)
    }

    /// What happened.
    #[must_use]
    pub fn history(&self) -> Vec<Line> {
        let key = self.contents.keys.receive();
        history::lines(&self.book, Whose { key: &key, network: self.contents.network })
    }

    fn with_desk<T>(
        &self,
        cells: &dyn Cells,
        act: impl FnOnce(&Desk<'_>) -> Result<T, SendError>,
    ) -> Result<T, SendError> {
        let spender = self.contents.keys.spender().ok_or(SendError::ViewOnly)?;
        let rules: Rules = self.book.reading.map(|it| it.rules).ok_or(SendError::Unread)?;
        let network = self.contents.network;
        act(&Desk { spender, network, book: &self.book, rules: &rules, cells })
    }

    /// Makes a transaction ready; nothing leaves before [`Wallet::send`]. `cells` are those that
    /// the order's plans speak of.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn prepare(
        &self,
        order: &Order,
        cells: &dyn Cells,
        rng: &mut impl CryptoRng,
    ) -> Result<Draft, SendError> {
        self.with_desk(cells, |desk| desk.prepare(order, rng))
    }

    /// As [`Wallet::prepare`], with all that there is, less the fee, as the amount of the order's
    /// one payment.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn prepare_all(&self, order: &Order, rng: &mut impl CryptoRng) -> Result<Draft, SendError> {
        self.with_desk(&NoCells, |desk| desk.prepare_all(order, rng))
    }

    /// Makes a transaction ready that joins the smallest notes into one.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn prepare_join(
        &self,
        level: FeeLevel,
        rng: &mut impl CryptoRng,
    ) -> Result<Draft, SendError> {
        self.with_desk(&NoCells, |desk| desk.prepare_join(level, rng))
    }

    /// Writes the draft down, then sends it: a kill in between loses nothing, and what was written
    /// down goes out at the next reading.
    ///
    /// # Errors
    /// [`WalletError::Send`] when the ledger refuses or does not answer.
    // spec: WALLET-5.2, WALLET-5.3
    pub fn send(
        &mut self,
        draft: Draft,
        ledger: &mut impl Ledger,
        rng: &mut impl CryptoRng,
    ) -> Result<TxId, WalletError> {
        let Draft { sending } = draft;
        let free = self.book.spendable();
        let fresh = |input: &NoteIndex| free.iter().any(|held| held.index == *input);
        if !sending.inputs.iter().all(fresh) {
            return Err(SendError::Stale.into());
        }
        let (id, transaction) = (sending.id, sending.transaction.clone());
        let Some(transaction) = transaction else { return Err(SendError::Stale.into()) };
        let mut book = self.book.clone();
        book.send(sending);
        self.replace(book, rng)?;
        match ledger.ask(&Question::Submit(Box::new(transaction))).map_err(SendError::Unsent)? {
            Answer::Accepted(_) => Ok(id),
            Answer::Refused(refusal) => {
                let mut book = self.book.clone();
                book.settle(id, State::Refused(refusal.to_string()));
                self.replace(book, rng)?;
                Err(SendError::Refused(refusal).into())
            }
            _ => {
                let height = self.book.height().0;
                let what = "it neither takes nor refuses a transaction";
                Err(ReadError::Contradiction { height, what }.into())
            }
        }
    }

    /// Shows a payment of ours to whoever asked that question. `output` chooses among several.
    ///
    /// # Errors
    /// [`ProveError`].
    // spec: WALLET-6.1
    pub fn prove(
        &self,
        tx: TxId,
        output: Option<u8>,
        question: &[u8; 32],
        ledger: &mut impl Ledger,
        rng: &mut impl CryptoRng,
    ) -> Result<Shown, ProveError> {
        let keys = self.contents.keys.balance().ok_or(ProveError::Tier)?;
        let sending = self.book.sending(tx).ok_or(ProveError::Unknown)?;
        let State::Confirmed(height) = sending.state else { return Err(ProveError::Waiting) };
        let wanted = |paid: &&crate::book::Paid| output.is_none_or(|output| paid.output == output);
        let paid: Vec<_> = sending.paid.iter().filter(wanted).collect();
        let [paid] = paid[..] else { return Err(ProveError::Which(sending.paid.len())) };
        let body = whole(tx, height, ledger)?;
        let tag = body.spends.first().map(|spend| *spend.tag.bytes());
        let spent = tag.and_then(|tag| self.book.tagged(&tag)).ok_or(ProveError::Unknown)?;
        let what = (paid.output, &paid.sent_note());
        let proof = PaymentProof::new(&body, what, (&keys, &spent.note), question, rng)?;
        Ok(Shown { tx, proof })
    }
}

/// The body of a transaction, out of its whole block.
fn whole(
    tx: TxId,
    height: mutirao_ledger::rules::Height,
    ledger: &mut impl Ledger,
) -> Result<Body, ProveError> {
    let Answer::Block(block) = ledger.ask(&Question::Block(height))? else {
        return Err(ProveError::Missing);
    };
    let found = block.transactions.into_iter().find(|transaction| transaction.id() == tx);
    found.map(|transaction| transaction.body).ok_or(ProveError::Missing)
}
