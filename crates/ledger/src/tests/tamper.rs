//! One byte changed, anywhere: the transaction is another one, and its proofs are not its own.

use super::bonds;
use super::cells::{deposit, key, next_epoch, open, payout, register};
use super::channels;
use super::world::{PROOF, World};
use crate::build::Plan;
use crate::cell::channel::{ChannelPlan, TopUpPlan};
use crate::cell::deed::TransferPlan;
use crate::cell::till::{DepositPlan, OpenPlan};
use crate::note::To;
use crate::note::memo::Memo;
use crate::rules::Height;
use crate::tx::{TX_BYTES_MAX, Transaction};
use mutirao_wire::{Amount, Decode, DecodeError, Encode};

fn holds(world: &World, bytes: &[u8]) -> bool {
    Transaction::from_bytes(bytes).is_ok_and(|tx| world.judge(vec![tx]).is_ok())
}

fn every_byte_counts(world: &World, tx: &Transaction, step: usize) {
    let bytes = tx.to_bytes();
    assert!(holds(world, &bytes));
    let mut changed = bytes.clone();
    for at in (0..bytes.len()).step_by(step) {
        for flip in [1, 0x80] {
            changed[at] ^= flip;
            assert!(!holds(world, &changed), "byte {at} of {}", bytes.len());
            changed[at] ^= flip;
        }
    }
}

fn slow() -> bool {
    std::env::var_os("MUTIRAO_SLOW").is_some()
}

/// One transaction of each kind, each valid in the next block.
fn one_of_each() -> (World, Vec<Transaction>) {
    let mut world = World::new(2);
    let base = open(&mut world, 0, 1, &[]);
    let id = open(&mut world, 0, 2, &[(2_500, base)]);
    let tx = world.act(1, deposit(id, 5_000));
    world.mine(vec![tx]).unwrap();
    let (deed, owner, opening) = register(&mut world, 0, 5);
    let paid = channels::open(&mut world, (0, 1), 9_000, &[(500, id), (100, base)]);
    let back = channels::open(&mut world, (0, 1), 9_000, &[]);
    let tx = world.act(1, back.close(&world, back.draw(&world, 10)));
    world.mine(vec![tx]).unwrap();
    let bonded = bonds::open(&mut world, 0, 5_000, 1_500);
    let (challenge, _) = bonds::doubt(&mut world, 1, &bonded, 1);
    let (lost, kept) = bonds::doubt(&mut world, 1, &bonded, 2);
    world.wait(Height(world.height().0 + 5));
    bonds::act(&mut world, 0, bonds::slash(lost));
    next_epoch(&mut world);
    let mut pay = world.pay(1, 1_000);
    pay.memo = Memo::new(b"thanks").unwrap();
    let royalty = DepositPlan { till: id, amount: Amount(10), royalty: Some((0, 99)) };
    let royalty = world.wish(0, vec![world.pay(1, 1_001)], vec![Plan::Deposit(royalty)]);
    let transfer = TransferPlan { deed, opening, owner, to: To::Address(world.address(1)) };
    let wish = world.wish(0, vec![pay], vec![]);
    let plain = world.build(0, &wish).unwrap().transaction;
    let all = vec![
        plain,
        world.build(0, &royalty).unwrap().transaction,
        world.act(0, payout(id, 2, 5_000)),
        world.act(0, Plan::Transfer(transfer)),
        world.act(0, Plan::OpenTill(OpenPlan { key: key(3), shares: vec![] })),
    ];
    let opening = channels::plan(&world, 1, 9_000, &[(500, id)]);
    let more = TopUpPlan { channel: paid.id, kept: paid.kept[0], amount: Amount(5) };
    let doubt = bonded.challenge(bonds::signed(&bonds::signer(0), 3));
    let plans = [
        (1, paid.close(&world, paid.draw(&world, 4_321))),
        (0, back.refund()),
        (0, Plan::Channel(ChannelPlan::Open(opening))),
        (0, Plan::Channel(ChannelPlan::TopUp(more))),
        (0, bonds::plan(0, 5_000, 1_500)),
        (0, bonded.top_up(5, 1_200)),
        (0, bonded.leave()),
        (1, doubt),
        (0, bonded.answer(challenge, PROOF)),
        (1, bonds::slash(challenge)),
        (1, bonds::collect(lost, kept)),
    ];
    let acts = plans.map(|(of, plan)| world.act(of, plan));
    (world, all.into_iter().chain(acts).collect())
}

// spec: LEDGER-4.1, LEDGER-5.1
#[test]
fn some_flipped_bytes_of_each_kind_of_transaction_are_refused() {
    let (world, all) = one_of_each();
    for tx in &all {
        every_byte_counts(&world, tx, 37);
    }
}

// spec: LEDGER-4.1, LEDGER-5.1
#[test]
fn every_flipped_byte_of_each_kind_of_transaction_is_refused_slow_() {
    if slow() {
        let (world, all) = one_of_each();
        all.iter().for_each(|tx| every_byte_counts(&world, tx, 1));
    }
}

// spec: LEDGER-5.1
#[test]
fn exact_length_nothing_missing_and_nothing_after_the_end() {
    let (_, all) = one_of_each();
    for tx in &all {
        let bytes = tx.to_bytes();
        for length in 0..bytes.len() {
            assert!(Transaction::from_bytes(&bytes[..length]).is_err());
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Transaction::from_bytes(&longer), Err(DecodeError::Trailing { left: 1 }));
        assert_eq!(Transaction::from_bytes(&bytes).unwrap().to_bytes(), bytes);
    }
    let huge = vec![0; TX_BYTES_MAX + 1];
    assert!(matches!(Transaction::from_bytes(&huge), Err(DecodeError::TooLong { .. })));
}

// spec: LEDGER-4.7, LEDGER-5.7
#[test]
fn proofs_that_are_missing_or_swapped_are_no_proofs() {
    let (world, all) = one_of_each();
    let payout = &all[2];
    let mut bad: Vec<Transaction> = vec![];
    let mut with = |change: &dyn Fn(&mut Transaction)| {
        let mut tx = payout.clone();
        change(&mut tx);
        bad.push(tx);
    };
    with(&|tx| tx.proofs.range.clear());
    with(&|tx| tx.proofs.constraints.clear());
    with(&|tx| tx.proofs.constraints.truncate(1));
    with(&|tx| tx.proofs.constraints.reverse());
    with(&|tx| tx.proofs.constraints.push(tx.proofs.constraints[0].clone()));
    with(&|tx| tx.proofs.spends.clear());
    with(&|tx| tx.proofs.spends.push(tx.proofs.spends[0].clone()));
    with(&|tx| tx.proofs.excess = tx.proofs.spends[0].clone());
    with(&|tx| tx.proofs = all[0].proofs.clone());
    for (at, tx) in bad.into_iter().enumerate() {
        assert!(world.judge(vec![tx]).is_err(), "{at}");
    }
}
