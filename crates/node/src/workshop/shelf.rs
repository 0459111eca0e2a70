//! What was read for earlier jobs, for later ones whose prompts begin alike: the next question of a
//! conversation need not read it all again.
//!
//! Everybody has a shelf of their own. If one could find what another has left, the time to a first
//! token would tell what the other had asked.

use mutirao_engine::Kept;
use mutirao_engine::run::common;
use mutirao_wire::{Digest, Token};

/// Who may use something again: whoever has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Who(pub(crate) Digest);

/// Fewer tokens than these are read again sooner than they are found.
const WORTH_KEEPING: usize = 16;

/// What is kept, the latest last.
#[derive(Debug)]
pub(super) struct Shelf {
    kept: Vec<(Who, Kept)>,
    bytes_max: u64,
}

impl Shelf {
    /// Keeps nothing yet, and never more than so many bytes.
    pub(super) const fn new(bytes_max: u64) -> Self {
        Self { kept: Vec::new(), bytes_max }
    }

    /// Keeps something, and throws away the oldest where there is too much.
    pub(super) fn put(&mut self, who: Who, kept: Option<Kept>) {
        let Some(kept) = kept.filter(|kept| kept.tokens().len() >= WORTH_KEEPING) else { return };
        self.kept.push((who, kept));
        let mut bytes: u64 = self.kept.iter().map(|(_, kept)| kept.bytes()).sum();
        let oldest = self.kept.iter().take_while(|(_, kept)| {
            let goes = bytes > self.bytes_max;
            bytes -= if goes { kept.bytes() } else { 0 };
            goes
        });
        let count = oldest.count();
        self.kept.drain(..count);
    }

    /// What begins most like this prompt, among what this asker may use. It is taken if most of it
    /// is of use, and copied where another prompt may want the rest.
    pub(super) fn take(&mut self, who: Who, prompt: &[Token]) -> Option<Kept> {
        let own = self.kept.iter().enumerate().filter(|(_, (owner, _))| *owner == who);
        let length = |(at, (_, kept)): (usize, &(Who, Kept))| (common(kept.tokens(), prompt), at);
        let (length, at) = own.map(length).max()?;
        if length < WORTH_KEEPING {
            return None;
        }
        let kept = &self.kept[at].1;
        if 4 * length < 3 * kept.tokens().len() {
            return Some(kept.beginning(length));
        }
        Some(self.kept.remove(at).1)
    }
}
