//! Notes: a hidden amount with an owner, made by a sender who learns nothing but what it sent.
//!
//! **Statement.** The owner of an address recognises every note made for it, and can spend each;
//! nobody else sees for whom a note is or how much is in it. A sender cannot make a note that its
//! receiver accepts but cannot spend, nor learn that two addresses belong together.
//!
//! The derivation follows the rules of Carrot (the address protocol of Monero's FCMP++ upgrade:
//! everything from one secret that depends on the transaction's first input; an anchor against
//! mixed addresses). The specification says where it departs from it: `docs/spec/ledger.md`, 3.

pub mod derive;
pub mod memo;

use crate::commit::Opening;
use crate::curve::{Point, generators};
use crate::key::address::{Address, Kind};
use crate::key::{ReceiveKey, Secret, Shared, SubaddressIndex, Subaddresses};
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use derive::{InputContext, NoteSecret};
use memo::{Memo, MemoError};
use mutirao_wire::{Amount, Decode, DecodeError, Encode, Reader, record};
use rand_core::CryptoRng;

/// Where a note stands among all notes of a ledger, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoteIndex(pub u64);

impl Encode for NoteIndex {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}
impl Decode for NoteIndex {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u64::decode(input).map(Self)
    }
}

/// A note as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// `O`, the one-time key that owns it.
    pub one_time: Point,
    /// `C`, the hidden amount.
    pub commitment: Point,
    /// Lets a scan dismiss all but one in 16 million notes of others.
    pub view_tag: [u8; 3],
    /// The amount under a pad.
    pub amount: [u8; 8],
    /// The anchor under a pad.
    pub anchor: [u8; 16],
    /// The sealed memo: 0, 80, 528 or 1 216 bytes.
    pub memo: Vec<u8>,
}

impl Encode for Output {
    fn encode(&self, out: &mut Vec<u8>) {
        self.one_time.encode(out);
        self.commitment.encode(out);
        self.view_tag.encode(out);
        self.amount.encode(out);
        self.anchor.encode(out);
        memo::put(out, &self.memo);
    }
}
impl Decode for Output {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            one_time: Point::decode(input)?,
            commitment: Point::decode(input)?,
            view_tag: input.array()?,
            amount: input.array()?,
            anchor: input.array()?,
            memo: memo::take(input)?,
        })
    }
}

/// A note as its owner knows it: all that spending takes, beside the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedNote {
    /// `O`.
    pub one_time: Point,
    /// Amount and blinding of `C`.
    pub opening: Opening,
    /// Which of our addresses was paid.
    pub address: SubaddressIndex,
    /// Made by ourselves: change.
    pub own: bool,
    offset_tag: Secret,
    offset_spend: Secret,
    memo_key: Secret32,
}

/// 32 secret bytes; wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret32(zeroize::Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Secret32 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret32(redacted)")
    }
}
impl Encode for Secret32 {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}
impl Decode for Secret32 {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(zeroize::Zeroizing::new(input.array()?)))
    }
}

impl Encode for OwnedNote {
    fn encode(&self, out: &mut Vec<u8>) {
        self.one_time.encode(out);
        self.opening.encode(out);
        self.address.encode(out);
        u8::from(self.own).encode(out);
        self.offset_tag.encode(out);
        self.offset_spend.encode(out);
        self.memo_key.encode(out);
    }
}
impl Decode for OwnedNote {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            one_time: Point::decode(input)?,
            opening: Opening::decode(input)?,
            address: SubaddressIndex::decode(input)?,
            own: match u8::decode(input)? {
                0 => false,
                1 => true,
                value => return Err(DecodeError::Unknown { what: "flag", value: value.into() }),
            },
            offset_tag: Secret::decode(input)?,
            offset_spend: Secret::decode(input)?,
            memo_key: Secret32::decode(input)?,
        })
    }
}

impl OwnedNote {
    /// The offsets `(a, b)` between the address and the one-time key.
    #[must_use]
    pub fn offsets(&self) -> (&Scalar, &Scalar) {
        (&self.offset_tag.0, &self.offset_spend.0)
    }

    /// Reads the memo of the output that this note was found in.
    ///
    /// # Errors
    /// [`MemoError`] when it was not sealed by who made the note, or not as the rules say.
    pub fn open_memo(&self, output: &Output) -> Result<Memo, MemoError> {
        memo::open(&self.memo_key.0, &output.memo, &memo_bound(output))
    }
}

/// What a memo is sealed to: it cannot be moved to another note.
fn memo_bound(output: &Output) -> [u8; 64] {
    let mut bound = [0; 64];
    let halves = output.one_time.bytes().iter().chain(output.commitment.bytes());
    bound.iter_mut().zip(halves).for_each(|(to, from)| *to = *from);
    bound
}

/// To whom a note goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a handful a transaction, never stored")]
pub enum To {
    /// Somebody's address.
    Address(Address),
    /// The sender's own main address: change, or a word to oneself.
    Own,
}

/// What a sender wants: to whom, how much, with which words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// To whom.
    pub to: To,
    /// How much.
    pub amount: Amount,
    /// With which words.
    pub memo: Memo,
}

/// What a sender keeps of a note that it made, for a payment proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentNote {
    /// To whom; none for the sender itself.
    pub address: Option<Address>,
    /// Amount and blinding.
    pub opening: Opening,
    /// The anchor: from it and the address, everything else follows.
    pub anchor: [u8; 16],
}

/// The notes of one transaction, and what made them.
#[derive(Debug, Clone)]
pub struct MadeNotes {
    /// One for at most two outputs, else one each.
    pub ephemerals: Vec<Point>,
    /// As they go into the transaction.
    pub outputs: Vec<Output>,
    /// What the sender keeps, in the same order.
    pub sent: Vec<SentNote>,
}

/// How many ephemeral keys that many outputs come with. Consensus holds this, so that a count never
/// tells whether a subaddress was paid.
// spec: LEDGER-3.2
#[must_use]
pub fn ephemerals_for(outputs: usize) -> usize {
    if outputs > 2 { outputs } else { 1 }
}

/// Makes the notes of one transaction. With at most two outputs, at most one may go to somebody
/// else: both would need the same ephemeral key, which a subaddress makes in its own way.
///
/// # Errors
/// [`MemoError`] for a memo that no class holds, or a second payee beside one shared key.
pub fn make(
    sender: &ReceiveKey,
    context: &InputContext,
    payments: &[Payment],
    rng: &mut impl CryptoRng,
) -> Result<MadeNotes, MemoError> {
    let mut made = MadeNotes { ephemerals: vec![], outputs: vec![], sent: vec![] };
    let anchors: Vec<[u8; 16]> = payments.iter().map(|_| fresh_anchor(rng)).collect();
    let shared = ephemerals_for(payments.len()) == 1;
    let payees = || payments.iter().filter(|payment| payment.to != To::Own);
    if shared && payees().count() > 1 {
        return Err(MemoError::TwoPayees);
    }
    let lead = payments.iter().position(|payment| payment.to != To::Own).unwrap_or(0);
    for (index, payment) in payments.iter().enumerate() {
        let source = if shared { lead } else { index };
        let (Some(from), Some(anchor)) = (payments.get(source), anchors.get(source)) else {
            continue;
        };
        let ephemeral = Ephemeral::new(sender, context, &from.to, anchor);
        if !shared || index == 0 {
            made.ephemerals.push(ephemeral.public);
        }
        let anchor = anchors.get(index).copied().unwrap_or_default();
        let (output, sent) = one(sender, context, payment, &ephemeral, index, anchor)?;
        made.outputs.push(output);
        made.sent.push(sent);
    }
    Ok(made)
}

fn fresh_anchor(rng: &mut impl CryptoRng) -> [u8; 16] {
    let mut anchor = [0; 16];
    rng.fill_bytes(&mut anchor);
    anchor
}

/// `e` and `R`.
struct Ephemeral {
    secret: Secret,
    public: Point,
}

impl Ephemeral {
    fn new(sender: &ReceiveKey, context: &InputContext, to: &To, anchor: &[u8; 16]) -> Self {
        match to {
            To::Address(address) => Self::towards(address, context, anchor),
            To::Own => {
                let secret = derive::own_ephemeral(&sender.view.0, context, anchor);
                let public = Point::fresh(generators().times_g(&secret));
                Self { secret: Secret(secret), public }
            }
        }
    }

    /// `e` follows from the anchor and the address, so the receiver can make it again.
    fn towards(address: &Address, context: &InputContext, anchor: &[u8; 16]) -> Self {
        let secret = derive::ephemeral(anchor, context, &address.spend, &address.view);
        let public = match address.kind {
            Kind::Main => generators().times_g(&secret),
            Kind::Sub => address.spend.inner() * secret,
        };
        Self { secret: Secret(secret), public: Point::fresh(public) }
    }
}

fn one(
    sender: &ReceiveKey,
    context: &InputContext,
    payment: &Payment,
    ephemeral: &Ephemeral,
    index: usize,
    anchor: [u8; 16],
) -> Result<(Output, SentNote), MemoError> {
    let (shared, spend, address) = match &payment.to {
        To::Own => (sender.shared_with_self(&ephemeral.public), sender.spend_public, None),
        To::Address(address) => {
            let half = address.view.inner() * ephemeral.secret.0;
            (Shared::of(&half), address.spend, Some(*address))
        }
    };
    let secret = NoteSecret::new(&shared, &ephemeral.public, context, index);
    let opening = secret.opening(payment.amount, &spend);
    let output = secret.output(&spend, &opening, &anchor, &payment.memo)?;
    Ok((output, SentNote { address, opening, anchor }))
}

/// Makes the note for an address again, from the anchor; the memo, which does not depend on it, is
/// left empty.
pub(crate) fn make_again(
    context: &InputContext,
    address: &Address,
    amount: Amount,
    anchor: &[u8; 16],
    index: usize,
) -> Option<(Point, Output)> {
    let ephemeral = Ephemeral::towards(address, context, anchor);
    let shared = Shared::of(&(address.view.inner() * ephemeral.secret.0));
    let secret = NoteSecret::new(&shared, &ephemeral.public, context, index);
    let opening = secret.opening(amount, &address.spend);
    let output = secret.output(&address.spend, &opening, anchor, &Memo::default()).ok()?;
    Some((ephemeral.public, output))
}

impl NoteSecret {
    /// Puts the note together, in the order in which each part depends on the ones before.
    // spec: LEDGER-3.3
    fn output(
        &self,
        spend: &Point,
        opening: &Opening,
        anchor: &[u8; 16],
        memo: &Memo,
    ) -> Result<Output, MemoError> {
        let commitment = opening.commit();
        let (a, b) = self.offsets(commitment.bytes());
        let one_time = Point::fresh(spend.inner() + generators().key(&a, &b));
        let key = one_time.bytes();
        let mut output = Output {
            one_time,
            commitment,
            view_tag: self.view_tag(key),
            amount: xor(opening.amount.0.to_le_bytes(), self.amount_pad(key)),
            anchor: xor(*anchor, self.anchor_pad(key)),
            memo: Vec::new(),
        };
        output.memo = memo::seal(&self.memo_key(key), memo, &memo_bound(&output))?;
        Ok(output)
    }
}

fn xor<const N: usize>(left: [u8; N], right: [u8; N]) -> [u8; N] {
    let mut out = left;
    out.iter_mut().zip(right).for_each(|(to, from)| *to ^= from);
    out
}

/// What a scan compares notes with: our keys and the table of our subaddresses.
pub struct Watch<'a> {
    /// The tier that sees what arrives.
    pub key: &'a ReceiveKey,
    /// The subaddresses that were given away.
    pub addresses: &'a Subaddresses,
}

/// What a scan sees of a note; all of [`Output`] but the memo. Points stay bytes: a scan decodes
/// only those of notes that are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactOutput {
    /// `O`.
    pub one_time: [u8; 32],
    /// `C`.
    pub commitment: [u8; 32],
    /// See [`Output::view_tag`].
    pub view_tag: [u8; 3],
    /// The amount under a pad.
    pub amount: [u8; 8],
    /// The anchor under a pad.
    pub anchor: [u8; 16],
}

record!(CompactOutput { one_time, commitment, view_tag, amount, anchor });

impl From<&Output> for CompactOutput {
    fn from(output: &Output) -> Self {
        Self {
            one_time: *output.one_time.bytes(),
            commitment: *output.commitment.bytes(),
            view_tag: output.view_tag,
            amount: output.amount,
            anchor: output.anchor,
        }
    }
}

impl Watch<'_> {
    /// Recognises a note that is ours, or none. `shared` is what the ephemeral key gives with our
    /// view key; the scan makes it once for all outputs of a transaction.
    // spec: LEDGER-3.5, LEDGER-3.6
    #[must_use]
    pub fn recognise(
        &self,
        shared: &Shared,
        ephemeral: &Point,
        context: &InputContext,
        index: usize,
        output: &CompactOutput,
    ) -> Option<OwnedNote> {
        let foreign = NoteSecret::new(shared, ephemeral, context, index);
        if foreign.view_tag(&output.one_time) == output.view_tag {
            let anchor = xor(output.anchor, foreign.anchor_pad(&output.one_time));
            let note = self.open(&foreign, output, false);
            let ours = note.filter(|note| self.is_anchored(note, ephemeral, context, &anchor));
            // A view tag may match by chance, once in 16 million: the note may still be our own.
            if ours.is_some() {
                return ours;
            }
        }
        let own = self.key.shared_with_self(ephemeral);
        let own = NoteSecret::new(&own, ephemeral, context, index);
        let ours = own.view_tag(&output.one_time) == output.view_tag;
        if ours { self.open(&own, output, true) } else { None }
    }

    /// Everything about the note must be as an honest sender would have made it: whoever skips one
    /// comparison accepts a note that cannot be spent.
    fn open(&self, secret: &NoteSecret, output: &CompactOutput, own: bool) -> Option<OwnedNote> {
        let amount = xor(output.amount, secret.amount_pad(&output.one_time));
        let (a, b) = secret.offsets(&output.commitment);
        let one_time = Point::from_bytes(output.one_time).ok()?;
        let spend: RistrettoPoint = one_time.inner() - generators().key(&a, &b);
        let address = self.addresses.find(&spend)?;
        let spend = Point::new(spend)?;
        let opening = secret.opening(Amount(u64::from_le_bytes(amount)), &spend);
        if *opening.commit().bytes() != output.commitment {
            return None;
        }
        Some(OwnedNote {
            one_time,
            opening,
            address,
            own,
            offset_tag: Secret(a),
            offset_spend: Secret(b),
            memo_key: Secret32(secret.memo_key(&output.one_time)),
        })
    }

    /// The ephemeral key was made for this very address: a sender who mixes the halves of two
    /// addresses, to see whether both pay the same person, is not answered.
    fn is_anchored(
        &self,
        note: &OwnedNote,
        ephemeral: &Point,
        context: &InputContext,
        anchor: &[u8; 16],
    ) -> bool {
        let network = crate::key::address::Network::Main;
        let address = self.key.address(network, note.address);
        Ephemeral::towards(&address, context, anchor).public == *ephemeral
    }
}

#[cfg(test)]
mod tests;
