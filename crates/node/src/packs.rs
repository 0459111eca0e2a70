//! Models packed for this machine's kernels, beside the model file that they were made of: opening
//! one is reading it, and nothing is computed or proven again.
//!
//! It is read and not mapped: a file that somebody cuts while it is mapped ends the process.
//!
//! A pack is a cache. It has no id, is never sent, and is made again whenever it is not what the
//! note beside it says: of another layout, of another model file, or touched since it was made
//! (its length, its place on the disk, and the times of its last change; the system itself sets the
//! last of these). That is looked at whenever it is opened. What changes bytes behind the system's
//! back, such as a bad disk, is found by the digest of the whole pack: before anybody is judged by
//! its answers, before they are sold, and by `mutirao doctor`.

use crate::desk::MODEL_FILE;
use crate::files::{self, FileError};
use mutirao_engine::kernel::packed::{ALIGNMENT, Bytes, LAYOUT_VERSION};
use mutirao_engine::load::SinkError;
use mutirao_engine::pool::Pool;
use mutirao_engine::{LoadError, Model, PackError, pack};
use mutirao_wire::Digest;
use serde::{Deserialize, Serialize};
use std::fs::{File, Metadata};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A pack in its folder.
const PACK_FILE: &str = "model.packed";
/// What was known of it when it was made.
const NOTE_FILE: &str = "model.packed.json";
/// One in the making. Whoever makes one begins anew, so nothing gathers here.
const PART_FILE: &str = "model.packed.part";
/// Whose turn it is to make one.
const TURN_FILE: &str = ".packing";
/// Longest note.
const NOTE_BYTES_MAX: u64 = 1 << 12;
/// Bytes with one digest.
const PIECE_BYTES: usize = 4 << 20;
/// A pack is left out where it would leave less room than this, in bytes.
const ROOM_LEFT: u64 = 256 << 20;
/// Largest file read, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 30;
/// Threads that read one file.
const READERS_MAX: usize = 4;
/// A model file begins with its magic and its id.
const ID_PLACE: std::ops::Range<usize> = 8..40;

/// A file of a certain moment. Whoever changes it, or puts another in its place, changes this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    bytes: u64,
    place: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|data| Self::from(&data))
    }
}

impl From<&Metadata> for Stamp {
    fn from(data: &Metadata) -> Self {
        Self {
            bytes: data.len(),
            place: data.ino(),
            written: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }
}

/// What was known of a pack when it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    layout: u32,
    model: String,
    /// Over the digests of its pieces.
    digest: String,
    pack: Stamp,
    file: Stamp,
}

/// A file that was read, beginning where kernels like their tiles to begin.
struct Read {
    bytes: Vec<u8>,
    start: usize,
}

impl AsRef<[u8]> for Read {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// Reads a whole file, on several threads: one alone is kept waiting by fresh memory.
fn read(path: &Path) -> Result<Read, FileError> {
    let file = File::open(path).map_err(files::failed("read", path))?;
    let length = file.metadata().map_err(files::failed("look at", path))?.len();
    if length > FILE_BYTES_MAX {
        return Err(FileError::TooLarge { path: path.to_owned(), maximum: FILE_BYTES_MAX });
    }
    let length = usize::try_from(length).unwrap_or(0);
    let mut bytes = vec![0u8; length + ALIGNMENT];
    let start = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    bytes.truncate(start + length);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let part = length.div_ceil(threads.min(READERS_MAX)).max(PIECE_BYTES);
    std::thread::scope(|scope| {
        let parts = bytes[start..].chunks_mut(part).enumerate();
        let readers = parts.map(|(index, into)| {
            let (file, at) = (&file, (index * part) as u64);
            scope.spawn(move || file.read_exact_at(into, at))
        });
        let readers: Vec<_> = readers.collect();
        readers.into_iter().try_for_each(|reader| {
            reader.join().unwrap_or_else(|_| Err(std::io::Error::other("a reader panicked")))
        })
    })
    .map_err(files::failed("read", path))?;
    Ok(Read { bytes, start })
}

/// A pack whose model is open.
pub(crate) struct Pack {
    bytes: Bytes,
    digest: String,
    whole: OnceLock<bool>,
}

impl std::fmt::Debug for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pack({})", self.digest)
    }
}

impl Pack {
    /// Whether all of it is what was packed; read once.
    pub(crate) fn is_whole(&self, pool: &dyn Pool) -> bool {
        *self.whole.get_or_init(|| digest_of((*self.bytes).as_ref(), pool) == self.digest)
    }
}

/// Throws the pack in a folder away; the next opening makes it again.
pub(crate) fn discard(folder: &Path) {
    for name in [NOTE_FILE, PACK_FILE] {
        let _ = std::fs::remove_file(folder.join(name));
    }
}

/// Whether a model of this folder was packed.
pub(crate) fn is_packed(folder: &Path) -> bool {
    folder.join(PACK_FILE).is_file()
}

/// Opens the model in `folder`: packed, after packing it if need be, or as it is where that is not
/// possible.
pub(crate) fn open_or_make(folder: &Path) -> Result<(Model, Option<Pack>), Refusal> {
    open_with(folder, files::free_bytes(folder))
}

/// Why a model does not open.
#[derive(Debug)]
pub(crate) enum Refusal {
    File(FileError),
    Load(LoadError),
}

fn open_with(folder: &Path, free: Option<u64>) -> Result<(Model, Option<Pack>), Refusal> {
    if let Some((model, pack)) = open(folder) {
        return Ok((model, Some(pack)));
    }
    let path = folder.join(MODEL_FILE);
    let plain = read(&path).map_err(Refusal::File)?;
    match make(folder, plain.as_ref(), free) {
        // Both at once would be twice the memory.
        Ok(()) => drop(plain),
        Err(Trouble::Model(error)) => return Err(Refusal::Load(error)),
        Err(Trouble::Disk(why)) => {
            tracing::info!(folder = %folder.display(), why, "the model is not packed");
            return unpacked(plain.as_ref());
        }
    }
    match open(folder) {
        Some((model, pack)) => Ok((model, Some(pack))),
        None => unpacked(read(&path).map_err(Refusal::File)?.as_ref()),
    }
}

fn unpacked(plain: &[u8]) -> Result<(Model, Option<Pack>), Refusal> {
    Model::from_bytes(plain).map(|model| (model, None)).map_err(Refusal::Load)
}

/// Opens a pack that is there and fits.
fn open(folder: &Path) -> Option<(Model, Pack)> {
    let note = files::read_if_there(&folder.join(NOTE_FILE), NOTE_BYTES_MAX).ok()??;
    let note: Note = serde_json::from_slice(&note).ok()?;
    let (path, file) = (folder.join(PACK_FILE), folder.join(MODEL_FILE));
    let fits = Stamp::of(&file)? == note.file && Stamp::of(&path)? == note.pack;
    if !fits || note.layout != LAYOUT_VERSION || id_of(&file)? != note.model {
        return None;
    }
    let bytes: Bytes = Arc::new(read(&path).ok()?);
    let model = Model::open_packed(bytes.clone()).ok()?;
    let pack = Pack { bytes, digest: note.digest, whole: OnceLock::new() };
    (model.id().to_string() == note.model).then_some((model, pack))
}

/// The id in the front of a model file; what is behind it was proven when it was packed.
fn id_of(file: &Path) -> Option<String> {
    let front = files::read_beginning(file, ID_PLACE.end as u64).ok()?;
    let id: [u8; 32] = front.get(ID_PLACE)?.try_into().ok()?;
    Some(Digest(id).to_string())
}

/// Why there is no pack.
enum Trouble {
    /// The model file is no model.
    Model(LoadError),
    /// It cannot be kept.
    Disk(String),
}

impl From<FileError> for Trouble {
    fn from(error: FileError) -> Self {
        Self::Disk(error.to_string())
    }
}

/// Proves a model file and packs it, one process at a time. A pack counts once its note is there,
/// and that is written last: who is killed before leaves a model without a pack.
fn make(folder: &Path, plain: &[u8], free: Option<u64>) -> Result<(), Trouble> {
    // Padding of rows and columns aside, a pack is as long as its model file.
    let wanted = (plain.len() as u64).saturating_add(ROOM_LEFT);
    if free.is_some_and(|free| free < wanted) {
        return Err(Trouble::Disk(format!("it wants {} MiB of free disk", wanted >> 20)));
    }
    let _turn = files::take_turn(&folder.join(TURN_FILE))?;
    if open(folder).is_some() {
        return Ok(());
    }
    let (part, path) = (folder.join(PART_FILE), folder.join(PACK_FILE));
    let file = Stamp::of(&folder.join(MODEL_FILE));
    let file = file.ok_or_else(|| Trouble::Disk("the model file is gone".to_owned()))?;
    let written = write(&part, plain);
    let (model, digest) = match written {
        Ok(written) => written,
        Err(trouble) => {
            let _ = std::fs::remove_file(&part);
            return Err(trouble);
        }
    };
    std::fs::rename(&part, &path).map_err(files::failed("create", &path))?;
    let pack = Stamp::of(&path).ok_or_else(|| Trouble::Disk("it is gone".to_owned()))?;
    let note = Note { layout: LAYOUT_VERSION, model, digest, pack, file };
    let note = serde_json::to_vec(&note).map_err(|error| Trouble::Disk(error.to_string()))?;
    Ok(files::write_public(&folder.join(NOTE_FILE), &note)?)
}

/// Writes a pack; the id of its model, and its digest.
fn write(part: &Path, plain: &[u8]) -> Result<(String, String), Trouble> {
    let failed = |error: std::io::Error| SinkError(error.to_string());
    let mut file = File::create(part).map_err(files::failed("create", part))?;
    let (mut piece, mut digests) = (Vec::with_capacity(PIECE_BYTES), Vec::new());
    let mut put = |mut bytes: &[u8]| -> Result<(), SinkError> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - piece.len()));
            piece.extend_from_slice(now);
            bytes = later;
            if piece.len() == PIECE_BYTES {
                digests.extend(digest_of_piece(&piece).0);
                file.write_all(&piece).map_err(failed)?;
                piece.clear();
            }
        }
        Ok(())
    };
    match pack(plain, &mut put) {
        Ok(()) => {}
        Err(PackError::Load(error)) => return Err(Trouble::Model(error)),
        Err(error) => return Err(Trouble::Disk(error.to_string())),
    }
    if !piece.is_empty() {
        digests.extend(digest_of_piece(&piece).0);
        file.write_all(&piece).map_err(files::failed("write", part))?;
    }
    file.sync_all().map_err(files::failed("sync", part))?;
    let id: [u8; 32] = plain[ID_PLACE].try_into().expect("a model file is longer than its id");
    Ok((Digest(id).to_string(), digest_of_digests(&digests)))
}

fn digest_of_piece(piece: &[u8]) -> Digest {
    Digest::of("mutirao 1 piece of a pack", &[piece])
}

fn digest_of_digests(digests: &[u8]) -> String {
    Digest::of("mutirao 1 pack", &[digests]).to_string()
}

/// The digest of a whole pack, on all threads.
fn digest_of(bytes: &[u8], pool: &dyn Pool) -> String {
    let pieces: Vec<&[u8]> = bytes.chunks(PIECE_BYTES).collect();
    let digests: Vec<OnceLock<Digest>> = pieces.iter().map(|_| OnceLock::new()).collect();
    pool.run(pieces.len(), &|index| {
        let _ = digests[index].set(digest_of_piece(pieces[index]));
    });
    let digests = digests.into_iter().filter_map(OnceLock::into_inner);
    digest_of_digests(&digests.flat_map(|digest| digest.0).collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests;
