//! The one door through which threads come in: law code never spawns any.
//!
//! A machine passes a [`Pool`]; the engine splits work into parts whose results do not depend on
//! which thread ran them or in which order, so every pool gives the same bits.

/// Runs `parts` independent pieces of work, each exactly once, and returns when all are done.
pub trait Pool: Sync {
    /// How many pieces can run at the same time. A hint for splitting; never part of a result.
    fn width(&self) -> usize;
    /// Calls `job(i)` once for every `i` in `0..parts`, in any order, on any thread.
    fn run(&self, parts: usize, job: &(dyn Fn(usize) + Sync));
}

/// The pool of one thread: the caller's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Serial;

impl Pool for Serial {
    fn width(&self) -> usize {
        1
    }

    fn run(&self, parts: usize, job: &(dyn Fn(usize) + Sync)) {
        (0..parts).for_each(job);
    }
}
