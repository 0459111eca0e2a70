//! Splits work over a pool: every item is worked on once, by whoever gets it.

use crate::pool::Pool;
use std::sync::{Mutex, PoisonError};

/// Calls `job` once for every item, `grain` neighbours to a part. Few items stay on this thread.
pub(crate) fn each<T: Send>(
    pool: &dyn Pool,
    items: &mut [T],
    grain: usize,
    job: &(dyn Fn(&mut T) + Sync),
) {
    let grain = grain.max(1);
    if pool.width() == 1 || items.len() <= grain {
        items.iter_mut().for_each(job);
        return;
    }
    let parts: Vec<Mutex<&mut [T]>> = items.chunks_mut(grain).map(Mutex::new).collect();
    pool.run(parts.len(), &|index| {
        let mut part = parts[index].lock().unwrap_or_else(PoisonError::into_inner);
        part.iter_mut().for_each(job);
    });
}

/// Items to a part so that `count` of them make as many parts as the pool is wide, and none is
/// smaller than the work that is worth waking a thread for.
pub(crate) fn grain(pool: &dyn Pool, count: usize, cost: usize) -> usize {
    /// Multiply-adds in a few microseconds.
    const WORTH_WAKING: usize = 1 << 18;
    count.div_ceil(pool.width().max(1)).max(WORTH_WAKING / cost.max(1))
}
