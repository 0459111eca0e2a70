//! The transaction: what everybody sees, and the proofs that it is honest.
//!
//! The id of a transaction is a hash of all but its proofs; every proof is bound to that id. A
//! second id covers the proofs too, for caches and blocks.

use crate::cell::Action;
use crate::curve::Point;
use crate::note::derive::InputContext;
use crate::note::{NoteIndex, Output};
use crate::rules::{ChainId, Height, Rules};
use crate::sigma::SigmaProof;
use mutirao_wire::codec::{put_bytes, put_list};
use mutirao_wire::{Amount, Decode, DecodeError, Digest, Encode, Reader};

/// The version of the encoding.
const VERSION: u8 = 1;
/// Notes that one transaction spends at most.
pub const SPENDS_MAX: usize = 16;
/// Notes that one transaction makes at most.
pub const OUTPUTS_MAX: usize = 16;
/// Cells that one transaction acts upon at most.
pub const ACTIONS_MAX: usize = 8;
/// Proofs of constraints that one transaction carries at most.
pub const CONSTRAINTS_MAX: usize = 64;
/// Bytes of the longest range proof.
pub const RANGE_BYTES_MAX: usize = 1 + 32 * 26;
/// Bytes of the longest transaction.
pub const TX_BYTES_MAX: usize = 48 * 1024;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Digest);

        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                self.0.encode(out);
            }
        }
        impl Decode for $name {
            fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Digest::decode(input).map(Self)
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
id! {
    /// Names a transaction; its proofs do not count.
    TxId,
    /// Names a transaction with its proofs.
    WtxId
}

/// Which note is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// This one. Everybody sees which; modes that hide it get other versions.
    // spec: LEDGER-5.3
    Explicit(NoteIndex),
}

impl Encode for Membership {
    fn encode(&self, out: &mut Vec<u8>) {
        let Self::Explicit(index) = self;
        0u8.encode(out);
        index.encode(out);
    }
}
impl Decode for Membership {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(input)? {
            0 => NoteIndex::decode(input).map(Self::Explicit),
            value => Err(DecodeError::Unknown { what: "membership", value: value.into() }),
        }
    }
}

/// One note leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spend {
    /// Which.
    pub membership: Membership,
    /// `J`: what it leaves behind, once and for ever.
    pub tag: Point,
}

/// Value that appears or disappears in public, by the protocol's own rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issue {
    /// None.
    None,
    /// New value at that height.
    Mint {
        /// How much.
        amount: Amount,
        /// In which block, and in no other.
        height: Height,
    },
    /// Value is destroyed.
    Burn {
        /// How much.
        amount: Amount,
    },
}

impl Encode for Issue {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::None => 0u8.encode(out),
            Self::Mint { amount, height } => {
                1u8.encode(out);
                amount.encode(out);
                height.encode(out);
            }
            Self::Burn { amount } => {
                2u8.encode(out);
                amount.encode(out);
            }
        }
    }
}
impl Decode for Issue {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(input)? {
            0 => Ok(Self::None),
            1 => Ok(Self::Mint { amount: Amount::decode(input)?, height: Height::decode(input)? }),
            2 => Ok(Self::Burn { amount: Amount::decode(input)? }),
            value => Err(DecodeError::Unknown { what: "issue", value: value.into() }),
        }
    }
}

impl Issue {
    /// What appears.
    #[must_use]
    pub fn minted(&self) -> Amount {
        if let Self::Mint { amount, .. } = self { *amount } else { Amount::ZERO }
    }

    /// What disappears.
    #[must_use]
    pub fn burned(&self) -> Amount {
        if let Self::Burn { amount } = self { *amount } else { Amount::ZERO }
    }
}

/// All of a transaction but its proofs.
// spec: LEDGER-5.1
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// On which chain.
    pub chain: ChainId,
    /// Notes that leave, by ascending tag.
    pub spends: Vec<Spend>,
    /// Notes that come into being.
    pub outputs: Vec<Output>,
    /// What happens to cells.
    pub actions: Vec<Action>,
    /// `R`: one for at most two outputs, else one each.
    pub ephemerals: Vec<Point>,
    /// In public, by the schedule.
    pub fee: Amount,
    /// In public, by the protocol.
    pub issue: Issue,
    /// The last height at which it may stand in a block.
    pub valid_until: Height,
}

impl Encode for Body {
    fn encode(&self, out: &mut Vec<u8>) {
        VERSION.encode(out);
        self.chain.encode(out);
        put_list(out, &self.spends);
        put_list(out, &self.outputs);
        put_list(out, &self.actions);
        put_list(out, &self.ephemerals);
        self.fee.encode(out);
        self.issue.encode(out);
        self.valid_until.encode(out);
    }
}
impl Decode for Body {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = u8::decode(input)?;
        if version != VERSION {
            let what = "transaction version";
            return Err(DecodeError::Unknown { what, value: version.into() });
        }
        Ok(Self {
            chain: ChainId::decode(input)?,
            spends: input.list("spends", SPENDS_MAX)?,
            outputs: input.list("outputs", OUTPUTS_MAX)?,
            actions: input.list("actions", ACTIONS_MAX)?,
            ephemerals: input.list("ephemeral keys", OUTPUTS_MAX)?,
            fee: Amount::decode(input)?,
            issue: Issue::decode(input)?,
            valid_until: Height::decode(input)?,
        })
    }
}

impl Encode for Spend {
    fn encode(&self, out: &mut Vec<u8>) {
        self.membership.encode(out);
        self.tag.encode(out);
    }
}
impl Decode for Spend {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { membership: Membership::decode(input)?, tag: Point::decode(input)? })
    }
}

impl Body {
    /// The id.
    // spec: LEDGER-5.2
    #[must_use]
    pub fn id(&self) -> TxId {
        TxId(Digest::of("mutirao v1 ledger txid", &[&self.to_bytes()]))
    }

    /// What makes the notes of this transaction unlike all others.
    // spec: LEDGER-3.1
    #[must_use]
    pub fn context(&self) -> InputContext {
        if let Some(spend) = self.spends.first() {
            return InputContext::of_tag(&spend.tag);
        }
        match self.actions.first() {
            Some(action) => InputContext::of_cell(&action.cell().0.0, self.valid_until.0),
            None => {
                let height = if let Issue::Mint { height, .. } = self.issue { height.0 } else { 0 };
                InputContext::of_mint(&self.chain.0.0, height)
            }
        }
    }

    /// All that the transaction destroys: fee, burn, and what its actions do.
    // spec: LEDGER-5.6, LEDGER-7.4
    #[must_use]
    pub fn destroyed(&self, rules: &Rules) -> u128 {
        let burned = self.actions.iter().map(|action| u128::from(action.burned(rules).0));
        u128::from(self.fee.0) + u128::from(self.issue.burned().0) + burned.sum::<u128>()
    }

    /// Slots of the range proof, before padding.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.outputs.len() + self.actions.iter().map(Action::slots).sum::<usize>()
    }
}

/// The proofs. None is optional: how many there are of each follows from the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proofs {
    /// One a spend.
    pub spends: Vec<SigmaProof>,
    /// One a constraint that is not an inequality, in the order of the actions.
    pub constraints: Vec<SigmaProof>,
    /// Inputs and outputs balance.
    pub excess: SigmaProof,
    /// All hidden amounts are in range.
    pub range: Vec<u8>,
}

impl Encode for Proofs {
    fn encode(&self, out: &mut Vec<u8>) {
        put_list(out, &self.spends);
        put_list(out, &self.constraints);
        self.excess.encode(out);
        put_bytes(out, &self.range);
    }
}
impl Decode for Proofs {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            spends: input.list("spend proofs", SPENDS_MAX)?,
            constraints: input.list("constraint proofs", CONSTRAINTS_MAX)?,
            excess: SigmaProof::decode(input)?,
            range: input.bytes("range proof", RANGE_BYTES_MAX)?,
        })
    }
}

/// Body and proofs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// What everybody sees.
    pub body: Body,
    /// Why everybody believes it.
    pub proofs: Proofs,
}

impl Encode for Transaction {
    fn encode(&self, out: &mut Vec<u8>) {
        self.body.encode(out);
        self.proofs.encode(out);
    }
}
impl Decode for Transaction {
    // spec: LEDGER-5.1
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = input.left() as u64;
        if input.left() > TX_BYTES_MAX {
            let (what, maximum) = ("transaction", TX_BYTES_MAX as u64);
            return Err(DecodeError::TooLong { what, count, maximum });
        }
        Ok(Self { body: Body::decode(input)?, proofs: Proofs::decode(input)? })
    }
}

impl Transaction {
    /// The id without proofs.
    #[must_use]
    pub fn id(&self) -> TxId {
        self.body.id()
    }

    /// The id with proofs.
    // spec: LEDGER-5.2
    #[must_use]
    pub fn witness_id(&self) -> WtxId {
        WtxId(Digest::of("mutirao v1 ledger wtxid", &[&self.to_bytes()]))
    }
}
