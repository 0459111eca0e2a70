//! Pools of real threads, made for a test and gone after it.

use mutirao_engine::pool::Pool;
use std::sync::atomic::{AtomicUsize, Ordering};

/// As many threads as it says, started anew for every piece of work.
pub struct Threads(pub usize);

impl Pool for Threads {
    fn width(&self) -> usize {
        self.0
    }

    fn run(&self, parts: usize, job: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.0 {
                scope.spawn(|| {
                    loop {
                        let part = next.fetch_add(1, Ordering::Relaxed);
                        if part >= parts {
                            break;
                        }
                        job(part);
                    }
                });
            }
        });
    }
}
