//! Memory that passes lend each other: new pages come from the system one by one and zeroed, which
//! takes longer than filling them.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

type Shelf<T> = Mutex<Vec<Vec<T>>>;

/// Buffers that nobody uses now. A copy has none.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    short: Shelf<i16>,
    plain: Shelf<i32>,
    wide: Shelf<i64>,
}

impl Clone for Spare {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// A number of which buffers are kept.
pub(crate) trait Kept: Copy + Default {
    fn shelf(spare: &Spare) -> &Shelf<Self>;
}

impl Kept for i16 {
    fn shelf(spare: &Spare) -> &Shelf<Self> {
        &spare.short
    }
}

impl Kept for i32 {
    fn shelf(spare: &Spare) -> &Shelf<Self> {
        &spare.plain
    }
}

impl Kept for i64 {
    fn shelf(spare: &Spare) -> &Shelf<Self> {
        &spare.wide
    }
}

impl Spare {
    /// `length` numbers of any value, given back when dropped.
    pub(crate) fn take<T: Kept>(&self, length: usize) -> Lent<'_, T> {
        let shelf = T::shelf(self);
        let mut buffers = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |(_, buffer): &(usize, &Vec<T>)| buffer.len() >= length;
        let best = buffers.iter().enumerate().filter(fits).min_by_key(|(_, buffer)| buffer.len());
        let found = best.map(|(at, _)| at).map(|at| buffers.swap_remove(at));
        drop(buffers);
        let buffer = found.unwrap_or_else(|| vec![T::default(); length]);
        Lent { buffer, length, shelf }
    }
}

/// A buffer on loan.
#[derive(Debug)]
pub(crate) struct Lent<'a, T> {
    buffer: Vec<T>,
    length: usize,
    shelf: &'a Shelf<T>,
}

impl<T> Deref for Lent<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.buffer[..self.length]
    }
}

impl<T> DerefMut for Lent<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.buffer[..self.length]
    }
}

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}
