//! Numbers the trainer counts in: `f32` for real runs, `f64` to check gradients with.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder};
use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// A matrix view over row-major numbers.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// Sees `data` as `rows` rows of `columns` numbers.
    ///
    /// # Panics
    /// When the data have another length.
    #[must_use]
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns, "a matrix view must cover its data");
        Self { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The same numbers with rows and columns exchanged.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

impl<'a, T: Real> Matrix<'a, T> {
    fn seen(self) -> ArrayView2<'a, T> {
        let shape = (self.rows, self.columns).strides((self.row_stride, self.column_stride));
        ArrayView2::from_shape(shape, self.data).expect("a view covers exactly its data")
    }
}

/// A floating-point number.
pub trait Real:
    Copy
    + Default
    + Debug
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + Sum
{
    /// Nothing.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// The nearest number.
    fn of(value: f64) -> Self;
    /// As a double.
    fn double(self) -> f64;
    /// The exponential function.
    fn exp(self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// `c = keep·c + a·b` for a row-major `c`.
    ///
    /// # Panics
    /// When the sizes do not fit together.
    fn multiply(a: Matrix<'_, Self>, b: Matrix<'_, Self>, keep: Self, c: &mut [Self]);
}

macro_rules! real {
    ($number:ty) => {
        impl Real for $number {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;

            fn of(value: f64) -> Self {
                value as Self
            }

            fn double(self) -> f64 {
                f64::from(self)
            }

            fn exp(self) -> Self {
                self.exp()
            }

            fn sqrt(self) -> Self {
                self.sqrt()
            }

            fn multiply(a: Matrix<'_, Self>, b: Matrix<'_, Self>, keep: Self, c: &mut [Self]) {
                let target = ArrayViewMut2::from_shape((a.rows, b.columns), c);
                let mut target = target.expect("the product must fill its target");
                general_mat_mul(1.0, &a.seen(), &b.seen(), keep, &mut target);
            }
        }
    };
}

real!(f32);
real!(f64);

/// The scalar product, in eight lanes so that it runs in vector registers.
pub fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut lanes = [T::ZERO; 8];
    let (heads_a, heads_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: T = heads_a.remainder().iter().zip(heads_b.remainder()).map(|(&x, &y)| x * y).sum();
    for (x, y) in heads_a.zip(heads_b) {
        for lane in 0..8 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    lanes.into_iter().sum::<T>() + rest
}

/// `target += factor · source`.
pub fn add_scaled<T: Real>(target: &mut [T], factor: T, source: &[T]) {
    for (target, &source) in target.iter_mut().zip(source) {
        *target += factor * source;
    }
}
