//! Attention with AVX-512: sixteen keys or 32 channels at a time, 32 wrapping bits.
//!
//! Sixteen keys have an accumulator each, whose lanes are put together for all of them at once: one
//! key by itself would spend more on that than on its products. The sums of values stay in
//! registers from the first position to the last.

use crate::kernel::{avx2, scalar::SPILL};
use std::arch::x86_64::*;

/// Keys that are met together.
const KEYS: usize = 16;
/// Entries of a register.
const WIDTH: usize = 32;

/// Twin of [`crate::kernel::scalar::dots`].
pub(in crate::kernel) fn dots(query: &[i16], keys: &[i16], out: &mut [i32]) {
    let size = query.len();
    if size % WIDTH != 0 {
        return avx2::dots(query, keys, out);
    }
    let whole = out.len() / KEYS * KEYS;
    let ((keys, last_keys), (out, last)) = (keys.split_at(whole * size), out.split_at_mut(whole));
    for (keys, out) in keys.chunks_exact(KEYS * size).zip(out.chunks_exact_mut(KEYS)) {
        // SAFETY: `Set::Avx512` exists only where the processor has these instructions; there are
        // 16 keys as long as the query, a multiple of 32, and 16 places.
        unsafe { sixteen(query, keys, out) }
    }
    avx2::dots(query, last_keys, last);
}

/// # Safety
/// AVX-512 with VNNI; `query.len()` is a multiple of 32, `keys` holds 16 of that length, `out` 16.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn sixteen(query: &[i16], keys: &[i16], out: &mut [i32]) {
    let size = query.len();
    // SAFETY: `at + 32 <= size` for every step; one store of 16 sums.
    unsafe {
        let mut acc = [_mm512_setzero_si512(); KEYS];
        for at in (0..size).step_by(WIDTH) {
            let query = _mm512_loadu_si512(query.as_ptr().add(at).cast());
            for (key, acc) in acc.iter_mut().enumerate() {
                let key = _mm512_loadu_si512(keys.as_ptr().add(key * size + at).cast());
                *acc = _mm512_dpwssd_epi32(*acc, query, key);
            }
        }
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = acc;
        let (a, e) = (four(a, b, c, d), four(e, f, g, h));
        let (i, m) = (four(i, j, k, l), four(m, n, o, p));
        let upper = _mm512_add_epi32(
            _mm512_shuffle_i32x4::<0b01_00_01_00>(a, e),
            _mm512_shuffle_i32x4::<0b11_10_11_10>(a, e),
        );
        let lower = _mm512_add_epi32(
            _mm512_shuffle_i32x4::<0b01_00_01_00>(i, m),
            _mm512_shuffle_i32x4::<0b11_10_11_10>(i, m),
        );
        let all = _mm512_add_epi32(
            _mm512_shuffle_i32x4::<0b10_00_10_00>(upper, lower),
            _mm512_shuffle_i32x4::<0b11_01_11_01>(upper, lower),
        );
        _mm512_storeu_si512(out.as_mut_ptr().cast(), all);
    }
}

/// In every quarter the sums of that quarter of each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn four(a: __m512i, b: __m512i, c: __m512i, d: __m512i) -> __m512i {
    let first = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let second = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    let low = _mm512_unpacklo_epi64(first, second);
    _mm512_add_epi32(low, _mm512_unpackhi_epi64(first, second))
}

/// Twin of [`crate::kernel::scalar::mix`].
pub(in crate::kernel) fn mix(powers: &[i16], values: &[i16], out: &mut [i64]) {
    let size = out.len();
    if size % WIDTH != 0 {
        return avx2::mix(powers, values, out);
    }
    // Pairs of registers first: neighbours share lines of the cache.
    let step = if size % (2 * WIDTH) == 0 { 2 * WIDTH } else { WIDTH };
    for (block, out) in out.chunks_exact_mut(step).enumerate() {
        let values = values.as_ptr().wrapping_add(block * step);
        // SAFETY: `Set::Avx512` exists only where the processor has these instructions; the door
        // checked that `values` holds `size` of them for every power, of which these are a part.
        unsafe {
            match step == WIDTH {
                true => channels::<1>(powers, values, size, out),
                false => channels::<2>(powers, values, size, out),
            }
        }
    }
}

/// # Safety
/// AVX-512 with VNNI; 32 N readable entries for each power, `size` apart; `out` holds 32 N.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn channels<const N: usize>(
    powers: &[i16],
    values: *const i16,
    size: usize,
    out: &mut [i64],
) {
    // SAFETY: by the contract: `at` is that of a power.
    unsafe {
        let mut totals = [[_mm512_setzero_si512(); 4]; N];
        for (chunk, powers) in powers.chunks(SPILL).enumerate() {
            let mut acc = [[_mm512_setzero_si512(); 2]; N];
            for (pair, powers) in powers.chunks(2).enumerate() {
                let at = chunk * SPILL + 2 * pair;
                let low = values.add(at * size);
                // A last one by itself is its own neighbour, whose weight is 0.
                let (high, power) = match powers {
                    [_, power] => (low.add(size), *power),
                    _ => (low, 0),
                };
                let power = i32::from(powers[0]) & 0xFFFF | i32::from(power) << 16;
                let power = _mm512_set1_epi32(power);
                for (block, acc) in acc.iter_mut().enumerate() {
                    let low = _mm512_loadu_si512(low.add(block * WIDTH).cast());
                    let high = _mm512_loadu_si512(high.add(block * WIDTH).cast());
                    acc[0] = _mm512_dpwssd_epi32(acc[0], _mm512_unpacklo_epi16(low, high), power);
                    acc[1] = _mm512_dpwssd_epi32(acc[1], _mm512_unpackhi_epi16(low, high), power);
                }
            }
            for (totals, acc) in totals.iter_mut().zip(acc) {
                widen(totals, acc);
            }
        }
        for (totals, out) in totals.into_iter().zip(out.chunks_exact_mut(WIDTH)) {
            add(totals, out);
        }
    }
}

/// Adds 32 sums to 64-bit ones.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn widen(totals: &mut [__m512i; 4], acc: [__m512i; 2]) {
    for (totals, acc) in totals.chunks_exact_mut(2).zip(acc) {
        let lower = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(acc));
        let upper = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64::<1>(acc));
        totals[0] = _mm512_add_epi64(totals[0], lower);
        totals[1] = _mm512_add_epi64(totals[1], upper);
    }
}

/// Adds 32 totals to `out`, which holds as many: the unpacked halves of every quarter, side by side
/// again.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn add([a, b, c, d]: [__m512i; 4], out: &mut [i64]) {
    let sums = [
        _mm512_shuffle_i64x2::<0b01_00_01_00>(a, c),
        _mm512_shuffle_i64x2::<0b11_10_11_10>(a, c),
        _mm512_shuffle_i64x2::<0b01_00_01_00>(b, d),
        _mm512_shuffle_i64x2::<0b11_10_11_10>(b, d),
    ];
    for (sum, out) in sums.into_iter().zip(out.chunks_exact_mut(8)) {
        // SAFETY: a load and a store of the eight that `out` holds.
        unsafe {
            let before = _mm512_loadu_si512(out.as_ptr().cast());
            _mm512_storeu_si512(out.as_mut_ptr().cast(), _mm512_add_epi64(before, sum));
        }
    }
}
