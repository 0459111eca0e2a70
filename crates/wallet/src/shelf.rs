//! Where a wallet stands on disk: a folder for its owner alone, with files that are replaced whole.
//!
//! A new content is written beside, synced, and renamed into place: a kill or a full disk at any
//! moment leaves the old file or the new one. One process at a time has the folder.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

/// The keystore.
const KEYS: &str = "keys";
/// The book.
const BOOK: &str = "book";
/// Whoever has it locked has the folder.
const LOCK: &str = "lock";
/// How long another process is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a file of a wallet could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShelfError {
    /// No wallet there.
    #[error(
        "there is no wallet in {}; make one with `mutirao wallet new`, or `mutirao wallet restore` \
         one from its words",
        path.display()
    )]
    NoWallet {
        /// Where.
        path: PathBuf,
    },
    /// A wallet there already.
    #[error("{} holds a wallet already; keep it, or choose another name", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Another process has it.
    #[error("another program is using the wallet in {}; wait until it is done", path.display())]
    Busy {
        /// Where.
        path: PathBuf,
    },
    /// The disk is full.
    #[error(
        "no room on the disk for {}; make some and try again: nothing was lost, the old file is \
         still there",
        path.display()
    )]
    Full {
        /// Which file.
        path: PathBuf,
    },
    /// Others can read it.
    #[error(
        "{} can be read by others (mode {mode:o}); run `chmod go= {}`",
        path.display(),
        path.display()
    )]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Larger than anything honest.
    #[error("{} has more than {maximum} bytes; it is not read", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// Most bytes read.
        maximum: usize,
    },
    /// The system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    System {
        /// What was tried.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn failed<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ShelfError + 'a {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ShelfError::Full { path: path.to_owned() }
        }
        _ => ShelfError::System { what, path: path.to_owned(), source },
    }
}

/// The folder of one wallet, held by this process.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    _turn: File,
}

impl Shelf {
    /// Whether there is a wallet.
    #[must_use]
    pub fn is_there(folder: &Path) -> bool {
        folder.join(KEYS).exists()
    }

    /// Makes the folder of a new wallet and puts its keystore there; never over another.
    ///
    /// # Errors
    /// [`ShelfError`].
    // spec: WALLET-2.4
    pub fn create(folder: &Path, keys: &[u8]) -> Result<Self, ShelfError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(folder).map_err(failed("create", folder))?;
        check_private(folder)?;
        let shelf = Self { folder: folder.to_owned(), _turn: take_turn(folder)? };
        let path = folder.join(KEYS);
        let file = shelf.beside(&path, keys)?;
        match file.persist_noclobber(&path) {
            Ok(_) => sync_folder(folder)?,
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(ShelfError::Exists { path: folder.to_owned() });
            }
            Err(error) => return Err(failed("create", &path)(error.error)),
        }
        Ok(shelf)
    }

    /// The folder of a wallet that is there.
    ///
    /// # Errors
    /// [`ShelfError`].
    pub fn open(folder: &Path) -> Result<Self, ShelfError> {
        if !Self::is_there(folder) {
            return Err(ShelfError::NoWallet { path: folder.to_owned() });
        }
        Ok(Self { folder: folder.to_owned(), _turn: take_turn(folder)? })
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The keystore; refused where others can read it.
    ///
    /// # Errors
    /// [`ShelfError`].
    // spec: WALLET-2.4
    pub fn keys(&self, maximum: usize) -> Result<Vec<u8>, ShelfError> {
        let path = self.folder.join(KEYS);
        check_private(&path)?;
        read_bounded(&path, maximum)
    }

    /// Replaces the keystore, for a new password.
    ///
    /// # Errors
    /// [`ShelfError`]; the old one is then still there.
    pub fn put_keys(&self, content: &[u8]) -> Result<(), ShelfError> {
        self.replace(&self.folder.join(KEYS), content)
    }

    /// The book, if there is one.
    ///
    /// # Errors
    /// [`ShelfError`].
    pub fn book(&self, maximum: usize) -> Result<Option<Vec<u8>>, ShelfError> {
        self.note(BOOK, maximum)
    }

    /// Replaces the book.
    ///
    /// # Errors
    /// [`ShelfError`]; the old one is then still there.
    // spec: WALLET-3.2
    pub fn put_book(&self, content: &[u8]) -> Result<(), ShelfError> {
        self.replace(&self.folder.join(BOOK), content)
    }

    /// Puts the book aside, so that a new one begins.
    ///
    /// # Errors
    /// [`ShelfError`].
    pub fn put_book_aside(&self) -> Result<(), ShelfError> {
        let path = self.folder.join(BOOK);
        match fs::rename(&path, self.folder.join("book.old")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(failed("put aside", &path)),
        }
    }

    /// A small file beside the book, if it is there.
    ///
    /// # Errors
    /// [`ShelfError`].
    pub fn note(&self, name: &str, maximum: usize) -> Result<Option<Vec<u8>>, ShelfError> {
        if_there(read_bounded(&self.folder.join(name), maximum))
    }

    /// Replaces a small file. Without `sync` a kill still leaves the old one or the new one, and
    /// only a machine that loses its power may forget the last few.
    ///
    /// # Errors
    /// [`ShelfError`]; the old one is then still there.
    pub fn put_note(&self, name: &str, content: &[u8], sync: bool) -> Result<(), ShelfError> {
        let path = self.folder.join(name);
        if sync {
            return self.replace(&path, content);
        }
        let file = self.written(&path, content)?;
        file.persist(&path).map_err(|error| failed("replace", &path)(error.error))?;
        Ok(())
    }

    /// Takes a small file away, if it is there.
    ///
    /// # Errors
    /// [`ShelfError`].
    pub fn drop_note(&self, name: &str) -> Result<(), ShelfError> {
        let path = self.folder.join(name);
        if_there(fs::remove_file(&path).map_err(failed("remove", &path))).map(drop)
    }

    /// The small files whose names begin so: the rest of each name, in order.
    ///
    /// # Errors
    /// [`ShelfError`].
    pub fn notes(&self, prefix: &str) -> Result<Vec<String>, ShelfError> {
        let read = fs::read_dir(&self.folder).map_err(failed("list", &self.folder))?;
        let names = read.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> =
            names.filter_map(|name| Some(name.strip_prefix(prefix)?.to_owned())).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn replace(&self, path: &Path, content: &[u8]) -> Result<(), ShelfError> {
        let file = self.beside(path, content)?;
        file.persist(path).map_err(|error| failed("replace", path)(error.error))?;
        sync_folder(&self.folder)
    }

    /// A synced file with that content.
    fn beside(&self, path: &Path, content: &[u8]) -> Result<tempfile::NamedTempFile, ShelfError> {
        let file = self.written(path, content)?;
        file.as_file().sync_all().map_err(failed("sync", path))?;
        Ok(file)
    }

    /// A file with that content, owner-only from its first byte on.
    fn written(&self, path: &Path, content: &[u8]) -> Result<tempfile::NamedTempFile, ShelfError> {
        let mut file = tempfile::Builder::new()
            .prefix(".partial-")
            .tempfile_in(&self.folder)
            .map_err(failed("write in", &self.folder))?;
        file.write_all(content).map_err(failed("write", path))?;
        Ok(file)
    }
}

/// What a file that is not there gives is nothing.
fn if_there<T>(given: Result<T, ShelfError>) -> Result<Option<T>, ShelfError> {
    match given {
        Err(ShelfError::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        other => other.map(Some),
    }
}

fn sync_folder(folder: &Path) -> Result<(), ShelfError> {
    let handle = File::open(folder).map_err(failed("open", folder))?;
    handle.sync_all().map_err(failed("sync", folder))
}

fn take_turn(folder: &Path) -> Result<File, ShelfError> {
    let path = folder.join(LOCK);
    let mut options = fs::OpenOptions::new();
    let opened = options.create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = opened.map_err(failed("create", &path))?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if began.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(ShelfError::Busy { path: folder.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock", &path)(error)),
        }
    }
}

fn read_bounded(path: &Path, maximum: usize) -> Result<Vec<u8>, ShelfError> {
    let file = File::open(path).map_err(failed("read", path))?;
    let mut content = Vec::new();
    file.take(maximum as u64 + 1).read_to_end(&mut content).map_err(failed("read", path))?;
    if content.len() > maximum {
        return Err(ShelfError::TooLarge { path: path.to_owned(), maximum });
    }
    Ok(content)
}

fn check_private(path: &Path) -> Result<(), ShelfError> {
    let mode = fs::metadata(path).map_err(failed("look at", path))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(ShelfError::Exposed { path: path.to_owned(), mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    // spec: WALLET-2.4
    #[test]
    fn folder_and_files_are_for_their_owner_alone() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("wallets/main");
        let shelf = Shelf::create(&folder, b"one").unwrap();
        shelf.put_book(b"book").unwrap();
        assert_eq!(mode(&folder), 0o700);
        for name in [KEYS, BOOK, LOCK] {
            assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
        }
        fs::set_permissions(folder.join(KEYS), fs::Permissions::from_mode(0o640)).unwrap();
        let error = shelf.keys(99).unwrap_err();
        assert!(error.to_string().contains("chmod go="), "{error}");
    }

    // spec: WALLET-2.4
    #[test]
    fn a_wallet_is_never_made_over_another() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("main");
        drop(Shelf::create(&folder, b"one").unwrap());
        assert!(matches!(Shelf::create(&folder, b"two"), Err(ShelfError::Exists { .. })));
        assert_eq!(Shelf::open(&folder).unwrap().keys(9).unwrap(), b"one");
        let nowhere = Shelf::open(&place.path().join("other"));
        assert!(matches!(nowhere, Err(ShelfError::NoWallet { .. })));
    }

    // spec: WALLET-3.2
    #[test]
    fn what_a_kill_left_half_written_is_not_read() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("main");
        let shelf = Shelf::create(&folder, b"keys").unwrap();
        assert_eq!(shelf.book(9).unwrap(), None);
        shelf.put_book(b"whole").unwrap();
        fs::write(folder.join(".partial-x"), b"ha").unwrap();
        assert_eq!(shelf.book(9).unwrap().unwrap(), b"whole");
        assert!(matches!(shelf.book(4), Err(ShelfError::TooLarge { .. })));
        shelf.put_book_aside().unwrap();
        assert_eq!(shelf.book(9).unwrap(), None);
        shelf.put_book_aside().unwrap();
    }

    // spec: WALLET-3.2
    #[test]
    fn a_full_disk_leaves_the_old_file_and_says_so() {
        let full = failed("write", Path::new("book"))(io::ErrorKind::StorageFull.into());
        assert!(full.to_string().contains("nothing was lost"), "{full}");
        let place = tempfile::tempdir().unwrap();
        let shelf = Shelf::create(&place.path().join("main"), b"keys").unwrap();
        shelf.put_book(b"old").unwrap();
        // `/dev/full` refuses each byte as a full disk does.
        let mut refused = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = failed("write", place.path())(refused.write_all(b"new").unwrap_err());
        assert!(matches!(error, ShelfError::Full { .. }), "{error}");
        assert_eq!(shelf.book(9).unwrap().unwrap(), b"old");
    }
}
