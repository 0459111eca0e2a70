//! The provider's half: one job, answered, signed as it goes, or refused with a reason.
//!
//! **Statement.** Everything this half signs is about the job and order it was given and the tokens
//! its own engine produced or checked. It never signs what it did not see.
//!
//! **Protocol.** Frames and engine events go in, actions come out; the engine, the stream and the
//! clock are the machine's. Rules: `docs/spec/session.md`, sections 3 and 4.

#[cfg(test)]
mod tests;

use super::frame::{ClientFrame, ProviderFrame, Refusal};
use crate::Millis;
use mutirao_wire::limits::CHECKPOINT_STEP;
use mutirao_wire::{
    Amount, Checkpoint, Finish, Job, OfferLimits, Order, Receipt, Served, SignedOffer, SigningKey,
    Token,
};

/// How long a provider waits for the farewell of a client that has its receipt: as long as a
/// client is patient, in which a cancel that crossed the receipt must have arrived.
pub const FAREWELL_PATIENCE: Millis = super::watchdog::PATIENCE_MAX;

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
    },
    /// The client's bytes are no frame.
    BadFrame(String),
    /// The engine read so much of prompt and prefix.
    Reading {
        /// Tokens read.
        done: u32,
        /// Tokens to read.
        total: u32,
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

/// What an answer costs under an order; `None` when it does not fit in an amount.
// spec: SESSION-1.4
#[must_use]
pub fn price(order: &Order, job: &Job, served: Served) -> Option<Amount> {
    let prices = &order.prices;
    let written = served.end.checked_sub(served.start)?;
    let input = prices.input.per_thousand(job.prompt.len() as u64)?;
    let output = prices.output.per_thousand(written.into())?;
    let attest = prices.attest.per_thousand(served.start.into())?;
    input.checked_add(output)?.checked_add(attest)
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
        if self.is_late(now) && matches!(event, Event::Reading { .. } | Event::Token(_)) {
            return self.refuse(Refusal::BadOrder, "its deadline has passed".into());
        }
        if self.took_long(now) && matches!(event, Event::Reading { .. } | Event::Token(_)) {
            let reason = "it had all the time that the offer gives to one job; ask again";
            return self.refuse(Refusal::Busy, reason.into());
        }
        match event {
            Event::Frame { frame, free } => self.frame(now, frame, free),
            Event::BadFrame(why) => self.refuse(Refusal::Protocol, why),
            Event::Reading { done, total } => {
                vec![Action::Send(ProviderFrame::Progress { done, total })]
            }
            Event::Ready => self.ready(now),
            Event::Token(token) => self.token(now, token),
            Event::Finished(finish) => self.finished(now, finish),
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

    /// Whether the whole answer is signed and only the client's farewell is awaited. Machines bound
    /// that wait by [`FAREWELL_PATIENCE`].
    #[must_use]
    pub fn awaits_farewell(&self) -> bool {
        self.whole && !self.over
    }

    /// After the receipt for a whole answer only a cancel that crossed it is heard.
    // spec: SESSION-3.7, SESSION-4.5
    fn farewell(&mut self, now: Millis, event: &Event) -> Vec<Action> {
        let written = self.work.as_ref().map_or(0, |work| count(&work.answer));
        match event {
            Event::Frame { frame: ClientFrame::Cancel { index }, .. } if *index <= written => {
                self.cancelled(now, *index)
            }
            Event::Frame { .. } | Event::BadFrame(_) | Event::Gone => self.last(Vec::new()),
            _ => Vec::new(),
        }
    }

    fn frame(&mut self, now: Millis, frame: ClientFrame, free: bool) -> Vec<Action> {
        match frame {
            ClientFrame::GetOffers if self.work.is_none() => {
                let offers = ProviderFrame::Offers(self.desk.offers.clone());
                self.last(vec![Action::Send(offers)])
            }
            ClientFrame::Open { order, job, prefix } if self.work.is_none() => {
                self.open(now, order, job, prefix, free)
            }
            ClientFrame::Cancel { index } if self.work.is_some() => self.cancelled(now, index),
            _ => self.refuse(Refusal::Protocol, "a frame out of its order".into()),
        }
    }

    fn open(
        &mut self,
        now: Millis,
        order: Order,
        job: Job,
        prefix: Vec<Token>,
        free: bool,
    ) -> Vec<Action> {
        let offer = match self.judge(now, &order, &job, &prefix, free) {
            Ok(offer) => offer,
            Err((code, reason)) => return self.refuse(code, reason.into()),
        };
        let answer = prefix.clone();
        let (signed, started, ready) = (order.start, now, false);
        let limit = |limits: OfferLimits| now.saturating_add(limits.job_ms.into());
        let until = offer.offer.limits.map_or(Millis::MAX, limit);
        let engage = Action::Engage { job: job.clone(), prefix };
        self.work = Some(Work { job, order, offer, answer, started, until, signed, ready });
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
        free: bool,
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
            (job.constraint.is_some(), Refusal::BadJob, "constraints are not supported yet"),
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
        self.sign(now, Finish::Cancelled { index })
    }

    /// A prefix that the engine has not confirmed is never signed, cancelled or not.
    // spec: SESSION-4.3
    fn ready(&mut self, now: Millis) -> Vec<Action> {
        let Some(work) = &mut self.work else { return Vec::new() };
        work.ready = true;
        match self.cancel {
            Some(index) if index == count(&work.answer) => {
                self.sign(now, Finish::Cancelled { index })
            }
            _ => Vec::new(),
        }
    }

    /// Commitments are made here from job and answer as this half knows them, and the order is
    /// compared with the job once more: a receipt never outlives its premise.
    // spec: RECEIPT-2.3
    fn receipt(&self, now: Millis, finish: Finish) -> Option<ProviderFrame> {
        let work = self.work.as_ref()?;
        let served = Served { start: work.order.start, end: count(&work.answer) };
        let price = price(&work.order, &work.job, served)?;
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

    /// Signs what the client asked for and is done.
    fn sign(&mut self, now: Millis, finish: Finish) -> Vec<Action> {
        match self.receipt(now, finish) {
            Some(receipt) => self.last(vec![Action::Send(receipt)]),
            None => self.cannot_sign(),
        }
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
