//! One question, every road: alone, over a hub, over QUIC, after deaths, in every chunking.

mod bits;
mod faults;
mod forms;
mod late;
mod liar;
mod owner;
pub(crate) mod paid;

use super::*;
use crate::config::{Config, Home, Mode, Settings};
use crate::keys::Keys;
use mutirao_learn::eval::questions;
use mutirao_net::memory::Hub;
use mutirao_net::{Net, Ticket};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a test keeps its keys and memory; it is gone afterwards.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    /// A node of its own, with these changes to the usual settings.
    pub(crate) fn node(&self, name: &str, change: impl FnOnce(&mut Config)) -> Node {
        let mut config =
            Settings::default().resolve(&Home::find(|_| None)).expect("the defaults resolve");
        config.data_dir = self.0.path().join(name);
        config.threads = 1;
        change(&mut config);
        Node::new(config)
    }
}

/// A question of `content`, greedy unless `sampling` says otherwise.
pub(super) fn question(content: &str, max_tokens: u32) -> Question {
    Question {
        model: crate::models::VILLAGE.into(),
        messages: vec![Message { role: "user".into(), content: content.into() }],
        sampling: Sampling::greedy(),
        max_tokens,
        stop: Vec::new(),
        form: Form::default(),
        logprobs: None,
        raw: false,
    }
}

/// Greedy for even numbers, seeded for odd ones.
pub(super) fn sampling(number: usize) -> Sampling {
    let seed = Node::seed(number as u64);
    match number % 2 {
        0 => Sampling::greedy(),
        _ => Sampling { temperature_milli: 900, seed, ..Sampling::greedy() },
    }
}

/// Fifty prompts of 65 to 200 tokens, made of the village's held-out questions.
pub(super) fn fifty(opened: &Opened) -> Vec<Question> {
    let texts: Vec<String> = questions(7, 40).into_iter().map(|example| example.user).collect();
    let prompts = (0..50).map(|number| {
        let wanted = 65 + number * 130 / 49;
        let tokens = |text: &str| job(opened, &question(text, 1)).expect("a job").prompt.len();
        let mut content = String::new();
        for text in texts.iter().cycle().skip(number * 13) {
            if tokens(&content) >= wanted {
                break;
            }
            let longer = format!("{content}{text} ");
            if tokens(longer.trim_end()) <= 200 {
                content = longer;
            }
        }
        let mut asked = question(content.trim_end(), 32);
        asked.sampling = sampling(number);
        asked
    });
    prompts.collect()
}

/// Providers of the village model that meet one client in a hub.
pub(super) struct Circle {
    pub(super) hub: Hub,
    pub(super) tickets: BTreeMap<PeerKey, Ticket>,
    pub(super) client: Node,
}

impl Circle {
    /// `count` providers at `pace` tokens a second.
    pub(super) fn new(place: &Place, opened: &Opened, count: usize, pace: u32) -> Self {
        let hub = Hub::new();
        let mut tickets = BTreeMap::new();
        let node = place.node("provider", |config| {
            config.pace = pace;
            config.capacity = 64;
        });
        for _ in 0..count {
            let keys = Keys::throw_away().expect("keys");
            let net = hub.node(keys.peer.peer_key());
            tickets.insert(net.key(), net.ticket());
            let counter = Arc::new(node.counter(opened, keys, Clock::start()));
            tokio::spawn(counter.serve(net));
        }
        let client = place.node("client", |config| {
            config.privacy = Privacy::Circle;
            config.receipts = false;
        });
        Self { hub, tickets, client }
    }

    /// The client's side of the hub, with every provider that still lives.
    pub(super) fn net(&self) -> Arc<dyn Net> {
        self.hub.node(Keys::throw_away().expect("keys").peer.peer_key())
    }

    /// Asks; `watch` sees what happens.
    pub(super) async fn ask(
        &self,
        opened: &Opened,
        question: &Question,
        watch: &mut (dyn FnMut(Notice) + Send),
    ) -> Result<Answered, AskError> {
        let (job, clock) = (job(opened, question)?, Clock::start());
        let tickets = self.tickets.clone();
        let memory = self.client.standing()?;
        let meeting = Meeting::remembering(self.net(), tickets, memory).await?;
        let errand = Errand::choose(&self.client, None, meeting, &job, clock).await?;
        self.client.ask_on(&errand, opened, question, job, watch).await
    }
}

/// Many threads carry, so that providers and clients really run at the same time.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime")
}

/// What this machine says alone, in one piece, on the reference kernels.
pub(super) fn alone(opened: &Opened, question: &Question) -> Vec<Token> {
    bits::answer(opened, question, bits::REFERENCE)
}

/// The mode in which nothing is shown before it was replayed.
pub(super) fn checked(config: &mut Config) {
    config.mode = Mode::Checked;
}
