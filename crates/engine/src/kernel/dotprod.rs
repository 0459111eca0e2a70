//! NEON with dot products of bytes: 4 rows to a register, four columns an instruction (`sdot`).
//!
//! Weights are signed bytes here, or 4-bit ones with their offset; activations come as their two
//! signed bytes. Nothing is widened: 64 columns of |q| <= 128 times a byte stay far below 2^31. The
//! instruction has no stable intrinsic yet, so it is written out.
#![allow(unsafe_code)]

use super::input::Input;
use super::neon::{STEP, add_scaled, store};
use super::packed::{Packed, TILE};
use crate::model::header::Profile;
use std::arch::aarch64::*;
use std::arch::asm;
use std::ops::Range;

/// Bytes of weights that stay in the first-level cache while all tokens meet them.
const PANEL: usize = 16 << 10;
/// Tokens that meet weights together: 16 accumulators and 8 totals of 32 registers.
const MICRO: usize = 2;

/// Twin of [`super::scalar::accumulate`]; the caller has checked all lengths.
pub(super) fn accumulate(packed: &Packed, tiles: Range<usize>, input: &Input<'_>, out: &mut [i32]) {
    let size = (input.tokens * TILE).max(1);
    for ((q, m), out) in packed.each(tiles).zip(out.chunks_exact_mut(size)) {
        // SAFETY: `Set::Dotprod` exists only where the processor has these instructions. The tile
        // holds `stride * TILE` weights and a multiplier for each row and group, the input `tokens`
        // times `stride` entries as bytes, with their sums, and `out` holds `tokens * TILE`: all
        // checked at the door, by `Packed` and by `Input`.
        unsafe {
            match packed.profile() {
                Profile::W8 => tile::<false>(q, m, input, out),
                Profile::W4 => tile::<true>(q, m, input, out),
            }
        }
    }
}

/// All tokens, panel by panel, accumulators carried in `out`.
///
/// # Safety
/// NEON with dot products; lengths as [`accumulate`] says.
#[target_feature(enable = "neon,dotprod")]
unsafe fn tile<const FOUR: bool>(q: &[u8], m: &[u8], input: &Input<'_>, out: &mut [i32]) {
    let groups = m.len() / TILE;
    let step = PANEL / (q.len() / groups);
    out.fill(0);
    for first in (0..groups).step_by(step) {
        let part = first..(first + step).min(groups);
        for (block, out) in out.chunks_mut(MICRO * TILE).enumerate() {
            // SAFETY: the groups are there, and so are as many tokens as `out` has blocks.
            unsafe {
                match out.len() / TILE {
                    1 => micro::<FOUR, 1>(q, m, part.clone(), input, block * MICRO, out),
                    _ => micro::<FOUR, MICRO>(q, m, part.clone(), input, block * MICRO, out),
                }
            }
        }
    }
}

/// Adds the products of some groups to the accumulators of N tokens.
///
/// # Safety
/// NEON with dot products; the tile has the groups, the input N tokens from `token` on, `out` 16
/// accumulators for each.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn micro<const FOUR: bool, const N: usize>(
    q: &[u8],
    m: &[u8],
    groups: Range<usize>,
    input: &Input<'_>,
    token: usize,
    out: &mut [i32],
) {
    // Pairs of quads of a group, and the bytes of a pair.
    let (pairs, bytes) = if FOUR { (4, STEP) } else { (8, 2 * STEP) };
    let mut totals = [[vdupq_n_s32(0); 4]; N];
    for group in groups {
        let mut acc = [[[vdupq_n_s32(0); 2]; 4]; N];
        for pair in group * pairs..(group + 1) * pairs {
            let mut x = [vdupq_n_s32(0); N];
            for (at, x) in x.iter_mut().enumerate() {
                let limbs = (token + at) * (input.stride / 4) + 2 * pair;
                // SAFETY: two quads of a token, two words each.
                *x = unsafe { vld1q_s32(input.limbs.as_ptr().add(limbs).cast()) };
            }
            for rows in 0..4 {
                // SAFETY: a pair of this group, a quarter of its rows.
                let [first, second] = unsafe { load::<FOUR>(q.as_ptr().add(pair * bytes), rows) };
                for (acc, x) in acc.iter_mut().zip(x) {
                    let [low, high] = &mut acc[rows];
                    *low = dot::<2>(dot::<0>(*low, first, x), second, x);
                    *high = dot::<3>(dot::<1>(*high, first, x), second, x);
                }
            }
        }
        for (at, (total, acc)) in totals.iter_mut().zip(acc).enumerate() {
            let sums = acc.map(|[low, high]| vaddq_s32(low, vshlq_n_s32::<8>(high)));
            let sum = (token + at) * (input.stride / 32) + group;
            let offset = if FOUR { 8 * input.sums[sum] } else { 0 };
            // SAFETY: the multipliers of this group.
            unsafe { add_scaled(total, sums, offset, m.as_ptr().add(group * TILE)) };
        }
    }
    for (mut total, out) in totals.into_iter().zip(out.chunks_exact_mut(TILE)) {
        for (total, out) in total.iter_mut().zip(out.chunks_exact(4)) {
            // SAFETY: a load of four accumulators.
            *total = vaddq_s32(*total, unsafe { vld1q_s32(out.as_ptr()) });
        }
        // SAFETY: 16 accumulators.
        unsafe { store(out.as_mut_ptr(), total) };
    }
}

/// Two quads of four rows: signed weights, or 4-bit ones plus 8.
///
/// # Safety
/// NEON; `q` begins a pair of quads, of which there are all rows.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn load<const FOUR: bool>(q: *const u8, rows: usize) -> [int8x16_t; 2] {
    // SAFETY: loads of 16 bytes within the one or two steps of the pair.
    unsafe {
        let first = vld1q_u8(q.add(16 * rows));
        let both = if FOUR {
            [vandq_u8(first, vdupq_n_u8(15)), vshrq_n_u8::<4>(first)]
        } else {
            // A byte q + 128 with its first bit turned is q.
            let second = vld1q_u8(q.add(STEP + 16 * rows));
            [veorq_u8(first, vdupq_n_u8(128)), veorq_u8(second, vdupq_n_u8(128))]
        };
        both.map(|w| vreinterpretq_s8_u8(w))
    }
}

/// Adds four columns of four rows times the four signed bytes of a lane.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot<const LANE: i32>(acc: int32x4_t, w: int8x16_t, x: int32x4_t) -> int32x4_t {
    let mut sum = acc;
    // SAFETY: an instruction between registers that this function's processors have.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {w:v}.16b, {x:v}.4b[{lane}]",
            sum = inout(vreg) sum,
            w = in(vreg) w,
            x = in(vreg) x,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}
