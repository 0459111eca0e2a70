//! Models between peers: files by their hash, in pieces from whoever has them.
//!
//! **Goals.** A node that has a model serves its files; a node that wants it gets different ranges
//! from several peers at once, goes on when some die or send rubbish, and keeps across a crash what
//! it verified. **Not goals.** Finding out who has what, paying, and judging whether the
//! files are the model: its id is computed anew by whoever opens them.
//!
//! **Construction.** Three protocols on the endpoint of a node. On [`MODELS_ALPN`] a stream carries
//! one model id there and its manifest back. On the protocol of `iroh-blobs` the files travel,
//! verified against their BLAKE3 hash every 16 KiB. On [`PUSH_ALPN`] a peer offers a model itself.
//! **Attacks.** A false manifest costs a download and is found when the model is opened. A false
//! byte is found at once and costs its sender the range. A silent peer loses its range after
//! [`SILENCE`]. **Limits.** A manifest is below [`MANIFEST_BYTES_MAX`]; the size of files is the
//! puller's to judge, before it pulls.

mod pull;
mod push;

pub use pull::{PullError, Pulled, Puller};
pub(crate) use push::hear;
pub use push::{Offered, PUSH_ALPN, PushError, PushOffer, PushReply, Pushed, push};

use ::iroh::endpoint::Connection;
use iroh_blobs::api::blobs::{AddPathOptions, ImportMode};
use iroh_blobs::protocol::ChunkRanges;
use iroh_blobs::store::fs::FsStore;
use iroh_blobs::{BlobFormat, BlobsProtocol, Hash, HashAndFormat};
use mutirao_wire::{Encode, Manifest, ModelId};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;

/// The protocol on which manifests are asked for.
pub const MODELS_ALPN: &[u8] = b"mutirao/models/1";
/// Longest manifest, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 1024;
/// How long a peer may say nothing.
pub const SILENCE: Duration = Duration::from_secs(5);

/// The store of files did not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the store of files: {0}")]
pub struct ShelfError(String);

impl ShelfError {
    fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Files by their hash, on disk. What is half there is kept.
#[derive(Debug, Clone)]
pub struct Shelf {
    store: FsStore,
}

impl Shelf {
    /// Opens a folder of files; only one process can have it open.
    ///
    /// # Errors
    /// [`ShelfError`] when it cannot be opened.
    pub async fn open(folder: &Path) -> Result<Self, ShelfError> {
        Ok(Self { store: FsStore::load(folder).await.map_err(ShelfError::of)? })
    }

    /// Puts a file on the shelf where it lies; it must not change from then on.
    ///
    /// # Errors
    /// [`ShelfError`] when it cannot be read.
    pub async fn put_file(&self, path: &Path) -> Result<[u8; 32], ShelfError> {
        let (mode, format) = (ImportMode::TryReference, BlobFormat::Raw);
        let path = std::path::absolute(path).map_err(ShelfError::of)?;
        let options = AddPathOptions { path, format, mode };
        let tag = self.store.blobs().add_path_with_opts(options).with_tag().await;
        Ok(*tag.map_err(ShelfError::of)?.hash.as_bytes())
    }

    /// Puts bytes on the shelf.
    ///
    /// # Errors
    /// [`ShelfError`] when they cannot be written.
    pub async fn put_bytes(&self, bytes: Vec<u8>) -> Result<[u8; 32], ShelfError> {
        let tag = self.store.blobs().add_bytes(bytes).with_tag().await;
        Ok(*tag.map_err(ShelfError::of)?.hash.as_bytes())
    }

    /// Copies a whole file to `target`.
    ///
    /// # Errors
    /// [`ShelfError`] when it is not whole or cannot be written.
    pub async fn copy_to(&self, hash: [u8; 32], target: &Path) -> Result<(), ShelfError> {
        let target = std::path::absolute(target).map_err(ShelfError::of)?;
        let copied = self.store.blobs().export(Hash::from_bytes(hash), target).finish().await;
        copied.map(drop).map_err(ShelfError::of)
    }

    /// Which parts of a file are there and verified.
    async fn present(&self, hash: Hash) -> Result<ChunkRanges, ShelfError> {
        use futures_util::StreamExt as _;
        let mut seen = self.store.blobs().observe(hash).stream().await.map_err(ShelfError::of)?;
        Ok(seen.next().await.map_or_else(ChunkRanges::empty, |bits| bits.ranges))
    }

    /// Keeps a file from being cleared away while it is fetched.
    async fn keep(&self, hash: Hash) -> Result<(), ShelfError> {
        let name = format!("pull-{hash}");
        let kept = self.store.tags().set(name, HashAndFormat::raw(hash)).await;
        kept.map_err(ShelfError::of)
    }

    /// Closes the store, so that everything is on disk.
    pub async fn close(&self) {
        if let Err(error) = self.store.shutdown().await {
            tracing::warn!(%error, "the store of files did not close properly");
        }
    }
}

/// What a node offers: its shelf, and the manifests of what stands on it.
#[derive(Debug, Clone)]
pub struct Library {
    shelf: Shelf,
    manifests: Arc<Mutex<BTreeMap<ModelId, Manifest>>>,
}

impl Library {
    /// A library without models.
    #[must_use]
    pub fn new(shelf: Shelf) -> Self {
        Self { shelf, manifests: Arc::default() }
    }

    /// Its shelf.
    #[must_use]
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Offers a model whose files are on the shelf.
    pub fn offer(&self, manifest: Manifest) {
        let mut all = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(manifest.model, manifest);
    }

    fn manifest(&self, model: ModelId) -> Vec<u8> {
        let all = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&model).map(Encode::to_bytes).unwrap_or_default()
    }

    /// Answers on a connection until the peer goes.
    pub(crate) async fn serve(self, connection: Connection) {
        if connection.alpn() == MODELS_ALPN {
            self.tell(&connection).await;
        } else {
            let blobs = BlobsProtocol::new(&self.shelf.store, None);
            let _ = ::iroh::protocol::ProtocolHandler::accept(&blobs, connection).await;
        }
    }

    /// One model id a stream; an unknown one has an empty manifest.
    async fn tell(&self, connection: &Connection) {
        while let Ok((mut sender, mut receiver)) = connection.accept_bi().await {
            let mut asked = [0; 32];
            if receiver.read_exact(&mut asked).await.is_err() {
                return;
            }
            let manifest = self.manifest(ModelId(mutirao_wire::Digest(asked)));
            if sender.write_all(&manifest).await.is_err() || sender.finish().is_err() {
                return;
            }
        }
    }
}
