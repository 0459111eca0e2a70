//! The cashier: a wallet that stays open while answers are paid for or sold.
//!
//! Two halves. Vouchers are drawn and taken at once, under a lock that nobody holds for long. What
//! asks the ledger, opening and closing a channel, is a call to one thread that has the wallet,
//! done in the order of arrival; while it waits for a block, or for a ledger that is away, vouchers
//! flow.

mod payee;
mod payer;
mod shown;
mod vouchers;

pub(crate) use payer::Opened;
pub use payer::provider_of;

use crate::assemble::Node;
use crate::files::FileError;
use crate::purse::{self, Purse, PurseError, Reach, ReachError};
use mutirao_ledger::cell::CellId;
use mutirao_ledger::cell::till::Share;
use mutirao_ledger::rules::Height;
use mutirao_wallet::WalletError;
use mutirao_wallet::keystore::Password;
use mutirao_wire::{Amount, ChannelId, ModelId, PeerKey};
use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use vouchers::Vouchers;

/// Why there is no cashier.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CashierError {
    /// The wallet does not open.
    #[error(transparent)]
    Purse(#[from] PurseError),
    /// No ledger can be asked.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// The ledger could not be read.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// A file beside the wallet.
    #[error(transparent)]
    File(#[from] FileError),
    /// The system gives no thread.
    #[error("the system gives no thread for the wallet: {0}")]
    Thread(std::io::Error),
    /// It ended.
    #[error("the wallet's thread has ended; see the log")]
    Gone,
}

/// A new channel holds enough for so many of the dearest answers that are allowed.
const ANSWERS_AHEAD: u64 = 10;
/// Calls that wait while the cashier asks a ledger.
const CALLS_WAITING: usize = 256;

type Call = Box<dyn FnOnce(&mut Desk) + Send>;

/// A way to the cashier; every copy leads to the same one.
#[derive(Clone)]
pub struct Cashier {
    calls: mpsc::Sender<Call>,
    vouchers: Arc<Mutex<Vouchers>>,
}

impl std::fmt::Debug for Cashier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cashier")
    }
}

/// What the cashier has before it.
struct Desk {
    purse: Purse,
    reach: Reach,
    /// How much is put into a new channel, and how much where there is not so much.
    deposit: Amount,
    least: Amount,
    /// For how many blocks.
    blocks: u64,
    vouchers: Arc<Mutex<Vouchers>>,
}

fn lock(vouchers: &Mutex<Vouchers>) -> MutexGuard<'_, Vouchers> {
    vouchers.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cashier {
    /// Opens the wallet that the settings name and reads its ledger. Not to be called inside a
    /// runtime: it waits.
    ///
    /// # Errors
    /// [`CashierError`].
    pub fn open(node: &Node, password: Password) -> Result<Self, CashierError> {
        let node = Node::new(node.config().clone());
        let (calls, inbox) = mpsc::channel::<Call>(CALLS_WAITING);
        let (ready, told) = sync_channel(1);
        let name = std::thread::Builder::new().name("cashier".to_owned());
        let work = move || match Desk::open(&node, &password) {
            Ok(desk) => {
                let _ = ready.send(Ok(desk.vouchers.clone()));
                desk.work(inbox);
            }
            Err(error) => drop(ready.send(Err(error))),
        };
        name.spawn(work).map_err(CashierError::Thread)?;
        let vouchers = told.recv().map_err(|_| CashierError::Gone)??;
        Ok(Self { calls, vouchers })
    }

    /// Not to be held while something is awaited.
    fn vouchers(&self) -> MutexGuard<'_, Vouchers> {
        lock(&self.vouchers)
    }

    /// Lets the cashier do something and waits for its outcome.
    async fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Desk) -> T + Send + 'static,
    ) -> Result<T, CashierError> {
        let (tell, told) = oneshot::channel();
        let call: Call = Box::new(move |desk| drop(tell.send(act(desk))));
        self.calls.send(call).await.map_err(|_| CashierError::Gone)?;
        told.await.map_err(|_| CashierError::Gone)
    }
}

impl Desk {
    fn open(node: &Node, password: &Password) -> Result<Self, CashierError> {
        let config = node.config();
        let answers = config.max_price.0.saturating_mul(ANSWERS_AHEAD);
        let deposit = config.channel_deposit.max(Amount(answers));
        let (blocks, least) = (u64::from(config.channel_blocks), config.max_price);
        let purse = Purse::open(node, password, false)?;
        let reach = Reach::find(node)?;
        let vouchers = Vouchers {
            notes: purse.wallet().notes(),
            chance: purse::chance().map_err(PurseError::from)?,
            daily: config.max_price_per_day,
            height: Height(0),
            lanes: BTreeMap::new(),
            shops: BTreeMap::new(),
        };
        let vouchers = Arc::new(Mutex::new(vouchers));
        let mut desk = Self { purse, reach, deposit, least, blocks, vouchers };
        desk.read()?;
        node.remember_ledger()?;
        desk.ready_lanes()?;
        Ok(desk)
    }

    /// Reads the ledger.
    fn read(&mut self) -> Result<(), WalletError> {
        self.purse.read(&mut self.reach)?;
        self.vouchers().height = self.purse.wallet().book().height();
        Ok(())
    }

    fn vouchers(&self) -> MutexGuard<'_, Vouchers> {
        lock(&self.vouchers)
    }

    fn work(mut self, mut inbox: mpsc::Receiver<Call>) {
        while let Some(call) = inbox.blocking_recv() {
            call(&mut self);
        }
        let mut vouchers = self.vouchers();
        vouchers.settle();
    }
}

/// The channel of an order, as the ledger knows it.
const fn cell(channel: ChannelId) -> CellId {
    CellId(channel.0)
}

/// A channel of the ledger, as orders name it.
const fn named(cell: CellId) -> ChannelId {
    ChannelId(cell.0)
}

/// A way to a provider: which channel pays it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    peer: PeerKey,
    model: ModelId,
    channel: CellId,
    /// The number of the provider's key that it names.
    number: u64,
}

mutirao_wire::record!(Way { peer, model, channel, number });

impl Node {
    /// The tills that get a share of what is paid for a model: what its creator published.
    ///
    /// # Errors
    /// [`FileError`] when they cannot be read.
    pub fn royalties(&self, model: ModelId) -> Result<Vec<Share>, FileError> {
        let path = self.royalty_file(model);
        let text = crate::files::read_if_there(&path, 4096)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().filter_map(share).collect())
    }

    /// Remembers the tills of a model.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn keep_royalties(&self, model: ModelId, shares: &[Share]) -> Result<(), FileError> {
        let line = |share: &Share| format!("{} {}\n", share.till.0.hex(), share.basis_points);
        let text: String = shares.iter().map(line).collect();
        let path = self.royalty_file(model);
        self.make_data_dir()?;
        if let Some(folder) = path.parent() {
            crate::files::make_private_dir(folder)?;
        }
        crate::files::write_whole(&path, text.as_bytes())
    }

    fn royalty_file(&self, model: ModelId) -> std::path::PathBuf {
        self.config().data_dir.join("royalties").join(model.0.hex())
    }
}

/// A till and its basis points.
fn share(line: &str) -> Option<Share> {
    let (till, basis_points) = line.split_once(' ')?;
    let till = CellId(mutirao_wire::Digest::from_hex(till).ok()?);
    Some(Share { till, basis_points: basis_points.parse().ok()? })
}
