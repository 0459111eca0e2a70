//! Weights laid out for kernels: tiles of 16 rows, column pairs side by side, one stream.
//!
//! `W8`: `q[tile][pair][row][2]` as bytes. `W4`: `q[tile][pair][row]`, a byte with `q + 8` of the
//! even column in its low half and of the odd one in its high half. `m[tile][group][row]`. Rows and
//! columns are padded with zeros to whole tiles and groups of 64. This is a local cache: it enters
//! no digest.

use crate::model::header::Profile;
use crate::model::matrix::Matrix;

/// Rows of a tile.
pub const TILE: usize = 16;
/// Columns are padded to a multiple of this.
const COLUMN_BLOCK: usize = 64;

/// A packed matrix, without row scales.
#[derive(Debug)]
pub struct Packed {
    profile: Profile,
    rows: usize,
    stride: usize,
    q: Vec<u8>,
    m: Vec<i8>,
}

impl Packed {
    /// Packs a matrix.
    #[must_use]
    pub fn new(matrix: &Matrix) -> Self {
        let stride = matrix.columns.next_multiple_of(COLUMN_BLOCK);
        let profile = matrix.profile;
        let tiles = matrix.rows.div_ceil(TILE);
        let zero = if profile == Profile::W8 { 0 } else { 0x88 };
        let mut packed = Self {
            profile,
            rows: matrix.rows,
            stride,
            q: vec![zero; tiles * Self::tile_bytes(profile, stride)],
            m: vec![0; tiles * TILE * (stride / profile.group())],
        };
        (0..matrix.rows).for_each(|row| packed.place(matrix, row));
        packed
    }

    fn place(&mut self, matrix: &Matrix, row: usize) {
        let (tile, lane) = (row / TILE, row % TILE);
        let base = tile * Self::tile_bytes(self.profile, self.stride);
        let q = &matrix.q[row * matrix.columns..(row + 1) * matrix.columns];
        for (pair, q) in q.chunks(2).enumerate() {
            let second = q.get(1).copied().unwrap_or(0);
            if self.profile == Profile::W8 {
                let at = base + (pair * TILE + lane) * 2;
                self.q[at] = q[0] as u8;
                self.q[at + 1] = second as u8;
            } else {
                let [low, high] = [q[0], second].map(|q| (q + 8) as u8);
                self.q[base + pair * TILE + lane] = low | high << 4;
            }
        }
        let groups = matrix.groups();
        let padded = self.stride / self.profile.group();
        for (group, m) in matrix.m[row * groups..(row + 1) * groups].iter().enumerate() {
            self.m[(tile * padded + group) * TILE + lane] = *m;
        }
    }

    fn tile_bytes(profile: Profile, stride: usize) -> usize {
        if profile == Profile::W8 { stride * TILE } else { stride * TILE / 2 }
    }

    /// 8 or 4 bits.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Outputs.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs, padded.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Tiles of 16 rows, the last one padded.
    #[must_use]
    pub fn tiles(&self) -> usize {
        self.rows.div_ceil(TILE)
    }

    /// `q` of one tile.
    #[must_use]
    pub fn tile(&self, tile: usize) -> &[u8] {
        let bytes = Self::tile_bytes(self.profile, self.stride);
        &self.q[tile * bytes..(tile + 1) * bytes]
    }

    /// `m` of one tile.
    #[must_use]
    pub fn groups(&self, tile: usize) -> &[i8] {
        let length = self.stride / self.profile.group() * TILE;
        &self.m[tile * length..(tile + 1) * length]
    }

    /// The effective weights of one row, as many as `out` is long.
    pub fn row(&self, row: usize, out: &mut [i32]) {
        let (tile, lane) = (self.tile(row / TILE), row % TILE);
        let groups = self.groups(row / TILE);
        for (column, out) in out.iter_mut().enumerate() {
            let m = groups[column / self.profile.group() * TILE + lane];
            *out = i32::from(self.q_at(tile, column, lane)) * i32::from(m);
        }
    }

    fn q_at(&self, tile: &[u8], column: usize, lane: usize) -> i8 {
        let at = column / 2 * TILE + lane;
        match self.profile {
            Profile::W8 => tile[2 * at + column % 2] as i8,
            Profile::W4 => ((tile[at] >> (4 * (column % 2))) & 15) as i8 - 8,
        }
    }
}
