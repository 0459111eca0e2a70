//! Published numbers as what they are, for those who hold a conversion against them.

use crate::load::catalogue::{Catalogue, Files, SourceError};
use std::ops::Range;

impl Catalogue {
    /// Some rows of the tensor `name`, which must have this shape, in single precision: what every
    /// encoding stands for. Rows that there are not are left out.
    ///
    /// # Errors
    /// [`SourceError`] when it is not there, of another shape or type, or cannot be read.
    pub fn singles(
        &self,
        files: &dyn Files,
        name: &str,
        shape: &[usize],
        rows: Range<usize>,
    ) -> Result<Vec<f32>, SourceError> {
        let sheet = self.sheet(files, name, shape)?;
        let rows = rows.start.min(sheet.rows)..rows.end.min(sheet.rows);
        Ok(sheet.numbers(rows)?.singles())
    }
}

/// The bits of a single that is larger by one.
#[cfg(feature = "testing")]
pub(crate) fn one_more(single_bits: u32) -> u32 {
    (f32::from_bits(single_bits) + 1.0).to_bits()
}
