//! Channels, bonds and challenges in the plain model.

use super::super::bonds::{self, Bonded, bond, collect, signed, signer, slash};
use super::super::channels::{Opened, channel, keepsakes, plan};
use super::super::world::{BONDS, PROOF};
use super::{Day, SHARE};
use crate::build::Plan;
use crate::cell::channel::{ChannelPlan, Drawn, Payer, Progress, TopUpPlan};
use crate::cell::keepsake::Keepsake;
use crate::cell::till::plan::share_of;
use crate::cell::{CellId, Cells};
use crate::rules::Height;
use crate::testing::Seeded;
use crate::tx::Transaction;
use mutirao_wire::{Amount, Digest};

/// A channel, as numbers.
pub struct Line {
    opened: Opened,
    deposit: u64,
    progress: Progress,
    best: Option<Drawn>,
    /// What is left, once it is closed.
    rest: Option<u64>,
}

/// A bond, as numbers.
pub struct Stake {
    bonded: Bonded,
    amount: u64,
    floor: u64,
    challenged: u8,
    /// Challenges that wait, with who made them and their deadlines.
    open: Vec<(CellId, Keepsake, usize, u64)>,
    /// Challenges that were lost.
    won: Vec<(CellId, Keepsake, usize)>,
}

impl Day {
    /// Carries out one plan of that person; its transaction, and the fee is paid.
    fn act(&mut self, of: usize, plan: Plan) -> Option<Transaction> {
        let wish = self.world.wish(of, vec![], vec![plan]);
        let (fee, tx) = self.carry_out(of, &wish)?;
        self.pay_fee(of, fee);
        Some(tx)
    }

    pub(super) fn use_channel(&mut self, of: usize) {
        let count = self.plain.channels.len() as u64;
        if count < 3 {
            return self.open_channel(of);
        }
        let at = self.roll(count) as usize;
        match self.roll(6) {
            0 => self.top_up(at),
            1..4 => self.draw(at),
            4 => self.close(at),
            _ => self.refund(at),
        }
    }

    fn open_channel(&mut self, of: usize) {
        let (payee, deposit) = (self.person(), self.roll(50_000));
        let royalties = [(SHARE, self.tills[0])];
        let plan = plan(&self.world, payee, deposit, &royalties);
        let Some(tx) = self.act(of, Plan::Channel(ChannelPlan::Open(plan))) else { return };
        self.plain.balances[of] -= deposit;
        let keys = &self.world.people[of].keys;
        let kept = keepsakes(keys, &tx);
        let payer = Payer::new(keys, &kept[0]);
        let opened = Opened { id: CellId::new(tx.id(), 0), of, payee, kept, payer };
        let (progress, best, rest) = (Progress::default(), None, None);
        self.plain.channels.push(Line { opened, deposit, progress, best, rest });
    }

    fn top_up(&mut self, at: usize) {
        let amount = self.roll(10_000);
        let line = &self.plain.channels[at];
        if line.rest.is_some() || line.opened.kept.len() == 8 {
            return;
        }
        let (of, kept) = (line.opened.of, line.opened.kept[0]);
        let plan = TopUpPlan { channel: line.opened.id, kept, amount: Amount(amount) };
        let Some(tx) = self.act(of, Plan::Channel(ChannelPlan::TopUp(plan))) else { return };
        self.plain.balances[of] -= amount;
        let line = &mut self.plain.channels[at];
        line.deposit += amount;
        line.opened.kept.extend(keepsakes(&self.world.people[of].keys, &tx));
    }

    fn draw(&mut self, at: usize) {
        let line = &self.plain.channels[at];
        if line.rest.is_some() {
            return;
        }
        let mut drawer = line.opened.drawer(&self.world, line.progress);
        assert_eq!(drawer.left().0, line.deposit - line.progress.paid.0);
        let more = Amount(self.roll(drawer.left().0 + 1));
        let usage = Digest([self.roll(200) as u8; 32]);
        let drawn = drawer.draw(more, usage, &mut Seeded::new(more.0)).unwrap();
        let line = &mut self.plain.channels[at];
        let mut holder = line.opened.holder(&self.world);
        assert_eq!(holder.accept(drawn.clone()), Ok(drawn.opening.amount));
        line.progress = drawer.progress();
        line.best = Some(drawn);
    }

    fn close(&mut self, at: usize) {
        let line = &self.plain.channels[at];
        let (Some(drawn), None) = (line.best.clone(), line.rest) else { return };
        let (payee, paid) = (line.opened.payee, drawn.opening.amount);
        let plan = line.opened.close(&self.world, drawn);
        if self.act(payee, plan).is_none() {
            return;
        }
        let share = share_of(paid, SHARE).0;
        self.plain.balances[payee] += paid.0 - share;
        self.plain.pots[0].1 += share;
        let line = &mut self.plain.channels[at];
        line.rest = Some(line.deposit - paid.0);
        self.closed += 1;
    }

    fn refund(&mut self, at: usize) {
        let line = &self.plain.channels[at];
        let expiry = channel(&self.world, line.opened.id).expiry;
        if line.rest.is_none() {
            self.world.wait(Height(expiry.0 + 1));
            self.roll_over();
        }
        let line = &self.plain.channels[at];
        let (of, left) = (line.opened.of, line.rest.unwrap_or(line.deposit));
        let plan = line.opened.refund();
        if self.act(of, plan).is_none() {
            return;
        }
        self.plain.balances[of] += left;
        self.plain.channels.remove(at);
        self.closed += 1;
    }

    pub(super) fn use_bond(&mut self, of: usize) {
        let Some(stake) = &self.plain.bond else { return self.open_bond(of) };
        let covered = stake.floor >= BONDS.slash.0 * (stake.open.len() as u64 + 1);
        match self.roll(8) {
            0..3 if covered => self.challenge(of),
            3 | 4 => self.answer(),
            5 | 6 => self.slash(of),
            7 if !covered => self.withdraw(),
            _ => self.collect(),
        }
    }

    fn open_bond(&mut self, of: usize) {
        let (amount, floor) = (1_500 + self.roll(1_000), 1_000 + self.roll(500));
        let Some(tx) = self.act(of, bonds::plan(of, amount, floor)) else { return };
        self.plain.balances[of] -= amount;
        let kept = keepsakes(&self.world.people[of].keys, &tx);
        let bonded = Bonded { id: CellId::new(tx.id(), 0), of, kept };
        let (challenged, open, won) = (0, vec![], vec![]);
        self.plain.bond = Some(Stake { bonded, amount, floor, challenged, open, won });
    }

    fn challenge(&mut self, of: usize) {
        let Some(stake) = &self.plain.bond else { return };
        let evidence = signed(&signer(stake.bonded.of), stake.challenged);
        let id = CellId::of_challenge(&stake.bonded.id, &evidence.statement());
        let deadline = self.world.height().0 + BONDS.window;
        let Some(tx) = self.act(of, stake.bonded.challenge(evidence)) else { return };
        self.plain.balances[of] -= BONDS.deposit.0;
        let kept = keepsakes(&self.world.people[of].keys, &tx)[0];
        let Some(stake) = &mut self.plain.bond else { return };
        stake.challenged += 1;
        stake.open.push((id, kept, of, deadline));
    }

    fn answer(&mut self) {
        let Some(stake) = &self.plain.bond else { return };
        let Some((id, ..)) = stake.open.first() else { return };
        let of = stake.bonded.of;
        let plan = stake.bonded.answer(*id, PROOF);
        if self.act(of, plan).is_none() {
            return;
        }
        self.plain.balances[of] += BONDS.deposit.0;
        self.proven += 1;
        if let Some(stake) = &mut self.plain.bond {
            stake.open.remove(0);
        }
    }

    fn slash(&mut self, of: usize) {
        let Some(stake) = &self.plain.bond else { return };
        let Some((id, kept, by, deadline)) = stake.open.first().copied() else { return };
        self.world.wait(Height(deadline + 1));
        self.roll_over();
        if self.act(of, slash(id)).is_none() {
            return;
        }
        self.plain.supply -= BONDS.slash.0 - BONDS.reward.0;
        self.lost += 1;
        if let Some(stake) = &mut self.plain.bond {
            stake.open.remove(0);
            stake.won.push((id, kept, by));
            stake.amount -= BONDS.slash.0;
            stake.floor -= BONDS.slash.0;
        }
    }

    fn collect(&mut self) {
        let Some(stake) = &self.plain.bond else { return };
        let Some((id, kept, by)) = stake.won.first().copied() else { return };
        if self.act(by, collect(id, kept)).is_none() {
            return;
        }
        self.plain.balances[by] += BONDS.deposit.0 + BONDS.reward.0;
        if let Some(stake) = &mut self.plain.bond {
            stake.won.remove(0);
        }
    }

    /// A bond that covers nothing more leaves; prizes that were not collected stay behind.
    fn withdraw(&mut self) {
        let Some(stake) = &self.plain.bond else { return };
        if !stake.open.is_empty() || !stake.won.is_empty() {
            return;
        }
        let (bonded, amount) = (stake.bonded.clone(), stake.amount);
        if bond(&self.world, bonded.id).leaving.is_none()
            && self.act(bonded.of, bonded.leave()).is_none()
        {
            return;
        }
        let from = bond(&self.world, bonded.id).leaving.unwrap();
        self.world.wait(from);
        self.roll_over();
        if self.act(bonded.of, bonded.withdraw()).is_none() {
            return;
        }
        self.plain.balances[bonded.of] += amount;
        self.plain.bond = None;
    }

    pub(super) fn compare_paid(&self) {
        for line in &self.plain.channels {
            let Opened { id, payer, kept, .. } = &line.opened;
            let held = payer.held(id, &channel(&self.world, *id), kept).expect("all is known");
            let held: u64 = held.iter().map(|part| part.amount.0).sum();
            assert_eq!(held, line.rest.unwrap_or(line.deposit));
        }
        if let Some(stake) = &self.plain.bond {
            assert_eq!(stake.bonded.stake(&self.world), Some(Amount(stake.amount)));
            let there = bond(&self.world, stake.bonded.id);
            let open = stake.open.len();
            assert_eq!((there.floor.0, there.challenges as usize), (stake.floor, open));
            assert!(stake.open.iter().all(|(id, ..)| self.world.state.cell(id).is_some()));
        }
    }
}
