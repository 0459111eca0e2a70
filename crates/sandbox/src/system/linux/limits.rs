//! Limits of the kernel on this process: the memory it may map, and no image of it on disk.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::confine::{SandboxError, failed};

/// Forbids an image of this process's memory, which holds prompts, and bounds what it may map;
/// answers the bound that now holds.
pub(crate) fn lower(memory_bytes: Option<u64>) -> Result<Option<u64>, SandboxError> {
    set(Resource::Core, 0).map_err(failed("forbid core dumps"))?;
    if let Some(bytes) = memory_bytes {
        set(Resource::As, bytes).map_err(failed("bound the memory"))?;
    }
    Ok(getrlimit(Resource::As).current)
}

/// A limit that is lower already stays: a process may not raise its own.
fn set(resource: Resource, wanted: u64) -> std::io::Result<()> {
    let now = getrlimit(resource);
    let lowest = [now.current, now.maximum].into_iter().flatten().fold(wanted, u64::min);
    Ok(setrlimit(resource, Rlimit { current: Some(lowest), maximum: Some(lowest) })?)
}
