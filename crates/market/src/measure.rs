//! Times as a client measured them, in little room: counts in buckets that widen with the time.
//!
//! Two buckets an octave, so that a percentile is right to within a half of itself, whatever its
//! size. Old times fade: when the counts reach a bound all of them are halved.

use crate::Millis;

/// Two for each power of two microseconds; the last holds everything above a minute or so.
const BUCKETS: usize = 54;
/// At so many times all counts are halved.
const TIMES_MAX: u32 = 4_096;

/// How long something took, many times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    counts: [u32; BUCKETS],
}

impl Default for Times {
    fn default() -> Self {
        Self { counts: [0; BUCKETS] }
    }
}

/// The bucket of a time: its highest bit, and the bit below.
fn bucket(micros: u64) -> usize {
    let micros = micros.max(1);
    let octave = micros.ilog2();
    let half = if octave == 0 { 0 } else { (micros >> (octave - 1)) & 1 };
    (2 * octave as usize + usize::from(half == 1)).min(BUCKETS - 1)
}

/// The least time above a bucket.
fn end(bucket: usize) -> u64 {
    let octave = 1_u64 << (bucket / 2);
    if bucket.is_multiple_of(2) { octave + octave.div_ceil(2) } else { 2 * octave }
}

impl Times {
    /// Notes a time, in microseconds.
    pub fn note(&mut self, micros: u64) {
        if self.total() >= TIMES_MAX {
            self.counts = self.counts.map(|count| count / 2);
        }
        if let Some(count) = self.counts.get_mut(bucket(micros)) {
            *count = count.saturating_add(1);
        }
    }

    /// Notes all times of another.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        while self.total() > TIMES_MAX {
            self.counts = self.counts.map(|count| count / 2);
        }
    }

    /// How many times are remembered.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// So many per cent of the times were below this, in milliseconds, rounded up; `None` when none
    /// is known.
    #[must_use]
    pub fn percentile_ms(&self, percent: u32) -> Option<Millis> {
        self.percentile_micros(percent).map(|micros| micros.div_ceil(1000))
    }

    /// As [`Self::percentile_ms`], in microseconds.
    #[must_use]
    pub fn percentile_micros(&self, percent: u32) -> Option<u64> {
        let total = u64::from(self.total());
        let rank = (total * u64::from(percent)).div_ceil(100).max(1);
        let mut sum = 0;
        let found = self.counts.iter().position(|count| {
            sum += u64::from(*count);
            sum >= rank
        });
        found.filter(|_| total > 0).map(end)
    }

    /// What is in it, without the empty buckets.
    pub fn buckets(&self) -> impl Iterator<Item = (usize, u32)> {
        self.counts.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }
}

impl FromIterator<(usize, u32)> for Times {
    fn from_iter<I: IntoIterator<Item = (usize, u32)>>(buckets: I) -> Self {
        let mut times = Self::default();
        for (bucket, count) in buckets {
            if let Some(slot) = times.counts.get_mut(bucket) {
                *slot = count;
            }
        }
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_time_is_below_the_end_of_its_bucket_by_less_than_half(micros in 1_u64..60_000_000) {
            let (end, before) = (end(bucket(micros)), bucket(micros).checked_sub(1).map(end));
            prop_assert!(micros < end && before.is_none_or(|before| before <= micros));
            prop_assert!(end <= micros + micros.div_ceil(2) + 1);
        }

        #[test]
        fn a_percentile_is_that_of_the_sorted_list(
            mut list in proptest::collection::vec(1_u64..10_000_000, 1..200),
            percent in 1_u32..=100,
        ) {
            let mut times = Times::default();
            list.iter().for_each(|micros| times.note(*micros));
            list.sort_unstable();
            let rank = (list.len() * percent as usize).div_ceil(100).max(1);
            let right = end(bucket(list[rank - 1])).div_ceil(1000);
            prop_assert_eq!(times.percentile_ms(percent), Some(right));
        }
    }

    #[test]
    fn nothing_known_is_not_nothing_long() {
        assert_eq!(Times::default().percentile_ms(50), None);
        let zero: Times = [(0, 1)].into_iter().collect();
        assert_eq!(zero.percentile_ms(95), Some(1));
    }

    #[test]
    fn old_times_fade_and_no_count_runs_over() {
        let mut times = Times::default();
        (0..10_000).for_each(|_| times.note(1_000));
        (0..10_000).for_each(|_| times.note(1_000_000));
        assert!(times.total() <= TIMES_MAX);
        assert!(times.percentile_ms(10) > Some(900), "the old ones are nearly forgotten");
        let full: Times = [(3, u32::MAX), (9, u32::MAX), (BUCKETS, 7)].into_iter().collect();
        let mut sum = full;
        sum.add(&full);
        assert!(sum.total() <= TIMES_MAX && sum.percentile_ms(50).is_some());
    }
}
