//! A model file in the making, on disk: tensors stay when the program dies, and are checked before
//! they are taken over.
//!
//! Beside the file lies a list of what is finished: one line for each tensor, with its key and the
//! digest of its bytes. A line is written after its tensor; what was torn off by a crash fits no
//! digest and is made again.

use crate::files::{self, FileError};
use mutirao_engine::load::{Part, Sink, SinkError};
use mutirao_wire::Digest;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The name of a converted model in its folder.
pub(crate) const MODEL_FILE: &str = "model.mutirao";
/// The name of the list beside it.
const LIST_FILE: &str = "finished";
/// Largest list read.
const LIST_BYTES_MAX: u64 = 16 << 20;

/// How far a conversion is.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The tensor that is being converted.
    pub tensor: String,
    /// Its number, from 1 on.
    pub number: usize,
    /// How many there are.
    pub count: usize,
    /// Bytes of the model file that are finished.
    pub bytes: u64,
    /// Bytes that it will have.
    pub all_bytes: u64,
}

/// A model file in the making.
pub(crate) struct Desk<'a> {
    folder: PathBuf,
    file: File,
    list: File,
    finished: BTreeMap<Digest, Digest>,
    bytes: u64,
    progress: &'a mut dyn FnMut(&Progress),
}

impl<'a> Desk<'a> {
    /// Begins in this folder, or goes on there.
    pub(crate) fn open(
        folder: &Path,
        progress: &'a mut dyn FnMut(&Progress),
    ) -> Result<Self, FileError> {
        files::make_dir(folder)?;
        let open = |name: &str| {
            let path = folder.join(name);
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            options.open(&path).map_err(files::failed("write", &path))
        };
        let list = folder.join(LIST_FILE);
        let finished = files::read_if_there(&list, LIST_BYTES_MAX)?.unwrap_or_default();
        let (file, mut list) = (open(MODEL_FILE)?, open(LIST_FILE)?);
        // A torn line must not swallow the next one.
        std::io::Seek::seek(&mut list, std::io::SeekFrom::End(0))
            .and_then(|_| list.write_all(b"\n"))
            .map_err(files::failed("write", folder))?;
        let finished = String::from_utf8_lossy(&finished).lines().filter_map(line).collect();
        Ok(Self { folder: folder.to_owned(), file, list, finished, bytes: 0, progress })
    }

    /// Takes the list away, when the file is whole.
    pub(crate) fn close(self) -> Result<(), FileError> {
        let list = self.folder.join(LIST_FILE);
        std::fs::remove_file(&list).map_err(files::failed("remove", &list))
    }

    fn failed(&self, error: &std::io::Error) -> SinkError {
        SinkError(format!("{}: {error}", self.folder.join(MODEL_FILE).display()))
    }

    /// Makes the file as long as it will be, if there is room for that.
    fn stretch(&self, length: u64) -> Result<(), SinkError> {
        let had = self.file.metadata().map_err(|error| self.failed(&error))?.len();
        let wanted = length.saturating_sub(had);
        match files::free_bytes(&self.folder) {
            Some(free) if had != length && free < wanted => Err(SinkError(format!(
                "it needs {} MiB, and {} are free; make room or set MUTIRAO_DATA_DIR",
                wanted >> 20,
                free >> 20
            ))),
            _ => self.file.set_len(length).map_err(|error| self.failed(&error)),
        }
    }
}

/// A key and a digest.
fn line(text: &str) -> Option<(Digest, Digest)> {
    let (key, digest) = text.split_once(' ')?;
    Some((Digest::from_hex(key).ok()?, Digest::from_hex(digest).ok()?))
}

fn digest(sections: &[Vec<u8>]) -> Digest {
    let sections: Vec<&[u8]> = sections.iter().map(Vec::as_slice).collect();
    Digest::of("mutirao 1 finished tensor", &sections)
}

impl Sink for Desk<'_> {
    fn begins(&mut self, part: &Part<'_>) {
        let (number, count) = (part.index + 1, part.count);
        let (bytes, all_bytes) = (self.bytes, part.file_length);
        let tensor = part.name.to_owned();
        (self.progress)(&Progress { tensor, number, count, bytes, all_bytes });
        self.bytes += part.bytes();
    }

    fn kept(&mut self, part: &Part<'_>) -> Result<Option<Vec<Vec<u8>>>, SinkError> {
        let Some(wanted) = self.finished.get(&part.key) else { return Ok(None) };
        let read = |range: &std::ops::Range<u64>| {
            let mut bytes = vec![0; usize::try_from(range.end - range.start).ok()?];
            self.file.read_exact_at(&mut bytes, range.start).ok()?;
            Some(bytes)
        };
        let sections: Option<Vec<Vec<u8>>> = part.sections.iter().map(read).collect();
        Ok(sections.filter(|sections| digest(sections) == *wanted))
    }

    fn put(&mut self, part: &Part<'_>, sections: &[Vec<u8>]) -> Result<(), SinkError> {
        self.stretch(part.file_length)?;
        for (range, section) in part.sections.iter().zip(sections) {
            self.file.write_all_at(section, range.start).map_err(|error| self.failed(&error))?;
        }
        let line = format!("{} {}\n", part.key, digest(sections));
        self.list.write_all(line.as_bytes()).map_err(|error| self.failed(&error))
    }

    fn finish(&mut self, front: &[u8]) -> Result<(), SinkError> {
        let written = self.file.write_all_at(front, 0).and_then(|()| self.file.sync_all());
        written.map_err(|error| self.failed(&error))
    }
}
