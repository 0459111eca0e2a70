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
        let path = self.folder.join(format!("{id}.json"));
        files::write_whole(&path, json.as_bytes())?;
        Ok(path)
    }

    /// The file of a receipt by its id, or by the first eight or more digits of it.
    ///
    /// # Errors
    /// [`FileError`] when it is here and cannot be read.
    pub fn find(&self, id: &str) -> Result<Option<Vec<u8>>, FileError> {
        let hex = id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        if !hex || !(8..=64).contains(&id.len()) {
            return Ok(None);
        }
        let named = |path: &PathBuf| {
            let name = path.file_name().map(std::ffi::OsStr::as_encoded_bytes);
            name.is_some_and(|name| name.starts_with(id.as_bytes()))
        };
        let path = self.paths().find(named);
        let maximum = mutirao_wire::limits::BUNDLE_BYTES_MAX as u64;
        path.map_or(Ok(None), |path| files::read_if_there(&path, maximum))
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
        assert_eq!(receipts.find("07070707").expect("read").as_deref(), Some(&b"{}"[..]));
        for stranger in ["07070708", "0707", "../keys/peer.key", "0707070*", ""] {
            assert_eq!(receipts.find(stranger).expect("read"), None, "{stranger}");
        }
        let day = Duration::from_secs(24 * 60 * 60);
        assert_eq!(receipts.expire(30, SystemTime::now() + day * 29), 0);
        assert_eq!(receipts.expire(0, SystemTime::now() + day * 999), 0);
        assert_eq!(receipts.expire(30, SystemTime::now() + day * 31), 1);
        assert_eq!(receipts.count(), 0);
    }
}
