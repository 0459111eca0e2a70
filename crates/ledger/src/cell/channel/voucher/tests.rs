//! Vouchers between a payer and a payee.

use super::{Drawer, Drawn, Holder, Progress, Voucher, VoucherError, verify};
use crate::cell::CellId;
use crate::cell::channel::{Channel, Payer, Phase};
use crate::cell::keepsake::{Keepsake, Side};
use crate::commit::Opening;
use crate::curve::Point;
use crate::key::{Secret, Seed};
use crate::rules::{ChainId, Height};
use crate::testing::{Constant, Seeded};
use curve25519_dalek::scalar::Scalar;
use mutirao_wire::{Amount, Decode, Digest, Encode};

const CHAIN: ChainId = ChainId(Digest([7; 32]));
const ID: CellId = CellId(Digest([1; 32]));
const OTHER: CellId = CellId(Digest([2; 32]));

fn kept(amount: u64) -> Keepsake {
    Keepsake { side: Side::Payer, nonce: [3; 32], part: [4; 16], amount: Amount(amount) }
}

fn payer() -> Payer {
    Payer::new(&Seed::new(&[1; 64]).account(0), &kept(0))
}

fn drawer(id: CellId, deposit: u64) -> Drawer {
    Drawer::new(CHAIN, id, payer(), Amount(deposit), Progress::default())
}

fn channel(deposit: u64) -> (Channel, Opening) {
    let opening = payer().part(&kept(deposit));
    let key = payer().party().public();
    let channel = Channel {
        payer: key,
        payee: key,
        voucher_key: payer().voucher_public(),
        royalties: vec![],
        expiry: Height(9),
        phase: Phase::Open { parts: vec![opening.commit()] },
    };
    (channel, opening)
}

fn holder(deposit: u64) -> Holder {
    let (channel, opening) = channel(deposit);
    Holder::new(CHAIN, ID, &channel, channel.payee, &[opening]).unwrap()
}

fn draw(drawer: &mut Drawer, more: u64) -> Drawn {
    drawer.draw(Amount(more), Digest([5; 32]), &mut Seeded::new(more)).unwrap()
}

// spec: LEDGER-12.3, LEDGER-12.4
#[test]
fn each_voucher_says_more_and_only_the_newest_counts() {
    let (mut drawer, mut holder) = (drawer(ID, 1_000), holder(1_000));
    let first = draw(&mut drawer, 300);
    let second = draw(&mut drawer, 0);
    let third = draw(&mut drawer, 700);
    assert_eq!(holder.accept(first.clone()), Ok(Amount(300)));
    assert_eq!(holder.accept(third.clone()), Ok(Amount(700)));
    assert_eq!(holder.best(), Some(&third));
    for old in [first, second, third.clone()] {
        let given = old.voucher.claim.sequence;
        assert_eq!(holder.accept(old), Err(VoucherError::Sequence { last: 3, given }));
    }
    assert_eq!(holder.best(), Some(&third));
    assert_eq!(drawer.progress(), Progress { sequence: 3, paid: Amount(1_000) });
}

// spec: LEDGER-12.4
#[test]
fn refuses_a_voucher_above_the_deposit() {
    let mut drawer = drawer(ID, 1_000);
    let before = draw(&mut drawer, 999);
    let rng = &mut Seeded::new(1);
    let too_much = drawer.draw(Amount(2), Digest([5; 32]), rng);
    let (wanted, deposit) = (1_001, Amount(1_000));
    assert_eq!(too_much, Err(VoucherError::Deposit { wanted, deposit }));
    let most = drawer.draw(Amount(u64::MAX), Digest([5; 32]), rng);
    let wanted = 999 + u128::from(u64::MAX);
    assert_eq!(most, Err(VoucherError::Deposit { wanted, deposit }), "it does not wrap");
    assert_eq!(drawer.progress().sequence, 1, "nothing has changed");
    assert_eq!(drawer.left(), Amount(1));
    drawer.topped_up(Amount(5));
    assert_eq!(draw(&mut drawer, 6).opening.amount, Amount(1_005));
    let deposit = Amount(998);
    let refused = holder(998).accept(before);
    assert_eq!(refused, Err(VoucherError::Deposit { wanted: 999, deposit }));
    let last = Progress { sequence: u64::MAX, paid: Amount(0) };
    let mut worn = Drawer::new(CHAIN, ID, payer(), Amount(9), last);
    assert_eq!(worn.draw(Amount(1), Digest([5; 32]), rng), Err(VoucherError::Numbers));
}

// spec: LEDGER-12.4
#[test]
fn a_payee_takes_no_voucher_that_it_could_not_redeem() {
    let mut holder = holder(1_000);
    let good = draw(&mut drawer(ID, 1_000), 300);
    let elsewhere = draw(&mut drawer(OTHER, 1_000), 300);
    assert_eq!(holder.accept(elsewhere.clone()), Err(VoucherError::Channel));
    let mut moved = elsewhere;
    moved.voucher.channel = ID;
    assert_eq!(holder.accept(moved), Err(VoucherError::Signature));
    let other_chain = ChainId(Digest([8; 32]));
    let mut foreign = Drawer::new(other_chain, ID, payer(), Amount(9), Progress::default());
    assert_eq!(holder.accept(draw(&mut foreign, 9)), Err(VoucherError::Signature));
    let mut rich = good.clone();
    rich.opening.amount = Amount(301);
    assert_eq!(holder.accept(rich), Err(VoucherError::Opening));
    let mut nothing = good.clone();
    nothing.opening = Opening { amount: Amount(0), blinding: Secret::new(Scalar::ZERO) };
    assert_eq!(holder.accept(nothing), Err(VoucherError::Opening), "and no panic");
    assert_eq!(holder.accept(good.clone()), Ok(Amount(300)));
    // A payer without its storage begins anew: the numbers are old, so nothing is lost.
    let again = draw(&mut drawer(ID, 1_000), 1);
    assert!(matches!(holder.accept(again), Err(VoucherError::Sequence { .. })));
    let mut less =
        Drawer::new(CHAIN, ID, payer(), Amount(1_000), Progress { sequence: 7, paid: Amount(0) });
    let (last, given) = (Amount(300), Amount(299));
    let refused = holder.accept(draw(&mut less, 299));
    assert_eq!(refused, Err(VoucherError::Less { last, given }));
    let (mut closed, opening) = channel(1_000);
    let other = payer().voucher_public();
    let told = [opening];
    let refused = Holder::new(CHAIN, ID, &closed, other, &told).unwrap_err();
    assert_eq!(refused, VoucherError::Payee);
    let (rest, claim) = (closed.held(), good.voucher.claim);
    closed.phase = Phase::Closed { rest, claim };
    let refused = Holder::new(CHAIN, ID, &closed, closed.payee, &told).unwrap_err();
    assert_eq!(refused, VoucherError::Closed);
}

// spec: LEDGER-12.3
#[test]
fn every_flipped_byte_of_a_voucher_is_refused() {
    let good = draw(&mut drawer(ID, 1_000), 300);
    let bytes = good.voucher.to_bytes();
    let key = payer().voucher_public();
    assert!(verify(&CHAIN, &[(&good.voucher, key)]));
    for at in 0..bytes.len() {
        for flip in [1, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            let Ok(voucher) = Voucher::from_bytes(&changed) else { continue };
            assert!(!verify(&CHAIN, &[(&voucher, key)]), "byte {at}");
            let drawn = Drawn { voucher, opening: good.opening.clone() };
            assert!(holder(1_000).accept(drawn).is_err(), "byte {at}");
        }
    }
    assert_eq!(Drawn::from_bytes(&good.to_bytes()), Ok(good));
}

// spec: LEDGER-12.3, LEDGER-4.6
#[test]
fn a_batch_of_vouchers_holds_exactly_if_each_does() {
    let mut drawer = drawer(ID, 1_000);
    let good: Vec<Voucher> = (0..5).map(|_| draw(&mut drawer, 10).voucher).collect();
    let key = payer().voucher_public();
    let holds = |vouchers: &[Voucher]| {
        let pairs: Vec<(&Voucher, Point)> = vouchers.iter().map(|voucher| (voucher, key)).collect();
        let all = pairs.iter().all(|pair| verify(&CHAIN, &[*pair]));
        assert_eq!(verify(&CHAIN, &pairs), all);
        all
    };
    assert!(holds(&good) && holds(&[]));
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at].claim.usage = Digest([6; 32]);
        assert!(!holds(&bad), "voucher {at}");
    }
    let mut swapped = good.clone();
    let (left, right) = (good[0].signature.clone(), good[1].signature.clone());
    (swapped[0].signature, swapped[1].signature) = (right, left);
    assert!(!holds(&swapped));
}

// spec: LEDGER-12.3, LEDGER-12.4
#[test]
fn vouchers_that_differ_share_no_blinding_even_with_a_broken_generator() {
    let usage = |byte| Digest([byte; 32]);
    let one = |id, sequence, paid, more, usage| {
        let progress = Progress { sequence, paid: Amount(paid) };
        let mut drawer = Drawer::new(CHAIN, id, payer(), Amount(1_000), progress);
        drawer.draw(Amount(more), usage, &mut Constant).unwrap()
    };
    let all = [
        one(ID, 0, 0, 5, usage(1)),
        one(ID, 0, 0, 6, usage(1)),
        one(ID, 0, 0, 5, usage(2)),
        one(ID, 1, 0, 5, usage(1)),
        one(OTHER, 0, 0, 5, usage(1)),
    ];
    for (at, left) in all.iter().enumerate() {
        for right in &all[..at] {
            assert_ne!(left.opening.blinding, right.opening.blinding);
            assert_ne!(left.voucher.claim.sealed, right.voucher.claim.sealed);
            assert_ne!(left.voucher.signature, right.voucher.signature);
        }
    }
    assert_eq!(one(ID, 0, 0, 5, usage(1)), all[0], "the same voucher is the same voucher");
}

// spec: LEDGER-12.4
#[test]
fn the_payer_reads_its_own_vouchers_from_its_words_and_nobody_else_does() {
    let drawn = draw(&mut drawer(ID, 1_000), 300);
    let claim = drawn.voucher.claim;
    assert_eq!(payer().opening(&ID, &claim), Some(drawn.opening.clone()));
    assert_eq!(payer().opening(&OTHER, &claim), None);
    let other = Payer::new(&Seed::new(&[2; 64]).account(0), &kept(0));
    assert_eq!(other.opening(&ID, &claim), None);
    let mut again = drawer(OTHER, 1_000);
    assert!(!again.resume(&drawn.voucher), "of another channel");
    assert!(drawer(ID, 1_000).resume(&drawn.voucher));
    assert_eq!(Progress::from_bytes(&again.progress().to_bytes()), Ok(again.progress()));
}
