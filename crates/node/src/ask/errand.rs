//! Who may be asked, and over what: the providers of one question.

use super::meeting::Meeting;
use crate::assemble::Node;
use crate::callers::Caller;
use crate::carry;
use crate::clock::Clock;
use crate::files::FileError;
use crate::keys::KeyError;
use crate::mind::{MindError, Opened};
use crate::models::ModelError;
use crate::peers::PeersError;
use crate::serve::Counter;
use crate::standing::StandingFile;
use crate::workshop::Who;
use mutirao_market::quote;
use mutirao_market::session::client::{Means, SessionError};
use mutirao_market::session::frame::{ClientFrame, ProviderFrame};
use mutirao_net::memory::Hub;
use mutirao_net::{Net, NetError, Ticket};
use mutirao_wire::{Amount, Digest, Job, PeerKey, Privacy, SignedOffer};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::task::JoinSet;

/// Longest wait for a provider's offers.
pub(super) const OFFERS_LIMIT: Duration = Duration::from_secs(4);

/// Why a question has no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AskError {
    /// The model cannot be opened.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The job does not fit the model.
    #[error(transparent)]
    Job(#[from] mutirao_engine::JobError),
    /// The messages cannot be rendered, or the model is not there any more.
    #[error(transparent)]
    Mind(#[from] MindError),
    /// The keys cannot be opened.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The circle cannot be read.
    #[error(transparent)]
    Peers(#[from] PeersError),
    /// A receipt or memory cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The network failed.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The HTTP door cannot be opened.
    #[error("cannot listen on {address}: {reason}; choose another with --http")]
    Door {
        /// Where.
        address: std::net::SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// The prompt leaves no room for an answer.
    #[error("the prompt has {tokens} tokens; the model's context is {context}. Shorten it")]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens of the context.
        context: usize,
    },
    /// Nobody was joined.
    #[error(
        "your circle is empty, and the privacy level lets nobody else answer; join a node with \
         `mutirao join <ticket>`, or use --privacy local"
    )]
    EmptyCircle,
    /// Nobody on the local network, or too many.
    #[error(
        "{how_many} on this network has a key that begins with {digits}; `mutirao discover` lists \
         who wants to be found"
    )]
    NotFound {
        /// The digits that were given.
        digits: String,
        /// How many there are.
        how_many: &'static str,
    },
    /// It asks to be found where nobody can go.
    #[error(
        "discoverable, but listening on {address}, where no other machine can come; \
         add --listen 0.0.0.0:0"
    )]
    Unreachable {
        /// Where it listens.
        address: std::net::SocketAddr,
    },
    /// Prices without a wallet.
    #[error(
        "answers have a price, and no wallet is open to be paid into; make one with \
         `mutirao wallet new`, or set the prices to 0"
    )]
    NoWallet,
    /// Nobody fit.
    #[error("no provider can answer: {reasons}")]
    NobodyFits {
        /// Who, and why not.
        reasons: String,
    },
    /// The session failed.
    #[error(transparent)]
    Session(Box<SessionError>),
    /// Part of a wrong answer was shown.
    #[error("answer_diverged: token {position} by {} is not the model's", provider.short())]
    Diverged {
        /// The first wrong token.
        position: u32,
        /// Who wrote it.
        provider: PeerKey,
        /// The evidence file, when there is evidence.
        evidence: Option<PathBuf>,
    },
}

/// For whom a question is asked.
#[derive(Debug, Clone)]
pub(crate) enum Asker {
    /// The person of this machine.
    Owner,
    /// Whoever has this key of the owner's.
    Key(Caller),
    /// Somebody who pays for the request, and is no one in particular.
    Payer,
}

impl Asker {
    pub(super) fn caller(&self) -> Option<&Caller> {
        match self {
            Self::Key(caller) => Some(caller),
            Self::Owner | Self::Payer => None,
        }
    }

    /// Under which name what was read is kept for the next question; strangers have none, and would
    /// else learn from the time of an answer what others asked.
    fn who(&self) -> Option<Who> {
        match self {
            Self::Owner => Some(Who(Digest::of("mutirao 1 shelf of the owner", &[]))),
            Self::Key(caller) => Some(Who(caller.digest())),
            Self::Payer => None,
        }
    }
}

/// The providers of one question.
pub(super) struct Errand {
    pub(super) meeting: Meeting,
    /// Who asks, if it is not the owner.
    pub(super) caller: Option<Caller>,
    /// Those who may be asked, best first, and why the others may not.
    pub(super) chosen: quote::Route,
    privacy: Privacy,
    /// The most that the answer may cost.
    pub(super) cap: Amount,
    /// The channels that lead to them.
    pub(super) means: BTreeMap<PeerKey, Means>,
    pub(super) standing: StandingFile,
    pub(super) clock: Clock,
}

impl Errand {
    /// Finds who may answer `job`, on the node's privacy level.
    pub(super) async fn prepare(
        node: &Node,
        asker: &Asker,
        opened: &Opened,
        job: &Job,
        clock: Clock,
    ) -> Result<Self, AskError> {
        let meeting = Meeting::find(node, opened, asker, clock).await?;
        Self::choose(node, asker.caller(), meeting, job, clock).await
    }

    /// Keeps the offers that fit the job.
    pub(super) async fn choose(
        node: &Node,
        caller: Option<&Caller>,
        meeting: Meeting,
        job: &Job,
        clock: Clock,
    ) -> Result<Self, AskError> {
        let (privacy, standing) = (node.config().privacy, node.standing()?);
        let (offers, cap) = (meeting.offers.clone(), node.cap(caller));
        let (chosen, means) = (quote::Route::default(), BTreeMap::new());
        let caller = caller.cloned();
        let errand = Self { meeting, caller, chosen, privacy, cap, means, standing, clock };
        let chosen = errand.route(job, offers);
        if chosen.offers.is_empty() {
            let unfit = |(peer, why): &(PeerKey, quote::Unfit)| {
                format!("{}: {}", peer.short(), why.words())
            };
            let unfit = chosen.unfit.iter().map(unfit);
            let silent = errand.meeting.silent.iter().cloned();
            let reasons: Vec<String> = silent.chain(unfit).collect();
            errand.meeting.end().await;
            return Err(AskError::NobodyFits { reasons: reasons.join("; ") });
        }
        let errand = Self { chosen, ..errand };
        let means = node.means(&errand, job).await;
        Ok(Self { means, ..errand })
    }

    /// Those of the offers that fit the job, best first, and why the others do not.
    pub(super) fn route(&self, job: &Job, offers: Vec<SignedOffer>) -> quote::Route {
        let circle: BTreeSet<PeerKey> = self.meeting.tickets.keys().copied().collect();
        let (privacy, now) = (self.privacy, self.clock.now());
        let standing = self.standing.standing();
        let (circle, cap) = (&circle, self.cap);
        quote::Question { job, privacy, circle, cap, standing, now }.route(offers)
    }

    /// Providers whose answers were never audited, those who have not offered yet among them.
    pub(super) fn newcomers(&self) -> BTreeSet<PeerKey> {
        let providers = self.chosen.offers.iter().map(|signed| signed.offer.provider);
        let all = providers.chain(self.meeting.tickets.keys().copied());
        all.filter(|provider| self.standing.standing().is_new(provider)).collect()
    }

    pub(super) async fn close(&self) {
        self.meeting.end().await;
    }
}

pub(super) type Reach = (Arc<dyn Net>, BTreeMap<PeerKey, Ticket>);

/// This node answers itself, through a hub that nobody else is in.
pub(super) fn alone(
    node: &Node,
    opened: &Opened,
    clock: Clock,
    asker: &Asker,
    own: &mut JoinSet<()>,
) -> Result<Reach, AskError> {
    let counter = node.counter(opened, node.keys()?, clock);
    let counter = Arc::new(Counter { asker: asker.who(), ..counter });
    let hub = Hub::new();
    let provider = hub.node(counter.keys.peer.peer_key());
    let ticket = provider.ticket();
    own.spawn(counter.serve(provider));
    let client = hub.node(node.throw_away_key()?.peer_key());
    Ok((client, BTreeMap::from([(ticket.key(), ticket)])))
}

/// The nodes that the user joined, under a key that lives for this question alone.
pub(super) async fn circle(node: &Node) -> Result<Reach, AskError> {
    let peers = node.peers()?;
    if peers.tickets().is_empty() {
        return Err(AskError::EmptyCircle);
    }
    let net = node.client_net().await?;
    let tickets = peers.tickets().iter().map(|ticket| (ticket.key(), ticket.clone()));
    Ok((net, tickets.collect()))
}

/// A provider's offers, signed by the key that was dialled.
pub(crate) async fn fetch_offers(
    net: &dyn Net,
    ticket: &Ticket,
) -> Result<Vec<SignedOffer>, NetError> {
    let peer = ticket.key();
    let limit = tokio::time::timeout(OFFERS_LIMIT, offers_of(net, ticket));
    let silent = NetError::Unreachable { peer, reason: "it sent no offers".into() };
    let mut offers = limit.await.map_err(|_| silent)??;
    offers.retain(|signed| signed.offer.provider == peer && signed.verifies());
    Ok(offers)
}

async fn offers_of(net: &dyn Net, ticket: &Ticket) -> Result<Vec<SignedOffer>, NetError> {
    match carry::ask_once(net, ticket, &ClientFrame::GetOffers).await {
        Ok(ProviderFrame::Offers(offers)) => Ok(offers),
        Err(error @ NetError::Unreachable { .. }) => Err(error),
        _ => Err(NetError::Broken { reason: "it answered something else than offers".into() }),
    }
}
