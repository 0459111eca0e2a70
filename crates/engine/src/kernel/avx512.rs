//! AVX-512 with VNNI: 16 rows to a register, 32 wrapping bits.
//!
//! One token: weights as unsigned bytes times the signed bytes of the activations, four columns an
//! instruction (`vpdpbusd`), nothing widened. Several: pairs of 16 bits (`vpdpwssd`), the weights
//! widened and multiplied by `m` once into a panel that a chunk's tokens share.
#![allow(unsafe_code)]
#![expect(clippy::incompatible_msrv, reason = "older compilers build for other processors only")]

mod attention;

pub(super) use attention::{dots, mix};

use super::input::{BLOCK, Input};
use super::packed::{Packed, TILE};
use crate::model::header::Profile;
use std::arch::asm;
use std::arch::x86_64::*;
use std::ops::Range;

/// Columns of a panel: 1024 columns of 16 rows in 16 bits are 32 KiB.
const PANEL_COLUMNS: usize = 1024;
/// A widened panel: `[pair][row][2]`.
type Panel = [i16; PANEL_COLUMNS * TILE];
/// How far ahead of their use a panel's weights are asked for: they arrive while tokens use the
/// panel before.
const NEXT_PANEL: usize = PANEL_COLUMNS * TILE;
/// Bytes of a step: four columns of 8 bits or eight of 4 bits, 16 rows.
const STEP: usize = 4 * TILE;
/// How far ahead of their use weights are asked for: a page, so that finding the next page is over
/// before its weights are wanted. Into the first level: products that wait for weights fill the
/// queue of the vector units long before enough weights are on their way.
const AHEAD: usize = 4096;

/// Twin of [`super::scalar::accumulate`]; the caller has checked all lengths.
pub(super) fn accumulate(packed: &Packed, tiles: Range<usize>, input: &Input<'_>, out: &mut [i32]) {
    let size = (input.tokens * TILE).max(1);
    let mut panel: Panel = [0; PANEL_COLUMNS * TILE];
    for ((q, m), out) in packed.each(tiles).zip(out.chunks_exact_mut(size)) {
        // SAFETY: `Set::Avx512` exists only where the processor has these instructions. The tile
        // holds `stride * TILE` weights and a multiplier for each row and group, the input `tokens`
        // times `stride` entries laid out for this set, and `out` holds `tokens * TILE`: all
        // checked at the door, by `Packed` and by `Input`.
        unsafe {
            match (input.tokens, packed.profile()) {
                (1, Profile::W8) => single_8(q, m, input, out),
                (1, Profile::W4) => single_4(q, m, input, out),
                (_, profile) => several(profile, &mut panel, q, m, input, out),
            }
        }
    }
}

/// One token, 8 bits.
///
/// # Safety
/// AVX-512 with VNNI; `q` holds 16 weights and `m` a quarter of a byte for every column.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn single_8(q: &[u8], m: &[u8], input: &Input<'_>, out: &mut [i32]) {
    // SAFETY: groups of 64 columns: `q` advances 1024 bytes, `m` 16 bytes, the input 16 quads and
    // two sums each; every load is within the group. `out` holds 16
    // accumulators.
    unsafe {
        let mut total = _mm512_setzero_si512();
        for group in 0..input.stride / 64 {
            let q = q.as_ptr().add(group * 16 * STEP);
            let x = input.limbs.as_ptr().add(group * 16);
            let mut acc = [[_mm512_setzero_si512(); 2]; 2];
            for pair in 0..8 {
                let [first, second] = two_quads(x.add(2 * pair));
                let q = q.add(2 * pair * STEP);
                dot(&mut acc[0], weights(q), first);
                dot(&mut acc[1], weights(q.add(STEP)), second);
            }
            let sum = input.sums[2 * group] + input.sums[2 * group + 1];
            total = scaled(total, acc, 128 * sum, m.as_ptr().add(group * TILE));
        }
        _mm512_storeu_si512(out.as_mut_ptr().cast(), total);
    }
}

/// One token, 4 bits.
///
/// # Safety
/// AVX-512 with VNNI; `q` holds 8 bytes and `m` half a byte for every column.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn single_4(q: &[u8], m: &[u8], input: &Input<'_>, out: &mut [i32]) {
    // SAFETY: groups of 32 columns: `q` advances 256 bytes, `m` 16 bytes, the input 8 quads and one
    // sum each; every load is within the group. `out` holds 16
    // accumulators.
    unsafe {
        let mut total = _mm512_setzero_si512();
        let mask = _mm512_set1_epi8(15);
        for group in 0..input.stride / 32 {
            let q = q.as_ptr().add(group * 4 * STEP);
            let x = input.limbs.as_ptr().add(group * 8);
            let mut acc = [[_mm512_setzero_si512(); 2]; 2];
            for octet in 0..4 {
                let [first, second] = two_quads(x.add(2 * octet));
                let w = weights(q.add(octet * STEP));
                dot(&mut acc[0], _mm512_and_si512(w, mask), first);
                let high = _mm512_and_si512(_mm512_srli_epi16(w, 4), mask);
                dot(&mut acc[1], high, second);
            }
            let offset = 8 * input.sums[group];
            total = scaled(total, acc, offset, m.as_ptr().add(group * TILE));
        }
        _mm512_storeu_si512(out.as_mut_ptr().cast(), total);
    }
}

/// A step of weights; those of [`AHEAD`] are asked for.
///
/// # Safety
/// AVX-512; 64 readable bytes.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn weights(q: *const u8) -> __m512i {
    // SAFETY: a prefetch reads nothing and may point anywhere; the load is within the contract.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(q.wrapping_add(AHEAD).cast());
        _mm512_loadu_si512(q.cast())
    }
}

/// The low and the high bytes of two quads, each in all lanes. One load brings all four: loads have
/// a queue, too, and it is wanted for weights.
///
/// # Safety
/// AVX-512; two readable quads.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn two_quads(x: *const [i32; 2]) -> [[__m512i; 2]; 2] {
    // SAFETY: by the contract.
    let mut both = _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(x.cast()) });
    // SAFETY: nothing is done; a compiler that sees through would make four loads of the one.
    unsafe {
        asm!("/* {0} */", inout(zmm_reg) both, options(pure, nomem, nostack, preserves_flags));
    };
    let first = [_mm512_shuffle_epi32::<0x00>(both), _mm512_shuffle_epi32::<0x55>(both)];
    [first, [_mm512_shuffle_epi32::<0xAA>(both), _mm512_shuffle_epi32::<0xFF>(both)]]
}

/// Adds four columns times the low and the high bytes of four entries.
///
/// # Safety
/// AVX-512 with VNNI.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn dot(acc: &mut [__m512i; 2], w: __m512i, [low, high]: [__m512i; 2]) {
    acc[0] = _mm512_dpbusd_epi32(acc[0], w, low);
    acc[1] = _mm512_dpbusd_epi32(acc[1], w, high);
}

/// Adds a group's sums, put together, times its multipliers.
///
/// # Safety
/// AVX-512; 16 readable bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn scaled(total: __m512i, acc: [[__m512i; 2]; 2], offset: i32, m: *const u8) -> __m512i {
    // SAFETY: one load of 16 bytes.
    let m = _mm512_cvtepi8_epi32(unsafe { _mm_loadu_si128(m.cast()) });
    let low = _mm512_add_epi32(acc[0][0], acc[1][0]);
    let high = _mm512_add_epi32(acc[0][1], acc[1][1]);
    let both = _mm512_add_epi32(low, _mm512_slli_epi32(high, 8));
    let sum = _mm512_sub_epi32(both, _mm512_set1_epi32(offset));
    _mm512_add_epi32(total, _mm512_mullo_epi32(sum, m))
}

/// Several tokens: panel by panel, accumulators carried in `out`.
///
/// # Safety
/// AVX-512 with VNNI; lengths as [`accumulate`] says.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn several(
    profile: Profile,
    panel: &mut Panel,
    q: &[u8],
    m: &[u8],
    input: &Input<'_>,
    out: &mut [i32],
) {
    let stride = input.stride;
    out.fill(0);
    for first in (0..stride).step_by(PANEL_COLUMNS) {
        let columns = PANEL_COLUMNS.min(stride - first);
        // SAFETY: `first + columns <= stride`, both multiples of 64, so weights and multipliers of
        // these columns are there, and pairs of every block, padded to 4, 8, 12 or 16 tokens.
        unsafe {
            match profile {
                Profile::W8 => fill_8(panel, q, m, first, columns),
                Profile::W4 => fill_4(panel, q, m, first, columns),
            }
            for block in 0..input.blocks() {
                let tokens = input.block(block);
                let width = tokens.len().next_multiple_of(4);
                let start = tokens.start * (stride / 2) + first / 2 * width;
                let x = input.pairs[start..start + columns / 2 * width].as_ptr();
                let out = &mut out[tokens.start * TILE..tokens.end * TILE];
                match width {
                    4 => micro::<4>(panel, columns, x, out),
                    8 => micro::<8>(panel, columns, x, out),
                    12 => micro::<12>(panel, columns, x, out),
                    _ => micro::<BLOCK>(panel, columns, x, out),
                }
            }
        }
    }
}

/// Adds a panel's products to the accumulators of at most N tokens.
///
/// # Safety
/// AVX-512 with VNNI; `x` holds N entries for each of `columns / 2` pairs, at most those of a
/// panel; `out` holds at most N whole blocks of 16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn micro<const N: usize>(panel: &Panel, columns: usize, x: *const i32, out: &mut [i32]) {
    // SAFETY: by the contract; a pair of columns is 32 entries of the panel.
    unsafe {
        let mut acc = [_mm512_setzero_si512(); N];
        for pair in 0..columns / 2 {
            let w = _mm512_loadu_si512(panel.as_ptr().add(pair * 2 * TILE).cast());
            let x = x.add(pair * N);
            for (token, acc) in acc.iter_mut().enumerate() {
                *acc = _mm512_dpwssd_epi32(*acc, w, _mm512_set1_epi32(*x.add(token)));
            }
        }
        for (acc, out) in acc.iter().zip(out.chunks_exact_mut(TILE)) {
            let before = _mm512_loadu_si512(out.as_ptr().cast());
            _mm512_storeu_si512(out.as_mut_ptr().cast(), _mm512_add_epi32(before, *acc));
        }
    }
}

/// Widens 8-bit columns into the panel, times their multipliers.
///
/// # Safety
/// AVX-512; the tile has columns `first..first + columns`, whole groups of 64.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn fill_8(panel: &mut Panel, q: &[u8], m: &[u8], first: usize, columns: usize) {
    // SAFETY: four columns are 64 bytes of the tile and 64 entries of the panel.
    unsafe {
        for group in 0..columns / 64 {
            let m = multipliers(m.as_ptr().add((first / 64 + group) * TILE));
            for quad in group * 16..group * 16 + 16 {
                let q = q.as_ptr().add((first / 4 + quad) * STEP);
                _mm_prefetch::<_MM_HINT_T1>(q.wrapping_add(NEXT_PANEL).cast());
                let w = _mm512_loadu_si512(q.cast());
                widen(w, _mm512_set1_epi16(128), m, panel.as_mut_ptr().add(quad * STEP));
            }
        }
    }
}

/// Widens 4-bit columns into the panel, times their multipliers.
///
/// # Safety
/// AVX-512; the tile has columns `first..first + columns`, whole groups of 32.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn fill_4(panel: &mut Panel, q: &[u8], m: &[u8], first: usize, columns: usize) {
    // SAFETY: eight columns are 64 bytes of the tile and 128 entries of the panel.
    unsafe {
        let (mask, eight) = (_mm512_set1_epi8(15), _mm512_set1_epi16(8));
        for group in 0..columns / 32 {
            let m = multipliers(m.as_ptr().add((first / 32 + group) * TILE));
            for octet in group * 4..group * 4 + 4 {
                let q = q.as_ptr().add((first / 8 + octet) * STEP);
                _mm_prefetch::<_MM_HINT_T1>(q.wrapping_add(NEXT_PANEL / 2).cast());
                let w = _mm512_loadu_si512(q.cast());
                let out = panel.as_mut_ptr().add(octet * 2 * STEP);
                widen(_mm512_and_si512(w, mask), eight, m, out);
                let high = _mm512_and_si512(_mm512_srli_epi16(w, 4), mask);
                widen(high, eight, m, out.add(STEP));
            }
        }
    }
}

/// 16 multipliers as 16 bits, each four times: 8 rows to a register.
///
/// # Safety
/// AVX-512; 16 readable bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn multipliers(m: *const u8) -> [__m512i; 2] {
    // SAFETY: one load of 16 bytes.
    let m = _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(m.cast()) });
    let eight = _mm256_setr_epi8(
        0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7,
        7, 7,
    );
    [0, 8].map(|first| {
        let rows = _mm256_add_epi8(eight, _mm256_set1_epi8(first));
        _mm512_cvtepi8_epi16(_mm256_shuffle_epi8(m, rows))
    })
}

/// Writes four columns of 16 rows as two pairs of 16 bits: `(w - offset) m`.
///
/// # Safety
/// AVX-512; 64 writable entries.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn widen(w: __m512i, offset: __m512i, m: [__m512i; 2], out: *mut i16) {
    let wide =
        |w: __m256i, m| _mm512_mullo_epi16(_mm512_sub_epi16(_mm512_cvtepu8_epi16(w), offset), m);
    let upper = wide(_mm512_castsi512_si256(w), m[0]);
    let lower = wide(_mm512_extracti64x4_epi64::<1>(w), m[1]);
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    // SAFETY: two stores of 64 bytes.
    unsafe {
        _mm512_storeu_si512(out.cast(), _mm512_permutex2var_epi32(upper, even, lower));
        let second = _mm512_permutex2var_epi32(upper, odd, lower);
        _mm512_storeu_si512(out.add(2 * TILE).cast(), second);
    }
}
