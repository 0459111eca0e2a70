//! Linux: Landlock for files, seccomp for system calls, resource limits for the rest.

pub(crate) mod calls;
pub(crate) mod files;
pub(crate) mod limits;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::process::Signal;

use crate::confine::{SandboxError, failed};

/// What the kernel says of this process, held open because it cannot be opened once confined.
#[derive(Debug)]
pub(crate) struct Threads(File);

/// A thread that was joined is counted for a moment longer: the kernel wakes who waits for it
/// first, and takes it off the count afterwards.
const PATIENCE: Duration = Duration::from_millis(10);
const TRIES: usize = 100;

impl Threads {
    pub(crate) fn open() -> Result<Threads, SandboxError> {
        File::open("/proc/self/stat").map(Threads).map_err(failed("count the threads"))
    }

    pub(crate) fn only_this_one(&self) -> Result<(), SandboxError> {
        let mut actual = self.count()?;
        for _ in 0..TRIES {
            if actual == 1 {
                return Ok(());
            }
            std::thread::sleep(PATIENCE);
            actual = self.count()?;
        }
        Err(SandboxError::Threads { actual })
    }

    fn count(&self) -> Result<u64, SandboxError> {
        let mut line = [0; 1024];
        let length = self.0.read_at(&mut line, 0).map_err(failed("count the threads"))?;
        let line = String::from_utf8_lossy(&line[..length]);
        let unknown = || failed("count the threads")(io::ErrorKind::InvalidData.into());
        threads(&line).ok_or_else(unknown)
    }
}

/// The 20th field. The second is a name in brackets that may itself hold blanks and brackets.
fn threads(line: &str) -> Option<u64> {
    let (_, fields) = line.rsplit_once(") ")?;
    fields.split(' ').nth(17)?.parse().ok()
}

pub(crate) fn bind_to_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}

pub(crate) fn kernel() -> String {
    let names = rustix::system::uname();
    format!("{} {}", names.sysname().to_string_lossy(), names.release().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_threads_whatever_the_process_is_called() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 12 0 99";
        assert_eq!(threads(line), Some(12));
        assert_eq!(threads("7 (a) S 1"), None);
    }

    #[test]
    fn sees_the_threads_of_this_process() {
        let own = Threads::open().unwrap();
        let before = own.count().unwrap();
        let (send, wait) = std::sync::mpsc::sync_channel::<()>(0);
        let other = std::thread::spawn(move || wait.recv());
        assert!(own.count().unwrap() > 1, "{before} before another was started");
        drop(send);
        assert!(other.join().unwrap().is_err());
    }
}
