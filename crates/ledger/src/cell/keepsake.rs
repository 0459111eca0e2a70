//! What the owner of a cell makes again from its words: its keys, its blindings, and a memo to
//! itself that says where to begin.
//!
//! Letters: `n` a nonce of the cell · `c` the cell's secret, a hash of `k_s` and `n` · `m` a nonce
//! of one part of what the cell holds · `r` the part's blinding, a hash of `c`, `m` and the amount.
//! Nonces are drawn afresh for each transaction and depend on what it spends, so no two parts share
//! a blinding, even where a generator is broken; and since the amount goes in, two amounts never
//! hide under one blinding. Everything is in the memo but `k_s`, which the 24 words give.

use super::knowledge::{Blindings, Knowledge};
use crate::commit::Opening;
use crate::curve::{Point, generators, hash_to_scalar};
use crate::key::{Secret, SpendKey};
use crate::note::memo::Memo;
use crate::note::{Output, OwnedNote};
use crate::sigma::{self, SigmaProof};
use crate::tx::Body;
use curve25519_dalek::scalar::Scalar;
use mutirao_wire::{Amount, Decode, Encode, record};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Whose secret it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The payer of a channel.
    Payer,
    /// The payee of a channel.
    Payee,
    /// The owner of a bond.
    Bond,
    /// Whoever challenges.
    Challenger,
}

impl Side {
    /// Those that write keepsakes, and how these begin.
    const MARKS: [(Self, [u8; 4]); 3] =
        [(Self::Payer, *b"chan"), (Self::Bond, *b"bond"), (Self::Challenger, *b"chal")];

    fn word(self) -> &'static [u8] {
        match self {
            Self::Payer => b"payer",
            Self::Payee => b"payee",
            Self::Bond => b"bond",
            Self::Challenger => b"challenger",
        }
    }

    fn mark(self) -> Option<[u8; 4]> {
        Self::MARKS.iter().find(|(side, _)| *side == self).map(|(_, mark)| *mark)
    }
}

/// `c`: wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct CellSecret(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for CellSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CellSecret(redacted)")
    }
}

impl CellSecret {
    /// Of the cell with that nonce.
    // spec: LEDGER-7.5
    #[must_use]
    pub fn new(keys: &SpendKey, side: Side, nonce: &[u8; 32]) -> Self {
        Self(keys.secret_of("mutirao v1 ledger cell secret", &[side.word(), nonce]))
    }

    /// A scalar for one purpose.
    pub(crate) fn scalar(&self, purpose: &str, parts: &[&[u8]]) -> Scalar {
        let whole: Vec<&[u8]> = std::iter::once(&self.0[..]).chain(parts.iter().copied()).collect();
        hash_to_scalar(purpose, &whole)
    }

    /// Eight bytes that hide an amount.
    pub(crate) fn pad(&self, parts: &[&[u8]]) -> [u8; 8] {
        let whole: Vec<&[u8]> = std::iter::once(&self.0[..]).chain(parts.iter().copied()).collect();
        crate::curve::expand("mutirao v1 ledger cell pad", &whole)
    }

    /// The key by which the cell knows its owner.
    #[must_use]
    pub fn party(&self) -> PartyKey {
        let half = |purpose| Secret::new(self.scalar(purpose, &[]));
        PartyKey {
            x: half("mutirao v1 ledger cell key G"),
            y: half("mutirao v1 ledger cell key T"),
        }
    }

    /// The opening of one part of what the cell holds.
    // spec: LEDGER-7.5
    #[must_use]
    pub fn part(&self, kept: &Keepsake) -> Opening {
        let parts: [&[u8]; 2] = [&kept.part, &kept.amount.0.to_le_bytes()];
        Opening::new(kept.amount, self.scalar("mutirao v1 ledger cell part", &parts))
    }
}

/// `(x, y)` of a one-time key `O = x·G + y·T` that a cell names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartyKey {
    x: Secret,
    y: Secret,
}

impl PartyKey {
    /// `O`.
    #[must_use]
    pub fn public(&self) -> Point {
        Point::fresh(generators().key(self.x.scalar(), self.y.scalar()))
    }

    /// Agrees to a transaction that somebody else built: what [`crate::build::Proposal`] waits for.
    /// Whoever calls this has seen that the body gives it what was agreed.
    // spec: LEDGER-12.7
    #[must_use]
    pub fn consent(&self, body: &Body, rng: &mut impl CryptoRng) -> SigmaProof {
        let secrets = [self.x.scalar(), self.y.scalar()];
        sigma::owner(&self.public()).prove(&body.id().0.0, &secrets, rng)
    }

    pub(crate) fn know(&self, known: &mut Knowledge) -> Point {
        let public = self.public();
        known.pair(public, (self.x.clone(), self.y.clone()));
        public
    }
}

/// What an owner writes to itself about one part of a cell: 60 bytes of memo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepsake {
    /// Which kind of cell.
    pub side: Side,
    /// `n`.
    pub nonce: [u8; 32],
    /// `m`.
    pub part: [u8; 16],
    /// How much was put in.
    pub amount: Amount,
}

record!(Inside { nonce, part, amount });

/// What stands behind the mark.
struct Inside {
    nonce: [u8; 32],
    part: [u8; 16],
    amount: Amount,
}

impl Keepsake {
    /// Bytes of the sealed memo that holds one.
    pub(crate) const SEALED_BYTES: usize = 64 + 16;

    /// Of a new cell.
    pub(crate) fn fresh(side: Side, amount: Amount, blindings: &mut Blindings) -> Self {
        Self::more(side, blindings.draw().to_bytes(), amount, blindings)
    }

    /// Of one more part of the cell with that nonce.
    pub(crate) fn more(
        side: Side,
        nonce: [u8; 32],
        amount: Amount,
        blindings: &mut Blindings,
    ) -> Self {
        let mut part = [0; 16];
        let drawn = blindings.draw().to_bytes();
        part.iter_mut().zip(drawn).for_each(|(to, from)| *to = from);
        Self { side, nonce, part, amount }
    }

    /// As a memo to oneself.
    #[must_use]
    pub fn to_memo(&self) -> Memo {
        let Self { side, nonce, part, amount } = *self;
        let inside = Inside { nonce, part, amount }.to_bytes();
        let bytes = [&side.mark().unwrap_or_default()[..], &inside].concat();
        Memo::new(&bytes).unwrap_or_default()
    }

    /// From the memo of an own note; none when it speaks of something else.
    // spec: LEDGER-7.5
    #[must_use]
    pub fn from_memo(memo: &Memo) -> Option<Self> {
        let find = |(side, mark): &(Side, [u8; 4])| {
            memo.words().strip_prefix(mark).map(|inside| (*side, inside))
        };
        let (side, inside) = Side::MARKS.iter().find_map(find)?;
        let Inside { nonce, part, amount } = Inside::from_bytes(inside).ok()?;
        Some(Self { side, nonce, part, amount })
    }

    /// From a note that was found in this output; none when it is not one's own, or says something
    /// else.
    #[must_use]
    pub fn read(note: &OwnedNote, output: &Output) -> Option<Self> {
        let memo = note.own.then(|| note.open_memo(output).ok()).flatten()?;
        Self::from_memo(&memo)
    }

    /// The secret of the cell that it is about.
    #[must_use]
    pub fn secret(&self, keys: &SpendKey) -> CellSecret {
        CellSecret::new(keys, self.side, &self.nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Seed;
    use crate::testing::Constant;

    fn kept(context: u8) -> Keepsake {
        let secret = Secret::new(Scalar::from(5u8));
        let mut blindings = Blindings::new(&secret, &[context; 32], &mut Constant);
        Keepsake::fresh(Side::Payer, Amount(7), &mut blindings)
    }

    // spec: LEDGER-7.5
    #[test]
    fn a_keepsake_comes_back_from_its_memo_and_from_no_other() {
        let kept = kept(1);
        let memo = kept.to_memo();
        assert_eq!(memo.class_bytes() + 16, Keepsake::SEALED_BYTES);
        assert_eq!(Keepsake::from_memo(&memo), Some(kept));
        for words in [&b"thanks"[..], b"chan", &memo.words()[1..], &[]] {
            assert_eq!(Keepsake::from_memo(&Memo::new(words).unwrap()), None);
        }
        for side in [Side::Bond, Side::Challenger] {
            let other = Keepsake { side, ..kept };
            assert_eq!(Keepsake::from_memo(&other.to_memo()), Some(other));
        }
    }

    // spec: LEDGER-7.5, LEDGER-4.2
    #[test]
    fn a_broken_generator_repeats_no_nonce_and_two_amounts_share_no_blinding() {
        let (one, two) = (kept(1), kept(2));
        assert!(one.nonce != two.nonce && one.part != two.part);
        let keys = Seed::new(&[1; 64]).account(0);
        let other = Keepsake { amount: Amount(8), ..one };
        assert_ne!(one.secret(&keys).part(&one).blinding, one.secret(&keys).part(&other).blinding);
        let sides = [Side::Payer, Side::Payee, Side::Bond, Side::Challenger];
        let mut keys: Vec<Point> = sides
            .iter()
            .map(|side| CellSecret::new(&keys, *side, &one.nonce).party().public())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), sides.len());
    }

    // spec: LEDGER-12.7
    #[test]
    fn secrets_of_cells_do_not_show_in_debug_output() {
        let keys = Seed::new(&[1; 64]).account(0);
        let secret = kept(1).secret(&keys);
        let shown = format!("{:?} {:?}", secret, secret.party());
        assert!(shown.contains("redacted") && !shown.contains("Scalar"));
    }
}
