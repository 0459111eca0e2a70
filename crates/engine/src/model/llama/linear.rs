//! Linear layers over a chunk of tokens: accumulators from a kernel, scaled in place.

use super::spare::{Lent, Spare};
use crate::fixed::narrow;
use crate::kernel::{Kernels, Packed, TILE};
use crate::model::matrix::Matrix;
use crate::op::linear::{BIAS_BITS, scale_biased};
use crate::pool::Pool;
use crate::split;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which tokens of a chunk trapped. Only the first one counts; what comes after it is void.
#[derive(Debug)]
pub(crate) struct Traps(Vec<AtomicBool>);

impl Traps {
    pub(crate) fn new(tokens: usize) -> Self {
        Self((0..tokens).map(|_| AtomicBool::new(false)).collect())
    }

    pub(crate) fn set(&self, token: usize) {
        self.0[token].store(true, Ordering::Relaxed);
    }

    /// Whether this token trapped.
    pub(crate) fn at(&self, token: usize) -> bool {
        self.0[token].load(Ordering::Relaxed)
    }
}

/// A packed matrix with its rows' scales as the model has them.
#[derive(Debug)]
pub(crate) struct Weights {
    pub(crate) packed: Arc<Packed>,
    pub(crate) multiplier: Vec<u16>,
    pub(crate) exponent: Vec<u8>,
}

impl Weights {
    /// Packs a matrix.
    pub(crate) fn of(matrix: Matrix) -> Self {
        let packed = Arc::new(Packed::new(&matrix));
        Self { packed, multiplier: matrix.multiplier, exponent: matrix.exponent }
    }
}

/// A packed matrix with its rows' scales.
#[derive(Debug)]
pub(crate) struct Linear {
    pub(crate) packed: Arc<Packed>,
    /// `M` of each row, zeros behind the last one.
    pub(crate) multiplier: Vec<[u16; TILE]>,
    /// `S = C + input - output` of each row, zeros behind the last one.
    pub(crate) shift: Vec<[u8; TILE]>,
    /// Of each row, or empty.
    pub(crate) bias: Vec<i32>,
}

/// Activations of a chunk: `x * 2^t` for every token.
#[derive(Debug)]
pub(crate) struct Activations<'a> {
    stride: usize,
    x: Lent<'a, i16>,
    exponent: Vec<u32>,
}

impl<'a> Activations<'a> {
    /// `tokens` vectors of `width`, to be written, padded with zeros for the kernels.
    pub(crate) fn new(tokens: usize, width: usize, spare: &'a Spare) -> Self {
        let stride = width.next_multiple_of(64);
        let mut x = spare.take(tokens * stride);
        if stride > width {
            x.fill(0);
        }
        Self { stride, x, exponent: vec![0; tokens] }
    }

    /// Every token's vector and exponent, to be written.
    pub(crate) fn rows(&mut self) -> impl Iterator<Item = (&mut [i16], &mut u32)> {
        self.x.chunks_exact_mut(self.stride).zip(&mut self.exponent)
    }
}

/// Outputs of some matrices over a chunk, `[tile][token][TILE]`.
#[derive(Debug)]
pub(crate) struct Outputs<'a> {
    tokens: usize,
    values: Lent<'a, i32>,
}

impl Outputs<'_> {
    /// Copies one token's rows from `first_tile` on.
    pub(crate) fn copy(&self, first_tile: usize, token: usize, out: &mut [i32]) {
        let tiles = self.values[first_tile * self.tokens * TILE..].chunks_exact(self.tokens * TILE);
        for (out, tile) in out.chunks_mut(TILE).zip(tiles) {
            let rows = &tile[token * TILE..(token + 1) * TILE];
            match <&mut [i32; TILE]>::try_from(&mut *out) {
                // A length that the compiler knows: no call for 64 bytes.
                Ok(whole) => whole.copy_from_slice(rows),
                Err(_) => out.copy_from_slice(&rows[..out.len()]),
            }
        }
    }
}

/// One tile's work.
struct Piece<'a> {
    linear: &'a Linear,
    tiles: Range<usize>,
    out: &'a mut [i32],
}

impl Linear {
    /// Scales for outputs; `offset` gives `input - output` of a row, proven to keep the shift in
    /// range.
    pub(crate) fn new(weights: Weights, offset: impl Fn(usize) -> i32) -> Self {
        let Weights { packed, multiplier, exponent } = weights;
        let shift = |(row, c): (usize, &u8)| (i32::from(*c) + offset(row)).clamp(0, 62) as u8;
        let shift: Vec<u8> = exponent.iter().enumerate().map(shift).collect();
        let (multiplier, shift) = (by_tile(&multiplier), by_tile(&shift));
        Self { packed, multiplier, shift, bias: Vec::new() }
    }

    /// The same with a bias for each row, or none.
    pub(crate) fn with_bias(self, bias: Vec<i32>) -> Self {
        Self { bias, ..self }
    }

    pub(crate) fn tiles(&self) -> usize {
        self.packed.tiles()
    }
}

/// Numbers of rows, by tiles of them.
fn by_tile<T: Copy + Default>(rows: &[T]) -> Vec<[T; TILE]> {
    let tile = |rows: &[T]| {
        let mut tile = [T::default(); TILE];
        tile[..rows.len()].copy_from_slice(rows);
        tile
    };
    rows.chunks(TILE).map(tile).collect()
}

/// Runs matrices over the same activations. An output outside 32 bits traps its token.
// spec: ENGINE-3.6
pub(crate) fn run<'a>(
    kernels: Kernels,
    pool: &dyn Pool,
    matrices: &[&Linear],
    input: &Activations<'_>,
    traps: &Traps,
    spare: &'a Spare,
) -> Outputs<'a> {
    let tokens = input.exponent.len();
    let tiles: usize = matrices.iter().map(|linear| linear.tiles()).sum();
    let mut values = spare.take(tiles * tokens * TILE);
    let grain = split::grain(pool, tiles, TILE * input.stride * tokens);
    let mut pieces = pieces(matrices, tokens, grain, &mut values);
    let mut memory = spare.take(kernels.input_entries(tokens, input.stride));
    let laid_out = kernels.input(&input.x, input.stride, &mut memory);
    split::each(pool, &mut pieces, 1, &|piece: &mut Piece<'_>| {
        let Piece { linear, tiles, out } = piece;
        kernels.accumulate(&linear.packed, tiles.clone(), &laid_out, out);
        for (tile, out) in tiles.clone().zip(out.chunks_exact_mut(tokens * TILE)) {
            if !linear.bias.is_empty() {
                scale_biased_tile(linear, tile, &input.exponent, out, traps);
                continue;
            }
            let (multiplier, shift) = (&linear.multiplier[tile], &linear.shift[tile]);
            let trap = |token| traps.set(token);
            kernels.scale(out, multiplier, shift, &input.exponent, &trap);
        }
    });
    Outputs { tokens, values }
}

/// Cuts the outputs into runs of at most `grain` tiles of one matrix.
fn pieces<'a>(
    matrices: &[&'a Linear],
    tokens: usize,
    grain: usize,
    mut values: &'a mut [i32],
) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    for &linear in matrices {
        for first in (0..linear.tiles()).step_by(grain) {
            let tiles = first..(first + grain).min(linear.tiles());
            let (out, rest) = values.split_at_mut(tiles.len() * tokens * TILE);
            values = rest;
            pieces.push(Piece { linear, tiles, out });
        }
    }
    pieces
}

// spec: ENGINE-3.8
fn scale_biased_tile(
    linear: &Linear,
    tile: usize,
    exponents: &[u32],
    out: &mut [i32],
    traps: &Traps,
) {
    let rows = tile * TILE..((tile + 1) * TILE).min(linear.bias.len());
    let (multipliers, shifts) = (&linear.multiplier[tile], &linear.shift[tile]);
    for (token, out) in out.chunks_exact_mut(TILE).enumerate() {
        for (out, row) in out.iter_mut().zip(rows.clone()) {
            // Only a token that has trapped has an exponent beyond the proven one.
            let shift = u32::from(shifts[row % TILE]).saturating_sub(exponents[token]);
            let shift = shift.max(BIAS_BITS);
            let y = scale_biased(*out, multipliers[row % TILE], shift, linear.bias[row]);
            *out = narrow(y).unwrap_or_else(|_| {
                traps.set(token);
                0
            });
        }
    }
}
