//! Tensors on their way from the published files to the sink: a few rows at a time, on any number
//! of threads, and not at all where an earlier run finished them.

use super::sink::{Sink, part};
use super::{CONVERSION, ConvertError, Converted, Published, TensorReport, unfit};
use crate::load::catalogue::{Sheet, SourceError};
use crate::load::format::{self, Layout, Tensor, bias_sections, gain_sections, into_sections};
use crate::load::quantise::{self, Bias, Extent, Gain, RowError, Tally, Values};
use crate::model::header::{Header, Profile};
use crate::model::matrix::Matrix;
use crate::pool::Pool;
use crate::split;
use mutirao_wire::{Digest, Encode};
use std::ops::{Range, RangeInclusive};

/// Numbers that a thread widens at once: four megabytes of doubles.
const NUMBERS_AT_ONCE: usize = 1 << 19;
/// Pieces to a thread between two gatherings.
const PIECES_TO_A_THREAD: usize = 4;

/// A matrix that is converted and not yet kept.
pub(super) struct Pending {
    pub(super) matrix: Matrix,
    is_kept: bool,
    tally: Tally,
}

/// How a matrix is quantised.
#[derive(Clone, Copy)]
pub(super) struct Manner<'a> {
    pub(super) profile: Profile,
    /// The norm in front, if its gains weigh errors.
    pub(super) gain: Option<&'a Gain>,
    pub(super) exponents: &'a RangeInclusive<u8>,
    /// Whether rows are multiplied by the root of their length.
    pub(super) times_root: bool,
    /// Bits that move into columns.
    pub(super) columns: &'a [u8],
    /// Bits that move out of rows.
    pub(super) rows: &'a [u8],
}

impl<'a> Manner<'a> {
    /// Nothing in front, and nothing moves.
    pub(super) fn plain(profile: Profile, exponents: &'a RangeInclusive<u8>) -> Self {
        Self { profile, gain: None, exponents, times_root: false, columns: &[], rows: &[] }
    }

    /// Behind a norm.
    pub(super) fn behind(
        gain: &'a Gain,
        profile: Profile,
        exponents: &'a RangeInclusive<u8>,
    ) -> Self {
        let columns = &gain.columns;
        Self { gain: Some(gain), columns, ..Self::plain(profile, exponents) }
    }
}

/// A conversion that goes on.
pub(super) struct Work<'a> {
    published: &'a Published<'a>,
    pool: &'a dyn Pool,
    sink: &'a mut dyn Sink,
    layout: Layout,
    key: Digest,
    header: Header,
    leaves: Vec<Digest>,
    reports: Vec<TensorReport>,
}

impl<'a> Work<'a> {
    /// `header` is without its scales.
    pub(super) fn new(
        published: &'a Published<'a>,
        header: &Header,
        pool: &'a dyn Pool,
        sink: &'a mut dyn Sink,
    ) -> Self {
        let (tokenizer, template) = (published.tokenizer.len(), published.template.len());
        let layout = Layout::new(header, tokenizer, template);
        let parts = [&CONVERSION.to_le_bytes(), published.config, &header.to_bytes()];
        let key = Digest::of("mutirao 1 conversion", &parts);
        let (leaves, reports) = (Vec::new(), Vec::new());
        let header = header.clone();
        Self { published, pool, sink, layout, key, header, leaves, reports }
    }

    /// Finds a tensor. Everything that comes after it depends on it.
    fn sheet(&mut self, name: &str, shape: &[usize]) -> Result<Sheet<'a>, ConvertError> {
        let sheet = self.published.catalogue.sheet(self.published.files, name, shape)?;
        let digest = sheet.digest().map_err(SourceError::from)?;
        self.key = Digest::of("mutirao 1 conversion", &[&self.key.0, &digest.0]);
        Ok(sheet)
    }

    /// Reads a vector of `width` numbers.
    pub(super) fn vector(&mut self, name: &str, width: u32) -> Result<Values, ConvertError> {
        Ok(self.sheet(name, &[width as usize])?.numbers(0..1)?)
    }

    /// Keeps gains as the next tensor.
    pub(super) fn put_gain(&mut self, gain: &Gain) -> Result<(), ConvertError> {
        self.kept()?;
        self.put_sections(&gain_sections(&gain.integers), false, Tally::default())
    }

    /// Keeps biases, at the scales of their rows' heads, as the next tensor.
    pub(super) fn put_bias(
        &mut self,
        bias: &Bias,
        (rows, size): (u32, u32),
        bits: &[u8],
    ) -> Result<(), ConvertError> {
        self.kept()?;
        let at = |row: usize| bias.at(row, bits[row / size as usize]);
        let integers: Option<Vec<i32>> = (0..rows as usize).map(at).collect();
        let integers = integers.expect("proven before the scales were chosen");
        self.put_sections(&bias_sections(&integers), false, Tally::default())
    }

    /// How large the numbers of a matrix are, with the gains in front of it.
    pub(super) fn extent(
        &mut self,
        name: &str,
        (rows, columns): (u32, u32),
        gains: Option<&Values>,
    ) -> Result<Extent, ConvertError> {
        let sheet = self.sheet(name, &[rows as usize, columns as usize])?;
        let measure =
            |piece: Range<usize>| Ok(Extent::of(&sheet.numbers(piece)?, sheet.columns, gains));
        let mut all = Extent::default();
        self.in_pieces(&sheet, &measure, &mut |piece| all = std::mem::take(&mut all).and(piece))?;
        Ok(all)
    }

    /// Converts the matrix that will be the next tensor.
    pub(super) fn matrix(
        &mut self,
        name: &str,
        (rows, columns): (u32, u32),
        manner: Manner<'_>,
    ) -> Result<Pending, ConvertError> {
        let sheet = self.sheet(name, &[rows as usize, columns as usize])?;
        let numbers = |piece: Range<usize>| {
            let first = piece.start;
            let mut values = sheet.numbers(piece)?;
            values.shift(sheet.columns, first, manner.rows, manner.columns);
            if manner.times_root {
                values.times_root(columns);
            }
            Ok::<Values, SourceError>(values)
        };
        let (mut matrix, mut tally) =
            (Matrix::none(manner.profile, sheet.columns), Tally::default());
        if let Some(matrix) = self.kept()? {
            let compare = |piece: Range<usize>| {
                let first = piece.start;
                Ok(Tally::of(&numbers(piece)?, &matrix, first))
            };
            self.in_pieces(&sheet, &compare, &mut |piece| tally = tally.and(piece))?;
            return Ok(Pending { matrix, is_kept: true, tally });
        }
        let convert = |piece: Range<usize>| {
            let (first, values) = (piece.start, numbers(piece)?);
            let Manner { profile, gain, exponents, .. } = manner;
            let rows = quantise::rows(&values, (first, sheet.columns), profile, gain, exponents)
                .map_err(|error: RowError| unfit(name, &error.to_string()))?;
            let tally = Tally::of(&values, &rows, 0);
            Ok((rows, tally))
        };
        self.in_pieces(&sheet, &convert, &mut |(rows, piece)| {
            matrix.append(rows);
            tally = tally.and(piece);
        })?;
        Ok(Pending { matrix, is_kept: false, tally })
    }

    /// Keeps a matrix as the next tensor.
    pub(super) fn put(&mut self, pending: Pending) -> Result<(), ConvertError> {
        let Pending { matrix, is_kept, tally } = pending;
        self.put_sections(&into_sections(matrix), is_kept, tally)
    }

    /// Calls `job` for all rows, some at a time and on all threads, and `then` with what came of
    /// them, in order.
    fn in_pieces<T: Send>(
        &self,
        sheet: &Sheet<'_>,
        job: &(dyn Fn(Range<usize>) -> Result<T, ConvertError> + Sync),
        then: &mut dyn FnMut(T),
    ) -> Result<(), ConvertError> {
        let rows = (NUMBERS_AT_ONCE / sheet.columns.max(1)).max(1);
        let starts: Vec<usize> = (0..sheet.rows).step_by(rows).collect();
        for wave in starts.chunks(self.pool.width().max(1) * PIECES_TO_A_THREAD) {
            let mut slots: Vec<(usize, Option<Result<T, ConvertError>>)> =
                wave.iter().map(|start| (*start, None)).collect();
            split::each(self.pool, &mut slots, 1, &|(start, slot)| {
                *slot = Some(job(*start..(*start + rows).min(sheet.rows)));
            });
            for (_, slot) in slots {
                then(slot.expect("every piece is worked on")?);
            }
        }
        Ok(())
    }

    /// The next tensor as an earlier run left it.
    fn kept(&mut self) -> Result<Option<Matrix>, ConvertError> {
        let (index, count) = (self.leaves.len(), self.layout.places.len());
        let place = &self.layout.places[index];
        let key = Digest::of("mutirao 1 conversion", &[&self.key.0, place.spec.name.as_bytes()]);
        let part = part(place, key, (index, count), self.layout.length);
        self.sink.begins(&part);
        let Some(sections) = self.sink.kept(&part)? else { return Ok(None) };
        let lengths: Vec<usize> = sections.iter().map(Vec::len).collect();
        if lengths != place.spec.kind.sections() {
            return Ok(None);
        }
        let sections = sections.iter().map(Vec::as_slice).collect();
        let matrix = Tensor { spec: place.spec.clone(), sections }.matrix().ok();
        Ok(matrix.filter(|matrix| matrix.check().is_ok()))
    }

    fn put_sections(
        &mut self,
        sections: &[Vec<u8>],
        is_kept: bool,
        tally: Tally,
    ) -> Result<(), ConvertError> {
        let (index, count) = (self.leaves.len(), self.layout.places.len());
        let place = &self.layout.places[index];
        let key = Digest::of("mutirao 1 conversion", &[&self.key.0, place.spec.name.as_bytes()]);
        let part = part(place, key, (index, count), self.layout.length);
        if !is_kept {
            self.sink.put(&part, sections)?;
        }
        self.reports.push(TensorReport {
            name: place.spec.name.clone(),
            weights: place.spec.kind.numbers(),
            bytes: part.bytes(),
            decibel_tenths: tally.decibel_tenths(),
        });
        let sections = sections.iter().map(Vec::as_slice).collect();
        self.leaves.push(Tensor { spec: place.spec.clone(), sections }.digest());
        Ok(())
    }

    /// Keeps the front; `header` has its scales now.
    pub(super) fn finish(self, header: &Header) -> Result<Converted, ConvertError> {
        let Published { tokenizer, template, .. } = *self.published;
        let (front, id) = format::write_front(header, tokenizer, template, &self.leaves);
        self.sink.finish(&front)?;
        Ok(Converted {
            id,
            weights_root: format::weights_root(&self.header, &self.leaves),
            bytes: self.layout.length,
            tensors: self.reports,
        })
    }
}
