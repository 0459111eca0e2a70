//! Models that travel: offering one's own to peers, getting theirs, and importing published ones.
//!
//! A model arrives beside the others, under a name that no other has, and only whole: its files are
//! fetched and verified in a folder of their own, its id is computed anew, and then it is moved.

use crate::ask::AskError;
use crate::assemble::Node;
use crate::desk::Progress;
use crate::eval::ORIGIN_FILE;
use crate::files::{self, FileError};
use crate::mind::Opened;
use crate::models::{self, ModelError, VILLAGE};
use crate::published::Found;
use mutirao_engine::Profile;
use mutirao_engine::load::Converted;
use mutirao_net::blobs::{Library, Offered, PullError, Pulled, Puller, Shelf, ShelfError};
use mutirao_net::{NetError, Ticket};
use mutirao_wire::{FileEntry, FileName, Manifest, ModelId};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Why a model did not arrive.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// There is nobody to ask.
    #[error(
        "nobody to pull from; join a node with `mutirao join <ticket>`, or use --from <ticket>"
    )]
    Nobody,
    /// No peer offers a model of that name or id.
    #[error("no peer offers {wanted:?}; offered are: {offered}")]
    NotOffered {
        /// What was wanted.
        wanted: String,
        /// What there is.
        offered: String,
    },
    /// Different models have that name.
    #[error("{wanted:?} means different models: {ids}; give the id")]
    Ambiguous {
        /// What was wanted.
        wanted: String,
        /// The ids.
        ids: String,
    },
    /// It would not fit.
    #[error(
        "the model needs {wanted} MiB for its files and as much to check them; {free} are free"
    )]
    NoRoom {
        /// Needed, in MiB.
        wanted: u64,
        /// Free, in MiB.
        free: u64,
    },
    /// The files are another model.
    #[error("the files from {peers} are model {found}, not {wanted}; they were thrown away")]
    Impostor {
        /// Who sent them.
        peers: String,
        /// What they are.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// A name that no model can have.
    #[error("{name:?} is no name for a model: letters, digits, - _ and . inside")]
    BadName {
        /// The name.
        name: String,
    },
    /// A model of that name is here.
    #[error("a model named {name:?} is here already")]
    Taken {
        /// The name.
        name: String,
    },
    /// A repository without weights that are read.
    #[error("{name} has neither safetensors nor one GGUF file; take another publication of it")]
    NoWeights {
        /// The repository.
        name: String,
    },
    /// The hub did not give it.
    #[error(transparent)]
    Hub(#[from] mutirao_gateway::HubError),
    /// Another program's cache does not have it.
    #[error(transparent)]
    Cache(#[from] crate::caches::CacheError),
    /// The transfer failed.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// The store failed.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// The network failed.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Asking failed.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The model does not open.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl LibraryError {
    /// What came is not the model, so nothing of it is worth keeping.
    const fn is_false(&self) -> bool {
        matches!(self, Self::Impostor { .. } | Self::Model(_))
    }

    /// Those who were asked are to blame; others may do better.
    const fn is_of_its_senders(&self) -> bool {
        self.is_false() || matches!(self, Self::NoRoom { .. } | Self::Pull(_))
    }
}

/// A model that is here now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// Its name here.
    pub name: String,
    /// Its id.
    pub model: ModelId,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes that travelled just now; fewer after an interruption.
    pub fetched: u64,
    /// Who sent them, and how many.
    pub from: Vec<(mutirao_wire::PeerKey, u64)>,
}

/// A model that was converted and is here now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Its name here.
    pub name: String,
    /// What it became.
    pub converted: Converted,
}

/// What a pull asks for.
struct Wanted {
    model: ModelId,
    name: Option<String>,
}

impl Node {
    /// The library of a provider: the model it serves. A provider whose store cannot be opened
    /// serves answers all the same.
    pub(crate) async fn library(&self, opened: &Opened) -> Option<Library> {
        let built = self.build_library(opened).await;
        if let Err(error) = &built {
            tracing::warn!(%error, "this node does not hand on its model");
        }
        built.ok()
    }

    async fn build_library(&self, opened: &Opened) -> Result<Library, LibraryError> {
        self.make_data_dir()?;
        let library = Library::new(Shelf::open(&self.config().data_dir.join("shelf")).await?);
        let manifest = self.shelve(opened, library.shelf()).await?;
        if !manifest.files.is_empty() {
            library.offer(manifest);
        }
        Ok(library)
    }

    /// Puts a model's files on a shelf, where they lie.
    pub(crate) async fn shelve(
        &self,
        opened: &Opened,
        shelf: &Shelf,
    ) -> Result<Manifest, LibraryError> {
        let mut files = Vec::new();
        if opened.name == VILLAGE {
            for (name, content) in self.models().embedded() {
                let bytes = content.len() as u64;
                let hash = shelf.put_bytes(content).await?;
                files.push(FileEntry { name, bytes, hash });
            }
        } else if let Ok(folder) = self.models().place(&opened.name) {
            let folder = std::path::absolute(&folder).unwrap_or(folder);
            for (name, path, bytes) in parts(&folder) {
                let hash = shelf.put_file(&path).await?;
                files.push(FileEntry { name, bytes, hash });
            }
        }
        Ok(Manifest { model: opened.id(), files })
    }

    /// Gets a model, by its name or id, from `from` or else from the circle. `progress` hears the
    /// bytes that came and those that there are.
    ///
    /// # Errors
    /// [`LibraryError`]; what was verified so far is kept for the next time.
    pub async fn pull(
        &self,
        wanted: &str,
        from: &[Ticket],
        progress: impl Fn(u64, u64) + Send + Sync + 'static,
    ) -> Result<Arrived, LibraryError> {
        let peers = if from.is_empty() {
            self.peers().map_err(AskError::from)?.tickets().to_vec()
        } else {
            from.to_vec()
        };
        if peers.is_empty() {
            return Err(LibraryError::Nobody);
        }
        let wanted = self.resolve(wanted, &peers).await?;
        self.is_new(&wanted)?;
        let (place, shelf) = self.pulling_place(wanted.model).await?;
        let puller = Puller::new(shelf.clone()).await?;
        let arrived = self.fetch(&wanted, peers, &shelf, &puller, Arc::new(progress)).await;
        leave(&place, &shelf, &puller, &arrived).await;
        arrived
    }

    /// Asks those who say the same, the most first. Whose files are not the model, do not fit or
    /// do not come is left out, and the others are asked: no majority of liars keeps a model from
    /// who wants it.
    async fn fetch(
        &self,
        wanted: &Wanted,
        mut peers: Vec<Ticket>,
        shelf: &Shelf,
        puller: &Puller,
        progress: Arc<dyn Fn(u64, u64) + Send + Sync>,
    ) -> Result<Arrived, LibraryError> {
        loop {
            let (manifest, who) = puller.find(wanted.model, &peers).await?;
            let taken = self.take(wanted, manifest, &who, shelf, puller, &progress).await;
            peers.retain(|peer| !who.contains(peer));
            match taken {
                Err(error) if error.is_of_its_senders() && !peers.is_empty() => {
                    tracing::warn!(%error, "asking the others");
                }
                taken => return taken,
            }
        }
    }

    async fn take(
        &self,
        wanted: &Wanted,
        manifest: Manifest,
        who: &[Ticket],
        shelf: &Shelf,
        puller: &Puller,
        progress: &Arc<dyn Fn(u64, u64) + Send + Sync>,
    ) -> Result<Arrived, LibraryError> {
        let (bytes, progress) = (manifest.bytes(), progress.clone());
        self.has_room(bytes)?;
        let pulled = puller.fetch(manifest, who, move |have| progress(have, bytes)).await?;
        self.take_whole(wanted, pulled, who, shelf).await
    }

    /// Gives a model whose files are all on the shelf its place here, if it is the one wanted.
    async fn take_whole(
        &self,
        wanted: &Wanted,
        pulled: Pulled,
        who: &[Ticket],
        shelf: &Shelf,
    ) -> Result<Arrived, LibraryError> {
        let bytes = pulled.manifest.bytes();
        let part = self.clearing(&wanted.model.short())?;
        for file in &pulled.manifest.files {
            shelf.copy_to(file.hash, &part.join(file.name.as_str())).await?;
        }
        let found = self.judge(&part)?.id();
        if found != wanted.model {
            let _ = std::fs::remove_dir_all(&part);
            let peers: Vec<String> = who.iter().map(|peer| peer.key().short()).collect();
            let (found, wanted) = (found.short(), wanted.model.short());
            return Err(LibraryError::Impostor { peers: peers.join(", "), found, wanted });
        }
        let name = self.free_name(wanted);
        self.settle(&part, &name)?;
        Ok(Arrived { name, model: found, bytes, fetched: pulled.fetched, from: pulled.from })
    }

    /// Gets a model that a peer pushes, and to which the owner agreed.
    pub(crate) async fn take_pushed(
        &self,
        offered: &Offered,
        progress: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<Arrived, LibraryError> {
        let (model, name) = (offered.offer.manifest.model, offered.offer.name.clone());
        let wanted = Wanted { model, name: Some(name) };
        self.is_new(&wanted)?;
        self.has_room(offered.offer.manifest.bytes())?;
        let (place, shelf) = self.pulling_place(model).await?;
        let puller = Puller::new(shelf.clone()).await?;
        let who = [Ticket::new(offered.peer, Vec::new())];
        let arrived = match puller.fetch_pushed(offered, progress).await {
            Ok(pulled) => self.take_whole(&wanted, pulled, &who, &shelf).await,
            Err(error) => Err(error.into()),
        };
        leave(&place, &shelf, &puller, &arrived).await;
        arrived
    }

    /// The folder where a model's pieces gather; it is kept until the model is whole.
    async fn pulling_place(&self, model: ModelId) -> Result<(PathBuf, Shelf), LibraryError> {
        self.make_data_dir()?;
        let place = self.config().data_dir.join("pulling").join(model.short());
        files::make_dir(&place)?;
        let shelf = Shelf::open(&place).await?;
        Ok((place, shelf))
    }

    /// Converts a published model and keeps it: a directory, a GGUF file, or a name in the cache of
    /// another program. What is published is read where it lies and not copied. An import that was
    /// interrupted goes on where it stopped.
    ///
    /// # Errors
    /// [`LibraryError`] when it is no model, or the name is taken.
    pub fn import(
        &self,
        from: &str,
        name: Option<&str>,
        profile: Profile,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Imported, LibraryError> {
        let name = name.map_or_else(|| name_of(from), str::to_owned);
        if !is_name(&name) {
            return Err(LibraryError::BadName { name });
        }
        if self.models().has(&name) {
            return Err(LibraryError::Taken { name });
        }
        let place = match from.contains("://") {
            true => self.models().place(from)?,
            false => PathBuf::from(from),
        };
        let found = Found::open(&place).map_err(ModelError::from)?;
        self.make_data_dir()?;
        let part = self.config().data_dir.join("models").join(format!(".{name}.importing"));
        let converted = models::convert(&found, &name, &part, profile, &*self.threads(), progress)?;
        if let Err(error) = self.judge(&part) {
            let _ = std::fs::remove_dir_all(&part);
            return Err(error);
        }
        note_origin(&part, from)?;
        self.settle(&part, &name)?;
        Ok(Imported { name, converted })
    }

    /// From a name or the beginning of an id to the id, by what the peers offer.
    async fn resolve(&self, wanted: &str, peers: &[Ticket]) -> Result<Wanted, LibraryError> {
        if let Ok(id) = mutirao_wire::Digest::from_hex(wanted) {
            return Ok(Wanted { model: ModelId(id), name: None });
        }
        let net = self.client_net().await?;
        let asked = peers.iter().map(|peer| crate::ask::fetch_offers(&*net, peer));
        let all = futures_util::future::join_all(asked).await;
        net.close().await;
        let mut offers: Vec<(String, ModelId)> = all
            .into_iter()
            .flatten()
            .flatten()
            .map(|signed| (signed.offer.name, signed.offer.model))
            .collect();
        offers.sort_by_key(|(name, id)| (id.to_string(), name.clone()));
        offers.dedup();
        let fits = |(name, id): &&(String, ModelId)| {
            name == wanted || (wanted.len() >= 4 && id.to_string().starts_with(wanted))
        };
        let found: Vec<_> = offers.iter().filter(fits).collect();
        let listed = |list: &[&(String, ModelId)]| {
            let each = list.iter().map(|(name, id)| format!("{name} ({})", id.short()));
            each.collect::<Vec<_>>().join(", ")
        };
        let wanted = wanted.to_owned();
        match found.as_slice() {
            [] => {
                let offered = listed(&offers.iter().collect::<Vec<_>>());
                Err(LibraryError::NotOffered { wanted, offered })
            }
            [(name, id), rest @ ..] if rest.iter().all(|(_, other)| other == id) => {
                Ok(Wanted { model: *id, name: Some(name.clone()) })
            }
            many => Err(LibraryError::Ambiguous { wanted, ids: listed(many) }),
        }
    }

    /// Refuses what is here already.
    fn is_new(&self, wanted: &Wanted) -> Result<(), LibraryError> {
        let same = |name: &&str| {
            self.models().has(name)
                && self.open(name).is_ok_and(|opened| opened.id() == wanted.model)
        };
        let named = [VILLAGE].into_iter().chain(wanted.name.as_deref().filter(|it| is_name(it)));
        let name = named.into_iter().find(same).map(str::to_owned);
        let name = name.unwrap_or_else(|| self.free_name(wanted));
        if self.models().has(&name) { Err(LibraryError::Taken { name }) } else { Ok(()) }
    }

    /// Twice the size is needed: the pieces, and the files that they become.
    pub(crate) fn has_room(&self, bytes: u64) -> Result<(), LibraryError> {
        let Some(free) = files::free_bytes(&self.config().data_dir) else { return Ok(()) };
        let wanted = bytes.saturating_mul(2);
        if wanted <= free {
            return Ok(());
        }
        Err(LibraryError::NoRoom { wanted: bytes >> 20, free: free >> 20 })
    }

    fn judge(&self, folder: &Path) -> Result<Arc<Opened>, LibraryError> {
        let folder = std::path::absolute(folder).map_err(files::failed("find", folder))?;
        Ok(Arc::new(self.open_site(self.models().new_in(&folder)?)?))
    }

    /// An empty folder beside the models, which is none of them.
    fn clearing(&self, name: &str) -> Result<PathBuf, LibraryError> {
        let part = self.config().data_dir.join("models").join(format!(".{name}.part"));
        let _ = std::fs::remove_dir_all(&part);
        files::make_dir(&part)?;
        Ok(part)
    }

    /// The name its provider gave it, if it is free here.
    fn free_name(&self, wanted: &Wanted) -> String {
        let id = wanted.model.short();
        match &wanted.name {
            Some(name) if is_name(name) && !self.models().has(name) => name.clone(),
            Some(name) if is_name(name) => format!("{name}-{id}"),
            _ => id,
        }
    }

    /// Moves a whole model to its place, at once.
    fn settle(&self, part: &Path, name: &str) -> Result<(), LibraryError> {
        let place = self.config().data_dir.join("models").join(name);
        if place.exists() {
            return Err(LibraryError::Taken { name: name.to_owned() });
        }
        Ok(std::fs::rename(part, &place).map_err(files::failed("create", &place))?)
    }
}

/// Closes a shelf. What is worth nothing more is thrown away: a model that has its place, and one
/// that is not what it was said to be.
async fn leave(
    place: &Path,
    shelf: &Shelf,
    puller: &Puller,
    arrived: &Result<Arrived, LibraryError>,
) {
    puller.close().await;
    shelf.close().await;
    if arrived.as_ref().map_or_else(LibraryError::is_false, |_| true) {
        let _ = std::fs::remove_dir_all(place);
    }
}

/// Letters, digits, and marks that mean nothing in a path.
fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=64).contains(&name.len()) && name.chars().all(letter) && !name.starts_with('.')
}

/// The name of what is imported from there, unless another is wanted: the last part of a path or
/// name, with what means something in a path made harmless.
fn name_of(from: &str) -> String {
    let path = std::path::absolute(from).unwrap_or_default();
    let last = match from.split_once("://") {
        Some((_, rest)) => rest.split('@').next().and_then(|id| id.rsplit('/').next()),
        None => path.file_name().and_then(std::ffi::OsStr::to_str),
    };
    let last = last.unwrap_or_default().trim_end_matches(".gguf");
    last.replace(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.'), "-")
}

/// Writes down where a model came from, for those who ask how near it is to that.
fn note_origin(part: &Path, from: &str) -> Result<(), FileError> {
    let place = match from.contains("://") {
        true => PathBuf::from(from),
        false => std::path::absolute(from).unwrap_or_else(|_| PathBuf::from(from)),
    };
    files::write_public(&part.join(ORIGIN_FILE), place.to_string_lossy().as_bytes())
}

/// The files of a model that are in a folder: as published, or else as converted. Either is enough,
/// and what was pulled is handed on as it came.
fn parts(folder: &Path) -> Vec<(FileName, PathBuf, u64)> {
    let part = |name: FileName| {
        let path = folder.join(name.as_str());
        let bytes = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?.len();
        Some((name, path, bytes))
    };
    let mut parts: Vec<_> = FileName::ALL.into_iter().filter_map(part).collect();
    if parts.iter().any(|(name, ..)| *name == FileName::Weights) {
        parts.retain(|(name, ..)| *name != FileName::Model);
    }
    parts
}

#[cfg(test)]
mod tests;
