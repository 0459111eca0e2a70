//! The fast paths, and the one door that chooses among them.
//!
//! Every function here has a plain twin; sums of 32 wrapping bits are exact in any order by the
//! certificate (`op::linear`), so a kernel may reorder as it likes. The choice changes no bit.
//! All unsafe code of the project lives in this module.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod dotprod;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "each set reads its part"))]
mod input;
#[cfg(target_arch = "aarch64")]
mod neon;
pub mod packed;
pub(crate) mod rows;
mod scalar;
#[cfg(test)]
mod tests;

pub use input::{ENTRY_MAX, Input};
pub use packed::{Packed, TILE};

use crate::op::rmsnorm::NormScales;
use std::ops::Range;

/// A method that compiles a plain function of `rows` once for each set of kernels: the same code,
/// the same bits, wider registers.
macro_rules! widened {
    (
        $(#[$note:meta])*
        $view:vis fn $name:ident = rows::$plain:ident (
            $($word:ident: $kind:ty),*
        ) $(-> $result:ty)?;
    ) => {
        $(#[$note])*
        $view fn $name(self, $($word: $kind),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2($($word: $kind),*) $(-> $result)? {
                rows::$plain($($word),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512($($word: $kind),*) $(-> $result)? {
                rows::$plain($($word),*)
            }
            match self.0 {
                Set::Scalar => rows::$plain($($word),*),
                // SAFETY: the set exists only where the processor has these instructions.
                #[cfg(target_arch = "x86_64")]
                Set::Avx2 => unsafe { avx2($($word),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Set::Avx512 => unsafe { avx512($($word),*) },
                // What every processor of this architecture has is used in plain code too.
                #[cfg(target_arch = "aarch64")]
                Set::Neon | Set::Dotprod => rows::$plain($($word),*),
            }
        }
    };
}

/// A set of kernels that this machine can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernels(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Scalar,
    /// Made only by [`Kernels::available`], after asking the processor.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// With BW, DQ, VL and VNNI; made only by [`Kernels::available`].
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Made only by [`Kernels::available`], after asking the processor.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// NEON and dot products of bytes; made only by [`Kernels::available`].
    #[cfg(target_arch = "aarch64")]
    Dotprod,
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
                && std::is_x86_feature_detected!("avx512dq")
                && std::is_x86_feature_detected!("avx512vl")
                && std::is_x86_feature_detected!("avx512vnni");
            if wide {
                sets.push(Self(Set::Avx512));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            sets.push(Self(Set::Neon));
            if std::arch::is_aarch64_feature_detected!("dotprod") {
                sets.push(Self(Set::Dotprod));
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
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Set::Dotprod => "dotprod",
        }
    }

    /// Entries of the memory that [`Kernels::input`] wants.
    #[must_use]
    pub fn input_entries(self, tokens: usize, stride: usize) -> usize {
        if tokens > 1 && self.has_blocks() { Input::block_entries(tokens, stride) } else { 0 }
    }

    /// Whether several tokens lie in blocks.
    fn has_blocks(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.0 == Set::Avx512;
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Lays activations out: whole tokens of `stride` entries, each at most [`ENTRY_MAX`]. `memory`
    /// holds [`Kernels::input_entries`], of any value.
    ///
    /// # Panics
    /// When `x` does not hold whole tokens, `stride` is not a multiple of 64, or `memory` is short.
    #[must_use]
    pub fn input<'a>(self, x: &'a [i16], stride: usize, memory: &'a mut [i32]) -> Input<'a> {
        assert!(memory.len() >= self.input_entries(x.len() / stride, stride));
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
            Set::Avx512 => input.with_blocks(memory),
            #[cfg(target_arch = "aarch64")]
            Set::Neon if input.tokens == 1 => input.with_limbs(),
            #[cfg(target_arch = "aarch64")]
            Set::Neon => input,
            #[cfg(target_arch = "aarch64")]
            Set::Dotprod => input.with_limbs(),
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
            #[cfg(target_arch = "aarch64")]
            Set::Neon => neon::accumulate(packed, tiles, input, out),
            #[cfg(target_arch = "aarch64")]
            Set::Dotprod => dotprod::accumulate(packed, tiles, input, out),
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
            Set::Avx2 => avx2::dots(query, keys, out),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => avx512::dots(query, keys, out),
            #[cfg(target_arch = "aarch64")]
            Set::Neon | Set::Dotprod => neon::dots(query, keys, out),
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
            Set::Avx2 => avx2::mix(powers, values, out),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => avx512::mix(powers, values, out),
            #[cfg(target_arch = "aarch64")]
            Set::Neon | Set::Dotprod => neon::mix(powers, values, out),
        }
    }

    widened! {
        /// Turns the accumulators of a tile, `[token][TILE]`, into outputs; tells the tokens that
        /// trap, whose outputs are 0 then.
        // spec: ENGINE-3.6
        pub(crate) fn scale = rows::scale(
            out: &mut [i32], multiplier: &[u16; TILE], shift: &[u8; TILE], exponents: &[u32],
            trap: &dyn Fn(usize)
        );
    }

    widened! {
        /// Adds `y` to `x`: `op::residual::add`, with 0 for what traps. Whether nothing did.
        pub(crate) fn add = rows::add(x: &mut [i32], y: &[i32]) -> bool;
    }

    widened! {
        /// `op::swiglu::gate` of whole vectors; the largest magnitude of `g` and `u`.
        pub(crate) fn gate = rows::gate(
            g: &[i32], u: &[i32], bits: u32, opening: &[u32], wide: &mut [i64]
        ) -> u32;
    }

    widened! {
        /// `op::attention::octaves` of scores that nothing caps.
        pub(crate) fn octaves = rows::octaves(
            dots: &[i32], multiplier: u16, shift: u32, out: &mut [i64]
        );
    }

    widened! {
        /// `op::attention::power` of octaves below the largest of them; the sum of all.
        pub(crate) fn powers = rows::powers(
            octaves: &[i64], exponential: &[u16], out: &mut [i16]
        ) -> u64;
    }

    widened! {
        /// `op::l2::shorten` of 64 bits.
        pub(crate) fn shorten_64 = rows::shorten(wide: &[i64], out: &mut [i16]) -> u32;
    }

    widened! {
        /// `op::l2::shorten` of 32 bits.
        pub(crate) fn shorten_32 = rows::shorten(wide: &[i32], out: &mut [i16]) -> u32;
    }

    widened! {
        /// `op::rmsnorm::normalise`.
        pub(crate) fn normalise = rows::normalise(
            x: &[i32], gain: &[i16], scales: NormScales, epsilon: u64, out: &mut [i32]
        );
    }
}
