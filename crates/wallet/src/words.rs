//! The 24 words: what a person writes down, and all that there is to lose.
//!
//! They are BIP-39, English, without a passphrase; 256 bits that the caller's generator gave.

use bip39::{Language, Mnemonic};
use mutirao_ledger::key::Seed;
use rand_core::CryptoRng;
use std::fmt;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

/// How many words there are.
pub const WORD_COUNT: usize = 24;
/// Bytes behind them.
pub const ENTROPY_BYTES: usize = 32;

/// The words of one wallet; wiped when dropped, never printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Words(Zeroizing<[u8; ENTROPY_BYTES]>);

/// Why words are not the words of a wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WordsError {
    /// Too few or too many.
    #[error("{given} words, and a wallet has {WORD_COUNT}")]
    Count {
        /// How many were given.
        given: usize,
    },
    /// One is not on the list.
    #[error("word {at} is not on the list of words; look whether it is written as it was shown")]
    Unknown {
        /// Its number, from 1.
        at: usize,
    },
    /// They do not belong together.
    #[error("each word is on the list, but one of them is another, or two have changed places")]
    Checksum,
}

impl Words {
    /// New words.
    // spec: WALLET-1.1
    #[must_use]
    pub fn fresh(rng: &mut impl CryptoRng) -> Self {
        let mut entropy = Zeroizing::new([0; ENTROPY_BYTES]);
        rng.fill_bytes(&mut *entropy);
        Self(entropy)
    }

    /// From the bytes behind them, as a keystore keeps them.
    #[must_use]
    pub fn from_entropy(entropy: &[u8; ENTROPY_BYTES]) -> Self {
        Self(Zeroizing::new(*entropy))
    }

    /// The bytes behind them.
    #[must_use]
    pub fn entropy(&self) -> &[u8; ENTROPY_BYTES] {
        &self.0
    }

    /// Reads words as a person writes them: any white space between them, small letters or not.
    ///
    /// # Errors
    /// [`WordsError`], with the number of the word where one is wrong.
    // spec: WALLET-1.1
    pub fn parse(text: &str) -> Result<Self, WordsError> {
        let small = Zeroizing::new(text.to_lowercase());
        let given = small.split_whitespace().count();
        if given != WORD_COUNT {
            return Err(WordsError::Count { given });
        }
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, &small);
        let mut mnemonic = mnemonic.map_err(|error| match error {
            bip39::Error::UnknownWord(at) => WordsError::Unknown { at: at + 1 },
            _ => WordsError::Checksum,
        })?;
        let (mut all, _) = mnemonic.to_entropy_array();
        mnemonic.zeroize();
        let mut entropy = Zeroizing::new([0; ENTROPY_BYTES]);
        entropy.iter_mut().zip(&all).for_each(|(to, from)| *to = *from);
        all.zeroize();
        Ok(Self(entropy))
    }

    fn mnemonic(&self) -> Mnemonic {
        Mnemonic::from_entropy_in(Language::English, &*self.0)
            .expect("256 bits are a length that BIP-39 knows")
    }

    /// The words in their order, with a space between; for whoever owns them to write down.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut mnemonic = self.mnemonic();
        let mut text = Zeroizing::new(String::with_capacity(WORD_COUNT * 9));
        for word in mnemonic.words() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        mnemonic.zeroize();
        text
    }

    /// What the ledger's keys are made from.
    // spec: WALLET-1.1
    #[must_use]
    pub fn seed(&self) -> Seed {
        let mut mnemonic = self.mnemonic();
        let bytes = Zeroizing::new(mnemonic.to_seed_normalized(""));
        mnemonic.zeroize();
        Seed::new(&bytes)
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Words(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mutirao_ledger::testing::Seeded;

    /// The 24 words of all zeros and of all ones (source: the test vectors of BIP-39).
    const ZEROS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon abandon abandon art";
    const ONES: &str = "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo \
        zoo zoo zoo zoo zoo vote";

    // spec: WALLET-1.1
    #[test]
    fn words_are_those_of_the_standard() {
        for (entropy, text) in [([0; 32], ZEROS), ([255; 32], ONES)] {
            let words = Words::from_entropy(&entropy);
            assert_eq!(*words.reveal(), text.split_whitespace().collect::<Vec<_>>().join(" "));
            assert_eq!(Words::parse(text).unwrap(), words);
            assert_eq!(Words::parse(&text.to_uppercase().replace(' ', "\n  ")).unwrap(), words);
        }
    }

    // spec: WALLET-1.1
    #[test]
    fn fresh_words_read_back_and_give_the_same_keys() {
        let words = Words::fresh(&mut Seeded::new(1));
        let again = Words::parse(&words.reveal()).unwrap();
        assert_eq!(again, words);
        assert_eq!(again.seed().account(0), words.seed().account(0));
        assert_ne!(Words::fresh(&mut Seeded::new(2)), words);
    }

    // spec: WALLET-1.1
    #[test]
    fn wrong_words_say_which_and_why() {
        assert_eq!(Words::parse("zoo zoo").unwrap_err(), WordsError::Count { given: 2 });
        assert_eq!(Words::parse("").unwrap_err(), WordsError::Count { given: 0 });
        let unknown = ZEROS.replacen("abandon abandon", "abandon abandom", 1);
        assert_eq!(Words::parse(&unknown).unwrap_err(), WordsError::Unknown { at: 2 });
        let swapped = ZEROS.replace("art", "zoo");
        assert_eq!(Words::parse(&swapped).unwrap_err(), WordsError::Checksum);
    }

    #[test]
    fn words_do_not_show_in_debug_output() {
        let shown = format!("{:?}", Words::parse(ONES).unwrap());
        assert_eq!(shown, "Words(redacted)");
    }
}
