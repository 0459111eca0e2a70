//! The fast paths, and the one door that chooses among them.
//!
//! Every function here has a plain twin; sums of 32 wrapping bits are exact in any order by the
//! certificate (`op::linear`), so a kernel may reorder as it likes. The choice changes no bit.
//! All unsafe code of the project lives in this module.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod input;
pub mod packed;
mod scalar;
#[cfg(test)]
mod tests;

pub use input::{ENTRY_MAX, Input};
pub use packed::{Packed, TILE};

use std::ops::Range;

/// A set of kernels that this machine can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernels(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Scalar,
    /// Made only by [`Kernels::detect`], after asking the processor.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// With byte and word instructions and VNNI; made only by [`Kernels::detect`].
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Default for Kernels {
    fn default() -> Self {
        Self::detect()
    }
}

impl Kernels {
    /// The plain twins: any machine, no unsafe code.
    #[must_use]
    pub fn scalar() -> Self {
        Self(Set::Scalar)
    }

    /// The fastest that this processor runs.
    #[must_use]
    pub fn detect() -> Self {
        Self::available().pop().unwrap_or_else(Self::scalar)
    }

    /// All that this processor runs, the fastest last.
    // spec: ENGINE-1.5
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut sets = vec![Self::scalar()];
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") {
            sets.push(Self(Set::Avx2));
            let wide = std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512bw")
                && std::is_x86_feature_detected!("avx512vnni");
            if wide {
                sets.push(Self(Set::Avx512));
            }
        }
        sets
    }

    /// A name for benchmarks.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
        }
    }

    /// Lays activations out: whole tokens of `stride` entries, each at most [`ENTRY_MAX`].
    ///
    /// # Panics
    /// When `x` does not hold whole tokens, or `stride` is not a multiple of 64.
    #[must_use]
    pub fn input(self, x: &[i16], stride: usize) -> Input<'_> {
        let input = Input::plain(x, stride);
        match self.0 {
            Set::Scalar => input,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 if input.tokens == 1 => input.with_limbs(),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => input,
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 if input.tokens == 1 => input.with_limbs(),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => input.with_blocks(),
        }
    }

    /// Writes the accumulators of `tiles` for every token into `out`: `[tile][token][TILE]`.
    /// The input is one that the same kernels laid out.
    ///
    /// # Panics
    /// When the lengths of `input` and `out` are not those of the packed matrix and `tiles`.
    pub fn accumulate(
        self,
        packed: &Packed,
        tiles: Range<usize>,
        input: &Input<'_>,
        out: &mut [i32],
    ) {
        assert!(tiles.start <= tiles.end && tiles.end <= packed.tiles());
        assert_eq!(input.stride, packed.stride());
        assert_eq!(out.len(), tiles.len() * input.tokens * TILE);
        match self.0 {
            Set::Scalar => scalar::accumulate(packed, tiles, input, out),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => avx2::accumulate(packed, tiles, input, out),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => avx512::accumulate(packed, tiles, input, out),
        }
    }

    /// Dot products of `query` with every key, in 32 wrapping bits: exact where the caller knows
    /// that they fit.
    ///
    /// # Panics
    /// When `keys` does not hold `out.len()` keys.
    pub fn dots(self, query: &[i16], keys: &[i16], out: &mut [i32]) {
        assert_eq!(keys.len(), query.len() * out.len());
        match self.0 {
            Set::Scalar => scalar::dots(query, keys, out),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 | Set::Avx512 => avx2::dots(query, keys, out),
        }
    }

    /// Adds `sum p v` over the positions to `out`. Every p is at most 32767, every |v| below 2^12.
    ///
    /// # Panics
    /// When `values` does not hold a vector of `out.len()` for every power.
    pub fn mix(self, powers: &[i16], values: &[i16], out: &mut [i64]) {
        assert_eq!(values.len(), powers.len() * out.len());
        match self.0 {
            Set::Scalar => scalar::mix(powers, values, out),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 | Set::Avx512 => avx2::mix(powers, values, out),
        }
    }
}
