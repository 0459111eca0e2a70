//! Events in any order and of any kind: the client never panics, never shows a token twice or out
//! of its order, shows nothing unreplayed in checked mode, and does the same again each time.

use super::*;
use mutirao_wire::{Checkpoint, SignedReceipt};
use proptest::prelude::*;

const LONG: u32 = 40;

/// One thing that happens; numbers are made to fit the moment at which they are played.
#[derive(Debug, Clone, Copy)]
enum Move {
    Start,
    Connect,
    Accept,
    Progress,
    /// So many right tokens, each sixteen of them signed.
    Right(u8),
    Wrong,
    Token(u32, u32),
    Checkpoint,
    /// The last checkpoint and the receipt that are due, if the answer is whole.
    End,
    Receipt(Finish),
    ForeignReceipt,
    Refuse,
    RefusePrefix(u32),
    Offers,
    Lost,
    Late(u32),
    Replay,
    Tick,
    Cancel(u32),
    Wait(u16),
}

fn arb_finish() -> impl Strategy<Value = Finish> {
    prop_oneof![
        4 => Just(Finish::Length),
        1 => Just(Finish::Eos),
        1 => Just(Finish::Stop),
        1 => Just(Finish::Trap),
        1 => Just(Finish::ProviderStopped),
        4 => (0..=LONG).prop_map(|index| Finish::Cancelled { index }),
    ]
}

fn arb_move() -> impl Strategy<Value = Move> {
    let index = 0..(LONG + 3);
    prop_oneof![
        1 => Just(Move::Start),
        9 => Just(Move::Connect),
        2 => Just(Move::Accept),
        1 => Just(Move::Progress),
        20 => (1..17u8).prop_map(Move::Right),
        4 => Just(Move::Wrong),
        1 => (index.clone(), 0..VOCABULARY + 3).prop_map(|(at, token)| Move::Token(at, token)),
        6 => Just(Move::Checkpoint),
        8 => Just(Move::End),
        2 => arb_finish().prop_map(Move::Receipt),
        1 => Just(Move::ForeignReceipt),
        1 => Just(Move::Refuse),
        3 => index.clone().prop_map(Move::RefusePrefix),
        1 => Just(Move::Offers),
        2 => Just(Move::Lost),
        1 => (0..5u32).prop_map(Move::Late),
        12 => Just(Move::Replay),
        2 => Just(Move::Tick),
        2 => index.prop_map(Move::Cancel),
        2 => (0..3_000u16).prop_map(Move::Wait),
    ]
}

/// A world that knows what was asked of it, and keeps what it told the client and what came back.
struct Chaos {
    client: Client,
    job: Job,
    checked: bool,
    truth: Vec<Token>,
    now: Millis,
    attempt: Attempt,
    party: u8,
    opened: bool,
    order: Option<Order>,
    /// The answer as the provider that is asked has it.
    said: Vec<Token>,
    cancel: Option<u32>,
    replays: VecDeque<(Vec<Token>, Option<Finish>)>,
    confirmed: usize,
    shown: Vec<Token>,
    outcome: Option<Result<Outcome, SessionError>>,
    heard: Vec<(Millis, Event)>,
    log: Vec<String>,
}

impl Chaos {
    fn new(mode: Mode) -> Self {
        let job = job(LONG);
        let truth = Toy::default().answer(&job).0;
        let client = Self::client(&job, mode);
        Self {
            client,
            job,
            checked: mode == Mode::Checked,
            truth,
            now: DAWN,
            attempt: Attempt(0),
            party: 1,
            opened: false,
            order: None,
            said: Vec::new(),
            cancel: None,
            replays: VecDeque::new(),
            confirmed: 0,
            shown: Vec::new(),
            outcome: None,
            heard: Vec::new(),
            log: Vec::new(),
        }
    }

    fn client(job: &Job, mode: Mode) -> Client {
        let offers = (1..=6).map(offer).collect();
        Client::new(job.clone(), ENDS.to_vec(), policy(mode), offers)
    }

    fn tell(&mut self, event: Event) {
        self.now += 1;
        self.heard.push((self.now, event.clone()));
        let actions = self.client.handle(self.now, event);
        self.log.push(format!("{actions:?}"));
        assert!(self.outcome.is_none() || actions.is_empty(), "something is done after the end");
        for action in actions {
            assert!(self.outcome.is_none(), "the last action is the last");
            self.note(action);
        }
        assert_eq!(self.client.timer().is_none(), self.outcome.is_some());
    }

    /// Nothing is paid for that was not announced.
    fn is_delivered(&self, paid: Amount) {
        let order = self.order.expect("an order is out");
        let end = count(self.said.len());
        let most = price(&order, &self.job, Served { start: order.start, end });
        assert!(Some(paid) <= most && paid <= order.ceiling, "{paid} of {most:?}");
    }

    fn note(&mut self, action: Action) {
        match action {
            Action::Dial(attempt, key) => {
                self.party = (1..=6).find(|party| peer(*party) == key).expect("a party");
                (self.attempt, self.opened, self.order) = (attempt, false, None);
            }
            Action::Send(attempt, ClientFrame::Open { order, job, prefix }) => {
                assert_eq!((attempt, &job), (self.attempt, &self.job));
                assert_eq!(order.start as usize, prefix.len());
                (self.order, self.said) = (Some(order), prefix);
            }
            Action::Release { index, token, .. } => {
                assert_eq!(index as usize, self.shown.len(), "in order, none twice");
                self.shown.push(token);
                let known = !self.checked || self.shown.len() <= self.confirmed;
                assert!(known, "token {index} is shown before replay confirmed it");
            }
            Action::Replay { tokens, finish } => self.replays.push_back((tokens, finish)),
            Action::GaveUp { evidence: Some(evidence), lied, .. } => {
                let judged = audit::convict(&evidence, &facts(), &mut Toy::default());
                assert!(lied && matches!(judged, Ok(Conviction::Guilty { .. })), "{judged:?}");
            }
            Action::Done(outcome) => self.outcome = Some(Ok(*outcome)),
            Action::Failed(error) => self.outcome = Some(Err(*error)),
            Action::Send(_, ClientFrame::Cancel { index }) => self.cancel = Some(index),
            Action::Pay { paid, .. } => self.is_delivered(paid),
            Action::Send(..) | Action::Hang(_) | Action::GaveUp { .. } => {}
        }
        assert!(self.replays.len() <= 1, "one replay at a time");
    }

    fn say(&mut self, frame: ProviderFrame) {
        self.tell(Event::Frame(self.attempt, frame));
    }

    fn give(&mut self, token: Token) {
        let index = count(self.said.len());
        self.said.push(token);
        self.say(ProviderFrame::Token { index, token });
    }

    /// What the model gives next, the truth about what is said already left aside.
    fn next(&self) -> Option<Token> {
        match Toy::default().next(&self.job, &self.said) {
            Step::Token(token) => Some(token),
            Step::Finished(_) => None,
        }
    }

    fn right(&mut self, tokens: u8) {
        self.play(Move::Connect);
        for _ in 0..tokens {
            let Some(token) = self.next() else { return };
            self.give(token);
            let own = self.said.len() - self.order.map_or(0, |order| order.start as usize);
            if own.is_multiple_of(16) {
                self.checkpoint();
            }
        }
    }

    fn checkpoint(&mut self) {
        let Some(order) = self.order.filter(|_| self.cancel.is_none()) else { return };
        let point = Checkpoint {
            job: order.job,
            order: order.commitment(),
            index: count(self.said.len()),
            prefix: self.job.prefix_digest(&self.said),
        };
        self.say(ProviderFrame::Checkpoint(point.sign(&receipts(self.party))));
    }

    fn end(&mut self) {
        let written = count(self.said.len());
        let finish = match (self.cancel, Toy::default().next(&self.job, &self.said)) {
            (Some(index), _) if index <= written => Finish::Cancelled { index },
            (_, Step::Finished(finish)) => finish,
            _ => return,
        };
        self.checkpoint();
        if let Some(signed) = self.receipt(finish) {
            self.say(ProviderFrame::Receipt(signed));
        }
    }

    fn receipt(&self, finish: Finish) -> Option<SignedReceipt> {
        let order = self.order?;
        let mut answer = self.said.clone();
        if let Finish::Cancelled { index } = finish {
            answer.truncate(index as usize);
        }
        let served = Served { start: order.start, end: count(answer.len()) };
        let receipt = Receipt {
            job: order.job,
            order: order.commitment(),
            answer: self.job.answer_commitment(&answer),
            model: self.job.model,
            op_set: self.job.op_set,
            prompt_tokens: count(self.job.prompt.len()),
            answer_tokens: served.end,
            served,
            finish,
            price: price(&order, &self.job, served)?,
            started_ms: DAWN,
            duration_ms: 1,
            provider: order.provider,
        };
        Some(receipt.sign(&receipts(self.party)))
    }

    /// The client's own engine is exact.
    fn replay(&mut self) {
        use crate::audit::{Replay, Replayer};
        let Some((tokens, finish)) = self.replays.pop_front() else { return };
        let upto = count(tokens.len());
        let Ok(said) = Toy::default().replay(&self.job, &tokens, finish);
        let diverges = match said {
            Replay::Exact => None,
            Replay::DivergesAt(position) => Some(position),
            Replay::WrongFinish => Some(upto),
        };
        let right = diverges.unwrap_or(upto);
        self.confirmed = self.confirmed.max(right as usize);
        self.tell(Event::Replayed { upto, diverges });
    }

    fn play(&mut self, step: Move) {
        match step {
            Move::Start if !self.heard.is_empty() => {}
            Move::Start => self.tell(Event::Start),
            Move::Connect if self.opened => {}
            Move::Connect => {
                self.opened = true;
                self.tell(Event::Connected(self.attempt));
            }
            Move::Accept => self.say(ProviderFrame::Accepted),
            Move::Progress => self.say(ProviderFrame::Progress { done: 1, total: 2, cached: 0 }),
            Move::Right(tokens) => self.right(tokens),
            Move::Wrong => {
                let Some(token) = self.next() else { return };
                self.give(other(token));
            }
            Move::Token(index, token) => {
                self.say(ProviderFrame::Token { index, token: Token(token) });
            }
            Move::Checkpoint => self.checkpoint(),
            Move::End => self.end(),
            Move::Receipt(finish) => {
                let Some(signed) = self.receipt(finish) else { return };
                self.say(ProviderFrame::Receipt(signed));
            }
            Move::ForeignReceipt => {
                let Some(signed) = self.receipt(Finish::Length) else { return };
                self.say(ProviderFrame::Receipt(signed.receipt.sign(&receipts(9))));
            }
            Move::Refuse => {
                self.say(ProviderFrame::Refused { code: Refusal::Busy, reason: "no".into() });
            }
            Move::RefusePrefix(index) => self.say(ProviderFrame::PrefixRefused { index }),
            Move::Offers => self.say(ProviderFrame::Offers(Vec::new())),
            Move::Lost => self.tell(Event::Lost(self.attempt, "gone".into())),
            Move::Late(attempt) => {
                let late = Attempt(attempt);
                if late != self.attempt {
                    self.tell(Event::Connected(late));
                    self.tell(Event::Frame(late, ProviderFrame::Accepted));
                    self.tell(Event::Lost(late, "late".into()));
                }
            }
            Move::Replay => self.replay(),
            Move::Tick => self.tell(Event::Tick),
            Move::Cancel(index) => self.tell(Event::Cancel { index }),
            Move::Wait(time) => {
                self.now += Millis::from(time);
                self.tell(Event::Tick);
            }
        }
    }

    fn judge(&self) {
        if self.checked {
            assert!(self.truth.starts_with(&self.shown), "a wrong token was shown");
        }
        match &self.outcome {
            Some(Ok(outcome)) => {
                let (receipt, offer) = (outcome.receipt, outcome.offer.clone());
                let bundle = bundle(&self.job, &outcome.answer, receipt, offer);
                assert_eq!(audit::check(&bundle, &facts()), Ok(()));
                assert!(self.shown.starts_with(&outcome.answer), "it was shown");
                assert!(!outcome.proven || self.truth.starts_with(&outcome.answer));
                assert!(outcome.proven || !self.checked);
                let starts: Vec<u32> = outcome.parts.iter().map(|part| part.start).collect();
                assert!(starts.is_sorted_by(|one, next| one < next), "{starts:?}");
                assert!(starts.iter().all(|start| (*start as usize) < outcome.answer.len()));
                assert_eq!(starts.first().copied(), (!outcome.answer.is_empty()).then_some(0));
            }
            Some(Err(SessionError::AnswerDiverged { position, .. })) => {
                let at = *position as usize;
                assert!(!self.checked && self.shown[at] != self.truth[at]);
                assert_eq!(self.shown[..at], self.truth[..at], "the first wrong one is named");
            }
            Some(Err(_)) | None => {}
        }
    }
}

fn arb_mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Checked), Just(STREAMED), Just(AUDITED)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    // spec: SESSION-3.2, SESSION-4.6, SESSION-6.1, SESSION-6.6
    #[test]
    fn whatever_happens_tokens_are_shown_once_in_order_and_in_checked_mode_only_when_confirmed(
        mode in arb_mode(),
        moves in proptest::collection::vec(arb_move(), 1..60),
    ) {
        let mut chaos = Chaos::new(mode);
        chaos.play(Move::Start);
        chaos.play(Move::Connect);
        moves.into_iter().for_each(|step| chaos.play(step));
        chaos.judge();

        // The same events again: the same actions, word for word.
        let mut again = Chaos::client(&chaos.job, mode);
        for ((now, event), wanted) in chaos.heard.iter().zip(&chaos.log) {
            let actions = again.handle(*now, event.clone());
            prop_assert_eq!(&format!("{actions:?}"), wanted);
        }
    }

    #[test]
    fn nothing_that_comes_before_the_start_brings_it_down(
        mode in arb_mode(),
        moves in proptest::collection::vec(arb_move(), 1..20),
    ) {
        let mut chaos = Chaos::new(mode);
        moves.into_iter().for_each(|step| chaos.play(step));
        chaos.judge();
    }
}
