//! The providers' side: their halves of the sessions, their engines, and what befalls them.

use super::{Happening, World};
use crate::agenda::DAWN;
use crate::cable::{Packet, Way};
use crate::chance::Chance;
use crate::mind::{Mind, count};
use crate::plan::{Fault, Misfortune, Moment, ProviderPlan, Purse};
use crate::record::{Signed, Told};
use crate::tally::Tally;
use crate::tongue::{Said, Tongue};
use mutirao_market::Millis;
use mutirao_market::session::frame::{ClientFrame, ProviderFrame, Refusal};
use mutirao_market::session::provider::{Action, Desk, Event, Provider};
use mutirao_wire::{Amount, ChannelId, Decode, Encode, Offer, PeerKey, Prices, SignedOffer};
use std::collections::BTreeMap;

/// How long offers stand: longer than any trial.
const OFFER_STANDS: Millis = 1_000_000_000;

/// What a packet meets on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    /// It passes.
    Fair,
    /// It never comes.
    Lossy,
    /// It comes later.
    Held(Millis),
}

/// One stream, from the provider's side.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) half: Provider,
    tongue: Option<Tongue>,
    place: bool,
    parting: bool,
    /// What was told, in money.
    tally: Option<Tally>,
    /// Since when a voucher is due.
    pub(super) unpaid_since: Option<Millis>,
}

/// A provider.
#[derive(Debug)]
pub(super) struct Server {
    plan: ProviderPlan,
    /// What it says that it offers.
    offered: Desk,
    /// What it serves with.
    desk: Desk,
    talks: BTreeMap<usize, Talk>,
    dead: bool,
    frozen_until: Millis,
    cut_until: (Millis, bool),
    slow_until: (Millis, Millis),
    garbles: bool,
    mute: bool,
    /// What orders say that vouchers of each channel pay.
    pub(super) claimed: BTreeMap<ChannelId, u64>,
}

impl Server {
    pub(super) fn new(plan: &ProviderPlan, mind: &Mind) -> Self {
        let offered = desk(plan, mind, plan.prices);
        let other = Prices { output: Amount(plan.prices.output.0 + 1), ..plan.prices };
        let served = if plan.repriced { other } else { plan.prices };
        Self {
            desk: desk(plan, mind, served),
            offered,
            plan: plan.clone(),
            talks: BTreeMap::new(),
            dead: false,
            frozen_until: 0,
            cut_until: (0, false),
            slow_until: (0, 0),
            garbles: false,
            mute: false,
            claimed: BTreeMap::new(),
        }
    }

    pub(super) fn key(&self) -> PeerKey {
        self.offered.offers[0].offer.provider
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead
    }

    /// Places that are taken.
    pub(super) fn taken(&self) -> u32 {
        self.talks.values().map(|talk| u32::from(talk.place)).sum()
    }

    /// Until when it stands still, if it does.
    pub(super) fn frozen(&self, now: Millis) -> Option<Millis> {
        Some(self.frozen_until).filter(|until| now < *until)
    }

    pub(super) fn weather(&self, now: Millis) -> Weather {
        match self.cut_until {
            (until, true) if now < until => Weather::Held(until),
            (until, false) if now < until => Weather::Lossy,
            _ => Weather::Fair,
        }
    }

    /// How long a packet to or from it takes.
    pub(super) fn journey(&self, now: Millis, chance: &mut Chance) -> Millis {
        let (until, late) = self.slow_until;
        let late = if now < until { chance.within(0, late) } else { 0 };
        self.plan.latency + chance.within(0, self.plan.jitter) + late
    }

    /// What it offers, as a client reads it.
    pub(super) fn offers(&self, now: Millis) -> Vec<SignedOffer> {
        let asked = ClientFrame::GetOffers.to_bytes();
        let Ok(frame) = ClientFrame::from_bytes(&asked) else { return Vec::new() };
        let mut half = Provider::new(self.offered.clone());
        let actions = half.handle(now, Event::Frame { frame, free: true, holds: None });
        let mut offers = Vec::new();
        for action in actions {
            let Action::Send(frame) = action else { continue };
            if let Ok(ProviderFrame::Offers(read)) = ProviderFrame::from_bytes(&frame.to_bytes()) {
                offers.extend(read);
            }
        }
        offers
    }
}

fn desk(plan: &ProviderPlan, mind: &Mind, prices: Prices) -> Desk {
    let offer = Offer {
        provider: plan.key.peer_key(),
        receipt_key: plan.receipts.receipt_key(),
        model: mind.model.id(),
        op_set: mind.model.op_set(),
        name: "random".into(),
        context: mind.model.context(),
        prices,
        capacity: plan.capacity,
        limits: None,
        sequence: 1,
        expires_ms: DAWN + OFFER_STANDS,
    };
    Desk { offers: vec![offer.sign(&plan.key)], receipts: plan.receipts.clone() }
}

impl World {
    fn server(&mut self, cable: usize) -> &mut Server {
        &mut self.servers[self.cables[cable].provider]
    }

    pub(super) fn talk(&mut self, cable: usize) -> Option<&mut Talk> {
        self.server(cable).talks.get_mut(&cable)
    }

    pub(super) fn tally(&mut self, cable: usize) -> Option<&mut Tally> {
        self.talk(cable)?.tally.as_mut()
    }

    /// A packet of the client is there.
    pub(super) fn heard_by_provider(&mut self, cable: usize, packet: Packet) {
        if self.server(cable).dead {
            return;
        }
        match packet {
            Packet::Hello => {
                let server = self.server(cable);
                let half = Provider::new(server.desk.clone());
                let (tongue, tally, unpaid_since) = (None, None, None);
                let talk = Talk { half, tongue, place: false, parting: false, tally, unpaid_since };
                server.talks.insert(cable, talk);
                self.put(cable, Way::Down, Packet::Hello);
            }
            Packet::Frame(bytes) => {
                let event = match ClientFrame::from_bytes(&bytes) {
                    Ok(frame) => self.take_place(cable, frame),
                    Err(error) => Event::BadFrame(error.to_string()),
                };
                self.feed(cable, event);
            }
            Packet::Close => self.feed(cable, Event::Gone),
        }
    }

    /// A job takes a place as it is asked for, so that two cannot take the last one.
    fn take_place(&mut self, cable: usize, frame: ClientFrame) -> Event {
        let server = self.server(cable);
        let room = server.taken() < server.plan.capacity;
        let key = server.key();
        let opens = matches!(frame, ClientFrame::Open { .. });
        if opens {
            let ask = self.cables[cable].ask;
            self.record.asks[ask].told.push(key);
        }
        let holds = self.holds(&frame);
        let Some(talk) = self.talk(cable) else { return Event::Gone };
        talk.place |= opens && room;
        if let ClientFrame::Open { order, job, .. } = &frame {
            talk.tally = Some(Tally::new(order, job));
        }
        Event::Frame { frame, free: talk.place, holds }
    }

    /// Hands an event to the provider's half and does what it says.
    pub(super) fn feed(&mut self, cable: usize, event: Event) {
        let now = self.agenda.now();
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let Some(talk) = self.talk(cable) else { return };
            for action in talk.half.handle(now, event) {
                events.extend(self.obey(cable, action));
            }
        }
        self.watch_payment(cable);
        let Some(talk) = self.talk(cable) else { return };
        let patience = talk.half.patience().unwrap_or_default();
        if talk.half.awaits_farewell() && !talk.parting {
            talk.parting = true;
            self.agenda.after(patience, Happening::Parting(cable));
        } else if talk.half.is_over() {
            self.server(cable).talks.remove(&cable);
        }
    }

    fn obey(&mut self, cable: usize, action: Action) -> Option<Event> {
        match action {
            Action::Send(frame) => self.say(cable, &frame),
            Action::Engage { job, prefix } => match Tongue::new(&self.mind, job, prefix) {
                Ok(tongue) => {
                    let pace = self.server(cable).plan.reading_pace;
                    self.talk(cable)?.tongue = Some(tongue);
                    self.agenda.after(pace, Happening::Work(cable));
                }
                Err(error) => return Some(Event::BadJob(error.to_string())),
            },
            Action::Deal(_) => {}
            Action::Redeem { channel, paid, voucher } => {
                return Some(self.redeem(cable, channel, paid, &voucher));
            }
            Action::Disengage | Action::Close => {
                let talk = self.talk(cable)?;
                (talk.tongue, talk.place) = (None, false);
                if matches!(action, Action::Close) {
                    self.put(cable, Way::Down, Packet::Close);
                }
            }
        }
        None
    }

    fn say(&mut self, cable: usize, frame: &ProviderFrame) {
        let (ask, provider) = (self.cables[cable].ask, self.server(cable).key());
        match frame {
            ProviderFrame::Checkpoint(_) if self.server(cable).mute => return,
            ProviderFrame::Checkpoint(point) => {
                self.record.signed.push((ask, provider, Signed::Checkpoint(*point)));
            }
            ProviderFrame::Receipt(receipt) => {
                self.record.signed.push((ask, provider, Signed::Receipt(*receipt)));
            }
            ProviderFrame::Refused { code, reason } => {
                self.record.refusals += 1;
                let repriced = self.server(cable).plan.repriced;
                let owes = self.record.asks[ask].plan.purse != Purse::Honest
                    || self.record.asks[ask].vanished;
                let fair = *code == Refusal::Busy
                    || (*code == Refusal::BadOrder && repriced)
                    || (*code == Refusal::Unpaid && owes);
                if !fair {
                    self.record.asks[ask].breaches.push(reason.clone());
                }
            }
            _ => {}
        }
        self.book_told(cable, frame);
        let mut bytes = frame.to_bytes();
        if std::mem::take(&mut self.server(cable).garbles) {
            bytes.pop();
        }
        self.put(cable, Way::Down, Packet::Frame(bytes));
    }

    /// The provider's engine says something, if it can.
    pub(super) fn work(&mut self, cable: usize) {
        self.strike(cable);
        let now = self.agenda.now();
        let server = self.server(cable);
        if server.dead {
            return;
        }
        if let Some(until) = server.frozen(now) {
            return self.agenda.at(until, Happening::Work(cable));
        }
        let (pace, reading_pace, provider) =
            (server.plan.pace, server.plan.reading_pace, server.key());
        if self.talk(cable).is_some_and(|talk| talk.half.awaits_payment()) {
            return self.agenda.after(pace, Happening::Work(cable));
        }
        let Some(tongue) = self.talk(cable).and_then(|talk| talk.tongue.as_mut()) else { return };
        let Said { event, lie } = tongue.speak();
        let pace = if tongue.is_ready() { pace } else { reading_pace };
        if let Some(place) = lie {
            let ask = self.cables[cable].ask;
            self.record.lies.push(Told { ask, provider, place });
        }
        self.feed(cable, event);
        if self.talk(cable).is_some_and(|talk| talk.tongue.is_some()) {
            self.agenda.after(pace, Happening::Work(cable));
        }
    }

    /// Lets the next misfortune of this answer happen, if its moment has come.
    fn strike(&mut self, cable: usize) {
        let ask = self.cables[cable].ask;
        let rock = self.servers.len() - 1;
        while let Some(misfortune) = self.misfortunes[ask].front().copied() {
            if self.cables[cable].provider == rock || !self.is_due(cable, &misfortune) {
                return;
            }
            self.misfortunes[ask].pop_front();
            self.record.struck += 1;
            self.log("strike", &[format!("{misfortune:?}").as_bytes()]);
            self.befall(cable, misfortune.fault);
        }
    }

    fn is_due(&mut self, cable: usize, misfortune: &Misfortune) -> bool {
        let whole = count(&self.record.asks[misfortune.ask].plan.truth);
        let Some(talk) = self.talk(cable).filter(|talk| !talk.half.is_over()) else { return false };
        let Some(tongue) = &talk.tongue else { return false };
        match misfortune.moment {
            Moment::Reading => !tongue.is_ready(),
            Moment::Token(place) => tongue.is_ready() && tongue.count() >= place,
            Moment::End => tongue.is_ready() && tongue.count() >= whole,
        }
    }

    fn befall(&mut self, cable: usize, fault: Fault) {
        let now = self.agenda.now();
        let server = self.server(cable);
        match fault {
            Fault::Death => server.dead = true,
            Fault::Freeze(lasts) => server.frozen_until = now + lasts,
            Fault::Drop => self.cut(cable),
            Fault::Partition { lasts, held } => server.cut_until = (now + lasts, held),
            Fault::Delay { lasts, late } => server.slow_until = (now + lasts, late),
            Fault::Garbage => server.garbles = true,
            Fault::Mute => server.mute = true,
            Fault::Lie(lie) => {
                if let Some(tongue) = self.talk(cable).and_then(|talk| talk.tongue.as_mut()) {
                    tongue.corrupt(lie);
                }
            }
        }
    }

    /// A client that has its receipt has had its time to say so.
    pub(super) fn part(&mut self, cable: usize) {
        let now = self.agenda.now();
        if let Some(until) = self.server(cable).frozen(now) {
            return self.agenda.at(until, Happening::Parting(cable));
        }
        let waits = self.talk(cable).is_some_and(|talk| talk.half.awaits_farewell());
        if waits && !self.server(cable).dead {
            self.feed(cable, Event::Gone);
        }
    }
}
