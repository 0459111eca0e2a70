//! Chance, passed in: every choice the world makes is drawn from one seeded stream.
//!
//! Integer arithmetic only, so the same seed gives the same text on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A seeded stream of choices.
#[derive(Debug, Clone)]
pub struct Dice {
    stream: ChaCha8Rng,
}

impl Dice {
    /// The stream number `stream` of the family that `seed` names. Streams do not overlap, so step
    /// `n` of a training run can draw from stream `n` without knowing what the others drew.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut chacha = ChaCha8Rng::seed_from_u64(seed);
        chacha.set_stream(stream);
        Self { stream: chacha }
    }

    /// A number in `0..bound`. The bias of the multiplication is below `bound / 2^32`.
    ///
    /// # Panics
    /// When `bound` is zero: there is nothing to choose from.
    pub fn below(&mut self, bound: u32) -> u32 {
        assert!(bound > 0, "a choice needs at least one option");
        let wide = u64::from(self.stream.next_u32()) * u64::from(bound);
        (wide >> 32) as u32
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// One of the options.
    pub fn pick<'a, T>(&mut self, options: &'a [T]) -> &'a T {
        &options[self.below(options.len() as u32) as usize]
    }

    /// `count` different options, in random order.
    pub fn several<T: Copy>(&mut self, options: &[T], count: usize) -> Vec<T> {
        let mut pool = options.to_vec();
        self.shuffle(&mut pool);
        pool.truncate(count);
        pool
    }

    /// Puts the items in random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end as u32 + 1) as usize);
        }
    }

    /// A standard normal deviate, near enough: twelve uniform numbers added (Irwin and Hall).
    /// In thousandths, so that no float is needed here.
    pub fn normal_thousandths(&mut self) -> i32 {
        let sum: u32 = (0..12).map(|_| self.below(1000)).sum();
        sum as i32 - 5994
    }
}
