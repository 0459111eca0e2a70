//! A provider that changes one token and signs everything as if nothing had happened.

use super::*;
use crate::carry::{Carried, Heard};
use crate::serve::Counter;
use mutirao_engine::pool::Serial;
use mutirao_engine::{Generation, Step};
use mutirao_market::session::frame::ClientFrame;
use mutirao_market::session::provider::{Action, Event, Provider};
use mutirao_net::Link;
use std::sync::Mutex;
use tokio::sync::mpsc;

/// The token that is changed.
const LIE: usize = 20;

/// Serves one link: the real session, the real engine, one wrong token.
async fn lie(counter: Arc<Counter>, link: Link) {
    let (heard, mut inbox) = mpsc::channel(8);
    let carried = Carried::start(link, move |frame: Heard<ClientFrame>| {
        let heard = heard.clone();
        async move { heard.send(frame).await.is_ok() }
    });
    let mut session = Provider::new(counter.desk());
    let mut events = std::collections::VecDeque::new();
    while !session.is_over() {
        let event = match events.pop_front() {
            Some(event) => event,
            None => match inbox.recv().await {
                Some(Heard::Frame(frame)) => Event::Frame { frame, free: true, holds: None },
                _ => Event::Gone,
            },
        };
        for action in session.handle(counter.clock.now(), event) {
            match action {
                Action::Send(frame) => {
                    carried.send(&frame).await;
                }
                Action::Engage { job, prefix } => events.extend(forge(&counter, job, prefix)),
                _ => {}
            }
        }
    }
    carried.finish().await;
}

fn forge(counter: &Counter, job: Job, prefix: Vec<Token>) -> Vec<Event> {
    let model = counter.mind.as_here().expect("in this process").model.clone();
    let mut generation = Generation::with_prefix(model, job, prefix).expect("it fits");
    let mut events = vec![Event::Ready];
    loop {
        let index = generation.answer().len();
        match generation.next(&Serial) {
            Step::Token(token) if index == LIE => events.push(Event::Token(Token(token.0 ^ 1))),
            Step::Token(token) => events.push(Event::Token(token)),
            Step::Finished(finish) => {
                events.push(Event::Finished(finish));
                return events;
            }
        }
    }
}

/// Two honest providers, and one liar whom nobody suspects yet and who is asked first.
struct Village {
    circle: Circle,
    liar: PeerKey,
}

fn village(place: &Place, opened: &Opened, mode: Mode) -> Village {
    let mut circle = Circle::new(place, opened, 2, 0);
    let keys = Keys::throw_away().expect("keys");
    let liar = keys.peer.peer_key();
    let net = circle.hub.node(liar);
    circle.tickets.insert(liar, net.ticket());
    let counter = Arc::new(place.node("liar", |_| {}).counter(opened, keys, Clock::start()));
    tokio::spawn(async move {
        while let Some(link) = net.accept().await {
            tokio::spawn(lie(counter.clone(), link));
        }
    });
    circle.client = place.node("client", |config| {
        config.privacy = Privacy::Circle;
        config.mode = mode;
        config.audit_one_in = 1;
    });
    Village { circle, liar }
}

/// The standing file says that the liar was the fastest and never failed.
fn praise(village: &Village) {
    let standing = village.circle.client.standing().expect("a memory");
    standing
        .change(|standing| {
            for key in village.circle.tickets.keys() {
                standing.answered(*key, if *key == village.liar { 1 } else { 500 });
                standing.audited(*key);
            }
        })
        .expect("remembered");
}

const STORY: &str = "Tell me a story about a fox and a bell.";

#[test]
fn in_checked_mode_a_lie_is_never_shown_and_an_honest_provider_goes_on() {
    let place = Place::new();
    let opened = place.node("one", |_| {}).open_anew("village").expect("the village");
    runtime().block_on(async {
        let village = village(&place, &opened, Mode::Checked);
        praise(&village);
        let lost = Mutex::new(Vec::new());
        let mut watch = |notice: Notice| {
            if let Notice::Lost { provider, .. } = notice {
                lost.lock().expect("a lock").push(provider);
            }
        };
        let asked = question(STORY, 128);
        let answered = village.circle.ask(&opened, &asked, &mut watch).await.expect("an answer");
        assert_eq!(answered.tokens, alone(&opened, &asked));
        assert_eq!(answered.trust, Trust::Replayed);
        assert_eq!(*lost.lock().expect("a lock"), [village.liar], "only the liar is left");
        let kept = place.0.path().join("client/evidence");
        assert_eq!(std::fs::read_dir(kept).expect("evidence").count(), 1);
    });
}

// spec: SESSION-6.5
#[test]
fn in_streamed_mode_a_lie_that_was_shown_ends_with_evidence_that_a_stranger_accepts() {
    let place = Place::new();
    let opened = place.node("one", |_| {}).open_anew("village").expect("the village");
    runtime().block_on(async {
        let village = village(&place, &opened, Mode::Streamed);
        praise(&village);
        let asked = question(STORY, 128);
        let error =
            village.circle.ask(&opened, &asked, &mut |_| {}).await.expect_err("a lie was shown");
        let AskError::Diverged { position, provider, evidence } = error else {
            panic!("another error: {error}");
        };
        assert_eq!((position as usize, provider), (LIE, village.liar));
        let file = std::fs::read(evidence.expect("a file")).expect("evidence");
        let verdict = place.node("stranger", |_| {}).verify(&file).expect("judged");
        assert!(verdict.holds() && verdict.diverges_at() == Some(position));

        let again = village.circle.ask(&opened, &asked, &mut |_| {}).await.expect("an answer");
        assert_eq!(again.tokens, alone(&opened, &asked), "who lied once is not asked again");
    });
}
