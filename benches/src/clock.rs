//! Two clocks: what a wall shows, and what the processor gave this process.
//!
//! On a machine with other work the second one says how fast a program is, the first how much of
//! the machine it got.

use rustix::time::{ClockId, clock_gettime};

/// Seconds of both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Seconds {
    /// Of the wall.
    pub wall: f64,
    /// Of all threads of this process together.
    pub processor: f64,
}

fn read(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// What `work` takes.
pub fn time<T>(work: impl FnOnce() -> T) -> (T, Seconds) {
    let clocks = [ClockId::Monotonic, ClockId::ProcessCPUTime];
    let before = clocks.map(read);
    let result = work();
    let after = clocks.map(read);
    (result, Seconds { wall: after[0] - before[0], processor: after[1] - before[1] })
}
