//! The provider: takes links, runs the provider half of the session on each, lets the engine write.
//!
//! Each link is a task of its own: whatever happens on one ends that one. The engine writes all
//! answers together in the model's workshop, and stops as soon as nobody waits for one.

use crate::carry::{Carried, Heard};
use crate::clock::Clock;
use crate::keys::Keys;
use crate::manners::Manners;
use crate::places::{Place, Places};
use crate::workshop::{EVENTS_WAITING, Outlet, Task, Who, Workshop};
use mutirao_engine::Model;
use mutirao_market::Millis;
use mutirao_market::session::frame::{ClientFrame, ProviderFrame};
use mutirao_market::session::provider::{Action, Desk, Event, Provider};
use mutirao_net::{Link, Net};
use mutirao_wire::{Job, Offer, OfferLimits, PeerKey, Prices, Token};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long an offer stands; each link gets a fresh one.
const OFFER_STANDS: Millis = 24 * 60 * 60 * 1000;

/// A model at the disposal of others.
#[derive(Debug)]
pub struct Counter {
    /// The model's name.
    pub name: String,
    /// The model.
    pub model: Arc<Model>,
    /// Who provides it.
    pub keys: Keys,
    /// Where its answers are written.
    pub workshop: Arc<Workshop>,
    /// Whether only this machine's own user asks here.
    pub own: bool,
    /// Jobs at once.
    pub places: Arc<Places>,
    /// When its owner comes first.
    pub manners: Arc<Manners>,
    /// The longest that one job takes at once.
    pub longest_job: Duration,
    /// Most tokens a second per job; 0 is no limit.
    pub pace: u32,
    /// The time.
    pub clock: Clock,
}

impl Counter {
    /// What is offered from now on.
    pub(crate) fn desk(&self) -> Desk {
        let now = self.clock.now();
        let limits = OfferLimits {
            job_ms: u32::try_from(self.longest_job.as_millis()).unwrap_or(u32::MAX),
            jobs_per_key: self.places.per_key(),
        };
        let offer = Offer {
            provider: self.keys.peer.peer_key(),
            receipt_key: self.keys.receipts.receipt_key(),
            model: self.model.id(),
            op_set: self.model.op_set(),
            name: self.name.chars().take(32).collect(),
            context: self.model.context(),
            prices: Prices::default(),
            capacity: self.places.count(),
            limits: Some(limits),
            sequence: now,
            expires_ms: now + OFFER_STANDS,
        };
        Desk { offers: vec![offer.sign(&self.keys.peer)], receipts: self.keys.receipts.clone() }
    }

    /// Bytes that a job takes in memory at its end.
    fn wanted(&self, job: &Job) -> u64 {
        let positions = job.prompt.len() as u64 + u64::from(job.max_tokens);
        positions.min(self.model.context().into()) * self.model.position_bytes()
    }

    /// Serves every link that comes until the node closes.
    pub async fn serve(self: Arc<Self>, net: Arc<dyn Net>) {
        while let Some(link) = net.accept().await {
            tokio::spawn(self.clone().serve_link(link));
        }
    }

    /// The session on one link, from its first frame to its last.
    async fn serve_link(self: Arc<Self>, link: Link) {
        let (heard, mut inbox) = mpsc::channel(EVENTS_WAITING);
        let carried = Carried::start(link, move |frame: Heard<ClientFrame>| {
            let heard = heard.clone();
            async move { heard.send(frame).await.is_ok() }
        });
        let (written, mut engine) = mpsc::channel(EVENTS_WAITING);
        let peer = carried.peer;
        let mut work = Work { counter: self, peer, written, place: None, stop: Arc::default() };
        let mut session = Provider::new(work.counter.desk());
        while !session.is_over() {
            let patience = session.patience().map_or(Duration::MAX, Duration::from_millis);
            let unpaid = session.awaits_payment();
            let event = tokio::select! {
                frame = inbox.recv() => work.event(frame),
                event = engine.recv(), if !unpaid => event.unwrap_or(Event::Gone),
                () = tokio::time::sleep(patience) => Event::Gone,
            };
            for action in session.handle(work.counter.clock.now(), event) {
                work.perform(action, &carried).await;
            }
        }
        work.stop.store(true, Ordering::Relaxed);
        carried.finish().await;
    }
}

/// What one link keeps busy.
struct Work {
    counter: Arc<Counter>,
    peer: PeerKey,
    written: mpsc::Sender<Event>,
    place: Option<Place>,
    stop: Arc<AtomicBool>,
}

impl Work {
    /// A job takes a place as it is asked for, so that two cannot take the last one.
    fn event(&mut self, heard: Option<Heard<ClientFrame>>) -> Event {
        match heard {
            Some(Heard::Frame(frame)) => {
                let lent = self.counter.manners.reason().is_none();
                if let ClientFrame::Open { job, .. } = &frame
                    && lent
                {
                    self.place = self.counter.places.take(self.peer, self.counter.wanted(job));
                }
                Event::Frame { frame, free: self.place.is_some(), holds: None }
            }
            Some(Heard::Garbage(why)) => Event::BadFrame(why),
            Some(Heard::Gone(_)) | None => Event::Gone,
        }
    }

    async fn perform(&mut self, action: Action, carried: &Carried) {
        match action {
            Action::Send(frame) => {
                if let ProviderFrame::Refused { reason, .. } = &frame {
                    tracing::info!(peer = %carried.peer.short(), reason, "refused");
                }
                carried.send(&frame).await;
            }
            Action::Engage { job, prefix } => self.engage(job, prefix),
            Action::Redeem { .. } => {
                let _ = self.written.try_send(Event::Unpaid("nothing is sold here".into()));
            }
            Action::Disengage | Action::Close => {
                self.stop.store(true, Ordering::Relaxed);
                self.place = None;
            }
        }
    }

    fn engage(&self, job: Job, prefix: Vec<Token>) {
        let Counter { workshop, manners, pace, own, places, .. } = &*self.counter;
        let (wanted, memory) = (self.counter.wanted(&job), places.memory());
        if wanted > memory {
            let [wanted, memory] = [wanted, memory].map(|bytes| bytes.div_ceil(1 << 20));
            let why = format!("the job wants {wanted} MiB of kv_cache, here are {memory}");
            let _ = self.written.try_send(Event::BadJob(why));
            return;
        }
        let outlet = Outlet::new(self.written.clone(), self.stop.clone());
        // Others come under a new key each time, and would never find what is kept for them.
        let who = own.then(|| Who(self.counter.keys.peer.peer_key()));
        let (manners, pace) = (manners.clone(), *pace);
        workshop.submit(Task { job, prefix, who, outlet, manners, pace });
    }
}
