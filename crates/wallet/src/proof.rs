//! Payment proofs as text: a payer shows somebody who doubts it that a payment was made.
//!
//! Whoever doubts asks a question of their own; the answer to it is worth nothing for another.

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use mutirao_ledger::key::address::Address;
use mutirao_ledger::payment::{PaymentError, PaymentProof};
use mutirao_ledger::rules::Height;
use mutirao_ledger::service::{Answer, Question};
use mutirao_ledger::tx::TxId;
use mutirao_wire::{Amount, Decode, DecodeError, Digest, Encode, record};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

use crate::read::{Ledger, Unreachable};

/// The prefix of the text.
const PREFIX: &str = "mutpaid";
/// Bytes of the longest proof.
const BYTES_MAX: usize = 512;

/// 32 bytes that stand for the words of whoever asks.
// spec: WALLET-6.1
#[must_use]
pub fn question(words: &str) -> [u8; 32] {
    Digest::of("mutirao v1 wallet question", &[words.trim().as_bytes()]).0
}

/// A payment proof and the transaction that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The transaction.
    pub tx: TxId,
    /// What is shown of it.
    pub proof: PaymentProof,
}

record!(Shown { tx, proof });

/// Why text is no proof.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ShownError {
    /// The text is not bech32m.
    #[error("this is not a payment proof: {0}; copy it whole")]
    NotText(String),
    /// The bytes are none.
    #[error("this is not a payment proof: {0}")]
    Bytes(#[from] DecodeError),
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = Hrp::parse_unchecked(PREFIX);
        let text = bech32::encode::<Bech32m>(prefix, &self.to_bytes()).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl FromStr for Shown {
    type Err = ShownError;

    // spec: WALLET-6.1
    fn from_str(text: &str) -> Result<Self, ShownError> {
        let not_text = |why: &dyn fmt::Display| ShownError::NotText(why.to_string());
        let read = CheckedHrpstring::new::<Bech32m>(text).map_err(|error| not_text(&error))?;
        if read.hrp().as_str() != PREFIX {
            return Err(not_text(&"it does not begin with mutpaid1"));
        }
        let bytes: Vec<u8> = read.byte_iter().take(BYTES_MAX + 1).collect();
        let shown = Self::from_bytes(&bytes)?;
        let canonical = shown.to_string() == text;
        canonical.then_some(shown).ok_or_else(|| not_text(&"padding"))
    }
}

/// Why a payment cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProveError {
    /// Not sent by this wallet, as far as it remembers.
    #[error(
        "this wallet does not remember sending that; only the wallet that sent it knows to whom, \
         not one that was restored from its words"
    )]
    Unknown,
    /// No keys that answer.
    #[error("this wallet sees what arrives alone; prove from the one that paid")]
    Tier,
    /// Not yet in a block.
    #[error("that payment does not stand in a block; wait for it, then prove it")]
    Waiting,
    /// It pays nobody, or several.
    #[error("that transaction has {0} payments; say which with --output")]
    Which(usize),
    /// The ledger's own rules.
    #[error(transparent)]
    Payment(#[from] PaymentError),
    /// No answer.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The ledger does not have the transaction any more.
    #[error("the ledger does not give out the block of that payment; ask another one")]
    Missing,
}

/// What a proof shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// To whom was paid.
    pub address: Address,
    /// How much.
    pub amount: Amount,
    /// In which block.
    pub height: Height,
}

/// Why a proof shows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CheckError {
    /// No answer.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// No such transaction there.
    #[error("this ledger has no such transaction: the payment was not made, or on another chain")]
    NoTransaction,
    /// Not in a block.
    #[error("the transaction waits for a block: nothing is paid yet")]
    Waiting,
    /// The proof is wrong.
    #[error("{0}; or it answers another question")]
    Payment(#[from] PaymentError),
}

/// Checks a proof against a ledger; takes no wallet.
///
/// # Errors
/// [`CheckError`].
// spec: WALLET-6.2
pub fn check(
    shown: &Shown,
    question: &[u8; 32],
    ledger: &mut impl Ledger,
) -> Result<Checked, CheckError> {
    let Answer::Transaction { place, transaction } =
        ledger.ask(&Question::Transaction(shown.tx))?
    else {
        return Err(CheckError::NoTransaction);
    };
    if transaction.id() != shown.tx {
        return Err(CheckError::NoTransaction);
    }
    let height = place.ok_or(CheckError::Waiting)?.height;
    shown.proof.verify(&transaction.body, question)?;
    Ok(Checked { address: shown.proof.address, amount: shown.proof.amount, height })
}
