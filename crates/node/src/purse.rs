//! A purse: a wallet of this home, the ledger that it asks, and the system's chance.

mod reach;

pub use reach::{Reach, ReachError};

use crate::Node;
use crate::files::{self, FileError};
use crate::keys::{self, KeyError};
use mutirao_chain::Chance;
use mutirao_ledger::cell::NoCells;
use mutirao_ledger::key::SubaddressIndex;
use mutirao_ledger::key::address::{Address, Network};
use mutirao_ledger::rules::FeeLevel;
use mutirao_ledger::service::{Answer, Question, Refusal};
use mutirao_ledger::tx::TxId;
use mutirao_wallet::keys::Keys;
use mutirao_wallet::keystore::{Cost, Password};
use mutirao_wallet::proof::{ProveError, Shown};
use mutirao_wallet::read::Caught;
use mutirao_wallet::send::{Draft, Order, SendError};
use mutirao_wallet::words::Words;
use mutirao_wallet::{Ledger, NewWallet, Unreachable, Wallet, WalletError};
use mutirao_wire::Amount;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Bytes of the file that remembers a ledger at most.
const TICKET_BYTES_MAX: u64 = 4096;

/// Why a purse could not be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PurseError {
    /// The wallet.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// A file beside it.
    #[error(transparent)]
    File(#[from] FileError),
    /// The system has no chance to give.
    #[error(transparent)]
    Chance(#[from] KeyError),
}

/// Why no new value came.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FaucetError {
    /// No answer.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The ledger gives none.
    #[error("the ledger refused: {0}")]
    Refused(Refusal),
    /// The ledger does not know the word.
    #[error("this ledger has no faucet")]
    Dry,
}

/// A generator that begins with bytes of the system; fresh for each purse.
///
/// # Errors
/// [`KeyError::Random`].
pub(crate) fn chance() -> Result<Chance, KeyError> {
    Ok(Chance::new(&keys::random()?))
}

/// Fresh words: 32 bytes of the system, and nothing else.
///
/// # Errors
/// [`KeyError::Random`].
pub fn fresh_words() -> Result<Words, KeyError> {
    Ok(Words::from_entropy(&zeroize::Zeroizing::new(keys::random()?)))
}

/// A fresh question for somebody who says that they paid.
///
/// # Errors
/// [`KeyError::Random`].
pub fn fresh_question() -> Result<String, KeyError> {
    let bytes = mutirao_wire::Digest(keys::random()?);
    Ok(bytes.hex().chars().take(32).collect())
}

/// A wallet of this home.
#[derive(Debug)]
pub struct Purse {
    wallet: Wallet,
    chance: Chance,
}

impl Node {
    /// The folder of the wallet that the settings name.
    #[must_use]
    pub fn wallet_folder(&self) -> PathBuf {
        self.config().data_dir.join("wallets").join(&self.config().wallet)
    }

    /// The ledger that the wallet last asked, as its ticket.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn remembered_ledger(&self) -> Result<Option<String>, FileError> {
        let content = files::read_if_there(&remembered(&self.wallet_folder()), TICKET_BYTES_MAX)?;
        let text = content.map(|content| String::from_utf8_lossy(&content).trim().to_owned());
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// Remembers the ledger that the settings name, if they name one and there is a wallet.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn remember_ledger(&self) -> Result<(), FileError> {
        let folder = self.wallet_folder();
        match &self.config().ledger {
            Some(ticket) if folder.is_dir() => {
                files::write_whole(&remembered(&folder), ticket.as_bytes())
            }
            _ => Ok(()),
        }
    }
}

fn remembered(folder: &Path) -> PathBuf {
    folder.join("ledger")
}

impl Purse {
    /// Makes the wallet that the settings name.
    ///
    /// # Errors
    /// [`PurseError`]; never over another wallet.
    pub fn create(
        node: &Node,
        network: Network,
        keys: Keys,
        issued: u64,
        password: &Password,
    ) -> Result<Self, PurseError> {
        node.make_data_dir()?;
        let (folder, cost) = (node.wallet_folder(), Cost::STANDARD);
        let mut chance = chance()?;
        let new = NewWallet { folder: &folder, network, keys, issued, password, cost };
        let wallet = Wallet::create(new, &mut chance)?;
        node.remember_ledger()?;
        Ok(Self { wallet, chance })
    }

    /// Opens the wallet that the settings name; `anew` forgets what it has read.
    ///
    /// # Errors
    /// [`PurseError`].
    pub fn open(node: &Node, password: &Password, anew: bool) -> Result<Self, PurseError> {
        let (folder, mut chance) = (node.wallet_folder(), chance()?);
        let wallet = match anew {
            false => Wallet::open(&folder, password),
            true => Wallet::open_anew(&folder, password, &mut chance),
        };
        Ok(Self { wallet: wallet?, chance })
    }

    /// The wallet, to look at.
    #[must_use]
    pub fn wallet(&self) -> &Wallet {
        &self.wallet
    }

    /// The wallet and the system's chance, to act with.
    pub fn parts(&mut self) -> (&mut Wallet, &mut Chance) {
        (&mut self.wallet, &mut self.chance)
    }

    /// Reads all that is new.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn read(&mut self, ledger: &mut impl Ledger) -> Result<Caught, WalletError> {
        self.wallet.read(ledger, &mut self.chance)
    }

    /// A fresh subaddress.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn new_address(&mut self) -> Result<(SubaddressIndex, Address), WalletError> {
        self.wallet.new_address(&mut self.chance)
    }

    /// Makes a payment ready.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn prepare(&mut self, order: &Order) -> Result<Draft, SendError> {
        self.wallet.prepare(order, &NoCells, &mut self.chance)
    }

    /// Makes a payment of all there is ready.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn prepare_all(&mut self, order: &Order) -> Result<Draft, SendError> {
        self.wallet.prepare_all(order, &mut self.chance)
    }

    /// Makes it ready to join small notes.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn prepare_join(&mut self, level: FeeLevel) -> Result<Draft, SendError> {
        self.wallet.prepare_join(level, &mut self.chance)
    }

    /// Sends what was made ready.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn send(&mut self, draft: Draft, ledger: &mut impl Ledger) -> Result<TxId, WalletError> {
        self.wallet.send(draft, ledger, &mut self.chance)
    }

    /// Shows a payment to whoever asked that question.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn prove(
        &mut self,
        tx: TxId,
        output: Option<u8>,
        question: &[u8; 32],
        ledger: &mut impl Ledger,
    ) -> Result<Shown, ProveError> {
        self.wallet.prove(tx, output, question, ledger, &mut self.chance)
    }

    /// Asks a test network for new value.
    ///
    /// # Errors
    /// [`FaucetError`].
    pub fn faucet(
        &mut self,
        amount: Amount,
        ledger: &mut impl Ledger,
    ) -> Result<TxId, FaucetError> {
        let address = self.wallet.address(SubaddressIndex::MAIN);
        match ledger.ask(&Question::Faucet { address, amount })? {
            Answer::Accepted(id) => Ok(id),
            Answer::Refused(refusal) => Err(FaucetError::Refused(refusal)),
            _ => Err(FaucetError::Dry),
        }
    }

    /// Puts the wallet under another password.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn change_password(&mut self, password: &Password) -> Result<(), WalletError> {
        self.wallet.change_password(password, Cost::STANDARD, &mut self.chance)
    }
}
