//! NEON: 16 rows at a time through widening multiplications, 32 wrapping bits.
//!
//! One token: 8-bit weights become 16 bits wide on the way, with one accumulator for each row,
//! whose lanes are four columns. 4-bit weights meet the two bytes of the activations instead: 8
//! products of at most 15 * 128 fit 16 bits. Several tokens: weights become 16 bits wide, times
//! `m`, once a tile in a panel of the first-level cache, and a column of it meets each token's
//! entry.
#![allow(unsafe_code)]

use super::input::Input;
use super::packed::{Packed, TILE};
use super::scalar;
use crate::model::header::Profile;
use std::arch::aarch64::*;
use std::ops::Range;

/// Columns of a panel: 512 columns of 16 rows in 16 bits are 16 KiB.
const PANEL_COLUMNS: usize = 512;
/// A widened panel: `[column][row]`.
type Panel = [i16; PANEL_COLUMNS * TILE];
/// Tokens that one pass over a panel serves: 16 accumulators, and room for weights and entries.
const MICRO: usize = 4;
/// Bytes of a step: four columns of 8 bits or eight of 4 bits, 16 rows.
pub(super) const STEP: usize = 4 * TILE;

/// Twin of [`scalar::accumulate`]; the caller has checked all lengths.
pub(super) fn accumulate(packed: &Packed, tiles: Range<usize>, input: &Input<'_>, out: &mut [i32]) {
    let size = (input.tokens * TILE).max(1);
    for ((q, m), out) in packed.each(tiles).zip(out.chunks_exact_mut(size)) {
        // SAFETY: `Set::Neon` exists only where the processor has NEON. The tile holds
        // `stride * TILE` weights and a multiplier for each row and group, the input `tokens`
        // times `stride` entries, with sums and bytes where there is one token, and `out` holds
        // `tokens * TILE`: all checked at the door, by `Packed` and by `Input`.
        unsafe {
            match (input.tokens, packed.profile()) {
                (1, Profile::W8) => single_8(q, m, input, out),
                (1, Profile::W4) => single_4(q, m, input, out),
                (_, profile) => several(profile, q, m, input, out),
            }
        }
    }
}

/// One token, 8 bits.
///
/// # Safety
/// NEON; `q` holds 16 weights and `m` a quarter of a byte for every entry of the input.
#[target_feature(enable = "neon")]
unsafe fn single_8(q: &[u8], m: &[u8], input: &Input<'_>, out: &mut [i32]) {
    // SAFETY: groups of 64 columns: `q` advances 1024 bytes, `m` 16 bytes, `x` 64 entries and the
    // sums two each; every load is within the group. `out` holds 16 accumulators.
    unsafe {
        let mut totals = [vdupq_n_s32(0); 4];
        for group in 0..input.stride / 64 {
            let q = q.as_ptr().add(group * 16 * STEP);
            let x = input.x.as_ptr().add(group * 64);
            let mut acc = [[vdupq_n_s32(0); 4]; 4];
            for quad in 0..16 {
                let x = vld1_s16(x.add(4 * quad));
                let x = vcombine_s16(x, x);
                for (rows, acc) in acc.iter_mut().enumerate() {
                    let w = vld1q_u8(q.add(quad * STEP + 16 * rows));
                    let upper = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(w)));
                    let lower = vreinterpretq_s16_u16(vmovl_high_u8(w));
                    acc[0] = vmlal_s16(acc[0], vget_low_s16(upper), vget_low_s16(x));
                    acc[1] = vmlal_high_s16(acc[1], upper, x);
                    acc[2] = vmlal_s16(acc[2], vget_low_s16(lower), vget_low_s16(x));
                    acc[3] = vmlal_high_s16(acc[3], lower, x);
                }
            }
            let sum = input.sums[2 * group] + input.sums[2 * group + 1];
            let sums = acc.map(|[a, b, c, d]| vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)));
            add_scaled(&mut totals, sums, 128 * sum, m.as_ptr().add(group * TILE));
        }
        store(out.as_mut_ptr(), totals);
    }
}

/// One token, 4 bits.
///
/// # Safety
/// NEON; `q` holds 8 bytes and `m` half a byte for every entry of the input.
#[target_feature(enable = "neon")]
unsafe fn single_4(q: &[u8], m: &[u8], input: &Input<'_>, out: &mut [i32]) {
    // SAFETY: groups of 32 columns: `q` advances 256 bytes, `m` 16 bytes and the input 8 quads and
    // one sum each; every load is within the group. `out` holds 16 accumulators.
    unsafe {
        let mut totals = [vdupq_n_s32(0); 4];
        for group in 0..input.stride / 32 {
            let q = q.as_ptr().add(group * 4 * STEP);
            let x = input.limbs.as_ptr().add(group * 8);
            // `[four rows][limb][two of the rows]`, 16 bits: 8 products of at most 1920 each.
            let mut acc = [[[vdupq_n_s16(0); 2]; 2]; 4];
            for octet in 0..4 {
                let [first, second] = [*x.add(2 * octet), *x.add(2 * octet + 1)];
                for (rows, acc) in acc.iter_mut().enumerate() {
                    let w = vld1q_u8(q.add(octet * STEP + 16 * rows));
                    let low = vreinterpretq_s8_u8(vandq_u8(w, vdupq_n_u8(15)));
                    let high = vreinterpretq_s8_u8(vshrq_n_u8::<4>(w));
                    for (limb, acc) in acc.iter_mut().enumerate() {
                        multiply(acc, low, first[limb]);
                        multiply(acc, high, second[limb]);
                    }
                }
            }
            let sums = acc.map(|[low, high]| {
                let both = |at: usize| {
                    let high = vshlq_n_s32::<8>(vpaddlq_s16(high[at]));
                    vaddq_s32(vpaddlq_s16(low[at]), high)
                };
                vpaddq_s32(both(0), both(1))
            });
            add_scaled(&mut totals, sums, 8 * input.sums[group], m.as_ptr().add(group * TILE));
        }
        store(out.as_mut_ptr(), totals);
    }
}

/// Adds four columns of four rows times four signed bytes.
#[inline]
#[target_feature(enable = "neon")]
fn multiply(acc: &mut [int16x8_t; 2], w: int8x16_t, x: i32) {
    let x = vreinterpretq_s8_s32(vdupq_n_s32(x));
    acc[0] = vmlal_s8(acc[0], vget_low_s8(w), vget_low_s8(x));
    acc[1] = vmlal_high_s8(acc[1], w, x);
}

/// Adds a group's sums, without what the weights' offset brought in, times its multipliers.
///
/// # Safety
/// NEON; 16 readable bytes.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn add_scaled(
    totals: &mut [int32x4_t; 4],
    sums: [int32x4_t; 4],
    offset: i32,
    m: *const u8,
) {
    // SAFETY: one load of 16 bytes.
    let m = unsafe { vld1q_s8(m.cast()) };
    let (upper, lower) = (vmovl_s8(vget_low_s8(m)), vmovl_high_s8(m));
    let m = [
        vmovl_s16(vget_low_s16(upper)),
        vmovl_high_s16(upper),
        vmovl_s16(vget_low_s16(lower)),
        vmovl_high_s16(lower),
    ];
    for ((total, sum), m) in totals.iter_mut().zip(sums).zip(m) {
        *total = vmlaq_s32(*total, vsubq_s32(sum, vdupq_n_s32(offset)), m);
    }
}

/// Stores 16 accumulators.
///
/// # Safety
/// NEON; 64 writable bytes.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn store(out: *mut i32, values: [int32x4_t; 4]) {
    for (at, value) in values.into_iter().enumerate() {
        // SAFETY: four stores of 16 bytes.
        unsafe { vst1q_s32(out.add(4 * at), value) };
    }
}

/// Several tokens: panel by panel, accumulators carried in `out`.
///
/// # Safety
/// NEON; lengths as [`accumulate`] says.
#[target_feature(enable = "neon")]
unsafe fn several(profile: Profile, q: &[u8], m: &[u8], input: &Input<'_>, out: &mut [i32]) {
    let stride = input.stride;
    let mut panel: Panel = [0; PANEL_COLUMNS * TILE];
    out.fill(0);
    for first in (0..stride).step_by(PANEL_COLUMNS) {
        let columns = PANEL_COLUMNS.min(stride - first);
        // SAFETY: `first + columns <= stride`, both multiples of 64, so weights, multipliers and
        // activations of these columns are there; n tokens have n rows of `x` and of `out`.
        unsafe {
            match profile {
                Profile::W8 => fill_8(&mut panel, q, m, first, columns),
                Profile::W4 => fill_4(&mut panel, q, m, first, columns),
            }
            let blocks = input.x.chunks(MICRO * stride).zip(out.chunks_mut(MICRO * TILE));
            for (x, out) in blocks {
                let x = x.as_ptr().add(first);
                let (out, tokens) = (out.as_mut_ptr(), out.len() / TILE);
                match tokens {
                    1 => micro::<1>(&panel, columns, x, stride, out),
                    2 => micro::<2>(&panel, columns, x, stride, out),
                    3 => micro::<3>(&panel, columns, x, stride, out),
                    _ => micro::<MICRO>(&panel, columns, x, stride, out),
                }
            }
        }
    }
}

/// Adds a panel's products to the accumulators of N tokens.
///
/// # Safety
/// NEON; `x` is the first of N rows `stride` apart with `columns` readable entries each, `out` the
/// first of N blocks of 16; `columns` is a multiple of 8 and at most [`PANEL_COLUMNS`].
#[inline]
#[target_feature(enable = "neon")]
unsafe fn micro<const N: usize>(
    panel: &Panel,
    columns: usize,
    x: *const i16,
    stride: usize,
    out: *mut i32,
) {
    // SAFETY: by the contract above; a column is 16 entries of the panel.
    unsafe {
        let mut acc = [[vdupq_n_s32(0); 4]; N];
        for first in (0..columns).step_by(8) {
            let w = panel.as_ptr().add(first * TILE);
            let mut entries = [vdupq_n_s16(0); N];
            for (token, entries) in entries.iter_mut().enumerate() {
                *entries = vld1q_s16(x.add(token * stride + first));
            }
            column::<0, N>(&mut acc, w, &entries);
            column::<1, N>(&mut acc, w, &entries);
            column::<2, N>(&mut acc, w, &entries);
            column::<3, N>(&mut acc, w, &entries);
            column::<4, N>(&mut acc, w, &entries);
            column::<5, N>(&mut acc, w, &entries);
            column::<6, N>(&mut acc, w, &entries);
            column::<7, N>(&mut acc, w, &entries);
        }
        for (token, mut acc) in acc.into_iter().enumerate() {
            let out = out.add(token * TILE);
            for (at, acc) in acc.iter_mut().enumerate() {
                *acc = vaddq_s32(*acc, vld1q_s32(out.add(4 * at)));
            }
            store(out, acc);
        }
    }
}

/// Adds one of eight columns of a panel times the entry of each token that meets it.
///
/// # Safety
/// NEON; `w` is the first of eight columns of 16 readable entries.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn column<const LANE: i32, const N: usize>(
    acc: &mut [[int32x4_t; 4]; N],
    w: *const i16,
    x: &[int16x8_t; N],
) {
    // SAFETY: two loads of 8 entries within the column.
    let (upper, lower) = unsafe {
        let w = w.add(LANE as usize * TILE);
        (vld1q_s16(w), vld1q_s16(w.add(8)))
    };
    for (acc, x) in acc.iter_mut().zip(x) {
        acc[0] = vmlal_laneq_s16::<LANE>(acc[0], vget_low_s16(upper), *x);
        acc[1] = vmlal_high_laneq_s16::<LANE>(acc[1], upper, *x);
        acc[2] = vmlal_laneq_s16::<LANE>(acc[2], vget_low_s16(lower), *x);
        acc[3] = vmlal_high_laneq_s16::<LANE>(acc[3], lower, *x);
    }
}

/// Widens 8-bit columns into the panel, times their multipliers.
///
/// # Safety
/// NEON; the tile has columns `first..first + columns`, whole groups of 64.
#[target_feature(enable = "neon")]
unsafe fn fill_8(panel: &mut Panel, q: &[u8], m: &[u8], first: usize, columns: usize) {
    // SAFETY: four columns are 64 bytes of the tile and 64 entries of the panel.
    unsafe {
        for quad in 0..columns / 4 {
            let at = first / 4 + quad;
            let m = vld1q_s8(m.as_ptr().add(at / 16 * TILE).cast());
            let w = vld4q_u8(q.as_ptr().add(at * STEP));
            let out = panel.as_mut_ptr().add(quad * STEP);
            for (column, w) in [w.0, w.1, w.2, w.3].into_iter().enumerate() {
                // A byte q + 128 with its first bit turned is q.
                let w = vreinterpretq_s8_u8(veorq_u8(w, vdupq_n_u8(128)));
                widen(w, m, out.add(column * TILE));
            }
        }
    }
}

/// Widens 4-bit columns into the panel, times their multipliers.
///
/// # Safety
/// NEON; the tile has columns `first..first + columns`, whole groups of 32.
#[target_feature(enable = "neon")]
unsafe fn fill_4(panel: &mut Panel, q: &[u8], m: &[u8], first: usize, columns: usize) {
    // SAFETY: eight columns are 64 bytes of the tile and 128 entries of the panel.
    unsafe {
        for octet in 0..columns / 8 {
            let at = first / 8 + octet;
            let m = vld1q_s8(m.as_ptr().add(at / 4 * TILE).cast());
            let w = vld4q_u8(q.as_ptr().add(at * STEP));
            let out = panel.as_mut_ptr().add(octet * 2 * STEP);
            for (column, w) in [w.0, w.1, w.2, w.3].into_iter().enumerate() {
                let low = vreinterpretq_s8_u8(vandq_u8(w, vdupq_n_u8(15)));
                let high = vreinterpretq_s8_u8(vshrq_n_u8::<4>(w));
                widen(vsubq_s8(low, vdupq_n_s8(8)), m, out.add(column * TILE));
                widen(vsubq_s8(high, vdupq_n_s8(8)), m, out.add((column + 4) * TILE));
            }
        }
    }
}

/// Writes one column of 16 rows times its multipliers.
///
/// # Safety
/// NEON; 16 writable entries.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn widen(w: int8x16_t, m: int8x16_t, out: *mut i16) {
    // SAFETY: two stores of 8 entries.
    unsafe {
        vst1q_s16(out, vmull_s8(vget_low_s8(w), vget_low_s8(m)));
        vst1q_s16(out.add(8), vmull_high_s8(w, m));
    }
}

/// Twin of [`scalar::dots`].
pub(super) fn dots(query: &[i16], keys: &[i16], out: &mut [i32]) {
    if query.len() % 8 != 0 {
        return scalar::dots(query, keys, out);
    }
    // SAFETY: the processor has NEON; the door checked that `keys` holds `out.len()` keys as long
    // as the query.
    unsafe { dots_by_8(query, keys, out) }
}

/// # Safety
/// NEON; `query.len()` is a multiple of 8 and `keys` holds `out.len()` keys of that length.
#[target_feature(enable = "neon")]
unsafe fn dots_by_8(query: &[i16], keys: &[i16], out: &mut [i32]) {
    let size = query.len();
    for (out, key) in out.iter_mut().zip(keys.chunks_exact(size)) {
        // SAFETY: `at + 8 <= size` for every step.
        unsafe {
            let mut acc = [vdupq_n_s32(0); 2];
            for at in (0..size).step_by(8) {
                let (q, k) = (vld1q_s16(query.as_ptr().add(at)), vld1q_s16(key.as_ptr().add(at)));
                acc[0] = vmlal_s16(acc[0], vget_low_s16(q), vget_low_s16(k));
                acc[1] = vmlal_high_s16(acc[1], q, k);
            }
            *out = vaddvq_s32(vaddq_s32(acc[0], acc[1]));
        }
    }
}

/// Twin of [`scalar::mix`].
pub(super) fn mix(powers: &[i16], values: &[i16], out: &mut [i64]) {
    let size = out.len();
    if size % 8 != 0 {
        return scalar::mix(powers, values, out);
    }
    for (powers, values) in powers.chunks(scalar::SPILL).zip(values.chunks(scalar::SPILL * size)) {
        // SAFETY: the processor has NEON; `values` holds a vector of `size` for each of at most 16
        // powers, and `size` is a multiple of 8.
        unsafe { mix_16(powers, values, out) }
    }
}

/// # Safety
/// NEON; at most 16 powers, `values` a vector of `out.len()`, a multiple of 8, for each.
#[target_feature(enable = "neon")]
unsafe fn mix_16(powers: &[i16], values: &[i16], out: &mut [i64]) {
    let size = out.len();
    for at in (0..size).step_by(8) {
        // SAFETY: every load reads 8 entries at `at` of a whole vector, and `out` has 8 at `at`.
        unsafe {
            let mut acc = [vdupq_n_s32(0); 2];
            for (position, power) in powers.iter().enumerate() {
                let v = vld1q_s16(values.as_ptr().add(position * size + at));
                acc[0] = vmlal_n_s16(acc[0], vget_low_s16(v), *power);
                acc[1] = vmlal_high_n_s16(acc[1], v, *power);
            }
            let out = out.as_mut_ptr().add(at);
            for (half, acc) in acc.into_iter().enumerate() {
                let out = out.add(4 * half);
                vst1q_s64(out, vaddw_s32(vld1q_s64(out), vget_low_s32(acc)));
                let out = out.add(2);
                vst1q_s64(out, vaddw_high_s32(vld1q_s64(out), acc));
            }
        }
    }
}
