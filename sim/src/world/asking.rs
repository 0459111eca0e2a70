//! The clients' side: their halves of the sessions, what users see, and replay.

use super::{Happening, Sabotage, World};
use crate::cable::{Cable, Packet, Way};
use crate::mind::count;
use crate::plan::{AskPlan, Wish};
use crate::record::{Ending, Left, Shown};
use crate::tally::Tally;
use mutirao_market::Millis;
use mutirao_market::audit::{Replay, Replayer};
use mutirao_market::quote::Question;
use mutirao_market::session::client::{Action, Attempt, Client, Event, Outcome, Policy};
use mutirao_market::session::frame::{ClientFrame, ProviderFrame};
use mutirao_wire::bundle::Evidence;
use mutirao_wire::limits::CHECKPOINT_STEP;
use mutirao_wire::{Amount, Decode, Encode, Finish, PeerKey, Privacy, SignedOffer, Token};
use std::collections::{BTreeMap, BTreeSet};

/// How long an answer may take. Longer than all patience together, so that reaching it is a fault.
const DEADLINE: Millis = 120_000;

/// One answer that a client waits for.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) plan: AskPlan,
    client: Option<Client>,
    pub(super) cables: BTreeMap<Attempt, usize>,
    armed: Option<Millis>,
}

impl Asker {
    pub(super) fn new(plan: AskPlan) -> Self {
        Self { plan, client: None, cables: BTreeMap::new(), armed: None }
    }
}

impl World {
    /// Plans the next question of a client, from a number on.
    pub(super) fn ask_next(&mut self, client: usize, from: usize) {
        let mut later = (from..self.askers.len()).filter(|ask| {
            let asker = &self.askers[*ask];
            asker.plan.client == client
        });
        if let Some(ask) = later.next() {
            self.agenda.after(self.askers[ask].plan.pause, Happening::Ask(ask));
        }
    }

    /// Finds out who can be asked, and begins.
    pub(super) fn begin(&mut self, ask: usize) {
        let offers = self.route(ask);
        if offers.is_empty() {
            return self.end(ask, Ending::NobodyFits);
        }
        let plan = &self.askers[ask].plan;
        let standing = &self.standings[plan.client];
        let providers = offers.iter().map(|signed| signed.offer.provider);
        let policy = Policy {
            mode: plan.mode,
            privacy: Privacy::Open,
            seen_by_max: self.servers.len(),
            deadline_ms: self.agenda.now() + DEADLINE,
            vocabulary: self.mind.model.vocabulary(),
            newcomers: providers.filter(|provider| standing.is_new(provider)).collect(),
            cap: Amount(u64::MAX),
            means: self.means(plan.client),
        };
        let ends = self.mind.model.end_of_text().to_vec();
        let client = Client::new(plan.job.clone(), ends, policy, offers);
        if let Wish::Regret { after, .. } = plan.wish {
            self.agenda.after(after, Happening::Regret(ask));
        }
        self.askers[ask].client = Some(client);
        self.drive(ask, Event::Start);
    }

    /// The offers of everybody who lives, best first.
    fn route(&mut self, ask: usize) -> Vec<SignedOffer> {
        let now = self.agenda.now();
        let living = self.servers.iter().filter(|server| !server.is_dead());
        let offers = living.flat_map(|server| server.offers(now)).collect();
        let plan = &self.askers[ask].plan;
        let (standing, circle) = (&self.standings[plan.client], &BTreeSet::new());
        let privacy = Privacy::Open;
        let cap = Amount(u64::MAX);
        Question { job: &plan.job, privacy, circle, cap, standing, now }.route(offers).offers
    }

    /// Hands an event to the client's half and does what it says.
    pub(super) fn drive(&mut self, ask: usize, event: Event) {
        let now = self.agenda.now();
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let Some(client) = &mut self.askers[ask].client else { return };
            for action in client.handle(now, event) {
                events.extend(self.perform(ask, action));
            }
        }
        let asker = &mut self.askers[ask];
        let timer = asker.client.as_ref().and_then(Client::timer);
        if timer != asker.armed {
            asker.armed = timer;
            if let Some(due) = timer {
                self.agenda.at(due, Happening::Tick(ask, due));
            }
        }
    }

    fn perform(&mut self, ask: usize, action: Action) -> Option<Event> {
        match action {
            Action::Dial(attempt, provider) => self.dial(ask, attempt, provider),
            Action::Send(attempt, frame) => {
                let cable = *self.askers[ask].cables.get(&attempt)?;
                self.books(cable, &frame);
                self.put(cable, Way::Up, Packet::Frame(frame.to_bytes()));
            }
            Action::Pay { attempt, more, paid, .. } => self.draw(ask, attempt, more, paid),
            Action::Hang(attempt) => self.hang(*self.askers[ask].cables.get(&attempt)?),
            Action::Release { index, token, provider } => {
                return self.show(ask, index, token, provider);
            }
            Action::GaveUp { provider, why, lied, evidence } => {
                self.leave(ask, provider, why, lied, evidence);
            }
            Action::Replay { tokens, finish } => self.replay(ask, &tokens, finish),
            Action::Done(outcome) => self.done(ask, outcome),
            Action::Failed(error) => self.end(ask, Ending::Failed(error)),
        }
        None
    }

    /// The books of an attempt begin with its order.
    fn books(&mut self, cable: usize, frame: &ClientFrame) {
        if let ClientFrame::Open { order, job, .. } = frame {
            self.cables[cable].heard_of = Some(Tally::new(order, job));
            self.open_account(cable, order);
        }
    }

    fn dial(&mut self, ask: usize, attempt: Attempt, provider: PeerKey) {
        let found = self.servers.iter().position(|server| server.key() == provider);
        let Some(server) = found else { return };
        let banned = self.standings[self.askers[ask].plan.client].is_banned(&provider);
        self.record.asks[ask].dialled.push((provider, banned));
        let cable = self.cables.len();
        self.cables.push(Cable::new(ask, attempt, server));
        self.askers[ask].cables.insert(attempt, cable);
        self.put(cable, Way::Up, Packet::Hello);
    }

    fn hang(&mut self, cable: usize) {
        if std::mem::take(&mut self.cables[cable].heard) {
            self.put(cable, Way::Up, Packet::Close);
        }
    }

    /// A user sees a token, and may have seen enough.
    fn show(&mut self, ask: usize, index: u32, token: Token, provider: PeerKey) -> Option<Event> {
        let at = self.agenda.now();
        self.record.asks[ask].shown.push(Shown { at, index, token, provider });
        let index = index + 1;
        match self.askers[ask].plan.wish {
            Wish::Stop(after) if after == index => Some(self.cancel(ask, index)),
            Wish::Vanish(after) if after == index => {
                self.vanish(ask);
                None
            }
            _ => None,
        }
    }

    /// The client dies without a word; its machine closes nothing.
    fn vanish(&mut self, ask: usize) {
        self.askers[ask].client = None;
        self.record.asks[ask].vanished = true;
        self.record.struck += 1;
        let cables: Vec<usize> = self.askers[ask].cables.values().copied().collect();
        cables.into_iter().for_each(|cable| self.lose(cable));
        self.ask_next(self.askers[ask].plan.client, ask + 1);
    }

    fn cancel(&mut self, ask: usize, index: u32) -> Event {
        self.record.asks[ask].cancelled = Some(index);
        Event::Cancel { index }
    }

    /// A user has seen enough, or too much.
    pub(super) fn regret(&mut self, ask: usize) {
        let Wish::Regret { back, .. } = self.askers[ask].plan.wish else { return };
        let record = &self.record.asks[ask];
        if !record.endings.is_empty() {
            return;
        }
        let shown = u32::try_from(record.shown.len()).unwrap_or(u32::MAX);
        let cancel = self.cancel(ask, shown.saturating_sub(back));
        self.drive(ask, cancel);
    }

    fn leave(
        &mut self,
        ask: usize,
        provider: PeerKey,
        why: String,
        lied: bool,
        evidence: Option<Box<Evidence>>,
    ) {
        let standing = &mut self.standings[self.askers[ask].plan.client];
        match lied {
            true => standing.lied(provider),
            false => standing.failed(provider),
        }
        self.record.asks[ask].left.push(Left { provider, why, lied, evidence });
    }

    /// Replay takes its time on the client's machine, and other things happen meanwhile.
    fn replay(&mut self, ask: usize, tokens: &[Token], finish: Option<Finish>) {
        let job = &self.askers[ask].plan.job;
        let upto = count(tokens);
        let diverges = match self.sabotage {
            Some(Sabotage::Credulous) => None,
            Some(Sabotage::Paranoid) => Some(0),
            None => match self.mind.replay(job, tokens, finish) {
                Ok(Replay::Exact) => None,
                Ok(Replay::DivergesAt(index)) => Some(index),
                Ok(Replay::WrongFinish) | Err(_) => Some(upto),
            },
        };
        let busy = if self.chance.one_in(6) { self.chance.within(0, 4_000) } else { 0 };
        let takes = self.chance.within(1, 20) + Millis::from(upto / 8) + busy;
        self.agenda.after(takes, Happening::Replayed(ask, upto, diverges));
    }

    pub(super) fn replayed(&mut self, ask: usize, upto: u32, diverges: Option<u32>) {
        self.drive(ask, Event::Replayed { upto, diverges });
    }

    fn done(&mut self, ask: usize, outcome: Box<Outcome>) {
        let standing = &mut self.standings[self.askers[ask].plan.client];
        for part in &outcome.parts {
            standing.answered(part.provider, outcome.first_token_ms);
            if outcome.proven {
                standing.audited(part.provider);
            }
        }
        self.end(ask, Ending::Done(outcome));
    }

    fn end(&mut self, ask: usize, ending: Ending) {
        self.record.asks[ask].endings.push(ending);
        let cables: Vec<usize> = self.askers[ask].cables.values().copied().collect();
        cables.into_iter().for_each(|cable| self.hang(cable));
        self.ask_next(self.askers[ask].plan.client, ask + 1);
    }

    /// A packet of the provider is there.
    pub(super) fn heard_by_client(&mut self, cable: usize, packet: Packet) {
        let Cable { ask, attempt, heard, .. } = self.cables[cable];
        if !heard {
            return;
        }
        let event = match packet {
            Packet::Hello => Event::Connected(attempt),
            Packet::Close => Event::Lost(attempt, "it closed the stream".into()),
            Packet::Frame(bytes) => match ProviderFrame::from_bytes(&bytes) {
                Ok(frame) => return self.frame(cable, frame),
                Err(error) => Event::Lost(attempt, format!("it sent no frame: {error}")),
            },
        };
        self.drive(ask, event);
    }

    /// A frame goes to the client's half; what the judge will ask about it is noted.
    fn frame(&mut self, cable: usize, frame: ProviderFrame) {
        let Cable { ask, attempt, provider, .. } = self.cables[cable];
        let key = self.servers[provider].key();
        let mut token = None;
        match &frame {
            ProviderFrame::Checkpoint(signed) => {
                self.cables[cable].unsigned = 0;
                self.record.asks[ask].covered.push((key, signed.checkpoint.index));
            }
            ProviderFrame::Token { index, .. } => {
                self.cables[cable].unsigned += 1;
                token = Some(*index);
            }
            ProviderFrame::PrefixRefused { .. } => self.record.asks[ask].refused.push(key),
            _ => {}
        }
        self.book_heard(cable, &frame);
        self.drive(ask, Event::Frame(attempt, frame));
        let Cable { heard, unsigned, .. } = self.cables[cable];
        if let Some(place) = token.filter(|_| heard && unsigned > CHECKPOINT_STEP) {
            self.record.asks[ask].unsigned.push(place);
        }
    }

    /// A client's patience may be over; an old tick says nothing.
    pub(super) fn tick(&mut self, ask: usize, due: Millis) {
        if self.askers[ask].armed == Some(due) {
            self.askers[ask].armed = None;
            self.drive(ask, Event::Tick);
        }
    }
}
