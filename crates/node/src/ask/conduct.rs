//! Carries one client session: events in, actions out, text to the person.

use super::errand::{AskError, Errand};
use super::{Notice, Question};
use crate::assemble::Node;
use crate::carry::{Carried, Heard};
use crate::clock::Clock;
use crate::mind::{Judge, Letters, MindError, Opened};
use mutirao_market::audit::Replay;
use mutirao_market::measure::Times;
use mutirao_market::session::client::{
    Action, Attempt, Client, Event, Outcome, Policy, SessionError,
};
use mutirao_market::session::frame::{ClientFrame, ProviderFrame};
use mutirao_net::Ticket;
use mutirao_text::StopFinder;
use mutirao_wire::bundle::Evidence;
use mutirao_wire::{Amount, ChannelId, Digest, Finish, Job, PeerKey, SignedOffer, Token};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;
use tokio::sync::mpsc;

/// Events that wait for the session.
const EVENTS_WAITING: usize = 256;

/// What tasks report.
enum Arrived {
    Linked(Attempt, Carried),
    Event(Event),
    /// Somebody offers late; nothing when nobody will any more.
    Late(Option<Vec<SignedOffer>>),
    /// A replay cannot be done.
    Unjudged(MindError),
    /// A replay is done; what was found right need not be checked again.
    Replayed(Option<Box<dyn Judge>>, Event),
}

pub(super) struct Conduct<'a> {
    node: &'a Node,
    opened: &'a Opened,
    errand: &'a Errand,
    clock: Clock,
    watch: &'a mut (dyn FnMut(Notice) + Send),
    stream: Option<Box<dyn Letters>>,
    stops: Option<StopFinder>,
    text: String,
    speaking: Option<PeerKey>,
    links: BTreeMap<Attempt, Carried>,
    inbox: mpsc::Receiver<Arrived>,
    report: mpsc::Sender<Arrived>,
    local: Vec<Event>,
    evidence: Option<PathBuf>,
    checker: Option<Box<dyn Judge>>,
    /// When the last token came, and how long each provider took between two.
    last: Option<Instant>,
    between: BTreeMap<PeerKey, Times>,
}

impl<'a> Conduct<'a> {
    pub(super) fn new(
        node: &'a Node,
        opened: &'a Opened,
        question: &Question,
        errand: &'a Errand,
        watch: &'a mut (dyn FnMut(Notice) + Send),
    ) -> Self {
        let (report, inbox) = mpsc::channel(EVENTS_WAITING);
        Self {
            node,
            opened,
            errand,
            clock: errand.clock,
            watch,
            stream: Some(opened.mind().letters()),
            stops: Some(StopFinder::new(&question.stop)),
            text: String::new(),
            speaking: None,
            links: BTreeMap::new(),
            inbox,
            report,
            local: vec![Event::Start],
            evidence: None,
            checker: None,
            last: None,
            between: BTreeMap::new(),
        }
    }

    /// Runs the session to its end.
    pub(super) async fn run(
        &mut self,
        job: Job,
        end_of_text: Vec<Token>,
        policy: Policy,
    ) -> Result<(Outcome, String), AskError> {
        let mut client = Client::new(job, end_of_text, policy, self.errand.chosen.offers.clone());
        if let Some((late, left)) = self.errand.meeting.latecomers() {
            client = client.awaiting(self.clock.now() + left.as_millis() as u64);
            self.hear(late);
        }
        loop {
            let event = self.next_event(&client).await?;
            for action in client.handle(self.clock.now(), event) {
                match action {
                    Action::Done(outcome) => return Ok(self.done(*outcome)),
                    Action::Failed(error) => return Err(self.failed(*error)),
                    action => self.perform(client.job(), action).await?,
                }
            }
        }
    }

    async fn next_event(&mut self, client: &Client) -> Result<Event, AskError> {
        if let Some(event) = self.local.pop() {
            return Ok(event);
        }
        let patience = client.timer().map_or(std::time::Duration::MAX, |at| self.clock.until(at));
        Ok(match tokio::time::timeout(patience, self.inbox.recv()).await {
            Err(_) | Ok(None) => Event::Tick,
            Ok(Some(Arrived::Event(event))) => event,
            Ok(Some(Arrived::Unjudged(error))) => return Err(error.into()),
            Ok(Some(Arrived::Replayed(checker, event))) => {
                self.checker = checker;
                event
            }
            Ok(Some(Arrived::Late(offers))) => {
                let more = offers.is_some();
                let route = self.errand.route(client.job(), offers.unwrap_or_default());
                Event::Offered { offers: route.offers, more }
            }
            Ok(Some(Arrived::Linked(attempt, carried))) => {
                self.links.insert(attempt, carried);
                Event::Connected(attempt)
            }
        })
    }

    /// Passes on what latecomers offer.
    fn hear(&self, mut late: mpsc::Receiver<Vec<SignedOffer>>) {
        let report = self.report.clone();
        tokio::spawn(async move {
            while let Some(offers) = late.recv().await {
                if report.send(Arrived::Late(Some(offers))).await.is_err() {
                    return;
                }
            }
            let _ = report.send(Arrived::Late(None)).await;
        });
    }

    async fn perform(&mut self, job: &Job, action: Action) -> Result<(), AskError> {
        match action {
            Action::Dial(attempt, provider) => self.dial(attempt, provider),
            Action::Send(attempt, frame) => {
                if let Some(link) = self.links.get(&attempt) {
                    link.send(&frame).await;
                }
            }
            Action::Hang(attempt) => {
                if let Some(link) = self.links.remove(&attempt) {
                    link.hang_up();
                }
            }
            Action::Release { index, token, provider } => self.release(index, token, provider),
            Action::GaveUp { provider, why, lied, evidence } => {
                self.gave_up(provider, why, lied, evidence.as_deref())?;
            }
            Action::Replay { tokens, finish } => self.replay(job, tokens, finish)?,
            Action::Pay { attempt, channel, more, paid, usage } => {
                if let Err(why) = self.pay(attempt, (channel, more, usage), paid).await {
                    self.local.push(Event::CannotPay { attempt, missing: more, why });
                }
            }
            Action::Done(_) | Action::Failed(_) => {}
        }
        Ok(())
    }

    /// Draws a voucher and sends it.
    async fn pay(
        &mut self,
        attempt: Attempt,
        (channel, more, usage): (ChannelId, Amount, Digest),
        paid: Amount,
    ) -> Result<(), String> {
        let cashier = self.node.cashier().ok_or("no wallet is open")?;
        let voucher = cashier.draw(channel, more, usage, self.errand.caller.as_ref())?;
        if let Some(link) = self.links.get(&attempt) {
            link.send(&ClientFrame::Pay { paid, voucher }).await;
        }
        Ok(())
    }

    fn dial(&self, attempt: Attempt, provider: PeerKey) {
        let (net, report) = (self.errand.meeting.net.clone(), self.report.clone());
        let ticket = self.errand.meeting.tickets.get(&provider).cloned();
        let ticket = ticket.unwrap_or_else(|| Ticket::new(provider, Vec::new()));
        tokio::spawn(async move {
            let arrived = match net.dial(&ticket).await {
                Ok(link) => {
                    let heard = report.clone();
                    let carried =
                        Carried::start(link, move |frame| tell(heard.clone(), attempt, frame));
                    Arrived::Linked(attempt, carried)
                }
                Err(error) => Arrived::Event(Event::Lost(attempt, error.to_string())),
            };
            let _ = report.send(arrived).await;
        });
    }

    /// Shows a token's text, and ends the answer at the token that completes a stop string.
    fn release(&mut self, index: u32, token: Token, provider: PeerKey) {
        let now = Instant::now();
        if self.speaking != Some(provider) {
            self.speaking = Some(provider);
            (self.watch)(Notice::Asking { provider });
        } else if let Some(last) = self.last {
            let micros = u64::try_from((now - last).as_micros()).unwrap_or(u64::MAX);
            self.between.entry(provider).or_default().note(micros);
        }
        self.last = Some(now);
        let Some(stream) = &mut self.stream else { return };
        let fresh = stream.push(token);
        let Some(stops) = &mut self.stops else { return };
        let found = stops.push(&fresh);
        self.show(found.text);
        if found.stopped {
            (self.stream, self.stops) = (None, None);
            self.local.push(Event::Cancel { index: index + 1 });
        }
    }

    fn show(&mut self, text: String) {
        self.text.push_str(&text);
        (self.watch)(Notice::Text { text });
    }

    fn gave_up(
        &mut self,
        provider: PeerKey,
        why: String,
        lied: bool,
        evidence: Option<&Evidence>,
    ) -> Result<(), AskError> {
        if let Some(evidence) = evidence {
            self.evidence = Some(self.node.keep_evidence(evidence)?);
        }
        self.errand.standing.change(|standing| match lied {
            true => standing.lied(provider),
            false => standing.failed(provider),
        })?;
        (self.watch)(Notice::Lost { provider, why });
        Ok(())
    }

    /// Checks what was not checked yet, on a thread of its own.
    fn replay(
        &mut self,
        job: &Job,
        tokens: Vec<Token>,
        finish: Option<Finish>,
    ) -> Result<(), AskError> {
        let begun = self.checker.take().filter(|begun| tokens.starts_with(begun.checked()));
        let mut checker = match begun {
            Some(begun) => begun,
            None => self.opened.mind().judge(job)?,
        };
        let report = self.report.clone();
        tokio::task::spawn_blocking(move || {
            let upto = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
            let rest = tokens.get(checker.checked().len()..).unwrap_or_default();
            let ran = match (checker.check(rest), finish) {
                (Ok(Replay::Exact), Some(finish)) => checker.ends(finish),
                (ran, _) => ran,
            };
            let diverges = match ran {
                Ok(Replay::Exact) => None,
                Ok(Replay::DivergesAt(index)) => Some(index),
                Ok(Replay::WrongFinish) => Some(upto),
                Err(error) => {
                    let _ = report.blocking_send(Arrived::Unjudged(error));
                    return;
                }
            };
            // A checker that met a lie goes with the lie: it would say the same of honest tokens.
            let honest = diverges.is_none().then_some(checker);
            let event = Event::Replayed { upto, diverges };
            let _ = report.blocking_send(Arrived::Replayed(honest, event));
        });
        Ok(())
    }

    fn done(&mut self, outcome: Outcome) -> (Outcome, String) {
        let rest = self.stream.take().map(|stream| stream.finish()).unwrap_or_default();
        if let Some(mut stops) = self.stops.take() {
            let found = stops.push(&rest);
            let held = if found.stopped { String::new() } else { stops.finish() };
            self.show(format!("{}{held}", found.text));
        }
        let remembered = self.errand.standing.change(|standing| {
            for (place, part) in outcome.parts.iter().enumerate() {
                let first = (place == 0).then_some(outcome.first_token_ms);
                let between = self.between.remove(&part.provider).unwrap_or_default();
                standing.measured(part.provider, first, &between);
                standing.answered(part.provider, outcome.first_token_ms);
                if outcome.proven {
                    standing.audited(part.provider);
                }
            }
        });
        if let Err(error) = remembered {
            tracing::warn!(%error, "the memory of providers was not written");
        }
        (outcome, std::mem::take(&mut self.text))
    }

    fn failed(&mut self, error: SessionError) -> AskError {
        match error {
            SessionError::AnswerDiverged { position, provider, .. } => {
                AskError::Diverged { position, provider, evidence: self.evidence.take() }
            }
            other => AskError::Session(Box::new(other)),
        }
    }
}

/// Passes a frame on to the session; whether it still listens.
async fn tell(
    report: mpsc::Sender<Arrived>,
    attempt: Attempt,
    heard: Heard<ProviderFrame>,
) -> bool {
    let event = match heard {
        Heard::Frame(frame) => Event::Frame(attempt, frame),
        Heard::Garbage(why) => Event::Lost(attempt, format!("it sent no frame: {why}")),
        Heard::Gone(why) => Event::Lost(attempt, why),
    };
    report.send(Arrived::Event(event)).await.is_ok()
}
