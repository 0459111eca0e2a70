//! Neighbours in the literal sense: nodes on the same local network, found without a ticket.
//!
//! Being found is off unless the owner of a provider asks for it; looking happens when a person
//! looks, and when nobody of the circle answers where it used to. Who is found is not in the
//! circle: a person decides that. An address that was heard counts once its key has answered there.

use crate::ask::{AskError, fetch_offers};
use crate::assemble::Node;
use mutirao_net::{NetError, Ticket, lan};
use mutirao_wire::{Offer, PeerKey};
use std::collections::BTreeSet;
use std::time::Duration;

/// Fewest digits of a key by which a person may name a node: others can make keys that begin as
/// they like, with work that doubles with each bit.
pub const KEY_DIGITS_MIN: usize = 16;
/// How long a node of the circle is looked for, when nobody answers.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a node that was found is to its finder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquaintance {
    /// It is not in the circle.
    Stranger,
    /// It is in the circle, where its ticket says.
    Known,
    /// It is in the circle, and its ticket said other addresses; they are corrected.
    Moved,
}

/// A node on the local network that wants to be found.
#[derive(Debug)]
pub struct Found {
    /// Its key and addresses.
    pub ticket: Ticket,
    /// What it offers, signed by its key; or why nothing is known of that.
    pub offers: Result<Vec<Offer>, NetError>,
    /// What it is to this node.
    pub acquaintance: Acquaintance,
}

impl Node {
    /// Looks who is there, for so long, and asks each what it offers. The addresses of nodes in the
    /// circle are corrected; strangers stay strangers.
    ///
    /// # Errors
    /// [`AskError`] when the network cannot be used or the circle cannot be read.
    pub async fn discover(&self, patience: Duration) -> Result<Vec<Found>, AskError> {
        let own = self.keys()?.peer.peer_key();
        let mut heard = lan::look(patience, |_| false).await?;
        heard.retain(|ticket| ticket.key() != own);
        let net = self.client_net().await?;
        let asked = heard.iter().map(|ticket| fetch_offers(&*net, ticket));
        let replies = futures_util::future::join_all(asked).await;
        net.close().await;
        let found = heard.into_iter().zip(replies).map(|(ticket, reply)| {
            let acquaintance = self.meet_again(&ticket, reply.is_ok())?;
            let offers = reply.map(|all| all.into_iter().map(|signed| signed.offer).collect());
            Ok(Found { ticket, offers, acquaintance })
        });
        found.collect()
    }

    /// Looks for the node whose key begins with these digits.
    ///
    /// # Errors
    /// [`AskError::NotFound`] when there is none, or more than one.
    pub async fn find(&self, digits: &str, patience: Duration) -> Result<Ticket, AskError> {
        let fits = |ticket: &Ticket| ticket.key().to_string().starts_with(digits);
        let whole = digits.len() == 64;
        let heard = lan::look(patience, |found| whole && found.values().any(fits)).await?;
        let mut found = heard.into_iter().filter(fits);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => Err(AskError::NotFound { digits: digits.into(), how_many: "no node" }),
            _ => Err(AskError::NotFound { digits: digits.into(), how_many: "more than one node" }),
        }
    }

    /// Looks for nodes of the circle that do not answer where they used to. Who is found and
    /// answers is remembered at its new addresses.
    pub(crate) async fn look_again(&self, silent: &[Ticket]) -> Vec<Ticket> {
        let wanted: BTreeSet<PeerKey> =
            silent.iter().filter(|ticket| can_move(ticket)).map(Ticket::key).collect();
        if wanted.is_empty() || !self.config().look_on_lan {
            return Vec::new();
        }
        let all = |found: &std::collections::BTreeMap<PeerKey, Ticket>| {
            wanted.iter().all(|key| found.contains_key(key))
        };
        let mut found = lan::look(PATIENCE, all).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "nobody is looked for");
            Vec::new()
        });
        found.retain(|ticket| wanted.contains(&ticket.key()));
        found
    }

    /// Corrects the addresses of a node of the circle, once its key has answered there.
    pub(crate) fn meet_again(
        &self,
        ticket: &Ticket,
        answered: bool,
    ) -> Result<Acquaintance, AskError> {
        let mut peers = self.peers()?;
        let known = peers.tickets().iter().find(|known| known.key() == ticket.key());
        match known {
            None => Ok(Acquaintance::Stranger),
            Some(known) if !answered || known == ticket => Ok(Acquaintance::Known),
            Some(_) => {
                peers.add(ticket.clone())?;
                Ok(Acquaintance::Moved)
            }
        }
    }
}

/// A node that only this machine reaches is not looked for in the neighbourhood.
fn can_move(ticket: &Ticket) -> bool {
    ticket.addresses().iter().any(|address| !address.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::tests::Place;

    fn ticket(address: &str) -> Ticket {
        Ticket::new(PeerKey([7; 32]), vec![address.parse().expect("an address")])
    }

    #[test]
    fn who_only_this_machine_reaches_is_not_looked_for() {
        assert!(!can_move(&ticket("127.0.0.1:9")) && !can_move(&ticket("[::1]:9")));
        assert!(can_move(&ticket("192.168.1.9:9")));
    }

    #[test]
    fn a_stranger_stays_one_and_an_address_counts_once_its_key_answered_there() {
        let place = Place::new();
        let node = place.node("one", |_| {});
        let (old, new) = (ticket("192.168.1.9:9"), ticket("192.168.1.10:9"));
        let circle = || node.peers().expect("read").tickets().to_vec();
        assert_eq!(node.meet_again(&new, true).expect("read"), Acquaintance::Stranger);
        assert_eq!(circle(), []);
        node.make_data_dir().expect("made");
        node.peers().expect("read").add(old.clone()).expect("added");
        assert_eq!(node.meet_again(&old, true).expect("read"), Acquaintance::Known);
        assert_eq!(node.meet_again(&new, false).expect("read"), Acquaintance::Known);
        assert_eq!(circle(), [old], "it was heard and did not answer");
        assert_eq!(node.meet_again(&new, true).expect("read"), Acquaintance::Moved);
        assert_eq!(circle(), [new]);
    }
}
