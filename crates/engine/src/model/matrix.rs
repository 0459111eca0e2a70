//! A weight matrix as the model defines it: row-major, before any packing for a kernel.

use crate::model::header::Profile;
use crate::op::linear::ROW_SQUARES_BOUND;

/// Rows of `W = m q`, each with a scale `M * 2^-C`.
// spec: ENGINE-3.2
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// 8 or 4 bits.
    pub profile: Profile,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// `q`, row-major, one byte each also for 4 bits.
    pub q: Vec<i8>,
    /// `m`, row-major, one for each group of columns; the last group of a row may be short.
    pub m: Vec<i8>,
    /// `M` of each row.
    pub multiplier: Vec<u16>,
    /// `C` of each row.
    pub exponent: Vec<u8>,
}

/// A row that breaks what [`Matrix`] promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadRow {
    /// The row.
    pub row: usize,
    /// What is wrong.
    pub why: &'static str,
}

impl Profile {
    /// Columns that share an `m`.
    // spec: ENGINE-3.1
    #[must_use]
    pub fn group(self) -> usize {
        match self {
            Self::W8 => 64,
            Self::W4 => 32,
        }
    }

    /// The values `q` may take.
    #[must_use]
    pub fn q_range(self) -> std::ops::RangeInclusive<i8> {
        match self {
            Self::W8 => -127..=127,
            Self::W4 => -8..=7,
        }
    }

    /// Whether `m` may be negative too.
    #[must_use]
    pub fn signed_groups(self) -> bool {
        self == Self::W4
    }
}

/// Largest |m|.
pub const GROUP_MULTIPLIER_MAX: i8 = 15;

impl Matrix {
    /// No rows yet.
    pub(crate) fn none(profile: Profile, columns: usize) -> Self {
        let (q, m, multiplier, exponent) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { profile, rows: 0, columns, q, m, multiplier, exponent }
    }

    /// Puts further rows of the same length behind these.
    pub(crate) fn append(&mut self, mut more: Self) {
        self.rows += more.rows;
        self.q.append(&mut more.q);
        self.m.append(&mut more.m);
        self.multiplier.append(&mut more.multiplier);
        self.exponent.append(&mut more.exponent);
    }

    /// Groups of a row.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.columns.div_ceil(self.profile.group())
    }

    /// The effective weights of one row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = i32> + '_ {
        let q = &self.q[row * self.columns..(row + 1) * self.columns];
        let m = &self.m[row * self.groups()..(row + 1) * self.groups()];
        q.chunks(self.profile.group())
            .zip(m)
            .flat_map(|(q, m)| q.iter().map(|q| i32::from(*q) * i32::from(*m)))
    }

    /// Checks the ranges of q, m and M, and the certificate of every row.
    ///
    /// # Errors
    /// [`BadRow`], the first one.
    // spec: ENGINE-3.3, ENGINE-3.4
    pub fn check(&self) -> Result<(), BadRow> {
        (0..self.rows)
            .try_for_each(|row| self.check_row(row).map_or(Ok(()), |why| Err(BadRow { row, why })))
    }

    fn check_row(&self, row: usize) -> Option<&'static str> {
        let q = &self.q[row * self.columns..(row + 1) * self.columns];
        let m = &self.m[row * self.groups()..(row + 1) * self.groups()];
        let (range, signed) = (self.profile.q_range(), self.profile.signed_groups());
        let least = if signed { -GROUP_MULTIPLIER_MAX } else { 1 };
        if !q.iter().all(|q| range.contains(q)) {
            return Some("a weight is out of range");
        }
        if !m.iter().all(|m| *m != 0 && (least..=GROUP_MULTIPLIER_MAX).contains(m)) {
            return Some("a group multiplier is out of range");
        }
        if self.multiplier[row] < 1 << 15 {
            return Some("the row multiplier is not normalised");
        }
        let breaks = self.row_squares(row) >= ROW_SQUARES_BOUND;
        breaks.then_some("the certificate does not hold: the squares of the weights reach 2^33")
    }

    /// `sum W^2` of a row.
    #[must_use]
    pub fn row_squares(&self, row: usize) -> u64 {
        self.row(row).map(|w| u64::from(w.unsigned_abs()).pow(2)).sum()
    }
}
