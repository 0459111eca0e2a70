//! All that a note is made of, from one secret per note.
//!
//! Letter → function: `s` → [`NoteSecret`] · `r` → [`NoteSecret::opening`] · `(a, b)` →
//! [`NoteSecret::offsets`] · `e` → [`ephemeral`]. Each value has a domain of its own and takes in
//! what was fixed before it.

use crate::commit::Opening;
use crate::curve::{Point, expand, hash_to_scalar};
use crate::key::Shared;
use curve25519_dalek::scalar::Scalar;
use mutirao_wire::{Amount, Decode, DecodeError, Encode, Reader};
use zeroize::Zeroizing;

/// What makes every note of a ledger unlike every other: the first thing its transaction consumes,
/// which is never consumed again.
// spec: LEDGER-3.1
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputContext(pub [u8; 32]);

impl Encode for InputContext {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}
impl Decode for InputContext {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.array().map(Self)
    }
}

impl InputContext {
    /// Of a transaction that spends notes: its first tag.
    #[must_use]
    pub fn of_tag(tag: &Point) -> Self {
        Self::of(b"tag", tag.bytes())
    }

    /// Of a transaction that spends no note but takes from a cell: the cell and the height before
    /// which it takes.
    #[must_use]
    pub fn of_cell(cell: &[u8; 32], valid_until: u64) -> Self {
        let mut bytes = cell.to_vec();
        bytes.extend_from_slice(&valid_until.to_le_bytes());
        Self::of(b"cell", &bytes)
    }

    /// Of new value: its height on its chain.
    #[must_use]
    pub fn of_mint(chain: &[u8; 32], height: u64) -> Self {
        let mut bytes = chain.to_vec();
        bytes.extend_from_slice(&height.to_le_bytes());
        Self::of(b"mint", &bytes)
    }

    fn of(kind: &[u8], bytes: &[u8]) -> Self {
        Self(expand("mutirao v1 ledger input context", &[kind, bytes]))
    }
}

/// `e` towards an address.
#[must_use]
pub fn ephemeral(anchor: &[u8; 16], context: &InputContext, spend: &Point, view: &Point) -> Scalar {
    let parts: [&[u8]; 4] = [anchor, &context.0, spend.bytes(), view.bytes()];
    hash_to_scalar("mutirao v1 ledger ephemeral", &parts)
}

/// `e` where all outputs are our own; nobody needs to make it again.
#[must_use]
pub fn own_ephemeral(view: &Scalar, context: &InputContext, anchor: &[u8; 16]) -> Scalar {
    let parts: [&[u8]; 3] = [view.as_bytes(), &context.0, anchor];
    hash_to_scalar("mutirao v1 ledger own ephemeral", &parts)
}

/// `s`: what sender and receiver know about one note; wiped when dropped.
pub struct NoteSecret(Zeroizing<[u8; 32]>);

impl NoteSecret {
    /// Of the note at `index` within its transaction.
    // spec: LEDGER-3.1
    #[must_use]
    pub fn new(shared: &Shared, ephemeral: &Point, context: &InputContext, index: usize) -> Self {
        let index = (index as u64).to_le_bytes();
        let parts: [&[u8]; 4] = [&*shared.0, ephemeral.bytes(), &context.0, &index];
        Self(Zeroizing::new(expand("mutirao v1 ledger note secret", &parts)))
    }

    /// Amount and blinding; the blinding depends on both amount and payee.
    #[must_use]
    pub fn opening(&self, amount: Amount, spend: &Point) -> Opening {
        let parts: [&[u8]; 3] = [&*self.0, &amount.0.to_le_bytes(), spend.bytes()];
        Opening::new(amount, hash_to_scalar("mutirao v1 ledger blinding", &parts))
    }

    /// `(a, b)`: between the address and the one-time key.
    #[must_use]
    pub fn offsets(&self, commitment: &[u8; 32]) -> (Scalar, Scalar) {
        let parts: [&[u8]; 2] = [&*self.0, commitment];
        let a = hash_to_scalar("mutirao v1 ledger offset G", &parts);
        (a, hash_to_scalar("mutirao v1 ledger offset T", &parts))
    }

    /// Three bytes by which a scan tells ours from others'.
    #[must_use]
    pub fn view_tag(&self, one_time: &[u8; 32]) -> [u8; 3] {
        self.of_key("mutirao v1 ledger view tag", one_time)
    }

    /// What hides the amount.
    #[must_use]
    pub fn amount_pad(&self, one_time: &[u8; 32]) -> [u8; 8] {
        self.of_key("mutirao v1 ledger amount", one_time)
    }

    /// What hides the anchor.
    #[must_use]
    pub fn anchor_pad(&self, one_time: &[u8; 32]) -> [u8; 16] {
        self.of_key("mutirao v1 ledger anchor", one_time)
    }

    /// What seals the memo.
    #[must_use]
    pub fn memo_key(&self, one_time: &[u8; 32]) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.of_key("mutirao v1 ledger memo", one_time))
    }

    fn of_key<const N: usize>(&self, domain: &str, one_time: &[u8; 32]) -> [u8; N] {
        expand(domain, &[&*self.0, one_time])
    }
}
