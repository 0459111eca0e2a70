//! Weights laid out for kernels: tiles of 16 rows, four columns of a row side by side, one stream.
//!
//! ```text
//! tile   m[group][row]  zero-padded to 64 bytes, then q
//! q, W8  [quad][row][4]         a byte q + 128
//! q, W4  [octet][row][4]        a byte: q + 8 of column c in the low half, of c + 4 in the other
//! ```
//!
//! A step of 64 bytes is 16 rows: what the widest registers hold. Weights carry an offset that
//! makes them unsigned; a kernel takes `offset * sum x` away once a group. Rows and columns are
//! padded with zeros to whole tiles and groups of 64. This is a local cache: it enters no digest.

use crate::model::header::Profile;
use crate::model::matrix::Matrix;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Rows of a tile.
pub const TILE: usize = 16;
/// Columns are padded to a multiple of this.
const COLUMN_BLOCK: usize = 64;
/// Tiles, and their weights, begin at multiples of this where their bytes do.
pub const ALIGNMENT: usize = 64;
/// Grows whenever a byte of the layout means something else.
pub const LAYOUT_VERSION: u32 = 1;

/// Bytes that somebody keeps: a buffer of ours, or a file that a machine has mapped.
pub type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// What determines the layout of a packed matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// 8 or 4 bits.
    pub profile: Profile,
    /// Outputs.
    pub rows: usize,
    /// Inputs, padded.
    pub stride: usize,
}

impl Layout {
    /// The layout of a matrix of `rows` outputs and `columns` inputs.
    #[must_use]
    pub fn new(profile: Profile, rows: usize, columns: usize) -> Self {
        Self { profile, rows, stride: columns.next_multiple_of(COLUMN_BLOCK) }
    }

    /// Tiles of 16 rows, the last one padded.
    #[must_use]
    pub fn tiles(self) -> usize {
        self.rows.div_ceil(TILE)
    }

    /// Bytes of the whole matrix.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.tiles() * self.tile_bytes()
    }

    fn group_bytes(self) -> usize {
        self.stride / self.profile.group() * TILE
    }

    /// Where the weights of a tile begin.
    fn q_start(self) -> usize {
        self.group_bytes().next_multiple_of(ALIGNMENT)
    }

    fn tile_bytes(self) -> usize {
        let q = self.stride * TILE;
        self.q_start() + if self.profile == Profile::W8 { q } else { q / 2 }
    }

    /// Where a weight lies in the weights of its tile, and by how many bits it is shifted there.
    fn place(self, column: usize, lane: usize) -> (usize, u32) {
        match self.profile {
            Profile::W8 => (column / 4 * 4 * TILE + lane * 4 + column % 4, 0),
            Profile::W4 => {
                (column / 8 * 4 * TILE + lane * 4 + column % 4, 4 * (column as u32 / 4 % 2))
            }
        }
    }

    /// Appends one tile of a matrix.
    ///
    /// # Panics
    /// When the matrix has another layout.
    pub fn pack(self, matrix: &Matrix, tile: usize, out: &mut Vec<u8>) {
        assert_eq!(self, Self::new(matrix.profile, matrix.rows, matrix.columns));
        let start = out.len();
        out.resize(start + self.q_start(), 0);
        out.resize(start + self.tile_bytes(), if self.profile == Profile::W8 { 128 } else { 0x88 });
        let (m, q) = out[start..].split_at_mut(self.q_start());
        for row in tile * TILE..((tile + 1) * TILE).min(self.rows) {
            self.pack_row(matrix, row, m, q);
        }
    }

    fn pack_row(self, matrix: &Matrix, row: usize, m_out: &mut [u8], q_out: &mut [u8]) {
        let lane = row % TILE;
        let (q, m) = (&matrix.q[row * matrix.columns..], &matrix.m[row * matrix.groups()..]);
        for (out, m) in m_out.chunks_exact_mut(TILE).zip(&m[..matrix.groups()]) {
            out[lane] = *m as u8;
        }
        for (column, q) in q[..matrix.columns].iter().enumerate() {
            let (at, shift) = self.place(column, lane);
            // The byte holds the offset of a zero weight; adding moves it to this weight's.
            q_out[at] = q_out[at].wrapping_add((*q as u8) << shift);
        }
    }
}

/// A packed matrix, without row scales.
#[derive(Clone)]
pub struct Packed {
    layout: Layout,
    bytes: Bytes,
    at: usize,
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed").field("layout", &self.layout).field("at", &self.at).finish()
    }
}

impl Packed {
    /// Packs a matrix into a buffer of its own.
    #[must_use]
    pub fn new(matrix: &Matrix) -> Self {
        let layout = Layout::new(matrix.profile, matrix.rows, matrix.columns);
        let mut bytes = Vec::with_capacity(layout.bytes());
        (0..layout.tiles()).for_each(|tile| layout.pack(matrix, tile, &mut bytes));
        Self { layout, bytes: Arc::new(bytes), at: 0 }
    }

    /// A matrix that lies in `bytes` from `at` on; `None` when they end before it does.
    #[must_use]
    pub fn within(layout: Layout, bytes: Bytes, at: usize) -> Option<Self> {
        let end = at.checked_add(layout.bytes())?;
        ((*bytes).as_ref().len() >= end).then_some(Self { layout, bytes, at })
    }

    /// 8 or 4 bits.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.layout.profile
    }

    /// Outputs.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    /// Inputs, padded.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.layout.stride
    }

    /// Tiles of 16 rows, the last one padded.
    #[must_use]
    pub fn tiles(&self) -> usize {
        self.layout.tiles()
    }

    /// `q` and `m` of some neighbouring tiles, one after the other.
    pub fn each(&self, tiles: Range<usize>) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (size, layout) = (self.layout.tile_bytes(), self.layout);
        let all = &(*self.bytes).as_ref()[self.at..self.at + layout.bytes()];
        all[tiles.start * size..tiles.end * size]
            .chunks_exact(size)
            .map(move |tile| (&tile[layout.q_start()..], &tile[..layout.group_bytes()]))
    }

    /// The effective weights of one row, as many as `out` is long.
    pub fn row(&self, row: usize, out: &mut [i32]) {
        let (tile, lane) = (row / TILE, row % TILE);
        let (q, m) = self.each(tile..tile + 1).next().expect("a row of the matrix");
        let (mask, offset) = if self.profile() == Profile::W8 { (255, 128) } else { (15, 8) };
        for (column, out) in out.iter_mut().enumerate() {
            let (at, shift) = self.layout.place(column, lane);
            let m = m[column / self.profile().group() * TILE + lane] as i8;
            *out = (i32::from(q[at] >> shift & mask) - offset) * i32::from(m);
        }
    }
}
