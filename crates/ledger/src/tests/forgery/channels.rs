//! Forgeries with channels.

use super::super::cells::open as open_till;
use super::super::channels::{Opened, channel, open, payee, plan};
use super::super::world::World;
use super::{Forgery, forged, other_point, stops, weak};
use crate::build::{self, Plan};
use crate::cell::channel::{
    Channel, ChannelAction, ChannelPlan, ClosePlan, Drawer, Payer, Phase, Progress, SettlePlan,
    TopUpPlan,
};
use crate::cell::keepsake::{CellSecret, Keepsake, PartyKey, Side};
use crate::cell::{Action, Cell, CellId, Cells};
use crate::commit::Opening;
use crate::rules::Check;
use crate::testing::Seeded;
use mutirao_wire::{Amount, Digest};

/// A world with a weak verifier in which the first person pays the second.
fn paying(check: Check, royalties: &[u16]) -> (World, Opened) {
    let mut world = World::new(2);
    let royalties: Vec<_> = royalties
        .iter()
        .zip(1..)
        .map(|(points, at)| (*points, open_till(&mut world, 1, at, &[])))
        .collect();
    let opened = open(&mut world, (0, 1), 10_000, &royalties);
    weak(&mut world, check);
    (world, opened)
}

pub fn twice_the_same_till(check: Check) -> Forgery {
    let mut world = World::new(2);
    let id = open_till(&mut world, 1, 1, &[]);
    weak(&mut world, check);
    let plan = plan(&world, 1, 10_000, &[(100, id), (100, id)]);
    let tx = world.act(0, Plan::Channel(ChannelPlan::Open(plan)));
    forged(world, tx)
}

pub fn no_till(check: Check) -> Forgery {
    let mut world = World::new(2);
    weak(&mut world, check);
    let plan = plan(&world, 1, 10_000, &[(100, CellId(Digest([9; 32])))]);
    let tx = world.act(0, Plan::Channel(ChannelPlan::Open(plan)));
    forged(world, tx)
}

/// The payee knows both openings, so it knows what is left and names that as what covers its
/// voucher.
pub fn second_close(check: Check) -> Forgery {
    let (mut world, opened) = paying(check, &[]);
    let drawn = opened.draw(&world, 3_000);
    let tx = world.act(1, opened.close(&world, drawn.clone()));
    world.mine(vec![tx]).unwrap();
    let (deposit, paid) = (&opened.told()[0], &drawn.opening);
    let rest = Opening::new(Amount(7_000), deposit.blinding.scalar() - paid.blinding.scalar());
    let plan = ClosePlan { drawn, told: vec![rest], key: payee(&world, 1) };
    let tx = world.act(1, Plan::Channel(ChannelPlan::Close(plan)));
    forged(world, tx)
}

pub fn ninth_part(check: Check) -> Forgery {
    let mut world = World::new(2);
    let mut opened = open(&mut world, (0, 1), 10_000, &[]);
    (1..8).for_each(|amount| opened.top_up(&mut world, amount));
    weak(&mut world, check);
    let (kept, amount) = (opened.kept[0], Amount(9));
    let plan = TopUpPlan { channel: opened.id, kept, amount };
    let tx = world.act(0, Plan::Channel(ChannelPlan::TopUp(plan)));
    forged(world, tx)
}

/// The payee was told what is in the channel; only the payer's key keeps it from taking all.
fn taken_by_payee(check: Check, settle: bool) -> Forgery {
    let (mut world, opened) = paying(check, &[]);
    world.wait(crate::rules::Height(channel(&world, opened.id).expiry.0 + 1));
    let (channel, told, key) = (opened.id, opened.told(), payee(&world, 1));
    let plan = Plan::Channel(ChannelPlan::Settle(SettlePlan { channel, told, key }));
    let wish = world.wish(1, vec![], vec![plan]);
    let tx = world.build_with(1, &wish, |body| {
        if !settle {
            body.actions[0] = Action::Channel(ChannelAction::Refund { channel });
        }
    });
    forged(world, tx)
}

pub fn stolen_refund(check: Check) -> Forgery {
    taken_by_payee(check, false)
}

fn stranger(world: &World, of: usize) -> PartyKey {
    CellSecret::new(&world.people[of].keys, Side::Payee, &[9; 32]).party()
}

pub fn own_close(check: Check) -> Forgery {
    let (mut world, opened) = paying(check, &[]);
    let (drawn, told) = (opened.draw(&world, 1), opened.told());
    let key = stranger(&world, 0);
    let tx = world.act(0, Plan::Channel(ChannelPlan::Close(ClosePlan { drawn, told, key })));
    forged(world, tx)
}

pub fn own_voucher(check: Check) -> Forgery {
    let (mut world, opened) = paying(check, &[]);
    let own = Payer::new(&world.people[1].keys, &opened.kept[0]);
    let chain = world.rules.chain;
    let mut drawer = Drawer::new(chain, opened.id, own, Amount(10_000), Progress::default());
    let drawn = drawer.draw(Amount(10_000), Digest([5; 32]), &mut Seeded::new(1)).unwrap();
    let tx = world.act(1, opened.close(&world, drawn));
    forged(world, tx)
}

/// Payer and payee are one, and write a voucher for what was never there.
fn overdrawn(check: Check, amount: u64) -> Forgery {
    let (mut world, opened) = paying(check, &[]);
    let (chain, payer) = (world.rules.chain, opened.payer.clone());
    let mut drawer = Drawer::new(chain, opened.id, payer, Amount(u64::MAX), Progress::default());
    let drawn = drawer.draw(Amount(amount), Digest([5; 32]), &mut Seeded::new(1)).unwrap();
    let tx = world.act(1, opened.close(&world, drawn));
    forged(world, tx)
}

pub fn uncovered(check: Check) -> Forgery {
    overdrawn(check, 1 << 50)
}

/// A wallet that sees another channel than there is, until its action is made.
struct Switch<'a> {
    world: &'a World,
    id: CellId,
    pretended: Channel,
    on: std::cell::Cell<bool>,
}

impl Cells for Switch<'_> {
    fn cell(&self, id: &CellId) -> Option<Cell> {
        if self.on.get() && *id == self.id {
            return Some(Cell::Channel(self.pretended.clone()));
        }
        self.world.state.cell(id)
    }
}

/// A close by a payee that pretends another channel.
fn pretend(world: World, opened: &Opened, change: fn(&mut Channel)) -> Forgery {
    let mut pretended = channel(&world, opened.id);
    change(&mut pretended);
    let plan = opened.close(&world, opened.draw(&world, 10_000));
    let wish = world.wish(1, vec![], vec![plan]);
    let keys = world.people[1].keys.clone();
    let (id, on) = (opened.id, std::cell::Cell::new(true));
    let switch = Switch { world: &world, id, pretended, on };
    let place: (&dyn Cells, _) = (&switch, world.height());
    let mut rng = Seeded::new(5);
    let built =
        build::build_with(&keys, &world.rules, &wish, place, &mut rng, |_| switch.on.set(false));
    let tx = built.unwrap().transaction;
    forged(world, tx)
}

pub fn no_royalty(check: Check) -> Forgery {
    let (world, opened) = paying(check, &[500]);
    pretend(world, &opened, |channel| channel.royalties.clear())
}

/// One per cent of 10 000 is 100.
pub fn other_royalty(check: Check, amount: u16) -> Forgery {
    let (world, opened) = paying(check, &[100]);
    match amount {
        101 => pretend(world, &opened, |channel| channel.royalties[0].basis_points = 101),
        _ => pretend(world, &opened, |channel| channel.royalties[0].basis_points = 99),
    }
}

pub fn early_refund(check: Check) -> Forgery {
    let (mut world, opened) = paying(check, &[]);
    let tx = world.act(0, opened.refund());
    forged(world, tx)
}

// spec: LEDGER-12.7
#[test]
fn neither_of_two_divides_a_channel_alone() {
    stops(Check::Payer, taken_by_payee(Check::Payer, true));
    let (mut world, opened) = paying(Check::Payee, &[]);
    let (channel, told, key) = (opened.id, opened.told(), opened.payer.party());
    let plan = Plan::Channel(ChannelPlan::Settle(SettlePlan { channel, told, key }));
    let wish = world.wish(0, vec![], vec![plan]);
    let tx = world.build_with(0, &wish, |_| {});
    stops(Check::Payee, forged(world, tx));
}

// spec: LEDGER-12.2
#[test]
fn a_stranger_does_not_put_into_a_channel_what_its_payer_could_not_take_out() {
    let (mut world, opened) = paying(Check::Payer, &[]);
    let kept = Keepsake { nonce: [9; 32], ..opened.kept[0] };
    let plan = TopUpPlan { channel: opened.id, kept, amount: Amount(5) };
    let tx = world.act(1, Plan::Channel(ChannelPlan::TopUp(plan)));
    stops(Check::Payer, forged(world, tx));
}

// spec: LEDGER-12.6
#[test]
fn a_royalty_that_the_creator_cannot_spend_is_none() {
    let (mut world, opened) = paying(Check::Handle, &[500]);
    let wish = world.wish(1, vec![], vec![opened.close(&world, opened.draw(&world, 10_000))]);
    let tx = world.build_with(1, &wish, |body| {
        let Action::Channel(ChannelAction::Close { royalties, .. }) = &mut body.actions[0] else {
            panic!()
        };
        royalties[0].handle = other_point(2);
    });
    stops(Check::Handle, forged(world, tx));
}

// spec: LEDGER-12.5
#[test]
fn vouchers_at_every_edge_above_the_deposit_are_not_covered() {
    // A voucher above the last of these makes change that is no amount.
    for amount in [10_001, 1 << 32, (1 << 63) - 1, 1 << 63, u64::MAX - 1_000_000] {
        stops(Check::Covered, overdrawn(Check::Covered, amount));
    }
}

// spec: LEDGER-12.5
#[test]
fn parts_that_are_not_there_cover_nothing() {
    let (mut world, opened) = paying(Check::Covered, &[]);
    world.rules.off = None;
    let wish = world.wish(1, vec![], vec![opened.close(&world, opened.draw(&world, 10))]);
    for bits in [0b10, 0b1000_0001] {
        let keys = world.people[1].keys.clone();
        let place: (&dyn Cells, _) = (&world.state, world.height());
        let mut rng = Seeded::new(5);
        let built = build::build_with(&keys, &world.rules, &wish, place, &mut rng, |body| {
            if let Action::Channel(ChannelAction::Close { covered, .. }) = &mut body.actions[0] {
                *covered = bits;
            }
        });
        let part = crate::cell::CellError::Part(if bits == 0b10 { 1 } else { 7 });
        assert_eq!(built.unwrap_err(), build::BuildError::Cell(part));
    }
    assert!(matches!(channel(&world, opened.id).phase, Phase::Open { .. }));
}
