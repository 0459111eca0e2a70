//! The files of a model with their digests, in the order in which a signature covers them.

use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use thiserror::Error;

/// Files of one model at most.
pub const FILES_MAX: usize = 1 << 16;
/// How deep folders may lie in one another.
const DEPTH_MAX: usize = 32;
/// Bytes read at once.
const PIECE: usize = 1 << 20;
/// What belongs to the folder and not to the model.
pub const IGNORED: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];

/// Why the files could not be listed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The system refused.
    #[error("cannot read {}: {source}", path.display())]
    System {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A link, a socket, a device.
    #[error("{} is neither a file nor a folder; a signature covers plain files", path.display())]
    NotAFile {
        /// Which.
        path: PathBuf,
    },
    /// A name that is not UTF-8.
    #[error("{} has a name that is no text", path.display())]
    Name {
        /// Which.
        path: PathBuf,
    },
    /// More files, or deeper folders, than any model has.
    #[error("{} has more than {FILES_MAX} files, or folders {DEPTH_MAX} deep", path.display())]
    TooMany {
        /// Which folder.
        path: PathBuf,
    },
    /// Nothing to sign.
    #[error("{} holds no files", path.display())]
    Empty {
        /// Which folder.
        path: PathBuf,
    },
}

/// A file and its digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// Its path within the model, with `/` between parts.
    pub name: String,
    /// SHA-256 of what is in it.
    pub digest: [u8; 32],
}

/// All files of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The name of its folder.
    pub name: String,
    /// Its files, by their paths part by part.
    pub resources: Vec<Resource>,
    /// What was left out, beside what is always.
    pub ignored: Vec<String>,
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> ManifestError + '_ {
    |source| ManifestError::System { path: path.to_owned(), source }
}

impl Manifest {
    /// Of a folder; `ignored` are paths within it that are left out with all that is in them.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn of(folder: &Path, ignored: &[&str]) -> Result<Self, ManifestError> {
        let mut paths = Vec::new();
        list(folder, &PathBuf::new(), ignored, &mut paths)?;
        paths.sort_unstable();
        let hash = |path: &PathBuf| {
            let name = text(path)?;
            Ok(Resource { name, digest: digest(&folder.join(path))? })
        };
        let resources: Vec<Resource> = paths.iter().map(hash).collect::<Result<_, _>>()?;
        if resources.is_empty() {
            return Err(ManifestError::Empty { path: folder.to_owned() });
        }
        let whole = folder.canonicalize().map_err(failed(folder))?;
        let name = whole.file_name().map(|name| name.to_string_lossy().into_owned());
        let ignored = ignored.iter().map(|path| (*path).to_owned()).collect();
        Ok(Self { name: name.unwrap_or_default(), resources, ignored })
    }

    /// One digest for all of them: SHA-256 of theirs, one behind the other.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        self.resources.iter().for_each(|resource| hash.update(resource.digest));
        hash.finalize().into()
    }
}

/// Adds the files below a folder, as paths within the model.
fn list(
    folder: &Path,
    within: &Path,
    ignored: &[&str],
    paths: &mut Vec<PathBuf>,
) -> Result<(), ManifestError> {
    let here = folder.join(within);
    if within.components().count() > DEPTH_MAX {
        return Err(ManifestError::TooMany { path: folder.to_owned() });
    }
    for entry in std::fs::read_dir(&here).map_err(failed(&here))? {
        let entry = entry.map_err(failed(&here))?;
        let path = within.join(entry.file_name());
        let kind = entry.file_type().map_err(failed(&here))?;
        if is_ignored(&path, ignored) {
            continue;
        }
        if kind.is_dir() {
            list(folder, &path, ignored, paths)?;
        } else if kind.is_file() {
            paths.push(path);
        } else {
            return Err(ManifestError::NotAFile { path: folder.join(path) });
        }
        if paths.len() > FILES_MAX {
            return Err(ManifestError::TooMany { path: folder.to_owned() });
        }
    }
    Ok(())
}

fn is_ignored(path: &Path, ignored: &[&str]) -> bool {
    let is = |ignored: &&str| path == Path::new(ignored);
    IGNORED.iter().any(is) || ignored.iter().any(is)
}

fn text(path: &Path) -> Result<String, ManifestError> {
    let part = |part: Component<'_>| part.as_os_str().to_str().map(str::to_owned);
    let parts: Option<Vec<String>> = path.components().map(part).collect();
    Ok(parts.ok_or_else(|| ManifestError::Name { path: path.to_owned() })?.join("/"))
}

fn digest(path: &Path) -> Result<[u8; 32], ManifestError> {
    let mut file = File::open(path).map_err(failed(path))?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece).map_err(failed(path))? {
            0 => return Ok(hash.finalize().into()),
            read => hash.update(piece.get(..read).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_part_by_part_and_what_belongs_to_the_folder_is_not() {
        let place = tempfile::tempdir().unwrap();
        for path in ["b/a", "b.c", "a", ".git/config", ".gitignore", "model.sig", "b/z/y"] {
            let path = place.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"x").unwrap();
        }
        let manifest = Manifest::of(place.path(), &["model.sig"]).unwrap();
        let names: Vec<&str> = manifest.resources.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["a", "b/a", "b/z/y", "b.c"]);
    }

    #[test]
    fn a_link_is_refused_and_so_is_an_empty_folder() {
        let place = tempfile::tempdir().unwrap();
        assert!(matches!(Manifest::of(place.path(), &[]), Err(ManifestError::Empty { .. })));
        std::os::unix::fs::symlink("/etc/hostname", place.path().join("link")).unwrap();
        assert!(matches!(Manifest::of(place.path(), &[]), Err(ManifestError::NotAFile { .. })));
        let nowhere = Manifest::of(&place.path().join("none"), &[]);
        assert!(matches!(nowhere, Err(ManifestError::System { .. })));
    }
}
