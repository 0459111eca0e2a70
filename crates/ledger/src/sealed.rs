//! A sealed block: transactions under a header that says what came before and what comes out.
//!
//! Whoever orders transactions makes it, whoever keeps or reads the ledger holds it to the same
//! rules: every header names the one before, down to the genesis, and the root of the state after
//! its own transactions. It holds no name of whoever sealed it.

use crate::block::{Block, TRANSACTIONS_MAX, transaction};
use crate::rules::{ChainId, Height};
use crate::tx::Transaction;
use mutirao_wire::codec::put_list;
use mutirao_wire::{Decode, DecodeError, Digest, Encode, Reader, record};
use thiserror::Error;

/// The version of the encoding.
const VERSION: u8 = 1;
/// Bytes of the largest sealed block: with the words around it, it fits one frame.
// spec: CHAIN-2.4
pub const SEALED_BYTES_MAX: usize = 1_000_000;
/// Bytes of a header.
pub const HEADER_BYTES: usize = 1 + 32 + 8 + 8 + 32 + 32;

/// Names a sealed block: the hash of its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(pub Digest);

impl BlockId {
    /// What the first block names as its parent.
    #[must_use]
    pub fn genesis(chain: ChainId) -> Self {
        Self(chain.0)
    }
}

impl Encode for BlockId {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}
impl Decode for BlockId {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Digest::decode(input).map(Self)
    }
}
impl std::fmt::Display for BlockId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What stands above the transactions of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The block before.
    pub parent: BlockId,
    /// How many blocks stand below.
    pub height: Height,
    /// Milliseconds since 1970, by the clock of whoever proposed it; never before its parent's.
    pub time: u64,
    /// The root of the state after this block.
    pub root: Digest,
    /// See [`digest`].
    pub transactions: Digest,
}

impl Encode for Header {
    // spec: CHAIN-2.1
    fn encode(&self, out: &mut Vec<u8>) {
        VERSION.encode(out);
        self.parent.encode(out);
        self.height.encode(out);
        self.time.encode(out);
        self.root.encode(out);
        self.transactions.encode(out);
    }
}
impl Decode for Header {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = u8::decode(input)?;
        if version != VERSION {
            let what = "version of a block";
            return Err(DecodeError::Unknown { what, value: version.into() });
        }
        Ok(Self {
            parent: BlockId::decode(input)?,
            height: Height::decode(input)?,
            time: u64::decode(input)?,
            root: Digest::decode(input)?,
            transactions: Digest::decode(input)?,
        })
    }
}

impl Header {
    /// The name of the block.
    #[must_use]
    pub fn id(&self) -> BlockId {
        BlockId(Digest::of("mutirao v1 ledger block", &[&self.to_bytes()]))
    }

    /// Where the chain stands after this block.
    #[must_use]
    pub fn tip(&self) -> Tip {
        Tip { id: self.id(), height: self.height, time: self.time }
    }
}

/// Where a chain ends: what the next header is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// The last block, or the genesis.
    pub id: BlockId,
    /// Its height.
    pub height: Height,
    /// Its time; 0 before the first block.
    pub time: u64,
}

record!(Tip { id, height, time });

impl Tip {
    /// Before the first block.
    #[must_use]
    pub fn genesis(chain: ChainId) -> Self {
        Self { id: BlockId::genesis(chain), height: Height(0), time: 0 }
    }
}

/// One digest for all transactions of a block, with their proofs, in their order.
// spec: CHAIN-2.2
#[must_use]
pub fn digest(transactions: &[Transaction]) -> Digest {
    let ids: Vec<u8> = transactions.iter().flat_map(|tx| tx.witness_id().0.0).collect();
    Digest::of("mutirao v1 ledger transactions", &[&ids])
}

/// A block with its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The header.
    pub header: Header,
    /// In the order in which they take effect.
    pub transactions: Vec<Transaction>,
}

impl Encode for Sealed {
    fn encode(&self, out: &mut Vec<u8>) {
        self.header.encode(out);
        put_list(out, &self.transactions);
    }
}
impl Decode for Sealed {
    // spec: CHAIN-2.4
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let header = Header::decode(input)?;
        let count = input.count("transactions", TRANSACTIONS_MAX)?;
        let transactions = (0..count).map(|_| transaction(input)).collect::<Result<_, _>>()?;
        Ok(Self { header, transactions })
    }
}

/// Why a header does not fit: what came before, or what it stands above.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// Another past.
    #[error("block {height} follows {parent}, the chain ends with {tip}")]
    Parent {
        /// Of the block.
        height: u64,
        /// What it follows.
        parent: BlockId,
        /// What it should.
        tip: BlockId,
    },
    /// Not the next.
    #[error("block {given} where {wanted} is next")]
    Height {
        /// The next.
        wanted: u64,
        /// What the block says.
        given: u64,
    },
    /// Time went back.
    #[error("block {height} is {millis} ms older than the block before")]
    Time {
        /// Of the block.
        height: u64,
        /// By how much.
        millis: u64,
    },
    /// Other transactions than the header names.
    #[error("the header of block {0} names other transactions")]
    Transactions(u64),
    /// No transaction.
    #[error("block {0} is empty")]
    Empty(u64),
    /// Too long.
    #[error("block {height} has {bytes} bytes, at most {SEALED_BYTES_MAX}")]
    TooLong {
        /// Of the block.
        height: u64,
        /// Its size.
        bytes: usize,
    },
}

impl Sealed {
    /// Puts a header above transactions that lead from `tip` to the state `root`. A clock that went
    /// back does not take the chain with it.
    // spec: CHAIN-2.3
    #[must_use]
    pub fn new(tip: &Tip, now: u64, root: Digest, transactions: Vec<Transaction>) -> Self {
        let header = Header {
            parent: tip.id,
            height: Height(tip.height.0.saturating_add(1)),
            time: now.max(tip.time),
            root,
            transactions: digest(&transactions),
        };
        Self { header, transactions }
    }

    /// Whether the header fits what came before and what stands below it. Neither the root nor a
    /// transaction is looked at: see [`crate::block`].
    ///
    /// # Errors
    /// [`SealError`].
    // spec: CHAIN-2.1, CHAIN-2.2, CHAIN-2.3, CHAIN-2.4
    pub fn follows(&self, tip: &Tip) -> Result<(), SealError> {
        let (header, height) = (&self.header, self.header.height.0);
        let wanted = tip.height.0.saturating_add(1);
        if height != wanted {
            return Err(SealError::Height { wanted, given: height });
        }
        if header.parent != tip.id {
            return Err(SealError::Parent { height, parent: header.parent, tip: tip.id });
        }
        if header.time < tip.time {
            return Err(SealError::Time { height, millis: tip.time.abs_diff(header.time) });
        }
        if self.transactions.is_empty() {
            return Err(SealError::Empty(height));
        }
        let bytes = self.to_bytes().len();
        if bytes > SEALED_BYTES_MAX {
            return Err(SealError::TooLong { height, bytes });
        }
        let named = header.transactions == digest(&self.transactions);
        named.then_some(()).ok_or(SealError::Transactions(height))
    }

    /// What the ledger sees of it.
    #[must_use]
    pub fn block(&self) -> Block {
        Block { height: self.header.height, transactions: self.transactions.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bank;

    fn sealed(tip: &Tip, now: u64) -> Sealed {
        Sealed::new(tip, now, Digest([9; 32]), vec![Bank::new(2).transfer(0)])
    }

    fn tip() -> Tip {
        Tip { time: 1_000, ..Tip::genesis(ChainId(Digest([7; 32]))) }
    }

    // spec: CHAIN-2.1, CHAIN-2.4
    #[test]
    fn a_sealed_block_reads_back_and_follows_its_past() {
        let sealed = sealed(&tip(), 5_000);
        assert_eq!(Sealed::from_bytes(&sealed.to_bytes()), Ok(sealed.clone()));
        assert_eq!(sealed.header.to_bytes().len(), HEADER_BYTES);
        assert_eq!(sealed.follows(&tip()), Ok(()));
        assert_eq!(sealed.header.tip().height, Height(1));
    }

    // spec: CHAIN-2.1, CHAIN-2.2, CHAIN-2.4
    #[test]
    fn refuses_another_past_height_or_set_of_transactions() {
        let good = sealed(&tip(), 5_000);
        let mut other = good.clone();
        other.header.parent = BlockId(Digest([1; 32]));
        assert!(matches!(other.follows(&tip()), Err(SealError::Parent { .. })));
        other = good.clone();
        other.header.height = Height(2);
        assert_eq!(other.follows(&tip()), Err(SealError::Height { wanted: 1, given: 2 }));
        other = good.clone();
        other.transactions.push(good.transactions[0].clone());
        assert_eq!(other.follows(&tip()), Err(SealError::Transactions(1)));
        other = good.clone();
        other.transactions[0].proofs.range[5] ^= 1;
        assert_eq!(other.follows(&tip()), Err(SealError::Transactions(1)));
        other.transactions.clear();
        assert_eq!(other.follows(&tip()), Err(SealError::Empty(1)));
        other.transactions = vec![good.transactions[0].clone(); 900];
        assert!(matches!(other.follows(&tip()), Err(SealError::TooLong { .. })));
        let mut bytes = good.to_bytes();
        bytes[0] = 2;
        assert!(Sealed::from_bytes(&bytes).is_err());
    }

    // spec: CHAIN-2.3
    #[test]
    fn a_clock_that_went_back_does_not_take_the_chain_with_it() {
        let mut sealed = sealed(&tip(), 3);
        assert_eq!(sealed.header.time, 1_000);
        sealed.header.time = 999;
        assert_eq!(sealed.follows(&tip()), Err(SealError::Time { height: 1, millis: 1 }));
    }

    // spec: CHAIN-2.1
    #[test]
    fn every_byte_of_a_header_changes_its_name() {
        let header = sealed(&tip(), 5_000).header;
        let bytes = header.to_bytes();
        for at in 1..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_ne!(Header::from_bytes(&changed).unwrap().id(), header.id());
        }
    }
}
