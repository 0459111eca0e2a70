//! A disk that keeps for certain only what it was told to keep, and that can lose its current.

use super::seeded;
use rand_core::TryRng;
use redb::StorageBackend;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Something that was asked of the disk and is not certain yet.
#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Debug, Default)]
struct Inner {
    kept: Vec<u8>,
    seen: Vec<u8>,
    pending: Vec<Change>,
    /// Changes until the current fails; none while it does not.
    fuse: Option<u64>,
    dead: bool,
}

/// Shared with the test, which pulls the plug.
#[derive(Debug, Clone, Default)]
pub struct Platter(Arc<Mutex<Inner>>);

fn apply(to: &mut Vec<u8>, change: &Change, part: usize) {
    match change {
        Change::Length(length) => to.resize(*length as usize, 0),
        Change::Write(at, bytes) => {
            let at = *at as usize;
            if to.len() < at + bytes.len() {
                to.resize(at + bytes.len(), 0);
            }
            to[at..at + part].copy_from_slice(&bytes[..part]);
        }
    }
}

fn whole(change: &Change) -> usize {
    if let Change::Write(_, bytes) = change { bytes.len() } else { 0 }
}

impl Platter {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After so many more changes nothing is done any more.
    pub fn fails_after(&self, changes: u64) {
        self.inner().fuse = Some(changes);
    }

    /// Whether the current has failed.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.inner().dead
    }

    /// The current is back. Of what was not certain each change is there, is missing, or is there
    /// in part, whatever the order it was asked for in.
    pub fn start_again(&self, seed: u64) {
        let mut chance = seeded(seed);
        let mut inner = self.inner();
        let pending = std::mem::take(&mut inner.pending);
        for change in pending {
            let dice = chance.try_next_u64().unwrap_or_default();
            let part = match dice % 3 {
                0 => continue,
                1 => whole(&change),
                _ => whole(&change) * (dice >> 32) as u8 as usize / 256,
            };
            apply(&mut inner.kept, &change, part);
        }
        *inner = Inner { kept: inner.kept.clone(), seen: inner.kept.clone(), ..Inner::default() };
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut inner = self.inner();
        inner.alive()?;
        let part = whole(&change);
        apply(&mut inner.seen, &change, part);
        inner.pending.push(change);
        Ok(())
    }
}

impl Inner {
    fn alive(&mut self) -> io::Result<()> {
        self.dead |= self.fuse == Some(0);
        self.fuse = self.fuse.map(|left| left.saturating_sub(1));
        if self.dead { Err(ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Platter {
    fn len(&self) -> io::Result<u64> {
        Ok(self.inner().seen.len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let inner = self.inner();
        let at = offset as usize;
        let bytes = inner.seen.get(at..at + out.len()).filter(|_| !inner.dead);
        out.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::Length(len))
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.inner();
        inner.alive()?;
        for change in std::mem::take(&mut inner.pending) {
            apply(&mut inner.kept, &change, whole(&change));
        }
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(offset, data.to_vec()))
    }
}
