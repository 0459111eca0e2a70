//! Both halves of a session against a partner that says whatever it likes, whenever it likes.

use mutirao_market::session::client::{Action, Attempt, Client, Event, Means, Mode, Policy};
use mutirao_market::session::frame::{ClientFrame, ProviderFrame};
use mutirao_market::session::provider::{self, Desk, Provider};
use mutirao_wire::{
    Amount, ChannelId, Decode, Digest, Finish, Job, ModelId, Offer, OfferLimits, OpSet, Order,
    Prices, Privacy, Sampling, SignedOffer, SigningKey, Token,
};
use std::collections::BTreeSet;

const VOCABULARY: u32 = 60;
const DEADLINE: u64 = 1 << 40;

fn model() -> ModelId {
    ModelId(Digest::of("fuzz", &[b"model"]))
}

fn offer(party: u8) -> SignedOffer {
    let (key, receipts) = (SigningKey::from_secret(&[party; 32]), receipts(party));
    let prices =
        Prices { input: Amount(1), cached_input: Amount(1), output: Amount(1), attest: Amount(1) };
    let offer = Offer {
        provider: key.peer_key(),
        receipt_key: receipts.receipt_key(),
        model: model(),
        op_set: OpSet(1),
        name: "fuzz".into(),
        context: 200,
        prices,
        capacity: 1,
        limits: Some(OfferLimits { job_ms: 3_000, jobs_per_key: u32::from(party % 3) }),
        sequence: 1,
        expires_ms: DEADLINE,
    };
    offer.sign(&key)
}

fn receipts(party: u8) -> SigningKey {
    SigningKey::from_secret(&[100 + party; 32])
}

fn job() -> Job {
    Job {
        op_set: OpSet(1),
        model: model(),
        prompt: (0..7).map(Token).collect(),
        sampling: Sampling::greedy(),
        max_tokens: 20,
        stop: Vec::new(),
        constraint: None,
        nonce: [9; 32],
    }
}

/// The channel towards a party; the third has none.
fn means(party: u8) -> Means {
    let channel = if party == 3 { ChannelId::NONE } else { ChannelId(Digest([party; 32])) };
    Means { channel, left: Amount(500) }
}

fn policy(mode: Mode) -> Policy {
    Policy {
        mode,
        privacy: Privacy::Circle,
        seen_by_max: 4,
        deadline_ms: DEADLINE,
        vocabulary: VOCABULARY,
        newcomers: BTreeSet::new(),
        cap: Amount(1_000),
        means: (1..4).map(|party| (offer(party).offer.provider, means(party))).collect(),
    }
}

/// A script: one byte says what happens, some more say how.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.byte()?).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(taken)
    }
}

/// The client, and then the provider.
pub fn session(bytes: &[u8]) {
    let mut script = Script(bytes);
    match script.byte() {
        Some(kind @ 0..=2) => client(kind, script),
        Some(_) => provide(script),
        None => {}
    }
}

/// What was said of a session.
#[derive(Default)]
struct Seen {
    shown: u32,
    over: bool,
    attempt: u32,
}

fn client(kind: u8, mut script: Script<'_>) {
    let mode = [Mode::Checked, Mode::Streamed { audit: false }, Mode::Streamed { audit: true }];
    let offers = (1..4).map(offer).collect();
    let mut client = Client::new(job(), vec![Token(59)], policy(mode[usize::from(kind)]), offers);
    let (mut seen, mut now) = (Seen::default(), 1);
    hear(client.handle(now, Event::Start), &mut seen);
    while let Some(event) = event(&mut script, &seen) {
        now += u64::from(script.byte().unwrap_or(1)) * 20;
        hear(client.handle(now, event), &mut seen);
    }
}

fn event(script: &mut Script<'_>, seen: &Seen) -> Option<Event> {
    let what = script.byte()?;
    let attempt = Attempt(seen.attempt - u32::from(what >> 7).min(seen.attempt));
    Some(match what & 0x7f {
        0..=7 => Event::Connected(attempt),
        8..=63 => {
            let token = Token(u32::from(script.byte()?));
            Event::Frame(attempt, ProviderFrame::Token { index: seen.shown, token })
        }
        64..=99 => match ProviderFrame::from_bytes(script.bytes()?) {
            Ok(frame) => Event::Frame(attempt, frame),
            Err(_) => Event::Lost(attempt, "garbage".into()),
        },
        100..=109 => Event::Tick,
        110..=119 => {
            let (upto, diverges) = (u32::from(script.byte()?), script.byte()?);
            Event::Replayed { upto, diverges: (diverges < 64).then_some(diverges.into()) }
        }
        124 => {
            let (missing, why) = (Amount(script.byte()?.into()), "no voucher".into());
            Event::CannotPay { attempt, missing, why }
        }
        120..=123 => Event::Cancel { index: u32::from(script.byte()?) },
        _ => Event::Lost(attempt, "gone".into()),
    })
}

/// Tokens are shown in order and once, and nothing is done after the end.
fn hear(actions: Vec<Action>, seen: &mut Seen) {
    for action in actions {
        assert!(!seen.over, "something is done after the end");
        match action {
            Action::Dial(attempt, _) => seen.attempt = attempt.0,
            Action::Release { index, .. } => {
                assert_eq!(index, seen.shown, "shown in order, none twice");
                seen.shown += 1;
            }
            Action::Done(_) | Action::Failed(_) => seen.over = true,
            _ => {}
        }
    }
}

fn provide(mut script: Script<'_>) {
    let desk = Desk { offers: vec![offer(1)], receipts: receipts(1) };
    let mut provider = Provider::new(desk);
    let mut now = 1;
    while let Some(what) = script.byte() {
        now += u64::from(what);
        let Some(event) = heard(what, &mut script) else { return };
        let _ = provider.handle(now, event);
    }
}

fn heard(what: u8, script: &mut Script<'_>) -> Option<provider::Event> {
    let frame = |frame| provider::Event::Frame {
        frame,
        free: what & 1 == 0,
        holds: (what & 2 == 0).then_some(Amount(500)),
    };
    Some(match what & 0x7f {
        0..=31 => frame(ClientFrame::Open {
            order: order(script.byte()?),
            job: job(),
            prefix: prefix(script),
        }),
        32..=39 => frame(ClientFrame::Cancel { index: script.byte()?.into() }),
        40..=63 => match ClientFrame::from_bytes(script.bytes()?) {
            Ok(said) => frame(said),
            Err(error) => provider::Event::BadFrame(error.to_string()),
        },
        64..=79 => provider::Event::Ready,
        80..=111 => provider::Event::Token(Token(script.byte()?.into())),
        112..=115 => provider::Event::PrefixDiverges(script.byte()?.into()),
        116..=119 => {
            let (done, total) = (script.byte()?.into(), script.byte()?.into());
            provider::Event::Reading { done, total, cached: u32::from(what & 1) }
        }
        120 => provider::Event::Unpaid("no voucher".into()),
        121..=123 => provider::Event::Paid(Amount(script.byte()?.into())),
        _ => provider::Event::Finished(if what & 2 == 0 { Finish::Eos } else { Finish::Length }),
    })
}

fn order(start: u8) -> Order {
    let offer = offer(1);
    Order {
        job: job().commitment(),
        provider: offer.offer.provider,
        channel: ChannelId(Digest([start % 3; 32])),
        prices: offer.offer.prices,
        ceiling: Amount(u64::from(start % 32) * 4),
        start: u32::from(start) / 64,
        deadline_ms: DEADLINE,
        privacy: Privacy::Circle,
    }
}

fn prefix(script: &mut Script<'_>) -> Vec<Token> {
    let bytes = script.bytes().unwrap_or_default();
    bytes.iter().take(3).map(|byte| Token((*byte).into())).collect()
}
