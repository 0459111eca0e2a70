//! A block: transactions in an order, checked together.
//!
//! Each transaction sees what the ones before it did. Claims are proven together at the end: one
//! multiplication for all sigma proofs, one batch of range proofs a size.

use crate::cell::challenge::{Judge, Nobody};
use crate::examine::{self, Conflict, Effects, History, Malformed, Permit, Resolved};
use crate::rules::{Check, Height, Rules};
use crate::state::{Overlay, Summary, SupplyError};
use crate::tx::{Issue, Transaction};
use mutirao_wire::codec::put_list;
use mutirao_wire::{Amount, Decode, DecodeError, Encode, Reader};
use thiserror::Error;

/// Transactions of one block at most.
pub const TRANSACTIONS_MAX: usize = 4096;

/// What the ledger sees of a block. Whoever orders blocks puts its own header around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The height.
    pub height: Height,
    /// In the order in which they take effect.
    pub transactions: Vec<Transaction>,
}

impl Encode for Block {
    fn encode(&self, out: &mut Vec<u8>) {
        self.height.encode(out);
        put_list(out, &self.transactions);
    }
}
impl Decode for Block {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let height = Height::decode(input)?;
        let count = input.count("transactions", TRANSACTIONS_MAX)?;
        let mut transactions = Vec::new();
        for _ in 0..count {
            transactions.push(transaction(input)?);
        }
        Ok(Self { height, transactions })
    }
}

/// One transaction of many: its own bound holds, not that of what follows it.
pub(crate) fn transaction(input: &mut Reader<'_>) -> Result<Transaction, DecodeError> {
    Ok(Transaction { body: Decode::decode(input)?, proofs: Decode::decode(input)? })
}

/// Why a block is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BlockError {
    /// Not the next height.
    #[error("block {given} where {wanted} is next")]
    Height {
        /// The next.
        wanted: u64,
        /// What the block says.
        given: u64,
    },
    /// Too many transactions.
    #[error("{0} transactions, at most {TRANSACTIONS_MAX}")]
    TooMany(usize),
    /// A transaction too long.
    #[error("transaction {0} is too long")]
    TooLong(usize),
    /// A transaction that makes no sense.
    #[error("transaction {at}: {error}")]
    Malformed {
        /// Its number.
        at: usize,
        /// Why.
        error: Malformed,
    },
    /// A transaction that the state refuses.
    #[error("transaction {at}: {error}")]
    Conflict {
        /// Its number.
        at: usize,
        /// Why.
        error: Conflict,
    },
    /// The protocol allows one issue of each kind.
    #[error("transaction {0} issues what another did")]
    Issue(usize),
    /// More than there can be.
    #[error("transaction {at}: {error}")]
    Supply {
        /// Its number.
        at: usize,
        /// Why.
        error: SupplyError,
    },
    /// Some proof is false.
    #[error("a proof does not hold")]
    FalseProof,
}

/// A block that fits the state, whose claims are not yet checked.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Each transaction's claims and effects.
    pub resolved: Vec<Resolved>,
    /// What the state becomes.
    pub summary: Summary,
}

impl Pending {
    /// Whether all claims hold.
    #[must_use]
    pub fn verify(&self) -> bool {
        examine::verify(&self.resolved.iter().collect::<Vec<_>>())
    }

    /// What the block does, transaction by transaction.
    #[must_use]
    pub fn effects(&self) -> Vec<Effects> {
        self.resolved.iter().map(|resolved| resolved.effects.clone()).collect()
    }
}

/// Resolves a block against the state before it, without checking its claims: they may be known
/// already, or checked on many threads.
///
/// # Errors
/// [`BlockError`].
// spec: LEDGER-6.5
pub fn resolve(
    block: &Block,
    history: &dyn History,
    summary: &Summary,
    rules: &Rules,
    permit: Permit,
) -> Result<Pending, BlockError> {
    let (wanted, given) = (summary.height.0.saturating_add(1), block.height.0);
    if wanted != given {
        return Err(BlockError::Height { wanted, given });
    }
    if block.transactions.len() > TRANSACTIONS_MAX {
        return Err(BlockError::TooMany(block.transactions.len()));
    }
    let mut overlay = Overlay::new(history, summary.clone());
    overlay.summary.height = block.height;
    let (mut resolved, mut left) = (Vec::new(), permit);
    for (at, tx) in block.transactions.iter().enumerate() {
        let one = resolve_one(at, tx, &mut overlay, rules, block.height, left)?;
        match tx.body.issue {
            Issue::None => {}
            Issue::Mint { .. } => left.mint = Amount::ZERO,
            Issue::Burn { .. } => left.burn = Amount::ZERO,
        }
        resolved.push(one);
    }
    Ok(Pending { resolved, summary: overlay.summary })
}

fn resolve_one(
    at: usize,
    tx: &Transaction,
    overlay: &mut Overlay<'_>,
    rules: &Rules,
    height: Height,
    permit: Permit,
) -> Result<Resolved, BlockError> {
    if tx.to_bytes().len() > crate::tx::TX_BYTES_MAX {
        return Err(BlockError::TooLong(at));
    }
    examine::stateless(tx, rules).map_err(|error| BlockError::Malformed { at, error })?;
    let resolved = examine::against(tx, overlay, rules, height, permit)
        .map_err(|error| BlockError::Conflict { at, error })?;
    let applied = overlay.apply(&resolved.effects);
    if !rules.holds(Check::Supply, applied.is_ok()) {
        applied.map_err(|error| BlockError::Supply { at, error })?;
    }
    Ok(resolved)
}

/// Resolves a block and checks its claims.
///
/// # Errors
/// [`BlockError`].
// spec: LEDGER-5.7, LEDGER-6.5
pub fn accept(
    block: &Block,
    history: &dyn History,
    summary: &Summary,
    rules: &Rules,
    permit: Permit,
) -> Result<Pending, BlockError> {
    let pending = resolve(block, history, summary, rules, permit)?;
    if pending.verify() { Ok(pending) } else { Err(BlockError::FalseProof) }
}

/// Resolves and checks one transaction on its own, as a mempool does on admission. No answer to a
/// challenge convinces here: see [`admit_before`].
///
/// # Errors
/// [`BlockError`], with 0 for the number of the transaction.
// spec: LEDGER-5.7
pub fn admit(
    tx: &Transaction,
    history: &dyn History,
    rules: &Rules,
    height: Height,
) -> Result<Resolved, BlockError> {
    admit_before(&Nobody, tx, history, rules, height)
}

/// As [`admit`], with whom answers to challenges must convince.
///
/// # Errors
/// As [`admit`].
// spec: LEDGER-14.4
pub fn admit_before(
    judge: &'static dyn Judge,
    tx: &Transaction,
    history: &dyn History,
    rules: &Rules,
    height: Height,
) -> Result<Resolved, BlockError> {
    examine::stateless(tx, rules).map_err(|error| BlockError::Malformed { at: 0, error })?;
    let permit = Permit { judge, ..Permit::default() };
    let resolved = examine::against(tx, history, rules, height, permit)
        .map_err(|error| BlockError::Conflict { at: 0, error })?;
    let holds = examine::verify(&[&resolved]);
    holds.then_some(resolved).ok_or(BlockError::FalseProof)
}
