//! Bonds and challenges, as providers and doubters use them.

use super::channels::{cell_error, keepsakes};
use super::world::{BONDS, PROOF, World};
use crate::build::{BuildError, Plan};
use crate::cell::bond::proof::Owner;
use crate::cell::bond::{Bond, BondPlan, LeavePlan, OpenPlan, TopUpPlan, WithdrawPlan};
use crate::cell::challenge::{
    self, AnswerPlan, ChallengePlan, CollectPlan, Evidence, Judge, Nobody, Phase,
};
use crate::cell::keepsake::Keepsake;
use crate::cell::knowledge::KnowledgeError;
use crate::cell::{Cell, CellError, CellId, Cells};
use crate::rules::Height;
use crate::tx::Transaction;
use mutirao_wire::{
    Amount, AnswerCommitment, Checkpoint, Decode, Digest, Encode, Finish, JobCommitment, ModelId,
    OpSet, OrderCommitment, PrefixDigest, Receipt, Served, SigningKey,
};

/// A bond, as its owner knows it.
#[derive(Debug, Clone)]
pub struct Bonded {
    pub id: CellId,
    pub of: usize,
    pub kept: Vec<Keepsake>,
}

/// The key that signs receipts of that provider.
pub fn signer(of: usize) -> SigningKey {
    SigningKey::from_secret(&[of as u8 + 1; 32])
}

/// Something that a key signed.
pub fn signed(key: &SigningKey, number: u8) -> Evidence {
    let checkpoint = Checkpoint {
        job: JobCommitment(Digest([number; 32])),
        order: OrderCommitment(Digest([2; 32])),
        index: 16,
        prefix: PrefixDigest(Digest([3; 32])),
    };
    Evidence::Checkpoint(checkpoint.sign(key))
}

/// A whole receipt that a key signed.
pub fn receipt(key: &SigningKey) -> Evidence {
    let receipt = Receipt {
        job: JobCommitment(Digest([1; 32])),
        order: OrderCommitment(Digest([2; 32])),
        answer: AnswerCommitment(Digest([3; 32])),
        model: ModelId(Digest([4; 32])),
        op_set: OpSet(1),
        prompt_tokens: 20,
        answer_tokens: 40,
        served: Served { start: 0, end: 40 },
        finish: Finish::Cancelled { index: 40 },
        price: Amount(60),
        started_ms: 1,
        duration_ms: 2,
        provider: key.peer_key(),
    };
    Evidence::Receipt(receipt.sign(key))
}

pub fn bond(world: &World, id: CellId) -> Bond {
    match world.state.cell(&id) {
        Some(Cell::Bond(bond)) => bond,
        other => panic!("{other:?}"),
    }
}

pub fn phase(world: &World, id: CellId) -> Phase {
    match world.state.cell(&id) {
        Some(Cell::Challenge(challenge)) => challenge.phase,
        other => panic!("{other:?}"),
    }
}

pub fn plan(of: usize, amount: u64, floor: u64) -> Plan {
    let receipt_key = signer(of).receipt_key();
    let (amount, floor) = (Amount(amount), Amount(floor));
    Plan::Bond(BondPlan::Open(OpenPlan { amount, floor, receipt_key }))
}

pub fn open(world: &mut World, of: usize, amount: u64, floor: u64) -> Bonded {
    let tx = world.act(of, plan(of, amount, floor));
    let kept = keepsakes(&world.people[of].keys, &tx);
    let id = CellId::new(tx.id(), 0);
    world.mine(vec![tx]).unwrap();
    Bonded { id, of, kept }
}

impl Bonded {
    pub fn top_up(&self, amount: u64, floor: u64) -> Plan {
        let (kept, amount, floor) = (self.kept.clone(), Amount(amount), Amount(floor));
        Plan::Bond(BondPlan::TopUp(TopUpPlan { bond: self.id, kept, amount, floor }))
    }

    pub fn leave(&self) -> Plan {
        Plan::Bond(BondPlan::Leave(LeavePlan { bond: self.id, kept: self.kept[0] }))
    }

    pub fn withdraw(&self) -> Plan {
        let kept = self.kept.clone();
        Plan::Bond(BondPlan::Withdraw(WithdrawPlan { bond: self.id, kept }))
    }

    pub fn challenge(&self, evidence: Evidence) -> Plan {
        let plan = challenge::OpenPlan { bond: self.id, evidence };
        Plan::Challenge(ChallengePlan::Open(plan))
    }

    pub fn answer(&self, challenge: CellId, answer: &[u8]) -> Plan {
        let (bond, answer) = (self.kept[0], answer.to_vec());
        Plan::Challenge(ChallengePlan::Answer(AnswerPlan { challenge, bond, answer }))
    }

    /// What its owner knows to be in it.
    pub fn stake(&self, world: &World) -> Option<Amount> {
        let owner = Owner::new(&world.people[self.of].keys, &self.kept)?;
        owner.stake(&bond(world, self.id)).map(|opening| opening.amount)
    }
}

pub fn slash(challenge: CellId) -> Plan {
    Plan::Challenge(ChallengePlan::Slash(challenge))
}

pub fn collect(challenge: CellId, kept: Keepsake) -> Plan {
    Plan::Challenge(ChallengePlan::Collect(CollectPlan { challenge, kept }))
}

/// Doubts what the bond's key signed under that number: the challenge and its keepsake.
pub fn doubt(world: &mut World, by: usize, bonded: &Bonded, number: u8) -> (CellId, Keepsake) {
    let evidence = signed(&signer(bonded.of), number);
    let tx = world.act(by, bonded.challenge(evidence));
    let kept = keepsakes(&world.people[by].keys, &tx)[0];
    world.mine(vec![tx]).unwrap();
    (CellId::of_challenge(&bonded.id, &evidence.statement()), kept)
}

pub fn act(world: &mut World, of: usize, plan: Plan) -> Transaction {
    let tx = world.act(of, plan);
    world.mine(vec![tx.clone()]).unwrap();
    tx
}

fn refused(world: &mut World, of: usize, plan: Plan) -> CellError {
    let wish = world.wish(of, vec![], vec![plan]);
    match world.build(of, &wish) {
        Err(BuildError::Cell(error)) => error,
        other => panic!("{other:?}"),
    }
}

// spec: LEDGER-13.1, LEDGER-13.2, LEDGER-13.3, LEDGER-13.4
#[test]
fn a_bond_is_opened_raised_left_and_taken_out_by_words_alone() {
    let mut world = World::new(1);
    let start = world.balance(0);
    let mut bonded = open(&mut world, 0, 5_000, 1_500);
    let tx = act(&mut world, 0, bonded.top_up(700, 5_700));
    bonded.kept.extend(keepsakes(&world.people[0].keys, &tx));
    assert_eq!(bond(&world, bonded.id).floor, Amount(5_700), "all of it may be shown");
    assert_eq!(bonded.stake(&world), Some(Amount(5_700)));
    let early = CellError::Early(u64::MAX);
    assert_eq!(refused(&mut world, 0, bonded.withdraw()), early, "it never left");
    act(&mut world, 0, bonded.leave());
    let from = bond(&world, bonded.id).leaving.unwrap();
    assert_eq!(from, Height(world.height().0 - 1 + BONDS.delay));
    assert_eq!(refused(&mut world, 0, bonded.withdraw()), CellError::Early(from.0));
    world.wait(from);
    let keys = crate::key::Seed::new(&[1; 64]).account(0);
    let kept: Vec<_> = world.past.iter().flat_map(|(_, tx)| keepsakes(&keys, tx)).collect();
    assert_eq!(kept, bonded.kept, "the words find all of it again");
    act(&mut world, 0, bonded.withdraw());
    assert_eq!(world.state.cell(&bonded.id), None);
    let fees: u64 = world.past.iter().map(|(_, tx)| tx.body.fee.0).sum();
    assert_eq!(world.balance(0), start - fees);
}

// spec: LEDGER-13.1, LEDGER-13.2
#[test]
fn a_floor_that_is_not_there_is_not_proven() {
    let mut world = World::new(1);
    let unfulfilled = BuildError::Knowledge(KnowledgeError::Unfulfilled);
    let wish = world.wish(0, vec![], vec![plan(0, 2_000, 2_001)]);
    assert_eq!(world.build(0, &wish).unwrap_err(), unfulfilled);
    let too_low = CellError::Floor { wanted: BONDS.minimum, given: Amount(999) };
    assert_eq!(refused(&mut world, 0, plan(0, 2_000, 999)), too_low);
    for floor in [u64::MAX, 1 << 63] {
        assert_eq!(refused(&mut world, 0, plan(0, 2_000, floor)), CellError::Bounds);
    }
    let wish = world.wish(0, vec![], vec![plan(0, 2_000, i64::MAX as u64)]);
    assert_eq!(world.build(0, &wish).unwrap_err(), unfulfilled);
    let bonded = open(&mut world, 0, 2_000, 2_000);
    let wish = world.wish(0, vec![], vec![bonded.top_up(100, 2_101)]);
    assert_eq!(world.build(0, &wish).unwrap_err(), unfulfilled);
    let sinks = CellError::Floor { wanted: Amount(2_000), given: Amount(1_999) };
    assert_eq!(refused(&mut world, 0, bonded.top_up(100, 1_999)), sinks);
}

// spec: LEDGER-14.1, LEDGER-14.4, LEDGER-7.4, LEDGER-11.1
#[test]
fn an_answer_that_convinces_brings_the_deposit() {
    let mut world = World::new(2);
    let bonded = open(&mut world, 0, 5_000, 1_500);
    let before = world.balance(1);
    let (challenge, _) = doubt(&mut world, 1, &bonded, 1);
    let fee = world.past.last().unwrap().1.body.fee.0;
    assert_eq!(world.balance(1), before - BONDS.deposit.0 - fee);
    assert_eq!(bond(&world, bonded.id).challenges, 1);
    let nonsense = world.act(0, bonded.answer(challenge, b"because"));
    assert_eq!(cell_error(world.judge(vec![nonsense])), CellError::Unconvincing);
    let mut wish = world.wish(0, vec![], vec![bonded.answer(challenge, PROOF)]);
    wish.inputs.clear();
    let free = world.build(0, &wish).unwrap().transaction;
    assert_eq!(world.judge(vec![free]), Ok(()), "the deposit pays for the answer");
    let before = world.balance(0);
    let tx = act(&mut world, 0, bonded.answer(challenge, PROOF));
    assert_eq!(world.balance(0), before + BONDS.deposit.0 - tx.body.fee.0);
    assert_eq!(phase(&world, challenge), Phase::Done);
    assert_eq!(bond(&world, bonded.id).challenges, 0);
    let over = CellError::Phase(challenge);
    assert_eq!(refused(&mut world, 0, bonded.answer(challenge, PROOF)), over);
    let again = bonded.challenge(signed(&signer(0), 1));
    assert_eq!(refused(&mut world, 1, again), CellError::Repeated);
}

// spec: LEDGER-14.5, LEDGER-14.6, LEDGER-13.4, LEDGER-7.4, LEDGER-11.1
#[test]
fn an_unanswered_challenge_costs_the_stake_and_makes_no_money() {
    let mut world = World::new(3);
    let bonded = open(&mut world, 0, 5_000, 1_500);
    let (challenge, kept) = doubt(&mut world, 1, &bonded, 1);
    let deadline = world.height().0 - 1 + BONDS.window;
    assert_eq!(refused(&mut world, 2, slash(challenge)), CellError::Early(deadline + 1));
    world.wait(Height(deadline + 1));
    let supply = world.state.summary.supply.0;
    let tx = act(&mut world, 2, slash(challenge));
    let burned = BONDS.slash.0 - BONDS.reward.0;
    assert_eq!(world.state.summary.supply.0, supply - tx.body.fee.0 - burned);
    assert_eq!(tx.body.destroyed(&world.rules), u128::from(tx.body.fee.0 + burned));
    let after = bond(&world, bonded.id);
    assert_eq!((after.floor, after.slashed), (Amount(1_200), BONDS.slash));
    assert_eq!(bonded.stake(&world), Some(Amount(4_700)), "its owner can still read it");
    assert_eq!(refused(&mut world, 2, slash(challenge)), CellError::Phase(challenge));
    let over = CellError::Phase(challenge);
    assert_eq!(refused(&mut world, 0, bonded.answer(challenge, PROOF)), over);
    let before = world.balance(1);
    let tx = act(&mut world, 1, collect(challenge, kept));
    let prize = BONDS.deposit.0 + BONDS.reward.0;
    assert_eq!(world.balance(1), before + prize - tx.body.fee.0);
    assert_eq!(phase(&world, challenge), Phase::Done);
    assert_eq!(refused(&mut world, 1, collect(challenge, kept)), over);
    act(&mut world, 0, bonded.leave());
    world.wait(bond(&world, bonded.id).leaving.unwrap());
    let before = world.balance(0);
    let tx = act(&mut world, 0, bonded.withdraw());
    assert_eq!(world.balance(0), before + 4_700 - tx.body.fee.0);
}

// spec: LEDGER-14.4, LEDGER-14.5
#[test]
fn of_answer_and_slash_in_one_block_the_first_counts() {
    let mut world = World::new(3);
    let bonded = open(&mut world, 0, 5_000, 1_500);
    let (challenge, _) = doubt(&mut world, 1, &bonded, 1);
    world.wait(Height(world.height().0 + BONDS.window));
    let late = world.act(0, bonded.answer(challenge, PROOF));
    let lost = world.act(2, slash(challenge));
    let over = CellError::Phase(challenge);
    assert_eq!(cell_error(world.judge(vec![late.clone(), lost.clone()])), over);
    assert_eq!(cell_error(world.judge(vec![lost, late])), over);
    let twice = [world.act(1, slash(challenge)), world.act(2, slash(challenge))];
    assert_eq!(cell_error(world.judge(twice.to_vec())), over);
}

// spec: LEDGER-13.3, LEDGER-14.2, LEDGER-14.3
#[test]
fn a_bond_pays_for_every_challenge_that_is_open_and_stays_until_they_are_over() {
    let mut world = World::new(3);
    let bonded = open(&mut world, 0, 1_000, 1_000);
    let same = signed(&signer(0), 9);
    let pair = [1, 2].map(|by| world.act(by, bonded.challenge(same)));
    assert_eq!(cell_error(world.judge(pair.to_vec())), CellError::Repeated);
    let all: Vec<_> = (1..4).map(|number| doubt(&mut world, 1, &bonded, number)).collect();
    let more = bonded.challenge(signed(&signer(0), 4));
    assert_eq!(refused(&mut world, 2, more.clone()), CellError::Uncovered);
    act(&mut world, 0, bonded.leave());
    world.wait(bond(&world, bonded.id).leaving.unwrap());
    assert_eq!(refused(&mut world, 0, bonded.withdraw()), CellError::Challenged(3));
    for (challenge, _) in &all {
        act(&mut world, 2, slash(*challenge));
    }
    let after = bond(&world, bonded.id);
    assert_eq!((after.floor, after.challenges), (Amount(100), 0));
    assert_eq!(refused(&mut world, 2, more), CellError::Uncovered);
    act(&mut world, 0, bonded.withdraw());
    for (challenge, kept) in all {
        act(&mut world, 1, collect(challenge, kept));
    }
    assert!(world.state.cells().all(|(_, cell)| cell.holds() == crate::curve::Sum::zero()));
}

// spec: LEDGER-14.1, LEDGER-14.2
#[test]
fn evidence_is_what_one_key_signed_and_every_flipped_byte_is_none() {
    let key = signer(0);
    let evidence = signed(&key, 1);
    assert!(evidence.verifies(&key.receipt_key()));
    assert!(!evidence.verifies(&signer(1).receipt_key()));
    assert_ne!(evidence.statement(), signed(&key, 2).statement());
    assert_eq!(evidence.statement(), signed(&signer(1), 1).statement(), "whoever signs");
    assert_ne!(evidence.statement(), receipt(&key).statement());
    for bytes in [evidence.to_bytes(), receipt(&key).to_bytes()] {
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let read = Evidence::from_bytes(&changed);
            assert!(!read.is_ok_and(|read| read.verifies(&key.receipt_key())), "byte {at}");
        }
    }
}

// spec: LEDGER-14.4
#[test]
fn without_a_judge_no_answer_convinces() {
    let mut world = World::new(2);
    let bonded = open(&mut world, 0, 5_000, 1_500);
    let (challenge, _) = doubt(&mut world, 1, &bonded, 1);
    let tx = world.act(0, bonded.answer(challenge, PROOF));
    let admit = |judge: &'static dyn Judge| {
        crate::block::admit_before(judge, &tx, &world.state, &world.rules, world.height())
    };
    assert_eq!(cell_error(admit(&Nobody).map(|_| ())), CellError::Unconvincing);
    assert!(admit(super::world::permit().judge).is_ok());
    let plain = crate::block::admit(&tx, &world.state, &world.rules, world.height());
    assert_eq!(cell_error(plain.map(|_| ())), CellError::Unconvincing);
}

// spec: LEDGER-5.6, LEDGER-14.4
#[test]
fn a_long_answer_costs_what_a_long_memo_does() {
    let mut world = World::new(2);
    let bonded = open(&mut world, 0, 5_000, 1_500);
    let (challenge, _) = doubt(&mut world, 1, &bonded, 1);
    let fee = |world: &mut World, bytes: usize| {
        world.act(0, bonded.answer(challenge, &vec![7; bytes])).body.fee.0
    };
    let unit = world.rules.fee_unit.0;
    let (short, long) = (fee(&mut world, 1), fee(&mut world, 1_025));
    assert_eq!(long, short + unit);
    let longest = world.act(0, bonded.answer(challenge, &vec![7; challenge::ANSWER_BYTES_MAX]));
    assert_eq!(Transaction::from_bytes(&longest.to_bytes()), Ok(longest));
    let above = world.act(0, bonded.answer(challenge, &vec![7; challenge::ANSWER_BYTES_MAX + 1]));
    assert!(Transaction::from_bytes(&above.to_bytes()).is_err());
}
