//! The hub of published models, as a client: what a repository has, and its files, resumed where
//! they stopped and checked against the hub's own digests.
//!
//! Three addresses are asked (source: the API documentation of the Hugging Face Hub):
//! `/api/models/{repo}/revision/{revision}` for the commit, `/api/models/{repo}/tree/{commit}` for
//! the files with their sizes and, for the large ones, SHA-256; `/{repo}/resolve/{commit}/{file}`
//! for bytes, from any place on.

use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;
use thiserror::Error;

/// Most bytes of a listing.
const LISTING_BYTES_MAX: usize = 8 << 20;
/// Silence after which a connection is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Attempts at a file that make no progress.
const ATTEMPTS: u32 = 4;
/// Bytes hashed at once.
const HASHED_AT_ONCE: usize = 1 << 20;

/// Why the hub did not give what was wanted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HubError {
    /// The address is none.
    #[error("{endpoint:?} is no address of a hub (HF_ENDPOINT)")]
    Endpoint {
        /// The address.
        endpoint: String,
    },
    /// It could not be reached, or broke off.
    #[error("{address} cannot be read: {reason}; what came is kept, so try again")]
    Unreachable {
        /// What was asked for.
        address: String,
        /// Why not.
        reason: String,
    },
    /// It wants to know who asks.
    #[error("{address}: not without a token that may read it; set HF_TOKEN, and accept its terms")]
    Forbidden {
        /// What was asked for.
        address: String,
    },
    /// It has no such thing.
    #[error("{address}: there is no such repository, revision or file")]
    Missing {
        /// What was asked for.
        address: String,
    },
    /// It answered something else.
    #[error("{address}: {why}")]
    Strange {
        /// What was asked for.
        address: String,
        /// What is wrong.
        why: String,
    },
    /// What came is not what the hub promised.
    #[error("{file} is not what the hub says it is ({why}); it was thrown away, so try again")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// It could not be written.
    #[error("{path} cannot be written: {source}")]
    Disk {
        /// Where.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubFile {
    /// Its path in the repository.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// What names its content at the hub: SHA-256 of a large file, git's digest of a small one.
    pub name: String,
    /// Its SHA-256, in hexadecimal, if the hub says it.
    pub sha256: Option<String>,
}

/// A hub.
#[derive(Debug, Clone)]
pub struct Hub {
    client: Client,
    endpoint: String,
    token: Option<String>,
}

#[derive(Deserialize)]
struct Revision {
    sha: String,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    oid: String,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

/// Names of content and commits: hexadecimal.
fn is_name(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// A file in the folder itself.
fn is_plain(path: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !path.is_empty() && !path.starts_with('.') && path.chars().all(letter)
}

impl Hub {
    /// A hub at this address, asked with this token.
    ///
    /// # Errors
    /// [`HubError::Endpoint`] when the address is none.
    pub fn new(endpoint: &str, token: Option<String>) -> Result<Self, HubError> {
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let bad = || HubError::Endpoint { endpoint: endpoint.clone() };
        if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
            return Err(bad());
        }
        let client = client_builder().read_timeout(PATIENCE).build().map_err(|_| bad())?;
        Ok(Self { client, endpoint, token })
    }

    /// The commit that a revision of a repository stands for, and the files in its folder.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn list(
        &self,
        repository: &str,
        revision: &str,
    ) -> Result<(String, Vec<HubFile>), HubError> {
        let revision = revision.replace('/', "%2F");
        let address = format!("{}/api/models/{repository}/revision/{revision}", self.endpoint);
        let Revision { sha } = self.json(&address).await?;
        if !is_name(&sha) {
            return Err(HubError::Strange { address, why: "its commit has no name".into() });
        }
        let address = format!("{}/api/models/{repository}/tree/{sha}", self.endpoint);
        let listed: Vec<Listed> = self.json(&address).await?;
        let file = |listed: Listed| {
            let Listed { kind, path, size, oid, lfs } = listed;
            let sha256 = lfs.as_ref().map(|lfs| lfs.oid.clone());
            let bytes = lfs.as_ref().map_or(size, |lfs| lfs.size);
            let name = sha256.clone().unwrap_or(oid);
            let good = kind == "file" && is_plain(&path) && is_name(&name);
            good.then_some(HubFile { path, bytes, name, sha256 })
        };
        Ok((sha, listed.into_iter().filter_map(file).collect()))
    }

    /// Fetches a file to `to`, from where an earlier attempt stopped; `progress` hears how many of
    /// its bytes are there. What is there in the end is whole, and checked.
    ///
    /// # Errors
    /// [`HubError`]; what came is kept unless it is damaged.
    pub async fn fetch(
        &self,
        repository: &str,
        commit: &str,
        file: &HubFile,
        to: &Path,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), HubError> {
        let address = format!("{}/{repository}/resolve/{commit}/{}", self.endpoint, file.path);
        let disk = |source| HubError::Disk { path: to.display().to_string(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut target = options.open(to).map_err(disk)?;
        let (mut idle, mut have) = (0, 0);
        loop {
            let there = target.metadata().map_err(disk)?.len();
            progress(there.min(file.bytes));
            if there >= file.bytes {
                break;
            }
            idle = if there > have { 0 } else { idle + 1 };
            have = there;
            match self.more(&address, &mut target, there, file.bytes, progress).await {
                Err(HubError::Unreachable { .. }) if idle < ATTEMPTS => {}
                done => done?,
            }
        }
        check(&mut target, file, to)
    }

    /// Appends what comes from place `from` on, until it ends or breaks off.
    async fn more(
        &self,
        address: &str,
        target: &mut File,
        from: u64,
        whole: u64,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), HubError> {
        let disk = |source| HubError::Disk { path: address.to_owned(), source };
        let mut response = self.ask(address, (from > 0).then_some(from)).await?;
        let mut at = match response.status() {
            StatusCode::PARTIAL_CONTENT if begins_at(&response, from) => from,
            StatusCode::OK => 0,
            status => {
                let why = format!("{status} where bytes from {from} on were wanted");
                return Err(HubError::Strange { address: address.to_owned(), why });
            }
        };
        target.set_len(at).and_then(|()| target.seek(SeekFrom::Start(at))).map_err(disk)?;
        loop {
            let chunk = response.chunk().await;
            let Some(chunk) = chunk.map_err(|error| unreachable_at(address, &error))? else {
                break;
            };
            at += chunk.len() as u64;
            if at > whole {
                let why = format!("it has more than the {whole} bytes that were announced");
                return Err(HubError::Strange { address: address.to_owned(), why });
            }
            target.write_all(&chunk).map_err(disk)?;
            progress(at);
        }
        if at < whole {
            let reason = format!("it ended after {at} of {whole} bytes");
            return Err(HubError::Unreachable { address: address.to_owned(), reason });
        }
        Ok(())
    }

    async fn ask(&self, address: &str, from: Option<u64>) -> Result<Response, HubError> {
        let mut request = self.client.get(address);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(from) = from {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let response = request.send().await.map_err(|error| unreachable_at(address, &error))?;
        let address = address.to_owned();
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(HubError::Forbidden { address })
            }
            StatusCode::NOT_FOUND => Err(HubError::Missing { address }),
            status if status.is_server_error() => {
                Err(HubError::Unreachable { address, reason: status.to_string() })
            }
            status if status.is_success() => Ok(response),
            status => Err(HubError::Strange { address, why: status.to_string() }),
        }
    }

    async fn json<T: for<'a> Deserialize<'a>>(&self, address: &str) -> Result<T, HubError> {
        let mut response = self.ask(address, None).await?;
        let strange = |why: String| HubError::Strange { address: address.to_owned(), why };
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await;
            let Some(chunk) = chunk.map_err(|error| unreachable_at(address, &error))? else {
                break;
            };
            body.extend_from_slice(&chunk);
            if body.len() > LISTING_BYTES_MAX {
                return Err(strange("the listing is longer than any".into()));
            }
        }
        serde_json::from_slice(&body).map_err(|error| strange(error.to_string()))
    }
}

fn unreachable_at(address: &str, error: &reqwest::Error) -> HubError {
    HubError::Unreachable { address: address.to_owned(), reason: causes(error) }
}

/// What happened, and all that it came from.
pub(crate) fn causes(error: &reqwest::Error) -> String {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        reason = format!("{reason}: {source}");
        cause = source.source();
    }
    reason
}

/// What all clients of ours have in common.
pub(crate) fn client_builder() -> reqwest::ClientBuilder {
    // Whoever comes first decides for the whole process; all of us want the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .connect_timeout(Duration::from_secs(15))
        .user_agent(concat!("mutirao/", env!("CARGO_PKG_VERSION")))
}

/// Whether a part of a file is the part that was wanted.
fn begins_at(response: &Response, from: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {from}-")))
}

/// Size and SHA-256 of a whole file.
fn check(target: &mut File, file: &HubFile, path: &Path) -> Result<(), HubError> {
    let disk = |source| HubError::Disk { path: path.display().to_string(), source };
    let damaged = |why: String| {
        let _ = std::fs::remove_file(path);
        Err(HubError::Damaged { file: file.path.clone(), why })
    };
    let length = target.metadata().map_err(disk)?.len();
    if length != file.bytes {
        return damaged(format!("{length} bytes, not {}", file.bytes));
    }
    let Some(wanted) = &file.sha256 else { return Ok(()) };
    target.seek(SeekFrom::Start(0)).map_err(disk)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; HASHED_AT_ONCE]);
    loop {
        let count = target.read(&mut buffer).map_err(disk)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found == *wanted { Ok(()) } else { damaged(format!("SHA-256 {found}, not {wanted}")) }
}

#[cfg(test)]
mod tests;
