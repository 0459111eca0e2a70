//! The plain twins: safe code for any machine, and the measure of every other kernel.

use super::packed::{Packed, TILE};
use crate::model::header::Profile;
use std::ops::Range;

/// Twin of [`super::Kernels::accumulate`].
pub(super) fn accumulate(packed: &Packed, tiles: Range<usize>, x: &[i16], out: &mut [i32]) {
    let stride = packed.stride();
    let mut blocks = out.chunks_exact_mut(TILE);
    for tile in tiles {
        let (q, m) = (packed.tile(tile), packed.groups(tile));
        for x in x.chunks_exact(stride) {
            let acc = match packed.profile() {
                Profile::W8 => tile_8(q, m, x),
                Profile::W4 => tile_4(q, m, x),
            };
            blocks.next().expect("a block for every tile and token").copy_from_slice(&acc);
        }
    }
}

fn tile_8(q: &[u8], m: &[i8], x: &[i16]) -> [i32; TILE] {
    let mut total = [0i32; TILE];
    let groups = q.chunks_exact(64 * TILE).zip(x.chunks_exact(64)).zip(m.chunks_exact(TILE));
    for ((q, x), m) in groups {
        let mut acc = [0i32; TILE];
        for (q, x) in q.chunks_exact(2 * TILE).zip(x.chunks_exact(2)) {
            let (first, second) = (i32::from(x[0]), i32::from(x[1]));
            for (acc, q) in acc.iter_mut().zip(q.chunks_exact(2)) {
                let pair = i32::from(q[0] as i8) * first + i32::from(q[1] as i8) * second;
                *acc = acc.wrapping_add(pair);
            }
        }
        add_scaled(&mut total, &acc, m);
    }
    total
}

fn tile_4(q: &[u8], m: &[i8], x: &[i16]) -> [i32; TILE] {
    let mut total = [0i32; TILE];
    let groups = q.chunks_exact(16 * TILE).zip(x.chunks_exact(32)).zip(m.chunks_exact(TILE));
    for ((q, x), m) in groups {
        let mut acc = [0i32; TILE];
        for (q, x) in q.chunks_exact(TILE).zip(x.chunks_exact(2)) {
            let (first, second) = (i32::from(x[0]), i32::from(x[1]));
            for (acc, q) in acc.iter_mut().zip(q) {
                let (low, high) = (i32::from(q & 15) - 8, i32::from(q >> 4) - 8);
                *acc = acc.wrapping_add(low * first + high * second);
            }
        }
        add_scaled(&mut total, &acc, m);
    }
    total
}

fn add_scaled(total: &mut [i32; TILE], acc: &[i32; TILE], m: &[i8]) {
    for ((total, acc), m) in total.iter_mut().zip(acc).zip(m) {
        *total = total.wrapping_add(acc.wrapping_mul(i32::from(*m)));
    }
}

/// Twin of [`super::Kernels::dots`].
pub(super) fn dots(query: &[i16], keys: &[i16], out: &mut [i32]) {
    for (out, key) in out.iter_mut().zip(keys.chunks_exact(query.len())) {
        let products = query.iter().zip(key).map(|(q, k)| i32::from(*q) * i32::from(*k));
        *out = products.fold(0, i32::wrapping_add);
    }
}

/// Positions whose products surely fit 32 bits together: 16 * 32767 * 4095 < 2^31.
pub(super) const SPILL: usize = 16;

/// Twin of [`super::Kernels::mix`].
pub(super) fn mix(powers: &[i16], values: &[i16], out: &mut [i64]) {
    let size = out.len();
    let mut acc = vec![0i32; size];
    for (powers, values) in powers.chunks(SPILL).zip(values.chunks(SPILL * size)) {
        acc.fill(0);
        for (p, values) in powers.iter().zip(values.chunks_exact(size)) {
            for (acc, v) in acc.iter_mut().zip(values) {
                *acc = acc.wrapping_add(i32::from(*p) * i32::from(*v));
            }
        }
        for (out, acc) in out.iter_mut().zip(&acc) {
            *out += i64::from(*acc);
        }
    }
}
