//! All the chance of a trial, out of one number: same seed, same trial, on every machine.

use mutirao_wire::Digest;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A stream of choices.
#[derive(Debug, Clone)]
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// The stream of a seed, for one use; neighbouring seeds give unrelated streams.
    #[must_use]
    pub fn new(seed: u64, usage: &str) -> Self {
        let key = Digest::of("mutirao sim chance", &[&seed.to_le_bytes(), usage.as_bytes()]);
        Self(ChaCha8Rng::from_seed(key.0))
    }

    /// A number below `bound`; 0 where there is none.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias is below 2^-50 for the small bounds of a trial.
        self.0.next_u64() % bound.max(1)
    }

    /// A number of `least..=most`.
    pub fn within(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// The same for the small counts of a trial.
    pub fn count(&mut self, least: u32, most: u32) -> u32 {
        u32::try_from(self.within(least.into(), most.into())).unwrap_or(most)
    }

    /// True once in so many times.
    pub fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// One of them.
    ///
    /// # Panics
    /// When there are none.
    pub fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        let index = usize::try_from(self.below(among.len() as u64));
        among.get(index.unwrap_or(0)).expect("something to pick from")
    }

    /// A secret, a nonce or a seed.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}
