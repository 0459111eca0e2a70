//! Files that survive a kill at any moment: written beside, synced, then renamed into place.
//!
//! Secrets and openings are readable by their owner only, from their first byte on.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a file could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
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
    /// Larger than anything honest.
    #[error("{} has more than {maximum} bytes; it is not read", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// Most bytes read.
        maximum: u64,
    },
    /// Others can read a secret.
    #[error(
        "{} can be read by others (mode {mode:o}); run `chmod 600 {}`",
        path.display(),
        path.display()
    )]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

pub(crate) fn failed<'a>(
    what: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> FileError + 'a {
    move |source| FileError::System { what, path: path.to_owned(), source }
}

/// Bytes that are free where `path` is; `None` where that cannot be known.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(path).ok()?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}

/// Creates a directory and its parents, readable by the owner only.
///
/// # Errors
/// [`FileError::System`] when it cannot be made.
pub fn make_private_dir(path: &Path) -> Result<(), FileError> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).map_err(failed("create", path))
}

/// Creates a directory and its parents, with the permissions that the person's umask leaves.
///
/// # Errors
/// [`FileError::System`] when it cannot be made.
pub fn make_dir(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(failed("create", path))
}

/// As [`write_whole`], for content that is nobody's secret: others may read it.
///
/// # Errors
/// As [`write_whole`].
pub fn write_public(path: &Path, content: &[u8]) -> Result<(), FileError> {
    write(path, content, Some(0o644))
}

/// Replaces a file's content whole or not at all. Owner-only permissions.
///
/// # Errors
/// [`FileError::System`] when any step fails; the old content is then still there.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), FileError> {
    write(path, content, None)
}

fn write(path: &Path, content: &[u8], mode: Option<u32>) -> Result<(), FileError> {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder_of(path);
    let mut file = tempfile::Builder::new()
        .prefix(".partial-")
        .tempfile_in(folder)
        .map_err(failed("write in", folder))?;
    file.write_all(content).map_err(failed("write", path))?;
    if let Some(mode) = mode {
        let mode = fs::Permissions::from_mode(mode);
        file.as_file().set_permissions(mode).map_err(failed("open up", path))?;
    }
    file.as_file().sync_all().map_err(failed("sync", path))?;
    file.persist(path).map_err(|error| failed("replace", path)(error.error))?;
    sync_dir(folder)
}

/// Creates a file that must not exist yet; of two racing writers one wins and both read the same.
///
/// # Errors
/// [`FileError::System`] when it cannot be written; an existing file is not an error.
pub fn write_new(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let folder = folder_of(path);
    let mut file = tempfile::Builder::new()
        .prefix(".partial-")
        .tempfile_in(folder)
        .map_err(failed("write in", folder))?;
    file.write_all(content).map_err(failed("write", path))?;
    file.as_file().sync_all().map_err(failed("sync", path))?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => {
            Err(failed("create", path)(error.error))
        }
        _ => sync_dir(folder),
    }
}

/// A bare file name stands in the current directory.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_dir(folder: &Path) -> Result<(), FileError> {
    let handle = fs::File::open(folder).map_err(failed("open", folder))?;
    handle.sync_all().map_err(failed("sync", folder))
}

/// Waits for one's turn at whatever `path` stands for, among all processes; it ends with the value.
///
/// # Errors
/// [`FileError::System`] when the file cannot be made or locked.
pub fn take_turn(path: &Path) -> Result<fs::File, FileError> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    let opened = options.create(true).truncate(false).write(true).mode(0o600).open(path);
    let file = opened.map_err(failed("create", path))?;
    file.lock().map_err(failed("lock", path))?;
    Ok(file)
}

/// Reads a file of at most `maximum` bytes.
///
/// # Errors
/// [`FileError`] when it cannot be read or is larger.
pub fn read_bounded(path: &Path, maximum: u64) -> Result<Vec<u8>, FileError> {
    let file = fs::File::open(path).map_err(failed("read", path))?;
    let mut content = Vec::new();
    file.take(maximum + 1).read_to_end(&mut content).map_err(failed("read", path))?;
    if content.len() as u64 > maximum {
        return Err(FileError::TooLarge { path: path.to_owned(), maximum });
    }
    Ok(content)
}

/// Reads the first `maximum` bytes of a file, or all of a shorter one.
///
/// # Errors
/// [`FileError`] when it cannot be read.
pub fn read_beginning(path: &Path, maximum: u64) -> Result<Vec<u8>, FileError> {
    let file = fs::File::open(path).map_err(failed("read", path))?;
    let mut content = Vec::new();
    file.take(maximum).read_to_end(&mut content).map_err(failed("read", path))?;
    Ok(content)
}

/// As [`read_bounded`], and `None` when there is no such file.
///
/// # Errors
/// As [`read_bounded`].
pub fn read_if_there(path: &Path, maximum: u64) -> Result<Option<Vec<u8>>, FileError> {
    match read_bounded(path, maximum) {
        Err(FileError::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// Refuses a secret that others can read.
///
/// # Errors
/// [`FileError::Exposed`] when group or others have any permission.
pub fn check_private(path: &Path) -> Result<(), FileError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).map_err(failed("look at", path))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(FileError::Exposed { path: path.to_owned(), mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_written_file_is_whole_and_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        write_whole(&path, b"one").expect("written");
        write_whole(&path, b"two").expect("replaced");
        assert_eq!(read_bounded(&path, 3).expect("read"), b"two");
        check_private(&path).expect("private");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }

    #[test]
    fn the_first_of_two_writers_wins() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        write_new(&path, b"one").expect("written");
        write_new(&path, b"two").expect("not an error");
        assert_eq!(read_bounded(&path, 3).expect("read"), b"one");
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_with_the_cure() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        write_new(&path, b"one").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("opened up");
        let error = check_private(&path).expect_err("exposed").to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_file_above_its_bound_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("large");
        write_new(&path, &[0; 11]).expect("written");
        assert!(matches!(read_bounded(&path, 10), Err(FileError::TooLarge { .. })));
    }
}
