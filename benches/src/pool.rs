//! The threads that a node lends to the engine, as a node makes them.

use mutirao_engine::pool::Pool;
use rayon::prelude::*;

/// A pool of a fixed number of threads.
pub struct Threads {
    pool: rayon::ThreadPool,
    width: usize,
}

impl Threads {
    /// Starts `width` threads.
    pub fn new(width: usize) -> anyhow::Result<Self> {
        Ok(Self { pool: rayon::ThreadPoolBuilder::new().num_threads(width).build()?, width })
    }

    /// Does `work` on one of the threads, so that splitting it wakes only the others.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pool.install(work)
    }
}

impl Pool for Threads {
    fn width(&self) -> usize {
        self.width
    }

    fn run(&self, parts: usize, job: &(dyn Fn(usize) + Sync)) {
        if parts > 1 {
            self.pool.install(|| (0..parts).into_par_iter().with_max_len(1).for_each(job));
        } else {
            (0..parts).for_each(job);
        }
    }
}
