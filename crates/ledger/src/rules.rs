//! What all machines of one chain hold alike: its name, its fees, and which checks there are.

use crate::note::Output;
use crate::range;
use mutirao_wire::{Amount, Decode, DecodeError, Digest, Encode, Reader, record};

/// A chain: the hash of its genesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(pub Digest);

/// How many blocks stand below; genesis is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Height(pub u64);

macro_rules! number {
    ($name:ident, $inner:ty) => {
        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                self.0.encode(out);
            }
        }
        impl Decode for $name {
            fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                <$inner>::decode(input).map(Self)
            }
        }
    };
}
number!(ChainId, Digest);
number!(Height, u64);

/// The parameters of a chain. Two machines with other rules are on other chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The chain.
    pub chain: ChainId,
    /// What one unit of weight costs at the lowest level, in base units.
    pub fee_unit: Amount,
    /// Blocks after which what a till has collected can be paid out.
    pub till_epoch: u64,
    /// The one check that a mutation test switches off.
    #[cfg(test)]
    pub(crate) off: Option<Check>,
}

record!(Parameters { chain, fee_unit, till_epoch });

/// [`Rules`] as bytes.
struct Parameters {
    chain: ChainId,
    fee_unit: Amount,
    till_epoch: u64,
}

/// Every check of the verifier. Outside of this crate's own tests they are always on; each has a
/// test in which a forgery passes without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// The transaction names this chain.
    Chain,
    /// Something is consumed.
    Inputs,
    /// Tags ascend, so none is there twice.
    TagsAscend,
    /// One-time keys within a transaction differ.
    KeysDiffer,
    /// One ephemeral key, or one an output.
    Ephemerals,
    /// The fee is one of the schedule.
    Fee,
    /// New value comes alone and when the protocol says.
    Mint,
    /// Value is destroyed only when the protocol says.
    Burn,
    /// No cell is touched twice by one transaction.
    CellsDiffer,
    /// The height is not above `valid_until`.
    Expiry,
    /// The tag is new.
    TagUnseen,
    /// The one-time key is new.
    KeyUnseen,
    /// The spender knows the key, and the tag is the note's.
    SpendProof,
    /// Inputs and outputs balance.
    Excess,
    /// Hidden amounts are in range.
    Range,
    /// Each constraint of a cell has its proof.
    Constraint,
    /// There are as many proofs as claims.
    ProofCount,
    /// The supply fits in an amount.
    Supply,
    /// A share of a payout is not below its basis points.
    Share,
    /// A payout names every share of its till.
    ShareCount,
    /// Royalty: not above its basis points.
    RoyaltyAbove,
    /// Royalty: not below its basis points.
    RoyaltyBelow,
    /// A payout restates what the till holds.
    Restate,
    /// A deposit can be read by the till's holder.
    Handle,
    /// Whoever registers a deed knows its name.
    NameKnown,
    /// A deed is moved by its owner.
    DeedOwner,
    /// A moved deed names what it named.
    SameName,
    /// Whoever opens a till holds its key.
    Holder,
    /// A share's till exists.
    ShareTill,
}

impl Rules {
    /// The rules of a chain.
    #[must_use]
    pub fn new(chain: ChainId, fee_unit: Amount, till_epoch: u64) -> Self {
        Self {
            chain,
            fee_unit,
            till_epoch,
            #[cfg(test)]
            off: None,
        }
    }

    /// Whether a check is passed: its outcome, and in mutation tests also when it is off.
    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "tests switch checks off here"))]
    pub(crate) fn holds(&self, check: Check, outcome: bool) -> bool {
        #[cfg(test)]
        let outcome = outcome || self.off == Some(check);
        #[cfg(not(test))]
        let _ = check;
        outcome
    }

    /// The epoch of a height.
    #[must_use]
    pub fn epoch(&self, height: Height) -> u64 {
        height.0 / self.till_epoch.max(1)
    }

    /// What a transaction of that weight may pay: the lowest fee times 1, 2, 4 or 8.
    // spec: LEDGER-5.6
    #[must_use]
    pub fn fee(&self, weight: Weight, level: FeeLevel) -> Option<Amount> {
        let units = self.fee_unit.0.checked_mul(weight.0)?;
        units.checked_mul(1 << level as u64).map(Amount)
    }

    /// Whether `fee` is one of the four.
    #[must_use]
    pub fn is_fee(&self, weight: Weight, fee: Amount) -> bool {
        FeeLevel::ALL.iter().any(|level| self.fee(weight, *level) == Some(fee))
    }
}

impl Encode for Rules {
    fn encode(&self, out: &mut Vec<u8>) {
        let Self { chain, fee_unit, till_epoch, .. } = *self;
        Parameters { chain, fee_unit, till_epoch }.encode(out);
    }
}
impl Decode for Rules {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let Parameters { chain, fee_unit, till_epoch } = Parameters::decode(input)?;
        Ok(Self::new(chain, fee_unit, till_epoch))
    }
}

/// How urgent a transaction is. Four levels only: a fee must not be a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FeeLevel {
    /// When there is room.
    Normal = 0,
    /// Twice that.
    Soon = 1,
    /// Four times.
    Fast = 2,
    /// Eight times.
    Now = 3,
}

impl FeeLevel {
    /// All of them, from the lowest.
    pub const ALL: [Self; 4] = [Self::Normal, Self::Soon, Self::Fast, Self::Now];
}

/// What a transaction costs everybody, coarsely: one unit for each padded slot, one for each input,
/// and one for each started kibibyte of memos.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(pub u64);

impl Weight {
    /// Of a transaction with that many slots and spends, and these outputs.
    #[must_use]
    pub fn of(slots: usize, spends: usize, memo_bytes: usize) -> Self {
        let units = range::padded(slots) + spends + memo_bytes.div_ceil(1024);
        Self(units as u64)
    }

    /// Bytes of the memos of these outputs.
    #[must_use]
    pub fn memo_bytes(outputs: &[Output]) -> usize {
        outputs.iter().map(|output| output.memo.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec: LEDGER-5.6
    #[test]
    fn a_fee_is_one_of_four_and_grows_with_weight() {
        let rules = Rules::new(ChainId(Digest([1; 32])), Amount(100), 8);
        let weight = Weight::of(2, 2, 0);
        assert_eq!(weight, Weight(4));
        assert_eq!(Weight::of(3, 1, 1025), Weight(7));
        let fees: Vec<_> = FeeLevel::ALL.map(|level| rules.fee(weight, level)).to_vec();
        assert_eq!(fees, [400, 800, 1600, 3200].map(|fee| Some(Amount(fee))));
        assert!(rules.is_fee(weight, Amount(1600)) && !rules.is_fee(weight, Amount(1601)));
        let dear = Rules { fee_unit: Amount(u64::MAX), ..rules };
        assert_eq!(dear.fee(weight, FeeLevel::Normal), None);
        assert_eq!(Rules::from_bytes(&rules.to_bytes()), Ok(rules));
    }
}
