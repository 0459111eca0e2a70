//! What came of a trial: the facts that the judge reads. The world writes them as they happen and
//! draws no conclusion.

use crate::mind::Mind;
use crate::plan::{AskPlan, Kind};
use mutirao_market::Millis;
use mutirao_market::session::client::{Outcome, SessionError};
use mutirao_wire::bundle::Evidence;
use mutirao_wire::{Amount, ChannelId, Digest, PeerKey, SignedCheckpoint, SignedReceipt, Token};
use std::collections::BTreeMap;

/// A token that a user saw.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// When.
    pub at: Millis,
    /// Its place.
    pub index: u32,
    /// The token.
    pub token: Token,
    /// Who wrote it, as the client says.
    pub provider: PeerKey,
}

/// A provider that a client left.
#[derive(Debug, Clone)]
pub struct Left {
    /// Who.
    pub provider: PeerKey,
    /// Why, in the client's words.
    pub why: String,
    /// Whether the client says that it lied.
    pub lied: bool,
    /// What is to convict it.
    pub evidence: Option<Box<Evidence>>,
}

/// How an answer ended.
#[derive(Debug, Clone)]
pub enum Ending {
    /// It is whole.
    Done(Box<Outcome>),
    /// There is none.
    Failed(Box<SessionError>),
    /// Nobody was fit to be asked.
    NobodyFits,
}

/// One answer, from the client's side.
#[derive(Debug, Clone)]
pub struct AskRecord {
    /// What was asked, and what the answer is.
    pub plan: AskPlan,
    /// What the user saw, in this order.
    pub shown: Vec<Shown>,
    /// Who was left.
    pub left: Vec<Left>,
    /// Who was dialled, and whether that one had been caught lying before.
    pub dialled: Vec<(PeerKey, bool)>,
    /// Who was sent the prompt.
    pub told: Vec<PeerKey>,
    /// Checkpoints that arrived while their sender was being asked: who, and over how many tokens.
    pub covered: Vec<(PeerKey, u32)>,
    /// Who found a wrong token in what it was to go on from, and said so.
    pub refused: Vec<PeerKey>,
    /// Places of tokens that were taken although sixteen before them were not signed.
    pub unsigned: Vec<u32>,
    /// Why providers refused, apart from having no room or other prices.
    pub breaches: Vec<String>,
    /// How many vouchers the client drew, or should have drawn.
    pub drawn: u32,
    /// Whether the client vanished in the middle.
    pub vanished: bool,
    /// After how many tokens the client ended it, if it did.
    pub cancelled: Option<u32>,
    /// How it ended; once, if all is well.
    pub endings: Vec<Ending>,
}

impl AskRecord {
    /// Nothing yet.
    #[must_use]
    pub fn new(plan: AskPlan) -> Self {
        Self {
            plan,
            shown: Vec::new(),
            left: Vec::new(),
            dialled: Vec::new(),
            told: Vec::new(),
            covered: Vec::new(),
            refused: Vec::new(),
            unsigned: Vec::new(),
            breaches: Vec::new(),
            drawn: 0,
            vanished: false,
            cancelled: None,
            endings: Vec::new(),
        }
    }

    /// Silences that the user saw as one provider took over from another.
    #[must_use]
    pub fn gaps(&self) -> Vec<Millis> {
        let pairs = self.shown.windows(2).filter(|two| two[0].provider != two[1].provider);
        pairs.map(|two| two[1].at - two[0].at).collect()
    }
}

/// The money of one attempt.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    /// For which answer.
    pub ask: usize,
    /// With whom.
    pub provider: PeerKey,
    /// The most that may be unpaid.
    pub step: Amount,
    /// The most that may be paid.
    pub ceiling: Amount,
    /// What all that the provider told costs.
    pub told: Amount,
    /// What of it reached the client and asked to be paid for.
    pub announced: Amount,
    /// What the client drew vouchers for.
    pub drawn: Amount,
    /// What of them reached the provider.
    pub redeemed: Amount,
    /// The most that was told beyond what was redeemed, at any time.
    pub exposed: Amount,
}

impl Account {
    /// Nothing told yet.
    #[must_use]
    pub fn new(ask: usize, provider: PeerKey, step: Amount, ceiling: Amount) -> Self {
        let none = Amount::ZERO;
        let (told, announced, drawn, redeemed, exposed) = (none, none, none, none, none);
        Self { ask, provider, step, ceiling, told, announced, drawn, redeemed, exposed }
    }
}

/// A lie that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// To whom: the answer's number.
    pub ask: usize,
    /// By whom.
    pub provider: PeerKey,
    /// About which place of the answer.
    pub place: u32,
}

/// What a provider signed.
#[derive(Debug, Clone, Copy)]
pub enum Signed {
    /// On the way.
    Checkpoint(SignedCheckpoint),
    /// At the end.
    Receipt(SignedReceipt),
}

/// Everything about a trial.
#[derive(Debug, Clone)]
pub struct TrialRecord {
    /// The seed that gives this trial again.
    pub seed: u64,
    /// What it was about.
    pub kind: Kind,
    /// The model of all jobs.
    pub mind: Mind,
    /// The answers.
    pub asks: Vec<AskRecord>,
    /// The lies.
    pub lies: Vec<Told>,
    /// What was signed, by whom and for which answer.
    pub signed: Vec<(usize, PeerKey, Signed)>,
    /// How many misfortunes struck.
    pub struck: usize,
    /// How often a provider refused.
    pub refusals: usize,
    /// The money of each attempt, by the number of its cable.
    pub accounts: BTreeMap<usize, Account>,
    /// What was drawn from each channel, and what its provider holds a voucher for.
    pub channels: BTreeMap<ChannelId, (u64, u64)>,
    /// Places of living providers that are still taken.
    pub places_taken: u32,
    /// Whether the world came to rest by itself.
    pub rested: bool,
    /// How many events there were.
    pub events: u64,
    /// The digest of all events, in order.
    pub hash: Digest,
}
