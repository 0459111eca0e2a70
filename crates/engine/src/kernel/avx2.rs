//! AVX2: 16 rows at a time, pairs of columns through `vpmaddwd`, 32 wrapping bits.
//!
//! `vpmaddubsw` would be twice as wide but saturates (255 * 120 * 2 > 32767), so weights become 16
//! bits wide: per token on the way for one token, once per tile into a panel of the first-level
//! cache for several. `m` multiplies a group's sum for one token, the panel's weights for several.
#![allow(unsafe_code)]

use super::packed::{Packed, TILE};
use super::scalar;
use crate::model::header::Profile;
use std::arch::x86_64::*;
use std::ops::Range;

/// Columns of a panel: 512 columns of 16 rows in 16 bits are 16 KiB.
const PANEL_COLUMNS: usize = 512;
/// A widened panel: `[pair][row][2]`.
type Panel = [i16; PANEL_COLUMNS * TILE];
/// Tokens that one pass over a panel serves: their 12 accumulators and the weights fill the 16
/// registers.
const MICRO: usize = 6;

/// Twin of [`scalar::accumulate`]; the caller has checked all lengths.
pub(super) fn accumulate(packed: &Packed, tiles: Range<usize>, x: &[i16], out: &mut [i32]) {
    let tokens = x.len() / packed.stride();
    for (tile, out) in tiles.zip(out.chunks_exact_mut((tokens * TILE).max(1))) {
        let (q, m) = (packed.tile(tile), packed.groups(tile));
        // SAFETY: `Set::Avx2` exists only where the processor has AVX2. The tile holds
        // `stride * TILE` weights and a multiplier for each row and group, `x` holds `tokens`
        // times `stride`, `out` holds `tokens * TILE`: all checked at the door and by `Packed`.
        unsafe {
            match (tokens, packed.profile()) {
                (1, Profile::W8) => single_8(q, m, x, out),
                (1, Profile::W4) => single_4(q, m, x, out),
                _ => several(packed, q, m, x, out),
            }
        }
    }
}

/// One token, 8 bits.
///
/// # Safety
/// AVX2; `q` holds 16 weights and `m` a quarter of a byte for every entry of `x`.
#[target_feature(enable = "avx2")]
unsafe fn single_8(q: &[u8], m: &[i8], x: &[i16], out: &mut [i32]) {
    // SAFETY: groups of 64 columns: `q` advances 1024 bytes, `m` 16 bytes and `x` 64 entries each;
    // every load is within the group. `out` holds 16 accumulators.
    unsafe {
        let mut totals = [_mm256_setzero_si256(); 2];
        for group in 0..x.len() / 64 {
            let q = q.as_ptr().add(group * 64 * TILE);
            let x = x.as_ptr().add(group * 64);
            let mut acc = [_mm256_setzero_si256(); 2];
            for pair in 0..32 {
                let x = _mm256_set1_epi32(x.add(2 * pair).cast::<i32>().read_unaligned());
                let w = widen_8(q.add(pair * 2 * TILE));
                acc[0] = _mm256_add_epi32(acc[0], _mm256_madd_epi16(w[0], x));
                acc[1] = _mm256_add_epi32(acc[1], _mm256_madd_epi16(w[1], x));
            }
            add_scaled(&mut totals, acc, m.as_ptr().add(group * TILE));
        }
        store(out.as_mut_ptr(), totals);
    }
}

/// One token, 4 bits.
///
/// # Safety
/// AVX2; `q` holds 8 bytes and `m` half a byte for every entry of `x`.
#[target_feature(enable = "avx2")]
unsafe fn single_4(q: &[u8], m: &[i8], x: &[i16], out: &mut [i32]) {
    // SAFETY: groups of 32 columns: `q` advances 256 bytes, `m` 16 bytes and `x` 32 entries each;
    // every load is within the group. `out` holds 16 accumulators.
    unsafe {
        let mut totals = [_mm256_setzero_si256(); 2];
        for group in 0..x.len() / 32 {
            let q = q.as_ptr().add(group * 16 * TILE);
            let x = x.as_ptr().add(group * 32);
            let mut acc = [_mm256_setzero_si256(); 2];
            for pair in 0..16 {
                let x = _mm256_set1_epi32(x.add(2 * pair).cast::<i32>().read_unaligned());
                let w = widen_4(q.add(pair * TILE));
                acc[0] = _mm256_add_epi32(acc[0], _mm256_madd_epi16(w[0], x));
                acc[1] = _mm256_add_epi32(acc[1], _mm256_madd_epi16(w[1], x));
            }
            add_scaled(&mut totals, acc, m.as_ptr().add(group * TILE));
        }
        store(out.as_mut_ptr(), totals);
    }
}

/// Several tokens: panel by panel, accumulators carried in `out`.
///
/// # Safety
/// AVX2; lengths as [`accumulate`] says.
#[target_feature(enable = "avx2")]
unsafe fn several(packed: &Packed, q: &[u8], m: &[i8], x: &[i16], out: &mut [i32]) {
    let stride = packed.stride();
    let mut panel: Panel = [0; PANEL_COLUMNS * TILE];
    out.fill(0);
    for first in (0..stride).step_by(PANEL_COLUMNS) {
        let columns = PANEL_COLUMNS.min(stride - first);
        // SAFETY: `first + columns <= stride`, both multiples of 64, so weights, multipliers and
        // activations of these columns are there; a block of n tokens has n rows of `x` and `out`.
        unsafe {
            match packed.profile() {
                Profile::W8 => fill_8(&mut panel, q, m, first, columns),
                Profile::W4 => fill_4(&mut panel, q, m, first, columns),
            }
            for (x, out) in x.chunks(MICRO * stride).zip(out.chunks_mut(MICRO * TILE)) {
                let x = x.as_ptr().add(first);
                let (out, tokens) = (out.as_mut_ptr(), out.len() / TILE);
                match tokens {
                    1 => micro::<1>(&panel, columns, x, stride, out),
                    2 => micro::<2>(&panel, columns, x, stride, out),
                    3 => micro::<3>(&panel, columns, x, stride, out),
                    4 => micro::<4>(&panel, columns, x, stride, out),
                    5 => micro::<5>(&panel, columns, x, stride, out),
                    _ => micro::<MICRO>(&panel, columns, x, stride, out),
                }
            }
        }
    }
}

/// Adds a panel's products to the accumulators of N tokens.
///
/// # Safety
/// AVX2; `x` is the first of N rows `stride` apart with `columns` readable entries each, `out` the
/// first of N blocks of 16; `columns` is at most [`PANEL_COLUMNS`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn micro<const N: usize>(
    panel: &Panel,
    columns: usize,
    x: *const i16,
    stride: usize,
    out: *mut i32,
) {
    // SAFETY: by the contract above; a pair of columns is 32 entries of the panel.
    unsafe {
        let mut acc = [[_mm256_setzero_si256(); 2]; N];
        for pair in 0..columns / 2 {
            let w = panel.as_ptr().add(pair * 2 * TILE).cast::<__m256i>();
            let w = [_mm256_loadu_si256(w), _mm256_loadu_si256(w.add(1))];
            for (token, acc) in acc.iter_mut().enumerate() {
                let at = x.add(token * stride + 2 * pair).cast::<i32>();
                let x = _mm256_set1_epi32(at.read_unaligned());
                acc[0] = _mm256_add_epi32(acc[0], _mm256_madd_epi16(w[0], x));
                acc[1] = _mm256_add_epi32(acc[1], _mm256_madd_epi16(w[1], x));
            }
        }
        for (token, acc) in acc.iter().enumerate() {
            let block = out.add(token * TILE).cast::<__m256i>();
            for (half, acc) in acc.iter().enumerate() {
                let before = _mm256_loadu_si256(block.add(half));
                _mm256_storeu_si256(block.add(half), _mm256_add_epi32(before, *acc));
            }
        }
    }
}

/// Widens 8-bit columns into the panel, times their multipliers.
///
/// # Safety
/// AVX2; the tile has columns `first..first + columns`, whole groups of 64.
#[target_feature(enable = "avx2")]
unsafe fn fill_8(panel: &mut Panel, q: &[u8], m: &[i8], first: usize, columns: usize) {
    // SAFETY: a pair of columns is 32 bytes of the tile and 32 entries of the panel.
    unsafe {
        for pair in 0..columns / 2 {
            let column = first + 2 * pair;
            let m = multipliers(m.as_ptr().add(column / 64 * TILE));
            let w = widen_8(q.as_ptr().add(column * TILE));
            store(
                panel.as_mut_ptr().add(pair * 2 * TILE).cast(),
                [_mm256_mullo_epi16(w[0], m[0]), _mm256_mullo_epi16(w[1], m[1])],
            );
        }
    }
}

/// Widens 4-bit columns into the panel, times their multipliers.
///
/// # Safety
/// AVX2; the tile has columns `first..first + columns`, whole groups of 32.
#[target_feature(enable = "avx2")]
unsafe fn fill_4(panel: &mut Panel, q: &[u8], m: &[i8], first: usize, columns: usize) {
    // SAFETY: a pair of columns is 16 bytes of the tile and 32 entries of the panel.
    unsafe {
        for pair in 0..columns / 2 {
            let column = first + 2 * pair;
            let m = multipliers(m.as_ptr().add(column / 32 * TILE));
            let w = widen_4(q.as_ptr().add(column / 2 * TILE));
            store(
                panel.as_mut_ptr().add(pair * 2 * TILE).cast(),
                [_mm256_mullo_epi16(w[0], m[0]), _mm256_mullo_epi16(w[1], m[1])],
            );
        }
    }
}

/// 16 multipliers as 16 bits, each twice, in the order of a pair's weights.
///
/// # Safety
/// AVX2; 16 readable bytes.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn multipliers(m: *const i8) -> [__m256i; 2] {
    // SAFETY: one load of 16 bytes.
    unsafe {
        let wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(m.cast()));
        let (low, high) = (_mm256_unpacklo_epi16(wide, wide), _mm256_unpackhi_epi16(wide, wide));
        [_mm256_permute2x128_si256(low, high, 0x20), _mm256_permute2x128_si256(low, high, 0x31)]
    }
}

/// 16 rows of a column pair from bytes to 16 bits.
///
/// # Safety
/// AVX2; 32 readable bytes.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn widen_8(q: *const u8) -> [__m256i; 2] {
    // SAFETY: two loads of 16 bytes.
    unsafe {
        let q = q.cast::<__m128i>();
        [_mm256_cvtepi8_epi16(_mm_loadu_si128(q)), _mm256_cvtepi8_epi16(_mm_loadu_si128(q.add(1)))]
    }
}

/// 16 rows of a column pair from half bytes to 16 bits.
///
/// # Safety
/// AVX2; 16 readable bytes.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn widen_4(q: *const u8) -> [__m256i; 2] {
    // SAFETY: two loads of 8 bytes.
    unsafe {
        let q = q.cast::<__m128i>();
        let rows = [
            _mm256_cvtepu8_epi32(_mm_loadl_epi64(q)),
            _mm256_cvtepu8_epi32(_mm_loadl_epi64(q.cast::<u8>().add(8).cast())),
        ];
        let (mask, eight) = (_mm256_set1_epi32(0x000F_000F), _mm256_set1_epi16(8));
        rows.map(|row| {
            let halves = _mm256_or_si256(row, _mm256_slli_epi32(row, 12));
            _mm256_sub_epi16(_mm256_and_si256(halves, mask), eight)
        })
    }
}

/// Adds a group's sums times its multipliers.
///
/// # Safety
/// AVX2; 16 readable bytes.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn add_scaled(totals: &mut [__m256i; 2], acc: [__m256i; 2], m: *const i8) {
    // SAFETY: two loads of 8 bytes.
    unsafe {
        let low = _mm256_cvtepi8_epi32(_mm_loadl_epi64(m.cast()));
        let high = _mm256_cvtepi8_epi32(_mm_loadl_epi64(m.add(8).cast()));
        totals[0] = _mm256_add_epi32(totals[0], _mm256_mullo_epi32(acc[0], low));
        totals[1] = _mm256_add_epi32(totals[1], _mm256_mullo_epi32(acc[1], high));
    }
}

/// Stores 64 bytes.
///
/// # Safety
/// AVX2; 64 writable bytes.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store(out: *mut i32, values: [__m256i; 2]) {
    // SAFETY: two stores of 32 bytes.
    unsafe {
        _mm256_storeu_si256(out.cast(), values[0]);
        _mm256_storeu_si256(out.add(8).cast(), values[1]);
    }
}

/// Twin of [`scalar::dots`].
pub(super) fn dots(query: &[i16], keys: &[i16], out: &mut [i32]) {
    if query.len() % 16 != 0 {
        return scalar::dots(query, keys, out);
    }
    // SAFETY: `Set::Avx2` exists only where the processor has AVX2; the door checked that `keys`
    // holds `out.len()` keys as long as the query.
    unsafe { dots_by_16(query, keys, out) }
}

/// # Safety
/// AVX2; `query.len()` is a multiple of 16 and `keys` holds `out.len()` keys of that length.
#[target_feature(enable = "avx2")]
unsafe fn dots_by_16(query: &[i16], keys: &[i16], out: &mut [i32]) {
    let size = query.len();
    for (out, key) in out.iter_mut().zip(keys.chunks_exact(size)) {
        // SAFETY: `at + 16 <= size` for every step.
        unsafe {
            let mut acc = _mm256_setzero_si256();
            for at in (0..size).step_by(16) {
                let q = _mm256_loadu_si256(query.as_ptr().add(at).cast());
                let k = _mm256_loadu_si256(key.as_ptr().add(at).cast());
                acc = _mm256_add_epi32(acc, _mm256_madd_epi16(q, k));
            }
            let four = _mm_add_epi32(_mm256_castsi256_si128(acc), _mm256_extracti128_si256(acc, 1));
            let two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0b00_00_11_10));
            let one = _mm_add_epi32(two, _mm_shuffle_epi32(two, 0b00_00_00_01));
            *out = _mm_cvtsi128_si32(one);
        }
    }
}

/// Twin of [`scalar::mix`].
pub(super) fn mix(powers: &[i16], values: &[i16], out: &mut [i64]) {
    let size = out.len();
    if size % 16 != 0 {
        return scalar::mix(powers, values, out);
    }
    for (powers, values) in powers.chunks(scalar::SPILL).zip(values.chunks(scalar::SPILL * size)) {
        // SAFETY: `Set::Avx2` exists only where the processor has AVX2; `values` holds a vector of
        // `size` for each of at most 16 powers, and `size` is a multiple of 16.
        unsafe { mix_16(powers, values, out) }
    }
}

/// # Safety
/// AVX2; at most 16 powers, `values` a vector of `out.len()`, a multiple of 16, for each.
#[target_feature(enable = "avx2")]
unsafe fn mix_16(powers: &[i16], values: &[i16], out: &mut [i64]) {
    let size = out.len();
    for at in (0..size).step_by(16) {
        // SAFETY: every load reads 16 entries at `at` of a whole vector; `sums` has 16 entries.
        unsafe {
            let mut acc = [_mm256_setzero_si256(); 2];
            for pair in 0..powers.len().div_ceil(2) {
                let first = values.as_ptr().add(2 * pair * size + at);
                let both = 2 * pair + 1 < powers.len();
                let low = _mm256_loadu_si256(first.cast());
                let (high, power) = match both {
                    true => (_mm256_loadu_si256(first.add(size).cast()), powers[2 * pair + 1]),
                    false => (_mm256_setzero_si256(), 0),
                };
                let p = i32::from(powers[2 * pair]) | i32::from(power) << 16;
                let p = _mm256_set1_epi32(p);
                let (even, odd) =
                    (_mm256_unpacklo_epi16(low, high), _mm256_unpackhi_epi16(low, high));
                acc[0] = _mm256_add_epi32(acc[0], _mm256_madd_epi16(even, p));
                acc[1] = _mm256_add_epi32(acc[1], _mm256_madd_epi16(odd, p));
            }
            let mut sums = [0i32; 16];
            store(
                sums.as_mut_ptr(),
                [
                    _mm256_permute2x128_si256(acc[0], acc[1], 0x20),
                    _mm256_permute2x128_si256(acc[0], acc[1], 0x31),
                ],
            );
            for (out, sum) in out[at..at + 16].iter_mut().zip(sums) {
                *out = out.wrapping_add(i64::from(sum));
            }
        }
    }
}
