//! What a receiver accepts, and every way of making a note that it must not.

use super::*;
use crate::key::address::Network;
use crate::key::{Seed, SpendKey};
use crate::testing::{Constant, Seeded};
use proptest::prelude::*;

fn keys(number: u64) -> SpendKey {
    Seed::new(&[9; 64]).account(number)
}

fn context(number: u64) -> InputContext {
    InputContext::of_mint(&[1; 32], number)
}

fn pay(to: To, amount: u64, words: &[u8]) -> Payment {
    Payment { to, amount: Amount(amount), memo: Memo::new(words).unwrap() }
}

fn address(owner: &SpendKey, index: u64) -> Address {
    owner.receive_key().address(Network::Main, SubaddressIndex(index))
}

fn find(
    owner: &SpendKey,
    made: &MadeNotes,
    context: &InputContext,
    index: usize,
) -> Option<OwnedNote> {
    let ephemeral = made.ephemerals.get(index).unwrap_or(&made.ephemerals[0]);
    recognise(owner, ephemeral, context, index, &made.outputs[index])
}

fn recognise(
    owner: &SpendKey,
    ephemeral: &Point,
    context: &InputContext,
    index: usize,
    output: &Output,
) -> Option<OwnedNote> {
    let key = owner.receive_key();
    let watch = Watch { key: &key, addresses: &key.subaddresses(5) };
    watch.recognise(&key.shared(ephemeral), ephemeral, context, index, &output.into())
}

fn opens(owner: &SpendKey, note: &OwnedNote) {
    let (x, y) = owner.one_time_secrets(note.address, note.offsets());
    assert_eq!(Point::new(generators().key(&x.0, &y.0)), Some(note.one_time));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // spec: LEDGER-3.3, LEDGER-3.5
    #[test]
    fn a_payee_finds_opens_and_can_spend_what_was_sent(
        amount: u64, index in 0u64..=5, words in prop::collection::vec(any::<u8>(), 0..80),
        seed: u64,
    ) {
        let (payer, payee) = (keys(0), keys(1));
        let payments = [
            pay(To::Own, 7, b"change"),
            pay(To::Address(address(&payee, index)), amount, &words),
        ];
        let sender = payer.receive_key();
        let made = make(&sender, &context(1), &payments, &mut Seeded::new(seed)).unwrap();
        let note = find(&payee, &made, &context(1), 1).expect("found");
        prop_assert_eq!(note.opening.amount, Amount(amount));
        prop_assert_eq!(note.address, SubaddressIndex(index));
        let memo = note.open_memo(&made.outputs[1]).unwrap();
        prop_assert_eq!(memo.words(), &words[..]);
        prop_assert_eq!(note.opening.commit(), made.outputs[1].commitment);
        prop_assert_eq!(&made.sent[1].opening, &note.opening);
        prop_assert!(!note.own);
        opens(&payee, &note);
        let change = find(&payer, &made, &context(1), 0).expect("found");
        prop_assert!(change.own);
        opens(&payer, &change);
        prop_assert_eq!(find(&payee, &made, &context(1), 0), None);
        prop_assert_eq!(find(&payer, &made, &context(1), 1), None);
        prop_assert_eq!(OwnedNote::from_bytes(&note.to_bytes()), Ok(note));
    }
}

// spec: LEDGER-3.2
#[test]
fn many_payees_have_a_key_each_and_all_find_theirs() {
    let payer = keys(0);
    let payments: Vec<_> = (1..=4)
        .map(|at| pay(To::Address(address(&keys(at), at - 1)), at, b""))
        .chain([pay(To::Own, 5, b"")])
        .collect();
    let made = make(&payer.receive_key(), &context(1), &payments, &mut Seeded::new(1)).unwrap();
    assert_eq!(made.ephemerals.len(), 5);
    for at in 0..4 {
        let note = find(&keys(at as u64 + 1), &made, &context(1), at).expect("found");
        assert_eq!(note.opening.amount, Amount(at as u64 + 1));
    }
    assert!(find(&payer, &made, &context(1), 4).is_some());
    let two = &payments[..2];
    let refused = make(&payer.receive_key(), &context(1), two, &mut Seeded::new(1));
    assert_eq!(refused.unwrap_err(), MemoError::TwoPayees);
}

// spec: LEDGER-3.5
#[test]
fn a_note_is_not_accepted_with_any_byte_changed() {
    let payee = keys(1);
    let payments = [pay(To::Address(address(&payee, 1)), 1000, b"")];
    let sender = keys(0).receive_key();
    let made = make(&sender, &context(1), &payments, &mut Seeded::new(2)).unwrap();
    let bytes = made.outputs[0].to_bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let Ok(output) = Output::from_bytes(&changed) else { continue };
        let found = recognise(&payee, &made.ephemerals[0], &context(1), 0, &output);
        assert_eq!(found, None, "byte {at}");
    }
}

// spec: LEDGER-3.1
#[test]
fn the_same_ephemeral_key_again_makes_no_note_of_the_same_key() {
    let payee = keys(1);
    let payments = [pay(To::Address(address(&payee, 0)), 1000, b"")];
    let sender = keys(0).receive_key();
    let once = make(&sender, &context(1), &payments, &mut Seeded::new(2)).unwrap();
    assert!(find(&payee, &once, &context(2), 0).is_none(), "replayed under another input");
    let key = payee.receive_key();
    let shared = key.shared(&once.ephemerals[0]);
    let secret = |context: u64, index| {
        let secret = NoteSecret::new(&shared, &once.ephemerals[0], &self::context(context), index);
        secret.offsets(once.outputs[0].commitment.bytes()).0
    };
    assert_ne!(secret(1, 0), secret(2, 0));
    assert_ne!(secret(1, 0), secret(1, 1));
}

/// A sender who does everything itself, and wrongly where a test says so.
struct Crafted {
    secret: NoteSecret,
    ephemeral: Point,
}

impl Crafted {
    fn new(e: Scalar, base: &RistrettoPoint, view: &Point) -> Self {
        let ephemeral = Point::fresh(base * e);
        let shared = Shared::of(&(view.inner() * e));
        Self { secret: NoteSecret::new(&shared, &ephemeral, &context(1), 0), ephemeral }
    }

    fn output(&self, spend: &Point, anchor: &[u8; 16]) -> Output {
        let opening = self.secret.opening(Amount(50), spend);
        self.secret.output(spend, &opening, anchor, &Memo::default()).unwrap()
    }
}

// spec: LEDGER-3.6
#[test]
fn janus_two_addresses_mixed_in_one_note_get_no_answer() {
    let payee = keys(1);
    let (first, second) = (address(&payee, 1), address(&payee, 2));
    let anchor = [7; 16];
    // The ephemeral key of one address, the spend key of the other.
    let e = derive::ephemeral(&anchor, &context(1), &second.spend, &first.view);
    let honest = derive::ephemeral(&anchor, &context(1), &first.spend, &first.view);
    for e in [e, honest, Scalar::from(3u8)] {
        let crafted = Crafted::new(e, first.spend.inner(), &first.view);
        let output = crafted.output(&second.spend, &anchor);
        let found = recognise(&payee, &crafted.ephemeral, &context(1), 0, &output);
        assert_eq!(found, None);
    }
    let crafted = Crafted::new(honest, first.spend.inner(), &first.view);
    let output = crafted.output(&first.spend, &anchor);
    assert!(recognise(&payee, &crafted.ephemeral, &context(1), 0, &output).is_some());
    let other = crafted.output(&first.spend, &[8; 16]);
    assert_eq!(recognise(&payee, &crafted.ephemeral, &context(1), 0, &other), None);
}

// spec: LEDGER-3.5
#[test]
fn burning_a_note_that_opens_but_cannot_be_spent_is_not_accepted() {
    let payee = keys(1);
    let to = address(&payee, 0);
    let anchor = [7; 16];
    let e = derive::ephemeral(&anchor, &context(1), &to.spend, &to.view);
    let crafted = Crafted::new(e, generators().g.inner(), &to.view);
    let good = crafted.output(&to.spend, &anchor);
    let seen = |output: &Output| recognise(&payee, &crafted.ephemeral, &context(1), 0, output);
    assert!(seen(&good).is_some());
    // Another key with the same tag half: whoever accepts both can spend only one.
    let mut twin = good.clone();
    twin.one_time = Point::fresh(good.one_time.inner() + generators().t.inner());
    twin.view_tag = crafted.secret.view_tag(twin.one_time.bytes());
    twin.amount = xor(50u64.to_le_bytes(), crafted.secret.amount_pad(twin.one_time.bytes()));
    twin.anchor = xor(anchor, crafted.secret.anchor_pad(twin.one_time.bytes()));
    assert_eq!(seen(&twin), None);
    // An amount that the commitment does not hold.
    let mut lie = good.clone();
    lie.amount = xor(51u64.to_le_bytes(), crafted.secret.amount_pad(lie.one_time.bytes()));
    assert_eq!(seen(&lie), None);
    // A blinding of the sender's own choice.
    let opening = Opening::new(Amount(50), Scalar::from(5u8));
    let chosen = crafted.secret.output(&to.spend, &opening, &anchor, &Memo::default()).unwrap();
    assert_eq!(seen(&chosen), None);
}

// spec: LEDGER-3.4
#[test]
fn a_payee_who_knows_the_payers_address_does_not_see_the_change() {
    let (payer, payee) = (keys(0), keys(1));
    let to = address(&payee, 0);
    let payments = [pay(To::Address(to), 5, b""), pay(To::Own, 7, b"")];
    let sender = payer.receive_key();
    let made = make(&sender, &context(1), &payments, &mut Seeded::new(3)).unwrap();
    // What the payee learns: the anchor, and from it the ephemeral scalar.
    let e = derive::ephemeral(&made.sent[0].anchor, &context(1), &to.spend, &to.view);
    assert_eq!(Point::new(generators().times_g(&e)), Some(made.ephemerals[0]));
    let shared = Shared::of(&(address(&payer, 0).view.inner() * e));
    let guess = NoteSecret::new(&shared, &made.ephemerals[0], &context(1), 1);
    assert_ne!(guess.view_tag(made.outputs[1].one_time.bytes()), made.outputs[1].view_tag);
}

// spec: LEDGER-3.3
#[test]
fn a_broken_generator_still_gives_each_transaction_notes_of_its_own() {
    let payments = [pay(To::Address(address(&keys(1), 0)), 5, b""), pay(To::Own, 5, b"")];
    let sender = keys(0).receive_key();
    let made = |number| make(&sender, &context(number), &payments, &mut Constant).unwrap();
    let (one, two) = (made(1), made(2));
    let blindings: Vec<_> = [&one, &two]
        .iter()
        .flat_map(|made| made.sent.iter())
        .map(|sent| &sent.opening.blinding)
        .collect();
    for (at, blinding) in blindings.iter().enumerate() {
        assert_ne!(*blinding.scalar(), Scalar::ZERO);
        assert!(blindings[..at].iter().all(|other| other != blinding));
    }
    assert_ne!(one.ephemerals, two.ephemerals);
}

#[test]
fn a_stranger_finds_nothing() {
    let payments = [pay(To::Address(address(&keys(1), 0)), 5, b""), pay(To::Own, 5, b"")];
    let made = make(&keys(0).receive_key(), &context(1), &payments, &mut Seeded::new(4)).unwrap();
    for index in 0..2 {
        assert_eq!(find(&keys(2), &made, &context(1), index), None);
    }
}
