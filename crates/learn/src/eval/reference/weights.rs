//! Published weights, widened to single precision: from memory by a reading of our own, or from
//! wherever a conversion reads them.

use super::ReferenceError;
use super::plan::Plan;
use mutirao_engine::load::{Catalogue, Files};
use safetensors::{Dtype, SafeTensors};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// The numbers of a published model, by the names of `transformers`.
pub trait Weights: Sync {
    /// Some rows of a tensor of `rows` times `columns` numbers; a vector is one row.
    ///
    /// # Errors
    /// [`ReferenceError`] when it is not there, or not of that size.
    fn rows(
        &self,
        name: &str,
        size: (usize, usize),
        rows: Range<usize>,
    ) -> Result<Cow<'_, [f32]>, ReferenceError>;
}

fn missing(name: &str) -> ReferenceError {
    ReferenceError::Tensor(name.to_owned())
}

/// Safetensors files in memory.
pub(super) struct InMemory<'a>(Vec<SafeTensors<'a>>);

impl<'a> InMemory<'a> {
    pub(super) fn new(files: &[&'a [u8]]) -> Result<Self, ReferenceError> {
        let files: Result<_, _> = files.iter().map(|file| SafeTensors::deserialize(file)).collect();
        Ok(Self(files?))
    }
}

impl Weights for InMemory<'_> {
    fn rows(
        &self,
        name: &str,
        (all, columns): (usize, usize),
        rows: Range<usize>,
    ) -> Result<Cow<'_, [f32]>, ReferenceError> {
        let view = self.0.iter().find_map(|file| file.tensor(name).ok());
        let numbers = view.and_then(|view| {
            let bytes = view.dtype().bitsize() / 8 * columns;
            let whole = view.data().len() == all * bytes;
            let part = view.data().get(rows.start * bytes..rows.end * bytes);
            part.filter(|_| whole).and_then(|part| widen(view.dtype(), part))
        });
        numbers.map(Cow::Owned).ok_or_else(|| missing(name))
    }
}

/// All tensors, widened.
pub(super) struct Kept(BTreeMap<String, Vec<f32>>);

impl Kept {
    pub(super) fn new(plan: &Plan, weights: &dyn Weights) -> Result<Self, ReferenceError> {
        let take = |(name, (rows, columns)): (String, (usize, usize))| {
            let numbers = weights.rows(&name, (rows, columns), 0..rows)?.into_owned();
            Ok::<_, ReferenceError>((name, numbers))
        };
        plan.tensors().into_iter().map(take).collect::<Result<_, _>>().map(Self)
    }
}

impl Weights for Kept {
    fn rows(
        &self,
        name: &str,
        (_, columns): (usize, usize),
        rows: Range<usize>,
    ) -> Result<Cow<'_, [f32]>, ReferenceError> {
        let numbers = self.0.get(name);
        let part = numbers.and_then(|all| all.get(rows.start * columns..rows.end * columns));
        part.map(Cow::Borrowed).ok_or_else(|| missing(name))
    }
}

/// Tensors where a conversion finds them: safetensors or GGUF, in files that somebody reads.
#[derive(Clone, Copy)]
pub struct Stored<'a> {
    /// Which tensors there are.
    pub catalogue: &'a Catalogue,
    /// The files that they are in.
    pub files: &'a dyn Files,
}

impl Weights for Stored<'_> {
    fn rows(
        &self,
        name: &str,
        (all, columns): (usize, usize),
        rows: Range<usize>,
    ) -> Result<Cow<'_, [f32]>, ReferenceError> {
        // A vector is listed with one size.
        let is_vector = self.catalogue.get(name).is_some_and(|entry| entry.shape.len() == 1);
        let both = [all, columns];
        let shape = if is_vector && all == 1 { &both[1..] } else { &both[..] };
        Ok(Cow::Owned(self.catalogue.singles(self.files, name, shape, rows)?))
    }
}

fn widen(kind: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let halves = || bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let single = |four: &[u8]| f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
    match kind {
        Dtype::F32 => Some(bytes.chunks_exact(4).map(single).collect()),
        Dtype::BF16 => Some(halves().map(|half| f32::from_bits(u32::from(half) << 16)).collect()),
        Dtype::F16 => Some(halves().map(from_half).collect()),
        _ => None,
    }
}

fn from_half(half: u16) -> f32 {
    let (exponent, fraction) = (i32::from(half >> 10 & 31), f32::from(half & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f32.powi(-24),
        31 => f32::INFINITY,
        _ => (fraction + 1024.0) * 2f32.powi(exponent - 25),
    };
    if half >> 15 == 1 { -magnitude } else { magnitude }
}
