//! The words between whoever keeps a ledger and whoever asks: questions and answers.
//!
//! They are law because both sides must read them alike. Nobody says who asks: a question names
//! nothing that belongs to the asker, but for [`Question::Transaction`] and [`Question::Cells`],
//! which show what it takes an interest in. A wallet that minds asks for whole blocks instead.

use crate::block::{BlockError, transaction};
use crate::cell::{Cell, CellId};
use crate::examine::{Conflict, Malformed};
use crate::key::address::{Address, Network};
use crate::note::NoteIndex;
use crate::rules::{Height, Rules};
use crate::scan::{CompactTx, PIECE_MAX};
use crate::sealed::{SEALED_BYTES_MAX, Sealed};
use crate::tx::{Transaction, TxId};
use mutirao_wire::codec::{put_bytes, put_list};
use mutirao_wire::{Amount, Decode, DecodeError, Digest, Encode, Reader, record};
use std::fmt;

/// Pieces of the compact stream in one answer at most.
pub const PIECES_MAX: usize = 1024;
/// Bytes of the pieces in one answer; no block's piece is longer than the block.
pub const PIECES_BYTES_MAX: usize = SEALED_BYTES_MAX;
/// Cells in one question at most.
pub const CELLS_MAX: usize = 64;
/// Bytes of the reason of a refusal at most.
pub const REASON_BYTES_MAX: usize = 512;
/// Bytes of a genesis at most; what is in it is the business of whoever orders blocks.
pub const GENESIS_BYTES_MAX: usize = 1 << 16;
/// Bytes of an address as [`Address::to_bytes`] makes it.
const ADDRESS_BYTES: usize = 70;

impl Encode for Network {
    fn encode(&self, out: &mut Vec<u8>) {
        u8::from(*self == Self::Test).encode(out);
    }
}
impl Decode for Network {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(input)? {
            0 => Ok(Self::Main),
            1 => Ok(Self::Test),
            value => Err(DecodeError::Unknown { what: "network", value: value.into() }),
        }
    }
}

/// Where a ledger stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its chain, fees and epochs.
    pub rules: Rules,
    /// Whether its value counts.
    pub network: Network,
    /// The height of its last block.
    pub height: Height,
    /// The root of its state.
    pub root: Digest,
    /// How much there is.
    pub supply: Amount,
    /// Milliseconds since 1970 in the header of the last block; 0 before the first.
    pub time: u64,
}

record!(Head { rules, network, height, root, supply, time });

/// One block as a scan sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its height.
    pub height: Height,
    /// The time in its header.
    pub time: u64,
    /// Its transactions.
    pub transactions: Vec<CompactTx>,
}

impl Piece {
    /// Of a block before which there were `notes` notes.
    #[must_use]
    pub fn new(block: &Sealed, notes: u64) -> Self {
        let mut first = notes;
        let mut compact = |tx: &Transaction| {
            let compact = CompactTx::new(tx, NoteIndex(first));
            first = first.saturating_add(tx.body.outputs.len() as u64);
            compact
        };
        let transactions = block.transactions.iter().map(&mut compact).collect();
        Self { height: block.header.height, time: block.header.time, transactions }
    }
}

impl Encode for Piece {
    fn encode(&self, out: &mut Vec<u8>) {
        self.height.encode(out);
        self.time.encode(out);
        put_list(out, &self.transactions);
    }
}
impl Decode for Piece {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            height: Height::decode(input)?,
            time: u64::decode(input)?,
            transactions: input.list("transactions", PIECE_MAX)?,
        })
    }
}

/// What somebody wants to know, or wants done.
// spec: CHAIN-6.1
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one a frame, never stored")]
pub enum Question {
    /// Where the ledger stands: [`Answer::Head`].
    Head,
    /// The blocks after that height as a scan sees them: [`Answer::Compact`], from `after + 1` on
    /// without a gap; none at the end of the chain.
    Compact {
        /// The last height that is known already.
        after: Height,
        /// At most so many; fewer where bytes say so, but at least one where there is one.
        most: u16,
    },
    /// A whole block: [`Answer::Block`], or [`Answer::Unknown`].
    Block(Height),
    /// A whole transaction: [`Answer::Transaction`], or [`Answer::Unknown`].
    Transaction(TxId),
    /// Take this transaction: [`Answer::Accepted`] once it stands in a block, [`Answer::Refused`],
    /// or [`Answer::Transaction`] without a place when it still waits after some seconds. Asking
    /// again is no second payment.
    Submit(Box<Transaction>),
    /// These cells as they are: [`Answer::Cells`].
    Cells(Vec<CellId>),
    /// Make this amount for that address, on a test network: [`Answer::Accepted`] once it stands in
    /// a block, or [`Answer::Refused`].
    Faucet {
        /// For whom.
        address: Address,
        /// How much.
        amount: Amount,
    },
    /// What the chain began with; its hash is the chain id: [`Answer::Genesis`].
    Genesis,
}

impl Encode for Question {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Head => 0u8.encode(out),
            Self::Compact { after, most } => {
                1u8.encode(out);
                after.encode(out);
                most.encode(out);
            }
            Self::Block(height) => {
                2u8.encode(out);
                height.encode(out);
            }
            Self::Transaction(id) => {
                3u8.encode(out);
                id.encode(out);
            }
            Self::Submit(transaction) => {
                4u8.encode(out);
                transaction.encode(out);
            }
            Self::Cells(cells) => {
                5u8.encode(out);
                put_list(out, cells);
            }
            Self::Faucet { address, amount } => {
                6u8.encode(out);
                put_address(out, address);
                amount.encode(out);
            }
            Self::Genesis => 7u8.encode(out),
        }
    }
}
impl Decode for Question {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(input)? {
            0 => Self::Head,
            1 => Self::Compact { after: Height::decode(input)?, most: u16::decode(input)? },
            2 => Self::Block(Height::decode(input)?),
            3 => Self::Transaction(TxId::decode(input)?),
            4 => Self::Submit(Box::new(Transaction::decode(input)?)),
            5 => Self::Cells(input.list("cells", CELLS_MAX)?),
            6 => Self::Faucet { address: take_address(input)?, amount: Amount::decode(input)? },
            7 => Self::Genesis,
            value => return Err(DecodeError::Unknown { what: "question", value: value.into() }),
        })
    }
}

/// Writes an address with its network.
pub fn put_address(out: &mut Vec<u8>, address: &Address) {
    address.network.encode(out);
    out.extend_from_slice(&address.to_bytes());
}

/// Reads what [`put_address`] wrote.
///
/// # Errors
/// [`DecodeError`] for bytes that are no address of that network.
pub fn take_address(input: &mut Reader<'_>) -> Result<Address, DecodeError> {
    let network = Network::decode(input)?;
    let bytes = input.take(ADDRESS_BYTES)?;
    let address = Address::from_bytes(network, bytes);
    address.map_err(|_| DecodeError::NotCanonical { what: "address" })
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// In which block.
    pub height: Height,
    /// Where its first note stands among all notes.
    pub first: NoteIndex,
}

record!(Place { height, first });

/// What whoever keeps the ledger says.
// spec: CHAIN-6.1
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Where it stands.
    Head(Head),
    /// Blocks as a scan sees them.
    Compact(Vec<Piece>),
    /// A whole block.
    Block(Box<Sealed>),
    /// A whole transaction.
    Transaction {
        /// Where it stands; none while it waits for a block.
        place: Option<Place>,
        /// The transaction.
        transaction: Box<Transaction>,
    },
    /// It stands in a block, and that block is stored for good.
    Accepted(TxId),
    /// It will not.
    Refused(Refusal),
    /// One for each that was asked for; none for a cell that does not live.
    Cells(Vec<Option<Cell>>),
    /// There is no such thing here.
    Unknown,
    /// The bytes of a genesis.
    Genesis(Vec<u8>),
}

impl Encode for Answer {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Head(head) => {
                0u8.encode(out);
                head.encode(out);
            }
            Self::Compact(pieces) => {
                1u8.encode(out);
                put_list(out, pieces);
            }
            Self::Block(block) => {
                2u8.encode(out);
                block.encode(out);
            }
            Self::Transaction { place, transaction } => {
                3u8.encode(out);
                place.encode(out);
                transaction.encode(out);
            }
            Self::Accepted(id) => {
                4u8.encode(out);
                id.encode(out);
            }
            Self::Refused(refusal) => {
                5u8.encode(out);
                refusal.encode(out);
            }
            Self::Cells(cells) => {
                6u8.encode(out);
                put_list(out, cells);
            }
            Self::Unknown => 7u8.encode(out),
            Self::Genesis(bytes) => {
                8u8.encode(out);
                put_bytes(out, bytes);
            }
        }
    }
}
impl Decode for Answer {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(input)? {
            0 => Self::Head(Head::decode(input)?),
            1 => Self::Compact(input.list("pieces", PIECES_MAX)?),
            2 => Self::Block(Box::new(Sealed::decode(input)?)),
            3 => Self::Transaction {
                place: Option::decode(input)?,
                transaction: Box::new(transaction(input)?),
            },
            4 => Self::Accepted(TxId::decode(input)?),
            5 => Self::Refused(Refusal::decode(input)?),
            6 => Self::Cells(input.list("cells", CELLS_MAX)?),
            7 => Self::Unknown,
            8 => Self::Genesis(input.bytes("genesis", GENESIS_BYTES_MAX)?),
            value => return Err(DecodeError::Unknown { what: "answer", value: value.into() }),
        })
    }
}

/// Of which kind a refusal is: what a wallet decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalKind {
    /// The bytes make no sense, or are for another chain.
    Malformed,
    /// A proof does not hold.
    FalseProof,
    /// A note that it spends is spent, in a block or by a transaction that waits for one.
    Spent,
    /// Its last height has passed.
    Expired,
    /// The state refuses it otherwise: a cell has moved on, a note is not there.
    Conflict,
    /// Too many wait already.
    Full,
    /// It has too many bytes.
    TooLarge,
    /// New value is for test networks.
    NotATestNetwork,
    /// More new value at once than a test network makes, or for an address of the other network.
    Faucet,
    /// The ledger cannot store anything: its disk is full or broken.
    Storage,
}

impl RefusalKind {
    /// All of them, each at the place of its byte.
    pub const ALL: [Self; 10] = [
        Self::Malformed,
        Self::FalseProof,
        Self::Spent,
        Self::Expired,
        Self::Conflict,
        Self::Full,
        Self::TooLarge,
        Self::NotATestNetwork,
        Self::Faucet,
        Self::Storage,
    ];

    /// What whoever asked can do next.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::Malformed => "make the transaction again, for the chain that this ledger keeps",
            Self::FalseProof => "make the transaction again",
            Self::Spent => "look at what has arrived and left since, then choose other notes",
            Self::Expired => "look where the chain stands, then make the transaction again",
            Self::Conflict => "look at the state again, then make the transaction anew",
            Self::Full => "try again after the next blocks, or pay a higher fee level",
            Self::TooLarge => "make several smaller transactions of it",
            Self::NotATestNetwork => "new value comes from others on this network: give an address",
            Self::Faucet => "ask for less, for an address of this network",
            Self::Storage => {
                "whoever keeps the ledger must make room on its disk; nothing was lost"
            }
        }
    }
}

impl Encode for RefusalKind {
    fn encode(&self, out: &mut Vec<u8>) {
        (*self as u8).encode(out);
    }
}
impl Decode for RefusalKind {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let byte = u8::decode(input)?;
        let kind = Self::ALL.get(usize::from(byte)).copied();
        kind.ok_or(DecodeError::Unknown { what: "refusal", value: byte.into() })
    }
}

/// Why something was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Of which kind.
    pub kind: RefusalKind,
    /// In words.
    pub why: String,
}

impl Refusal {
    /// A refusal; of long words only the beginning is kept.
    #[must_use]
    pub fn new(kind: RefusalKind, why: &str) -> Self {
        let end = (0..=why.len().min(REASON_BYTES_MAX)).rev().find(|at| why.is_char_boundary(*at));
        Self { kind, why: why.get(..end.unwrap_or(0)).unwrap_or_default().to_owned() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.why, self.kind.hint())
    }
}

impl Encode for Refusal {
    fn encode(&self, out: &mut Vec<u8>) {
        self.kind.encode(out);
        put_bytes(out, self.why.as_bytes());
    }
}
impl Decode for Refusal {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = RefusalKind::decode(input)?;
        Ok(Self { kind, why: input.text("reason of a refusal", REASON_BYTES_MAX)? })
    }
}

impl From<&Malformed> for Refusal {
    fn from(error: &Malformed) -> Self {
        Self::new(RefusalKind::Malformed, &error.to_string())
    }
}

impl From<&Conflict> for Refusal {
    fn from(error: &Conflict) -> Self {
        let kind = match error {
            Conflict::Expired { .. } => RefusalKind::Expired,
            Conflict::Spent(_) => RefusalKind::Spent,
            _ => RefusalKind::Conflict,
        };
        Self::new(kind, &error.to_string())
    }
}

impl From<&BlockError> for Refusal {
    /// Of a block with one transaction alone.
    fn from(error: &BlockError) -> Self {
        match error {
            BlockError::Malformed { error, .. } => error.into(),
            BlockError::Conflict { error, .. } => error.into(),
            BlockError::FalseProof => Self::new(RefusalKind::FalseProof, &error.to_string()),
            BlockError::TooLong(_) => Self::new(RefusalKind::TooLarge, &error.to_string()),
            _ => Self::new(RefusalKind::Conflict, &error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
