//! Linear layers over a chunk of tokens: accumulators from a kernel, scaled in place.

use crate::fixed::narrow;
use crate::kernel::{Kernels, Packed, TILE};
use crate::model::matrix::Matrix;
use crate::op::linear::{BIAS_BITS, scale, scale_biased};
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

    /// The first token that trapped.
    pub(crate) fn first(&self) -> Option<usize> {
        self.0.iter().position(|trap| trap.load(Ordering::Relaxed))
    }
}

/// A packed matrix with its rows' scales.
#[derive(Debug)]
pub(crate) struct Linear {
    pub(crate) packed: Arc<Packed>,
    pub(crate) multiplier: Vec<u16>,
    /// `S = C + input - output` of each row.
    pub(crate) shift: Vec<u8>,
    /// Of each row, or empty.
    pub(crate) bias: Vec<i32>,
}

/// Activations of a chunk: `x * 2^t` for every token.
#[derive(Debug)]
pub(crate) struct Activations {
    stride: usize,
    x: Vec<i16>,
    exponent: Vec<u32>,
}

impl Activations {
    /// Zeros for `tokens` vectors of `width`, padded for the kernels.
    pub(crate) fn new(tokens: usize, width: usize) -> Self {
        let stride = width.next_multiple_of(64);
        Self { stride, x: vec![0; tokens * stride], exponent: vec![0; tokens] }
    }

    /// Every token's vector and exponent, to be written.
    pub(crate) fn rows(&mut self) -> impl Iterator<Item = (&mut [i16], &mut u32)> {
        self.x.chunks_exact_mut(self.stride).zip(&mut self.exponent)
    }
}

/// Outputs of some matrices over a chunk, `[tile][token][TILE]`.
#[derive(Debug)]
pub(crate) struct Outputs {
    tokens: usize,
    values: Vec<i32>,
}

impl Outputs {
    /// Copies one token's rows from `first_tile` on.
    pub(crate) fn copy(&self, first_tile: usize, token: usize, out: &mut [i32]) {
        for (tile, out) in out.chunks_mut(TILE).enumerate() {
            let at = ((first_tile + tile) * self.tokens + token) * TILE;
            out.copy_from_slice(&self.values[at..at + out.len()]);
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
    /// Packs a matrix; `offset` gives `input - output` of a row, proven to keep the shift in range.
    pub(crate) fn new(matrix: &Matrix, offset: impl Fn(usize) -> i32) -> Self {
        let shift = |(row, c): (usize, &u8)| (i32::from(*c) + offset(row)) as u8;
        Self {
            packed: Arc::new(Packed::new(matrix)),
            multiplier: matrix.multiplier.clone(),
            shift: matrix.exponent.iter().enumerate().map(shift).collect(),
            bias: Vec::new(),
        }
    }

    /// The same with a bias for each row, or none.
    pub(crate) fn with_bias(self, bias: Vec<i32>) -> Self {
        Self { bias, ..self }
    }

    pub(crate) fn tiles(&self) -> usize {
        self.packed.tiles()
    }
}

/// Runs matrices over the same activations. An output outside 32 bits traps its token.
// spec: ENGINE-3.6
pub(crate) fn run(
    kernels: Kernels,
    pool: &dyn Pool,
    matrices: &[&Linear],
    input: &Activations,
    traps: &Traps,
) -> Outputs {
    let tokens = input.exponent.len();
    let tiles: usize = matrices.iter().map(|linear| linear.tiles()).sum();
    let mut values = vec![0i32; tiles * tokens * TILE];
    let grain = split::grain(pool, tiles, TILE * input.stride * tokens);
    let mut pieces = pieces(matrices, tokens, grain, &mut values);
    let laid_out = kernels.input(&input.x, input.stride);
    split::each(pool, &mut pieces, 1, &|piece: &mut Piece<'_>| {
        let Piece { linear, tiles, out } = piece;
        kernels.accumulate(&linear.packed, tiles.clone(), &laid_out, out);
        for (tile, out) in tiles.clone().zip(out.chunks_exact_mut(tokens * TILE)) {
            scale_tile(linear, tile, &input.exponent, out, traps);
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

fn scale_tile(linear: &Linear, tile: usize, exponents: &[u32], out: &mut [i32], traps: &Traps) {
    if !linear.bias.is_empty() {
        return scale_biased_tile(linear, tile, exponents, out, traps);
    }
    let rows = tile * TILE..((tile + 1) * TILE).min(linear.shift.len());
    let (multiplier, shift) = (&linear.multiplier[rows.clone()], &linear.shift[rows]);
    for (token, out) in out.chunks_exact_mut(TILE).enumerate() {
        let exponent = exponents[token];
        let mut fits = true;
        for ((out, m), s) in out.iter_mut().zip(multiplier).zip(shift) {
            // An exponent above the proven one belongs to a token that has trapped before.
            let y = scale(*out, *m, u32::from(*s).saturating_sub(exponent));
            *out = narrow(y).unwrap_or_else(|_| {
                fits = false;
                0
            });
        }
        if !fits {
            traps.set(token);
        }
    }
}

// spec: ENGINE-3.8
fn scale_biased_tile(
    linear: &Linear,
    tile: usize,
    exponents: &[u32],
    out: &mut [i32],
    traps: &Traps,
) {
    let rows = tile * TILE..((tile + 1) * TILE).min(linear.shift.len());
    for (token, out) in out.chunks_exact_mut(TILE).enumerate() {
        for (out, row) in out.iter_mut().zip(rows.clone()) {
            // As above: only a token that has trapped has an exponent beyond the proven one.
            let shift = u32::from(linear.shift[row]).saturating_sub(exponents[token]);
            let shift = shift.max(BIAS_BITS);
            let y = scale_biased(*out, linear.multiplier[row], shift, linear.bias[row]);
            *out = narrow(y).unwrap_or_else(|_| {
                traps.set(token);
                0
            });
        }
    }
}
