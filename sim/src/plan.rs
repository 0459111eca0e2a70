//! What a seed decides before a trial begins: who is there, who asks what, and what goes wrong.
//!
//! One provider, the rock, is never struck, has room for everybody and is the dearest, so that it
//! is asked last. Whatever happens to the others, each answer can be finished; if one is not, the
//! session is at fault and not the weather.

use crate::chance::Chance;
use crate::mind::{Mind, Minds, count};
use mutirao_engine::JobError;
use mutirao_market::Millis;
use mutirao_market::session::client::Mode;
use mutirao_wire::{Amount, Finish, Job, Prices, Sampling, SigningKey, Token};

/// What a trial is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Nothing goes wrong.
    Calm,
    /// A provider vanishes.
    Death,
    /// A provider stops for a while.
    Freeze,
    /// A connection is cut.
    Drop,
    /// Frames are lost, or held back, both ways for a while.
    Partition,
    /// A provider's frames are late.
    Delay,
    /// A wrong token before the first checkpoint.
    LieEarly,
    /// A wrong token after the first checkpoint.
    LieLate,
    /// A wrong end.
    LieEnd,
    /// A wrong token, and its writer vanishes.
    LieAndDie,
    /// A right prefix is refused.
    FalseRefusal,
    /// Bytes that are no frame.
    Garbage,
    /// Providers without room, or at other prices than they offered.
    Busy,
    /// Two providers vanish within one answer.
    Double,
    /// Checkpoints are not sent.
    Mute,
    /// A client stops to pay, or forges its vouchers.
    Miser,
    /// A client vanishes.
    Vanish,
}

impl Kind {
    /// All of them, in the order in which seeds take turns.
    pub const ALL: [Self; 17] = [
        Self::Calm,
        Self::Death,
        Self::Freeze,
        Self::Drop,
        Self::Partition,
        Self::Delay,
        Self::LieEarly,
        Self::LieLate,
        Self::LieEnd,
        Self::LieAndDie,
        Self::FalseRefusal,
        Self::Garbage,
        Self::Busy,
        Self::Double,
        Self::Mute,
        Self::Miser,
        Self::Vanish,
    ];

    /// The kind of a trial; neighbouring seeds try all kinds in turn.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let index = usize::try_from(seed % Self::ALL.len() as u64);
        Self::ALL[index.unwrap_or(0)]
    }

    /// For people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Death => "death",
            Self::Freeze => "freeze",
            Self::Drop => "dropped connection",
            Self::Partition => "partition",
            Self::Delay => "delay",
            Self::LieEarly => "wrong token early",
            Self::LieLate => "wrong token late",
            Self::LieEnd => "wrong end",
            Self::LieAndDie => "wrong token, death",
            Self::FalseRefusal => "false refusal",
            Self::Garbage => "garbage",
            Self::Busy => "busy, repriced",
            Self::Double => "two deaths",
            Self::Mute => "checkpoints withheld",
            Self::Miser => "client stops paying",
            Self::Vanish => "client vanishes",
        }
    }

    /// Whether somebody lies about the answer.
    fn lies(self) -> bool {
        matches!(self, Self::LieEarly | Self::LieLate | Self::LieEnd | Self::LieAndDie)
    }
}

/// How a provider lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// It writes another token and goes on from there as the model would.
    Token,
    /// It writes a token that ends the text.
    EndOfText,
    /// It says that the answer ends here, in this way.
    Finish(Finish),
    /// It refuses a prefix that is right.
    Refuse,
}

/// What befalls a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It says and hears nothing any more.
    Death,
    /// It stands still for so long.
    Freeze(Millis),
    /// This one connection is closed at both ends.
    Drop,
    /// Nothing passes between it and anybody for so long.
    Partition {
        /// For how long.
        lasts: Millis,
        /// Whether the frames come afterwards, or never.
        held: bool,
    },
    /// For so long each of its frames is late by up to so much.
    Delay {
        /// For how long.
        lasts: Millis,
        /// By how much at most.
        late: Millis,
    },
    /// It lies.
    Lie(Lie),
    /// Its next frame loses its last byte.
    Garbage,
    /// It signs no checkpoint any more.
    Mute,
}

/// When a fault strikes the provider that is at work on an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// While it reads.
    Reading,
    /// Before it writes the token at this place, or any after it.
    Token(u32),
    /// Before it signs the end.
    End,
}

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misfortune {
    /// In which answer.
    pub ask: usize,
    /// When.
    pub moment: Moment,
    /// What.
    pub fault: Fault,
}

/// A provider.
#[derive(Debug, Clone)]
pub struct ProviderPlan {
    /// Its name on the network.
    pub key: SigningKey,
    /// What signs its receipts.
    pub receipts: SigningKey,
    /// What it asks.
    pub prices: Prices,
    /// Whether it takes other prices than it offers.
    pub repriced: bool,
    /// Jobs at once.
    pub capacity: u32,
    /// Time for a token.
    pub pace: Millis,
    /// Time for a slice of the prompt.
    pub reading_pace: Millis,
    /// Time for a frame, either way.
    pub latency: Millis,
    /// Most that is added to that time.
    pub jitter: Millis,
}

/// How a client may end an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Not at all.
    Whole,
    /// As soon as it shows so many tokens, as a stop string would.
    Stop(u32),
    /// After so long, taking so many of the tokens back that were shown.
    Regret {
        /// After the question.
        after: Millis,
        /// Tokens that are taken back, if there are so many.
        back: u32,
    },
    /// The client dies as soon as it shows so many tokens.
    Vanish(u32),
}

/// How a client pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purse {
    /// As it should.
    Honest,
    /// With so many vouchers, and then with none.
    Stops(u32),
    /// With so many vouchers, and then with forged ones.
    Forges(u32),
}

/// One answer that somebody wants.
#[derive(Debug, Clone)]
pub struct AskPlan {
    /// Who wants it.
    pub client: usize,
    /// After the one before it ended.
    pub pause: Millis,
    /// What it is.
    pub job: Job,
    /// How it is watched.
    pub mode: Mode,
    /// Whether and how the client ends it before its end.
    pub wish: Wish,
    /// How the client pays.
    pub purse: Purse,
    /// The unbroken run of the same engine.
    pub truth: Vec<Token>,
    /// How that ends.
    pub end: Finish,
}

/// All of a trial.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What decided it.
    pub seed: u64,
    /// What it is about.
    pub kind: Kind,
    /// The model of all jobs.
    pub mind: Mind,
    /// Who can be asked; the last one is the rock.
    pub providers: Vec<ProviderPlan>,
    /// Number of clients.
    pub clients: usize,
    /// What they ask, each client's own in this order.
    pub asks: Vec<AskPlan>,
    /// What goes wrong, for each answer in this order.
    pub misfortunes: Vec<Misfortune>,
}

impl Plan {
    /// The plan of a seed.
    ///
    /// # Errors
    /// [`JobError`] when a job does not fit the model, which would be a mistake in here.
    pub fn new(seed: u64, minds: &Minds) -> Result<Self, JobError> {
        let mut chance = Chance::new(seed, "plan");
        let kind = Kind::of_seed(seed);
        let mind = if chance.one_in(5) { &minds.trapping } else { &minds.ordinary }.clone();
        let clients = chance.count(1, 3) as usize;
        let providers = providers(&mut chance, kind);
        let mut asks = Vec::new();
        for client in 0..clients {
            for _ in 0..chance.within(1, 2) {
                asks.push(ask(&mut chance, kind, &mind, client)?);
            }
        }
        let misfortunes = misfortunes(&mut chance, kind, &asks);
        Ok(Self { seed, kind, mind, providers, clients, asks, misfortunes })
    }

    /// Which provider is never struck.
    #[must_use]
    pub fn rock(&self) -> usize {
        self.providers.len() - 1
    }
}

fn providers(chance: &mut Chance, kind: Kind) -> Vec<ProviderPlan> {
    let others = chance.within(3, 5);
    let mut providers: Vec<ProviderPlan> = (0..others).map(|_| provider(chance, kind)).collect();
    let price = |_| Amount(1_000_000);
    let mut rock = provider(chance, Kind::Calm);
    rock.prices = prices(price);
    rock.capacity = 64;
    providers.push(rock);
    providers
}

fn prices(mut price: impl FnMut(usize) -> Amount) -> Prices {
    Prices { input: price(0), cached_input: price(1), output: price(2), attest: price(3) }
}

fn provider(chance: &mut Chance, kind: Kind) -> ProviderPlan {
    let busy = kind == Kind::Busy;
    ProviderPlan {
        key: SigningKey::from_secret(&chance.bytes()),
        receipts: SigningKey::from_secret(&chance.bytes()),
        prices: prices(|_| Amount(chance.within(0, 900))),
        repriced: busy && chance.one_in(3),
        capacity: if busy { chance.count(0, 1) } else { chance.count(1, 4) },
        pace: chance.within(8, 30),
        reading_pace: chance.within(2, 20),
        latency: chance.within(1, 40),
        jitter: chance.within(0, 12),
    }
}

/// Random models end their answers soon, and what befalls a provider needs time to.
fn long_enough(chance: &mut Chance, kind: Kind) -> usize {
    let least = if kind == Kind::LieLate { 24 } else { chance.within(1, 40) };
    usize::try_from(least).unwrap_or(1)
}

fn ask(chance: &mut Chance, kind: Kind, mind: &Mind, client: usize) -> Result<AskPlan, JobError> {
    let long_enough = long_enough(chance, kind);
    let mut tries = 0;
    loop {
        let job = job(chance, mind);
        let (truth, end) = mind.truth(&job)?;
        tries += 1;
        if truth.len() < long_enough && tries < 20 {
            continue;
        }
        let audit = kind.lies() && chance.one_in(2) || chance.one_in(8);
        let mode = if chance.one_in(2) { Mode::Checked } else { Mode::Streamed { audit } };
        let wish = match kind {
            Kind::Vanish => Wish::Vanish(chance.count(1, count(&truth).max(1))),
            _ => wish(chance, count(&truth)),
        };
        let purse = if kind == Kind::Miser { purse(chance) } else { Purse::Honest };
        let pause = chance.within(0, 400);
        return Ok(AskPlan { client, pause, job, mode, wish, purse, truth, end });
    }
}

fn purse(chance: &mut Chance) -> Purse {
    let after = chance.count(0, 6);
    if chance.one_in(2) { Purse::Stops(after) } else { Purse::Forges(after) }
}

fn wish(chance: &mut Chance, length: u32) -> Wish {
    match chance.below(8) {
        0 => Wish::Stop(chance.count(1, length.max(1))),
        1 => Wish::Regret { after: chance.within(0, 2_500), back: chance.count(0, 40) },
        _ => Wish::Whole,
    }
}

fn job(chance: &mut Chance, mind: &Mind) -> Job {
    let vocabulary = mind.model.vocabulary();
    let token = |chance: &mut Chance| Token(chance.count(1, vocabulary - 2));
    let prompt = (0..chance.within(1, 40)).map(|_| token(chance)).collect();
    let stops = if chance.one_in(3) { chance.within(1, 2) } else { 0 };
    let sequence = |chance: &mut Chance| {
        let length = chance.within(1, 2);
        (0..length).map(|_| token(chance)).collect()
    };
    Job {
        op_set: mind.model.op_set(),
        model: mind.model.id(),
        prompt,
        sampling: sampling(chance),
        max_tokens: chance.count(1, 96),
        stop: (0..stops).map(|_| sequence(chance)).collect(),
        constraint: None,
        nonce: chance.bytes(),
    }
}

fn sampling(chance: &mut Chance) -> Sampling {
    if chance.one_in(3) {
        return Sampling::greedy();
    }
    Sampling {
        temperature_milli: chance.count(200, 3_000),
        top_k: chance.count(0, 40),
        min_p: chance.count(0, 6_000),
        top_p: chance.count(50_000, Sampling::ONE),
        seed: chance.bytes(),
    }
}

/// Which answer something goes wrong with. A lie to somebody who audits only strangers may pass, as
/// the specification says, so lies are told to those who audit all or have met nobody yet.
fn victim(chance: &mut Chance, kind: Kind, asks: &[AskPlan]) -> usize {
    let first = |ask: usize| ask == 0 || asks[ask - 1].client != asks[ask].client;
    let audits = |ask: usize| asks[ask].mode != Mode::Streamed { audit: false };
    let fit: Vec<usize> =
        (0..asks.len()).filter(|ask| !kind.lies() || first(*ask) || audits(*ask)).collect();
    *chance.pick(&fit)
}

fn misfortunes(chance: &mut Chance, kind: Kind, asks: &[AskPlan]) -> Vec<Misfortune> {
    let ask = victim(chance, kind, asks);
    let length = count(&asks[ask].truth);
    let one = |moment, fault| vec![Misfortune { ask, moment, fault }];
    match kind {
        Kind::Calm | Kind::Busy | Kind::Miser | Kind::Vanish => Vec::new(),
        Kind::LieEarly => one(within(chance, 0, length.min(16)), Fault::Lie(Lie::Token)),
        Kind::LieLate => one(within(chance, length.min(17) - 1, length), Fault::Lie(Lie::Token)),
        Kind::LieEnd => one(within(chance, 0, length), Fault::Lie(wrong_end(chance, length))),
        Kind::LieAndDie => {
            let at = chance.count(0, length - 1);
            let death = Moment::Token(at + chance.count(1, 20));
            let lie = Misfortune { ask, moment: Moment::Token(at), fault: Fault::Lie(Lie::Token) };
            vec![lie, Misfortune { ask, moment: death, fault: Fault::Death }]
        }
        Kind::FalseRefusal => {
            let death = Misfortune { ask, moment: within(chance, 0, length), fault: Fault::Death };
            let refusal = Fault::Lie(Lie::Refuse);
            vec![death, Misfortune { ask, moment: Moment::Reading, fault: refusal }]
        }
        Kind::Double => {
            let moments = [moment(chance, length), moment(chance, length)];
            moments.map(|moment| Misfortune { ask, moment, fault: Fault::Death }).to_vec()
        }
        _ => one(moment(chance, length), weather(chance, kind)),
    }
}

/// Before a token from `least` to below `end`, as far as there are any.
fn within(chance: &mut Chance, least: u32, end: u32) -> Moment {
    Moment::Token(chance.count(least, end.saturating_sub(1).max(least)))
}

fn moment(chance: &mut Chance, length: u32) -> Moment {
    match chance.below(8) {
        0 => Moment::Reading,
        1 => Moment::End,
        _ => within(chance, 0, length),
    }
}

fn wrong_end(chance: &mut Chance, length: u32) -> Lie {
    let ends = [
        Lie::EndOfText,
        Lie::Finish(Finish::Trap),
        Lie::Finish(Finish::Length),
        Lie::Finish(Finish::Eos),
        Lie::Finish(Finish::ProviderStopped),
        Lie::Finish(Finish::Cancelled { index: length }),
    ];
    *chance.pick(&ends)
}

fn weather(chance: &mut Chance, kind: Kind) -> Fault {
    let lasts = chance.within(50, 6_000);
    match kind {
        Kind::Freeze => Fault::Freeze(lasts),
        Kind::Drop => Fault::Drop,
        Kind::Partition => Fault::Partition { lasts, held: chance.one_in(2) },
        Kind::Delay => Fault::Delay { lasts, late: chance.within(50, 3_000) },
        Kind::Garbage => Fault::Garbage,
        Kind::Mute => Fault::Mute,
        _ => Fault::Death,
    }
}
