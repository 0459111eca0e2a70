//! The models a node can open: the embedded village, models in its data directory, and any
//! directory in the Hugging Face layout. Files are read here; the engine only ever sees bytes.

use crate::files::{self, FileError};
use mutirao_engine::load;
use mutirao_engine::{ConvertError, LoadError, Model, Profile, Source};
use mutirao_text::{TextError, TextStack};
use mutirao_wire::FileName;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// The name of the embedded model.
pub const VILLAGE: &str = "village";

/// Largest weights file read, in bytes.
const WEIGHTS_BYTES_MAX: u64 = 64 << 30;
/// Largest configuration, tokenizer or template file read, in bytes.
const SIDE_BYTES_MAX: u64 = 64 << 20;

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
    /// The directory has no chat template.
    #[error(
        "{} has no chat template (chat_template.jinja, or in tokenizer_config.json)",
        path.display()
    )]
    NoTemplate {
        /// The directory.
        path: PathBuf,
    },
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
    config: Vec<u8>,
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
    /// Size of its weights as published, in bytes.
    pub bytes: u64,
}

/// The models under one data directory.
#[derive(Debug, Clone)]
pub struct Models {
    folder: PathBuf,
}

impl Models {
    /// The models under `data/models`, and the embedded one.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self { folder: data.join("models") }
    }

    /// Opens a model by name, or by the path of a directory.
    ///
    /// # Errors
    /// [`ModelError`] when there is no such model, or its files are refused.
    pub fn open(&self, name: &str) -> Result<Opened, ModelError> {
        let name = name.strip_suffix(":latest").unwrap_or(name);
        let package = self.package(name)?;
        let source = Source {
            config: &package.config,
            weights: &package.weights,
            tokenizer: &package.tokenizer,
            template: &package.template,
        };
        let named = || name.to_owned();
        let file = load::convert(&source, Profile::W8)
            .map_err(|source| ModelError::Convert { name: named(), source })?;
        let model = Model::from_bytes(&file)
            .map_err(|source| ModelError::Load { name: named(), source })?;
        let text = TextStack::new(model.tokenizer(), model.template(), model.vocabulary())
            .map_err(|source| ModelError::Text { name: named(), source })?;
        Ok(Opened { name: named(), model: Arc::new(model), text })
    }

    /// Whether a model can be named so.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        name == VILLAGE || self.directory(name).is_some_and(|path| path.is_dir())
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
            let weights = std::fs::metadata(entry.path().join("model.safetensors"));
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
        template: read_template(path)?,
    })
}

/// The template stands in a file of its own, or as a string in `tokenizer_config.json`.
fn read_template(path: &Path) -> Result<Vec<u8>, ModelError> {
    let own = files::read_if_there(&path.join("chat_template.jinja"), SIDE_BYTES_MAX)?;
    if let Some(template) = own {
        return Ok(template);
    }
    let config = files::read_if_there(&path.join("tokenizer_config.json"), SIDE_BYTES_MAX)?;
    let config: Option<serde_json::Value> =
        config.and_then(|text| serde_json::from_slice(&text).ok());
    let template = config.as_ref().and_then(|config| config.get("chat_template")?.as_str());
    let template = template.map(|template| template.as_bytes().to_vec());
    template.ok_or_else(|| ModelError::NoTemplate { path: path.to_owned() })
}
