//! The client's half: one answer from whoever can give it, without a lost or changed token.
//!
//! **Statement.** The tokens released to the user are those of the job, or the session ends with an
//! error that says where they stopped being so. Providers may die, freeze, refuse or lie.
//!
//! **Notation.** An *attempt* is one provider's try. The *answer* is what honest attempts wrote so
//! far; *released* tokens were shown; *proven* tokens were replayed.
//!
//! **Protocol.** Events go in, actions come out; the machine that carries them owns the clock, the
//! network and the engine. Steps and rules: `docs/spec/session.md`, sections 3 to 7.

mod accept;
mod fault;
mod judge;
mod late;
mod line;
mod paying;
#[cfg(test)]
mod tests;

pub use self::paying::{Means, Payment};

use self::fault::Fault;
use self::line::Line;
use self::paying::Account;
use super::frame::{ClientFrame, ProviderFrame};
use super::watchdog::{DIAL_PATIENCE, LAST_PATIENCE, Watchdog};
use crate::Millis;
use mutirao_wire::bundle::Evidence;
use mutirao_wire::{
    Amount, ChannelId, Digest, Finish, Job, OfferLimits, Order, PeerKey, Privacy, SignedCheckpoint,
    SignedOffer, SignedReceipt, Token,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use thiserror::Error;

/// When a wrong token is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Tokens are released as they come; the whole answer may be audited at its end.
    Streamed {
        /// Whether this answer was drawn for audit. Chance is the caller's: see [`audit_drawn`].
        audit: bool,
    },
    /// Tokens are released once replay confirmed them.
    Checked,
}

/// Whether an answer is drawn for audit: one in `one_in`, never for 0. `chance` is uniform.
// spec: SESSION-6.3
#[must_use]
pub fn audit_drawn(one_in: u32, chance: u32) -> bool {
    one_in > 0 && chance.is_multiple_of(one_in)
}

/// What the client insists on.
#[derive(Debug, Clone)]
pub struct Policy {
    /// When a wrong token is found.
    pub mode: Mode,
    /// Who may see the prompt.
    pub privacy: Privacy,
    /// Most providers that may see it.
    pub seen_by_max: usize,
    /// When the client gives up.
    pub deadline_ms: Millis,
    /// Size of the model's vocabulary.
    pub vocabulary: u32,
    /// Providers never audited before: what they write is audited without a draw.
    pub newcomers: BTreeSet<PeerKey>,
    /// The most that this answer may cost, whoever writes it.
    pub cap: Amount,
    /// The channels through which providers are paid.
    pub means: BTreeMap<PeerKey, Means>,
}

/// Numbers the attempts of one session; frames of an old attempt are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(pub u32);

/// What happened outside.
#[derive(Debug, Clone)]
pub enum Event {
    /// The session begins.
    Start,
    /// The stream to the provider is open.
    Connected(Attempt),
    /// The provider said something.
    Frame(Attempt, ProviderFrame),
    /// The stream ended or never opened, or carried bytes that are no frame.
    Lost(Attempt, String),
    /// A timer of [`Client::timer`] ran out.
    Tick,
    /// Providers that were asked what they offer answered after the session began.
    Offered {
        /// What they offer, best first.
        offers: Vec<SignedOffer>,
        /// Whether others have not answered yet.
        more: bool,
    },
    /// Replay of the first `upto` tokens is done.
    Replayed {
        /// How many tokens it covered.
        upto: u32,
        /// The first that the model does not give, if any.
        diverges: Option<u32>,
    },
    /// A voucher of [`Action::Pay`] could not be drawn.
    CannotPay {
        /// Whom it was for.
        attempt: Attempt,
        /// What it should have added.
        missing: Amount,
        /// Why.
        why: String,
    },
    /// The user, or a stop string, ends the answer after `index` tokens.
    Cancel {
        /// Tokens that are accepted.
        index: u32,
    },
}

/// What the machine has to do.
#[derive(Debug, Clone)]
pub enum Action {
    /// Open a stream to this provider.
    Dial(Attempt, PeerKey),
    /// Say this.
    Send(Attempt, ClientFrame),
    /// Draw a voucher and send it as [`ClientFrame::Pay`].
    Pay {
        /// To whom.
        attempt: Attempt,
        /// From which channel.
        channel: ChannelId,
        /// How much more than the channel's last voucher says.
        more: Amount,
        /// What is paid under this order with it, in all.
        paid: Amount,
        /// What it pays for.
        usage: Digest,
    },
    /// Close the stream.
    Hang(Attempt),
    /// Show this token.
    Release {
        /// Its place in the answer.
        index: u32,
        /// The token.
        token: Token,
        /// Who wrote it.
        provider: PeerKey,
    },
    /// Say that a provider is out, and why.
    GaveUp {
        /// Who.
        provider: PeerKey,
        /// Why, for people.
        why: String,
        /// Whether it lied, or only failed.
        lied: bool,
        /// What convicts it, if it lied and signed the lie.
        evidence: Option<Box<Evidence>>,
    },
    /// Replay the answer so far and report [`Event::Replayed`].
    Replay {
        /// The answer so far; tokens up to the last replay are known to be right.
        tokens: Vec<Token>,
        /// How the answer ends, once its receipt is here. A wrong end diverges at the length of
        /// the answer.
        finish: Option<Finish>,
    },
    /// The answer is whole. The last action.
    Done(Box<Outcome>),
    /// There is no answer. The last action.
    Failed(Box<SessionError>),
}

/// Which provider wrote which tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Who.
    pub provider: PeerKey,
    /// First token.
    pub start: u32,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its tokens.
    pub answer: Vec<Token>,
    /// The receipt for all of it.
    pub receipt: SignedReceipt,
    /// The offer that certifies the receipt's key.
    pub offer: SignedOffer,
    /// Who wrote what.
    pub parts: Vec<Part>,
    /// Who saw the prompt.
    pub seen_by: Vec<PeerKey>,
    /// Whether replay confirmed the whole answer.
    pub proven: bool,
    /// Tokens of the prompt that its last provider says it still had from before.
    pub cached: u32,
    /// When the first token came, after the start.
    pub first_token_ms: Millis,
    /// Who was paid what, one entry for each turn of a provider.
    pub payments: Vec<Payment>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Nobody is left to ask.
    #[error("no provider is left to ask ({}); add one with `mutirao join`", reasons(.tried))]
    NobodyLeft {
        /// Who was tried, and why it failed.
        tried: Vec<(PeerKey, String)>,
    },
    /// As many providers saw the prompt as the privacy level allows.
    #[error("{maximum} providers saw the prompt and none finished; no more are asked")]
    SeenByEnough {
        /// The limit.
        maximum: usize,
    },
    /// The deadline passed.
    #[error("the answer was not finished before its deadline")]
    Deadline,
    /// A token that was already shown is not the model's.
    #[error(
        "answer_diverged: token {position} by {} is not what the model gives", provider.short()
    )]
    AnswerDiverged {
        /// The wrong token.
        position: u32,
        /// Who wrote it.
        provider: PeerKey,
        /// What convicts it; absent when it signed nothing that covers the token.
        evidence: Option<Box<Evidence>>,
    },
}

fn reasons(tried: &[(PeerKey, String)]) -> String {
    if tried.is_empty() {
        return "none was found".into();
    }
    let each: Vec<String> =
        tried.iter().map(|(peer, why)| format!("{}: {why}", peer.short())).collect();
    each.join("; ")
}

/// What a provider signed about the answer so far.
#[derive(Debug, Clone)]
struct Signed {
    statement: SignedCheckpoint,
    offer: SignedOffer,
}

/// The provider that is being asked.
#[derive(Debug, Clone)]
struct Current {
    attempt: Attempt,
    offer: SignedOffer,
    order: Order,
    phase: Phase,
    last_token: Option<Millis>,
    /// Tokens after its last checkpoint.
    unsigned: u32,
    account: Account,
    /// It gave its receipt, was paid for it, and its stream is closed.
    left: bool,
}

/// The replay whose result is awaited.
#[derive(Debug, Clone, Copy)]
struct Replaying {
    upto: usize,
    /// Whether it is still about the tokens of the answer, and its end.
    counts: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Dialling,
    Reading,
    Writing,
    /// It says that its prefix is wrong; replay tells who lies.
    Refused,
}

/// The client's half of one answer.
#[derive(Debug, Clone)]
pub struct Client {
    job: Job,
    end_of_text: Vec<Token>,
    policy: Policy,
    candidates: VecDeque<SignedOffer>,
    current: Option<Current>,
    attempts: u32,
    answer: Vec<Token>,
    parts: Vec<Part>,
    signed: Vec<Signed>,
    released: usize,
    proven: usize,
    replaying: Option<Replaying>,
    end_proven: bool,
    receipt: Option<(SignedReceipt, SignedOffer)>,
    cancelled: Option<u32>,
    watchdog: Watchdog,
    line: Line,
    /// Until when offers may come from those who have not answered yet.
    awaited: Option<Millis>,
    wake: Option<Millis>,
    /// When the current provider would be left if others could go on.
    hasty: Millis,
    started: Millis,
    first_token: Option<Millis>,
    seen_by: Vec<PeerKey>,
    tried: Vec<(PeerKey, String)>,
    payments: Vec<Payment>,
    over: bool,
}

impl Client {
    /// A session for `job`, asking `candidates` in their order.
    #[must_use]
    pub fn new(
        job: Job,
        end_of_text: Vec<Token>,
        policy: Policy,
        candidates: Vec<SignedOffer>,
    ) -> Self {
        Self {
            job,
            end_of_text,
            policy,
            candidates: candidates.into(),
            current: None,
            attempts: 0,
            answer: Vec::new(),
            parts: Vec::new(),
            signed: Vec::new(),
            released: 0,
            proven: 0,
            replaying: None,
            end_proven: false,
            receipt: None,
            cancelled: None,
            watchdog: Watchdog::default(),
            line: Line::default(),
            awaited: None,
            wake: None,
            hasty: 0,
            started: 0,
            first_token: None,
            seen_by: Vec::new(),
            tried: Vec::new(),
            payments: Vec::new(),
            over: false,
        }
    }

    /// The job.
    #[must_use]
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// When [`Event::Tick`] is due, if ever.
    #[must_use]
    pub fn timer(&self) -> Option<Millis> {
        let deadline = self.policy.deadline_ms;
        (!self.over).then(|| self.wake.map_or(deadline, |wake| wake.min(deadline)))
    }

    /// Takes one event and says what to do.
    pub fn handle(&mut self, now: Millis, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.over {
            return actions;
        }
        match event {
            Event::Start => self.start(now, &mut actions),
            Event::Connected(attempt) => self.connected(now, attempt, &mut actions),
            Event::Frame(attempt, frame) => self.frame(now, attempt, frame, &mut actions),
            Event::Lost(attempt, why) if self.listens_to(attempt) => {
                self.give_up(now, why, &mut actions);
            }
            Event::Lost(..) => {}
            Event::Tick => self.tick(now, &mut actions),
            Event::Offered { offers, more } => self.offered(now, offers, more, &mut actions),
            Event::Replayed { upto, diverges } => {
                self.replayed(now, upto, diverges, &mut actions);
            }
            Event::CannotPay { attempt, missing, why } => {
                self.cannot_pay(now, attempt, missing, &why, &mut actions);
            }
            Event::Cancel { index } => self.cancel(now, index, &mut actions),
        }
        actions
    }

    fn start(&mut self, now: Millis, actions: &mut Vec<Action>) {
        self.started = now;
        self.ask_next(now, actions);
    }

    /// Whether what this attempt says still counts. Whoever gave its receipt or its refusal owes
    /// nothing more, so it may close while replay goes on.
    // spec: SESSION-4.4, SESSION-4.6
    fn listens_to(&self, attempt: Attempt) -> bool {
        let waits =
            |current: &Current| current.attempt == attempt && current.phase != Phase::Refused;
        self.receipt.is_none() && self.current.as_ref().is_some_and(waits)
    }

    /// Asks the next candidate, or says why there is none.
    // spec: SESSION-3.1, SESSION-4.1
    fn ask_next(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if self.candidates.is_empty() && (self.rests(now) || self.awaits(now)) {
            return;
        }
        let Some(offer) = self.candidates.pop_front() else {
            let tried = std::mem::take(&mut self.tried);
            return self.fail(SessionError::NobodyLeft { tried }, actions);
        };
        let provider = offer.offer.provider;
        if self.seen_by.len() >= self.policy.seen_by_max && !self.seen_by.contains(&provider) {
            let maximum = self.policy.seen_by_max;
            return self.fail(SessionError::SeenByEnough { maximum }, actions);
        }
        let order = self.order(now, &offer);
        if let Some(why) = self.unpayable(&order) {
            self.tried.push((provider, why));
            return self.ask_next(now, actions);
        }
        let attempt = Attempt(self.attempts);
        self.attempts += 1;
        let (phase, last_token, unsigned) = (Phase::Dialling, None, 0);
        let (account, left) = (Account::default(), false);
        self.current =
            Some(Current { attempt, offer, order, phase, last_token, unsigned, account, left });
        self.wake = Some(now + DIAL_PATIENCE);
        actions.push(Action::Dial(attempt, provider));
    }

    /// A new order for the same job: the tokens so far are handed over as its prefix.
    // spec: SESSION-1.3, SESSION-3.10, SESSION-4.2
    fn order(&self, now: Millis, offer: &SignedOffer) -> Order {
        let limit = |limits: OfferLimits| now.saturating_add(limits.job_ms.into());
        let deadline_ms = offer.offer.limits.map_or(Millis::MAX, limit);
        let (channel, ceiling) = self.means(offer);
        Order {
            job: self.job.commitment(),
            provider: offer.offer.provider,
            channel,
            prices: offer.offer.prices,
            ceiling,
            start: self.count(),
            deadline_ms: deadline_ms.min(self.policy.deadline_ms),
            privacy: self.policy.privacy,
        }
    }

    /// How many tokens the answer has. A job bounds them far below `u32::MAX`.
    fn count(&self) -> u32 {
        u32::try_from(self.answer.len()).unwrap_or(u32::MAX)
    }

    fn connected(&mut self, now: Millis, attempt: Attempt, actions: &mut Vec<Action>) {
        let (reading, start) = (self.job.prompt.len() + self.answer.len(), self.count());
        let dialled =
            |current: &&mut Current| current.attempt == attempt && current.phase == Phase::Dialling;
        let Some(current) = self.current.as_mut().filter(dialled) else { return };
        // The answer may have been cut while the stream opened.
        current.order.start = start;
        current.phase = Phase::Reading;
        self.seen_by.retain(|seen| *seen != current.order.provider);
        self.seen_by.push(current.order.provider);
        let (order, job, prefix) = (current.order, self.job.clone(), self.answer.clone());
        actions.push(Action::Send(attempt, ClientFrame::Open { order, job, prefix }));
        if let Some(index) = self.cancelled {
            actions.push(Action::Send(attempt, ClientFrame::Cancel { index }));
        }
        self.wait(now, Watchdog::reading_patience(reading));
    }

    /// Waits for the current provider. Where nobody else could go on there is nothing to win by
    /// haste, and an answer to lose.
    // spec: SESSION-5.4
    fn wait(&mut self, now: Millis, patience: Millis) {
        let last = self.candidates.is_empty() && self.line.is_empty();
        self.hasty = now + patience;
        self.wake = Some(now + if last { patience.max(LAST_PATIENCE) } else { patience });
    }

    // spec: SESSION-5.3
    fn tick(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if now >= self.policy.deadline_ms {
            return self.fail(SessionError::Deadline, actions);
        }
        if self.wake.is_none_or(|wake| now < wake) {
            return;
        }
        match self.current {
            Some(_) => self.give_up(now, "silent for too long".into(), actions),
            None => self.ask_next(now, actions),
        }
    }

    /// Leaves the current provider and asks the next one.
    // spec: SESSION-4.1
    fn give_up(&mut self, now: Millis, why: String, actions: &mut Vec<Action>) {
        self.leave(now, why, true, actions);
    }

    /// The same; who did nothing wrong is not blamed.
    fn leave(&mut self, now: Millis, why: String, blamed: bool, actions: &mut Vec<Action>) {
        let Some(current) = self.current.take() else { return };
        let provider = current.order.provider;
        self.wake = None;
        self.tried.push((provider, why.clone()));
        actions.push(Action::Hang(current.attempt));
        if blamed {
            actions.push(Action::GaveUp { provider, why, lied: false, evidence: None });
        }
        self.drop_unproven();
        self.ask_next(now, actions);
    }

    /// In checked mode what nobody replayed yet is not handed on: nobody saw it.
    // spec: SESSION-6.1
    fn drop_unproven(&mut self) {
        if self.policy.mode == Mode::Checked && !self.is_cut_short() {
            self.cut(self.released);
        }
    }

    /// Forgets the tokens from `length` on, and what was signed about them.
    fn cut(&mut self, length: usize) {
        self.answer.truncate(length);
        let count = self.count();
        self.parts.retain(|part| part.start < count);
        self.signed.retain(|signed| signed.statement.checkpoint.index <= count);
        let ends = std::mem::take(&mut self.end_proven);
        if let Some(replaying) = &mut self.replaying {
            replaying.counts &= !ends && replaying.upto <= length;
        }
        self.receipt = None;
    }

    /// Ends the answer after `index` tokens, wherever the tokens come from.
    // spec: SESSION-4.5
    fn cancel(&mut self, now: Millis, index: u32, actions: &mut Vec<Action>) {
        if self.cancelled.is_some() || self.receipt.is_some() || index > self.count() {
            return;
        }
        self.cancelled = Some(index);
        self.cut(index as usize);
        self.released = self.released.min(self.answer.len());
        self.proven = self.proven.min(self.answer.len());
        let Some(current) = &self.current else { return };
        match current.phase {
            Phase::Dialling => {}
            Phase::Reading | Phase::Writing if index >= current.order.start => {
                actions.push(Action::Send(current.attempt, ClientFrame::Cancel { index }));
                self.wait(now, super::watchdog::PATIENCE_MAX);
            }
            _ => self.ask_again(now, actions),
        }
    }

    /// The current provider was given more prefix than is left: a new order says so.
    fn ask_again(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let Some(current) = self.current.take() else { return };
        actions.push(Action::Hang(current.attempt));
        self.candidates.push_front(current.offer);
        self.ask_next(now, actions);
    }

    fn fail(&mut self, error: SessionError, actions: &mut Vec<Action>) {
        self.over = true;
        actions.push(Action::Failed(Box::new(error)));
    }
}

/// How an answer may end, seen from its tokens.
// spec: RECEIPT-3.1
#[must_use]
pub fn natural_finish(job: &Job, end_of_text: &[Token], answer: &[Token]) -> Option<Finish> {
    if answer.last().is_some_and(|last| end_of_text.contains(last)) {
        Some(Finish::Eos)
    } else if job.stops(answer) {
        Some(Finish::Stop)
    } else if answer.len() as u64 >= u64::from(job.max_tokens) {
        Some(Finish::Length)
    } else {
        None
    }
}
