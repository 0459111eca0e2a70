//! Getting a model: who has it, which ranges are missing, and who is asked for which.

use super::{MANIFEST_BYTES_MAX, MODELS_ALPN, Offered, SILENCE, Shelf, ShelfError};
use crate::iroh::{address, root_cause};
use crate::{NetError, Ticket};
use ::iroh::Endpoint;
use ::iroh::endpoint::Connection;
use iroh_blobs::Hash;
use iroh_blobs::protocol::{ChunkRanges, ChunkRangesExt, GetRequest};
use mutirao_wire::{Decode, FileEntry, Manifest, ModelId, PeerKey};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;
use tokio::task::JoinSet;

/// Bytes of a chunk, the unit of hashing.
const CHUNK_BYTES: u64 = 1024;
/// Chunks that are asked for at once: four MiB.
const STRIPE_CHUNKS: u64 = 4096;
/// How often a peer may fail before it is not asked any more.
const STRIKES_MAX: u32 = 3;

/// Why a model could not be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PullError {
    /// No peer that answered has it.
    #[error("no peer has model {}: {reasons}", model.short())]
    Nowhere {
        /// The model.
        model: ModelId,
        /// Who was asked, and what they said.
        reasons: String,
    },
    /// All peers failed before the end.
    #[error("{left} bytes are missing and nobody is left to ask ({reasons}); what is here is kept")]
    NobodyLeft {
        /// Bytes that are missing.
        left: u64,
        /// Who failed, and how.
        reasons: String,
    },
    /// The store failed.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// The network failed.
    #[error(transparent)]
    Net(#[from] NetError),
}

/// What a pull came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The files, whole and verified on the shelf.
    pub manifest: Manifest,
    /// Bytes that came over the network now; the rest was there before.
    pub fetched: u64,
    /// Who sent them, and how many.
    pub from: Vec<(PeerKey, u64)>,
}

/// A range of one file.
#[derive(Debug, Clone)]
struct Stripe {
    hash: Hash,
    chunks: ChunkRanges,
    bytes: u64,
}

/// What all workers share.
#[derive(Debug, Default)]
struct Queue {
    stripes: Mutex<VecDeque<Stripe>>,
    /// Stripes that somebody is fetching.
    busy: AtomicU64,
    fetched: AtomicU64,
    reasons: Mutex<Vec<String>>,
}

impl Queue {
    fn stripes(&self) -> MutexGuard<'_, VecDeque<Stripe>> {
        self.stripes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, peer: &Ticket, why: impl std::fmt::Display) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        reasons.push(format!("{}: {why}", peer.key().short()));
    }

    fn reasons(&self) -> String {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).join("; ")
    }
}

/// Someone who wants models.
#[derive(Debug)]
pub struct Puller {
    endpoint: Endpoint,
    shelf: Shelf,
}

impl Puller {
    /// Pulls onto this shelf, from a socket of its own.
    ///
    /// # Errors
    /// [`NetError`] when no socket can be had.
    pub async fn new(shelf: Shelf) -> Result<Self, NetError> {
        Ok(Self { endpoint: crate::iroh::asking_endpoint().await?, shelf })
    }

    /// Asks everybody for the manifest of a model. Who says the same as most is believed so far.
    ///
    /// # Errors
    /// [`PullError::Nowhere`] when nobody has it.
    pub async fn find(
        &self,
        model: ModelId,
        peers: &[Ticket],
    ) -> Result<(Manifest, Vec<Ticket>), PullError> {
        let mut asked = JoinSet::new();
        for peer in peers.iter().cloned() {
            let endpoint = self.endpoint.clone();
            asked.spawn(async move { (ask(&endpoint, &peer, model).await, peer) });
        }
        let (mut said, mut reasons): (Vec<(Manifest, Vec<Ticket>)>, _) = (Vec::new(), Vec::new());
        while let Some(Ok((reply, peer))) = asked.join_next().await {
            match reply {
                Err(why) => reasons.push(format!("{}: {why}", peer.key().short())),
                Ok(manifest) => match said.iter_mut().find(|(known, _)| *known == manifest) {
                    Some((_, who)) => who.push(peer),
                    None => said.push((manifest, vec![peer])),
                },
            }
        }
        let most = said.into_iter().max_by_key(|(_, who)| who.len());
        most.ok_or_else(|| PullError::Nowhere { model, reasons: reasons.join("; ") })
    }

    /// Gets what is missing of the files, from all of `peers` at once. `progress` hears how many
    /// bytes came so far.
    ///
    /// # Errors
    /// [`PullError`] when nobody is left to ask; what came is kept.
    pub async fn fetch(
        &self,
        manifest: Manifest,
        peers: &[Ticket],
        progress: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<Pulled, PullError> {
        let sources = peers.iter().map(|peer| (peer.clone(), None)).collect();
        self.fetch_from(manifest, sources, progress).await
    }

    /// Gets what is missing of the files that a peer pushes, over its own connection.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub async fn fetch_pushed(
        &self,
        offered: &Offered,
        progress: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<Pulled, PullError> {
        let source = (Ticket::new(offered.peer, Vec::new()), Some(offered.connection.clone()));
        self.fetch_from(offered.offer.manifest.clone(), vec![source], progress).await
    }

    async fn fetch_from(
        &self,
        manifest: Manifest,
        sources: Vec<(Ticket, Option<Connection>)>,
        progress: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<Pulled, PullError> {
        let queue = Arc::new(Queue::default());
        for file in &manifest.files {
            let stripes = self.missing(file).await?;
            queue.stripes().extend(stripes);
        }
        let progress = Arc::new(progress);
        let mut workers = JoinSet::new();
        for (peer, open) in sources {
            let (endpoint, shelf) = (self.endpoint.clone(), self.shelf.clone());
            let (queue, progress) = (queue.clone(), progress.clone());
            workers.spawn(async move {
                work(&endpoint, &shelf, (peer, open), &queue, &*progress).await
            });
        }
        let from: Vec<_> = workers.join_all().await.into_iter().filter(|(_, n)| *n > 0).collect();
        let left = queue.stripes().iter().map(|stripe| stripe.bytes).sum();
        if left > 0 {
            return Err(PullError::NobodyLeft { left, reasons: queue.reasons() });
        }
        let fetched = queue.fetched.load(Ordering::Relaxed);
        Ok(Pulled { manifest, fetched, from })
    }

    /// The ranges of a file that are not there yet.
    async fn missing(&self, file: &FileEntry) -> Result<Vec<Stripe>, ShelfError> {
        let hash = Hash::from_bytes(file.hash);
        self.shelf.keep(hash).await?;
        let present = self.shelf.present(hash).await?;
        let end = file.bytes.div_ceil(CHUNK_BYTES);
        let stripes = (0..end).step_by(STRIPE_CHUNKS as usize).filter_map(|start| {
            let stop = (start + STRIPE_CHUNKS).min(end);
            let chunks = ChunkRanges::chunks(start..stop) - present.clone();
            let bytes = (stop * CHUNK_BYTES).min(file.bytes) - start * CHUNK_BYTES;
            (!chunks.is_empty()).then_some(Stripe { hash, chunks, bytes })
        });
        Ok(stripes.collect())
    }

    /// Gives back the socket.
    pub async fn close(&self) {
        self.endpoint.close().await;
    }
}

async fn connect(endpoint: &Endpoint, peer: &Ticket, alpn: &[u8]) -> Result<Connection, String> {
    let connecting = endpoint.connect(address(peer)?, alpn);
    let connected = tokio::time::timeout(SILENCE, connecting).await;
    connected.map_err(|_| "no reply".to_owned())?.map_err(|error| root_cause(&error))
}

/// Asks one peer for a manifest.
async fn ask(endpoint: &Endpoint, peer: &Ticket, model: ModelId) -> Result<Manifest, String> {
    let connection = connect(endpoint, peer, MODELS_ALPN).await?;
    let asked = async {
        let (mut sender, mut receiver) = connection.open_bi().await.map_err(|e| root_cause(&e))?;
        sender.write_all(&model.0.0).await.map_err(|e| root_cause(&e))?;
        let _ = sender.finish();
        receiver.read_to_end(MANIFEST_BYTES_MAX).await.map_err(|e| root_cause(&e))
    };
    let reply = tokio::time::timeout(SILENCE, asked).await.map_err(|_| "no reply".to_owned())?;
    connection.close(0_u8.into(), b"thanks");
    match Manifest::from_bytes(&reply?) {
        Ok(manifest) if manifest.model == model => Ok(manifest),
        Ok(_) => Err("it spoke of another model".into()),
        Err(_) => Err("it does not have it".into()),
    }
}

/// One peer's worker: takes ranges until none is left or the peer failed too often; how many bytes
/// it gave.
async fn work(
    endpoint: &Endpoint,
    shelf: &Shelf,
    (peer, mut open): (Ticket, Option<Connection>),
    queue: &Queue,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> (PeerKey, u64) {
    let (mut given, mut strikes) = (0, 0);
    while strikes < STRIKES_MAX {
        let Some(stripe) = next(queue).await else { break };
        let got = fetch(endpoint, shelf, &peer, &stripe, &mut open).await;
        match got {
            Ok(()) => {
                given += stripe.bytes;
                let before = queue.fetched.fetch_add(stripe.bytes, Ordering::Relaxed);
                progress(before + stripe.bytes);
            }
            Err(why) => {
                (strikes, open) = (strikes + 1, None);
                queue.failed(&peer, why);
                queue.stripes().push_front(stripe);
            }
        }
        queue.busy.fetch_sub(1, Ordering::SeqCst);
        // A peer that failed lets others try first.
        tokio::time::sleep(std::time::Duration::from_millis(u64::from(strikes) * 50)).await;
    }
    (peer.key(), given)
}

/// The next range. While others are busy one of theirs may come back, so nobody leaves before.
async fn next(queue: &Queue) -> Option<Stripe> {
    loop {
        {
            let mut stripes = queue.stripes();
            if let Some(stripe) = stripes.pop_front() {
                queue.busy.fetch_add(1, Ordering::SeqCst);
                return Some(stripe);
            }
            if queue.busy.load(Ordering::SeqCst) == 0 {
                return None;
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// One range from one peer, verified and on disk when this returns.
async fn fetch(
    endpoint: &Endpoint,
    shelf: &Shelf,
    peer: &Ticket,
    stripe: &Stripe,
    open: &mut Option<Connection>,
) -> Result<(), String> {
    let connection = match open.take() {
        Some(connection) => connection,
        None => connect(endpoint, peer, iroh_blobs::ALPN).await?,
    };
    let request = GetRequest::builder().root(stripe.chunks.clone()).build(stripe.hash);
    let getting = shelf.store.remote().execute_get(connection.clone(), request).complete();
    // Half a megabyte a second is slow, and not dead.
    let patience = SILENCE + std::time::Duration::from_micros(2 * stripe.bytes);
    let got = tokio::time::timeout(patience, getting).await.map_err(|_| "silent".to_owned())?;
    got.map_err(|error| error.to_string())?;
    // The peer may have ended the stream before the end of the range.
    let present = shelf.present(stripe.hash).await.map_err(|error| error.to_string())?;
    if !(stripe.chunks.clone() - present).is_empty() {
        return Err("it does not have all of this range".into());
    }
    // Half a second is what the store would wait, and a killed program lose.
    shelf.store.sync_db().await.map_err(|error| error.to_string())?;
    *open = Some(connection);
    Ok(())
}
