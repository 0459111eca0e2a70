//! Forgeries with bonds and challenges.

use super::super::bonds::{Bonded, act, collect, doubt, open, plan, signed, signer, slash};
use super::super::world::{PROOF, World};
use super::{Forgery, forged, stops, weak};
use crate::build::Plan;
use crate::cell::CellId;
use crate::cell::keepsake::Keepsake;
use crate::rules::{Check, Height};

/// A world in which the first person has a bond.
fn bonded(floor: u64) -> (World, Bonded) {
    let mut world = World::new(2);
    let bonded = open(&mut world, 0, 5_000, floor);
    (world, bonded)
}

/// That, and the second person doubts.
fn doubted() -> (World, Bonded, CellId, Keepsake) {
    let (mut world, bonded) = bonded(1_500);
    let (challenge, kept) = doubt(&mut world, 1, &bonded, 1);
    (world, bonded, challenge, kept)
}

fn forge(check: Check, mut world: World, of: usize, plan: Plan) -> Forgery {
    weak(&mut world, check);
    let tx = world.act(of, plan);
    forged(world, tx)
}

pub fn below_the_minimum(check: Check) -> Forgery {
    forge(check, World::new(1), 0, plan(0, 5, 5))
}

pub fn below_its_floor(check: Check) -> Forgery {
    forge(check, World::new(1), 0, plan(0, 5, 2_000))
}

pub fn lower_floor(check: Check) -> Forgery {
    let (world, bonded) = bonded(1_500);
    forge(check, world, 0, bonded.top_up(1, 0))
}

/// What somebody without the keys of a bond has in place of its keepsake.
fn strange(bonded: &Bonded) -> Bonded {
    let kept = vec![Keepsake { nonce: [9; 32], ..bonded.kept[0] }];
    Bonded { kept, ..bonded.clone() }
}

pub fn stranger_leaves(check: Check) -> Forgery {
    let (world, bonded) = bonded(1_500);
    forge(check, world, 1, strange(&bonded).leave())
}

pub fn no_delay(check: Check) -> Forgery {
    let (world, bonded) = bonded(1_500);
    forge(check, world, 0, bonded.withdraw())
}

pub fn gone_while_challenged(check: Check) -> Forgery {
    let (mut world, bonded, _, _) = doubted();
    act(&mut world, 0, bonded.leave());
    world.wait(Height(world.height().0 + 10));
    forge(check, world, 0, bonded.withdraw())
}

pub fn made_up(check: Check) -> Forgery {
    let (world, bonded) = bonded(1_500);
    forge(check, world, 1, bonded.challenge(signed(&signer(1), 1)))
}

pub fn once_more(check: Check) -> Forgery {
    let (mut world, bonded, challenge, _) = doubted();
    act(&mut world, 0, bonded.answer(challenge, PROOF));
    forge(check, world, 1, bonded.challenge(signed(&signer(0), 1)))
}

pub fn one_too_many(check: Check) -> Forgery {
    let (mut world, bonded) = bonded(1_000);
    for number in 1..4 {
        doubt(&mut world, 1, &bonded, number);
    }
    forge(check, world, 1, bonded.challenge(signed(&signer(0), 4)))
}

pub fn nonsense_answer(check: Check) -> Forgery {
    let (world, bonded, challenge, _) = doubted();
    forge(check, world, 0, bonded.answer(challenge, b"because"))
}

pub fn early_slash(check: Check) -> Forgery {
    let (world, _, challenge, _) = doubted();
    forge(check, world, 1, slash(challenge))
}

pub fn stolen_prize(check: Check) -> Forgery {
    let (mut world, _, challenge, kept) = doubted();
    world.wait(Height(world.height().0 + 10));
    act(&mut world, 0, slash(challenge));
    forge(check, world, 0, collect(challenge, kept))
}

// spec: LEDGER-13.2, LEDGER-13.3, LEDGER-14.4
#[test]
fn nobody_but_the_owner_raises_a_bond_takes_it_out_or_answers_for_it() {
    let (world, bonded, challenge, _) = doubted();
    let check = Check::BondOwner;
    let answer = strange(&bonded).answer(challenge, PROOF);
    stops(check, forge(check, world, 1, answer));
}
