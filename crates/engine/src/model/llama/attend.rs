//! The key-value cache and attention over it, fast: the same bits as `op::attention::attend`.
//!
//! A dot product of 16-bit vectors needs up to 38 bits, but `|q|^2 |k|^2 < 2^62` proves that 32
//! wrapping bits hold it (Cauchy-Schwarz), and almost always that is so. The largest `|k|^2` of a
//! head is kept beside its keys; a query beyond the bound takes the plain 64-bit path.

use crate::fixed::rnd;
use crate::kernel::Kernels;
use crate::op::attention::{HeadScale, inverse, octaves};
use std::ops::Range;

/// Keys and values of one layer.
#[derive(Debug, Clone, Default)]
pub(crate) struct LayerCache {
    heads: Vec<HeadCache>,
}

/// Keys and values of one head, one position after the other.
#[derive(Debug, Clone, Default)]
struct HeadCache {
    /// Of a vector; 0 before the first position.
    size: usize,
    keys: Vec<i16>,
    values: Vec<i16>,
    key_square_max: u64,
}

impl LayerCache {
    pub(crate) fn new(heads: usize) -> Self {
        Self { heads: vec![HeadCache::default(); heads] }
    }

    /// Appends one position.
    // spec: ENGINE-7.8
    pub(crate) fn push(&mut self, keys: &[i16], values: &[i16]) {
        let size = keys.len() / self.heads.len();
        let vectors = keys.chunks_exact(size).zip(values.chunks_exact(size));
        for (head, (key, value)) in self.heads.iter_mut().zip(vectors) {
            head.size = size;
            head.keys.extend_from_slice(key);
            head.values.extend_from_slice(value);
            head.key_square_max = head.key_square_max.max(square(key));
        }
    }

    /// Forgets all positions from `position` on. The largest key stays remembered: a bound that is
    /// too large costs time and no bit.
    pub(crate) fn truncate(&mut self, position: usize) {
        for head in &mut self.heads {
            let size = head.size;
            head.keys.truncate(position * size);
            head.values.truncate(position * size);
        }
    }

    /// A copy of the first `count` positions.
    pub(crate) fn beginning(&self, count: usize) -> Self {
        let of = |head: &HeadCache| HeadCache {
            keys: head.keys[..count * head.size].to_vec(),
            values: head.values[..count * head.size].to_vec(),
            ..*head
        };
        Self { heads: self.heads.iter().map(of).collect() }
    }

    /// Attends one query to a stretch of positions of a head.
    pub(crate) fn attend(
        &self,
        head: usize,
        query: &[i16],
        positions: Range<usize>,
        scale: HeadScale,
        scratch: &mut Scratch<'_>,
        out: &mut [i32],
    ) {
        let head = &self.heads[head];
        let places = positions.start * query.len()..positions.end * query.len();
        let (keys, values) = (&head.keys[places.clone()], &head.values[places]);
        let small = u128::from(square(query)) * u128::from(head.key_square_max) < 1 << 62;
        scratch.score(query, keys, scale, small, positions.len());
        scratch.mix(values, scale, out);
    }
}

fn square(vector: &[i16]) -> u64 {
    vector.iter().map(|x| u64::from(x.unsigned_abs()).pow(2)).sum()
}

/// Buffers of one thread.
pub(crate) struct Scratch<'a> {
    kernels: Kernels,
    exponential: &'a [u16],
    dots: Vec<i32>,
    octaves: Vec<i64>,
    powers: Vec<i16>,
    sums: Vec<i64>,
}

impl<'a> Scratch<'a> {
    pub(crate) fn new(kernels: Kernels, exponential: &'a [u16]) -> Self {
        let (dots, octaves) = (Vec::new(), Vec::new());
        let (powers, sums) = (Vec::new(), Vec::new());
        Self { kernels, exponential, dots, octaves, powers, sums }
    }

    fn score(&mut self, q: &[i16], keys: &[i16], scale: HeadScale, small: bool, positions: usize) {
        self.octaves.clear();
        if small {
            self.dots.resize(positions, 0);
            self.kernels.dots(q, keys, &mut self.dots);
            if scale.cap.is_none() {
                self.octaves.resize(positions, 0);
                let HeadScale { multiplier, shift, .. } = scale;
                self.kernels.octaves(&self.dots, multiplier, shift, &mut self.octaves);
            } else {
                self.octaves.extend(self.dots.iter().map(|dot| octaves((*dot).into(), scale)));
            }
        } else {
            let wide = |key: &[i16]| -> i64 {
                q.iter().zip(key).map(|(q, k)| i64::from(*q) * i64::from(*k)).sum()
            };
            self.octaves.extend(keys.chunks_exact(q.len()).map(|key| octaves(wide(key), scale)));
        }
    }

    fn mix(&mut self, values: &[i16], scale: HeadScale, out: &mut [i32]) {
        self.powers.resize(self.octaves.len(), 0);
        let total = self.kernels.powers(&self.octaves, self.exponential, &mut self.powers);
        let (inverse, shift) = inverse(total, scale.align);
        self.sums.clear();
        self.sums.resize(out.len(), 0);
        self.kernels.mix(&self.powers, values, &mut self.sums);
        for (out, sum) in out.iter_mut().zip(&self.sums) {
            *out = rnd(sum * inverse, shift) as i32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::attention;
    use crate::op::cap::Cap;
    use crate::table::Tables;
    use proptest::prelude::*;

    proptest! {
        // spec: ENGINE-7.3, ENGINE-7.8, ENGINE-7.9, ENGINE-7.10
        #[test]
        fn fast_attention_has_the_bits_of_the_plain_one(
            size in (1usize..20).prop_map(|n| n * 2), positions in 1usize..50, shrink in 0u32..12,
            seed in any::<u64>(), align in 0u32..5, capped in any::<bool>(), first in 0usize..30
        ) {
            let mix = |at: usize| (seed ^ at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
            let vector = |from: usize, shift: u32| -> Vec<i16> {
                (0..size).map(|at| (mix(from + at) as i16) >> shift).collect()
            };
            let (first, cap) = (first.min(positions - 1), if capped { 9000 } else { 0 });
            let cap = Cap::new(cap);
            let scale = HeadScale { multiplier: 40000, shift: 28 - shrink, align, cap };
            let mut cache = LayerCache::new(1);
            let (mut keys, mut values) = (Vec::new(), Vec::new());
            for position in 0..positions {
                let key = vector(999 * position, shrink);
                let value = vector(777 + 999 * position, 4);
                cache.push(&key, &value);
                keys.extend(key);
                values.extend(value);
            }
            let query = vector(1 << 40, shrink);
            let exponential = &Tables::get().exponential;
            let (mut plain, mut fast) = (vec![0; size], vec![0; size]);
            let (keys, values) = (&keys[first * size..], &values[first * size..]);
            attention::attend(&query, keys, values, scale, exponential, &mut plain);
            for kernels in Kernels::available() {
                let mut scratch = Scratch::new(kernels, exponential);
                cache.attend(0, &query, first..positions, scale, &mut scratch, &mut fast);
                prop_assert_eq!(&fast, &plain);
            }
        }
    }
}
