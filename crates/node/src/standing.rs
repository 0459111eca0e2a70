//! The client's memory of providers, on disk: one line a provider, owner-only.
//!
//! Losing it loses nothing but experience: a line that does not parse is dropped, and its provider
//! is a newcomer again, who is audited.

use crate::files::{self, FileError};
pub use mutirao_market::measure::Times;
pub use mutirao_market::standing::Record;
use mutirao_market::standing::Standing;
use mutirao_wire::{Digest, PeerKey};
use std::path::{Path, PathBuf};

const BYTES_MAX: u64 = 16 << 20;

/// A [`Standing`] that is kept in a file.
#[derive(Debug)]
pub struct StandingFile {
    path: PathBuf,
    loaded: Standing,
}

impl StandingFile {
    /// Reads the memory; no file is an empty one.
    ///
    /// # Errors
    /// [`FileError`] when the file exists but cannot be read.
    pub fn open(path: PathBuf) -> Result<Self, FileError> {
        let loaded = read(&path)?;
        Ok(Self { path, loaded })
    }

    /// What was known when the file was opened.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.loaded
    }

    /// Changes the memory as it is on disk now, and writes it. Questions that run at the same
    /// time, in this process or another, take turns: none undoes what another learned.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be written; the old memory is then still there.
    pub fn change(&self, change: impl FnOnce(&mut Standing)) -> Result<(), FileError> {
        let _turn = files::take_turn(&self.path.with_extension("lock"))?;
        let mut standing = read(&self.path)?;
        change(&mut standing);
        let lines: Vec<String> = standing.iter().map(|(key, record)| line(key, record)).collect();
        files::write_whole(&self.path, lines.concat().as_bytes())
    }
}

fn read(path: &Path) -> Result<Standing, FileError> {
    let content = files::read_if_there(path, BYTES_MAX)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&content).lines().filter_map(read_line).collect())
}

fn line(key: &PeerKey, record: &Record) -> String {
    let Record { answers, failures, audits, lies, first_token_ms, silences, .. } = record;
    let (first, between) = (times_word(&record.first), times_word(&record.between));
    let quiet = format!("{silences} {}", record.quiet_until_ms);
    let counts = format!("{answers} {failures} {audits} {lies} {first_token_ms}");
    format!("{key} {counts} {first} {between} {quiet}\n")
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
    let silences = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
    let quiet_until_ms = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
    let record = Record { answers, failures, audits, lies, first_token_ms, ..Record::default() };
    Some((key, Record { first, between, silences, quiet_until_ms, ..record }))
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
        file.change(|standing| standing.silent(liar, 5)).expect("written");
        let again = StandingFile::open(path).expect("read");
        assert!(again.standing().is_banned(&liar) && again.standing().is_quiet(&liar, 6));
        let friend = again.standing().of(&friend);
        assert_eq!((friend.first_token_ms, friend.between), (12, between));
        assert_eq!(friend.first.total(), 1);
    }

    #[test]
    fn questions_at_the_same_time_do_not_undo_what_another_learned() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("standing");
        let open = || StandingFile::open(path.clone()).expect("opened");
        let (one, other) = (open(), open());
        one.change(|standing| standing.lied(PeerKey([1; 32]))).expect("written");
        other.change(|standing| standing.answered(PeerKey([2; 32]), 3)).expect("written");
        assert!(open().standing().is_banned(&PeerKey([1; 32])), "a lie is not forgotten");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..8 {
                        let failed = |standing: &mut Standing| standing.failed(PeerKey([3; 32]));
                        open().change(failed).expect("written");
                    }
                });
            }
        });
        assert_eq!(open().standing().of(&PeerKey([3; 32])).failures, 32);
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
