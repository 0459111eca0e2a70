//! The models a node can open: the embedded village, models in its data directory, and whatever
//! [`crate::published`] reads. Files are read here; the engine only ever sees bytes.
//!
//! A model in the data directory is converted once, into `model.mutirao` in its folder, and packed
//! once (see `packs`); the pack is what is opened. Elsewhere nothing is written, and a model is
//! converted at every opening.

use crate::caches::{self, CacheError, Caches, Repository};
use crate::desk::{Desk, MODEL_FILE, Progress};
use crate::files::{self, FileError};
use crate::guide::TextGuides;
use crate::packs::{self, Pack, Refusal};
use crate::published::{Found, PublishedError, SIDE_BYTES_MAX, template};
use crate::threads::Threads;
use crate::workshop::Workshop;
use mutirao_engine::load::{Converted, InMemoryFile, convert_into};
use mutirao_engine::pool::{Pool, Serial};
use mutirao_engine::{ConvertError, LoadError, Model, Profile, Source, load};
use mutirao_text::{TextError, TextStack};
use mutirao_wire::FileName;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
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

/// A model that is ready to answer.
#[derive(Debug)]
pub struct Opened {
    /// Its name, for people.
    pub name: String,
    /// Its weights.
    pub model: Arc<Model>,
    /// Its text layer.
    pub text: TextStack,
    /// Where its weights are packed, if they are.
    pub(crate) pack: Option<Pack>,
    /// Where its answers are written, once there are any.
    workshop: OnceLock<Arc<Workshop>>,
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

impl Opened {
    /// Where its answers are written, all of them together; opened on first use. `bytes` of what
    /// was read are kept there for prompts that begin alike.
    pub(crate) fn workshop(&self, threads: Arc<Threads>, bytes: u64) -> Arc<Workshop> {
        let open = || Arc::new(Workshop::start(self.model.clone(), threads, bytes));
        self.workshop.get_or_init(open).clone()
    }

    /// What this model is.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts {
            name: self.name.clone(),
            model_id: self.model.id().to_string(),
            op_set: self.model.op_set().0,
            parameters: self.model.parameters(),
            vocabulary: self.model.vocabulary(),
            context: self.model.context(),
            text_stack: mutirao_text::TEXT_STACK,
        }
    }
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

    /// Opens a model by name, or by the path of a directory or file.
    ///
    /// # Errors
    /// [`ModelError`] when there is no such model, or its files are refused.
    pub fn open(&self, name: &str) -> Result<Opened, ModelError> {
        let name = name.strip_suffix(":latest").unwrap_or(name);
        let (model, pack) = self.weights(name)?;
        ready(name, model, pack)
    }

    /// Opens a model that gets its place here, from the folder where it was made, and packs it.
    pub(crate) fn open_new(&self, folder: &Path) -> Result<Opened, ModelError> {
        let name = folder.to_string_lossy();
        if !folder.join(MODEL_FILE).is_file() {
            return self.open(&name);
        }
        let (model, pack) = packed(folder, &name)?;
        ready(&name, model, pack)
    }

    /// The weights of a model: packed, as they are kept, or converted now.
    fn weights(&self, name: &str) -> Result<(Model, Option<Pack>), ModelError> {
        let failed = |source| ModelError::Convert { name: name.to_owned(), source };
        let plain = |file: &[u8]| {
            let source = |source| ModelError::Load { name: name.to_owned(), source };
            Model::from_bytes(file).map(|model| (model, None)).map_err(source)
        };
        if name == VILLAGE {
            let Package { config, weights, tokenizer, template } = &village();
            let source = Source { config, weights, tokenizer, template };
            return plain(&load::convert(&source, Profile::W8).map_err(failed)?);
        }
        let place = self.place(name)?;
        let is_of_ours = !name.contains('/');
        let kept = if place.is_dir() { place.join(MODEL_FILE) } else { place.clone() };
        let is_file = place.is_dir() || place.extension().is_some_and(|kind| kind == "mutirao");
        if is_file && kept.is_file() {
            return match is_of_ours {
                true => packed(&place, name),
                false => plain(&files::read_bounded(&kept, WEIGHTS_BYTES_MAX)?),
            };
        }
        let found = Found::open(&place)?;
        if is_of_ours && self.keep(&found, &place, name).is_ok() {
            return packed(&place, name);
        }
        let mut file = InMemoryFile::default();
        convert_into(&found.published(), Profile::W8, &Serial, &mut file).map_err(failed)?;
        plain(&file.into_bytes())
    }

    /// Converts a model of the data directory once and for all.
    fn keep(&self, found: &Found, place: &Path, name: &str) -> Result<(), ModelError> {
        let part = self.folder.join(format!(".{name}.converting"));
        convert(found, name, &part, Profile::W8, &Serial, &mut |_| {})?;
        let (from, to) = (part.join(MODEL_FILE), place.join(MODEL_FILE));
        std::fs::rename(&from, &to).map_err(files::failed("create", &to))?;
        let _ = std::fs::remove_dir(&part);
        Ok(())
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

/// A model and its text layer, under a name.
fn ready(name: &str, model: Model, pack: Option<Pack>) -> Result<Opened, ModelError> {
    let text = TextStack::new(model.tokenizer(), model.template(), model.vocabulary())
        .map_err(|source| ModelError::Text { name: name.to_owned(), source })?;
    let guides = TextGuides::new(text.clone(), model.end_of_text());
    let (model, workshop) = (Arc::new(model.with_guides(Arc::new(guides))), OnceLock::new());
    Ok(Opened { name: name.to_owned(), model, text, pack, workshop })
}

/// The model file in a folder of ours, packed where that is possible.
fn packed(folder: &Path, name: &str) -> Result<(Model, Option<Pack>), ModelError> {
    packs::open_or_make(folder).map_err(|refusal| match refusal {
        Refusal::File(error) => ModelError::File(error),
        Refusal::Load(source) => ModelError::Load { name: name.to_owned(), source },
    })
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
