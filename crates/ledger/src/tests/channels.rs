//! Channels, as payers and payees use them.

use super::cells::{key, next_epoch, open as open_till, till};
use super::world::{World, found};
use crate::block::BlockError;
use crate::build::{BuildError, Plan};
use crate::cell::channel::proof::payee_key;
use crate::cell::channel::{
    Channel, ChannelAction, ChannelPlan, ClosePlan, Drawer, Drawn, Holder, OpenPlan, Payer,
    Progress, RefundPlan, SettlePlan, TopUpPlan, VoucherError,
};
use crate::cell::keepsake::{Keepsake, PartyKey, Side};
use crate::cell::knowledge::KnowledgeError;
use crate::cell::till::Share;
use crate::cell::till::plan::share_of;
use crate::cell::{Action, Cell, CellError, CellId, Cells};
use crate::commit::Opening;
use crate::examine::Conflict;
use crate::key::SpendKey;
use crate::rules::{ChainId, Height};
use crate::testing::Seeded;
use crate::tx::Transaction;
use mutirao_wire::{Amount, Digest};

/// An open channel, as its payer knows it.
#[derive(Debug, Clone)]
pub struct Opened {
    pub id: CellId,
    pub of: usize,
    pub payee: usize,
    pub kept: Vec<Keepsake>,
    pub payer: Payer,
}

/// What the owner of these keys wrote to itself in a transaction.
pub fn keepsakes(keys: &SpendKey, tx: &Transaction) -> Vec<Keepsake> {
    let found = found(keys, tx);
    found.iter().filter_map(|(at, note)| Keepsake::read(note, &tx.body.outputs[*at])).collect()
}

pub fn payee(world: &World, at: usize) -> PartyKey {
    payee_key(&world.people[at].keys, 7)
}

pub fn plan(world: &World, to: usize, amount: u64, royalties: &[(u16, CellId)]) -> OpenPlan {
    let share =
        |(basis_points, till): &(u16, CellId)| Share { basis_points: *basis_points, till: *till };
    OpenPlan {
        amount: Amount(amount),
        payee: payee(world, to).public(),
        royalties: royalties.iter().map(share).collect(),
        expiry: Height(world.height().0 + 20),
    }
}

pub fn open(
    world: &mut World,
    (of, to): (usize, usize),
    amount: u64,
    royalties: &[(u16, CellId)],
) -> Opened {
    let plan = plan(world, to, amount, royalties);
    let tx = world.act(of, Plan::Channel(ChannelPlan::Open(plan)));
    let kept = keepsakes(&world.people[of].keys, &tx);
    let payer = Payer::new(&world.people[of].keys, &kept[0]);
    let id = CellId::new(tx.id(), 0);
    world.mine(vec![tx]).unwrap();
    assert!(payer.owns(&channel(world, id)));
    Opened { id, of, payee: to, kept, payer }
}

pub fn channel(world: &World, id: CellId) -> Channel {
    match world.state.cell(&id) {
        Some(Cell::Channel(channel)) => channel,
        other => panic!("{other:?}"),
    }
}

impl Opened {
    pub fn told(&self) -> Vec<Opening> {
        self.kept.iter().map(|kept| self.payer.part(kept)).collect()
    }

    pub fn drawer(&self, world: &World, progress: Progress) -> Drawer {
        let deposit = Amount(self.kept.iter().map(|kept| kept.amount.0).sum());
        Drawer::new(world.rules.chain, self.id, self.payer.clone(), deposit, progress)
    }

    /// The first voucher, for that much.
    pub fn draw(&self, world: &World, amount: u64) -> Drawn {
        let mut drawer = self.drawer(world, Progress::default());
        drawer.draw(Amount(amount), Digest([5; 32]), &mut Seeded::new(1)).unwrap()
    }

    pub fn holder(&self, world: &World) -> Holder {
        let (channel, key) = (channel(world, self.id), payee(world, self.payee).public());
        Holder::new(world.rules.chain, self.id, &channel, key, &self.told()).unwrap()
    }

    pub fn close(&self, world: &World, drawn: Drawn) -> Plan {
        let key = payee(world, self.payee);
        Plan::Channel(ChannelPlan::Close(ClosePlan { drawn, told: self.told(), key }))
    }

    pub fn refund(&self) -> Plan {
        let kept = self.kept.clone();
        Plan::Channel(ChannelPlan::Refund(RefundPlan { channel: self.id, kept }))
    }

    pub fn top_up(&mut self, world: &mut World, amount: u64) {
        let (kept, amount) = (self.kept[0], Amount(amount));
        let plan = TopUpPlan { channel: self.id, kept, amount };
        let tx = world.act(self.of, Plan::Channel(ChannelPlan::TopUp(plan)));
        self.kept.extend(keepsakes(&world.people[self.of].keys, &tx));
        world.mine(vec![tx]).unwrap();
    }
}

fn fee(tx: &Transaction) -> u64 {
    tx.body.fee.0
}

pub fn cell_error<T: std::fmt::Debug>(outcome: Result<T, BlockError>) -> CellError {
    match outcome {
        Err(BlockError::Conflict { error: Conflict::Cell { error, .. }, .. }) => error,
        other => panic!("{other:?}"),
    }
}

// spec: LEDGER-12.1, LEDGER-12.3, LEDGER-12.5, LEDGER-12.6, LEDGER-12.8, LEDGER-11.1
#[test]
fn a_channel_pays_step_by_step_and_everybody_gets_a_part() {
    let mut world = World::new(4);
    let creator = open_till(&mut world, 2, 1, &[]);
    let ancestor = open_till(&mut world, 3, 2, &[]);
    let opened = open(&mut world, (0, 1), 10_000, &[(500, creator), (123, ancestor)]);
    let (mut drawer, mut holder) =
        (opened.drawer(&world, Progress::default()), opened.holder(&world));
    let mut rng = Seeded::new(1);
    for step in 1..=7 {
        let drawn = drawer.draw(Amount(1_001), Digest([step; 32]), &mut rng).unwrap();
        assert_eq!(holder.accept(drawn), Ok(Amount(1_001)));
    }
    let (paid, before) = (7_007, world.balance(1));
    let plan = opened.close(&world, holder.best().unwrap().clone());
    let tx = world.act(1, plan);
    world.mine(vec![tx.clone()]).unwrap();
    let shares = [500, 123].map(|points| share_of(Amount(paid), points).0);
    assert_eq!(shares, [350, 86], "rounded down");
    assert_eq!(world.balance(1), before + paid - shares[0] - shares[1] - fee(&tx));
    next_epoch(&mut world);
    assert!(till(&world, creator).settled.holds(&key(1), Amount(350)));
    assert!(till(&world, ancestor).settled.holds(&key(2), Amount(86)));
    let before = world.balance(0);
    let tx = world.act(0, opened.refund());
    world.mine(vec![tx.clone()]).unwrap();
    assert_eq!(world.balance(0), before + 10_000 - paid - fee(&tx));
    assert_eq!(world.state.cell(&opened.id), None);
}

// spec: LEDGER-12.5
#[test]
fn a_close_pays_its_own_fee_and_needs_no_note() {
    let mut world = World::new(2);
    let opened = open(&mut world, (0, 1), 10_000, &[]);
    let drawn = opened.draw(&world, 5_000);
    let mut wish = world.wish(1, vec![], vec![opened.close(&world, drawn)]);
    wish.inputs.clear();
    let before = world.balance(1);
    let tx = world.build(1, &wish).unwrap().transaction;
    world.mine(vec![tx.clone()]).unwrap();
    assert_eq!(world.balance(1), before + 5_000 - fee(&tx));
    let small = open(&mut world, (0, 1), 10_000, &[]);
    let drawn = small.draw(&world, 5);
    let mut wish = world.wish(1, vec![], vec![small.close(&world, drawn)]);
    wish.inputs.clear();
    let refused = world.build(1, &wish).unwrap_err();
    assert!(matches!(refused, BuildError::TooLittle { have: 5, .. }), "{refused}");
}

// spec: LEDGER-12.3
#[test]
fn a_voucher_is_worth_nothing_on_another_chain_channel_or_number() {
    let mut world = World::new(2);
    let (one, two) = (open(&mut world, (0, 1), 9_000, &[]), open(&mut world, (0, 1), 9_000, &[]));
    let drawn = one.draw(&world, 3_000);
    let right = world.act(1, one.close(&world, drawn.clone()));
    assert_eq!(world.judge(vec![right]), Ok(()));
    let change = |change: &dyn Fn(&mut Drawn)| {
        let mut drawn = drawn.clone();
        change(&mut drawn);
        drawn
    };
    let other_channel = change(&|drawn| drawn.voucher.channel = two.id);
    let other_number = change(&|drawn| drawn.voucher.claim.sequence += 1);
    let other_usage = change(&|drawn| drawn.voucher.claim.usage = Digest([6; 32]));
    let other_pad = change(&|drawn| drawn.voucher.claim.sealed[0] ^= 1);
    for (of, drawn) in
        [(&two, other_channel), (&one, other_number), (&one, other_usage), (&one, other_pad)]
    {
        let tx = world.act(1, of.close(&world, drawn));
        assert_eq!(world.judge(vec![tx]), Err(BlockError::FalseProof));
    }
    let there = ChainId(Digest([8; 32]));
    let mut drawer =
        Drawer::new(there, one.id, one.payer.clone(), Amount(9_000), Progress::default());
    let foreign = drawer.draw(Amount(3_000), Digest([5; 32]), &mut Seeded::new(1)).unwrap();
    let tx = world.act(1, one.close(&world, foreign));
    assert_eq!(world.judge(vec![tx]), Err(BlockError::FalseProof), "of another chain");
}

// spec: LEDGER-12.5, LEDGER-12.8
#[test]
fn of_two_closes_or_of_close_and_refund_in_one_block_the_first_counts() {
    let mut world = World::new(3);
    let opened = open(&mut world, (0, 1), 9_000, &[]);
    let (old, new) = (opened.draw(&world, 1_000), opened.draw(&world, 4_000));
    let without_notes = |world: &mut World, of: usize, plan: Plan| {
        let mut wish = world.wish(of, vec![], vec![plan]);
        wish.inputs.clear();
        wish.valid_until = Height(1_000);
        world.build(of, &wish).unwrap().transaction
    };
    let plan = opened.close(&world, old);
    let one = without_notes(&mut world, 1, plan);
    let plan = opened.close(&world, new);
    let two = without_notes(&mut world, 1, plan);
    let phase = CellError::Phase(opened.id);
    assert_eq!(cell_error(world.judge(vec![one.clone(), two.clone()])), phase);
    let early = world.wish(0, vec![], vec![opened.refund()]);
    let Height(expiry) = channel(&world, opened.id).expiry;
    let refused = world.build(0, &early).unwrap_err();
    assert_eq!(refused, BuildError::Cell(CellError::Early(expiry + 1)));
    world.wait(Height(expiry + 1));
    let plan = opened.close(&world, opened.draw(&world, 4_000));
    let late = without_notes(&mut world, 1, plan);
    let back = without_notes(&mut world, 0, opened.refund());
    let missing = CellError::Missing(opened.id);
    assert_eq!(cell_error(world.judge(vec![back.clone(), late.clone()])), missing);
    // The refund was made of the open channel: what is left now is another amount.
    assert_eq!(world.judge(vec![late.clone(), back.clone()]), Err(BlockError::FalseProof));
    world.mine(vec![late]).unwrap();
    assert_eq!(cell_error(world.judge(vec![two])), phase, "closed before");
    let before = world.balance(0);
    let tx = world.act(0, opened.refund());
    world.mine(vec![tx.clone()]).unwrap();
    assert_eq!(world.balance(0), before + 5_000 - fee(&tx));
    let again = world.wish(0, vec![], vec![opened.refund()]);
    assert_eq!(world.build(0, &again).unwrap_err(), BuildError::Cell(missing));
}

// spec: LEDGER-12.2, LEDGER-12.4, LEDGER-12.5
#[test]
fn a_top_up_counts_when_it_is_told_and_spoils_nothing_when_it_is_not() {
    let mut world = World::new(2);
    let mut opened = open(&mut world, (0, 1), 1_000, &[]);
    let first = opened.clone();
    opened.top_up(&mut world, 0);
    opened.top_up(&mut world, 5_000);
    let there = channel(&world, opened.id);
    assert_eq!(there.covered(&first.told()), (0b001, Amount(1_000)));
    assert_eq!(there.covered(&opened.told()), (0b111, Amount(6_000)));
    let untold = first.close(&world, first.draw(&world, 900));
    let tx = world.act(1, untold);
    assert_eq!(world.judge(vec![tx]), Ok(()), "the payee closes with what it knows");
    let mut drawer = opened.drawer(&world, Progress::default());
    let drawn = drawer.draw(Amount(5_500), Digest([5; 32]), &mut Seeded::new(2)).unwrap();
    let mut holder = first.holder(&world);
    let refused = holder.accept(drawn.clone());
    let deposit = VoucherError::Deposit { wanted: 5_500, deposit: Amount(1_000) };
    assert_eq!(refused, Err(deposit), "not covered by what was told");
    holder.topped_up(&there, &opened.told());
    assert_eq!(holder.accept(drawn.clone()), Ok(Amount(5_500)));
    let wish = world.wish(1, vec![], vec![first.close(&world, drawn.clone())]);
    let refused = world.build(1, &wish).unwrap_err();
    assert_eq!(refused, BuildError::Knowledge(KnowledgeError::Unfulfilled));
    let tx = world.act(1, opened.close(&world, drawn));
    world.mine(vec![tx]).unwrap();
    let before = world.balance(0);
    let tx = world.act(0, opened.refund());
    world.mine(vec![tx.clone()]).unwrap();
    assert_eq!(world.balance(0), before + 500 - fee(&tx));
}

// spec: LEDGER-12.7
#[test]
fn both_may_divide_a_channel_as_they_like_and_neither_alone() {
    let mut world = World::new(2);
    let opened = open(&mut world, (0, 1), 9_000, &[]);
    let agree = |key| {
        let plan = SettlePlan { channel: opened.id, told: opened.told(), key };
        Plan::Channel(ChannelPlan::Settle(plan))
    };
    let mut wish = world.wish(0, vec![world.pay(1, 2_500)], vec![agree(opened.payer.party())]);
    wish.inputs.clear();
    assert_eq!(world.build(0, &wish).unwrap_err(), BuildError::Consent);
    let (keys, height) = (world.people[0].keys.clone(), world.height());
    let mut rng = Seeded::new(9);
    let proposal =
        crate::build::propose(&keys, &world.rules, &wish, &world.state, height, &mut rng).unwrap();
    // The payee looks for its own note before it agrees.
    let whole = Transaction { body: proposal.body().clone(), proofs: empty_proofs() };
    let mine: u64 =
        found(&world.people[1].keys, &whole).iter().map(|(_, note)| note.opening.amount.0).sum();
    assert_eq!(mine, 2_500);
    let wrong = opened.payer.party().consent(proposal.body(), &mut rng);
    assert_eq!(proposal.clone().complete(wrong).unwrap_err(), BuildError::Consent);
    let mut other = proposal.body().clone();
    other.valid_until = Height(other.valid_until.0 + 1);
    let elsewhere = payee(&world, 1).consent(&other, &mut rng);
    assert_eq!(proposal.clone().complete(elsewhere).unwrap_err(), BuildError::Consent);
    let consent = payee(&world, 1).consent(proposal.body(), &mut rng);
    let tx = proposal.complete(consent).unwrap().transaction;
    let before = (world.balance(0), world.balance(1));
    world.mine(vec![tx.clone()]).unwrap();
    let after = (before.0 + 6_500 - fee(&tx), before.1 + 2_500);
    assert_eq!((world.balance(0), world.balance(1)), after);
    assert_eq!(world.state.cell(&opened.id), None);
    let plain = world.wish(0, vec![], vec![]);
    let height = world.height();
    let alone = crate::build::propose(&keys, &world.rules, &plain, &world.state, height, &mut rng);
    assert_eq!(alone.unwrap_err(), BuildError::Consent, "nobody else is asked");
}

fn empty_proofs() -> crate::tx::Proofs {
    let excess = crate::sigma::excess(&crate::curve::Sum(*crate::curve::generators().h.inner()));
    let one = curve25519_dalek::scalar::Scalar::ONE;
    crate::tx::Proofs {
        spends: vec![],
        constraints: vec![],
        excess: excess.prove(&[0; 32], &[&one], &mut Seeded::new(1)),
        range: vec![],
    }
}

// spec: LEDGER-7.5, LEDGER-12.4, LEDGER-12.8
#[test]
fn a_wallet_made_anew_from_its_words_mid_channel_finds_what_is_left() {
    let mut world = World::new(2);
    let mut opened = open(&mut world, (0, 1), 8_000, &[]);
    opened.top_up(&mut world, 1_000);
    let mut drawer = opened.drawer(&world, Progress::default());
    let mut rng = Seeded::new(1);
    let first = drawer.draw(Amount(1_500), Digest([1; 32]), &mut rng).unwrap();
    let last = drawer.draw(Amount(1_500), Digest([2; 32]), &mut rng).unwrap();
    // The words, and what everybody can see: nothing else is left of the payer.
    let keys = crate::key::Seed::new(&[1; 64]).account(0);
    let kept: Vec<_> = world.past.iter().flat_map(|(_, tx)| keepsakes(&keys, tx)).collect();
    assert_eq!(kept, opened.kept);
    let payer = Payer::new(&keys, &kept[0]);
    let mine: Vec<_> = world
        .state
        .cells()
        .filter(|(_, cell)| matches!(cell, Cell::Channel(channel) if payer.owns(channel)))
        .map(|(id, _)| *id)
        .collect();
    assert_eq!(mine, [opened.id]);
    // The payee shows the last voucher, and paying goes on where it was.
    let chain = world.rules.chain;
    let mut again = Drawer::new(chain, mine[0], payer.clone(), Amount(9_000), Progress::default());
    assert!(again.resume(&first.voucher) && again.resume(&last.voucher));
    assert!(!again.resume(&first.voucher), "an older one changes nothing");
    assert_eq!(again.progress(), drawer.progress());
    let next = again.draw(Amount(500), Digest([3; 32]), &mut rng).unwrap();
    let tx = world.act(1, opened.close(&world, next));
    world.mine(vec![tx]).unwrap();
    let plan = RefundPlan { channel: mine[0], kept };
    let before = world.balance(0);
    let tx = world.act(0, Plan::Channel(ChannelPlan::Refund(plan)));
    world.mine(vec![tx.clone()]).unwrap();
    assert_eq!(world.balance(0), before + 9_000 - 3_500 - fee(&tx));
}

// spec: LEDGER-12.5
#[test]
fn the_whole_deposit_may_be_paid_or_nothing_of_it() {
    for paid in [0, 9_000] {
        let mut world = World::new(2);
        let opened = open(&mut world, (0, 1), 9_000, &[]);
        let tx = world.act(1, opened.close(&world, opened.draw(&world, paid)));
        let before = world.balance(0);
        world.mine(vec![tx]).unwrap();
        let tx = world.act(0, opened.refund());
        world.mine(vec![tx.clone()]).unwrap();
        assert_eq!(world.balance(0), before + 9_000 - paid - fee(&tx));
    }
}

// spec: LEDGER-12.6
#[test]
fn royalties_round_down_to_the_base_unit_at_every_edge() {
    let mut world = World::new(2);
    let id = open_till(&mut world, 1, 1, &[]);
    for (paid, points) in [(10_000, 1), (9_999, 1), (3, 9_999), (5, 10_000), (0, 500)] {
        let opened = open(&mut world, (0, 1), 10_000, &[(points, id)]);
        let tx = world.act(1, opened.close(&world, opened.draw(&world, paid)));
        assert_eq!(world.judge(vec![tx.clone()]), Ok(()), "{paid} {points}");
        let Action::Channel(ChannelAction::Close { royalties, .. }) = &tx.body.actions[0] else {
            panic!()
        };
        let read = crate::cell::till::proof::read(&key(1), &royalties[0]);
        assert_eq!(read, Some(share_of(Amount(paid), points)));
    }
}

// spec: LEDGER-12.2
#[test]
fn nobody_but_the_payer_adds_to_a_channel() {
    let mut world = World::new(2);
    let opened = open(&mut world, (0, 1), 1_000, &[]);
    let stranger = Keepsake { side: Side::Payer, ..opened.kept[0] };
    let plan = TopUpPlan { channel: opened.id, kept: stranger, amount: Amount(5) };
    let wish = world.wish(1, vec![], vec![Plan::Channel(ChannelPlan::TopUp(plan))]);
    let refused = world.build(1, &wish).unwrap_err();
    let payer = channel(&world, opened.id).payer;
    assert_eq!(refused, BuildError::Knowledge(KnowledgeError::Unknown(payer.into())));
}
