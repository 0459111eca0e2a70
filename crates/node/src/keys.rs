//! The node's keys: one names it on the network, one signs its receipts. Made on first use.
//!
//! Each is 32 random bytes in a file of its own, as hexadecimal, readable by the owner only.

use crate::files::{self, FileError};
use mutirao_wire::{Digest, SigningKey};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why the keys could not be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file could not be read or made.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file holds something else.
    #[error(
        "{} is not a key (64 hexadecimal characters); restore it from a copy, or move it away \
         and a new key is made",
        path.display()
    )]
    Corrupt {
        /// Which file.
        path: PathBuf,
    },
    /// The system has no random bytes to give.
    #[error("the system gave no random bytes: {0}")]
    Random(getrandom::Error),
}

/// The keys of one node.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Names the node; signs its offers.
    pub peer: SigningKey,
    /// Signs checkpoints and receipts.
    pub receipts: SigningKey,
}

impl Keys {
    /// Opens the keys in `folder`, making what is missing.
    ///
    /// # Errors
    /// [`KeyError`] when a key is unreadable, exposed or corrupt. A key is never overwritten.
    pub fn open(folder: &Path) -> Result<Self, KeyError> {
        files::make_private_dir(folder)?;
        Ok(Self {
            peer: open_key(&folder.join("peer.key"))?,
            receipts: open_key(&folder.join("receipts.key"))?,
        })
    }

    /// Keys that live as long as this process.
    ///
    /// # Errors
    /// [`KeyError::Random`] when the system has no random bytes.
    pub fn throw_away() -> Result<Self, KeyError> {
        Ok(Self {
            peer: SigningKey::from_secret(&random()?),
            receipts: SigningKey::from_secret(&random()?),
        })
    }
}

/// The token of this node's HTTP door, made on first use: whoever can read it may ask.
///
/// # Errors
/// [`KeyError`] when it is unreadable, exposed or empty.
pub fn door_token(folder: &Path) -> Result<String, KeyError> {
    files::make_private_dir(folder)?;
    let path = folder.join("http.token");
    if files::read_if_there(&path, 128)?.is_none() {
        let token = Digest(random()?).hex();
        files::write_new(&path, token.get(..32).unwrap_or(&token).as_bytes())?;
    }
    files::check_private(&path)?;
    let text = files::read_bounded(&path, 128)?;
    let token = String::from_utf8_lossy(&text).trim().to_owned();
    if token.len() < 16 { Err(KeyError::Corrupt { path }) } else { Ok(token) }
}

/// 32 bytes from the system.
///
/// # Errors
/// [`KeyError::Random`] when it has none.
pub fn random() -> Result<[u8; 32], KeyError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(KeyError::Random)?;
    Ok(bytes)
}

fn open_key(path: &Path) -> Result<SigningKey, KeyError> {
    if files::read_if_there(path, 128)?.is_none() {
        let text = format!("{}\n", Digest(random()?).hex());
        files::write_new(path, text.as_bytes())?;
    }
    files::check_private(path)?;
    let content = files::read_bounded(path, 128)?;
    let text = std::str::from_utf8(&content).unwrap_or_default().trim_end();
    let secret = Digest::from_hex(text).map_err(|_| KeyError::Corrupt { path: path.to_owned() })?;
    Ok(SigningKey::from_secret(&secret.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Keys::open(&folder.path().join("keys")).expect("made");
        let again = Keys::open(&folder.path().join("keys")).expect("opened");
        assert_eq!(first.peer.peer_key(), again.peer.peer_key());
        assert_ne!(first.peer.public(), first.receipts.public());
    }

    #[test]
    fn a_corrupt_key_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("peer.key");
        files::write_new(&path, b"not a key").expect("written");
        let error = Keys::open(folder.path()).expect_err("corrupt").to_string();
        assert!(error.contains("is not a key"), "{error}");
        assert_eq!(files::read_bounded(&path, 99).expect("read"), b"not a key");
    }
}
