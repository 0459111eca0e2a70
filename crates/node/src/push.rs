//! Models that peers bring: offering one to a neighbour, and taking one if the owner agreed.
//!
//! Nothing comes unasked: a provider takes models only from its circle, only when its owner said up
//! to which size, only one at a time, and each is pulled and checked as if it had been asked for.

use crate::ask::AskError;
use crate::assemble::Node;
use crate::library::LibraryError;
use mutirao_net::Ticket;
use mutirao_net::blobs::{Offered, PushError, PushOffer, PushReply, Pushed, Shelf};
use mutirao_wire::PeerKey;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc, watch};

/// How often a pusher hears how it stands.
const NEWS: Duration = Duration::from_millis(500);
/// Fewest digits by which a node of the circle is named.
const DIGITS_MIN: usize = 4;

/// Why a model was not brought to a neighbour.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BringError {
    /// It is neither a ticket nor a node of the circle.
    #[error("{to:?} is no ticket, and {how_many} of your circle has a key that begins like that")]
    NoSuchPeer {
        /// What was given.
        to: String,
        /// How many there are.
        how_many: &'static str,
    },
    /// The model is read in another program's folder and is not kept here.
    #[error("{name} is read where it lies and is not kept here; `mutirao import` it, then push it")]
    NotKept {
        /// The model.
        name: String,
    },
    /// The model cannot be read.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The circle or the keys cannot be read.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The peer did not take it.
    #[error(transparent)]
    Push(#[from] PushError),
}

/// A model that is with a neighbour now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// Who has it.
    pub peer: PeerKey,
    /// The model.
    pub model: mutirao_wire::ModelId,
    /// What it is called there.
    pub name: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes that travelled just now; fewer after an interruption.
    pub fetched: u64,
}

impl Node {
    /// Brings a model to a peer that agreed to take models. `to` is a ticket, or the beginning of
    /// a key in the circle. `progress` hears the bytes that the peer has, and those there are.
    ///
    /// # Errors
    /// [`BringError`]; after an interruption the same push goes on where it was.
    pub async fn push(
        &self,
        model: &str,
        to: &str,
        progress: impl Fn(u64, u64),
    ) -> Result<Brought, BringError> {
        let peer = self.peer_named(to)?;
        let opened = self.open(model).map_err(AskError::from)?;
        let keys = self.keys().map_err(AskError::from)?;
        let place = tempfile::Builder::new().prefix("pushing-").tempdir_in(&self.config().data_dir);
        let data = &self.config().data_dir;
        let place =
            place.map_err(crate::files::failed("write in", data)).map_err(AskError::from)?;
        let shelf = Shelf::open(place.path()).await.map_err(LibraryError::from)?;
        let manifest = self.shelve(&opened, &shelf).await?;
        if manifest.files.is_empty() {
            return Err(BringError::NotKept { name: opened.name.clone() });
        }
        let (model, bytes) = (manifest.model, manifest.bytes());
        let offer = PushOffer { name: name_of(&opened.name), manifest };
        let pushed = mutirao_net::blobs::push(&keys.peer, &shelf, &peer, &offer, progress).await;
        shelf.close().await;
        let (name, fetched) = pushed?;
        Ok(Brought { peer: peer.key(), model, name, bytes, fetched })
    }

    fn peer_named(&self, to: &str) -> Result<Ticket, BringError> {
        if let Ok(ticket) = to.parse() {
            return Ok(ticket);
        }
        let peers = self.peers().map_err(AskError::from)?;
        let digits = to.to_ascii_lowercase();
        let fits = |ticket: &&Ticket| {
            digits.len() >= DIGITS_MIN && ticket.key().to_string().starts_with(&digits)
        };
        let mut found = peers.tickets().iter().filter(fits);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one.clone()),
            (None, _) => Err(BringError::NoSuchPeer { to: to.into(), how_many: "no node" }),
            _ => Err(BringError::NoSuchPeer { to: to.into(), how_many: "more than one node" }),
        }
    }

    /// Takes what peers push, one at a time, as long as the provider runs.
    pub(crate) async fn take_pushes(self, mut pushes: mpsc::Receiver<Pushed>) {
        let (node, place) = (Arc::new(self), Arc::new(Semaphore::new(1)));
        while let Some(pushed) = pushes.recv().await {
            let (node, place) = (node.clone(), place.clone());
            tokio::spawn(async move {
                let free = place.try_acquire();
                let refused = match node.consent(&pushed.offered) {
                    Ok(()) if free.is_ok() => return node.take_one(pushed).await,
                    Ok(()) => "another model is coming; try again in a moment".into(),
                    Err(reason) => reason,
                };
                tracing::info!(?pushed, refused, "a model is refused");
                pushed.end(&PushReply::Refused { reason: refused }).await;
            });
        }
    }

    /// Whether the owner wants this model from this peer.
    fn consent(&self, offered: &Offered) -> Result<(), String> {
        let most = self.config().take_models;
        if most == 0 {
            let how = "its owner can allow that with `mutirao provide --take-models <MiB>`";
            return Err(format!("this node takes no models; {how}"));
        }
        let peers = self.peers().map_err(|_| "its circle cannot be read".to_owned())?;
        if !peers.tickets().iter().any(|ticket| ticket.key() == offered.peer) {
            let how = "its owner can `mutirao join` the ticket of yours";
            return Err(format!("you are not in the circle of this node; {how}"));
        }
        let mib = offered.offer.manifest.bytes().div_ceil(1 << 20);
        if mib > u64::from(most) {
            return Err(format!("the model has {mib} MiB, and at most {most} MiB are taken"));
        }
        Ok(())
    }

    /// Pulls it, and says all the while how that stands: checking a large model takes its time.
    async fn take_one(self: Arc<Self>, mut pushed: Pushed) {
        let offered = pushed.offered.clone();
        let all = offered.offer.manifest.bytes();
        let (tell, news) = watch::channel(0);
        let mut taking = tokio::spawn(async move {
            let told = move |have| {
                tell.send_replace(have);
            };
            let taken = self.take_pushed(&offered, told).await;
            taken.map_err(|error| error.to_string())
        });
        let done = loop {
            tokio::select! {
                done = &mut taking => break done,
                () = tokio::time::sleep(NEWS) => {
                    let have = *news.borrow();
                    pushed.say(&PushReply::Progress { have, all }).await;
                }
            }
        };
        let reply = match done.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(arrived) => {
                pushed.say(&PushReply::Progress { have: all, all }).await;
                PushReply::Arrived { name: arrived.name, fetched: arrived.fetched }
            }
            Err(reason) => PushReply::Refused { reason },
        };
        tracing::info!(?pushed, ?reply, "a model was pushed");
        pushed.end(&reply).await;
    }
}

/// The last part of a directory, or the name.
fn name_of(opened: &str) -> String {
    let last = std::path::Path::new(opened).file_name().map(|name| name.to_string_lossy());
    last.unwrap_or_default().chars().filter(char::is_ascii).take(48).collect()
}
