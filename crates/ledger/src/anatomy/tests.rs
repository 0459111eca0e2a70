//! A history of every kind of transaction is read to the last byte; what is planted is found; two
//! worlds of one shape cannot be told apart.

use super::*;
use crate::build::Plan;
use crate::cell::CellId;
use crate::cell::till::{DepositPlan, OpenPlan};
use crate::commit::Opening;
use crate::rules::{ChainId, Height};
use crate::sealed::{Sealed, Tip};
use crate::tests::world::World;
use crate::tx::Transaction;
use curve25519_dalek::scalar::Scalar;
use mutirao_wire::{Amount, Digest, Encode};
use std::collections::BTreeMap;

/// Every transaction of a world, each in a block of its own.
fn blocks(world: &World) -> Vec<Vec<u8>> {
    let mut tip = Tip::genesis(ChainId(Digest([7; 32])));
    let seal = |(_, tx): &(u64, Transaction)| {
        let block = Sealed::new(&tip, 1_000, Digest([3; 32]), vec![tx.clone()]);
        tip = block.header.tip();
        block.to_bytes()
    };
    world.past.iter().map(seal).collect()
}

fn survey(blocks: &[Vec<u8>]) -> Survey {
    let mut survey = Survey::default();
    blocks.iter().for_each(|block| survey.add(block).unwrap());
    survey
}

/// Transfers of people who have little or much, as chance has it.
fn traffic(sends: usize, seed: u8) -> World {
    let mut world = World::of(3, seed);
    let seed = u64::from(seed);
    for at in 0..sends {
        let (from, to) = (at % 3, (at * 7 + 1) % 3);
        let amount = 1 + (seed * 7919 + at as u64 * 104_729) % 900;
        let tx = world.send(from, to, amount);
        world.mine(vec![tx]).unwrap();
    }
    world
}

// spec: CHAIN-7.1
#[test]
fn every_byte_of_every_kind_of_block_has_a_name_and_a_class() {
    let mut world = World::new(3);
    let tx = world.send(0, 1, 100);
    world.mine(vec![tx]).unwrap();
    act_on_tills_and_deeds(&mut world);
    act_on_channels_and_bonds(&mut world);
    let all = blocks(&world);
    for block in &all {
        let parts = dissect(block).unwrap();
        let joined: Vec<u8> = parts.iter().flat_map(|part| part.bytes.to_vec()).collect();
        assert_eq!(&joined, block);
        assert!(parts.iter().all(|part| !part.bytes.is_empty()));
    }
    let survey = survey(&all);
    let bytes: u64 = survey.totals().map(|total| total.bytes).sum();
    assert_eq!(bytes, survey.bytes());
    assert_eq!(survey.bytes(), all.iter().map(|block| block.len() as u64).sum::<u64>());
    let fields: Vec<&str> = survey.totals().map(|total| total.field).collect();
    for field in ["amount of a deposit", "key of a till", "name of a deed", "new value"] {
        assert!(fields.contains(&field), "{field}");
    }
    for field in ["signature of a voucher", "owner of a bond", "answer to a challenge"] {
        assert!(fields.contains(&field), "{field}");
    }
    assert_eq!(survey.findings(), []);
}

fn act_on_tills_and_deeds(world: &mut World) {
    use crate::cell::deed::RegisterPlan;
    use crate::key::Secret;
    use crate::note::To;
    let key = Secret::new(Scalar::from(77u64));
    let open = world.act(0, Plan::OpenTill(OpenPlan { key, shares: vec![] }));
    let till = CellId::new(open.id(), 0);
    world.mine(vec![open]).unwrap();
    let deposit = DepositPlan { till, amount: Amount(40), royalty: None };
    let tx = world.act(1, Plan::Deposit(deposit));
    world.mine(vec![tx]).unwrap();
    let name = Digest([5; 32]);
    let tx = world.act(2, Plan::Register(RegisterPlan { name, to: To::Own }));
    world.mine(vec![tx]).unwrap();
}

/// Every action on a channel, a bond and a challenge.
fn act_on_channels_and_bonds(world: &mut World) {
    use crate::tests::world::PROOF;
    use crate::tests::{bonds, channels};
    let till = crate::tests::cells::open(world, 1, 5, &[]);
    let mut channel = channels::open(world, (0, 1), 9_000, &[(500, till)]);
    channel.top_up(world, 50);
    let plan = channel.close(world, channel.draw(world, 70));
    bonds::act(world, 1, plan);
    bonds::act(world, 0, channel.refund());
    let bonded = bonds::open(world, 0, 5_000, 1_500);
    bonds::act(world, 0, bonded.top_up(5, 1_500));
    bonds::act(world, 1, bonded.challenge(bonds::receipt(&bonds::signer(0))));
    let (answered, _) = bonds::doubt(world, 1, &bonded, 1);
    let (lost, kept) = bonds::doubt(world, 1, &bonded, 2);
    bonds::act(world, 0, bonded.answer(answered, PROOF));
    world.wait(Height(world.height().0 + 5));
    bonds::act(world, 2, bonds::slash(lost));
    bonds::act(world, 1, bonds::collect(lost, kept));
    bonds::act(world, 0, bonded.leave());
}

fn planted(change: impl FnOnce(&mut Vec<Transaction>)) -> Vec<Finding> {
    let world = traffic(4, 1);
    let mut all: Vec<Transaction> = world.past.iter().map(|(_, tx)| tx.clone()).collect();
    change(&mut all);
    let block = Sealed::new(&Tip::genesis(ChainId(Digest([7; 32]))), 1, Digest([0; 32]), all);
    survey(&[block.to_bytes()]).findings()
}

// spec: CHAIN-7.2
#[test]
fn nothing_is_found_where_nothing_was_planted() {
    assert_eq!(planted(|_| {}), []);
}

// spec: CHAIN-7.2
#[test]
fn finds_a_planted_amount_in_the_clear_in_whatever_spelling() {
    let amount = 1_234_567u64;
    for bytes in [amount.to_le_bytes(), amount.to_be_bytes()] {
        let found = planted(|all| all[2].body.outputs[1].amount = bytes);
        let (field, height) = ("amount of a note", Height(1));
        assert_eq!(found, [Finding::PlainAmount { field, height, amount }]);
    }
}

// spec: CHAIN-7.2
#[test]
fn finds_a_commitment_without_a_blinding() {
    let bare = Opening::new(Amount(77), Scalar::ZERO).commit();
    let found = planted(|all| all[1].body.outputs[0].commitment = bare);
    let (field, height) = ("commitment of a note", Height(1));
    assert_eq!(found, [Finding::PlainAmount { field, height, amount: 77 }]);
}

// spec: CHAIN-7.2
#[test]
fn finds_an_address_that_is_used_twice() {
    let found = planted(|all| {
        let key = all[1].body.outputs[0].one_time;
        all[3].body.outputs[1].one_time = key;
    });
    assert!(matches!(&found[..], [Finding::Reuse { field: "one-time key of a note", .. }]));
    let found = planted(|all| {
        let key = all[1].body.outputs[0].one_time;
        all[2].body.ephemerals[0] = key;
    });
    let wanted = ("one-time key of a note", "ephemeral key");
    assert!(
        matches!(&found[..], [Finding::Reuse { field, again, .. }] if (*field, *again) == wanted)
    );
}

// spec: CHAIN-7.2
#[test]
fn finds_a_pad_and_a_nonce_that_were_used_twice() {
    let found = planted(|all| all[2].body.outputs[0].anchor = all[1].body.outputs[1].anchor);
    assert!(matches!(&found[..], [Finding::Reuse { field: "anchor of a note", .. }]));
    let found = planted(|all| all[3].proofs.excess = all[2].proofs.excess.clone());
    assert!(found.iter().all(|it| matches!(it, Finding::Reuse { .. })) && found.len() == 2);
}

// spec: CHAIN-7.2
#[test]
fn finds_words_and_padding_that_nothing_hides() {
    for plain in [&b"for the bricks of tuesday, with thanks"[..], &[0; 40]] {
        let found = planted(|all| {
            let mut memo = vec![0xa5; 80];
            memo.iter_mut().zip(0u8..).for_each(|(to, at)| *to = at.wrapping_mul(37));
            memo[..plain.len()].copy_from_slice(plain);
            all[2].body.outputs[0].memo = memo;
        });
        assert!(matches!(&found[..], [Finding::PlainText { field: "memo of a note", .. }]));
    }
}

// spec: CHAIN-7.2
#[test]
fn finds_ciphertext_that_is_not_even() {
    let found = planted(|all| {
        let one = all[2].clone();
        for at in 0..700u64 {
            let mut tx = one.clone();
            tx.body.outputs.truncate(1);
            // Each differs, and all of them have a small byte in front.
            let mut anchor =
                *Digest::of("test", &[&at.to_le_bytes()]).0.first_chunk::<16>().unwrap();
            anchor[0] &= 3;
            tx.body.outputs[0].anchor = anchor;
            all.push(tx);
        }
    });
    assert!(found.contains(&Finding::Uneven { field: "anchor of a note" }));
}

/// Bytes of each field of a world, in order.
fn fields(blocks: &[Vec<u8>]) -> BTreeMap<&'static str, (Class, Vec<u8>)> {
    let mut fields: BTreeMap<&'static str, (Class, Vec<u8>)> = BTreeMap::new();
    for block in blocks {
        for part in dissect(block).unwrap() {
            let entry = fields.entry(part.field).or_insert((part.class, vec![]));
            entry.1.extend_from_slice(part.bytes);
        }
    }
    fields
}

/// Two samples, byte by byte: chi-square of the table with two rows, with its degrees of freedom.
#[expect(clippy::float_arithmetic, reason = "a test of statistics")]
fn chi_square(left: &[u8], right: &[u8]) -> (f64, usize) {
    let count = |all: &[u8], byte: u8| all.iter().filter(|it| **it == byte).count() as f64;
    let (n, m) = (left.len() as f64, right.len() as f64);
    let (mut sum, mut values) = (0.0, 0);
    for byte in 0..=255 {
        let (a, b) = (count(left, byte), count(right, byte));
        if a + b > 0.0 {
            sum += (a * (m / n).sqrt() - b * (n / m).sqrt()).powi(2) / (a + b);
            values += 1;
        }
    }
    (sum, values - 1)
}

/// Two worlds in which as many people send as often: one with other seeds, amounts and payees.
// spec: CHAIN-7.3
#[test]
fn two_worlds_of_one_shape_cannot_be_told_apart() {
    let sends = if std::env::var_os("MUTIRAO_SLOW").is_some() { 1_000 } else { 60 };
    let (one, two) = (traffic(sends, 11), traffic(sends, 97));
    let (one, two) = (fields(&blocks(&one)), fields(&blocks(&two)));
    assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>());
    // Names of earlier blocks and of which note is spent follow from what is random.
    let named = ["parent", "digest of the transactions", "which note is spent"];
    for (field, (class, left)) in &one {
        let right = &two[field].1;
        if *class == Class::Public && !named.contains(field) {
            assert_eq!(left, right, "{field}");
            continue;
        }
        let (sum, free) = chi_square(left, right);
        let free = free as f64;
        // Six standard deviations of a chi-square above its mean.
        assert!(sum < free + 6.0 * (2.0 * free).sqrt() + 6.0, "{field}: {sum} of {free}");
    }
}
