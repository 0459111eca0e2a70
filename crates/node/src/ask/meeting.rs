//! Who is there: a socket under a key of its own, open connections, and what was offered on them.
//!
//! A meeting serves one question. A process that stays can hold the next one while nothing is
//! asked, so that a question finds its connections open; each still has a key that no other had.

use super::errand::{AskError, alone, circle, fetch_offers};
use crate::assemble::Node;
use crate::clock::Clock;
use crate::models::Opened;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use mutirao_net::{Net, Ticket};
use mutirao_wire::{PeerKey, Privacy, SignedOffer};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long the next offer may take once there is one.
const LATE_OFFERS: Duration = Duration::from_millis(250);
/// Longest wait for a farewell to be heard: a peer that is gone does not hear it, and nobody who
/// asked should wait for that. The socket is given back behind it.
const FAREWELL: Duration = Duration::from_millis(250);
/// How long a meeting that was held ahead is used.
const FRESH: Duration = Duration::from_secs(60);

/// The nodes that could be reached, and what they offered.
pub(crate) struct Meeting {
    pub(super) net: Arc<dyn Net>,
    pub(super) tickets: BTreeMap<PeerKey, Ticket>,
    pub(super) offers: Vec<SignedOffer>,
    /// Who did not answer, and why.
    pub(super) silent: Vec<String>,
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
    pub(super) async fn find(node: &Node, opened: &Opened, clock: Clock) -> Result<Self, AskError> {
        if node.config().privacy == Privacy::Local {
            let mut own = JoinSet::new();
            let (net, tickets) = alone(node, opened, clock, &mut own)?;
            return Ok(Self::hold(net, tickets, own).await);
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
        Ok(Self::hold(net, tickets, JoinSet::new()).await)
    }

    /// Asks everybody for offers at the same time. Once somebody has offered, the others have a
    /// moment more: the living do not wait for the dead.
    pub(super) async fn hold(
        net: Arc<dyn Net>,
        tickets: BTreeMap<PeerKey, Ticket>,
        own: JoinSet<()>,
    ) -> Self {
        let (mut offers, mut silent) = (Vec::new(), Vec::new());
        {
            let net = &*net;
            let ask = |ticket| async move { (ticket, fetch_offers(net, ticket).await) };
            let mut asked: FuturesUnordered<_> = tickets.values().map(ask).collect();
            let mut patience = Duration::MAX;
            while let Ok(Some((ticket, result))) =
                tokio::time::timeout(patience, asked.next()).await
            {
                match result {
                    Ok(found) => {
                        offers.extend(found);
                        patience = LATE_OFFERS;
                    }
                    Err(error) => silent.push(format!("{}: {error}", ticket.key().short())),
                }
            }
        }
        Self { net, tickets, offers, silent, held: Instant::now(), _own: own }
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
