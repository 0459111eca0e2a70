//! The 24 words on an empty machine.

use crate::world::{Chain, Person, payment};
use mutirao_ledger::build::Plan;
use mutirao_ledger::cell::deed::{RegisterPlan, TransferPlan};
use mutirao_ledger::cell::till::{DepositPlan, OpenPlan};
use mutirao_ledger::key::SubaddressIndex;
use mutirao_ledger::key::address::Network;
use mutirao_ledger::note::To;
use mutirao_ledger::service::Question;
use mutirao_wallet::book::LOOK_AHEAD;
use mutirao_wallet::history::Kind;
use mutirao_wallet::keys::Keys;
use mutirao_wallet::send::Order;
use mutirao_wallet::words::Words;
use mutirao_wire::{Amount, Digest};

fn step(person: &mut Person, order: &Order, chain: &mut Chain) {
    person.act(order, chain).unwrap();
    chain.mine();
    person.read(chain).unwrap();
}

/// Somebody with a past: payments in both directions, subaddresses, a till and two deeds of which
/// one was given away.
fn past() -> (Chain, Person, Person) {
    let (mut chain, mut ana, mut rui) = (Chain::new(1), Person::new(1), Person::new(2));
    let (_, sub) = ana.wallet.new_address(&mut ana.rng).unwrap();
    chain.mint(&[(ana.address(), 100_000), (sub, 50_000), (rui.address(), 9_000)]);
    ana.read(&mut chain).unwrap();
    rui.read(&mut chain).unwrap();
    step(&mut ana, &Order::pay(payment(rui.address(), 120_000, "bricks")), &mut chain);
    rui.read(&mut chain).unwrap();
    step(&mut rui, &Order::pay(payment(sub, 2_000, "change for the bricks")), &mut chain);
    ana.read(&mut chain).unwrap();

    let key = ana.wallet.spender().unwrap().till_key(0);
    step(&mut ana, &Order::plan(Plan::OpenTill(OpenPlan { key, shares: vec![] })), &mut chain);
    for name in [7, 8] {
        let register = RegisterPlan { name: Digest([name; 32]), to: To::Own };
        step(&mut ana, &Order::plan(Plan::Register(register)), &mut chain);
    }
    let deed = ana.wallet.book().deeds[0].clone();
    let owner = ana.wallet.book().at(deed.owner).unwrap().note.clone();
    let to = To::Address(rui.address());
    let transfer = TransferPlan { deed: deed.cell, opening: deed.opening, owner, to };
    step(&mut ana, &Order::plan(Plan::Transfer(transfer)), &mut chain);
    let till = ana.wallet.book().tills[0].cell;
    let deposit = DepositPlan { till, amount: Amount(700), royalty: None };
    rui.read(&mut chain).unwrap();
    step(&mut rui, &Order::plan(Plan::Deposit(deposit)), &mut chain);
    ana.read(&mut chain).unwrap();
    (chain, ana, rui)
}

// spec: WALLET-1.3, WALLET-4.4, WALLET-4.5
#[test]
fn a_wallet_restored_on_an_empty_machine_from_its_words_finds_everything() {
    let (mut chain, ana, rui) = past();
    for person in [ana, rui] {
        let words = Words::parse(&person.wallet.spender().unwrap().words().reveal()).unwrap();
        let mut again = Person::of(Keys::new(words), 0);
        assert_eq!(again.spendable(), 0);
        again.read(&mut chain).unwrap();
        let (old, new) = (person.wallet.book(), again.wallet.book());
        assert_eq!(again.wallet.balance(), person.wallet.balance());
        assert_eq!(new.held(), old.held());
        assert_eq!(new.entries(), old.entries());
        assert_eq!((&new.tills, &new.deeds), (&old.tills, &old.deeds));
        assert_eq!(new.issued, old.issued);
        // What the words do not know is to whom was paid; how much is there to the base unit.
        let mut known = person.wallet.history();
        let read = again.wallet.history();
        for line in known.iter_mut().filter(|line| line.kind == Kind::Sent) {
            (line.address, line.memo) = (None, String::new());
        }
        assert_eq!(read, known);
    }
}

#[test]
fn tills_and_deeds_are_where_they_belong() {
    let (chain, ana, rui) = past();
    let (ana, rui) = (ana.wallet.book(), rui.wallet.book());
    assert_eq!((ana.tills.len(), rui.tills.len()), (1, 0));
    let names = |book: &mutirao_wallet::book::Book| {
        book.deeds.iter().map(|deed| deed.opening.name.0[0]).collect::<Vec<_>>()
    };
    assert_eq!((names(ana), names(rui)), (vec![8], vec![7]));
    drop(chain);
}

// spec: WALLET-1.3
#[test]
fn a_restored_wallet_moves_what_it_found() {
    let (mut chain, ana, mut rui) = past();
    let words = ana.wallet.spender().unwrap().words().clone();
    let mut again = Person::of(Keys::new(words), 0);
    again.read(&mut chain).unwrap();
    let deed = again.wallet.book().deeds[0].clone();
    let owner = again.wallet.book().at(deed.owner).unwrap().note.clone();
    let to = To::Address(rui.address());
    let transfer = TransferPlan { deed: deed.cell, opening: deed.opening, owner, to };
    step(&mut again, &Order::plan(Plan::Transfer(transfer)), &mut chain);
    rui.read(&mut chain).unwrap();
    assert_eq!((again.wallet.book().deeds.len(), rui.wallet.book().deeds.len()), (0, 2));
}

/// A subaddress far beyond the first window was paid, and before it one that only the wider window
/// sees: whoever does not go back to the beginning misses the earlier one.
// spec: WALLET-4.4
#[test]
fn subaddresses_far_out_are_found_however_they_were_paid() {
    let keys = Keys::new(Words::from_entropy(&[1; 32]));
    let (mut chain, mut ana) = (Chain::new(1), Person::of(keys.clone(), LOOK_AHEAD + 300));
    let at = |number| keys.receive().address(Network::Test, SubaddressIndex(number));
    chain.mint(&[(at(790), 1_000)]);
    chain.idle(1);
    chain.mint(&[(at(400), 200), (at(1), 30), (ana.address(), 4)]);
    ana.read(&mut chain).unwrap();
    assert_eq!(ana.spendable(), 1_234);
    let mut again = Person::of(keys, 0);
    again.read(&mut chain).unwrap();
    assert_eq!(again.spendable(), 1_234);
    assert_eq!(again.wallet.book().issued, 790);
    assert_eq!(again.wallet.book().held().len(), ana.wallet.book().held().len());
}

#[test]
fn a_reading_asks_for_no_transaction_by_its_name() {
    let (mut chain, ana, _) = past();
    let words = ana.wallet.spender().unwrap().words().clone();
    chain.asked.clear();
    Person::of(Keys::new(words), 0).read(&mut chain).unwrap();
    let named = |question: &&Question| {
        matches!(question, Question::Transaction(_) | Question::Cells(_) | Question::Submit(_))
    };
    assert_eq!(chain.asked.iter().filter(named).count(), 0);
}
