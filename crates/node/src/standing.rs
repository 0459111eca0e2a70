//! The client's memory of providers, on disk: one line a provider, owner-only.
//!
//! Losing it loses nothing but experience: a line that does not parse is dropped, and its provider
//! is a newcomer again, who is audited.

use crate::files::{self, FileError};
pub use mutirao_market::measure::Times;
pub use mutirao_market::standing::Record;
use mutirao_market::standing::Standing;
use mutirao_wire::{Digest, PeerKey};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

const BYTES_MAX: u64 = 16 << 20;

/// A [`Standing`] that is kept in a file.
#[derive(Debug)]
pub struct StandingFile {
    path: PathBuf,
    loaded: Standing,
    standing: Mutex<Standing>,
}

impl StandingFile {
    /// Reads the memory; no file is an empty one.
    ///
    /// # Errors
    /// [`FileError`] when the file exists but cannot be read.
    pub fn open(path: PathBuf) -> Result<Self, FileError> {
        let content = files::read_if_there(&path, BYTES_MAX)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&content);
        let loaded: Standing = text.lines().filter_map(read_line).collect();
        Ok(Self { path, standing: Mutex::new(loaded.clone()), loaded })
    }

    /// What was known when the file was opened.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.loaded
    }

    /// Changes the memory and writes it.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be written; the old memory is then still there.
    pub fn change(&self, change: impl FnOnce(&mut Standing)) -> Result<(), FileError> {
        let mut standing = self.lock();
        change(&mut standing);
        let lines: Vec<String> = standing.iter().map(|(key, record)| line(key, record)).collect();
        files::write_whole(&self.path, lines.concat().as_bytes())
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(key: &PeerKey, record: &Record) -> String {
    let Record { answers, failures, audits, lies, first_token_ms, first, between } = record;
    let (first, between) = (times_word(first), times_word(between));
    format!("{key} {answers} {failures} {audits} {lies} {first_token_ms} {first} {between}\n")
}

/// `bucket:count` with commas between, `-` for nothing.
fn times_word(times: &Times) -> String {
    let each: Vec<_> = times.buckets().map(|(bucket, count)| format!("{bucket}:{count}")).collect();
    if each.is_empty() { "-".into() } else { each.join(",") }
}

/// What does not parse was not measured.
fn read_times(word: Option<&str>) -> Times {
    let pairs = word.unwrap_or_default().split(',').filter_map(|pair| {
        let (bucket, count) = pair.split_once(':')?;
        Some((bucket.parse().ok()?, count.parse().ok()?))
    });
    pairs.collect()
}

fn read_line(line: &str) -> Option<(PeerKey, Record)> {
    let mut words = line.split_whitespace();
    let key = PeerKey(Digest::from_hex(words.next()?).ok()?.0);
    let mut number = || words.next()?.parse::<u64>().ok();
    let mut count = || number().and_then(|count| u32::try_from(count).ok());
    let (answers, failures, audits, lies) = (count()?, count()?, count()?, count()?);
    let first_token_ms = number()?;
    let (first, between) = (read_times(words.next()), read_times(words.next()));
    Some((key, Record { answers, failures, audits, lies, first_token_ms, first, between }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_remembered_is_still_known() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("standing");
        let (liar, friend) = (PeerKey([1; 32]), PeerKey([2; 32]));
        let file = StandingFile::open(path.clone()).expect("empty");
        file.change(|standing| standing.lied(liar)).expect("written");
        file.change(|standing| standing.answered(friend, 12)).expect("written");
        let between = [(20, 3), (30, 1)].into_iter().collect();
        file.change(|standing| standing.measured(friend, Some(12), &between)).expect("written");
        let again = StandingFile::open(path).expect("read");
        assert!(again.standing().is_banned(&liar));
        let friend = again.standing().of(&friend);
        assert_eq!((friend.first_token_ms, friend.between), (12, between));
        assert_eq!(friend.first.total(), 1);
    }

    #[test]
    fn a_line_that_does_not_parse_makes_a_newcomer_and_no_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("standing");
        files::write_whole(&path, b"nonsense\n\xff\xfe 1 2\n").expect("written");
        let file = StandingFile::open(path).expect("read");
        assert!(file.standing().is_new(&PeerKey([1; 32])));
    }
}
