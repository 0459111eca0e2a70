//! Vouchers: what a payer hands out step by step, and what a payee keeps of them.
//!
//! A voucher says: of this channel, so much in all is the payee's. It is a signature over chain,
//! channel, number, hidden amount, what it pays for, and the amount once more under a pad that only
//! the payer can make, so that a payer who lost everything but its words still learns from a close
//! what is left. Amount and blinding are told to the payee inside the encrypted session.
//!
//! Letters: `C_v = v·V + r·H`, `r` a hash of the channel's secret and of everything that the
//! voucher says: two vouchers that differ never share a blinding, whoever forgets which number was
//! the last.

use super::{Channel, Payer};
use crate::cell::CellId;
use crate::commit::Opening;
use crate::curve::{Point, expand};
use crate::rules::ChainId;
use crate::sigma::{self, Batch, SigmaProof};
use mutirao_wire::{Amount, Digest, record};
use rand_core::CryptoRng;
use thiserror::Error;

/// What a voucher says of a channel, and a closed channel remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Rises with each voucher of a channel.
    pub sequence: u64,
    /// `C_v`: all that is the payee's so far.
    pub commitment: Point,
    /// What it pays for, as the two see it. It stands on the chain after a close, so whoever makes
    /// it puts something in that nobody can guess.
    pub usage: Digest,
    /// The amount under a pad of the payer's own.
    pub sealed: [u8; 8],
}

record!(Claim { sequence, commitment, usage, sealed });

impl Claim {
    /// What is signed.
    // spec: LEDGER-12.3
    #[must_use]
    pub fn message(&self, chain: &ChainId, channel: &CellId) -> [u8; 32] {
        let sequence = self.sequence.to_le_bytes();
        let parts: [&[u8]; 6] = [
            &chain.0.0,
            &channel.0.0,
            &sequence,
            self.commitment.bytes(),
            &self.usage.0,
            &self.sealed,
        ];
        expand("mutirao v1 ledger voucher", &parts)
    }
}

/// A claim, its channel and the payer's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voucher {
    /// Of which channel.
    pub channel: CellId,
    /// What is claimed.
    pub claim: Claim,
    /// By the channel's voucher key.
    pub signature: SigmaProof,
}

record!(Voucher { channel, claim, signature });

/// A voucher with what is inside it: what the payer tells the payee, and nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// What the chain may see.
    pub voucher: Voucher,
    /// Amount and blinding of its commitment.
    pub opening: Opening,
}

record!(Drawn { voucher, opening });

/// Why a voucher cannot be drawn, or is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VoucherError {
    /// More than there is.
    #[error("a voucher for {wanted} is not covered: the channel holds {deposit}")]
    Deposit {
        /// What the voucher says.
        wanted: u128,
        /// What there is, as far as we know.
        deposit: Amount,
    },
    /// No number left.
    #[error("the channel has no voucher number left; open another")]
    Numbers,
    /// Of another channel.
    #[error("the voucher is for another channel")]
    Channel,
    /// Not newer than the last.
    #[error("voucher {given} came after voucher {last}")]
    Sequence {
        /// What we hold.
        last: u64,
        /// What came.
        given: u64,
    },
    /// Less than the last.
    #[error("the voucher says {given}, the last one said {last}")]
    Less {
        /// What we hold.
        last: Amount,
        /// What came.
        given: Amount,
    },
    /// Amount and blinding do not belong to it.
    #[error("the opening is not that of the voucher")]
    Opening,
    /// Not signed by the channel's voucher key.
    #[error("the voucher is not signed by the payer of the channel")]
    Signature,
    /// A channel that is closed.
    #[error("the channel is closed")]
    Closed,
    /// A channel towards somebody else.
    #[error("the channel names another payee")]
    Payee,
}

/// How far a payer is: what it stores beside the channel's keepsakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// The number of the last voucher; 0 before the first.
    pub sequence: u64,
    /// What the last voucher says.
    pub paid: Amount,
}

record!(Progress { sequence, paid });

/// The payer's side: draws vouchers, each for more than the last.
///
/// It cannot be copied, and every voucher moves it on before it is given away.
#[derive(Debug)]
pub struct Drawer {
    chain: ChainId,
    channel: CellId,
    payer: Payer,
    deposit: Amount,
    progress: Progress,
}

impl Drawer {
    /// For a channel that holds `deposit`, after `progress`.
    #[must_use]
    pub fn new(
        chain: ChainId,
        channel: CellId,
        payer: Payer,
        deposit: Amount,
        progress: Progress,
    ) -> Self {
        Self { chain, channel, payer, deposit, progress }
    }

    /// How far it is. Store this before the voucher leaves the machine.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// What can still be drawn.
    #[must_use]
    pub fn left(&self) -> Amount {
        Amount(self.deposit.0.saturating_sub(self.progress.paid.0))
    }

    /// After the channel was topped up by that much.
    pub fn topped_up(&mut self, added: Amount) {
        self.deposit = Amount(self.deposit.0.saturating_add(added.0));
    }

    /// Goes on after a voucher of our own that somebody showed us: for a payer that has its words
    /// and no storage. One that is not ours, or older than what we know, changes nothing.
    // spec: LEDGER-12.4
    pub fn resume(&mut self, last: &Voucher) -> bool {
        let Some(opening) = self.payer.opening(&last.channel, &last.claim) else { return false };
        let ours = last.channel == self.channel && last.claim.sequence > self.progress.sequence;
        if ours {
            self.progress = Progress { sequence: last.claim.sequence, paid: opening.amount };
        }
        ours
    }

    /// The next voucher: `more` on top of what the last one said, for `usage`.
    ///
    /// # Errors
    /// [`VoucherError`] when the channel does not hold that much; nothing has changed then.
    // spec: LEDGER-12.3, LEDGER-12.4
    pub fn draw(
        &mut self,
        more: Amount,
        usage: Digest,
        rng: &mut impl CryptoRng,
    ) -> Result<Drawn, VoucherError> {
        let wanted = u128::from(self.progress.paid.0) + u128::from(more.0);
        let deposit = self.deposit;
        let paid = u64::try_from(wanted).ok().filter(|paid| *paid <= deposit.0);
        let paid = Amount(paid.ok_or(VoucherError::Deposit { wanted, deposit })?);
        let sequence = self.progress.sequence.checked_add(1).ok_or(VoucherError::Numbers)?;
        self.progress = Progress { sequence, paid };
        let (claim, opening) = self.payer.claim(&self.channel, sequence, paid, usage);
        let message = claim.message(&self.chain, &self.channel);
        let key = self.payer.voucher_key();
        let relation = sigma::voucher(&self.payer.voucher_public());
        let signature = relation.prove(&message, &[key.scalar()], rng);
        Ok(Drawn { voucher: Voucher { channel: self.channel, claim, signature }, opening })
    }
}

/// The payee's side: keeps the best voucher of one channel.
#[derive(Debug)]
pub struct Holder {
    chain: ChainId,
    channel: CellId,
    key: Point,
    deposit: Amount,
    best: Option<Drawn>,
}

impl Holder {
    /// For a channel on the chain that names our key `payee`, and of which the payer told these
    /// openings. What it did not tell covers nothing. Whether tills and expiry are as agreed, the
    /// caller has seen.
    ///
    /// # Errors
    /// [`VoucherError`] for a channel that is closed or somebody else's.
    // spec: LEDGER-12.4
    pub fn new(
        chain: ChainId,
        id: CellId,
        channel: &Channel,
        payee: Point,
        told: &[Opening],
    ) -> Result<Self, VoucherError> {
        if !channel.is_open() {
            return Err(VoucherError::Closed);
        }
        if channel.payee != payee {
            return Err(VoucherError::Payee);
        }
        let deposit = channel.covered(told).1;
        Ok(Self { chain, channel: id, key: channel.voucher_key, deposit, best: None })
    }

    /// `K`: who must have signed.
    #[must_use]
    pub fn voucher_key(&self) -> Point {
        self.key
    }

    /// What covers vouchers, as far as the payer told.
    #[must_use]
    pub fn deposit(&self) -> Amount {
        self.deposit
    }

    /// After a top-up: the channel as it is now, and all that the payer told so far.
    pub fn topped_up(&mut self, channel: &Channel, told: &[Opening]) {
        self.deposit = channel.covered(told).1;
    }

    /// Takes a voucher; how much more it is than the one before. Refused, it changes nothing.
    ///
    /// # Errors
    /// [`VoucherError`].
    // spec: LEDGER-12.4
    pub fn accept(&mut self, drawn: Drawn) -> Result<Amount, VoucherError> {
        let (claim, given) = (&drawn.voucher.claim, drawn.opening.amount);
        if drawn.voucher.channel != self.channel {
            return Err(VoucherError::Channel);
        }
        let last = self
            .best
            .as_ref()
            .map_or((0, Amount::ZERO), |best| (best.voucher.claim.sequence, best.opening.amount));
        if claim.sequence <= last.0 {
            return Err(VoucherError::Sequence { last: last.0, given: claim.sequence });
        }
        let more = given.0.checked_sub(last.1.0);
        let more = more.ok_or(VoucherError::Less { last: last.1, given })?;
        if given > self.deposit {
            let wanted = given.0.into();
            return Err(VoucherError::Deposit { wanted, deposit: self.deposit });
        }
        if !drawn.opening.opens(&claim.commitment) {
            return Err(VoucherError::Opening);
        }
        if !verify(&self.chain, &[(&drawn.voucher, self.key)]) {
            return Err(VoucherError::Signature);
        }
        self.best = Some(drawn);
        Ok(Amount(more))
    }

    /// The best so far: what to close with.
    #[must_use]
    pub fn best(&self) -> Option<&Drawn> {
        self.best.as_ref()
    }
}

/// Whether each of these vouchers is signed by the key beside it: one multiplication for all.
// spec: LEDGER-12.3
#[must_use]
pub fn verify(chain: &ChainId, all: &[(&Voucher, Point)]) -> bool {
    let mut batch = Batch::default();
    let add = |(voucher, key): &(&Voucher, Point)| {
        let message = voucher.claim.message(chain, &voucher.channel);
        batch.add(&sigma::voucher(key), &message, &voucher.signature)
    };
    all.iter().all(add) && batch.verify()
}

#[cfg(test)]
mod tests;
