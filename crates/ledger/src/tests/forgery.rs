//! Every check of the verifier once switched off: a forgery passes; with the check on it does not.
//!
//! A verifier that forgets one constraint looks exactly like a good one until somebody tries. Each
//! forger here does its best: all other proofs are honest, so nothing but the one check stops it.

mod bonds;
mod channels;

use super::cells::{deeds, deposit, key, next_epoch, open, payout, register, till};
use super::world::{World, permit};
use crate::build::{self, Input, Plan};
use crate::cell::deed::{DeedAction, DeedOpening, RegisterPlan, TransferPlan};
use crate::cell::till::{DepositPlan, OpenPlan, Share, TillAction};
use crate::cell::{Action, Cell, CellId, Cells};
use crate::curve::{Point, generators, hash_to_scalar};
use crate::examine::Permit;
use crate::note::To;
use crate::rules::{ChainId, Check, FeeLevel, Height, Rules};
use crate::tx::{Body, Issue, Transaction};
use curve25519_dalek::scalar::Scalar;
use mutirao_wire::{Amount, Digest};

/// A world, what somebody puts into its next block, and what the protocol allows there.
struct Forgery {
    world: World,
    block: Vec<Transaction>,
    permit: Permit,
}

fn forged(world: World, tx: Transaction) -> Forgery {
    Forgery { world, block: vec![tx], permit: permit() }
}

/// What the forger's own wallet checks is what the weak verifier checks.
fn weak(world: &mut World, check: Check) {
    world.rules.off = Some(check);
}

fn stops(check: Check, mut forgery: Forgery) {
    let weak = Rules { off: Some(check), ..forgery.world.rules };
    forgery.world.rules.off = None;
    let judge =
        |rules: &Rules| forgery.world.judge_by(rules, forgery.block.clone(), forgery.permit);
    assert_eq!(judge(&weak), Ok(()), "the forgery passes without {check:?}");
    let strict = judge(&forgery.world.rules);
    assert!(strict.is_err(), "and not with it");
}

macro_rules! forgeries {
    ($($check:ident: $name:ident = $forge:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let forge: fn(Check) -> Forgery = $forge;
                stops(Check::$check, forge(Check::$check));
            }
        )*

        /// Does not compile while a check has no forgery.
        #[allow(dead_code)]
        fn every_check_has_one(check: Check) {
            match check { $(Check::$check => {})* }
        }
    };
}

fn other_point(at: u64) -> Point {
    Point::new(generators().times_h(&hash_to_scalar("other", &[&at.to_le_bytes()]))).unwrap()
}

/// A payment by the first person, whose body is changed before it is proven.
fn changed(change: impl FnOnce(&mut Body)) -> (World, Transaction) {
    let mut world = World::new(2);
    let wish = world.wish(0, vec![world.pay(1, 1_000)], vec![]);
    let tx = world.build_with(0, &wish, change);
    (world, tx)
}

// spec: LEDGER-5.4, LEDGER-5.5, LEDGER-5.6, LEDGER-5.7, LEDGER-5.8, LEDGER-7.2
forgeries! {
    Chain: a_transaction_of_another_chain_is_replayed = |_| {
        let (world, tx) = changed(|body| body.chain = ChainId(Digest([8; 32])));
        forged(world, tx)
    };
    Inputs: notes_come_from_no_input_at_all = |_| {
        let mut world = World::new(1);
        world.rules.fee_unit = Amount::ZERO;
        let mut wish = world.wish(0, vec![], vec![]);
        wish.inputs.clear();
        let tx = world.build(0, &wish).unwrap().transaction;
        forged(world, tx)
    };
    TagsAscend: one_note_is_spent_twice_in_one_transaction = |check| {
        let mut world = World::new(2);
        weak(&mut world, check);
        let mut wish = world.wish(0, vec![world.pay(1, 1_100_000)], vec![]);
        wish.inputs[1] = wish.inputs[0].clone();
        let tx = world.build(0, &wish).unwrap().transaction;
        forged(world, tx)
    };
    KeysDiffer: two_notes_of_one_key_in_one_transaction = |_| {
        let (world, tx) = changed(|body| {
            body.outputs[1].one_time = body.outputs[0].one_time;
        });
        forged(world, tx)
    };
    Ephemerals: a_subaddress_shows_by_the_number_of_keys = |_| {
        let (world, tx) = changed(|body| body.ephemerals.push(body.ephemerals[0]));
        forged(world, tx)
    };
    Fee: a_fee_is_a_fingerprint = |_| {
        let mut world = World::new(2);
        let right = world.rules.fee_unit;
        world.rules.fee_unit = Amount(7);
        let tx = world.send(0, 1, 1_000);
        world.rules.fee_unit = right;
        forged(world, tx)
    };
    Mint: somebody_prints_money = |_| {
        let mut world = World::new(1);
        let (pay, height) = (world.pay(0, 1 << 40), world.height());
        let tx = build::mint(&world.rules, height, &[pay], &mut world.rng).unwrap().transaction;
        forged(world, tx)
    };
    Burn: somebody_destroys_what_the_protocol_does_not = |_| {
        let mut world = World::new(2);
        let mut wish = world.wish(0, vec![world.pay(1, 1_000)], vec![]);
        wish.level = FeeLevel::Soon;
        let tx = world.build_with(0, &wish, |body| {
            let amount = Amount(body.fee.0 / 2);
            (body.fee, body.issue) = (amount, Issue::Burn { amount });
        });
        forged(world, tx)
    };
    CellsDiffer: a_second_deposit_overwrites_the_first = |_| {
        let mut world = World::new(1);
        let id = open(&mut world, 0, 1, &[]);
        let wish = world.wish(0, vec![], vec![deposit(id, 5), deposit(id, 6)]);
        let tx = world.build(0, &wish).unwrap().transaction;
        forged(world, tx)
    };
    Expiry: a_transaction_comes_too_late = |_| {
        let (world, tx) = changed(|body| body.valid_until = Height(1));
        forged(world, tx)
    };
    TagUnseen: a_note_is_spent_again_in_another_block = |_| {
        let mut world = World::new(3);
        let (one, two) = (world.send(0, 1, 10), world.send(0, 2, 10));
        world.mine(vec![one]).unwrap();
        forged(world, two)
    };
    KeyUnseen: a_note_of_a_key_that_was_there_before = |_| {
        let mut world = World::new(2);
        let old = world.state.notes()[0].one_time;
        let wish = world.wish(0, vec![world.pay(1, 10)], vec![]);
        let tx = world.build_with(0, &wish, |body| body.outputs[0].one_time = old);
        forged(world, tx)
    };
    SpendProof: the_payer_takes_back_what_it_paid = |_| {
        let mut world = World::new(2);
        let victim = world.people[1].notes[0].clone();
        // The payer knows amount and blinding of what it paid, and no key.
        let mut wish = world.wish(0, vec![], vec![]);
        wish.inputs = vec![Input { index: victim.index, note: victim.note }];
        let tx = world.build(0, &wish).unwrap().transaction;
        forged(world, tx)
    };
    ProofCount: a_missing_proof_is_a_valid_proof = |_| {
        let mut world = World::new(2);
        let victim = world.people[1].notes[0].clone();
        let mut wish = world.wish(0, vec![], vec![]);
        wish.inputs = vec![Input { index: victim.index, note: victim.note }];
        let mut tx = world.build(0, &wish).unwrap().transaction;
        tx.proofs.spends.clear();
        forged(world, tx)
    };
    Excess: outputs_are_more_than_inputs = |_| {
        let mut world = World::new(2);
        let mut wish = world.wish(0, vec![world.pay(1, 5_000_000)], vec![]);
        wish.inputs[0].note.opening.amount = Amount(9_000_000);
        let tx = world.build(0, &wish).unwrap().transaction;
        forged(world, tx)
    };
    Range: one_output_is_negative_and_the_other_larger = |check| {
        let mut world = World::new(2);
        weak(&mut world, check);
        let wish = world.wish(0, vec![world.pay(1, 1_000)], vec![]);
        let tx = world.build_with(0, &wish, |body| {
            let move_by = generators().v.inner() * Scalar::from(1u64 << 50);
            let [one, two] = &mut body.outputs[..] else { panic!() };
            one.commitment = Point::new(one.commitment.inner() + move_by).unwrap();
            two.commitment = Point::new(two.commitment.inner() - move_by).unwrap();
        });
        forged(world, tx)
    };
    Constraint: a_proof_of_a_cell_is_not_looked_at = |_| garbage_handle();
    Handle: a_deposit_that_the_creator_cannot_spend = |_| garbage_handle();
    Supply: more_than_there_can_be = |_| {
        let mut world = World::new(1);
        let amount = u64::MAX;
        let (pay, height) = (world.pay(0, amount), world.height());
        let tx = build::mint(&world.rules, height, &[pay], &mut world.rng).unwrap().transaction;
        let permit = Permit { mint: Amount(amount), ..permit() };
        Forgery { permit, ..forged(world, tx) }
    };
    Share: a_creator_keeps_the_share_of_its_ancestors = |check| {
        let mut world = full_till(&[2_500]);
        weak(&mut world, check);
        cheat(world, |share| share.basis_points = 1, 1)
    };
    ShareCount: a_creator_forgets_its_ancestors = |check| {
        let mut world = full_till(&[2_500]);
        weak(&mut world, check);
        cheat(world, |_| {}, 0)
    };
    RoyaltyAbove: a_royalty_is_too_high_and_hides_a_payment = |check| royalty(check, 101);
    RoyaltyBelow: a_royalty_is_too_low = |check| royalty(check, 99);
    Restate: a_till_pays_out_what_it_never_had = |check| {
        let mut world = full_till(&[]);
        weak(&mut world, check);
        let id = tills(&world)[0];
        let tx = world.act(0, payout(id, 1, 1 << 40));
        forged(world, tx)
    };
    NameKnown: a_stranger_copies_a_name_that_it_cannot_open = |check| {
        let mut world = World::new(2);
        let (_, _, opening) = register(&mut world, 0, 5);
        weak(&mut world, check);
        let stolen = opening.commit();
        let plan = Plan::Register(RegisterPlan { name: Digest([6; 32]), to: To::Own });
        let wish = world.wish(1, vec![], vec![plan]);
        let tx = world.build_with(1, &wish, |body| {
            let Action::Deed(DeedAction::Register { name, .. }) = &mut body.actions[0] else {
                panic!()
            };
            *name = stolen;
        });
        forged(world, tx)
    };
    DeedOwner: a_deed_is_taken_by_somebody_who_knows_what_it_names = |check| {
        let mut world = World::new(2);
        let (deed, _, opening) = register(&mut world, 0, 5);
        weak(&mut world, check);
        let owner = world.people[1].notes[0].note.clone();
        let plan = Plan::Transfer(TransferPlan { deed, opening, owner, to: To::Own });
        let tx = world.act(1, plan);
        forged(world, tx)
    };
    SameName: a_deed_names_something_else_after_a_move = |check| {
        let mut world = World::new(1);
        let (deed, owner, opening) = register(&mut world, 0, 5);
        weak(&mut world, check);
        let opening = DeedOpening { name: Digest([6; 32]), ..opening };
        let plan = Plan::Transfer(TransferPlan { deed, opening, owner, to: To::Own });
        let tx = world.act(0, plan);
        assert_ne!(deeds(&world).len(), 0);
        forged(world, tx)
    };
    Holder: a_till_opens_under_a_key_that_nobody_has = |check| {
        let mut world = World::new(1);
        weak(&mut world, check);
        let plan = Plan::OpenTill(OpenPlan { key: key(1), shares: vec![] });
        let wish = world.wish(0, vec![], vec![plan]);
        let tx = world.build_with(0, &wish, |body| {
            let Action::Till(TillAction::Open { key, .. }) = &mut body.actions[0] else {
                panic!()
            };
            *key = other_point(1);
        });
        forged(world, tx)
    };
    ShareTill: a_share_goes_to_a_till_that_is_not_there = |check| {
        let mut world = World::new(1);
        weak(&mut world, check);
        let nowhere = Share { basis_points: 100, till: CellId(Digest([9; 32])) };
        let plan = Plan::OpenTill(OpenPlan { key: key(1), shares: vec![nowhere] });
        let tx = world.act(0, plan);
        forged(world, tx)
    };
    Royalties: a_till_gets_two_royalties_so_that_nobody_can_close = channels::twice_the_same_till;
    RoyaltyTill: a_royalty_goes_to_a_till_that_is_not_there = channels::no_till;
    ChannelOpen: a_payee_closes_twice = channels::second_close;
    TopUps: a_channel_grows_until_nobody_can_close_it = channels::ninth_part;
    Payer: a_payee_takes_back_what_belongs_to_the_payer = channels::stolen_refund;
    Payee: a_payer_closes_with_an_old_voucher_of_its_own = channels::own_close;
    VoucherSigned: a_payee_writes_itself_a_voucher = channels::own_voucher;
    Covered: a_voucher_above_the_deposit_makes_money = channels::uncovered;
    RoyaltyCount: a_payee_forgets_the_creators = channels::no_royalty;
    PaidAbove: a_royalty_of_a_close_is_too_high = |check| channels::other_royalty(check, 101);
    PaidBelow: a_royalty_of_a_close_is_too_low = |check| channels::other_royalty(check, 99);
    ChannelExpired: a_payer_takes_everything_back_while_the_payee_works = channels::early_refund;
    StakeMinimum: a_bond_is_worth_nothing = bonds::below_the_minimum;
    StakeFloor: a_bond_says_more_than_it_holds = bonds::below_its_floor;
    FloorStays: an_owner_lowers_the_floor_under_its_challengers = bonds::lower_floor;
    BondOwner: a_stranger_sends_a_provider_away = bonds::stranger_leaves;
    BondDelay: a_stake_is_gone_before_anybody_could_doubt = bonds::no_delay;
    BondFree: a_stake_is_gone_while_a_challenge_waits = bonds::gone_while_challenged;
    EvidenceSigned: somebody_makes_up_what_a_provider_signed = bonds::made_up;
    ChallengeNew: the_same_is_challenged_until_nothing_is_left = bonds::once_more;
    BondCovers: more_challenges_than_the_bond_can_pay = bonds::one_too_many;
    Judged: an_answer_proves_nothing = bonds::nonsense_answer;
    Deadline: a_challenge_is_lost_before_it_can_be_answered = bonds::early_slash;
    Challenger: a_stranger_takes_the_prize = bonds::stolen_prize;
}

fn garbage_handle() -> Forgery {
    let mut world = World::new(2);
    let id = open(&mut world, 0, 1, &[]);
    let wish = world.wish(1, vec![], vec![deposit(id, 5_000)]);
    let tx = world.build_with(1, &wish, |body| {
        let Action::Till(TillAction::Deposit { deposit, .. }) = &mut body.actions[0] else {
            panic!()
        };
        deposit.handle = other_point(2);
    });
    forged(world, tx)
}

/// The second till of a world has shares as given, all for the first, and 5 000 settled. A world
/// without shares has one till.
fn full_till(shares: &[u16]) -> World {
    let mut world = World::new(2);
    let mut id = open(&mut world, 0, 1, &[]);
    if !shares.is_empty() {
        let shares: Vec<_> = shares.iter().map(|points| (*points, id)).collect();
        id = open(&mut world, 0, 2, &shares);
    }
    let tx = world.act(1, deposit(id, 5_000));
    world.mine(vec![tx]).unwrap();
    next_epoch(&mut world);
    world
}

fn tills(world: &World) -> Vec<CellId> {
    world.state.cells().map(|(id, _)| *id).collect()
}

/// The state as a cheating wallet shows it to itself.
struct Pretended<'a>(&'a World, fn(&mut Share), usize);

impl Cells for Pretended<'_> {
    fn cell(&self, id: &CellId) -> Option<Cell> {
        let mut cell = self.0.state.cell(id)?;
        if let Cell::Till(till) = &mut cell {
            till.shares.iter_mut().for_each(self.1);
            till.shares.truncate(self.2);
        }
        Some(cell)
    }
}

/// A payout made by a wallet that pretends other shares.
fn cheat(mut world: World, change: fn(&mut Share), count: usize) -> Forgery {
    let id = tills(&world).into_iter().find(|id| !till(&world, *id).shares.is_empty()).unwrap();
    let wish = world.wish(0, vec![], vec![payout(id, 2, 5_000)]);
    let keys = world.people[0].keys.clone();
    let mut rng = crate::testing::Seeded::new(5);
    let pretended = Pretended(&world, change, count);
    let height = world.height();
    let built = build::build(&keys, &world.rules, &wish, &pretended, height, &mut rng);
    let tx = built.unwrap().transaction;
    world.rules.off = None;
    forged(world, tx)
}

/// One per cent of 10 000 is 100; this pays `amount`.
fn royalty(check: Check, amount: u64) -> Forgery {
    let mut world = World::new(2);
    let id = open(&mut world, 1, 1, &[]);
    weak(&mut world, check);
    let plan = DepositPlan { till: id, amount: Amount(amount), royalty: Some((0, 100)) };
    let wish = world.wish(0, vec![world.pay(1, 10_000 - amount)], vec![Plan::Deposit(plan)]);
    let tx = world.build(0, &wish).unwrap().transaction;
    forged(world, tx)
}

#[test]
fn amounts_at_the_edges_of_the_group_are_no_way_around_the_range_proof() {
    let two_to_64 = Scalar::from(u64::MAX) + Scalar::ONE;
    for by in [two_to_64, -Scalar::ONE, Scalar::from(5u8), two_to_64 * two_to_64] {
        let mut world = World::new(2);
        weak(&mut world, Check::Range);
        let wish = world.wish(0, vec![world.pay(1, 0)], vec![]);
        let tx = world.build_with(0, &wish, |body| {
            let move_by = generators().v.inner() * by;
            let [one, two] = &mut body.outputs[..] else { panic!() };
            one.commitment = Point::new(one.commitment.inner() + move_by).unwrap();
            two.commitment = Point::new(two.commitment.inner() - move_by).unwrap();
        });
        stops(Check::Range, forged(world, tx));
    }
}
