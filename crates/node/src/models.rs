//! The models a node can open: the embedded village, models in its data directory, and whatever
//! [`crate::published`] reads. Files are read here; the engine only ever sees bytes.
//!
//! A model in the data directory is converted once, into `model.mutirao` in its folder, and packed
//! once (see `packs`); the pack is what is opened. Elsewhere nothing is written, and a model is
//! converted at every opening.

use crate::caches::{self, CacheError, Caches, Repository};
use crate::desk::{Desk, MODEL_FILE, Progress};
use crate::files::{self, FileError};
use crate::packs::{self, Pack, Refusal};
use crate::published::{self, Found, PublishedError, SIDE_BYTES_MAX, template};
use mutirao_engine::load::{Converted, InMemoryFile, convert_into};
use mutirao_engine::pool::{Pool, Serial};
use mutirao_engine::{ConvertError, LoadError, Model, Profile, Source, load};
use mutirao_text::TextError;
use mutirao_wire::FileName;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The name of the embedded model.
pub const VILLAGE: &str = "village";

/// Largest weights file read, in bytes.
const WEIGHTS_BYTES_MAX: u64 = 64 << 30;

/// Why a model could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No model has that name.
    #[error("no model named {name:?}; `mutirao ls` lists what is here, or give a directory")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A file of the model could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no published model, or it is refused.
    #[error(transparent)]
    Published(#[from] PublishedError),
    /// Another program's cache does not have it.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The model does not convert.
    #[error("model {name}: {source}")]
    Convert {
        /// The model.
        name: String,
        /// Why.
        source: ConvertError,
    },
    /// The converted model does not load.
    #[error("model {name}: {source}")]
    Load {
        /// The model.
        name: String,
        /// Why.
        source: LoadError,
    },
    /// The weights on this disk changed by themselves.
    #[error(
        "the packed weights of model {name} are damaged on this disk; they were thrown away and \
         are packed again at the next try"
    )]
    Damaged {
        /// The model.
        name: String,
    },
    /// The process that opens it says why it does not.
    #[error("{reason}")]
    Worker {
        /// Why.
        reason: String,
    },
    /// The tokenizer or template does not load.
    #[error("model {name}: {source}")]
    Text {
        /// The model.
        name: String,
        /// Why.
        source: TextError,
    },
}

/// The files of a model, in the Hugging Face layout.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) config: Vec<u8>,
    pub(crate) weights: Vec<u8>,
    pub(crate) tokenizer: Vec<u8>,
    template: Vec<u8>,
}

/// A model that was found and not read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    /// Its name, for people.
    pub(crate) name: String,
    /// Where it is; nowhere if it is in the program.
    pub(crate) path: Option<PathBuf>,
    /// Whether it is one of ours: what it is converted to and packed as is kept there.
    pub(crate) ours: bool,
}

/// What a model is, for people and programs.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// Its id: a digest of everything that determines its answers.
    pub model_id: String,
    /// The op set it runs under.
    pub op_set: u16,
    /// Numbers in its weights.
    pub parameters: u64,
    /// Size of its vocabulary.
    pub vocabulary: u32,
    /// Longest prompt and answer together, in tokens.
    pub context: u32,
    /// Version of the text layer.
    pub text_stack: &'static str,
}

/// One line of `mutirao ls`.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub source: String,
    /// Size of its file, or of its weights as published while it was never opened, in bytes.
    pub bytes: u64,
}

/// The models under one data directory.
#[derive(Debug, Clone)]
pub struct Models {
    folder: PathBuf,
    caches: Caches,
}

impl Models {
    /// The models under `data/models`, and the embedded one.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self { folder: data.join("models"), caches: Caches::find(|_| None) }
    }

    /// And those that other programs keep.
    #[must_use]
    pub fn with(self, caches: Caches) -> Self {
        Self { caches, ..self }
    }

    /// Finds a model by name, or by the path of a directory or file. Nothing of it is read.
    ///
    /// # Errors
    /// [`ModelError`] when there is no such model.
    pub(crate) fn find(&self, name: &str) -> Result<Site, ModelError> {
        let name = name.strip_suffix(":latest").unwrap_or(name);
        let path = if name == VILLAGE { None } else { Some(self.place(name)?) };
        Ok(Site { name: name.to_owned(), path, ours: name != VILLAGE && !name.contains('/') })
    }

    /// A model that gets its place here, in the folder where it was made.
    pub(crate) fn new_in(&self, folder: &Path) -> Result<Site, ModelError> {
        let found = self.find(&folder.to_string_lossy())?;
        Ok(Site { ours: folder.join(MODEL_FILE).is_file(), ..found })
    }

    /// Where a model of this name is.
    pub(crate) fn place(&self, name: &str) -> Result<PathBuf, ModelError> {
        let unknown = || ModelError::Unknown { name: name.to_owned() };
        self.cached(name).unwrap_or_else(|| {
            self.directory(name).filter(|path| path.exists()).ok_or_else(unknown)
        })
    }

    /// Where another program keeps it, for the names of other programs.
    fn cached(&self, name: &str) -> Option<Result<PathBuf, ModelError>> {
        if let Some(repository) = Repository::parse(name) {
            let found = repository.and_then(|repository| repository.snapshot(&self.caches));
            return Some(found.map_err(ModelError::from));
        }
        caches::ollama(name, &self.caches).map(|found| found.map_err(ModelError::from))
    }

    /// Whether a model can be named so.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        name == VILLAGE || self.place(name).is_ok()
    }

    /// The published files of a model.
    pub(crate) fn package(&self, name: &str) -> Result<Package, ModelError> {
        if name == VILLAGE {
            return Ok(village());
        }
        let path = self.directory(name).filter(|path| path.is_dir());
        read_package(&path.ok_or_else(|| ModelError::Unknown { name: name.to_owned() })?)
    }

    /// A name with a separator is a path; any other is a folder of the data directory.
    pub(crate) fn directory(&self, name: &str) -> Option<PathBuf> {
        match name {
            "" | "." | ".." => None,
            path if path.contains('/') => Some(PathBuf::from(path)),
            plain => Some(self.folder.join(plain)),
        }
    }

    /// The files of the embedded model.
    pub(crate) fn embedded(&self) -> [(FileName, Vec<u8>); 4] {
        let Package { config, weights, tokenizer, template } = village();
        [
            (FileName::Config, config),
            (FileName::Weights, weights),
            (FileName::Tokenizer, tokenizer),
            (FileName::Template, template),
        ]
    }

    /// Lists the models that can be named.
    ///
    /// # Errors
    /// [`ModelError::File`] when the data directory cannot be listed.
    pub fn list(&self) -> Result<Vec<Listed>, ModelError> {
        let bytes = village().weights.len() as u64;
        let mut listed = vec![Listed { name: VILLAGE.into(), source: "embedded".into(), bytes }];
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Ok(listed) };
        let whole = |entry: &std::fs::DirEntry| {
            entry.path().is_dir() && !entry.file_name().to_string_lossy().starts_with('.')
        };
        for entry in entries.flatten().filter(whole) {
            let size = |file: &str| std::fs::metadata(entry.path().join(file));
            let weights = size(MODEL_FILE).or_else(|_| size("model.safetensors"));
            listed.push(Listed {
                name: entry.file_name().to_string_lossy().into_owned(),
                source: entry.path().display().to_string(),
                bytes: weights.map_or(0, |weights| weights.len()),
            });
        }
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(listed)
    }
}

impl Site {
    /// The weights of a model: packed, as they are kept, or converted now.
    pub(crate) fn weights(&self) -> Result<(Model, Option<Pack>), ModelError> {
        let name = &self.name;
        let Some(place) = &self.path else { return self.plain(&self.embedded()?) };
        let is_file = place.is_dir() || place.extension().is_some_and(|kind| kind == "mutirao");
        let kept = if place.is_dir() { place.join(MODEL_FILE) } else { place.clone() };
        if is_file && kept.is_file() {
            return match self.ours {
                true => packed(place, name),
                false => self.plain(&files::read_bounded(&kept, WEIGHTS_BYTES_MAX)?),
            };
        }
        let found = Found::open(place)?;
        if self.ours && self.keep(&found, place).is_ok() {
            return packed(place, name);
        }
        let mut file = InMemoryFile::default();
        let converted = convert_into(&found.published(), Profile::W8, &Serial, &mut file);
        converted.map_err(|source| self.does_not_convert(source))?;
        self.plain(&file.into_bytes())
    }

    /// What whoever opens it has to read, and where it has to write.
    pub(crate) fn files(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let Some(place) = &self.path else { return (Vec::new(), Vec::new()) };
        if self.ours && place.is_dir() {
            let part = self.converting();
            return (linked(place), [Some(place.clone()), part].into_iter().flatten().collect());
        }
        match place.is_dir() {
            true => ([vec![place.clone()], linked(place)].concat(), Vec::new()),
            false => (published::beside(place), Vec::new()),
        }
    }

    /// The size of its files.
    pub(crate) fn bytes(&self) -> u64 {
        let Some(place) = &self.path else { return village().weights.len() as u64 };
        let size = |path: PathBuf| std::fs::metadata(path).map_or(0, |data| data.len());
        match std::fs::read_dir(place) {
            Ok(entries) => entries.flatten().map(|entry| size(entry.path())).sum(),
            Err(_) => published::beside(place).into_iter().map(size).sum(),
        }
    }

    /// Where it is converted, if that is still to be done and kept.
    pub(crate) fn converting(&self) -> Option<PathBuf> {
        let place = self.path.as_ref().filter(|place| self.ours && place.is_dir())?;
        let part = place.with_file_name(format!(".{}.converting", self.name));
        (!place.join(MODEL_FILE).is_file()).then_some(part)
    }

    /// Converts a model of the data directory once and for all.
    fn keep(&self, found: &Found, place: &Path) -> Result<(), ModelError> {
        let unknown = || ModelError::Unknown { name: self.name.clone() };
        let part = self.converting().ok_or_else(unknown)?;
        convert(found, &self.name, &part, Profile::W8, &Serial, &mut |_| {})?;
        let (from, to) = (part.join(MODEL_FILE), place.join(MODEL_FILE));
        std::fs::rename(&from, &to).map_err(files::failed("create", &to))?;
        let _ = std::fs::remove_dir(&part);
        Ok(())
    }

    fn embedded(&self) -> Result<Vec<u8>, ModelError> {
        let Package { config, weights, tokenizer, template } = &village();
        let source = Source { config, weights, tokenizer, template };
        load::convert(&source, Profile::W8).map_err(|source| self.does_not_convert(source))
    }

    fn plain(&self, file: &[u8]) -> Result<(Model, Option<Pack>), ModelError> {
        let failed = |source| ModelError::Load { name: self.name.clone(), source };
        Model::from_bytes(file).map(|model| (model, None)).map_err(failed)
    }

    fn does_not_convert(&self, source: ConvertError) -> ModelError {
        ModelError::Convert { name: self.name.clone(), source }
    }
}

/// The model file in a folder of ours, packed where that is possible.
fn packed(folder: &Path, name: &str) -> Result<(Model, Option<Pack>), ModelError> {
    packs::open_or_make(folder).map_err(|refusal| match refusal {
        Refusal::File(error) => ModelError::File(error),
        Refusal::Load(source) => ModelError::Load { name: name.to_owned(), source },
    })
}

/// Where the links in a folder lead to: the hub's cache consists of them.
fn linked(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let links = entries.map(|entry| entry.path()).filter(|path| path.is_symlink());
    links.filter_map(|link| link.canonicalize().ok()).filter(|path| path.is_file()).collect()
}

/// The model in the binary.
fn village() -> Package {
    Package {
        config: include_bytes!("../../../models/village/config.json").to_vec(),
        weights: include_bytes!("../../../models/village/model.safetensors").to_vec(),
        tokenizer: include_bytes!("../../../models/village/tokenizer.json").to_vec(),
        template: include_bytes!("../../../models/village/chat_template.jinja").to_vec(),
    }
}

fn read_package(path: &Path) -> Result<Package, ModelError> {
    let side = |name: &str| files::read_bounded(&path.join(name), SIDE_BYTES_MAX);
    Ok(Package {
        config: side("config.json")?,
        weights: files::read_bounded(&path.join("model.safetensors"), WEIGHTS_BYTES_MAX)?,
        tokenizer: side("tokenizer.json")?,
        template: template(path)?,
    })
}

/// Converts a published model to a model file in `folder`, or goes on with that.
pub(crate) fn convert(
    found: &Found,
    name: &str,
    folder: &Path,
    profile: Profile,
    pool: &dyn Pool,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Converted, ModelError> {
    let mut desk = Desk::open(folder, progress)?;
    let converted = convert_into(&found.published(), profile, pool, &mut desk);
    let failed = |source| ModelError::Convert { name: name.to_owned(), source };
    let converted = converted.map_err(failed)?;
    desk.close()?;
    Ok(converted)
}
