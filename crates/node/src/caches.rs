//! Models that other programs fetched: read where they lie, under the names their people know.
//!
//! `hf://org/repo[@revision]` is in the cache of `huggingface_hub` (source: its documentation,
//! "Understand caching"), `ollama://name[:tag]` in Ollama's (source: ollama/ollama,
//! `server/manifest.go`). Nothing is written there.

use crate::files::{self, FileError};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Where other programs keep models, and where the hub is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caches {
    /// `HF_HUB_CACHE`, `$HF_HOME/hub` or `~/.cache/huggingface/hub`.
    pub hub: PathBuf,
    /// `OLLAMA_MODELS` or `~/.ollama/models`.
    pub ollama: PathBuf,
    /// `HF_ENDPOINT` or `https://huggingface.co`.
    pub endpoint: String,
    /// `HF_HUB_OFFLINE`: nothing is asked of the hub.
    pub offline: bool,
    /// `HF_TOKEN`, or the token that the hub's own program keeps in `$HF_HOME/token`.
    pub token: Option<Token>,
}

/// A secret: it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub(crate) String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Largest manifest or reference read, in bytes.
const SIDE_BYTES_MAX: u64 = 1 << 20;

impl Caches {
    /// Finds them through `lookup` of environment variables.
    #[must_use]
    pub fn find(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let home = lookup("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
        let place = |name: &str| lookup(name).filter(|text| !text.is_empty()).map(PathBuf::from);
        let huggingface = place("HF_HOME").unwrap_or_else(|| home.join(".cache/huggingface"));
        let endpoint = lookup("HF_ENDPOINT").filter(|text| !text.is_empty());
        let kept = || {
            let kept = files::read_if_there(&huggingface.join("token"), SIDE_BYTES_MAX).ok()?;
            kept.and_then(|bytes| String::from_utf8(bytes).ok())
        };
        let token = lookup("HF_TOKEN").or_else(kept).map(|text| text.trim().to_owned());
        let set = |text: String| !matches!(text.to_lowercase().as_str(), "" | "0" | "false" | "no");
        Self {
            hub: place("HF_HUB_CACHE").unwrap_or_else(|| huggingface.join("hub")),
            ollama: place("OLLAMA_MODELS").unwrap_or_else(|| home.join(".ollama/models")),
            endpoint: endpoint.unwrap_or_else(|| "https://huggingface.co".to_owned()),
            offline: lookup("HF_HUB_OFFLINE").is_some_and(set),
            token: token.filter(|token| !token.is_empty()).map(Token),
        }
    }
}

/// Why a name leads nowhere.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The name is not one.
    #[error("{name:?} is not a name of the form {wanted}")]
    BadName {
        /// The name.
        name: String,
        /// What one looks like.
        wanted: &'static str,
    },
    /// The cache does not have it.
    #[error("{name} is not in {}; {next}", cache.display())]
    NotThere {
        /// The name.
        name: String,
        /// Where it was looked for.
        cache: PathBuf,
        /// What to do.
        next: String,
    },
    /// The cache is not what it should be.
    #[error("{}: {why}", path.display())]
    Strange {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A repository of the hub and what of it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// `org/repo`.
    pub id: String,
    /// A branch, tag or commit.
    pub revision: String,
}

/// Letters, digits and marks that mean nothing in a path.
fn is_plain(part: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !part.is_empty() && part.len() <= 96 && part.chars().all(letter) && !part.starts_with('.')
}

impl Repository {
    /// Reads `hf://org/repo[@revision]`; none for a name of another kind.
    ///
    /// # Errors
    /// [`CacheError::BadName`].
    pub fn parse(name: &str) -> Option<Result<Self, CacheError>> {
        let rest = name.strip_prefix("hf://")?;
        let (id, revision) = rest.split_once('@').unwrap_or((rest, "main"));
        let good = id.split_once('/').is_some_and(|(org, repo)| is_plain(org) && is_plain(repo));
        let revision_good = revision.split('/').all(is_plain);
        let wanted = "hf://org/repo or hf://org/repo@revision";
        let bad = || CacheError::BadName { name: name.to_owned(), wanted };
        let repository = Self { id: id.to_owned(), revision: revision.to_owned() };
        Some(if good && revision_good { Ok(repository) } else { Err(bad()) })
    }

    /// Its folder in the cache.
    pub(crate) fn folder(&self, caches: &Caches) -> PathBuf {
        caches.hub.join(format!("models--{}", self.id.replace('/', "--")))
    }

    /// The snapshot in the cache.
    pub(crate) fn snapshot(&self, caches: &Caches) -> Result<PathBuf, CacheError> {
        let folder = self.folder(caches);
        let reference = folder.join("refs").join(&self.revision);
        let commit = files::read_if_there(&reference, SIDE_BYTES_MAX)?;
        let commit = commit.and_then(|bytes| String::from_utf8(bytes).ok());
        let commit = commit.map_or_else(|| self.revision.clone(), |text| text.trim().to_owned());
        let snapshot = folder.join("snapshots").join(&commit);
        if is_plain(&commit) && snapshot.is_dir() {
            return Ok(snapshot);
        }
        let name = format!("hf://{}", self.id);
        let next = format!("`mutirao pull {name}` fetches it");
        Err(CacheError::NotThere { name, cache: caches.hub.clone(), next })
    }
}

/// The GGUF file of `ollama://name[:tag]`; none for a name of another kind.
pub(crate) fn ollama(name: &str, caches: &Caches) -> Option<Result<PathBuf, CacheError>> {
    Some(ollama_file(name.strip_prefix("ollama://")?, name, &caches.ollama))
}

fn ollama_file(rest: &str, name: &str, cache: &Path) -> Result<PathBuf, CacheError> {
    let (model, tag) = rest.rsplit_once(':').unwrap_or((rest, "latest"));
    let parts: Vec<&str> = model.split('/').collect();
    if !parts.iter().all(|part| is_plain(part)) || !is_plain(tag) || parts.len() > 3 {
        let wanted = "ollama://name or ollama://name:tag";
        return Err(CacheError::BadName { name: name.to_owned(), wanted });
    }
    let place = match parts.as_slice() {
        [model] => format!("registry.ollama.ai/library/{model}"),
        [owner, model] => format!("registry.ollama.ai/{owner}/{model}"),
        whole => whole.join("/"),
    };
    let path = cache.join("manifests").join(place).join(tag);
    let Some(manifest) = files::read_if_there(&path, SIDE_BYTES_MAX)? else {
        let next = format!("`ollama pull {rest}` fetches it");
        return Err(CacheError::NotThere { name: name.to_owned(), cache: cache.to_owned(), next });
    };
    let strange = |why| CacheError::Strange { path: path.clone(), why };
    let manifest: serde_json::Value =
        serde_json::from_slice(&manifest).map_err(|_| strange("it is no JSON"))?;
    let layers = manifest.get("layers").and_then(serde_json::Value::as_array);
    let is_model = |layer: &&serde_json::Value| {
        layer.get("mediaType").is_some_and(|kind| kind == "application/vnd.ollama.image.model")
    };
    let layer = layers.and_then(|layers| layers.iter().find(is_model));
    let digest = layer.and_then(|layer| layer.get("digest")?.as_str()?.strip_prefix("sha256:"));
    let digest = digest.filter(|digest| is_plain(digest));
    let digest = digest.ok_or_else(|| strange("it names no weights in one GGUF file"))?;
    Ok(cache.join("blobs").join(format!("sha256-{digest}")))
}

#[cfg(test)]
mod tests;
