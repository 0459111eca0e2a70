//! A keeper as whoever asks it sees it.

use super::*;
use crate::testing::Town;
use mutirao_ledger::key::address::Network;
use mutirao_ledger::key::{Seed, SubaddressIndex};
use mutirao_ledger::note::NoteIndex;
use std::sync::atomic::{AtomicU64, Ordering};

const QUICK: Pace = Pace {
    gather: Duration::from_millis(20),
    patience: Duration::from_secs(60),
    queue: 64,
    batch: 16,
};

fn keep(town: Town, pace: Pace) -> (Keeper, crate::testing::Payer, tempfile::TempDir) {
    let (chain, payer, folder) = town.part();
    let ticks = AtomicU64::new(5_000);
    let clock: Clock = Arc::new(move || ticks.fetch_add(1_000, Ordering::Relaxed));
    (Keeper::start(chain, clock, pace).expect("started"), payer, folder)
}

fn head_of(keeper: &Keeper) -> Head {
    let Answer::Head(head) = keeper.ask(Question::Head) else { panic!("no head") };
    head
}

// spec: CHAIN-6.1, CHAIN-6.3
#[test]
fn what_is_accepted_stands_in_a_block_and_is_accepted_again() {
    let (keeper, mut payer, _folder) = keep(Town::new(2), QUICK);
    let before = head_of(&keeper);
    let tx = payer.transfer(0, Height(99));
    let id = tx.id();
    assert_eq!(keeper.ask(Question::Transaction(id)), Answer::Unknown);
    for _ in 0..2 {
        let submitted = keeper.ask(Question::Submit(Box::new(tx.clone())));
        assert_eq!(submitted, Answer::Accepted(id));
    }
    let after = head_of(&keeper);
    assert_eq!(after.height.0, before.height.0 + 1);
    assert_eq!(after.supply.0, before.supply.0 - tx.body.fee.0);
    let Answer::Transaction { place, transaction } = keeper.ask(Question::Transaction(id)) else {
        panic!("it is there");
    };
    let place = place.expect("it stands");
    assert_eq!((*transaction, place.height), (tx, after.height));
    let Answer::Block(block) = keeper.ask(Question::Block(after.height)) else { panic!("a block") };
    assert_eq!(block.header.root, after.root);
    assert_eq!(keeper.ask(Question::Block(Height(99))), Answer::Unknown);
}

// spec: CHAIN-6.2
#[test]
fn pieces_follow_without_a_gap_and_count_the_notes() {
    let (keeper, _payer, _folder) = keep(Town::new(40), QUICK);
    let ask = |after, most| match keeper.ask(Question::Compact { after: Height(after), most }) {
        Answer::Compact(pieces) => pieces,
        other => panic!("{other:?}"),
    };
    let all = ask(0, 99);
    let heights: Vec<u64> = all.iter().map(|piece| piece.height.0).collect();
    assert_eq!(heights, [1, 2, 3]);
    let mut first = 0;
    for tx in all.iter().flat_map(|piece| &piece.transactions) {
        assert_eq!(tx.first, NoteIndex(first));
        first += tx.outputs.len() as u64;
    }
    assert_eq!(first, 40);
    assert_eq!(ask(1, 1), all[1..2]);
    assert_eq!(ask(3, 9), []);
    assert_eq!(ask(u64::MAX, 9), []);
    assert_eq!(ask(0, 0), []);
}

// spec: CHAIN-1.3, CHAIN-6.1
#[test]
fn the_faucet_answers_once_its_value_is_there() {
    let (keeper, _payer, _folder) = keep(Town::new(0), QUICK);
    let address = |network| {
        Seed::new(&[8; 64]).account(0).receive_key().address(network, SubaddressIndex::MAIN)
    };
    let ask = |network, amount| {
        keeper.ask(Question::Faucet { address: address(network), amount: Amount(amount) })
    };
    let Answer::Accepted(id) = ask(Network::Test, 7_000) else { panic!("it was refused") };
    assert_eq!(head_of(&keeper).supply, Amount(7_000));
    assert!(matches!(keeper.ask(Question::Transaction(id)), Answer::Transaction { .. }));
    let Answer::Refused(refusal) = ask(Network::Main, 7_000) else { panic!("it was taken") };
    assert_eq!(refusal.kind, RefusalKind::Faucet);
}

// spec: CHAIN-6.3
#[test]
fn who_waits_longer_than_a_keeper_lets_hears_that_it_still_waits() {
    let pace = Pace { gather: Duration::from_secs(3), patience: Duration::ZERO, ..QUICK };
    let (keeper, mut payer, _folder) = keep(Town::new(1), pace);
    let tx = payer.transfer(0, Height(99));
    let id = tx.id();
    let answer = keeper.ask(Question::Submit(Box::new(tx.clone())));
    let waits = Answer::Transaction { place: None, transaction: Box::new(tx) };
    assert_eq!(answer, waits);
    assert_eq!(keeper.ask(Question::Transaction(id)), waits);
    assert_eq!(keeper.waiting().transactions, 1);
}

// spec: CHAIN-6.3
#[test]
fn many_who_submit_at_once_are_all_answered() {
    let (keeper, mut payer, _folder) = keep(Town::new(24), QUICK);
    let all: Vec<Transaction> = (0..24).map(|note| payer.transfer(note, Height(99))).collect();
    std::thread::scope(|scope| {
        let ask = |tx: &Transaction| keeper.ask(Question::Submit(Box::new(tx.clone())));
        let asking: Vec<_> = all.iter().map(|tx| scope.spawn(move || ask(tx))).collect();
        for (tx, asking) in all.iter().zip(asking) {
            assert_eq!(asking.join().expect("answered"), Answer::Accepted(tx.id()));
        }
    });
    assert_eq!(keeper.waiting(), Standing::default());
}
