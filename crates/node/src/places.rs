//! A provider's places: so many jobs at once, and of one client key not all of them.

use mutirao_wire::PeerKey;
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
    taken: Mutex<BTreeMap<PeerKey, u32>>,
}

/// One that is taken, until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    key: PeerKey,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// `count` places, of which one key may have `per_key`; at least one each.
    #[must_use]
    pub fn new(count: u32, per_key: u32) -> Arc<Self> {
        let (count, per_key) = (count.max(1), per_key.max(1));
        let free = Arc::new(Semaphore::new(count as usize));
        Arc::new(Self { free, count, per_key, taken: Mutex::default() })
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

    /// A place for a job of this key, if there is one.
    #[must_use]
    pub fn take(self: &Arc<Self>, key: PeerKey) -> Option<Place> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_key = taken.entry(key).or_default();
        if *of_key >= self.per_key {
            return None;
        }
        *of_key += 1;
        Some(Place { places: self.clone(), key, _permit: permit })
    }

    /// Waits until all are free; whether they were in time.
    pub async fn all_free(&self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.free.acquire_many(self.count)).await.is_ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_key) = taken.get_mut(&self.key) {
            *of_key -= 1;
            if *of_key == 0 {
                taken.remove(&self.key);
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
        let places = Places::new(3, 2);
        let first = places.take(KEYS[0]).expect("free");
        let second = places.take(KEYS[0]).expect("free");
        assert!(places.take(KEYS[0]).is_none(), "it has two");
        let third = places.take(KEYS[1]).expect("there is one for another");
        assert!(places.take(KEYS[1]).is_none(), "all are taken");
        drop(first);
        assert!(places.take(KEYS[0]).is_some());
        drop((second, third));
        assert!(places.taken.lock().expect("nobody panicked").is_empty(), "nobody is remembered");
    }

    #[tokio::test]
    async fn a_place_comes_back_whoever_had_it() {
        let places = Places::new(1, 9);
        let place = places.take(KEYS[0]).expect("free");
        assert!(!places.all_free(Duration::from_millis(10)).await);
        drop(place);
        assert!(places.all_free(Duration::from_secs(5)).await);
    }
}
