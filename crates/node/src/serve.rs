//! The provider: takes links, runs the provider half of the session on each, lets the engine write.
//!
//! Each link is a task of its own: whatever happens on one ends that one. The engine writes all
//! answers together in the model's workshop, and stops as soon as nobody waits for one.

use crate::carry::{Carried, Heard};
use crate::cashier::Cashier;
use crate::clock::Clock;
use crate::keys::Keys;
use crate::manners::Manners;
use crate::mind::{Mind, Spec};
use crate::places::{self, Place, Places};
use crate::workshop::{Channel, EVENTS_AHEAD, EVENTS_WAITING, Task, Who};
use mutirao_ledger::cell::till::Share;
use mutirao_ledger::deal::Reply;
use mutirao_market::Millis;
use mutirao_market::session::frame::{ClientFrame, ProviderFrame};
use mutirao_market::session::provider::{Action, Desk, Event, Provider};
use mutirao_net::{Link, Net};
use mutirao_wire::{Amount, ChannelId, Encode, Job, Offer, OfferLimits, PeerKey, Prices, Token};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long an offer stands; each link gets a fresh one.
const OFFER_STANDS: Millis = 24 * 60 * 60 * 1000;

/// What answers cost, and who is paid.
#[derive(Debug, Clone)]
pub struct Sells {
    /// For each kind of work.
    pub prices: Prices,
    /// What the model's creators get of it.
    pub royalties: Vec<Share>,
    /// Who takes the vouchers.
    pub cashier: Cashier,
}

/// Numbers the links of this process.
static LINKS: AtomicU64 = AtomicU64::new(0);

/// A model at the disposal of others.
#[derive(Debug)]
pub struct Counter {
    /// The model's name.
    pub name: String,
    /// The model.
    pub spec: Arc<Spec>,
    /// Who provides it.
    pub keys: Keys,
    /// Where its answers are written.
    pub(crate) mind: Arc<dyn Mind>,
    /// What its answers cost; nothing where they are free.
    pub sells: Option<Sells>,
    /// Whose questions come here, where it is always the same who asks. Others come under a new key
    /// each time, and would never find what is kept for them.
    pub(crate) asker: Option<Who>,
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
            model: self.spec.id,
            op_set: self.spec.op_set,
            name: self.name.chars().take(32).collect(),
            context: self.spec.context,
            prices: self.sells.as_ref().map(|sells| sells.prices).unwrap_or_default(),
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
        // What is sold is not written far ahead of its payment.
        let ahead = if self.sells.is_some() { EVENTS_AHEAD } else { EVENTS_WAITING };
        let (written, mut engine) = mpsc::channel(ahead);
        let peer = carried.peer;
        let mut work = Work::new(self, peer, written);
        let mut session = Provider::new(work.counter.desk());
        while !session.is_over() {
            let patience = session.patience().map_or(Duration::MAX, Duration::from_millis);
            let unpaid = session.awaits_payment();
            let event = tokio::select! {
                frame = inbox.recv() => work.event(frame).await,
                event = engine.recv(), if !unpaid => event.unwrap_or(Event::Gone),
                () = tokio::time::sleep(patience) => match unpaid {
                    true => Event::Unpaid("no voucher came; pay and ask again".into()),
                    false => Event::Gone,
                },
            };
            let mut events = VecDeque::from([event]);
            while let Some(event) = events.pop_front() {
                for action in session.handle(work.counter.clock.now(), event) {
                    events.extend(work.perform(action, &carried).await);
                }
            }
        }
        work.end().await;
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
    link: u64,
    /// What pays for it.
    channel: Option<ChannelId>,
}

impl Work {
    fn new(counter: Arc<Counter>, peer: PeerKey, written: mpsc::Sender<Event>) -> Self {
        let link = LINKS.fetch_add(1, Ordering::Relaxed);
        Self { counter, peer, written, place: None, stop: Arc::default(), link, channel: None }
    }

    /// A job takes a place as it is asked for, so that two cannot take the last one.
    async fn event(&mut self, heard: Option<Heard<ClientFrame>>) -> Event {
        match heard {
            Some(Heard::Frame(frame)) => {
                let lent = self.counter.manners.reason().is_none();
                if let ClientFrame::Open { job, .. } = &frame
                    && lent
                {
                    let bytes = places::wanted(&self.counter.spec, job);
                    self.place = self.counter.places.take(self.peer, bytes);
                }
                let holds = self.holds(&frame).await;
                Event::Frame { frame, free: self.place.is_some(), holds }
            }
            Some(Heard::Garbage(why)) => Event::BadFrame(why),
            Some(Heard::Gone(_)) | None => Event::Gone,
        }
    }

    /// What the channel of an order holds; so much of it is promised to the order by asking.
    async fn holds(&mut self, frame: &ClientFrame) -> Option<Amount> {
        let ClientFrame::Open { order, .. } = frame else { return None };
        let sells = self.counter.sells.clone()?;
        self.channel = Some(order.channel);
        sells.cashier.promise(self.link, order.channel, order.ceiling).await
    }

    /// Looks what a voucher is worth.
    fn redeem(&self, channel: ChannelId, paid: Amount, voucher: &[u8]) -> Event {
        let Some(sells) = &self.counter.sells else {
            return Event::Unpaid("nothing is sold here".into());
        };
        match sells.cashier.redeem(self.link, channel, paid, voucher) {
            Ok(paid) => Event::Paid(paid),
            Err(why) => Event::Unpaid(why),
        }
    }

    async fn deal(&self, words: Vec<u8>) -> Event {
        let Some(sells) = &self.counter.sells else {
            let free = "answers are free here; order without a channel".to_owned();
            return Event::Dealt(Reply::No(free).to_bytes());
        };
        Event::Dealt(sells.cashier.deal(words, sells.royalties.clone()).await.to_bytes())
    }

    /// Nothing more happens on this link.
    async fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some((sells, channel)) = self.counter.sells.as_ref().zip(self.channel) {
            sells.cashier.ended(self.link, channel).await;
        }
    }

    async fn perform(&mut self, action: Action, carried: &Carried) -> Option<Event> {
        match action {
            Action::Send(frame) => {
                if let ProviderFrame::Refused { reason, .. } = &frame {
                    tracing::info!(peer = %carried.peer.short(), reason, "refused");
                }
                carried.send(&frame).await;
            }
            Action::Engage { job, prefix } => self.engage(job, prefix),
            Action::Redeem { channel, paid, voucher } => {
                return Some(self.redeem(channel, paid, &voucher));
            }
            Action::Deal(words) => return Some(self.deal(words).await),
            Action::Disengage | Action::Close => {
                self.stop.store(true, Ordering::Relaxed);
                self.place = None;
            }
        }
        None
    }

    fn engage(&self, job: Job, prefix: Vec<Token>) {
        let Counter { mind, manners, pace, asker, spec, places, .. } = &*self.counter;
        let (wanted, memory) = (places::wanted(spec, &job), places.memory());
        if wanted > memory {
            let [wanted, memory] = [wanted, memory].map(|bytes| bytes.div_ceil(1 << 20));
            let why = format!("the job wants {wanted} MiB of kv_cache, here are {memory}");
            let _ = self.written.try_send(Event::BadJob(why));
            return;
        }
        let outlet = Box::new(Channel::new(self.written.clone(), self.stop.clone()));
        let (manners, pace, who) = (manners.clone(), *pace, *asker);
        mind.submit(Task { job, prefix, who, outlet, manners, pace });
    }
}
