//! Honest transfers, and everything the state refuses.

use super::world::{World, found};
use crate::block::admit;
use crate::block::{self, Block, BlockError};
use crate::build::BuildError;
use crate::curve::Point;
use crate::examine::{Conflict, Malformed, Permit};
use crate::rules::{ChainId, FeeLevel, Height, Rules};
use crate::tx::Transaction;
use mutirao_wire::{Amount, Decode, Digest, Encode};

fn conflict(result: Result<(), BlockError>) -> Conflict {
    match result {
        Err(BlockError::Conflict { error, .. }) => error,
        other => panic!("{other:?}"),
    }
}

fn malformed(result: Result<(), BlockError>) -> Malformed {
    match result {
        Err(BlockError::Malformed { error, .. }) => error,
        other => panic!("{other:?}"),
    }
}

// spec: LEDGER-5.1, LEDGER-5.7, LEDGER-6.2
#[test]
fn value_moves_and_the_fee_is_gone() {
    let mut world = World::new(3);
    let before = world.state.summary.supply;
    let tx = world.send(0, 1, 123_456);
    let fee = tx.body.fee.0;
    world.mine(vec![tx]).unwrap();
    assert_eq!(world.balance(0), 1_000_000 - 123_456 - fee);
    assert_eq!(world.balance(1), 1_123_456);
    assert_eq!(world.state.summary.supply, Amount(before.0 - fee));
    let (a, b) = (world.send(1, 2, 1_100_000), world.send(2, 0, 5));
    world.mine(vec![a, b]).unwrap();
    assert!(world.balance(2) > 2_000_000);
}

// spec: LEDGER-5.1
#[test]
fn a_transfer_of_two_notes_to_two_is_about_1300_bytes() {
    let mut world = World::new(2);
    let tx = world.send(0, 1, 5);
    assert_eq!((tx.body.spends.len(), tx.body.outputs.len()), (2, 2));
    let bytes = tx.to_bytes();
    assert_eq!(bytes.len(), 1340);
    assert_eq!(Transaction::from_bytes(&bytes), Ok(tx));
}

// spec: LEDGER-5.5
#[test]
fn a_note_is_spent_once_in_one_block_and_over_blocks() {
    let mut world = World::new(3);
    let (one, two) = (world.send(0, 1, 10), world.send(0, 2, 10));
    let error = conflict(world.judge(vec![one.clone(), two.clone()]));
    assert!(matches!(error, Conflict::Spent(_)));
    assert!(matches!(conflict(world.judge(vec![one.clone(), one.clone()])), Conflict::Spent(_)));
    world.mine(vec![one.clone()]).unwrap();
    assert!(matches!(conflict(world.judge(vec![two])), Conflict::Spent(_)));
    assert!(matches!(conflict(world.judge(vec![one])), Conflict::Spent(_)));
}

// spec: LEDGER-5.5
#[test]
fn a_transaction_is_refused_after_its_last_height() {
    let mut world = World::new(2);
    let tx = world.send(0, 1, 10);
    let until = tx.body.valid_until.0;
    while world.height().0 < until {
        world.mine(vec![]).unwrap();
    }
    world.judge(vec![tx.clone()]).unwrap();
    world.mine(vec![]).unwrap();
    let error = conflict(world.judge(vec![tx]));
    assert_eq!(error, Conflict::Expired { until, height: until + 1 });
}

// spec: LEDGER-5.4
#[test]
fn a_replay_on_another_chain_is_refused_even_when_its_name_is_changed() {
    let mut world = World::new(2);
    let mut tx = world.send(0, 1, 10);
    let other = ChainId(Digest([8; 32]));
    world.rules = Rules { chain: other, ..world.rules };
    assert_eq!(malformed(world.judge(vec![tx.clone()])), Malformed::Chain);
    tx.body.chain = other;
    assert_eq!(world.judge(vec![tx]), Err(BlockError::FalseProof));
}

// spec: LEDGER-5.6
#[test]
fn a_fee_above_the_inputs_is_not_built_and_a_fee_off_the_schedule_not_taken() {
    let mut world = World::new(2);
    let wish = world.wish(0, vec![world.pay(1, 1_000_000)], vec![]);
    assert!(matches!(world.build(0, &wish), Err(BuildError::TooLittle { .. })));
    let mut tx = world.send(0, 1, 10);
    tx.body.fee = Amount(tx.body.fee.0 + 1);
    assert!(matches!(malformed(world.judge(vec![tx.clone()])), Malformed::Fee(_)));
    tx.body.fee = Amount(u64::MAX);
    assert!(matches!(malformed(world.judge(vec![tx.clone()])), Malformed::Fee(_)));
    tx.body.fee = world.rules.fee(crate::rules::Weight(4), FeeLevel::Soon).unwrap();
    assert_eq!(world.judge(vec![tx]), Err(BlockError::FalseProof), "another fee of the schedule");
}

// spec: LEDGER-5.8
#[test]
fn new_value_comes_only_when_the_protocol_says() {
    let mut world = World::new(2);
    let pay = world.pay(0, 500);
    let height = world.height();
    let mint = |at, world: &mut World| {
        crate::build::mint(&world.rules, at, std::slice::from_ref(&pay), &mut world.rng)
            .unwrap()
            .transaction
    };
    let tx = mint(height, &mut world);
    assert_eq!(conflict(world.judge(vec![tx.clone()])), Conflict::Issue);
    let permit = Permit { mint: Amount(501), ..Permit::default() };
    assert!(world.mine_with(vec![tx.clone()], permit).is_err());
    let permit = Permit { mint: Amount(500), ..Permit::default() };
    let twice = vec![tx.clone(), mint(height, &mut world)];
    assert!(world.mine_with(twice, permit).is_err());
    let late = mint(Height(height.0 + 1), &mut world);
    assert!(world.mine_with(vec![late], permit).is_err());
    let supply = world.state.summary.supply.0;
    world.mine_with(vec![tx], permit).unwrap();
    assert_eq!(world.state.summary.supply.0, supply + 500);
}

// spec: LEDGER-5.8
#[test]
fn the_supply_never_leaves_the_range_of_an_amount() {
    let mut world = World::new(1);
    let supply = world.state.summary.supply.0;
    let rest = u64::MAX - supply;
    let pay = world.pay(0, rest + 1);
    let built = crate::build::mint(&world.rules, world.height(), &[pay], &mut world.rng).unwrap();
    let permit = Permit { mint: Amount(rest + 1), ..Permit::default() };
    let error = world.mine_with(vec![built.transaction], permit).unwrap_err();
    assert!(matches!(error, BlockError::Supply { .. }));
    world.mint(0, rest);
    assert_eq!(world.state.summary.supply, Amount(u64::MAX));
}

// spec: LEDGER-5.5
#[test]
fn a_one_time_key_that_was_there_before_is_refused() {
    let mut world = World::new(2);
    let tx = world.send(0, 1, 10);
    let mut copy = tx.clone();
    copy.body.outputs[0] = copy.body.outputs[1].clone();
    assert_eq!(malformed(world.judge(vec![copy])), Malformed::Keys);
    let other = world.send(1, 0, 10);
    world.mine(vec![other.clone()]).unwrap();
    let mut tx = world.send(0, 1, 10);
    tx.body.outputs[0] = other.body.outputs[0].clone();
    let key = other.body.outputs[0].one_time;
    assert_eq!(conflict(world.judge(vec![tx])), Conflict::KeySeen(key.into()));
}

// spec: LEDGER-5.3, LEDGER-5.5
#[test]
fn a_note_that_is_not_there_cannot_be_spent() {
    let mut world = World::new(2);
    let mut wish = world.wish(0, vec![world.pay(1, 10)], vec![]);
    wish.inputs[0].index.0 = 1_000_000;
    let tx = world.build(0, &wish).unwrap().transaction;
    assert!(matches!(conflict(world.judge(vec![tx.clone()])), Conflict::NoNote(_)));
    let mut wish = world.wish(0, vec![world.pay(1, 10)], vec![]);
    wish.inputs[0].index = world.people[1].notes[0].index;
    let tx = world.build(0, &wish).unwrap().transaction;
    assert_eq!(world.judge(vec![tx]), Err(BlockError::FalseProof), "a stranger's note");
}

// spec: LEDGER-3.2
#[test]
fn many_payees_in_one_transaction_all_find_theirs() {
    let mut world = World::new(4);
    let payments = vec![world.pay(1, 10), world.pay(2, 20), world.pay(3, 30)];
    let wish = world.wish(0, payments, vec![]);
    let tx = world.build(0, &wish).unwrap().transaction;
    assert_eq!(tx.body.ephemerals.len(), 4);
    let before: Vec<u64> = (1..4).map(|at| world.balance(at)).collect();
    world.mine(vec![tx.clone()]).unwrap();
    for (at, before) in (1..4).zip(before) {
        assert_eq!(world.balance(at), before + 10 * at as u64);
    }
    let mut short = tx;
    short.body.ephemerals.truncate(1);
    assert!(matches!(malformed(world.judge(vec![short])), Malformed::Ephemerals { .. }));
}

// spec: LEDGER-5.2
#[test]
fn the_id_does_not_depend_on_proofs_and_the_other_id_does() {
    let mut world = World::new(2);
    let wish = world.wish(0, vec![world.pay(1, 10)], vec![]);
    let tx = world.build(0, &wish).unwrap().transaction;
    let mut other = tx.clone();
    other.proofs.range[50] ^= 1;
    assert_eq!(tx.id(), other.id());
    assert_ne!(tx.witness_id(), other.witness_id());
    let again = Transaction::from_bytes(&tx.to_bytes()).unwrap();
    assert_eq!((again.id(), again.witness_id()), (tx.id(), tx.witness_id()));
}

// spec: LEDGER-6.5
#[test]
fn a_block_is_as_good_as_its_worst_transaction() {
    let mut world = World::new(4);
    let good: Vec<_> = (0..4).map(|at| world.send(at, (at + 1) % 4, 10)).collect();
    world.judge(good.clone()).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at].proofs.excess = good[(at + 1) % 4].proofs.excess.clone();
        assert_eq!(world.judge(bad), Err(BlockError::FalseProof));
        let mut bad = good.clone();
        bad[at].proofs.range = good[(at + 1) % 4].proofs.range.clone();
        assert_eq!(world.judge(bad), Err(BlockError::FalseProof));
    }
    let height = Height(world.height().0 + 1);
    let skipped = Block { height, transactions: vec![] };
    let judged = block::accept(
        &skipped,
        &world.state,
        &world.state.summary,
        &world.rules,
        Permit::default(),
    );
    assert!(matches!(judged, Err(BlockError::Height { .. })));
    let block = Block { height, transactions: good };
    assert_eq!(Block::from_bytes(&block.to_bytes()), Ok(block));
}

// spec: LEDGER-6.1, LEDGER-6.3
#[test]
fn the_root_follows_from_the_members_and_changes_with_each() {
    let mut world = World::new(2);
    let mut roots = vec![world.state.summary.root()];
    for _ in 0..3 {
        let tx = world.send(0, 1, 10);
        world.mine(vec![tx]).unwrap();
        roots.push(world.state.summary.root());
        world.mine(vec![]).unwrap();
        roots.push(world.state.summary.root());
    }
    let count = roots.len();
    roots.sort_unstable();
    roots.dedup();
    assert_eq!(roots.len(), count);
    let state = &world.state;
    let has = |notes: &[_], tags: &[Point]| {
        state.summary.has_members(notes.iter(), tags.iter(), state.cells())
    };
    let mut tags: Vec<Point> = state.tags().copied().collect();
    assert!(has(state.notes(), &tags));
    assert!(!has(&state.notes()[1..], &tags));
    tags.reverse();
    assert!(has(state.notes(), &tags), "a set has no order");
    tags.pop();
    assert!(!has(state.notes(), &tags));
}

#[test]
fn a_mempool_admits_what_a_block_takes() {
    let mut world = World::new(2);
    let tx = world.send(0, 1, 10);
    let resolved = admit(&tx, &world.state, &world.rules, world.height()).unwrap();
    assert_eq!(resolved.effects.notes.len(), 2);
    let mut bad = tx.clone();
    bad.proofs.range[70] ^= 1;
    let refused = admit(&bad, &world.state, &world.rules, world.height());
    assert_eq!(refused.unwrap_err(), BlockError::FalseProof);
    assert_ne!(resolved.digest(&tx), resolved.digest(&bad));
}

#[test]
fn change_stands_at_either_place() {
    let mut world = World::new(2);
    let place = |world: &mut World| {
        let tx = world.send(0, 1, 10);
        found(&world.people[1].keys, &tx)[0].0
    };
    let places: Vec<_> = (0..20).map(|_| place(&mut world)).collect();
    assert!(places.contains(&0) && places.contains(&1));
}
