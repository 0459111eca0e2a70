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
    /// The exponential function of a number that is at most zero, and zero where that is too little
    /// to be heard beside one: products of what is left stay far from the numbers without leading
    /// one, which take some processors a hundred times as long.
    #[must_use]
    fn faint_exp(self) -> Self {
        if self < Self::of(-32.0) { Self::ZERO } else { self.exp() }
    }
    /// The square root.
    fn sqrt(self) -> Self;
    /// `c = keep·c + a·b` for a row-major `c`.
    ///
    /// # Panics
    /// When the sizes do not fit together.
    fn multiply(a: Matrix<'_, Self>, b: Matrix<'_, Self>, keep: Self, c: &mut [Self]);
}

macro_rules! real {
    ($number:ty, $exp:path) => {
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
                $exp(self)
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

real!(f32, exp_short);
real!(f64, f64::exp);

/// Adding this leaves a number's nearest integer in the lowest bits.
const TO_INTEGER: f32 = 12_582_912.0;
/// ln 2 in two parts: products of the first with small integers are exact.
const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
/// Taylor's coefficients, highest first: enough below ln 2 / 2.
const TAYLOR: [f32; 7] = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];

/// The exponential function to a few units in the last place. Without branches or calls, so that a
/// loop of it runs in vector registers, and made of exact operations, so that every processor gets
/// the same bits.
fn exp_short(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + TO_INTEGER;
    let whole = shifted - TO_INTEGER;
    let rest = (x - whole * LN_2.0) - whole * LN_2.1;
    let power = TAYLOR.into_iter().fold(0.0, |sum, next| sum * rest + next);
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    power * scale
}

/// The sum, in eight lanes.
pub fn sum<T: Real>(numbers: &[T]) -> T {
    let mut lanes = [T::ZERO; 8];
    let chunks = numbers.chunks_exact(8);
    let rest: T = chunks.remainder().iter().copied().sum();
    for chunk in chunks {
        for lane in 0..8 {
            lanes[lane] += chunk[lane];
        }
    }
    fold(lanes) + rest
}

/// Eight lanes into one number, by halves.
fn fold<T: Real>(lanes: [T; 8]) -> T {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// The scalar product, in eight lanes so that it runs in vector registers.
#[inline]
pub fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut lanes = [T::ZERO; 8];
    let (heads_a, heads_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: T = heads_a.remainder().iter().zip(heads_b.remainder()).map(|(&x, &y)| x * y).sum();
    for (x, y) in heads_a.zip(heads_b) {
        for lane in 0..8 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    fold(lanes) + rest
}

/// `target += factor · source`.
#[inline]
pub fn add_scaled<T: Real>(target: &mut [T], factor: T, source: &[T]) {
    for (target, &source) in target.iter_mut().zip(source) {
        *target += factor * source;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_exponential_is_within_a_few_units_of_the_long_one() {
        for step in -8700..8800 {
            let x = step as f32 / 100.0;
            let (found, right) = (f64::from(exp_short(x)), f64::from(x).exp());
            assert!((found / right - 1.0).abs() < 4e-7, "exp({x}) is {right}, not {found}");
        }
        assert_eq!(exp_short(0.0), 1.0);
        assert_eq!([0.0f32.faint_exp(), (-31.9f32).faint_exp()], [1.0, exp_short(-31.9)]);
        assert_eq!([(-32.1f32).faint_exp(), f64::MIN.faint_exp() as f32], [0.0, 0.0]);
        assert!(exp_short(-1e9) < 1e-37 && exp_short(1e9).is_finite());
    }

    #[test]
    fn lanes_add_up_whatever_the_length() {
        for length in 0..40 {
            let numbers: Vec<f64> = (0..length).map(f64::from).collect();
            let expected = f64::from(length * (length - 1) / 2);
            assert!((sum(&numbers) - expected).abs() < 1e-9);
            let squares: f64 = numbers.iter().map(|x| x * x).sum();
            assert!((dot(&numbers, &numbers) - squares).abs() < 1e-9);
        }
    }
}
