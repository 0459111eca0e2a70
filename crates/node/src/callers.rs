//! Keys of the HTTP door that its owner gives to programs and to others: each may ask, and spend at
//! most so much a day.
//!
//! They stand in one file that only the owner can read, a line for each: name, digest of the key,
//! most base units a day. The key itself is shown once and kept nowhere.

use crate::assemble::Node;
use crate::files::{self, FileError};
use crate::keys::{self, KeyError};
use mutirao_wire::{Amount, Digest};
use std::path::PathBuf;
use thiserror::Error;

/// Bytes of the file at most.
const BYTES_MAX: u64 = 1 << 20;
/// Letters of a name at most.
const NAME_MAX: usize = 32;

/// Somebody who has a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What its owner calls it.
    pub name: String,
    /// Most that is spent for it in a day, by universal time; nothing asks only who answers free.
    pub daily: Amount,
    key: Digest,
}

impl Caller {
    /// Stands for it where its name need not be told.
    pub(crate) fn digest(&self) -> Digest {
        self.key
    }

    fn line(&self) -> String {
        format!("{} {} {}\n", self.name, self.key.hex(), self.daily.0)
    }

    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (name, key, daily) = (words.next()?, words.next()?, words.next()?);
        let (key, daily) = (Digest::from_hex(key).ok()?, Amount(daily.parse().ok()?));
        words.next().is_none().then(|| Self { name: name.to_owned(), daily, key })
    }
}

/// Why a key was not made, found or taken back.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallerError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// No random bytes.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The file holds something else.
    #[error("line {line} of {} is no key; mend it or take the line out", path.display())]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// A name that cannot be one.
    #[error("{0:?} is no name for a key: 1 to {NAME_MAX} letters, digits, - and _")]
    Name(String),
    /// There is one already.
    #[error("there is a key {0:?} already; `mutirao key rm {0}` takes it back")]
    Twice(String),
    /// There is none.
    #[error("there is no key {0:?}; `mutirao key ls` lists them")]
    Unknown(String),
}

/// What is compared in place of a key.
fn digest(token: &str) -> Digest {
    Digest::of("mutirao 1 door key", &[token.as_bytes()])
}

fn is_name(name: &str) -> bool {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    (1..=NAME_MAX).contains(&name.len()) && name.chars().all(letter)
}

impl Node {
    /// Makes a key that may ask and spend so much a day, and shows it, once.
    ///
    /// # Errors
    /// [`CallerError`].
    pub fn add_caller(&self, name: &str, daily: Amount) -> Result<String, CallerError> {
        if !is_name(name) {
            return Err(CallerError::Name(name.to_owned()));
        }
        let token = Digest(keys::random()?).hex();
        let caller = Caller { name: name.to_owned(), daily, key: digest(&token) };
        self.change_callers(|callers| {
            if callers.iter().any(|known| known.name == name) {
                return Err(CallerError::Twice(name.to_owned()));
            }
            callers.push(caller);
            Ok(())
        })?;
        Ok(token)
    }

    /// Takes a key back: what it asks from now on is refused.
    ///
    /// # Errors
    /// [`CallerError`].
    pub fn remove_caller(&self, name: &str) -> Result<(), CallerError> {
        self.change_callers(|callers| {
            let before = callers.len();
            callers.retain(|known| known.name != name);
            let gone = callers.len() < before;
            gone.then_some(()).ok_or_else(|| CallerError::Unknown(name.to_owned()))
        })
    }

    /// All who have one.
    ///
    /// # Errors
    /// [`CallerError`].
    pub fn callers(&self) -> Result<Vec<Caller>, CallerError> {
        let path = self.callers_file();
        let Some(bytes) = files::read_if_there(&path, BYTES_MAX)? else { return Ok(Vec::new()) };
        files::check_private(&path)?;
        let text = String::from_utf8_lossy(&bytes);
        let read = |(number, line): (usize, &str)| {
            let corrupt = || CallerError::Corrupt { path: path.clone(), line: number + 1 };
            Caller::read(line).ok_or_else(corrupt)
        };
        text.lines().enumerate().map(read).collect()
    }

    /// Who has this key; nobody where the file cannot be read.
    pub(crate) fn caller_with(&self, token: &str) -> Option<Caller> {
        let callers = self.callers().unwrap_or_else(|error| {
            tracing::error!(%error, "the keys of callers cannot be read; none is let in");
            Vec::new()
        });
        let key = digest(token);
        callers.into_iter().find(|caller| caller.key == key)
    }

    fn change_callers(
        &self,
        change: impl FnOnce(&mut Vec<Caller>) -> Result<(), CallerError>,
    ) -> Result<(), CallerError> {
        let path = self.callers_file();
        self.make_data_dir()?;
        files::make_private_dir(&self.config().data_dir.join("keys"))?;
        let _turn = files::take_turn(&path.with_extension("lock"))?;
        let mut callers = self.callers()?;
        change(&mut callers)?;
        let text: String = callers.iter().map(Caller::line).collect();
        Ok(files::write_whole(&path, text.as_bytes())?)
    }

    fn callers_file(&self) -> PathBuf {
        self.config().data_dir.join("keys").join("callers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Home, Settings};

    fn node(place: &tempfile::TempDir) -> Node {
        let resolved = Settings::default().resolve(&Home::find(|_| None));
        let mut config = resolved.expect("the defaults resolve");
        config.data_dir = place.path().to_owned();
        Node::new(config)
    }

    #[test]
    fn a_key_is_known_until_it_is_taken_back_and_stands_in_no_file() {
        let place = tempfile::tempdir().expect("a directory");
        let node = node(&place);
        let token = node.add_caller("editor", Amount(5)).expect("made");
        let other = node.add_caller("rui", Amount(0)).expect("made");
        let known = node.caller_with(&token).expect("known");
        assert_eq!((known.name.as_str(), known.daily), ("editor", Amount(5)));
        let file = files::read_bounded(&node.callers_file(), 9999).expect("a file");
        assert!(!String::from_utf8_lossy(&file).contains(&token), "the key stands in the file");
        node.remove_caller("editor").expect("taken back");
        assert_eq!(node.caller_with(&token), None);
        assert_eq!(node.caller_with(&other).map(|caller| caller.name), Some("rui".to_owned()));
        assert_eq!(node.caller_with("something else"), None);
    }

    #[test]
    fn names_are_given_once_and_are_names() {
        let place = tempfile::tempdir().expect("a directory");
        let node = node(&place);
        node.add_caller("editor", Amount(5)).expect("made");
        let twice = node.add_caller("editor", Amount(9));
        assert!(matches!(twice, Err(CallerError::Twice(_))), "{twice:?}");
        for name in ["", "two words", "line\nbreak", "ã", &"x".repeat(33)] {
            let refused = node.add_caller(name, Amount(1));
            assert!(matches!(refused, Err(CallerError::Name(_))), "{name:?}");
        }
        let unknown = node.remove_caller("nobody");
        assert!(matches!(unknown, Err(CallerError::Unknown(_))), "{unknown:?}");
        assert_eq!(node.callers().expect("read").len(), 1);
    }

    #[test]
    fn a_damaged_line_lets_nobody_in_and_is_named() {
        let place = tempfile::tempdir().expect("a directory");
        let node = node(&place);
        let token = node.add_caller("editor", Amount(5)).expect("made");
        let path = node.callers_file();
        let mut file = files::read_bounded(&path, 9999).expect("a file");
        file.extend_from_slice(b"x y z\n");
        files::write_whole(&path, &file).expect("written");
        assert_eq!(node.caller_with(&token), None);
        let error = node.callers().expect_err("damaged").to_string();
        assert!(error.starts_with("line 2 of "), "{error}");
    }
}
