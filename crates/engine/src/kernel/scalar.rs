//! The plain twins: safe code for any machine, and the measure of every other kernel.

use super::input::Input;
use super::packed::{Packed, TILE};
use crate::model::header::Profile;
use std::ops::Range;

/// Twin of [`super::Kernels::accumulate`].
pub(super) fn accumulate(packed: &Packed, tiles: Range<usize>, input: &Input<'_>, out: &mut [i32]) {
    let mut blocks = out.chunks_exact_mut(TILE);
    for (q, m) in packed.each(tiles) {
        for x in input.x.chunks_exact(input.stride) {
            let acc = match packed.profile() {
                Profile::W8 => tile_8(q, m, x),
                Profile::W4 => tile_4(q, m, x),
            };
            blocks.next().expect("a block for every tile and token").copy_from_slice(&acc);
        }
    }
}

fn tile_8(q: &[u8], m: &[u8], x: &[i16]) -> [i32; TILE] {
    let mut total = [0i32; TILE];
    let groups = q.chunks_exact(64 * TILE).zip(x.chunks_exact(64)).zip(m.chunks_exact(TILE));
    for ((q, x), m) in groups {
        let mut acc = [0i32; TILE];
        for (q, x) in q.chunks_exact(4 * TILE).zip(x.chunks_exact(4)) {
            for (acc, q) in acc.iter_mut().zip(q.chunks_exact(4)) {
                let products = q.iter().zip(x).map(|(q, x)| (i32::from(*q) - 128) * i32::from(*x));
                *acc = products.fold(*acc, i32::wrapping_add);
            }
        }
        add_scaled(&mut total, &acc, m);
    }
    total
}

fn tile_4(q: &[u8], m: &[u8], x: &[i16]) -> [i32; TILE] {
    let mut total = [0i32; TILE];
    let groups = q.chunks_exact(16 * TILE).zip(x.chunks_exact(32)).zip(m.chunks_exact(TILE));
    for ((q, x), m) in groups {
        let mut acc = [0i32; TILE];
        for (q, x) in q.chunks_exact(4 * TILE).zip(x.chunks_exact(8)) {
            let (first, second) = x.split_at(4);
            for (acc, q) in acc.iter_mut().zip(q.chunks_exact(4)) {
                for ((q, first), second) in q.iter().zip(first).zip(second) {
                    let low = (i32::from(q & 15) - 8) * i32::from(*first);
                    let high = (i32::from(q >> 4) - 8) * i32::from(*second);
                    *acc = acc.wrapping_add(low + high);
                }
            }
        }
        add_scaled(&mut total, &acc, m);
    }
    total
}

fn add_scaled(total: &mut [i32; TILE], acc: &[i32; TILE], m: &[u8]) {
    for ((total, acc), m) in total.iter_mut().zip(acc).zip(m) {
        *total = total.wrapping_add(acc.wrapping_mul(i32::from(*m as i8)));
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
