//! Activations laid out for kernels, once for all matrices that read them.
//!
//! Rows as they are; for kernels that multiply bytes, and for one token, also the sum of every 32
//! columns and both bytes of each entry as signed numbers: `x = 256 high + low`. By the L2 rule
//! |x| < 2^14.6, so `high` fits. For the widest kernels several tokens lie in blocks of up to 16, a
//! pair of columns of each side by side.

use std::ops::Range;

/// Columns of one sum.
pub(super) const SUM_COLUMNS: usize = 32;
/// Tokens of a block.
pub(super) const BLOCK: usize = 16;
/// Blocks are padded with zero tokens to a multiple of this.
const STEP: usize = 4;
/// The largest |x| that a kernel takes: above what the L2 rule lets pass, below what two signed
/// bytes can split.
pub const ENTRY_MAX: i16 = 32_639;

/// What every kernel may want of the activations of a chunk.
#[derive(Debug)]
pub struct Input<'a> {
    pub(super) stride: usize,
    pub(super) tokens: usize,
    /// `[token][column]`.
    pub(super) x: &'a [i16],
    /// `[token][column / 32]`.
    pub(super) sums: Vec<i32>,
    /// `[token][quad][low, high]`, four signed bytes each.
    pub(super) limbs: Vec<[i32; 2]>,
    /// `[block][pair][token]`, two columns each.
    pub(super) pairs: &'a [i32],
}

impl<'a> Input<'a> {
    /// Only what is the same for every kernel.
    ///
    /// # Panics
    /// When `x` does not hold whole tokens of `stride`, a multiple of 64.
    pub(super) fn plain(x: &'a [i16], stride: usize) -> Self {
        assert!(stride % 64 == 0 && stride > 0 && x.len() % stride == 0, "whole padded tokens");
        let tokens = x.len() / stride;
        Self { stride, tokens, x, sums: vec![], limbs: vec![], pairs: &[] }
    }

    /// Adds sums and bytes.
    pub(super) fn with_limbs(mut self) -> Self {
        debug_assert!(self.x.iter().all(|x| x.unsigned_abs() <= ENTRY_MAX.unsigned_abs()));
        let sum = |x: &[i16]| x.iter().map(|x| i32::from(*x)).sum();
        self.sums = self.x.chunks_exact(SUM_COLUMNS).map(sum).collect();
        let split = |x: &[i16]| {
            let low = [0, 1, 2, 3].map(|at| x[at] as u8);
            let high = [0, 1, 2, 3].map(|at| (x[at].wrapping_sub((x[at] as i8).into()) >> 8) as u8);
            [i32::from_le_bytes(low), i32::from_le_bytes(high)]
        };
        self.limbs = self.x.chunks_exact(4).map(split).collect();
        self
    }

    /// Entries of all blocks.
    pub(super) fn block_entries(tokens: usize, stride: usize) -> usize {
        tokens.next_multiple_of(STEP) * (stride / 2)
    }

    /// Adds blocks, written to `memory`.
    pub(super) fn with_blocks(mut self, memory: &'a mut [i32]) -> Self {
        let pairs = self.stride / 2;
        if self.tokens % STEP > 0 {
            memory.fill(0);
        }
        for token in 0..self.tokens {
            let (tokens, start) = (self.block(token / BLOCK), token / BLOCK * BLOCK * pairs);
            let width = tokens.len().next_multiple_of(STEP);
            let x = &self.x[token * self.stride..(token + 1) * self.stride];
            let out = memory[start..].chunks_exact_mut(width);
            for (out, x) in out.zip(x.chunks_exact(2)) {
                out[token - tokens.start] =
                    i32::from(x[0]) & 0xFFFF | i32::from(x[1]).wrapping_shl(16);
            }
        }
        self.pairs = memory;
        self
    }

    /// The tokens of a block.
    pub(super) fn block(&self, block: usize) -> Range<usize> {
        block * BLOCK..((block + 1) * BLOCK).min(self.tokens)
    }

    /// Blocks of tokens.
    pub(super) fn blocks(&self) -> usize {
        self.tokens.div_ceil(BLOCK)
    }
}
