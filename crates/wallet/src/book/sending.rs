//! What this wallet sent, from the moment before it leaves until its fate is known.

use mutirao_ledger::commit::Opening;
use mutirao_ledger::key::address::{Address, Network};
use mutirao_ledger::note::memo::MEMO_BYTES_MAX;
use mutirao_ledger::note::{NoteIndex, SentNote};
use mutirao_ledger::rules::Height;
use mutirao_ledger::tx::{OUTPUTS_MAX, SPENDS_MAX, Transaction, TxId};
use mutirao_wire::codec::{put_bytes, put_list};
use mutirao_wire::{Amount, Decode, DecodeError, Encode, Reader};

/// Bytes of an address.
const ADDRESS_BYTES: usize = 70;
/// Bytes of the words of a refusal at most.
const WHY_BYTES_MAX: usize = 2048;

/// One payment to somebody, and what it takes to show it to a third party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paid {
    /// The number of the output.
    pub output: u8,
    /// To whom.
    pub address: Address,
    /// Amount and blinding.
    pub opening: Opening,
    /// From it and the address, the whole note follows.
    pub anchor: [u8; 16],
    /// What was said.
    pub memo: Vec<u8>,
}

impl Paid {
    /// As the ledger's payment proof takes it.
    #[must_use]
    pub fn sent_note(&self) -> SentNote {
        let (address, anchor) = (Some(self.address), self.anchor);
        SentNote { address, opening: self.opening.clone(), anchor }
    }
}

impl Encode for Paid {
    fn encode(&self, out: &mut Vec<u8>) {
        self.output.encode(out);
        self.address.network.encode(out);
        out.extend_from_slice(&self.address.to_bytes());
        self.opening.encode(out);
        self.anchor.encode(out);
        put_bytes(out, &self.memo);
    }
}
impl Decode for Paid {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let output = u8::decode(input)?;
        let network = Network::decode(input)?;
        let address = Address::from_bytes(network, input.take(ADDRESS_BYTES)?);
        let address = address.map_err(|_| DecodeError::NotCanonical { what: "address" })?;
        Ok(Self {
            output,
            address,
            opening: Opening::decode(input)?,
            anchor: input.array()?,
            memo: input.bytes("memo", MEMO_BYTES_MAX)?,
        })
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// On its way, as far as is known.
    Waiting,
    /// In that block.
    Confirmed(Height),
    /// Its last height has passed: it will never stand in a block.
    Expired,
    /// The ledger did not take it.
    Refused(String),
    /// One of its notes was spent by another transaction.
    Overtaken,
}

impl Encode for State {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Waiting => 0u8.encode(out),
            Self::Confirmed(height) => {
                1u8.encode(out);
                height.encode(out);
            }
            Self::Expired => 2u8.encode(out),
            Self::Refused(why) => {
                3u8.encode(out);
                put_bytes(out, why.as_bytes());
            }
            Self::Overtaken => 4u8.encode(out),
        }
    }
}
impl Decode for State {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(input)? {
            0 => Self::Waiting,
            1 => Self::Confirmed(Height::decode(input)?),
            2 => Self::Expired,
            3 => Self::Refused(input.text("refusal", WHY_BYTES_MAX)?),
            4 => Self::Overtaken,
            value => return Err(DecodeError::Unknown { what: "state", value: value.into() }),
        })
    }
}

/// One transaction of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sending {
    /// Its id.
    pub id: TxId,
    /// Itself, as long as it may have to be sent again.
    pub transaction: Option<Transaction>,
    /// The notes that it spends.
    pub inputs: Vec<NoteIndex>,
    /// What it pays to others.
    pub paid: Vec<Paid>,
    /// What comes back.
    pub returns: Amount,
    /// What it pays to the ledger.
    pub fee: Amount,
    /// The last height at which it may stand in a block.
    pub valid_until: Height,
    /// What became of it.
    pub state: State,
}

impl Encode for Sending {
    fn encode(&self, out: &mut Vec<u8>) {
        self.id.encode(out);
        let transaction = self.transaction.as_ref().map(Encode::to_bytes);
        u8::from(transaction.is_some()).encode(out);
        transaction.iter().for_each(|bytes| put_bytes(out, bytes));
        put_list(out, &self.inputs);
        put_list(out, &self.paid);
        self.returns.encode(out);
        self.fee.encode(out);
        self.valid_until.encode(out);
        self.state.encode(out);
    }
}
impl Decode for Sending {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let id = TxId::decode(input)?;
        let transaction = match u8::decode(input)? {
            0 => None,
            1 => {
                let bytes = input.bytes("transaction", mutirao_ledger::tx::TX_BYTES_MAX)?;
                Some(Transaction::from_bytes(&bytes)?)
            }
            value => return Err(DecodeError::Unknown { what: "flag", value: value.into() }),
        };
        Ok(Self {
            id,
            transaction,
            inputs: input.list("inputs", SPENDS_MAX)?,
            paid: input.list("payments", OUTPUTS_MAX)?,
            returns: Amount::decode(input)?,
            fee: Amount::decode(input)?,
            valid_until: Height::decode(input)?,
            state: State::decode(input)?,
        })
    }
}

impl Sending {
    /// What it pays to others, in all.
    #[must_use]
    pub fn paid_out(&self) -> u128 {
        self.paid.iter().map(|paid| u128::from(paid.opening.amount.0)).sum()
    }
}
