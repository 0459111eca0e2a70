//! Random days beside a plain model: numbers in a table, which the hidden ledger must match.

mod paid;

use super::cells::{carried, deeds, deposit, key, open, payout, till};
use super::world::World;
use crate::build::{BuildError, Plan, Wish};
use crate::cell::CellId;
use crate::cell::deed::{DeedOpening, RegisterPlan, TransferPlan};
use crate::cell::till::plan::share_of;
use crate::note::{OwnedNote, To};
use crate::testing::Seeded;
use mutirao_wire::{Amount, Digest};
use paid::{Line, Stake};
use rand_core::TryRng;

const PEOPLE: usize = 4;

/// What everybody would know if nothing were hidden.
struct Plain {
    balances: [u64; PEOPLE],
    supply: u64,
    /// The creator's till and its ancestor's: settled and current.
    pots: [(u64, u64); 2],
    epoch: u64,
    owners: Vec<(CellId, usize, OwnedNote, DeedOpening)>,
    channels: Vec<Line>,
    bond: Option<Stake>,
}

struct Day {
    world: World,
    plain: Plain,
    tills: [CellId; 2],
    chance: Seeded,
    /// Channels that were closed or expired, challenges that were lost and answered.
    closed: usize,
    lost: usize,
    proven: usize,
}

const SHARE: u16 = 1_234;

impl Day {
    fn new(seed: u64) -> Self {
        let mut world = World::new(PEOPLE as u64);
        let base = open(&mut world, 1, 1, &[]);
        let derived = open(&mut world, 0, 2, &[(SHARE, base)]);
        let balances = std::array::from_fn(|at| world.balance(at));
        let (supply, epoch) = (balances.iter().sum(), world.rules.epoch(world.height()));
        let (owners, channels, bond) = (vec![], vec![], None);
        let pots = [(0, 0); 2];
        let plain = Plain { balances, supply, pots, epoch, owners, channels, bond };
        let (closed, lost, proven) = (0, 0, 0);
        let tills = [derived, base];
        Self { world, plain, tills, chance: Seeded::new(seed), closed, lost, proven }
    }

    fn roll(&mut self, below: u64) -> u64 {
        self.chance.try_next_u64().unwrap() % below
    }

    fn person(&mut self) -> usize {
        self.roll(PEOPLE as u64) as usize
    }

    /// Builds and mines; the fee, or none when there is too little.
    fn carry_out(&mut self, of: usize, wish: &Wish) -> Option<(u64, crate::tx::Transaction)> {
        match self.world.build(of, wish) {
            Ok(built) => {
                let tx = built.transaction;
                self.world.mine(vec![tx.clone()]).unwrap();
                Some((tx.body.fee.0, tx))
            }
            Err(BuildError::TooLittle { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn pay_fee(&mut self, of: usize, fee: u64) {
        self.plain.balances[of] -= fee;
        self.plain.supply -= fee;
    }

    fn roll_over(&mut self) {
        let now = self.world.rules.epoch(self.world.height());
        if now > self.plain.epoch {
            self.plain.pots.iter_mut().for_each(|pot| *pot = (pot.0 + pot.1, 0));
            self.plain.epoch = now;
        }
    }

    fn step(&mut self) {
        self.roll_over();
        let of = self.person();
        match self.roll(14) {
            0..3 => self.send(of, 1),
            3 => self.send(of, 3),
            4 => self.pay_in(of),
            5 => self.pay_out(),
            6 => self.register(of),
            7 => self.transfer(),
            8..11 => self.use_channel(of),
            _ => self.use_bond(of),
        }
        self.compare();
    }

    fn send(&mut self, of: usize, payees: usize) {
        let paid: Vec<(usize, u64)> =
            (0..payees).map(|_| (self.person(), self.roll(90_000))).collect();
        let payments = paid.iter().map(|(to, amount)| self.world.pay(*to, *amount)).collect();
        let wish = self.world.wish(of, payments, vec![]);
        let Some((fee, _)) = self.carry_out(of, &wish) else { return };
        self.pay_fee(of, fee);
        for (to, amount) in paid {
            self.plain.balances[of] -= amount;
            self.plain.balances[to] += amount;
        }
    }

    fn pay_in(&mut self, of: usize) {
        let (to, amount) = (self.roll(2) as usize, self.roll(50_000));
        let wish = self.world.wish(of, vec![], vec![deposit(self.tills[to], amount)]);
        let Some((fee, _)) = self.carry_out(of, &wish) else { return };
        self.pay_fee(of, fee);
        self.plain.balances[of] -= amount;
        self.plain.pots[to].1 += amount;
    }

    fn pay_out(&mut self) {
        let which = self.roll(2) as usize;
        let (holder, number) = [(0, 2), (1, 1)][which];
        let total = self.plain.pots[which].0;
        let wish = self.world.wish(holder, vec![], vec![payout(self.tills[which], number, total)]);
        let Some((fee, _)) = self.carry_out(holder, &wish) else { return };
        let share = if which == 0 { share_of(Amount(total), SHARE).0 } else { 0 };
        self.plain.balances[holder] += total - share;
        self.pay_fee(holder, fee);
        self.plain.pots[which].0 = 0;
        self.plain.pots[1].1 += share;
    }

    fn register(&mut self, of: usize) {
        if self.plain.owners.len() >= 5 {
            return;
        }
        let name = Digest([self.roll(200) as u8; 32]);
        let wish =
            self.world.wish(of, vec![], vec![Plan::Register(RegisterPlan { name, to: To::Own })]);
        let Some((fee, tx)) = self.carry_out(of, &wish) else { return };
        self.pay_fee(of, fee);
        let (note, opening) = carried(&self.world, of, &tx);
        self.plain.owners.push((CellId::new(tx.id(), 0), of, note, opening));
    }

    fn transfer(&mut self) {
        let Some((deed, of, owner, opening)) = self.plain.owners.pop() else { return };
        let next = self.person();
        let to = if next == of { To::Own } else { To::Address(self.world.address(next)) };
        let plan = TransferPlan { deed, opening: opening.clone(), owner: owner.clone(), to };
        let wish = self.world.wish(of, vec![], vec![Plan::Transfer(plan)]);
        let Some((fee, tx)) = self.carry_out(of, &wish) else {
            self.plain.owners.push((deed, of, owner, opening));
            return;
        };
        self.pay_fee(of, fee);
        let (note, again) = carried(&self.world, next, &tx);
        assert_eq!(again.name, opening.name);
        self.plain.owners.insert(0, (deed, next, note, again));
    }

    fn compare(&mut self) {
        self.roll_over();
        for (at, balance) in self.plain.balances.iter().enumerate() {
            assert_eq!(self.world.balance(at), *balance, "person {at}");
        }
        assert_eq!(self.world.state.summary.supply, Amount(self.plain.supply));
        for (at, number) in [(0, 2), (1, 1)] {
            let (till, (settled, current)) =
                (till(&self.world, self.tills[at]), self.plain.pots[at]);
            assert!(till.settled.holds(&key(number), Amount(settled)), "settled {at}");
            assert!(till.current.holds(&key(number), Amount(current)), "current {at}");
        }
        let owners = deeds(&self.world);
        assert_eq!(owners.len(), self.plain.owners.len());
        for (id, _, note, opening) in &self.plain.owners {
            let (_, deed) = owners.iter().find(|(deed, _)| deed == id).unwrap();
            assert_eq!((deed.owner, deed.name), (note.one_time, opening.commit()));
        }
        self.compare_paid();
    }
}

// spec: LEDGER-6.2, LEDGER-11.1
#[test]
fn three_hundred_random_operations_leave_what_a_plain_table_says() {
    let mut day = Day::new(1);
    (0..300).for_each(|_| day.step());
    assert!(day.plain.channels.len() + day.closed > 5, "channels were used");
    assert!(day.lost > 0 && day.proven > 0, "challenges were lost and answered");
}

// spec: LEDGER-6.2, LEDGER-11.1
#[test]
fn ten_thousand_random_operations_leave_what_a_plain_table_says_slow_() {
    if std::env::var_os("MUTIRAO_SLOW").is_some() {
        let mut day = Day::new(2);
        (0..10_000).for_each(|_| day.step());
    }
}
