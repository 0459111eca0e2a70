//! The engine's threads: a fixed pool that a machine owns and lends to the law.

use mutirao_engine::pool::Pool;
use rayon::prelude::*;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// Something that may take long, without holding up the tasks that share the thread.
pub(crate) fn patiently<T>(work: impl FnOnce() -> T) -> T {
    let shared = Handle::try_current().map(|handle| handle.runtime_flavor());
    match shared {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        _ => work(),
    }
}

/// A pool of a fixed number of threads.
#[derive(Debug)]
pub struct Threads {
    pool: Option<rayon::ThreadPool>,
    width: usize,
}

impl Threads {
    /// Starts `width` threads; one is the caller's own and starts none. When the system refuses to
    /// start more, the caller's own does all the work: slower, and the same bits.
    #[must_use]
    pub fn new(width: usize) -> Self {
        let pool = (width > 1)
            .then(|| rayon::ThreadPoolBuilder::new().num_threads(width).build().ok())
            .flatten();
        let width = if pool.is_some() { width } else { 1 };
        Self { pool, width }
    }
}

impl Pool for Threads {
    fn width(&self) -> usize {
        self.width
    }

    fn run(&self, parts: usize, job: &(dyn Fn(usize) + Sync)) {
        match &self.pool {
            Some(pool) if parts > 1 => {
                pool.install(|| (0..parts).into_par_iter().with_max_len(1).for_each(job));
            }
            _ => (0..parts).for_each(job),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_part_runs_exactly_once() {
        for width in [1, 2, 5] {
            let counts: Vec<AtomicUsize> = (0..100).map(|_| AtomicUsize::new(0)).collect();
            Threads::new(width).run(100, &|part| {
                counts[part].fetch_add(1, Ordering::Relaxed);
            });
            assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
        }
    }
}
