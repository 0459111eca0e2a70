//! Tills and deeds, as people use them.

use super::world::{World, found};
use crate::block::BlockError;
use crate::build::{BuildError, Plan};
use crate::cell::deed::proof::DeedProof;
use crate::cell::deed::{Deed, DeedOpening, RegisterPlan, RetirePlan, TransferPlan};
use crate::cell::knowledge::KnowledgeError;
use crate::cell::till::plan::share_of;
use crate::cell::till::proof::{alone, public_key, read};
use crate::cell::till::{DepositPlan, OpenPlan, PayoutPlan, Share, Till, TillAction};
use crate::cell::{Action, Cell, CellError, CellId, Cells};
use crate::curve::hash_to_scalar;
use crate::examine::Conflict;
use crate::key::Secret;
use crate::note::{OwnedNote, To};
use crate::testing::Seeded;
use crate::tx::Transaction;
use mutirao_wire::{Amount, Decode, Digest, Encode};

pub fn key(at: u64) -> Secret {
    Secret::new(hash_to_scalar("test till", &[&at.to_le_bytes()]))
}

pub fn open(world: &mut World, of: usize, at: u64, shares: &[(u16, CellId)]) -> CellId {
    let share =
        |(basis_points, till): &(u16, CellId)| Share { basis_points: *basis_points, till: *till };
    let shares = shares.iter().map(share).collect();
    let tx = world.act(of, Plan::OpenTill(OpenPlan { key: key(at), shares }));
    let id = CellId::new(tx.id(), 0);
    world.mine(vec![tx]).unwrap();
    id
}

pub fn deposit(till: CellId, amount: u64) -> Plan {
    Plan::Deposit(DepositPlan { till, amount: Amount(amount), royalty: None })
}

pub fn payout(till: CellId, at: u64, total: u64) -> Plan {
    Plan::Payout(PayoutPlan { till, key: key(at), total: Amount(total) })
}

pub fn till(world: &World, id: CellId) -> Till {
    match world.state.cell(&id) {
        Some(Cell::Till(till)) => till.at(world.rules.epoch(world.height())),
        other => panic!("{other:?}"),
    }
}

pub fn next_epoch(world: &mut World) {
    let now = world.rules.epoch(world.height());
    while world.rules.epoch(world.height()) == now {
        world.mine(vec![]).unwrap();
    }
}

pub fn deeds(world: &World) -> Vec<(CellId, Deed)> {
    let deed = |(id, cell): (&CellId, &Cell)| match cell {
        Cell::Deed(deed) => Some((*id, *deed)),
        _ => None,
    };
    world.state.cells().filter_map(deed).collect()
}

/// The note that carries a deed to its owner, and what the memo says.
pub fn carried(world: &World, owner: usize, tx: &Transaction) -> (OwnedNote, DeedOpening) {
    let read = |(at, note): (usize, OwnedNote)| {
        let memo = note.open_memo(&tx.body.outputs[at]).ok()?;
        DeedOpening::from_memo(&memo).map(|opening| (note, opening))
    };
    found(&world.people[owner].keys, tx).into_iter().find_map(read).expect("carried")
}

pub fn register(world: &mut World, of: usize, name: u8) -> (CellId, OwnedNote, DeedOpening) {
    let plan = RegisterPlan { name: Digest([name; 32]), to: To::Own };
    let tx = world.act(of, Plan::Register(plan));
    let (note, opening) = carried(world, of, &tx);
    let id = CellId::new(tx.id(), 0);
    world.mine(vec![tx]).unwrap();
    (id, note, opening)
}

// spec: LEDGER-8.2, LEDGER-8.3, LEDGER-8.5, LEDGER-8.6, LEDGER-11.1
#[test]
fn royalties_collect_in_a_till_and_go_up_the_lineage() {
    let mut world = World::new(3);
    let base = open(&mut world, 1, 1, &[]);
    let fine_tuned = open(&mut world, 2, 2, &[(2500, base)]);
    let paid = world.act(0, deposit(fine_tuned, 1001));
    world.mine(vec![paid]).unwrap();
    let more = world.act(1, deposit(fine_tuned, 999));
    world.mine(vec![more.clone()]).unwrap();
    let Action::Till(TillAction::Deposit { deposit: seen, .. }) = &more.body.actions[0] else {
        panic!()
    };
    assert_eq!(read(&key(2), seen), Some(Amount(999)));
    assert_eq!(read(&key(1), seen), None, "somebody else's till");
    next_epoch(&mut world);
    assert!(till(&world, fine_tuned).settled.holds(&key(2), Amount(2000)));
    let before = world.balance(2);
    let tx = world.act(2, payout(fine_tuned, 2, 2000));
    let fee = tx.body.fee.0;
    world.mine(vec![tx]).unwrap();
    assert_eq!(world.balance(2), before + 1500 - fee);
    assert!(till(&world, fine_tuned).settled.holds(&key(2), Amount::ZERO));
    next_epoch(&mut world);
    assert!(till(&world, base).settled.holds(&key(1), Amount(500)));
    let before = world.balance(1);
    let tx = world.act(1, payout(base, 1, 500));
    let fee = tx.body.fee.0;
    world.mine(vec![tx]).unwrap();
    assert_eq!(world.balance(1), before + 500 - fee);
}

// spec: LEDGER-8.2
#[test]
fn many_deposits_in_one_block_do_not_disturb_one_another() {
    let mut world = World::new(3);
    let id = open(&mut world, 0, 1, &[]);
    next_epoch(&mut world);
    let all: Vec<_> = (0..3).map(|of| world.act(of, deposit(id, 10 + of as u64))).collect();
    world.mine(all).unwrap();
    assert!(till(&world, id).current.holds(&key(1), Amount(33)));
}

// spec: LEDGER-8.3
#[test]
fn a_deposit_does_not_spoil_a_payout_that_was_made_before_it() {
    let mut world = World::new(3);
    let id = open(&mut world, 0, 1, &[]);
    next_epoch(&mut world);
    let tx = world.act(1, deposit(id, 100));
    world.mine(vec![tx]).unwrap();
    let early = world.act(0, payout(id, 1, 100));
    assert_eq!(world.judge(vec![early]), Err(BlockError::FalseProof), "not settled yet");
    next_epoch(&mut world);
    let out = world.act(0, payout(id, 1, 100));
    let disturbing = world.act(1, deposit(id, 7));
    world.mine(vec![disturbing, out]).unwrap();
    next_epoch(&mut world);
    assert!(till(&world, id).settled.holds(&key(1), Amount(7)));
}

// spec: LEDGER-8.4
#[test]
fn a_royalty_is_the_share_to_the_base_unit_and_nothing_beside_it() {
    let mut world = World::new(2);
    let id = open(&mut world, 1, 1, &[]);
    for (gross, points) in [(10_000u64, 1u16), (9_999, 1), (33_333, 3_333), (5, 10_000), (7, 0)] {
        let share = share_of(Amount(gross), points).0;
        for (off, fits) in [(0i64, true), (1, false), (-1, false)] {
            let Some(paid) = share.checked_add_signed(off).filter(|paid| *paid <= gross) else {
                continue;
            };
            let royalty = Some((0, points));
            let plan = Plan::Deposit(DepositPlan { till: id, amount: Amount(paid), royalty });
            let wish = world.wish(0, vec![world.pay(1, gross - paid)], vec![plan]);
            let built = world.build(0, &wish);
            match fits {
                true => world.judge(vec![built.unwrap().transaction]).unwrap(),
                false => {
                    let error = BuildError::Knowledge(KnowledgeError::Unfulfilled);
                    assert_eq!(built.unwrap_err(), error, "{gross} {points} {off}");
                }
            }
        }
    }
}

// spec: LEDGER-8.6
#[test]
fn nonsense_beside_a_deposit_does_not_burn_the_creators_share() {
    let mut world = World::new(2);
    let id = open(&mut world, 0, 1, &[]);
    let plan = world.wish(1, vec![], vec![deposit(id, 12_345)]);
    // A payer who writes nonsense signs nonsense; the handle is proven all the same.
    let tx = world.build_with(1, &plan, |body| {
        if let Action::Till(TillAction::Deposit { deposit, .. }) = &mut body.actions[0] {
            deposit.amount = [0xee; 8];
        }
    });
    world.mine(vec![tx.clone()]).unwrap();
    let Action::Till(TillAction::Deposit { deposit, .. }) = &tx.body.actions[0] else { panic!() };
    assert_eq!(read(&key(1), deposit), None);
    let amount = alone(deposit).search(&key(1), 14);
    assert_eq!(amount, Some(Amount(12_345)));
    assert_eq!(alone(deposit).search(&key(1), 10), None);
    next_epoch(&mut world);
    let out = world.act(0, payout(id, 1, 12_345));
    world.mine(vec![out]).unwrap();
}

// spec: LEDGER-8.1
#[test]
fn shares_that_make_no_sense_are_refused() {
    let mut world = World::new(1);
    let id = open(&mut world, 0, 1, &[]);
    let other = open(&mut world, 0, 2, &[]);
    let nowhere = CellId(Digest([9; 32]));
    let share = |basis_points, till| Share { basis_points, till };
    let cases = [
        (vec![share(0, id)], CellError::Shares),
        (vec![share(5000, id), share(5001, other)], CellError::Shares),
        (vec![share(1, id), share(1, id)], CellError::Shares),
        (vec![share(1, nowhere)], CellError::Missing(nowhere)),
    ];
    for (shares, error) in cases {
        let plan = Plan::OpenTill(OpenPlan { key: key(3), shares });
        let wish = world.wish(0, vec![], vec![plan]);
        assert_eq!(world.build(0, &wish).unwrap_err(), BuildError::Cell(error));
    }
    let plan = Plan::OpenTill(OpenPlan { key: key(3), shares: vec![share(10_000, id)] });
    let tx = world.act(0, plan);
    world.judge(vec![tx]).unwrap();
    assert!(public_key(&key(3)).is_some());
}

// spec: LEDGER-5.5
#[test]
fn two_actions_on_one_cell_in_one_transaction_are_refused() {
    let mut world = World::new(1);
    let id = open(&mut world, 0, 1, &[]);
    let wish = world.wish(0, vec![], vec![deposit(id, 5), deposit(id, 6)]);
    let tx = world.build(0, &wish).unwrap().transaction;
    match world.judge(vec![tx]) {
        Err(BlockError::Conflict { error: Conflict::CellTwice(cell), .. }) => assert_eq!(cell, id),
        other => panic!("{other:?}"),
    }
}

// spec: LEDGER-5.4
#[test]
fn a_payout_pays_its_own_fee_without_any_note() {
    let mut world = World::new(2);
    let id = open(&mut world, 0, 1, &[]);
    let tx = world.act(1, deposit(id, 5_000));
    world.mine(vec![tx]).unwrap();
    next_epoch(&mut world);
    let mut wish = world.wish(0, vec![], vec![payout(id, 1, 5_000)]);
    wish.inputs.clear();
    let before = world.balance(0);
    let tx = world.build(0, &wish).unwrap().transaction;
    let fee = tx.body.fee.0;
    world.mine(vec![tx]).unwrap();
    assert_eq!(world.balance(0), before + 5_000 - fee);
}

// spec: LEDGER-7.1, LEDGER-9.1, LEDGER-9.2, LEDGER-9.3, LEDGER-9.4
#[test]
fn a_deed_is_registered_given_away_and_retired() {
    let mut world = World::new(2);
    let (id, note, opening) = register(&mut world, 0, 5);
    let born = deeds(&world)[0].1.born;
    assert_eq!(opening.name, Digest([5; 32]));
    let plan =
        TransferPlan { deed: id, opening, owner: note.clone(), to: To::Address(world.address(1)) };
    let tx = world.act(0, Plan::Transfer(plan));
    let (its_note, its_opening) = carried(&world, 1, &tx);
    world.mine(vec![tx]).unwrap();
    let (same, deed) = deeds(&world)[0];
    assert_eq!((same, deed.born, deed.owner), (id, born, its_note.one_time));
    assert_eq!(its_opening.commit(), deed.name);
    assert_eq!(its_opening.name, Digest([5; 32]));
    let late = Plan::Retire(RetirePlan { deed: id, owner: note });
    let wish = world.wish(0, vec![], vec![late]);
    let refused = world.build(0, &wish).unwrap_err();
    assert_eq!(refused, BuildError::Knowledge(KnowledgeError::Unknown(deed.owner.into())));
    let tx = world.act(1, Plan::Retire(RetirePlan { deed: id, owner: its_note }));
    world.mine(vec![tx]).unwrap();
    assert!(deeds(&world).is_empty());
}

// spec: LEDGER-9.5
#[test]
fn a_deed_is_shown_by_its_owner_to_whoever_asked() {
    let mut world = World::new(2);
    let (_, note, opening) = register(&mut world, 0, 5);
    let deed = deeds(&world)[0].1;
    let keys = &world.people[0].keys;
    let mut rng = Seeded::new(3);
    let shown = DeedProof::new(&deed, &opening, (keys, &note), &[1; 32], &mut rng);
    assert!(shown.verify(&deed, &[1; 32]));
    assert!(!shown.verify(&deed, &[2; 32]), "another question");
    let bytes = shown.to_bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let proof = DeedProof::from_bytes(&changed);
        assert!(!proof.is_ok_and(|proof| proof.verify(&deed, &[1; 32])), "byte {at}");
    }
    let thief = &world.people[1].keys;
    let stolen = DeedProof::new(&deed, &opening, (thief, &note), &[1; 32], &mut rng);
    assert!(!stolen.verify(&deed, &[1; 32]));
    let lie = DeedOpening { name: Digest([6; 32]), ..opening };
    let lie = DeedProof::new(&deed, &lie, (keys, &note), &[1; 32], &mut rng);
    assert!(!lie.verify(&deed, &[1; 32]));
}

#[test]
fn an_action_on_a_cell_of_another_kind_is_refused() {
    let mut world = World::new(1);
    let (deed, note, _) = register(&mut world, 0, 5);
    let id = open(&mut world, 0, 1, &[]);
    let wish = world.wish(0, vec![], vec![deposit(deed, 5)]);
    let refused = world.build(0, &wish).unwrap_err();
    assert_eq!(refused, BuildError::Cell(CellError::Kind(deed)));
    let plan = Plan::Retire(RetirePlan { deed: id, owner: note });
    let wish = world.wish(0, vec![], vec![plan]);
    let refused = world.build(0, &wish).unwrap_err();
    assert_eq!(refused, BuildError::Cell(CellError::Kind(id)));
}
