//! What payer and payee of a channel know, and can make again.

use super::{Channel, Claim, Phase};
use crate::cell::CellId;
use crate::cell::keepsake::{CellSecret, Keepsake, PartyKey, Side};
use crate::commit::Opening;
use crate::curve::{Point, generators};
use crate::key::{Secret, SpendKey};
use curve25519_dalek::scalar::Scalar;
use mutirao_wire::{Amount, Digest};

/// The payer's secrets of one channel: all of them follow from its words and one keepsake.
// spec: LEDGER-12.4
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payer {
    secret: CellSecret,
    voucher_key: Secret,
    voucher_public: Point,
}

impl Payer {
    /// Of the channel that a keepsake is about.
    #[must_use]
    pub fn new(keys: &SpendKey, kept: &Keepsake) -> Self {
        let secret = CellSecret::new(keys, Side::Payer, &kept.nonce);
        let voucher_key = Secret::new(secret.scalar("mutirao v1 ledger voucher key", &[]));
        let voucher_public = Point::fresh(generators().times_g(voucher_key.scalar()));
        Self { secret, voucher_key, voucher_public }
    }

    /// The key that takes back what is left.
    #[must_use]
    pub fn party(&self) -> PartyKey {
        self.secret.party()
    }

    /// `K`.
    #[must_use]
    pub fn voucher_public(&self) -> Point {
        self.voucher_public
    }

    pub(super) fn voucher_key(&self) -> &Secret {
        &self.voucher_key
    }

    /// The opening of the part that a keepsake is about: what the payee is told.
    #[must_use]
    pub fn part(&self, kept: &Keepsake) -> Opening {
        self.secret.part(kept)
    }

    /// Whether the channel is the one that this payer opened.
    #[must_use]
    pub fn owns(&self, channel: &Channel) -> bool {
        channel.payer == self.party().public() && channel.voucher_key == self.voucher_public
    }

    /// The claim of that number, and what is inside.
    // spec: LEDGER-12.3
    pub(super) fn claim(
        &self,
        channel: &CellId,
        sequence: u64,
        amount: Amount,
        usage: Digest,
    ) -> (Claim, Opening) {
        let opening = Opening::new(amount, self.blinding(channel, sequence, amount, &usage));
        let commitment = opening.commit();
        let sealed = amount.0 ^ u64::from_le_bytes(self.pad(channel, &commitment));
        (Claim { sequence, commitment, usage, sealed: sealed.to_le_bytes() }, opening)
    }

    fn blinding(&self, channel: &CellId, sequence: u64, amount: Amount, usage: &Digest) -> Scalar {
        let (sequence, amount) = (sequence.to_le_bytes(), amount.0.to_le_bytes());
        let parts: [&[u8]; 4] = [&channel.0.0, &sequence, &amount, &usage.0];
        self.secret.scalar("mutirao v1 ledger voucher blinding", &parts)
    }

    fn pad(&self, channel: &CellId, commitment: &Point) -> [u8; 8] {
        self.secret.pad(&[&channel.0.0, commitment.bytes()])
    }

    /// What is inside a claim of ours, by the words alone; none for one that we did not make.
    // spec: LEDGER-12.4
    #[must_use]
    pub fn opening(&self, channel: &CellId, claim: &Claim) -> Option<Opening> {
        let pad = u64::from_le_bytes(self.pad(channel, &claim.commitment));
        let amount = Amount(u64::from_le_bytes(claim.sealed) ^ pad);
        let blinding = self.blinding(channel, claim.sequence, amount, &claim.usage);
        let opening = Opening::new(amount, blinding);
        opening.opens(&claim.commitment).then_some(opening)
    }

    /// What the channel holds for us, piece by piece: all parts while it is open, the rest once it
    /// is closed. None when a keepsake is missing.
    // spec: LEDGER-12.8
    #[must_use]
    pub fn held(&self, id: &CellId, channel: &Channel, kept: &[Keepsake]) -> Option<Vec<Opening>> {
        let parts: Vec<Opening> = kept.iter().map(|kept| self.part(kept)).collect();
        match &channel.phase {
            Phase::Open { parts: there } => {
                let find = |point| parts.iter().find(|part| part.opens(point)).cloned();
                there.iter().map(find).collect()
            }
            Phase::Closed { rest, claim } => {
                let paid = self.opening(id, claim)?;
                let Some(point) = rest.point() else { return Some(vec![]) };
                let whole: Option<u64> =
                    parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.amount.0));
                let amount = Amount(whole?.checked_sub(paid.amount.0)?);
                let blindings: Scalar = parts.iter().map(|part| part.blinding.scalar()).sum();
                let rest = Opening::new(amount, blindings - paid.blinding.scalar());
                rest.opens(&point).then(|| vec![rest])
            }
        }
    }
}

/// The payee's key of the channel with that number: a provider counts, and makes it again by
/// counting.
#[must_use]
pub fn payee_key(keys: &SpendKey, number: u64) -> PartyKey {
    let mut nonce = [0; 32];
    nonce.iter_mut().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
    CellSecret::new(keys, Side::Payee, &nonce).party()
}

impl Channel {
    /// Which parts these openings open, as the bits of a close, and how much is in them. Nothing
    /// counts twice.
    // spec: LEDGER-12.4, LEDGER-12.5
    #[must_use]
    pub fn covered(&self, told: &[Opening]) -> (u8, Amount) {
        let (mut bits, mut sum) = (0u8, 0u64);
        for (at, part) in self.parts().iter().enumerate().take(super::PARTS_MAX) {
            if let Some(opening) = told.iter().find(|opening| opening.opens(part)) {
                bits |= 1 << at;
                sum = sum.saturating_add(opening.amount.0);
            }
        }
        (bits, Amount(sum))
    }
}
