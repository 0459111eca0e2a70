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
    /// What bonds hold and challenges cost.
    pub bonds: BondRules,
    /// The one check that a mutation test switches off.
    #[cfg(test)]
    pub(crate) off: Option<Check>,
}

record!(Parameters { chain, fee_unit, till_epoch, bonds });

/// [`Rules`] as bytes.
struct Parameters {
    chain: ChainId,
    fee_unit: Amount,
    till_epoch: u64,
    bonds: BondRules,
}

/// What a bond holds and what a challenge costs: in public, and alike for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BondRules {
    /// What a new bond holds at least, provably.
    pub minimum: Amount,
    /// What a lost challenge takes from a bond.
    pub slash: Amount,
    /// The part of that which the challenger gets; the rest is destroyed.
    pub reward: Amount,
    /// What a challenger puts in, and loses to the provider if it was wrong.
    pub deposit: Amount,
    /// Blocks from leaving to taking the stake out.
    pub delay: u64,
    /// Blocks within which a challenge is to be answered.
    pub window: u64,
}

record!(BondParameters { minimum, slash, reward, deposit, delay, window });

/// [`BondRules`] as bytes.
struct BondParameters {
    minimum: Amount,
    slash: Amount,
    reward: Amount,
    deposit: Amount,
    delay: u64,
    window: u64,
}

impl BondRules {
    /// What a chain has that says nothing else: 100 TJ at least, 10 TJ a lost challenge, half of it
    /// for the challenger, who puts in 1 TJ; a day of one-second blocks to leave, two hours to
    /// answer.
    pub const STANDARD: Self = Self {
        minimum: Amount(100 * Amount::UNITS_PER_TIJOLO),
        slash: Amount(10 * Amount::UNITS_PER_TIJOLO),
        reward: Amount(5 * Amount::UNITS_PER_TIJOLO),
        deposit: Amount(Amount::UNITS_PER_TIJOLO),
        delay: 86_400,
        window: 7_200,
    };

    /// Whether nothing comes from nothing: the reward is part of the slash, and a prize is an
    /// amount.
    // spec: LEDGER-14.5
    #[must_use]
    pub fn are_sound(&self) -> bool {
        self.reward <= self.slash && self.deposit.checked_add(self.reward).is_some()
    }

    /// What a lost challenge destroys.
    #[must_use]
    pub fn burned(&self) -> Amount {
        Amount(self.slash.0.saturating_sub(self.reward.0))
    }
}

impl Encode for BondRules {
    fn encode(&self, out: &mut Vec<u8>) {
        let Self { minimum, slash, reward, deposit, delay, window } = *self;
        BondParameters { minimum, slash, reward, deposit, delay, window }.encode(out);
    }
}
impl Decode for BondRules {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let read = BondParameters::decode(input)?;
        let BondParameters { minimum, slash, reward, deposit, delay, window } = read;
        let read = Self { minimum, slash, reward, deposit, delay, window };
        read.are_sound().then_some(read).ok_or(DecodeError::NotCanonical { what: "bond rules" })
    }
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
    /// A channel's royalties make sense together.
    Royalties,
    /// A royalty's till exists.
    RoyaltyTill,
    /// A channel is still open.
    ChannelOpen,
    /// A channel is topped up a few times only.
    TopUps,
    /// What the payer does with a channel, the payer does.
    Payer,
    /// A channel is closed by its payee.
    Payee,
    /// The payer signed the voucher.
    VoucherSigned,
    /// A voucher is covered by the channel.
    Covered,
    /// A close names every royalty of its channel.
    RoyaltyCount,
    /// The royalty of a close is not above its basis points.
    PaidAbove,
    /// The royalty of a close is not below its basis points.
    PaidBelow,
    /// The payer takes back only what expired.
    ChannelExpired,
    /// A new bond's floor is not below what the chain asks for.
    StakeMinimum,
    /// A bond holds its floor.
    StakeFloor,
    /// A floor does not sink by a top-up.
    FloorStays,
    /// What a bond's owner does, its owner does.
    BondOwner,
    /// A stake leaves only after the delay.
    BondDelay,
    /// A stake leaves only when no challenge is open.
    BondFree,
    /// The bond's receipt key signed what is challenged.
    EvidenceSigned,
    /// The same was not challenged before.
    ChallengeNew,
    /// A bond can pay for every challenge that is open.
    BondCovers,
    /// The answer convinces the judge.
    Judged,
    /// A challenge is lost only after its deadline.
    Deadline,
    /// A prize goes to who won it.
    Challenger,
}

impl Rules {
    /// The rules of a chain, with [`BondRules::STANDARD`].
    #[must_use]
    pub fn new(chain: ChainId, fee_unit: Amount, till_epoch: u64) -> Self {
        Self {
            chain,
            fee_unit,
            till_epoch,
            bonds: BondRules::STANDARD,
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
        let Self { chain, fee_unit, till_epoch, bonds, .. } = *self;
        Parameters { chain, fee_unit, till_epoch, bonds }.encode(out);
    }
}
impl Decode for Rules {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let Parameters { chain, fee_unit, till_epoch, bonds } = Parameters::decode(input)?;
        Ok(Self { bonds, ..Self::new(chain, fee_unit, till_epoch) })
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
/// and one for each started kibibyte of memos and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(pub u64);

impl Weight {
    /// Of a transaction with that many slots and spends, and so many bytes of memos and answers.
    #[must_use]
    pub fn of(slots: usize, spends: usize, loose_bytes: usize) -> Self {
        let units = range::padded(slots) + spends + loose_bytes.div_ceil(1024);
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

    // spec: LEDGER-14.5
    #[test]
    fn rules_by_which_a_challenge_makes_money_are_refused() {
        let rules = BondRules::STANDARD;
        let bad = [
            BondRules { reward: Amount(rules.slash.0 + 1), ..rules },
            BondRules { slash: Amount(u64::MAX), reward: Amount(u64::MAX), ..rules },
        ];
        for bad in bad {
            assert!(!bad.are_sound() && BondRules::from_bytes(&bad.to_bytes()).is_err());
        }
        assert_eq!(rules.burned(), Amount(5_000_000));
    }
}
