//! Published models where they lie: directories in the Hugging Face layout, GGUF files, and the
//! caches of other programs. Nothing is copied; weights are read a few rows at a time.

use crate::files::{self, FileError};
use mutirao_engine::load::{
    Catalogue, Files, Gguf, GgufError, Published, ReadError, SafetensorsError, Shards,
};
use mutirao_learn::eval::Stored;
use mutirao_text::{TextError, TokenLists};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Largest configuration, tokenizer or template file read, in bytes.
pub(crate) const SIDE_BYTES_MAX: u64 = 64 << 20;
/// Most files of a GGUF model.
const PARTS_MAX: usize = 1024;

/// Why there is no published model.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PublishedError {
    /// Nothing there is one.
    #[error(
        "{} is no model: wanted is config.json with model.safetensors, or a .gguf file",
        path.display()
    )]
    NotAModel {
        /// Where.
        path: PathBuf,
    },
    /// More than one.
    #[error("{} has {count} .gguf files; name one of them", path.display())]
    Several {
        /// Where.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// Weights that are a program.
    #[error(
        "{} has its weights as pickle, which can run code and is never read; \
         take a publication with model.safetensors",
        path.display()
    )]
    Pickle {
        /// Where.
        path: PathBuf,
    },
    /// There is no tokenizer.
    #[error("{} has no tokenizer.json; take a publication that has one", path.display())]
    NoTokenizer {
        /// Where.
        path: PathBuf,
    },
    /// There is no chat template.
    #[error(
        "{} has no chat template (in tokenizer_config.json, or in the metadata); \
         put one beside it as chat_template.jinja",
        path.display()
    )]
    NoTemplate {
        /// Where.
        path: PathBuf,
    },
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The weights are refused.
    #[error("the weights of model {}: {source}", path.display())]
    Safetensors {
        /// Where.
        path: PathBuf,
        /// Why.
        source: SafetensorsError,
    },
    /// The file is refused.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// The tokenizer is refused.
    #[error(transparent)]
    Text(#[from] TextError),
}

/// Files that are open, read at any place.
#[derive(Debug, Default)]
pub(crate) struct OnDisk(Vec<(PathBuf, File, u64)>);

impl OnDisk {
    fn open(paths: impl IntoIterator<Item = PathBuf>) -> Result<Self, FileError> {
        let open = |path: PathBuf| -> Result<(PathBuf, File, u64), FileError> {
            let file = File::open(&path).map_err(files::failed("read", &path))?;
            let length = file.metadata().map_err(files::failed("look at", &path))?.len();
            Ok((path, file, length))
        };
        Ok(Self(paths.into_iter().map(open).collect::<Result<_, _>>()?))
    }
}

impl Files for OnDisk {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn length(&self, file: usize) -> Result<u64, ReadError> {
        let found = self.0.get(file).ok_or_else(|| ReadError(format!("there is no file {file}")));
        found.map(|(.., length)| *length)
    }

    fn read(&self, file: usize, at: u64, into: &mut [u8]) -> Result<(), ReadError> {
        let (path, file, _) =
            self.0.get(file).ok_or_else(|| ReadError(format!("there is no file {file}")))?;
        let failed = |error: std::io::Error| ReadError(format!("{}: {error}", path.display()));
        file.read_exact_at(into, at).map_err(failed)
    }
}

/// A published model that was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) config: Vec<u8>,
    pub(crate) tokenizer: Vec<u8>,
    pub(crate) template: Vec<u8>,
    catalogue: Catalogue,
    files: OnDisk,
}

impl Found {
    /// Finds the model in a directory, or in a file.
    pub(crate) fn open(path: &Path) -> Result<Self, PublishedError> {
        if path.is_file() {
            return gguf(path);
        }
        if path.join("config.json").is_file() {
            return directory(path);
        }
        let entries = std::fs::read_dir(path).map_err(files::failed("list", path))?;
        let is_gguf = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "gguf");
        let mut found: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(is_gguf).collect();
        // All parts of a model are one; the one that comes first stands for them.
        found.sort();
        if let [first, rest @ ..] = found.as_slice()
            && parts(first).is_some_and(|parts| rest.iter().all(|path| parts.contains(path)))
        {
            return gguf(first);
        }
        match found.as_slice() {
            [] => Err(PublishedError::NotAModel { path: path.to_owned() }),
            [one] => gguf(one),
            many => Err(PublishedError::Several { path: path.to_owned(), count: many.len() }),
        }
    }

    /// What the engine converts.
    pub(crate) fn published(&self) -> Published<'_> {
        let Self { config, tokenizer, template, catalogue, files } = self;
        Published { config, catalogue, files, tokenizer, template }
    }

    /// Its weights where they lie.
    pub(crate) fn weights(&self) -> Stored<'_> {
        Stored { catalogue: &self.catalogue, files: &self.files }
    }

    /// Bits of a weight as it is published, on average.
    pub(crate) fn bits_of_a_weight(&self) -> f64 {
        let numbers = |shape: &[usize]| shape.iter().map(|size| *size as f64).product::<f64>();
        let tensors = || self.catalogue.iter().map(|(_, entry)| entry);
        let all: f64 = tensors().map(|entry| numbers(&entry.shape)).sum();
        let bytes: f64 = tensors().map(|entry| entry.bytes as f64).sum();
        8.0 * bytes / all.max(1.0)
    }
}

fn directory(path: &Path) -> Result<Found, PublishedError> {
    let side = |name: &str| files::read_if_there(&path.join(name), SIDE_BYTES_MAX);
    let (files, catalogue) = weights(path)?;
    let tokenizer = side("tokenizer.json")?;
    let tokenizer = tokenizer.ok_or_else(|| PublishedError::NoTokenizer { path: path.into() })?;
    let config = files::read_bounded(&path.join("config.json"), SIDE_BYTES_MAX)?;
    Ok(Found { config, tokenizer, template: template(path)?, catalogue, files })
}

fn weights(path: &Path) -> Result<(OnDisk, Catalogue), PublishedError> {
    let refused = |source| PublishedError::Safetensors { path: path.to_owned(), source };
    let whole = path.join("model.safetensors");
    let index = path.join("model.safetensors.index.json");
    if whole.is_file() {
        let files = OnDisk::open([whole])?;
        let catalogue = Catalogue::safetensors(&files).map_err(refused)?;
        return Ok((files, catalogue));
    }
    if let Some(index) = files::read_if_there(&index, SIDE_BYTES_MAX)? {
        let shards = Shards::parse(&index).map_err(refused)?;
        let files = OnDisk::open(shards.files.iter().map(|name| path.join(name)))?;
        let catalogue = Catalogue::sharded(&files, &shards).map_err(refused)?;
        return Ok((files, catalogue));
    }
    let path = path.to_owned();
    let pickled = ["pytorch_model.bin", "pytorch_model.bin.index.json"];
    match pickled.iter().any(|name| path.join(name).is_file()) {
        true => Err(PublishedError::Pickle { path }),
        false => Err(PublishedError::NotAModel { path }),
    }
}

/// The template stands in a file of its own, or as a string in `tokenizer_config.json`.
pub(crate) fn template(path: &Path) -> Result<Vec<u8>, PublishedError> {
    let config = files::read_if_there(&path.join("tokenizer_config.json"), SIDE_BYTES_MAX)?;
    let config: serde_json::Value =
        config.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let own = files::read_if_there(&path.join("chat_template.jinja"), SIDE_BYTES_MAX)?;
    let in_config = || config.get("chat_template")?.as_str().map(|text| text.as_bytes().to_vec());
    let template = own.or_else(in_config);
    let template = template.ok_or_else(|| PublishedError::NoTemplate { path: path.to_owned() })?;
    let token = |field: &str| {
        let token = config.get(field)?;
        token.as_str().or_else(|| token.get("content")?.as_str()).map(str::to_owned)
    };
    Ok(with_ends(template, token("bos_token"), token("eos_token")))
}

/// A template that speaks of the tokens at the ends of a text is told which they are.
fn with_ends(template: Vec<u8>, first: Option<String>, last: Option<String>) -> Vec<u8> {
    let mut told = Vec::new();
    for (name, token) in [("bos_token", first), ("eos_token", last)] {
        let mentions = template.windows(name.len()).any(|window| window == name.as_bytes());
        if let Some(token) = token.filter(|_| mentions) {
            let token = serde_json::Value::from(token);
            told.extend(format!("{{%- set {name} = {token} %}}").into_bytes());
        }
    }
    told.extend(template);
    told
}

/// The tokenizer stands in the metadata, and the template too or in a file beside it.
fn gguf(path: &Path) -> Result<Found, PublishedError> {
    let files = OnDisk::open(parts(path).unwrap_or_else(|| vec![path.to_owned()]))?;
    let gguf = Gguf::read(&files)?;
    let beside = path.parent().unwrap_or(Path::new(".")).join("chat_template.jinja");
    let beside = files::read_if_there(&beside, SIDE_BYTES_MAX)?;
    let own = gguf.text("tokenizer.chat_template").map(|text| text.as_bytes().to_vec());
    let template = own.or(beside);
    let template = template.ok_or_else(|| PublishedError::NoTemplate { path: path.to_owned() })?;
    let tokens = gguf.texts("tokenizer.ggml.tokens").unwrap_or_default();
    let end = |which: &str| {
        let id = gguf.number(&format!("tokenizer.ggml.{which}_token_id"))?;
        tokens.get(usize::try_from(id).ok()?).map(|token| (*token).to_owned())
    };
    let template = with_ends(template, end("bos"), end("eos"));
    let (config, tokenizer) = (gguf.config()?, gguf_tokenizer(&gguf)?);
    Ok(Found { config, tokenizer, template, catalogue: gguf.catalogue().clone(), files })
}

/// All files of a model of which this is one, where its name says that there are several:
/// `name-00002-of-00003.gguf`.
fn parts(path: &Path) -> Option<Vec<PathBuf>> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".gguf")?;
    let (front, count) = stem.rsplit_once("-of-")?;
    let (name, part) = front.rsplit_once('-')?;
    let number = |text: &str| {
        let digits = text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<usize>().ok().filter(|number| digits && (1..=PARTS_MAX).contains(number))
    };
    let all = number(count)?;
    number(part).filter(|part| *part <= all)?;
    let file = |part: usize| path.with_file_name(format!("{name}-{part:05}-of-{all:05}.gguf"));
    Some((1..=all).map(file).collect())
}

/// What is read of a model that is a file: itself, its other parts, and what may stand beside it.
pub(crate) fn beside(file: &Path) -> Vec<PathBuf> {
    let sides = ["chat_template.jinja", "tokenizer_config.json", "tokenizer.json", "config.json"];
    let mut all = parts(file).unwrap_or_else(|| vec![file.to_owned()]);
    all.extend(sides.map(|name| file.with_file_name(name)));
    all.retain(|path| path.is_file());
    all
}

/// The `tokenizer.json` of a GGUF file: the published one where it is there in full, else what the
/// lists of the metadata say.
///
/// # Errors
/// [`TextError`] when the lists make no tokenizer.
pub fn gguf_tokenizer(gguf: &Gguf) -> Result<Vec<u8>, TextError> {
    if let Some(whole) = gguf.text("tokenizer.huggingface.json") {
        return Ok(whole.as_bytes().to_vec());
    }
    let lists = TokenLists {
        kind: gguf.text("tokenizer.ggml.model").unwrap_or_default(),
        cuts: gguf.text("tokenizer.ggml.pre"),
        tokens: gguf.texts("tokenizer.ggml.tokens").unwrap_or_default(),
        types: gguf.numbers("tokenizer.ggml.token_type"),
        ranks: gguf.ranks("tokenizer.ggml.scores"),
        merges: gguf.texts("tokenizer.ggml.merges"),
        begins_with_space: gguf.flag("tokenizer.ggml.add_space_prefix"),
    };
    lists.tokenizer()
}

#[cfg(test)]
mod tests;
