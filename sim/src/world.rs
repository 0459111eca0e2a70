//! The network of one trial: clients, providers and cables on a virtual clock.
//!
//! The state machines are those of `mutirao_market`, the frames are encoded and decoded on every
//! hop, the signatures are made and checked, and the tokens are computed by the engine. Only time,
//! the network and bad luck are invented here.

mod asking;
mod paying;
mod serving;
mod traffic;

use crate::agenda::Agenda;
use crate::cable::{Cable, Way};
use crate::chance::Chance;
use crate::mind::Mind;
use crate::plan::{Misfortune, Plan};
use crate::record::{AskRecord, TrialRecord};
use asking::Asker;
use mutirao_market::Millis;
use mutirao_market::standing::Standing;
use mutirao_wire::Digest;
use serving::Server;
use std::collections::{BTreeMap, VecDeque};

/// More events than any honest trial has: a world that does not come to rest is stopped here.
const EVENTS_MAX: u64 = 200_000;

/// A mistake that is planted, to see the judge find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// The clients' replays find nothing, ever.
    Credulous,
    /// The clients' replays find the first token wrong, always.
    Paranoid,
}

/// What can happen.
#[derive(Debug, Clone, Copy)]
enum Happening {
    /// A client asks.
    Ask(usize),
    /// A client's patience may be over.
    Tick(usize, Millis),
    /// The packet in front arrives.
    Arrive(usize, Way),
    /// A provider's engine says something.
    Work(usize),
    /// Both ends learn that a cable which lost packets is gone.
    Idle(usize),
    /// A provider waited for a farewell for long enough.
    Parting(usize),
    /// A provider waited for a voucher since then.
    Due(usize, Millis),
    /// A client does not want its answer after all.
    Regret(usize),
    /// A client's replay is done: so many tokens, and the first wrong one.
    Replayed(usize, u32, Option<u32>),
}

/// The network of one trial.
#[derive(Debug)]
pub struct World {
    mind: Mind,
    chance: Chance,
    agenda: Agenda<Happening>,
    servers: Vec<Server>,
    askers: Vec<Asker>,
    standings: Vec<Standing>,
    cables: Vec<Cable>,
    misfortunes: Vec<VecDeque<Misfortune>>,
    sabotage: Option<Sabotage>,
    record: TrialRecord,
}

/// Runs a plan until nothing is left to happen.
#[must_use]
pub fn run(plan: &Plan, sabotage: Option<Sabotage>) -> TrialRecord {
    World::new(plan, sabotage).run()
}

impl World {
    fn new(plan: &Plan, sabotage: Option<Sabotage>) -> Self {
        let record = TrialRecord {
            seed: plan.seed,
            kind: plan.kind,
            mind: plan.mind.clone(),
            asks: plan.asks.iter().cloned().map(AskRecord::new).collect(),
            lies: Vec::new(),
            signed: Vec::new(),
            struck: 0,
            refusals: 0,
            places_taken: 0,
            accounts: BTreeMap::new(),
            channels: BTreeMap::new(),
            rested: false,
            events: 0,
            hash: Digest::of("mutirao sim world", &[&plan.seed.to_le_bytes()]),
        };
        let mut world = Self {
            mind: plan.mind.clone(),
            chance: Chance::new(plan.seed, "world"),
            agenda: Agenda::default(),
            servers: plan.providers.iter().map(|one| Server::new(one, &plan.mind)).collect(),
            askers: plan.asks.iter().cloned().map(Asker::new).collect(),
            standings: vec![Standing::default(); plan.clients],
            cables: Vec::new(),
            misfortunes: vec![VecDeque::new(); plan.asks.len()],
            sabotage,
            record,
        };
        for misfortune in &plan.misfortunes {
            world.misfortunes[misfortune.ask].push_back(*misfortune);
        }
        (0..plan.clients).for_each(|client| world.ask_next(client, 0));
        world
    }

    fn run(mut self) -> TrialRecord {
        while self.record.events < EVENTS_MAX {
            let Some((number, what)) = self.agenda.advance() else {
                self.record.rested = true;
                break;
            };
            self.record.events += 1;
            self.log("event", &[&number.to_le_bytes(), format!("{what:?}").as_bytes()]);
            self.happen(what);
        }
        self.record.places_taken =
            self.servers.iter().filter(|server| !server.is_dead()).map(Server::taken).sum();
        self.record
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Ask(ask) => self.begin(ask),
            Happening::Tick(ask, due) => self.tick(ask, due),
            Happening::Arrive(cable, way) => self.arrive(cable, way),
            Happening::Work(cable) => self.work(cable),
            Happening::Idle(cable) => self.cut(cable),
            Happening::Parting(cable) => self.part(cable),
            Happening::Due(cable, since) => self.due(cable, since),
            Happening::Regret(ask) => self.regret(ask),
            Happening::Replayed(ask, upto, diverges) => self.replayed(ask, upto, diverges),
        }
    }

    /// Adds to the digest of everything that happened.
    fn log(&mut self, what: &str, parts: &[&[u8]]) {
        let before = self.record.hash.0;
        let now = self.agenda.now().to_le_bytes();
        let all = [&[before.as_slice(), &now, what.as_bytes()], parts].concat();
        self.record.hash = Digest::of("mutirao sim event", &all);
    }
}
