//! AVX2: 16 rows at a time, pairs of columns through `vpmaddwd`, 32 wrapping bits.
//!
//! `vpmaddubsw` would be twice as wide but saturates with 8-bit weights (255 * 127 * 2 > 32767), so
//! these become 16 bits wide: per token on the way for one token, once per tile into a panel of the
//! first-level cache for several, times `m`. With 4-bit weights and the bytes of the activations it
//! does not saturate: 15 * 128 * 2 = 3840, and 8 of those fit 16 bits.
#![allow(unsafe_code)]

use super::input::Input;
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
/// Bytes of a step: four columns of 8 bits or eight of 4 bits, 16 rows.
const STEP: usize = 4 * TILE;
/// How far ahead of their use weights are asked for: two pages, so that finding the next page is
/// over before its weights are wanted. Into the second level: the first one has too few places.
const AHEAD: usize = 8192;

/// Twin of [`scalar::accumulate`]; the caller has checked all lengths.
pub(super) fn accumulate(packed: &Packed, tiles: Range<usize>, input: &Input<'_>, out: &mut [i32]) {
    let size = (input.tokens * TILE).max(1);
    for ((q, m), out) in packed.each(tiles).zip(out.chunks_exact_mut(size)) {
        // SAFETY: `Set::Avx2` exists only where the processor has AVX2. The tile holds
        // `stride * TILE` weights and a multiplier for each row and group, the input `tokens`
        // times `stride` entries, with sums and bytes where there is one token, and `out` holds
        // `tokens * TILE`: all checked at the door, by `Packed` and by `Input`.
        unsafe {
            match (input.tokens, packed.profile()) {
                (1, Profile::W8) => single_8(q, m, input, out),
                (1, Profile::W4) => single_4(q, m, input, out),
                _ => several(packed, q, m, input.x, out),
            }
        }
    }
}

/// One token, 8 bits.
///
/// # Safety
/// AVX2; `q` holds 16 weights and `m` a quarter of a byte for every entry of the input.
#[target_feature(enable = "avx2")]
unsafe fn single_8(q: &[u8], m: &[u8], input: &Input<'_>, out: &mut [i32]) {
    // SAFETY: groups of 64 columns: `q` advances 1024 bytes, `m` 16 bytes, `x` 64 entries and the
    // sums two each; every load is within the group. `out` holds 16
    // accumulators.
    unsafe {
        let mut totals = [_mm256_setzero_si256(); 2];
        for group in 0..input.stride / 64 {
            let q = q.as_ptr().add(group * 16 * STEP);
            ahead::<16>(q);
            let x = input.x.as_ptr().add(group * 64);
            let mut acc = [_mm256_setzero_si256(); 4];
            for quad in 0..16 {
                let q = q.add(quad * STEP);
                let x = _mm256_set1_epi64x(x.add(4 * quad).cast::<i64>().read_unaligned());
                for (rows, acc) in acc.iter_mut().enumerate() {
                    let w = _mm_loadu_si128(q.add(16 * rows).cast());
                    let product = _mm256_madd_epi16(_mm256_cvtepu8_epi16(w), x);
                    *acc = _mm256_add_epi32(*acc, product);
                }
            }
            let sum = input.sums[2 * group] + input.sums[2 * group + 1];
            let offset = _mm256_set1_epi32(128 * sum);
            let acc = [join(acc[0], acc[1]), join(acc[2], acc[3])];
            let acc = acc.map(|acc| _mm256_sub_epi32(acc, offset));
            add_scaled(&mut totals, acc, m.as_ptr().add(group * TILE));
        }
        store(out.as_mut_ptr(), totals);
    }
}

/// Asks for N steps of weights before they are needed, apart from the sums: a request between two
/// loads keeps the compiler from using a load in place.
#[inline(always)]
fn ahead<const N: usize>(q: *const u8) {
    for step in 0..N {
        // SAFETY: a prefetch reads nothing and may point anywhere.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(q.wrapping_add(AHEAD + step * STEP).cast()) };
    }
}

/// The sums of neighbours of 4 rows and of 4 more, as 8 rows in order.
///
/// # Safety
/// AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn join(first: __m256i, second: __m256i) -> __m256i {
    _mm256_permute4x64_epi64(_mm256_hadd_epi32(first, second), 0b11_01_10_00)
}

/// One token, 4 bits.
///
/// # Safety
/// AVX2; `q` holds 8 bytes and `m` half a byte for every entry of the input.
#[target_feature(enable = "avx2")]
unsafe fn single_4(q: &[u8], m: &[u8], input: &Input<'_>, out: &mut [i32]) {
    // SAFETY: groups of 32 columns: `q` advances 256 bytes, `m` 16 bytes and the input 8 quads and
    // one sum each; every load is within the group. `out` holds 16
    // accumulators.
    unsafe {
        let mut totals = [_mm256_setzero_si256(); 2];
        let (mask, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1));
        for group in 0..input.stride / 32 {
            let q = q.as_ptr().add(group * 4 * STEP);
            ahead::<4>(q);
            let x = input.limbs.as_ptr().add(group * 8);
            // `[rows 0-7, 8-15][low, high]`, 16 bits: 8 products of at most 3840 each.
            let mut acc = [[_mm256_setzero_si256(); 2]; 2];
            for octet in 0..4 {
                let q = q.add(octet * STEP);
                let [first, second] = [*x.add(2 * octet), *x.add(2 * octet + 1)];
                for (rows, acc) in acc.iter_mut().enumerate() {
                    let w = _mm256_loadu_si256(q.add(32 * rows).cast());
                    let low = _mm256_and_si256(w, mask);
                    let high = _mm256_and_si256(_mm256_srli_epi16(w, 4), mask);
                    for (limb, acc) in acc.iter_mut().enumerate() {
                        let first = _mm256_maddubs_epi16(low, _mm256_set1_epi32(first[limb]));
                        let second = _mm256_maddubs_epi16(high, _mm256_set1_epi32(second[limb]));
                        *acc = _mm256_add_epi16(*acc, _mm256_add_epi16(first, second));
                    }
                }
            }
            let offset = _mm256_set1_epi32(8 * input.sums[group]);
            let acc = acc.map(|[low, high]| {
                let [low, high] = [_mm256_madd_epi16(low, ones), _mm256_madd_epi16(high, ones)];
                let both = _mm256_add_epi32(low, _mm256_slli_epi32(high, 8));
                _mm256_sub_epi32(both, offset)
            });
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
unsafe fn several(packed: &Packed, q: &[u8], m: &[u8], x: &[i16], out: &mut [i32]) {
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
unsafe fn fill_8(panel: &mut Panel, q: &[u8], m: &[u8], first: usize, columns: usize) {
    // SAFETY: four columns are 64 bytes of the tile and 64 entries of the panel.
    unsafe {
        for quad in 0..columns / 4 {
            let at = first / 4 + quad;
            let m = multipliers(m.as_ptr().add(at / 16 * TILE));
            let q = q.as_ptr().add(at * STEP).cast::<__m128i>();
            let w = [0, 1, 2, 3].map(|rows| _mm_loadu_si128(q.add(rows)));
            widen(w, _mm256_set1_epi16(128), &m, panel.as_mut_ptr().add(quad * STEP));
        }
    }
}

/// Widens 4-bit columns into the panel, times their multipliers.
///
/// # Safety
/// AVX2; the tile has columns `first..first + columns`, whole groups of 32.
#[target_feature(enable = "avx2")]
unsafe fn fill_4(panel: &mut Panel, q: &[u8], m: &[u8], first: usize, columns: usize) {
    // SAFETY: eight columns are 64 bytes of the tile and 128 entries of the panel.
    unsafe {
        let (mask, eight) = (_mm_set1_epi8(15), _mm256_set1_epi16(8));
        for octet in 0..columns / 8 {
            let at = first / 8 + octet;
            let m = multipliers(m.as_ptr().add(at / 4 * TILE));
            let q = q.as_ptr().add(at * STEP).cast::<__m128i>();
            let w = [0, 1, 2, 3].map(|rows| _mm_loadu_si128(q.add(rows)));
            let out = panel.as_mut_ptr().add(octet * 2 * STEP);
            widen(w.map(|w| _mm_and_si128(w, mask)), eight, &m, out);
            let high = w.map(|w| _mm_and_si128(_mm_srli_epi16(w, 4), mask));
            widen(high, eight, &m, out.add(STEP));
        }
    }
}

/// 16 multipliers as 16 bits, each four times: 4 rows to a register.
///
/// # Safety
/// AVX2; 16 readable bytes.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn multipliers(m: *const u8) -> [__m256i; 4] {
    // SAFETY: one load of 16 bytes.
    let m = unsafe { _mm_loadu_si128(m.cast()) };
    let four = _mm_setr_epi8(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    [0, 4, 8, 12].map(|first| {
        let rows = _mm_add_epi8(four, _mm_set1_epi8(first));
        _mm256_cvtepi8_epi16(_mm_shuffle_epi8(m, rows))
    })
}

/// Writes four columns of 16 rows as two pairs of 16 bits: `(w - offset) m`.
///
/// # Safety
/// AVX2; 64 writable entries.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn widen(w: [__m128i; 4], offset: __m256i, m: &[__m256i; 4], out: *mut i16) {
    let wide = |rows: usize| {
        let w = _mm256_sub_epi16(_mm256_cvtepu8_epi16(w[rows]), offset);
        _mm256_castsi256_ps(_mm256_mullo_epi16(w, m[rows]))
    };
    let out = out.cast::<__m256i>();
    for half in 0..2 {
        let (a, b) = (wide(2 * half), wide(2 * half + 1));
        let first = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0b10_00_10_00));
        let second = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0b11_01_11_01));
        // SAFETY: a pair of columns is two registers, rows 0 to 7 in the first.
        unsafe {
            _mm256_storeu_si256(out.add(half), _mm256_permute4x64_epi64(first, 0b11_01_10_00));
            let second = _mm256_permute4x64_epi64(second, 0b11_01_10_00);
            _mm256_storeu_si256(out.add(2 + half), second);
        }
    }
}

/// Adds a group's sums times its multipliers.
///
/// # Safety
/// AVX2; 16 readable bytes.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn add_scaled(totals: &mut [__m256i; 2], acc: [__m256i; 2], m: *const u8) {
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
