//! What one transaction of the ledger meant for us.

use mutirao_ledger::cell::CellId;
use mutirao_ledger::key::SubaddressIndex;
use mutirao_ledger::note::memo::MEMO_BYTES_MAX;
use mutirao_ledger::rules::Height;
use mutirao_ledger::tx::TxId;
use mutirao_wire::codec::{put_bytes, put_list};
use mutirao_wire::{Amount, Decode, DecodeError, Digest, Encode, Reader};

/// Parts of one entry at most: outputs of a transaction, actions of one.
const PARTS_MAX: usize = 64;

/// A note that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The number of the output.
    pub output: u8,
    /// Which address was paid.
    pub address: SubaddressIndex,
    /// How much.
    pub amount: Amount,
    /// What came with it; empty for nothing, or for what could not be opened.
    pub memo: Vec<u8>,
}

impl Encode for Arrival {
    fn encode(&self, out: &mut Vec<u8>) {
        self.output.encode(out);
        self.address.encode(out);
        self.amount.encode(out);
        put_bytes(out, &self.memo);
    }
}
impl Decode for Arrival {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            output: u8::decode(input)?,
            address: SubaddressIndex::decode(input)?,
            amount: Amount::decode(input)?,
            memo: input.bytes("memo", MEMO_BYTES_MAX)?,
        })
    }
}

/// What happened to a cell of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A till was opened.
    TillOpened(CellId),
    /// Somebody, or we, paid into a till.
    TillPaid(CellId),
    /// A till was paid out.
    TillPaidOut(CellId),
    /// A deed came to us: what it names.
    DeedCame(CellId, Digest),
    /// A deed left us, or ended.
    DeedLeft(CellId),
    /// We opened a channel.
    ChannelOpened(CellId),
    /// We put more into one.
    ChannelToppedUp(CellId),
    /// A channel that pays us was closed.
    ChannelClosed(CellId),
    /// We took back what was left in one.
    ChannelRefunded(CellId),
    /// Both sides divided one.
    ChannelSettled(CellId),
}

impl Encode for Act {
    fn encode(&self, out: &mut Vec<u8>) {
        let (kind, cell) = match self {
            Self::TillOpened(cell) => (0u8, cell),
            Self::TillPaid(cell) => (1, cell),
            Self::TillPaidOut(cell) => (2, cell),
            Self::DeedCame(cell, _) => (3, cell),
            Self::DeedLeft(cell) => (4, cell),
            Self::ChannelOpened(cell) => (5, cell),
            Self::ChannelToppedUp(cell) => (6, cell),
            Self::ChannelClosed(cell) => (7, cell),
            Self::ChannelRefunded(cell) => (8, cell),
            Self::ChannelSettled(cell) => (9, cell),
        };
        kind.encode(out);
        cell.encode(out);
        if let Self::DeedCame(_, name) = self {
            name.encode(out);
        }
    }
}
impl Decode for Act {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = u8::decode(input)?;
        let cell = CellId::decode(input)?;
        Ok(match kind {
            0 => Self::TillOpened(cell),
            1 => Self::TillPaid(cell),
            2 => Self::TillPaidOut(cell),
            3 => Self::DeedCame(cell, Digest::decode(input)?),
            4 => Self::DeedLeft(cell),
            5 => Self::ChannelOpened(cell),
            6 => Self::ChannelToppedUp(cell),
            7 => Self::ChannelClosed(cell),
            8 => Self::ChannelRefunded(cell),
            9 => Self::ChannelSettled(cell),
            value => return Err(DecodeError::Unknown { what: "act", value: value.into() }),
        })
    }
}

/// One transaction as it concerns us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub tx: TxId,
    /// Its block.
    pub height: Height,
    /// Milliseconds since 1970, by the header of the block.
    pub time: u64,
    /// What its notes of ours held that it spent.
    pub spent: Amount,
    /// What came back to us as change.
    pub returned: Amount,
    /// What came to addresses of ours.
    pub arrivals: Vec<Arrival>,
    /// What it paid to the ledger.
    pub fee: Amount,
    /// Whether it is new value.
    pub minted: bool,
    /// What happened to cells.
    pub acts: Vec<Act>,
}

impl Encode for Entry {
    fn encode(&self, out: &mut Vec<u8>) {
        self.tx.encode(out);
        self.height.encode(out);
        self.time.encode(out);
        self.spent.encode(out);
        self.returned.encode(out);
        put_list(out, &self.arrivals);
        self.fee.encode(out);
        u8::from(self.minted).encode(out);
        put_list(out, &self.acts);
    }
}
impl Decode for Entry {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            tx: TxId::decode(input)?,
            height: Height::decode(input)?,
            time: u64::decode(input)?,
            spent: Amount::decode(input)?,
            returned: Amount::decode(input)?,
            arrivals: input.list("arrivals", PARTS_MAX)?,
            fee: Amount::decode(input)?,
            minted: match u8::decode(input)? {
                0 => false,
                1 => true,
                value => return Err(DecodeError::Unknown { what: "flag", value: value.into() }),
            },
            acts: input.list("acts", PARTS_MAX)?,
        })
    }
}

impl Entry {
    /// What came to addresses of ours, in all.
    #[must_use]
    pub fn arrived(&self) -> u128 {
        self.arrivals.iter().map(|arrival| u128::from(arrival.amount.0)).sum()
    }

    /// What it changed: what came less what went.
    #[must_use]
    pub fn net(&self) -> i128 {
        let came = i128::from(self.returned.0) + i128::try_from(self.arrived()).unwrap_or(0);
        came - i128::from(self.spent.0)
    }
}
