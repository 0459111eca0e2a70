//! The provider: takes links, runs the provider half of the session on each, lets the engine write.
//!
//! Each link is a task of its own: whatever happens on one ends that one. The engine runs on a
//! blocking thread per job and stops as soon as nobody waits for its tokens.

use crate::carry::{Carried, Heard};
use crate::clock::Clock;
use crate::keys::Keys;
use crate::manners::Manners;
use crate::places::{Place, Places};
use crate::threads::Threads;
use mutirao_engine::{Generation, Model, Prefill, Step};
use mutirao_market::Millis;
use mutirao_market::session::frame::{ClientFrame, ProviderFrame};
use mutirao_market::session::provider::{Action, Desk, Event, FAREWELL_PATIENCE, Provider};
use mutirao_net::{Link, Net};
use mutirao_wire::{Job, Offer, OfferLimits, PeerKey, Prices, Token};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How long an offer stands; each link gets a fresh one.
const OFFER_STANDS: Millis = 24 * 60 * 60 * 1000;
/// Tokens read between two signs of life.
const PREFILL_SLICE: usize = 256;
/// Engine events that wait for a slow link.
const EVENTS_WAITING: usize = 32;

/// A model at the disposal of others.
#[derive(Debug)]
pub struct Counter {
    /// The model's name.
    pub name: String,
    /// The model.
    pub model: Arc<Model>,
    /// Who provides it.
    pub keys: Keys,
    /// The engine's threads.
    pub threads: Arc<Threads>,
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
            let patience = match session.awaits_farewell() {
                true => Duration::from_millis(FAREWELL_PATIENCE),
                false => Duration::MAX,
            };
            let event = tokio::select! {
                frame = inbox.recv() => work.event(frame),
                event = engine.recv() => event.unwrap_or(Event::Gone),
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
                if lent && matches!(frame, ClientFrame::Open { .. }) {
                    self.place = self.counter.places.take(self.peer);
                }
                Event::Frame { frame, free: self.place.is_some() }
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
            Action::Disengage | Action::Close => {
                self.stop.store(true, Ordering::Relaxed);
                self.place = None;
            }
        }
    }

    fn engage(&self, job: Job, prefix: Vec<Token>) {
        let (counter, stop) = (self.counter.clone(), self.stop.clone());
        let tell = self.written.clone();
        let tell = move |event| tell.blocking_send(event).is_ok() && !stop.load(Ordering::Relaxed);
        tokio::task::spawn_blocking(move || write(&counter, job, prefix, &tell));
    }
}

/// Lets the engine answer; `tell` says whether anybody still listens.
fn write(counter: &Counter, job: Job, prefix: Vec<Token>, tell: &dyn Fn(Event) -> bool) {
    let mut generation = match Generation::with_prefix(counter.model.clone(), job, prefix) {
        Ok(generation) => generation,
        Err(error) => {
            tell(Event::BadJob(error.to_string()));
            return;
        }
    };
    if read(counter, &mut generation, tell) && tell(Event::Ready) {
        speak(counter, &mut generation, tell);
    }
}

/// Reads prompt and prefix; whether the answer can go on.
fn read(counter: &Counter, generation: &mut Generation, tell: &dyn Fn(Event) -> bool) -> bool {
    let count = |tokens: usize| u32::try_from(tokens).unwrap_or(u32::MAX);
    loop {
        let began = Instant::now();
        let event = match generation.prefill(PREFILL_SLICE, &*counter.threads) {
            Ok(Prefill::Ready) => return true,
            Ok(Prefill::Working { done, total }) => {
                Event::Reading { done: count(done), total: count(total) }
            }
            Ok(Prefill::PrefixDiverges { index, .. }) => {
                tell(Event::PrefixDiverges(count(index)));
                return false;
            }
            Err(error) => {
                tell(Event::BadJob(error.to_string()));
                return false;
            }
        };
        if !tell(event) || !goes_on(counter, began.elapsed(), tell) {
            return false;
        }
    }
}

/// Whether the owner lets the answer go on, after so much work.
fn goes_on(counter: &Counter, work: Duration, tell: &dyn Fn(Event) -> bool) -> bool {
    let lent = counter.manners.step(work);
    lent.map_err(|reason| tell(Event::Leaving(reason.words().into()))).is_ok()
}

/// Writes token after token, no faster than the provider allows itself.
fn speak(counter: &Counter, generation: &mut Generation, tell: &dyn Fn(Event) -> bool) {
    let step = match counter.pace {
        0 => Duration::ZERO,
        pace => Duration::from_secs(1) / pace,
    };
    let mut due = Instant::now();
    loop {
        due += step;
        let began = Instant::now();
        match generation.next(&*counter.threads) {
            Step::Finished(finish) => {
                tell(Event::Finished(finish));
                return;
            }
            Step::Token(token) => {
                let work = began.elapsed();
                if !tell(Event::Token(token)) || !goes_on(counter, work, tell) {
                    return;
                }
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        }
    }
}
