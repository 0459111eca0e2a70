//! Showing a third party that a payment was made.
//!
//! **Statement.** Output `n` of a transaction pays this amount to this address, and whoever answers
//! the question spent the transaction's first note. Only that output is opened: nothing follows
//! about change or other payees.
//!
//! The anchor gives the ephemeral scalar, and that and the address give the whole note; whoever
//! checks makes the note again and compares. The answer to the question proves `U = x·J`.

use crate::curve::Point;
use crate::key::BalanceKey;
use crate::key::address::{Address, AddressError, Network};
use crate::note::{self, OwnedNote};
use crate::sigma::{self, SigmaProof};
use crate::tx::Body;
use mutirao_wire::{Amount, Decode, DecodeError, Encode, Reader};
use rand_core::CryptoRng;
use thiserror::Error;

/// What a payer shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentProof {
    /// The number of the output.
    pub output: u8,
    /// To whom.
    pub address: Address,
    /// How much.
    pub amount: Amount,
    anchor: [u8; 16],
    payer: SigmaProof,
}

/// Why something is no payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PaymentError {
    /// No such output.
    #[error("the transaction has no such output")]
    Output,
    /// It spends no note, so nobody paid.
    #[error("the transaction spends no note: there is no payer")]
    NoPayer,
    /// The output is another.
    #[error("the output does not pay that to that address")]
    Other,
    /// The answer is wrong.
    #[error("whoever answered did not make this payment")]
    Payer,
}

impl Encode for PaymentProof {
    fn encode(&self, out: &mut Vec<u8>) {
        self.output.encode(out);
        u8::from(self.address.network == Network::Test).encode(out);
        out.extend_from_slice(&self.address.to_bytes());
        self.amount.encode(out);
        self.anchor.encode(out);
        self.payer.encode(out);
    }
}
impl Decode for PaymentProof {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let output = u8::decode(input)?;
        let network = match u8::decode(input)? {
            0 => Network::Main,
            1 => Network::Test,
            value => return Err(DecodeError::Unknown { what: "network", value: value.into() }),
        };
        let address = Address::from_bytes(network, input.take(70)?);
        let address = address.map_err(|error| match error {
            AddressError::Bytes(error) => error,
            _ => DecodeError::NotCanonical { what: "address" },
        })?;
        Ok(Self {
            output,
            address,
            amount: Amount::decode(input)?,
            anchor: input.array()?,
            payer: SigmaProof::decode(input)?,
        })
    }
}

impl PaymentProof {
    /// Shows a payment that we made, answering 32 bytes that whoever asks chose freshly. `spent` is
    /// the note behind the transaction's first tag.
    ///
    /// # Errors
    /// [`PaymentError`] when the transaction has no such payment.
    pub fn new(
        body: &Body,
        (output, sent): (u8, &note::SentNote),
        (keys, spent): (&BalanceKey, &OwnedNote),
        question: &[u8; 32],
        rng: &mut impl CryptoRng,
    ) -> Result<Self, PaymentError> {
        let address = sent.address.ok_or(PaymentError::Other)?;
        let tag = body.spends.first().ok_or(PaymentError::NoPayer)?.tag;
        if keys.tag(spent) != tag {
            return Err(PaymentError::Payer);
        }
        let (amount, anchor) = (sent.opening.amount, sent.anchor);
        let x = keys.tag_secret(spent.address, spent.offsets().0);
        let payer = sigma::payer(&tag).prove(&message(body, output, question), &[x.scalar()], rng);
        Ok(Self { output, address, amount, anchor, payer })
    }

    /// Whether the transaction pays that, and whoever answered paid it.
    ///
    /// # Errors
    /// [`PaymentError`].
    // spec: LEDGER-10.4
    pub fn verify(&self, body: &Body, question: &[u8; 32]) -> Result<(), PaymentError> {
        let index = usize::from(self.output);
        let seen = body.outputs.get(index).ok_or(PaymentError::Output)?;
        let tag: Point = body.spends.first().ok_or(PaymentError::NoPayer)?.tag;
        let at = if body.ephemerals.len() == 1 { 0 } else { index };
        let ephemeral = body.ephemerals.get(at).ok_or(PaymentError::Output)?;
        let made =
            note::make_again(&body.context(), &self.address, self.amount, &self.anchor, index);
        let mut made = made.filter(|made| made.0 == *ephemeral).ok_or(PaymentError::Other)?.1;
        made.memo.clone_from(&seen.memo);
        if made != *seen {
            return Err(PaymentError::Other);
        }
        let message = message(body, self.output, question);
        let paid = sigma::payer(&tag).verify(&message, &self.payer);
        paid.then_some(()).ok_or(PaymentError::Payer)
    }
}

/// What the payer signs: this payment, this question.
fn message(body: &Body, output: u8, question: &[u8; 32]) -> [u8; 32] {
    let parts: [&[u8]; 3] = [&body.id().0.0, &[output], question];
    crate::curve::expand("mutirao v1 ledger payment", &parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Seeded;
    use crate::tests::world::World;

    fn paid(payees: usize) -> (World, crate::build::Built, usize) {
        let mut world = World::new(4);
        let payments: Vec<_> = (1..=payees).map(|to| world.pay(to, 100 * to as u64)).collect();
        let wish = world.wish(0, payments, vec![]);
        let built = world.build(0, &wish).unwrap();
        let to = world.address(1);
        let at = built.sent.iter().position(|sent| sent.address == Some(to)).unwrap();
        (world, built, at)
    }

    fn show(world: &World, built: &crate::build::Built, at: usize) -> PaymentProof {
        let body = &built.transaction.body;
        let keys = world.people[0].keys.balance_key();
        let first = body.spends[0].tag;
        let spent = world.people[0].notes.iter().find(|it| keys.tag(&it.note) == first).unwrap();
        let what = (u8::try_from(at).unwrap(), &built.sent[at]);
        let mut rng = Seeded::new(1);
        PaymentProof::new(body, what, (&keys, &spent.note), &[1; 32], &mut rng).unwrap()
    }

    // spec: LEDGER-10.4
    #[test]
    fn a_payment_is_shown_to_a_third_party() {
        for payees in [1, 3] {
            let (world, built, at) = paid(payees);
            let proof = show(&world, &built, at);
            let body = &built.transaction.body;
            assert_eq!(proof.verify(body, &[1; 32]), Ok(()));
            assert_eq!(proof.verify(body, &[2; 32]), Err(PaymentError::Payer));
            assert_eq!(PaymentProof::from_bytes(&proof.to_bytes()), Ok(proof));
        }
    }

    // spec: LEDGER-10.4
    #[test]
    fn every_changed_byte_of_a_payment_proof_shows_nothing() {
        let (world, built, at) = paid(1);
        let bytes = show(&world, &built, at).to_bytes();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let Ok(proof) = PaymentProof::from_bytes(&changed) else { continue };
            assert!(proof.verify(&built.transaction.body, &[1; 32]).is_err(), "byte {at}");
        }
    }

    // spec: LEDGER-10.4
    #[test]
    fn nobody_else_shows_it_and_change_is_no_payment() {
        let (world, built, at) = paid(1);
        let body = &built.transaction.body;
        let payee = world.people[1].keys.balance_key();
        let spent = &world.people[0].notes[0].note;
        let what = (u8::try_from(at).unwrap(), &built.sent[at]);
        let mut rng = Seeded::new(1);
        let shown = PaymentProof::new(body, what, (&payee, spent), &[1; 32], &mut rng);
        assert_eq!(shown, Err(PaymentError::Payer));
        let change = (u8::try_from(1 - at).unwrap(), &built.sent[1 - at]);
        let keys = world.people[0].keys.balance_key();
        let shown = PaymentProof::new(body, change, (&keys, spent), &[1; 32], &mut rng);
        assert_eq!(shown, Err(PaymentError::Other));
        let mut proof = show(&world, &built, at);
        proof.output = 9;
        assert_eq!(proof.verify(body, &[1; 32]), Err(PaymentError::Output));
    }
}
