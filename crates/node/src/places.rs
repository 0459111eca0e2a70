//! A provider's places: so many jobs at once, and of one client key not all of them; and memory for
//! what they read, which a job takes before it begins and gives back when it ends.

use crate::mind::Spec;
use mutirao_wire::{Job, PeerKey};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All places of a provider.
#[derive(Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    count: u32,
    per_key: u32,
    /// Bytes for keys and values of all jobs.
    memory: u64,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    places: BTreeMap<PeerKey, u32>,
    bytes: u64,
}

/// One that is taken, until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    key: PeerKey,
    bytes: u64,
    _permit: OwnedSemaphorePermit,
}

/// Bytes that a job takes in memory at its end.
pub(crate) fn wanted(spec: &Spec, job: &Job) -> u64 {
    let positions = job.prompt.len() as u64 + u64::from(job.max_tokens);
    positions.min(spec.context.into()) * spec.position_bytes
}

impl Places {
    /// `count` places, of which one key may have `per_key`; at least one each. All that take one
    /// share `memory` bytes.
    #[must_use]
    pub fn new(count: u32, per_key: u32, memory: u64) -> Arc<Self> {
        let (count, per_key) = (count.max(1), per_key.max(1));
        let free = Arc::new(Semaphore::new(count as usize));
        Arc::new(Self { free, count, per_key, memory, taken: Mutex::default() })
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// How many of them one key may have.
    #[must_use]
    pub fn per_key(&self) -> u32 {
        self.per_key.min(self.count)
    }

    /// Bytes that all jobs share.
    #[must_use]
    pub const fn memory(&self) -> u64 {
        self.memory
    }

    /// A place for a job of this key that wants so many bytes, if there is one now. One that wants
    /// more than there ever are gets all of them: it is refused by who knows what it is.
    #[must_use]
    pub fn take(self: &Arc<Self>, key: PeerKey, bytes: u64) -> Option<Place> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = bytes.min(self.memory);
        let of_key = taken.places.get(&key).copied().unwrap_or_default();
        if of_key >= self.per_key || self.memory - taken.bytes < bytes {
            return None;
        }
        taken.places.insert(key, of_key + 1);
        taken.bytes += bytes;
        Some(Place { places: self.clone(), key, bytes, _permit: permit })
    }

    /// Waits until all are free; whether they were in time.
    pub async fn all_free(&self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.free.acquire_many(self.count)).await.is_ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.bytes -= self.bytes;
        if let Some(of_key) = taken.places.get_mut(&self.key) {
            *of_key -= 1;
            if *of_key == 0 {
                taken.places.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [PeerKey; 2] = [PeerKey([1; 32]), PeerKey([2; 32])];

    #[test]
    fn one_key_does_not_get_all_places() {
        let places = Places::new(3, 2, 0);
        let first = places.take(KEYS[0], 0).expect("free");
        let second = places.take(KEYS[0], 0).expect("free");
        assert!(places.take(KEYS[0], 0).is_none(), "it has two");
        let third = places.take(KEYS[1], 0).expect("there is one for another");
        assert!(places.take(KEYS[1], 0).is_none(), "all are taken");
        drop(first);
        assert!(places.take(KEYS[0], 0).is_some());
        drop((second, third));
        assert!(
            places.taken.lock().expect("nobody panicked").places.is_empty(),
            "nobody is remembered"
        );
    }

    #[test]
    fn jobs_share_their_memory_and_the_largest_waits_until_all_of_it_is_free() {
        let places = Places::new(9, 9, 100);
        let first = places.take(KEYS[0], 60).expect("free");
        assert!(places.take(KEYS[1], 50).is_none(), "40 are left");
        let second = places.take(KEYS[1], 40).expect("just enough");
        assert!(places.take(KEYS[1], 1).is_none());
        drop(first);
        assert!(places.take(KEYS[0], 1000).is_none(), "it would want all");
        drop(second);
        let all = places.take(KEYS[0], 1000).expect("nobody else has any");
        assert!(places.take(KEYS[1], 1).is_none());
        drop(all);
        assert_eq!(places.taken.lock().expect("nobody panicked").bytes, 0);
    }

    #[tokio::test]
    async fn a_place_comes_back_whoever_had_it() {
        let places = Places::new(1, 9, 0);
        let place = places.take(KEYS[0], 0).expect("free");
        assert!(!places.all_free(Duration::from_millis(10)).await);
        drop(place);
        assert!(places.all_free(Duration::from_secs(5)).await);
    }
}
