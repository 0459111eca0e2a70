//! The provider's half: one job, answered, signed as it goes, or refused with a reason.
//!
//! **Statement.** Everything this half signs is about the job and order it was given and the tokens
//! its own engine produced or checked. It never signs what it did not see, and never tells more
//! than one step beyond what it was paid.
//!
//! **Protocol.** Frames and engine events go in, actions come out; the engine, the stream and the
//! clock are the machine's. Rules: `docs/spec/session.md`, sections 3, 4 and 7.

mod paid;
#[cfg(test)]
mod tests;

pub use paid::PAYMENT_PATIENCE;

use super::frame::{ClientFrame, ProviderFrame, Refusal};
use crate::Millis;
use mutirao_wire::limits::CHECKPOINT_STEP;
use mutirao_wire::{
    Amount, ChannelId, Checkpoint, Finish, Job, OfferLimits, Order, Receipt, Served, SignedOffer,
    SigningKey, Token,
};
use paid::Account;

/// How long a provider waits for the farewell of a client that has its receipt: as long as a
/// client is patient, in which a cancel that crossed the receipt must have arrived.
const FAREWELL_PATIENCE: Millis = super::watchdog::PATIENCE_MAX;

/// What a provider answers with: its offers and the key that signs its receipts.
#[derive(Debug, Clone)]
pub struct Desk {
    /// What it offers.
    pub offers: Vec<SignedOffer>,
    /// Signs checkpoints and receipts; each offer certifies its public half.
    pub receipts: SigningKey,
}

/// What happened outside.
#[derive(Debug, Clone)]
pub enum Event {
    /// The client said something. `free` is whether another job can be taken.
    Frame {
        /// What it said.
        frame: ClientFrame,
        /// Whether there is room for a job.
        free: bool,
        /// What the channel of an order holds beyond what other orders may still draw from it;
        /// nothing where no such channel is known.
        holds: Option<Amount>,
    },
    /// The client's bytes are no frame.
    BadFrame(String),
    /// The engine read so much of prompt and prefix.
    Reading {
        /// Tokens read.
        done: u32,
        /// Tokens to read.
        total: u32,
        /// How many of the prompt's first tokens it still had from before.
        cached: u32,
    },
    /// The engine read all of it, and the prefix is what it gives.
    Ready,
    /// The engine wrote the next token.
    Token(Token),
    /// The engine came to the end of the answer.
    Finished(Finish),
    /// The engine gives another token at this place of the prefix.
    PrefixDiverges(u32),
    /// The engine cannot take the job.
    BadJob(String),
    /// The engine failed.
    Broken(String),
    /// The vouchers of this order pay so much by now, in all.
    Paid(Amount),
    /// A voucher is not what it should be, or none came for too long.
    Unpaid(String),
    /// The reply to a deal.
    Dealt(Vec<u8>),
    /// The machine is needed by its owner.
    Leaving(String),
    /// The client is gone.
    Gone,
}

/// What the machine has to do.
#[derive(Debug, Clone)]
pub enum Action {
    /// Say this.
    Send(ProviderFrame),
    /// Let the engine answer this job, whose answer begins with `prefix`.
    Engage {
        /// The job.
        job: Job,
        /// Tokens to check and continue.
        prefix: Vec<Token>,
    },
    /// See what this voucher is worth, and report [`Event::Paid`] or [`Event::Unpaid`].
    Redeem {
        /// Which channel it must be of.
        channel: ChannelId,
        /// What the client says that it pays under this order, in all.
        paid: Amount,
        /// The voucher, as the ledger reads it.
        voucher: Vec<u8>,
    },
    /// Reply to these words about a channel with [`Event::Dealt`].
    Deal(Vec<u8>),
    /// Stop the engine; nobody waits for its tokens.
    Disengage,
    /// Close the stream after what was sent.
    Close,
}

#[derive(Debug, Clone)]
struct Work {
    job: Job,
    order: Order,
    offer: SignedOffer,
    answer: Vec<Token>,
    started: Millis,
    /// When the time that the offer gives to one job is over.
    until: Millis,
    signed: u32,
    ready: bool,
    account: Account,
}

/// What there is for a job that is asked for.
#[derive(Debug, Clone, Copy)]
struct Room {
    free: bool,
    holds: Option<Amount>,
}

/// The provider's half of one stream.
#[derive(Debug, Clone)]
pub struct Provider {
    desk: Desk,
    work: Option<Work>,
    cancel: Option<u32>,
    /// The whole answer is signed; only a cancel that crossed the receipt can still come.
    whole: bool,
    over: bool,
}

impl Provider {
    /// The half of one new stream.
    #[must_use]
    pub fn new(desk: Desk) -> Self {
        Self { desk, work: None, cancel: None, whole: false, over: false }
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Takes one event and says what to do.
    pub fn handle(&mut self, now: Millis, event: Event) -> Vec<Action> {
        if self.over {
            return Vec::new();
        }
        if self.whole {
            return self.farewell(now, &event);
        }
        match event {
            Event::Frame { frame, free, holds } => self.frame(now, frame, Room { free, holds }),
            Event::BadFrame(why) => self.refuse(Refusal::Protocol, why),
            Event::Reading { .. } | Event::Ready | Event::Token(_) | Event::Finished(_) => {
                self.wrote(now, &event)
            }
            Event::Paid(amount) => self.paid(now, amount),
            Event::Unpaid(why) => self.refuse(Refusal::Unpaid, why),
            Event::Dealt(words) => self.last(vec![Action::Send(ProviderFrame::Deal(words))]),
            Event::PrefixDiverges(index) => {
                self.last(vec![Action::Send(ProviderFrame::PrefixRefused { index })])
            }
            Event::BadJob(why) => self.refuse(Refusal::BadJob, why),
            // spec: SESSION-3.8
            Event::Leaving(why) => self.refuse(Refusal::Busy, why),
            Event::Broken(why) => self.refuse(Refusal::Internal, why),
            Event::Gone => self.last(Vec::new()),
        }
    }

    /// What the engine says is told once what it said before is paid.
    // spec: SESSION-7.3
    fn wrote(&mut self, now: Millis, event: &Event) -> Vec<Action> {
        let works = matches!(event, Event::Reading { .. } | Event::Token(_));
        if works && self.is_late(now) {
            return self.refuse(Refusal::BadOrder, "its deadline has passed".into());
        }
        if works && self.took_long(now) {
            let reason = "it had all the time that the offer gives to one job; ask again";
            return self.refuse(Refusal::Busy, reason.into());
        }
        if self.holds_back(event) { Vec::new() } else { self.tell(now, event) }
    }

    fn tell(&mut self, now: Millis, event: &Event) -> Vec<Action> {
        if self.is_beyond(event) {
            return self.refuse(Refusal::Unpaid, "the order's ceiling is reached".into());
        }
        match event {
            Event::Reading { done, total, cached } => self.reading(*done, *total, *cached),
            Event::Ready => self.ready(now),
            Event::Token(token) => self.token(now, *token),
            Event::Finished(finish) => self.finished(now, *finish),
            _ => Vec::new(),
        }
    }

    /// Whether the job in hand should have been finished by now.
    // spec: SESSION-3.9
    fn is_late(&self, now: Millis) -> bool {
        self.work.as_ref().is_some_and(|work| work.order.deadline_ms <= now)
    }

    /// Whether the job in hand had the time that the offer gives to one.
    // spec: SESSION-3.10
    fn took_long(&self, now: Millis) -> bool {
        self.work.as_ref().is_some_and(|work| work.until <= now)
    }

    /// Whether the answer is signed and only the client's farewell is awaited, or its last voucher.
    #[must_use]
    pub fn awaits_farewell(&self) -> bool {
        self.whole && !self.over
    }

    /// How long machines wait for the client, where it is its turn: for a voucher, after which they
    /// say [`Event::Unpaid`], or for its farewell, after which they say [`Event::Gone`].
    #[must_use]
    pub fn patience(&self) -> Option<Millis> {
        let priced = self.work.as_ref().is_some_and(|work| !work.order.prices.are_free());
        let farewell = if priced { PAYMENT_PATIENCE } else { FAREWELL_PATIENCE };
        let pays = self.awaits_payment().then_some(PAYMENT_PATIENCE);
        pays.or(self.awaits_farewell().then_some(farewell))
    }

    /// After a receipt only its payment is heard, and after that of a whole answer a cancel that
    /// crossed it.
    // spec: SESSION-3.7, SESSION-4.5, SESSION-7.2
    fn farewell(&mut self, now: Millis, event: &Event) -> Vec<Action> {
        let written = self.work.as_ref().map_or(0, |work| count(&work.answer));
        match event {
            Event::Frame { frame: ClientFrame::Cancel { index }, .. } if *index <= written => {
                self.cancelled(now, *index)
            }
            Event::Frame { frame: ClientFrame::Pay { paid, voucher }, .. } => {
                self.redeem(*paid, voucher.clone())
            }
            Event::Frame { .. } | Event::BadFrame(_) | Event::Gone | Event::Unpaid(_) => {
                self.last(Vec::new())
            }
            _ => Vec::new(),
        }
    }

    fn frame(&mut self, now: Millis, frame: ClientFrame, room: Room) -> Vec<Action> {
        match frame {
            ClientFrame::GetOffers if self.work.is_none() => {
                let offers = ProviderFrame::Offers(self.desk.offers.clone());
                self.last(vec![Action::Send(offers)])
            }
            // spec: SESSION-7.7
            ClientFrame::Deal(words) if self.work.is_none() => vec![Action::Deal(words)],
            ClientFrame::Open { order, job, prefix } if self.work.is_none() => {
                self.open(now, order, job, prefix, room)
            }
            ClientFrame::Cancel { index } if self.work.is_some() => self.cancelled(now, index),
            ClientFrame::Pay { paid, voucher } if self.work.is_some() => self.redeem(paid, voucher),
            _ => self.refuse(Refusal::Protocol, "a frame out of its order".into()),
        }
    }

    fn open(
        &mut self,
        now: Millis,
        order: Order,
        job: Job,
        prefix: Vec<Token>,
        room: Room,
    ) -> Vec<Action> {
        let offer = match self.judge(now, &order, &job, &prefix, room) {
            Ok(offer) => offer,
            Err((code, reason)) => return self.refuse(code, reason.into()),
        };
        let answer = prefix.clone();
        let (signed, started, ready) = (order.start, now, false);
        let limit = |limits: OfferLimits| now.saturating_add(limits.job_ms.into());
        let until = offer.offer.limits.map_or(Millis::MAX, limit);
        let engage = Action::Engage { job: job.clone(), prefix };
        let account = Account::default();
        self.work =
            Some(Work { job, order, offer, answer, started, until, signed, ready, account });
        vec![Action::Send(ProviderFrame::Accepted), engage]
    }

    /// Everything that can be wrong with an order before the engine is asked.
    // spec: SESSION-3.6
    fn judge(
        &self,
        now: Millis,
        order: &Order,
        job: &Job,
        prefix: &[Token],
        Room { free, holds }: Room,
    ) -> Result<SignedOffer, (Refusal, &'static str)> {
        let offer = self.desk.offers.iter().find(|signed| signed.offer.model == job.model);
        let Some(offer) = offer else {
            return Err((Refusal::UnknownModel, "no such model here; ask for the offers"));
        };
        let terms = &offer.offer;
        let tokens = job.prompt.len() as u64 + u64::from(job.max_tokens);
        let wrong = [
            (order.provider != terms.provider, Refusal::BadOrder, "for another provider"),
            (order.job != job.commitment(), Refusal::BadOrder, "for another job"),
            (order.prices != terms.prices, Refusal::BadOrder, "at other prices; ask again"),
            (order.start as usize != prefix.len(), Refusal::BadOrder, "for another prefix"),
            (order.deadline_ms <= now, Refusal::BadOrder, "its deadline has passed"),
            (terms.expires_ms <= now, Refusal::BadOrder, "the offer has lapsed; ask again"),
            (job.op_set != terms.op_set, Refusal::BadJob, "for another op set"),
            (job.prompt.is_empty(), Refusal::BadJob, "the prompt is empty"),
            (job.max_tokens == 0, Refusal::BadJob, "no tokens are asked for"),
            (prefix.len() as u64 > u64::from(job.max_tokens), Refusal::BadJob, "prefix too long"),
            (tokens > u64::from(terms.context), Refusal::BadJob, "longer than the context"),
            (!paid::covers(order, job, holds), Refusal::BadOrder, paid::UNCOVERED),
            (!free, Refusal::Busy, "all places are taken; try again or ask another"),
        ];
        let wrong = wrong.into_iter().find(|(wrong, ..)| *wrong);
        wrong.map_or_else(|| Ok(offer.clone()), |(_, code, reason)| Err((code, reason)))
    }

    // spec: SESSION-3.2, SESSION-3.3
    fn token(&mut self, now: Millis, token: Token) -> Vec<Action> {
        let Some(work) = &mut self.work else { return Vec::new() };
        let index = count(&work.answer);
        work.answer.push(token);
        let mut actions = vec![Action::Send(ProviderFrame::Token { index, token })];
        if count(&work.answer) - work.signed >= CHECKPOINT_STEP {
            actions.push(self.checkpoint());
        }
        if self.cancel == Some(index + 1) {
            actions.extend(self.sign(now, Finish::Cancelled { index: index + 1 }));
        }
        actions
    }

    // spec: RECEIPT-2.1
    fn checkpoint(&mut self) -> Action {
        let work = self.work.as_mut().expect("a checkpoint is about work in hand");
        let index = count(&work.answer);
        work.signed = index;
        let checkpoint = Checkpoint {
            job: work.order.job,
            order: work.order.commitment(),
            index,
            prefix: work.job.prefix_digest(&work.answer),
        };
        Action::Send(ProviderFrame::Checkpoint(checkpoint.sign(&self.desk.receipts)))
    }

    fn finished(&mut self, now: Millis, finish: Finish) -> Vec<Action> {
        let Some(work) = &self.work else { return Vec::new() };
        let mut actions = Vec::new();
        if count(&work.answer) > work.signed {
            actions.push(self.checkpoint());
        }
        let signed = self.receipt(now, finish);
        let Some(receipt) = signed else { return self.cannot_sign() };
        self.whole = true;
        actions.extend([Action::Send(receipt), Action::Disengage]);
        actions
    }

    /// The client ends the answer after `index` tokens: those are signed and nothing beyond. An
    /// answer that was finished before the cancel arrived is signed again, shorter: where it ends
    /// must not depend on who was faster.
    // spec: SESSION-4.5
    fn cancelled(&mut self, now: Millis, index: u32) -> Vec<Action> {
        let Some(work) = &mut self.work else { return Vec::new() };
        if index < work.order.start || index > work.job.max_tokens {
            return self.refuse(Refusal::Protocol, "a cancel outside of the answer".into());
        }
        self.cancel = Some(index);
        if !work.ready || index > count(&work.answer) {
            return Vec::new();
        }
        work.answer.truncate(index as usize);
        work.account.forget();
        self.sign(now, Finish::Cancelled { index })
    }

    /// A prefix that the engine has not confirmed is never signed, cancelled or not.
    // spec: SESSION-4.3
    fn ready(&mut self, now: Millis) -> Vec<Action> {
        let Some(work) = &mut self.work else { return Vec::new() };
        work.ready = true;
        let written = count(&work.answer);
        let mut actions = self.read_all();
        if self.cancel == Some(written) {
            actions.extend(self.sign(now, Finish::Cancelled { index: written }));
        }
        actions
    }

    /// Commitments are made here from job and answer as this half knows them, and the order is
    /// compared with the job once more: a receipt never outlives its premise.
    // spec: RECEIPT-2.3
    fn receipt(&self, now: Millis, finish: Finish) -> Option<ProviderFrame> {
        let work = self.work.as_ref()?;
        let served = Served { start: work.order.start, end: count(&work.answer) };
        let price = work.price(served)?;
        if work.order.job != work.job.commitment() {
            return None;
        }
        let receipt = Receipt {
            job: work.order.job,
            order: work.order.commitment(),
            answer: work.job.answer_commitment(&work.answer),
            model: work.job.model,
            op_set: work.job.op_set,
            prompt_tokens: count(&work.job.prompt),
            answer_tokens: served.end,
            served,
            finish,
            price,
            started_ms: work.started,
            duration_ms: u32::try_from(now.saturating_sub(work.started)).unwrap_or(u32::MAX),
            provider: work.offer.offer.provider,
        };
        Some(ProviderFrame::Receipt(receipt.sign(&self.desk.receipts)))
    }

    /// Signs what the client asked for and is done, but for its payment.
    fn sign(&mut self, now: Millis, finish: Finish) -> Vec<Action> {
        let Some(receipt) = self.receipt(now, finish) else { return self.cannot_sign() };
        let free = self.work.as_ref().is_none_or(|work| work.order.prices.are_free());
        if free {
            return self.last(vec![Action::Send(receipt)]);
        }
        let working = !std::mem::replace(&mut self.whole, true);
        let actions = [Some(Action::Send(receipt)), working.then_some(Action::Disengage)];
        actions.into_iter().flatten().collect()
    }

    fn cannot_sign(&mut self) -> Vec<Action> {
        self.refuse(Refusal::Internal, "the receipt cannot be made".into())
    }

    fn refuse(&mut self, code: Refusal, reason: String) -> Vec<Action> {
        self.last(vec![Action::Send(ProviderFrame::Refused { code, reason })])
    }

    fn last(&mut self, mut actions: Vec<Action>) -> Vec<Action> {
        if self.work.take().is_some() && !self.whole {
            actions.push(Action::Disengage);
        }
        self.over = true;
        actions.push(Action::Close);
        actions
    }
}

/// Lists of tokens are bounded far below `u32::MAX`.
fn count(tokens: &[Token]) -> u32 {
    u32::try_from(tokens.len()).unwrap_or(u32::MAX)
}
