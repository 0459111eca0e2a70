//! Frames on a socket between a node and its worker.

use super::frame::FRAME_BYTES_MAX;
use mutirao_wire::Encode;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

/// One end that several threads speak into, a whole frame at a time.
#[derive(Debug)]
pub(super) struct Mouth(Mutex<UnixStream>);

impl Mouth {
    pub(super) const fn new(stream: UnixStream) -> Self {
        Self(Mutex::new(stream))
    }

    /// Says something. What is too long to be heard is said to nobody.
    pub(super) fn say(&self, value: &impl Encode) -> Result<()> {
        let mut frame = vec![0; 4];
        value.encode(&mut frame);
        let length = frame.len() - 4;
        if length > FRAME_BYTES_MAX {
            return Err(Error::new(ErrorKind::InvalidInput, "it is too long"));
        }
        let length = u32::try_from(length).map_err(Error::other)?;
        frame[..4].copy_from_slice(&length.to_le_bytes());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&frame)
    }

    /// Says no more, and hears no more.
    pub(super) fn close(&self) {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
}

/// The next frame; none where the other end is closed between two. No more memory is taken than
/// bytes come.
pub(super) fn hear(stream: &mut impl Read) -> Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(Error::new(ErrorKind::InvalidData, "a frame that is too long"));
    }
    let mut frame = Vec::new();
    stream.take(length as u64).read_to_end(&mut frame)?;
    let whole = frame.len() == length;
    whole.then_some(Some(frame)).ok_or_else(|| ErrorKind::UnexpectedEof.into())
}
