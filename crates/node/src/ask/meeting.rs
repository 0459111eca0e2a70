//! Who is there: a socket under a key of its own, open connections, and what was offered on them.
//!
//! A meeting serves one question. A process that stays can hold the next one while nothing is
//! asked, so that a question finds its connections open; each still has a key that no other had.

use super::errand::{AskError, Asker, OFFERS_LIMIT, alone, circle, fetch_offers};
use crate::assemble::Node;
use crate::clock::Clock;
use crate::files::FileError;
use crate::mind::Opened;
use crate::standing::StandingFile;
use mutirao_net::{Net, NetError, Ticket};
use mutirao_wire::{PeerKey, Privacy, SignedOffer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How long the next offer may take once there is one.
const LATE_OFFERS: Duration = Duration::from_millis(250);
/// Longest wait for a farewell to be heard: a peer that is gone does not hear it, and nobody who
/// asked should wait for that. The socket is given back behind it.
const FAREWELL: Duration = Duration::from_millis(250);
/// Replies of latecomers that wait to be heard; further ones are not.
const LATE_WAITING: usize = 64;
/// How long a meeting that was held ahead is used.
const FRESH: Duration = Duration::from_secs(60);

/// The nodes that could be reached, and what they offered.
pub(crate) struct Meeting {
    pub(super) net: Arc<dyn Net>,
    pub(super) tickets: BTreeMap<PeerKey, Ticket>,
    pub(super) offers: Vec<SignedOffer>,
    /// Who did not answer, and why.
    pub(super) silent: Vec<String>,
    /// What those offer who answered late, until the first who asks takes it.
    late: Mutex<Option<mpsc::Receiver<Vec<SignedOffer>>>>,
    held: Instant,
    /// This node's own serving, on the level `local`; it ends with the meeting.
    _own: JoinSet<()>,
}

impl std::fmt::Debug for Meeting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Meeting({} of {} offer)", self.offers.len(), self.tickets.len())
    }
}

impl Meeting {
    /// The meeting for a question: one that was held ahead, or a new one.
    pub(super) async fn find(
        node: &Node,
        opened: &Opened,
        asker: &Asker,
        clock: Clock,
    ) -> Result<Self, AskError> {
        if node.config().privacy == Privacy::Local {
            let mut own = JoinSet::new();
            let (net, tickets) = alone(node, opened, clock, asker, &mut own)?;
            return Ok(Self::alone(net, tickets, own).await);
        }
        match node.meeting_held_ahead()? {
            Some(meeting) => Ok(meeting),
            None => Self::of_circle(node).await,
        }
    }

    /// Says goodbye.
    pub(super) async fn end(&self) {
        let _ = tokio::time::timeout(FAREWELL, self.net.close()).await;
    }

    fn is_fresh(&self) -> bool {
        self.held.elapsed() < FRESH
    }

    async fn of_circle(node: &Node) -> Result<Self, AskError> {
        let (net, tickets) = circle(node).await?;
        let mut meeting = Self::remembering(net, tickets, node.standing()?).await?;
        if meeting.offers.is_empty() {
            meeting.look_again(node).await?;
        }
        Ok(meeting)
    }

    /// Nobody answered where the tickets say: perhaps they moved within the local network.
    async fn look_again(&mut self, node: &Node) -> Result<(), AskError> {
        let silent: Vec<Ticket> = self.tickets.values().cloned().collect();
        let found = node.look_again(&silent).await;
        if found.is_empty() {
            return Ok(());
        }
        let (round, memory) = (Round::ask(&self.net, found.clone()).await, node.standing()?);
        for ticket in found.into_iter().filter(|ticket| round.heard.contains(&ticket.key())) {
            node.meet_again(&ticket, true)?;
            memory.change(|standing| standing.heard(&ticket.key()))?;
            self.tickets.insert(ticket.key(), ticket);
        }
        self.offers = round.offers;
        Ok(())
    }

    /// Holds a meeting that remembers silence: who fell silent lately is asked only when nobody
    /// else offers, so that the living do not wait for the dead each time anew.
    // spec: SESSION-5.6
    pub(super) async fn remembering(
        net: Arc<dyn Net>,
        tickets: BTreeMap<PeerKey, Ticket>,
        memory: StandingFile,
    ) -> Result<Self, AskError> {
        let clock = Clock::start();
        let quiet = |key: &PeerKey| memory.standing().is_quiet(key, clock.now());
        let (later, sooner): (Vec<_>, Vec<_>) =
            tickets.values().cloned().partition(|ticket| quiet(&ticket.key()));
        let mut round = Round::ask(&net, sooner).await;
        if round.offers.is_empty() {
            round.extend(Round::ask(&net, later).await);
        }
        let late = Mutex::new(round.remember(memory, clock)?);
        let (offers, silent) = (round.offers, words(&round.silent));
        let (held, own) = (Instant::now(), JoinSet::new());
        Ok(Self { net, tickets, offers, silent, late, held, _own: own })
    }

    /// What those offer who have not answered yet, and how long that may take at most.
    // spec: SESSION-5.7
    pub(super) fn latecomers(&self) -> Option<(mpsc::Receiver<Vec<SignedOffer>>, Duration)> {
        let late = self.late.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let left = OFFERS_LIMIT.saturating_sub(self.held.elapsed());
        (!left.is_zero()).then_some((late, left))
    }

    /// Holds a meeting with this node alone.
    async fn alone(
        net: Arc<dyn Net>,
        tickets: BTreeMap<PeerKey, Ticket>,
        own: JoinSet<()>,
    ) -> Self {
        let round = Round::ask(&net, tickets.values().cloned().collect()).await;
        let (offers, silent) = (round.offers, words(&round.silent));
        let (late, held) = (Mutex::default(), Instant::now());
        Self { net, tickets, offers, silent, late, held, _own: own }
    }
}

fn words(silent: &[(PeerKey, String)]) -> Vec<String> {
    silent.iter().map(|(key, why)| format!("{}: {why}", key.short())).collect()
}

type Reply = (PeerKey, Result<Vec<SignedOffer>, NetError>);

/// One time around: everybody is asked for offers at the same moment.
#[derive(Default)]
struct Round {
    offers: Vec<SignedOffer>,
    heard: Vec<PeerKey>,
    silent: Vec<(PeerKey, String)>,
    /// Those who have not answered yet, and nobody waits for.
    late: JoinSet<Reply>,
}

impl Round {
    /// Once somebody has offered, the others have a moment more.
    async fn ask(net: &Arc<dyn Net>, tickets: Vec<Ticket>) -> Self {
        let mut round = Self::default();
        let mut waiting: BTreeSet<PeerKey> = tickets.iter().map(Ticket::key).collect();
        for ticket in tickets {
            let net = net.clone();
            round.late.spawn(async move { (ticket.key(), fetch_offers(&*net, &ticket).await) });
        }
        let mut patience = Duration::MAX;
        while let Ok(Some(reply)) = tokio::time::timeout(patience, round.late.join_next()).await {
            let Ok((key, result)) = reply else { continue };
            waiting.remove(&key);
            match result {
                Ok(found) => {
                    round.offers.extend(found);
                    round.heard.push(key);
                    patience = LATE_OFFERS;
                }
                Err(error) => round.silent.push((key, error.to_string())),
            }
        }
        let late = waiting.into_iter().map(|key| (key, "it has not answered yet".to_owned()));
        round.silent.extend(late);
        round
    }

    /// Adds another round; everybody in this one has answered or failed.
    fn extend(&mut self, other: Self) {
        self.offers.extend(other.offers);
        self.heard.extend(other.heard);
        self.silent.extend(other.silent);
        self.late = other.late;
    }

    /// Writes down who was silent and who is not any more. Whoever answers late is heard too; what
    /// it offers comes out of the receiver.
    fn remember(
        &mut self,
        memory: StandingFile,
        clock: Clock,
    ) -> Result<Option<mpsc::Receiver<Vec<SignedOffer>>>, FileError> {
        let known = memory.standing();
        let news = self.heard.iter().any(|key| known.of(key).silences > 0);
        if news || !self.silent.is_empty() {
            memory.change(|standing| {
                self.heard.iter().for_each(|key| standing.heard(key));
                self.silent.iter().for_each(|(key, _)| standing.silent(*key, clock.now()));
            })?;
        }
        let mut late = std::mem::take(&mut self.late);
        if late.is_empty() {
            return Ok(None);
        }
        let (tell, heard) = mpsc::channel(LATE_WAITING);
        tokio::spawn(async move {
            while let Some(Ok((key, result))) = late.join_next().await {
                let heard = result.map(|offers| {
                    let _ = tell.try_send(offers);
                    memory.change(|standing| standing.heard(&key))
                });
                tracing::debug!(peer = %key.short(), ?heard, "answered late");
            }
        });
        Ok(Some(heard))
    }
}

impl Node {
    /// Holds the meeting of the next question now, so that it finds its connections open. Does
    /// nothing on the level `local`, nor when one is held already, and a circle that cannot be
    /// reached is found out later.
    pub async fn meet_ahead(&self) {
        if self.config().privacy == Privacy::Local {
            return;
        }
        let Ok(mut waiting) = self.waiting.try_lock() else { return };
        if waiting.as_ref().is_some_and(Meeting::is_fresh) {
            return;
        }
        if let Ok(meeting) = Meeting::of_circle(self).await {
            *waiting = (!meeting.offers.is_empty()).then_some(meeting);
        }
    }

    /// Says goodbye to the circle, if a meeting waits or is being held.
    pub async fn part(&self) {
        if let Some(meeting) = self.waiting.lock().await.take() {
            meeting.end().await;
        }
    }

    /// The meeting that waits, if it is fresh and the circle is still the same.
    fn meeting_held_ahead(&self) -> Result<Option<Meeting>, AskError> {
        let waiting = self.waiting.try_lock().ok().and_then(|mut waiting| waiting.take());
        let Some(meeting) = waiting else { return Ok(None) };
        let peers = self.peers()?;
        let same = peers.tickets().len() == meeting.tickets.len()
            && peers.tickets().iter().all(|peer| meeting.tickets.get(&peer.key()) == Some(peer));
        Ok((same && meeting.is_fresh()).then_some(meeting))
    }
}
