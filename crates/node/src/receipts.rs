//! Receipts at rest. An opening shows prompt and answer, so each file is its owner's alone, is kept
//! for a set number of days, and is deleted on demand.

use crate::files::{self, FileError};
use mutirao_wire::ReceiptId;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The receipts of one data directory.
#[derive(Debug, Clone)]
pub struct Receipts {
    folder: PathBuf,
}

impl Receipts {
    /// The receipts under `data/receipts`.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self { folder: data.join("receipts") }
    }

    /// Keeps one receipt file and returns its path.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be written; nothing partial is left.
    pub fn keep(&self, id: ReceiptId, json: &str) -> Result<PathBuf, FileError> {
        files::make_private_dir(&self.folder)?;
        let path = self.folder.join(format!("{}.json", id.short()));
        files::write_whole(&path, json.as_bytes())?;
        Ok(path)
    }

    /// How many receipts are kept.
    #[must_use]
    pub fn count(&self) -> usize {
        self.paths().count()
    }

    /// Deletes receipts older than `days` and says how many; 0 days keeps all.
    #[must_use]
    pub fn expire(&self, days: u32, now: SystemTime) -> usize {
        let age = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
        let old = |path: &PathBuf| {
            let written = std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
            written.and_then(|at| now.duration_since(at).ok()).is_some_and(|old| old > age)
        };
        let expired = self.paths().filter(|path| days > 0 && old(path));
        expired.filter(|path| std::fs::remove_file(path).is_ok()).count()
    }

    fn paths(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
        entries.map(|entry| entry.path()).filter(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mutirao_wire::Digest;

    #[test]
    fn a_receipt_is_kept_for_its_days_and_no_longer() {
        let data = tempfile::tempdir().expect("a folder");
        let receipts = Receipts::new(data.path());
        let path = receipts.keep(ReceiptId(Digest([7; 32])), "{}").expect("kept");
        files::check_private(&path).expect("private");
        let day = Duration::from_secs(24 * 60 * 60);
        assert_eq!(receipts.expire(30, SystemTime::now() + day * 29), 0);
        assert_eq!(receipts.expire(0, SystemTime::now() + day * 999), 0);
        assert_eq!(receipts.expire(30, SystemTime::now() + day * 31), 1);
        assert_eq!(receipts.count(), 0);
    }
}
