//! What a file of blocks shows to anybody: counts, sizes, times and fees, and nothing else.

use super::{Audit, AuditError, Genesis, LedgerError, Remote, Store, StoreError, Unreachable};
use crate::assemble::Node;
use crate::files;
use mutirao_chain::file::{self, Blocks, FileError};
use mutirao_chain::snapshot::{self, SnapshotError};
use mutirao_ledger::anatomy::{Class, Finding, Survey, Total};
use mutirao_ledger::cell::Action;
use mutirao_ledger::cell::bond::BondAction;
use mutirao_ledger::cell::challenge::ChallengeAction;
use mutirao_ledger::cell::channel::ChannelAction;
use mutirao_ledger::cell::deed::DeedAction;
use mutirao_ledger::cell::till::TillAction;
use mutirao_ledger::key::address::Network;
use mutirao_ledger::rules::{ChainId, Height};
use mutirao_ledger::sealed::{BlockId, Sealed};
use mutirao_ledger::service::{Answer, Head, Question};
use mutirao_ledger::tx::{Issue, Transaction};
use mutirao_wire::{Amount, Decode, DecodeError, Digest, Encode};
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use thiserror::Error;

/// Why blocks cannot be shown or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The system.
    #[error("{}: {error}", path.display())]
    System {
        /// Which file.
        path: std::path::PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Bytes that are no block.
    #[error("block {height}: {error}")]
    Block {
        /// Which.
        height: u64,
        /// Why.
        error: DecodeError,
    },
    /// A ledger somewhere else.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// It answered something else.
    #[error("the ledger gave another answer than was asked for: {0}")]
    Answer(String),
}

/// A transaction as a stranger sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenTransaction {
    /// Its id.
    pub id: String,
    /// Its bytes.
    pub bytes: usize,
    /// Notes that leave.
    pub spends: usize,
    /// Notes that come.
    pub outputs: usize,
    /// What happens to cells, by kind.
    pub actions: Vec<&'static str>,
    /// The fee.
    pub fee: Amount,
    /// New value, in public.
    pub minted: Amount,
    /// The last height.
    pub valid_until: u64,
}

/// A block as a stranger sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenBlock {
    /// Its height.
    pub height: u64,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// Its bytes.
    pub bytes: usize,
    /// Its transactions.
    pub transactions: Vec<SeenTransaction>,
}

/// What a stranger sees of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outsider {
    /// Its name.
    pub name: String,
    /// Its id.
    pub chain: String,
    /// Whether its value counts.
    pub is_test: bool,
    /// Bytes of the file.
    pub bytes: u64,
    /// Its blocks.
    pub blocks: Vec<SeenBlock>,
}

impl Outsider {
    /// Transactions of all blocks.
    pub fn transactions(&self) -> impl Iterator<Item = &SeenTransaction> {
        self.blocks.iter().flat_map(|block| &block.transactions)
    }
}

fn open(path: &Path) -> Result<Blocks<BufReader<File>>, ViewError> {
    let system = |error| ViewError::System { path: path.to_owned(), error };
    Ok(Blocks::open(BufReader::new(File::open(path).map_err(system)?))?)
}

/// What a stranger sees of a file of blocks.
///
/// # Errors
/// [`ViewError`].
pub fn outsider(path: &Path) -> Result<Outsider, ViewError> {
    let mut blocks = open(path)?;
    let mut bytes = blocks.head_bytes() as u64;
    let mut seen = Vec::new();
    while let Some((block, encoded)) = blocks.next_block()? {
        bytes += 4 + encoded.len() as u64;
        seen.push(see(&block));
    }
    let genesis = blocks.genesis();
    Ok(Outsider {
        name: genesis.name.clone(),
        chain: genesis.chain().0.hex(),
        is_test: genesis.network == Network::Test,
        bytes,
        blocks: seen,
    })
}

/// What a stranger sees of a block.
pub(crate) fn see(block: &Sealed) -> SeenBlock {
    SeenBlock {
        height: block.header.height.0,
        time_ms: block.header.time,
        bytes: block.to_bytes().len(),
        transactions: block.transactions.iter().map(see_transaction).collect(),
    }
}

fn see_transaction(tx: &Transaction) -> SeenTransaction {
    SeenTransaction {
        id: tx.id().0.hex(),
        bytes: tx.to_bytes().len(),
        spends: tx.body.spends.len(),
        outputs: tx.body.outputs.len(),
        actions: tx.body.actions.iter().map(kind).collect(),
        fee: tx.body.fee,
        minted: match tx.body.issue {
            Issue::Mint { amount, .. } => amount,
            _ => Amount::ZERO,
        },
        valid_until: tx.body.valid_until.0,
    }
}

fn kind(action: &Action) -> &'static str {
    match action {
        Action::Till(TillAction::Open { .. }) => "till opened",
        Action::Till(TillAction::Deposit { .. }) => "till paid",
        Action::Till(TillAction::Payout { .. }) => "till paid out",
        Action::Deed(DeedAction::Register { .. }) => "deed registered",
        Action::Deed(DeedAction::Transfer { .. }) => "deed moved",
        Action::Deed(DeedAction::Retire { .. }) => "deed retired",
        Action::Channel(ChannelAction::Open { .. }) => "channel opened",
        Action::Channel(ChannelAction::TopUp { .. }) => "channel topped up",
        Action::Channel(ChannelAction::Close { .. }) => "channel closed",
        Action::Channel(ChannelAction::Settle { .. }) => "channel settled",
        Action::Channel(ChannelAction::Refund { .. }) => "channel refunded",
        Action::Bond(BondAction::Open { .. }) => "bond opened",
        Action::Bond(BondAction::TopUp { .. }) => "bond topped up",
        Action::Bond(BondAction::Leave { .. }) => "bond leaving",
        Action::Bond(BondAction::Withdraw { .. }) => "bond withdrawn",
        Action::Challenge(ChallengeAction::Open { .. }) => "challenge opened",
        Action::Challenge(ChallengeAction::Answer { .. }) => "challenge answered",
        Action::Challenge(ChallengeAction::Slash { .. }) => "challenge lost",
        Action::Challenge(ChallengeAction::Collect { .. }) => "challenge collected",
    }
}

/// What every byte of a file is.
#[derive(Debug)]
pub struct Leaks {
    /// Fields of blocks, and what surrounds them in the file.
    pub totals: Vec<Total>,
    /// Bytes of the file; the totals add up to it.
    pub bytes: u64,
    /// Blocks.
    pub blocks: u64,
    /// What gives somebody away.
    pub findings: Vec<Finding>,
}

/// Names every byte of a file of blocks, and looks for what gives somebody away. Blocks that no
/// ledger would take are read all the same.
///
/// # Errors
/// [`ViewError`].
// spec: CHAIN-7.1, CHAIN-7.2
pub fn leaks(path: &Path) -> Result<Leaks, ViewError> {
    let mut blocks = open(path)?;
    let (mut survey, mut count) = (Survey::default(), 0u64);
    let head = blocks.head_bytes() as u64;
    while let Some(bytes) = blocks.next_bytes()? {
        count += 1;
        survey.add(&bytes).map_err(|error| ViewError::Block { height: count, error })?;
    }
    let around = |field, number, bytes| Total { field, class: Class::Public, count: number, bytes };
    let mut totals: Vec<Total> = survey.totals().copied().collect();
    totals.push(around("genesis", 1, head));
    totals.push(around("length of a block", count, 4 * count));
    totals.sort_by_key(|total| (total.class, total.field));
    let bytes = survey.bytes() + head + 4 * count;
    Ok(Leaks { totals, bytes, blocks: count, findings: survey.findings() })
}

/// Writes all blocks of a stored ledger into a file that others can read; returns how many.
///
/// # Errors
/// [`ViewError`].
pub fn export(store: &Store, path: &Path) -> Result<u64, ViewError> {
    let system = |error| ViewError::System { path: path.to_owned(), error };
    let mut out = BufWriter::new(File::create(path).map_err(system)?);
    let written = file::write(&mut out, store)?;
    out.flush().map_err(system)?;
    Ok(written)
}

/// The same from a ledger somewhere else. Each block is held against the one before.
///
/// # Errors
/// [`ViewError`].
pub async fn export_from(remote: &mut Remote, path: &Path) -> Result<u64, ViewError> {
    let system = |error| ViewError::System { path: path.to_owned(), error };
    let genesis = match remote.ask(&Question::Genesis).await? {
        Answer::Genesis(bytes) => Genesis::from_bytes(&bytes),
        other => return Err(ViewError::Answer(format!("{other:?}"))),
    };
    let genesis = genesis.map_err(|error| ViewError::Block { height: 0, error })?;
    let mut out = BufWriter::new(File::create(path).map_err(system)?);
    file::begin(&mut out, &genesis)?;
    let mut tip = mutirao_ledger::sealed::Tip::genesis(genesis.chain());
    let mut height = 0;
    while let Answer::Block(block) = remote.ask(&Question::Block(Height(height + 1))).await? {
        block.follows(&tip).map_err(FileError::from)?;
        tip = block.header.tip();
        file::put(&mut out, &block)?;
        height += 1;
    }
    out.flush().map_err(system)?;
    Ok(height)
}

/// Where a ledger stands, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadView {
    /// The chain's id.
    pub chain: String,
    /// Whether its value counts for nothing.
    pub is_test: bool,
    /// The height of the last block.
    pub height: u64,
    /// The root of the state.
    pub root: String,
    /// How much there is.
    pub supply: Amount,
    /// Milliseconds since 1970 in the last header.
    pub time_ms: u64,
    /// By how much the last block is ahead of this machine's clock, where it is.
    pub ahead_ms: u64,
}

impl From<&Head> for HeadView {
    fn from(head: &Head) -> Self {
        Self {
            chain: head.rules.chain.0.hex(),
            is_test: head.network == Network::Test,
            height: head.height.0,
            root: head.root.hex(),
            supply: head.supply,
            time_ms: head.time,
            ahead_ms: head.time.saturating_sub(super::now()),
        }
    }
}

impl Remote {
    /// Where it stands.
    ///
    /// # Errors
    /// [`ViewError`].
    pub async fn head(&mut self) -> Result<HeadView, ViewError> {
        match self.ask(&Question::Head).await? {
            Answer::Head(head) => Ok(HeadView::from(&head)),
            other => Err(ViewError::Answer(format!("{other:?}"))),
        }
    }
}

/// Where a stored ledger stands.
///
/// # Errors
/// [`StoreError`].
pub fn head_of(store: &Store) -> Result<HeadView, StoreError> {
    Ok(HeadView::from(&mutirao_chain::head(store)?))
}

/// Audits a stored ledger, from its members and from its blocks.
///
/// # Errors
/// [`AuditError`].
pub fn audit_store(store: &Store) -> Result<Audit, AuditError> {
    mutirao_chain::audit::both(store)
}

/// Audits a file of blocks.
///
/// # Errors
/// [`AuditError`].
pub fn audit_file(path: &Path) -> Result<Audit, AuditError> {
    let input = BufReader::new(File::open(path).map_err(FileError::from)?);
    let mut blocks = Blocks::open(input)?;
    let genesis = blocks.genesis().clone();
    let next = || blocks.next_block().transpose().map(|it| Ok(it.map(|(block, _)| block)?));
    mutirao_chain::audit::of_blocks(&genesis, std::iter::from_fn(next))
}

/// Writes a snapshot; returns the chain and the block that it is of.
///
/// # Errors
/// [`SnapshotError`].
pub fn write_snapshot(store: &Store, path: &Path) -> Result<(String, String), SnapshotError> {
    let mut out = BufWriter::new(File::create(path)?);
    let block = snapshot::write(&mut out, store)?;
    out.flush()?;
    Ok((store.genesis().chain().0.hex(), block.0.hex()))
}

impl Node {
    /// Begins the ledger of this home with a snapshot of the chain and block that are trusted.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn restore_ledger(
        &self,
        path: &Path,
        chain: &str,
        block: &str,
    ) -> Result<Store, LedgerError> {
        let read = |id: &str| Digest::from_hex(id).map_err(SnapshotError::from);
        let (chain, block) = (ChainId(read(chain)?), BlockId(read(block)?));
        let bytes = files::read_bounded(path, snapshot::SNAPSHOT_BYTES_MAX)?;
        let folder = self.ledger_folder();
        files::make_private_dir(&folder)?;
        Ok(snapshot::read(&bytes, chain, block, &folder)?)
    }
}
