//! The ledger of this node: kept here for others, or asked from afar.
//!
//! [`serve`] keeps one and answers; [`remote`] asks one by its ticket. Both speak the words of
//! `mutirao_ledger::service`, one frame a question and one frame an answer.

mod http;
pub mod remote;
pub mod serve;
#[cfg(test)]
mod tests;
pub mod view;

pub use mutirao_chain::audit::{Audit, AuditError};
pub use mutirao_chain::{Chain, Chance, Genesis, Keeper, Pace, Store, StoreError};
pub use remote::{Remote, Unreachable};
pub use serve::ServingLedger;
pub use view::{HeadView, audit_file, audit_store, head_of, write_snapshot};

use crate::assemble::Node;
use crate::files::{self, FileError};
use crate::keys::{self, KeyError};
use mutirao_chain::{GenesisError, OpenError};
use mutirao_net::NetError;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use thiserror::Error;

/// Bytes of the longest genesis file.
const GENESIS_BYTES_MAX: u64 = 64 << 10;
/// Room that a disk must have before a ledger starts.
const ROOM_MIN: u64 = 64 << 20;

/// Why a ledger cannot be kept here.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The ledger itself.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What is stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The genesis file.
    #[error("{}: {error}", path.display())]
    Genesis {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: GenesisError,
    },
    /// A ledger is here that began otherwise.
    #[error(
        "the ledger in {} began otherwise: its chain is {here}, that of the file is {given}; keep \
         another one with --data-dir",
        folder.display()
    )]
    OtherGenesis {
        /// Where.
        folder: PathBuf,
        /// The chain that is here.
        here: String,
        /// The chain of the file.
        given: String,
    },
    /// No room on the disk.
    #[error(
        "{free} bytes are free where {} is, a ledger starts with {ROOM_MIN}; make room",
        folder.display()
    )]
    NoRoom {
        /// Where.
        folder: PathBuf,
        /// What is free.
        free: u64,
    },
    /// A snapshot.
    #[error(transparent)]
    Snapshot(#[from] mutirao_chain::snapshot::SnapshotError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key or chance.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The network.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The HTTP door.
    #[error("cannot listen on {address}: {reason}; choose another with --http")]
    Door {
        /// Where.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// The system gives no thread.
    #[error("the system gives no thread: {0}")]
    Thread(std::io::Error),
}

/// Milliseconds since 1970, as this machine says. What a clock that jumps does to a chain is the
/// chain's business (CHAIN-2.3, CHAIN-3.4).
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Node {
    /// Where the ledger of this home is.
    #[must_use]
    pub fn ledger_folder(&self) -> PathBuf {
        self.config().data_dir.join("ledger")
    }

    /// Opens the ledger of this home, and keeps it. Where there is none, one begins: with the
    /// genesis file that is named, or as a test network of its own.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn keep_ledger(&self, genesis: Option<&Path>, pace: Pace) -> Result<Keeper, LedgerError> {
        let chain = self.open_chain(genesis)?;
        Keeper::start(chain, Arc::new(now), pace).map_err(LedgerError::Thread)
    }

    fn open_chain(&self, genesis: Option<&Path>) -> Result<Chain, LedgerError> {
        let folder = self.ledger_folder();
        files::make_private_dir(&folder)?;
        if let Some(free) = files::free_bytes(&folder).filter(|free| *free < ROOM_MIN) {
            return Err(LedgerError::NoRoom { folder, free });
        }
        let width = self.config().threads.max(1);
        let (chance, given) = (Chance::new(&keys::random()?), genesis.map(read_genesis));
        let given = given.transpose()?;
        if !Store::path(&folder).exists() {
            let genesis = match given {
                Some(genesis) => genesis,
                None => own_genesis()?,
            };
            return Ok(Chain::create(&folder, &genesis, width, chance)?);
        }
        let chain = Chain::open(&folder, width, chance)?;
        let here = chain.store().genesis().chain();
        match given.map(|given| given.chain()) {
            Some(given) if given != here => {
                let (here, given) = (here.0.hex(), given.0.hex());
                Err(LedgerError::OtherGenesis { folder, here, given })
            }
            _ => Ok(chain),
        }
    }

    /// Opens what is stored of the ledger of this home, while nobody keeps it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stored_ledger(&self) -> Result<Store, StoreError> {
        Store::open(&self.ledger_folder())
    }
}

fn read_genesis(path: &Path) -> Result<Genesis, LedgerError> {
    let bytes = files::read_bounded(path, GENESIS_BYTES_MAX)?;
    let text = String::from_utf8_lossy(&bytes);
    Genesis::read(&text).map_err(|error| LedgerError::Genesis { path: path.to_owned(), error })
}

/// A test network that is nobody else's.
fn own_genesis() -> Result<Genesis, KeyError> {
    let number = mutirao_wire::Digest(keys::random()?);
    Ok(Genesis::test(&format!("test {}", number.short())))
}
