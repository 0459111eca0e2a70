//! What a wallet may do: see what arrives, see what leaves as well, or spend.
//!
//! The two lower tiers leave the wallet as one line of text, for an accountant or a shop's machine:
//! whoever has it sees what that tier sees, for ever, and moves nothing.

use crate::words::{ENTROPY_BYTES, Words};
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use mutirao_ledger::curve::hash_to_scalar;
use mutirao_ledger::key::address::Network;
use mutirao_ledger::key::{BalanceKey, ReceiveKey, Secret, SpendKey};
use mutirao_wire::{Decode, DecodeError, Encode, Reader};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;
use zeroize::Zeroizing;

/// The account that a wallet uses.
const ACCOUNT: u64 = 0;
/// The version of a view key's text.
const VERSION: u8 = 1;
/// Bytes of the longest view key.
const VIEW_BYTES_MAX: usize = 1 + 1 + 8 + 96;

/// How much a wallet may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Sees what arrives.
    Receive = 0,
    /// Also sees what leaves.
    Balance = 1,
    /// Also spends.
    Spend = 2,
}

impl Tier {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Balance => "balance",
            Self::Spend => "spend",
        }
    }
}

/// The keys of one wallet.
#[derive(Debug, Clone)]
pub enum Keys {
    /// All of it.
    Spend(Box<Spender>),
    /// Sees everything, moves nothing.
    Balance(BalanceKey),
    /// Sees what arrives.
    Receive(ReceiveKey),
}

/// The words and what is made of them.
#[derive(Debug, Clone)]
pub struct Spender {
    words: Words,
    keys: SpendKey,
}

impl Spender {
    /// The words.
    #[must_use]
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// Moves value.
    #[must_use]
    pub fn keys(&self) -> &SpendKey {
        &self.keys
    }

    /// The key of till number `number`: the words alone give all of them.
    // spec: WALLET-1.3
    #[must_use]
    pub fn till_key(&self, number: u64) -> Secret {
        let secret = self.words.seed().secret("till", number);
        Secret::new(hash_to_scalar("mutirao v1 wallet till key", &[&*secret]))
    }

    /// What signs the files of models that this wallet publishes.
    // spec: WALLET-1.5
    #[must_use]
    pub fn model_key(&self) -> zeroize::Zeroizing<[u8; 32]> {
        self.words.seed().secret("model signing", 0)
    }
}

impl Keys {
    /// Of 24 words.
    // spec: WALLET-1.2
    #[must_use]
    pub fn new(words: Words) -> Self {
        let keys = words.seed().account(ACCOUNT);
        Self::Spend(Box::new(Spender { words, keys }))
    }

    /// How much they may do.
    #[must_use]
    pub fn tier(&self) -> Tier {
        match self {
            Self::Spend(_) => Tier::Spend,
            Self::Balance(_) => Tier::Balance,
            Self::Receive(_) => Tier::Receive,
        }
    }

    /// What every tier has.
    #[must_use]
    pub fn receive(&self) -> ReceiveKey {
        match self {
            Self::Spend(spender) => spender.keys.receive_key(),
            Self::Balance(key) => key.receive_key().clone(),
            Self::Receive(key) => key.clone(),
        }
    }

    /// What sees spends, unless the tier is below.
    #[must_use]
    pub fn balance(&self) -> Option<BalanceKey> {
        match self {
            Self::Spend(spender) => Some(spender.keys.balance_key()),
            Self::Balance(key) => Some(key.clone()),
            Self::Receive(_) => None,
        }
    }

    /// What spends, if anything does.
    #[must_use]
    pub fn spender(&self) -> Option<&Spender> {
        match self {
            Self::Spend(spender) => Some(spender),
            _ => None,
        }
    }
}

impl Encode for Keys {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.tier() as u8).encode(out);
        match self {
            Self::Spend(spender) => spender.words.entropy().encode(out),
            Self::Balance(key) => key.encode(out),
            Self::Receive(key) => key.encode(out),
        }
    }
}
impl Decode for Keys {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(input)? {
            0 => ReceiveKey::decode(input).map(Self::Receive),
            1 => BalanceKey::decode(input).map(Self::Balance),
            2 => {
                let entropy: Zeroizing<[u8; ENTROPY_BYTES]> = Zeroizing::new(input.array()?);
                Ok(Self::new(Words::from_entropy(&entropy)))
            }
            value => Err(DecodeError::Unknown { what: "tier of keys", value: value.into() }),
        }
    }
}

/// Keys of a lower tier on their way to another machine, as text.
#[derive(Debug, Clone)]
pub struct ViewKey {
    /// The ledger.
    pub network: Network,
    /// The last subaddress that was given away.
    pub issued: u64,
    /// Receive or balance tier.
    keys: Keys,
}

/// Why text is no view key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ViewKeyError {
    /// The text is not bech32m.
    #[error("this is not a view key: {0}; copy it whole")]
    NotText(String),
    /// Another prefix.
    #[error("a view key begins with mutview1 or muttview1, this with {0}1")]
    Prefix(String),
    /// The bytes are none.
    #[error("this is not a view key: {0}")]
    Bytes(#[from] DecodeError),
    /// Keys that spend stay where they are.
    #[error("a view key cannot spend; copy the 24 words instead")]
    Tier,
}

impl ViewKey {
    /// The keys of that tier.
    ///
    /// # Errors
    /// [`ViewKeyError::Tier`] for the tier that spends, or one above what the keys have.
    // spec: WALLET-1.4
    pub fn new(
        keys: &Keys,
        tier: Tier,
        network: Network,
        issued: u64,
    ) -> Result<Self, ViewKeyError> {
        let lower = match tier {
            Tier::Receive => Some(Keys::Receive(keys.receive())),
            Tier::Balance => keys.balance().map(Keys::Balance),
            Tier::Spend => None,
        };
        Ok(Self { network, issued, keys: lower.ok_or(ViewKeyError::Tier)? })
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    fn prefix(network: Network) -> &'static str {
        match network {
            Network::Main => "mutview",
            Network::Test => "muttview",
        }
    }

    /// The line of text; as secret as what it shows.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(vec![VERSION]);
        self.issued.encode(&mut bytes);
        self.keys.encode(&mut bytes);
        let prefix = Hrp::parse_unchecked(Self::prefix(self.network));
        let text = bech32::encode::<Bech32m>(prefix, &bytes);
        Zeroizing::new(text.expect("a view key is shorter than bech32m allows"))
    }
}

impl FromStr for ViewKey {
    type Err = ViewKeyError;

    // spec: WALLET-1.4
    fn from_str(text: &str) -> Result<Self, ViewKeyError> {
        let read = CheckedHrpstring::new::<Bech32m>(text);
        let read = read.map_err(|error| ViewKeyError::NotText(error.to_string()))?;
        let network = match read.hrp().as_str() {
            "mutview" => Network::Main,
            "muttview" => Network::Test,
            other => return Err(ViewKeyError::Prefix(other.to_owned())),
        };
        let bytes = read.byte_iter().take(VIEW_BYTES_MAX + 1).collect::<Vec<u8>>();
        let bytes = Zeroizing::new(bytes);
        let mut input = Reader::new(&bytes);
        let version = u8::decode(&mut input)?;
        if version != VERSION {
            let what = "version of a view key";
            return Err(DecodeError::Unknown { what, value: version.into() }.into());
        }
        let issued = u64::decode(&mut input)?;
        let keys = Keys::decode(&mut input)?;
        input.finish()?;
        if keys.tier() == Tier::Spend {
            return Err(ViewKeyError::Tier);
        }
        let view = Self { network, issued, keys };
        let canonical = *view.reveal() == text;
        canonical.then_some(view).ok_or(ViewKeyError::NotText("padding".to_owned()))
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new(Words::from_entropy(&[7; 32]))
    }

    // spec: WALLET-1.2
    #[test]
    fn keys_of_each_tier_read_back() {
        let all = keys();
        let lower = [Keys::Balance(all.balance().unwrap()), Keys::Receive(all.receive())];
        for keys in [&all, &lower[0], &lower[1]] {
            let again = Keys::from_bytes(&keys.to_bytes()).unwrap();
            assert_eq!(again.tier(), keys.tier());
            assert_eq!(again.receive(), all.receive());
            assert_eq!(again.balance(), keys.balance());
        }
        assert!(Keys::from_bytes(&[3; 33]).is_err());
        assert!(!format!("{all:?}").contains('7'));
    }

    // spec: WALLET-1.3
    #[test]
    fn each_till_has_a_key_of_its_own() {
        let spender = keys();
        let spender = spender.spender().unwrap();
        assert_eq!(spender.till_key(1), spender.till_key(1));
        assert_ne!(spender.till_key(1), spender.till_key(2));
        assert_ne!(spender.till_key(1), spender.till_key(1 + (1 << 32)));
    }

    // spec: WALLET-1.4
    #[test]
    fn a_view_key_reads_back_and_never_spends() {
        for (tier, network) in [(Tier::Balance, Network::Main), (Tier::Receive, Network::Test)] {
            let view = ViewKey::new(&keys(), tier, network, 9).unwrap();
            let again: ViewKey = view.reveal().parse().unwrap();
            assert_eq!((again.network, again.issued), (network, 9));
            assert_eq!(again.keys().tier(), tier);
            assert!(again.keys().spender().is_none());
            assert_eq!(again.keys().receive(), keys().receive());
        }
        let refused = ViewKey::new(&keys(), Tier::Spend, Network::Main, 0);
        assert_eq!(refused.unwrap_err(), ViewKeyError::Tier);
        let receive = Keys::Receive(keys().receive());
        let refused = ViewKey::new(&receive, Tier::Balance, Network::Main, 0);
        assert_eq!(refused.unwrap_err(), ViewKeyError::Tier);
    }

    // spec: WALLET-1.4
    #[test]
    fn refuses_every_changed_character_of_a_view_key_and_words_in_its_clothes() {
        let view = ViewKey::new(&keys(), Tier::Receive, Network::Main, 0).unwrap();
        let text = view.reveal();
        for at in 0..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[at] = if changed[at] == b'q' { b'p' } else { b'q' };
            assert!(String::from_utf8(changed).unwrap().parse::<ViewKey>().is_err());
        }
        let mut bytes = vec![VERSION];
        0u64.encode(&mut bytes);
        keys().encode(&mut bytes);
        let words = bech32::encode::<Bech32m>(Hrp::parse_unchecked("mutview"), &bytes).unwrap();
        assert_eq!(words.parse::<ViewKey>().unwrap_err(), ViewKeyError::Tier);
    }
}
