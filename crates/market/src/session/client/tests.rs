//! The client's half against providers that die, close, refuse, stumble and lie.

mod chaos;
mod cuts;
mod faults;
mod late;
mod paid;
mod truth;

use super::*;
use crate::audit::{self, Conviction};
use crate::session::frame::Refusal;
use crate::session::provider::{self, Provider};
use crate::testing::{
    DAWN, ENDS, Step, Toy, VOCABULARY, bundle, count, desk, facts, job, key, offer, other, peer,
    price, receipts, unsigned_offer,
};
use mutirao_wire::{Amount, Digest, Encode, ModelId, OfferLimits, OpSet, Receipt, Served};
use std::collections::BTreeMap;

/// How a provider behaves.
#[derive(Debug, Clone, Copy)]
enum Manner {
    Honest,
    /// Cannot be reached.
    Away,
    /// Opens its stream and says nothing.
    Mute,
    /// Goes silent after so many tokens of the answer.
    Dies(usize),
    /// Closes its stream after so many tokens of the answer.
    Closes(usize),
    /// Has no room.
    Busy,
    /// Has no room the first so many times that it is asked.
    Full(usize),
    /// Writes one wrong token, and goes on from it as the model would; checks no prefix.
    Lies(usize),
    /// Says that this place of its prefix is wrong.
    Denies(u32),
    /// Ends at this token as if the engine had trapped.
    Gives(usize),
    /// Changes this number of the frames it says.
    Bends(usize, Bend),
}

/// A change to a frame.
type Bend = fn(&mut ProviderFrame);

/// A stream to one provider.
struct Stream {
    party: u8,
    half: Provider,
    manner: Manner,
    said: usize,
    silent: bool,
}

/// A session among providers 1, 2, … and all that was seen of it.
struct Stage {
    client: Client,
    toy: Toy,
    now: Millis,
    manners: Vec<Manner>,
    streams: BTreeMap<Attempt, Stream>,
    events: VecDeque<Event>,
    cancel_after: Option<u32>,
    shown: Vec<Token>,
    writers: Vec<PeerKey>,
    opened: Vec<(PeerKey, Order, Vec<Token>)>,
    left: Vec<(PeerKey, String, bool)>,
    evidence: Vec<Evidence>,
    replays: Vec<(usize, Option<Finish>)>,
    paid: Vec<(Attempt, Amount)>,
    /// Whose vouchers cannot be drawn.
    stuck: Option<Attempt>,
    outcome: Option<Result<Outcome, SessionError>>,
}

const STREAMED: Mode = Mode::Streamed { audit: false };
const AUDITED: Mode = Mode::Streamed { audit: true };

/// More than any answer here costs.
const PLENTY: Amount = Amount(1 << 40);

/// The channel towards a party.
fn means(party: u8) -> Means {
    Means { channel: ChannelId(Digest([party; 32])), left: PLENTY }
}

fn policy(mode: Mode) -> Policy {
    Policy {
        mode,
        privacy: Privacy::Circle,
        seen_by_max: 8,
        deadline_ms: DAWN + 600_000,
        vocabulary: VOCABULARY,
        newcomers: BTreeSet::new(),
        cap: PLENTY,
        means: (1..=9).map(|party| (peer(party), means(party))).collect(),
    }
}

impl Stage {
    fn new(job: &Job, policy: Policy, manners: &[Manner]) -> Self {
        let offers = (1..).zip(manners).map(|(party, _)| offer(party)).collect();
        Self {
            client: Client::new(job.clone(), ENDS.to_vec(), policy, offers),
            toy: Toy::default(),
            now: DAWN,
            manners: manners.to_vec(),
            streams: BTreeMap::new(),
            events: VecDeque::from([Event::Start]),
            cancel_after: None,
            shown: Vec::new(),
            writers: Vec::new(),
            opened: Vec::new(),
            left: Vec::new(),
            evidence: Vec::new(),
            replays: Vec::new(),
            paid: Vec::new(),
            stuck: None,
            outcome: None,
        }
    }

    /// A whole session in one mode.
    fn play(job: &Job, mode: Mode, manners: &[Manner]) -> Self {
        let mut stage = Self::new(job, policy(mode), manners);
        stage.run();
        stage
    }

    /// Until the session is over: events in their order, the clock only when nothing else comes.
    fn run(&mut self) {
        for _ in 0..10_000 {
            if self.outcome.is_some() {
                return;
            }
            match self.events.pop_front() {
                Some(event) => self.step(event),
                None => {
                    self.now = self.client.timer().expect("a session that waits has a timer");
                    self.step(Event::Tick);
                }
            }
        }
        panic!("the session does not end");
    }

    fn step(&mut self, event: Event) {
        self.now += 1;
        for action in self.client.handle(self.now, event) {
            assert!(self.outcome.is_none(), "something is done after the end");
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Dial(attempt, key) => self.dial(attempt, key),
            Action::Send(attempt, frame) => self.carry(attempt, frame),
            Action::Pay { attempt, more, .. } if self.stuck == Some(attempt) => {
                let (missing, why) = (more, "the disk is full".into());
                self.events.push_front(Event::CannotPay { attempt, missing, why });
            }
            Action::Pay { attempt, paid, .. } => {
                self.paid.push((attempt, paid));
                self.carry(attempt, ClientFrame::Pay { paid, voucher: paid.to_bytes() });
            }
            Action::Hang(attempt) => drop(self.streams.remove(&attempt)),
            Action::Release { index, token, provider } => self.show(index, token, provider),
            Action::GaveUp { provider, why, lied, evidence } => {
                self.left.push((provider, why, lied));
                self.evidence.extend(evidence.map(|evidence| *evidence));
            }
            Action::Replay { tokens, finish } => self.replay(&tokens, finish),
            Action::Done(outcome) => self.outcome = Some(Ok(*outcome)),
            Action::Failed(error) => self.outcome = Some(Err(*error)),
        }
    }

    fn show(&mut self, index: u32, token: Token, provider: PeerKey) {
        assert_eq!(index, count(self.shown.len()), "shown in order, none twice");
        self.shown.push(token);
        self.writers.push(provider);
        if self.cancel_after == Some(index + 1) {
            self.events.push_front(Event::Cancel { index: index + 1 });
        }
    }

    fn dial(&mut self, attempt: Attempt, key: PeerKey) {
        let party = (1..=9).find(|party| peer(*party) == key).expect("a party of the test");
        let manner = self.manners[usize::from(party) - 1];
        if matches!(manner, Manner::Away) {
            return self.events.push_back(Event::Lost(attempt, "no reply".into()));
        }
        let half = Provider::new(desk(party));
        let silent = matches!(manner, Manner::Mute);
        self.streams.insert(attempt, Stream { party, half, manner, said: 0, silent });
        self.events.push_back(Event::Connected(attempt));
    }

    fn carry(&mut self, attempt: Attempt, frame: ClientFrame) {
        let Some(mut stream) = self.streams.remove(&attempt) else { return };
        if let ClientFrame::Open { order, prefix, .. } = &frame {
            self.opened.push((peer(stream.party), *order, prefix.clone()));
        }
        let asked = self.opened.iter().filter(|(key, ..)| *key == peer(stream.party)).count();
        let free = match stream.manner {
            Manner::Busy => false,
            Manner::Full(times) => asked > times,
            _ => true,
        };
        let event = provider::Event::Frame { frame, free, holds: Some(PLENTY) };
        self.tell(attempt, &mut stream, event);
        self.streams.insert(attempt, stream);
    }

    fn tell(&mut self, attempt: Attempt, stream: &mut Stream, event: provider::Event) {
        for action in stream.half.handle(self.now, event) {
            match action {
                provider::Action::Send(frame) => self.say(attempt, stream, frame),
                provider::Action::Engage { job, prefix } => {
                    for event in self.engine(stream.manner, &job, &prefix) {
                        self.tell(attempt, stream, event);
                    }
                }
                provider::Action::Redeem { paid, .. } => {
                    self.tell(attempt, stream, provider::Event::Paid(paid));
                }
                _ => {}
            }
        }
    }

    /// What the provider's engine comes to.
    fn engine(&self, manner: Manner, job: &Job, prefix: &[Token]) -> Vec<provider::Event> {
        use provider::Event::{Finished, PrefixDiverges, Ready};
        let lie = match manner {
            Manner::Lies(at) if at >= prefix.len() => Some(at),
            _ => None,
        };
        match (manner, self.toy.diverges(job, prefix)) {
            (Manner::Denies(index), _) => return vec![PrefixDiverges(index)],
            (Manner::Lies(_), _) | (_, None) => {}
            (_, Some(index)) => return vec![PrefixDiverges(index)],
        }
        let mut events = vec![Ready];
        let mut answer = prefix.to_vec();
        loop {
            if matches!(manner, Manner::Gives(at) if at == answer.len()) {
                events.push(Finished(Finish::Trap));
                return events;
            }
            match self.toy.next(job, &answer) {
                Step::Token(right) => {
                    let token = if lie == Some(answer.len()) { other(right) } else { right };
                    answer.push(token);
                    events.push(provider::Event::Token(token));
                }
                Step::Finished(finish) => {
                    events.push(Finished(finish));
                    return events;
                }
            }
        }
    }

    /// What reaches the client of what the provider says.
    fn say(&mut self, attempt: Attempt, stream: &mut Stream, mut frame: ProviderFrame) {
        if stream.silent {
            return;
        }
        let number = stream.said;
        stream.said += 1;
        match stream.manner {
            Manner::Bends(at, bend) if at == number => bend(&mut frame),
            _ => {}
        }
        let index = match &frame {
            ProviderFrame::Token { index, .. } => Some(*index as usize),
            _ => None,
        };
        match stream.manner {
            Manner::Dies(at) if index == Some(at) => stream.silent = true,
            Manner::Closes(at) if index == Some(at) => {
                stream.silent = true;
                self.events.push_back(Event::Lost(attempt, "it closed the stream".into()));
            }
            _ => self.events.push_back(Event::Frame(attempt, frame)),
        }
    }

    fn replay(&mut self, tokens: &[Token], finish: Option<Finish>) {
        use crate::audit::{Replay, Replayer};
        self.replays.push((tokens.len(), finish));
        let upto = count(tokens.len());
        let job = self.client.job().clone();
        let Ok(said) = self.toy.replay(&job, tokens, finish);
        let diverges = match said {
            Replay::Exact => None,
            Replay::DivergesAt(position) => Some(position),
            Replay::WrongFinish => Some(upto),
        };
        self.events.push_back(Event::Replayed { upto, diverges });
    }

    fn outcome(&self) -> &Outcome {
        match &self.outcome {
            Some(Ok(outcome)) => outcome,
            other => panic!("no answer: {other:?}; left {:?}", self.left),
        }
    }

    fn error(&self) -> &SessionError {
        match &self.outcome {
            Some(Err(error)) => error,
            other => panic!("no error: {other:?}"),
        }
    }

    /// The one answer, shown once, under one receipt that a stranger accepts.
    fn is_right(&self, job: &Job) {
        let (answer, finish) = self.toy.answer(job);
        let outcome = self.outcome();
        assert_eq!((&outcome.answer, &self.shown), (&answer, &answer));
        assert_eq!(outcome.receipt.receipt.finish, finish);
        let bundle = bundle(job, &answer, outcome.receipt, outcome.offer.clone());
        assert_eq!(audit::check(&bundle, &facts()), Ok(()));
    }

    fn left(&self) -> Vec<u8> {
        let number = |key: &PeerKey| (1..=9).find(|party| peer(*party) == *key).expect("a party");
        self.left.iter().map(|(key, ..)| number(key)).collect()
    }

    /// Each piece of evidence convicts this party before a stranger.
    fn convicted(&self, party: u8, position: u32) {
        assert!(!self.evidence.is_empty(), "there is no evidence");
        for evidence in &self.evidence {
            assert_eq!(evidence.offer.offer.provider, peer(party));
            let judged = audit::convict(evidence, &facts(), &mut self.toy.clone());
            assert_eq!(judged, Ok(Conviction::Guilty { position }));
        }
    }
}
