//! Balance: powers of two that move from what stands in front of a matrix into its columns.
//!
//! Trained models have channels that are many times as large as others, and where the next
//! weights undo it their columns are as many times as small. Such columns share a step with their
//! group, so they would keep few bits, and their errors would be multiplied by the channel's size.
//! Multiplying the column by a power of two and dividing the channel by it changes no product, and
//! costs no bit.

use super::{Values, exponent, power_of_two};

/// Most bits that move.
const MOST: i32 = 15;

/// How large the numbers of a matrix are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extent {
    /// Of each row, the largest magnitude of a weight times the gain of its column.
    rows: Vec<f64>,
    /// Of each column, the largest magnitude against the largest of its row.
    columns: Vec<f64>,
}

impl Extent {
    /// Of whole rows of a matrix with so many columns.
    pub(crate) fn of(values: &Values, columns: usize, gains: Option<&Values>) -> Self {
        let mut extent = Self { rows: Vec::new(), columns: vec![0.0; columns] };
        values.0.chunks_exact(columns.max(1)).for_each(|row| extent.add(row, gains));
        extent
    }

    fn add(&mut self, row: &[f64], gains: Option<&Values>) {
        let largest = largest(row);
        if largest > 0.0 {
            for (column, weight) in self.columns.iter_mut().zip(row) {
                *column = column.max(weight.abs() / largest);
            }
        }
        let reach = |gains: &Values| {
            let products = row.iter().zip(&gains.0).map(|(weight, gain)| weight * gain);
            products.fold(0.0, |largest: f64, product| largest.max(product.abs()))
        };
        self.rows.push(gains.map_or(largest, reach));
    }

    /// Of these rows and then those.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        self.columns.resize(self.columns.len().max(other.columns.len()), 0.0);
        for (column, other) in self.columns.iter_mut().zip(other.columns) {
            *column = column.max(other);
        }
        self
    }

    /// How large each row is, with what is added to it.
    pub(crate) fn rows(self, added: Option<&Values>) -> Values {
        let mut rows = self.rows;
        for (row, added) in rows.iter_mut().zip(added.iter().flat_map(|added| &added.0)) {
            *row = row.max(added.abs());
        }
        Values(rows)
    }

    /// By how many bits each column may grow and still be no larger than the largest of its group.
    pub(crate) fn room(&self, group: usize) -> Vec<i32> {
        let room = |group: &[f64]| {
            let most = largest(group);
            group.iter().map(|column| doublings(*column, most)).collect::<Vec<_>>()
        };
        self.columns.chunks(group).flat_map(room).collect()
    }
}

/// Bits that move from channels of these sizes into columns with so much room: never more than
/// bring a channel down to the mean.
// spec: ENGINE-15.11
pub(crate) fn bits_to_move(sizes: &Values, room: &[i32]) -> Vec<u8> {
    let sum: f64 = sizes.0.iter().fold(0.0, |sum, size| sum + size.abs());
    let count = u32::try_from(sizes.0.len()).expect("a width of op set 1");
    let mean = sum / f64::from(count);
    let bits = |(size, room): (&f64, &i32)| {
        let bits = doublings(mean, size.abs()).min(*room).clamp(0, MOST);
        u8::try_from(bits).expect("at most 15")
    };
    sizes.0.iter().zip(room).map(bits).collect()
}

/// How often a number can be doubled and be no larger than another; below nothing, or nothing,
/// where it is larger already.
fn doublings(number: f64, most: f64) -> i32 {
    let bits = exponent(most) - exponent(number);
    let is_less = bits > 0 && number * power_of_two(bits.min(1023)) > most;
    bits - i32::from(is_less)
}

fn largest(numbers: &[f64]) -> f64 {
    numbers.iter().fold(0.0, |largest: f64, number| largest.max(number.abs()))
}

impl Values {
    /// Rows of `width`, of which the first has number `first`: every number times two to the bits
    /// of its column, less those of its row. A column or row without bits stays as it is.
    // spec: ENGINE-15.11
    pub(crate) fn shift(&mut self, width: usize, first: usize, rows: &[u8], columns: &[u8]) {
        let bits_at = |bits: &[u8], place: usize| bits.get(place).copied().map_or(0, i32::from);
        for (row, numbers) in (first..).zip(self.0.chunks_exact_mut(width.max(1))) {
            let down = bits_at(rows, row);
            for (column, number) in numbers.iter_mut().enumerate() {
                *number *= power_of_two(bits_at(columns, column) - down);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(weights: &[f64], columns: usize) -> Extent {
        Extent::of(&Values(weights.to_vec()), columns, None)
    }

    #[test]
    fn a_small_column_behind_a_large_channel_grows_and_no_other() {
        // spec: ENGINE-15.11
        let weights = [1.0, 0.2, 0.5, 0.9, -0.7, 0.05, 0.6, -1.0];
        let room = extent(&weights, 4).room(64);
        assert_eq!(room, [0, 2, 0, 0], "0.6 times two is more than one");
        let gains = Values(vec![1.0, -16.0, 1.0, 1.0]);
        assert_eq!(bits_to_move(&gains, &room), [0, 1, 0, 0], "not below the mean, 4.75");
        let gains = Values([vec![1.0; 60], vec![1.0, 64.0, 1.0, 64.0]].concat());
        let room = [vec![0; 60], room].concat();
        assert_eq!(bits_to_move(&gains, &room)[60..], [0, 2, 0, 0], "no further than its group");
    }

    #[test]
    fn columns_are_measured_against_their_rows_and_rows_with_gains_and_biases() {
        // spec: ENGINE-15.11
        // The second row is a thousand times as large: it does not hide the first.
        let both = extent(&[1.0, 0.25], 2).and(extent(&[100.0, 1000.0], 2));
        assert_eq!(both.room(64), [0, 0]);
        assert_eq!(both.room(1), [0, 0], "groups are their own");
        let gains = Values(vec![0.5, 8.0]);
        let reach = Extent::of(&Values(vec![1.0, 0.25, 0.0, 0.0]), 2, Some(&gains));
        assert_eq!(reach.clone().rows(None).0, [2.0, 0.0]);
        assert_eq!(reach.rows(Some(&Values(vec![-1.0, -3.0]))).0, [2.0, 3.0]);
    }

    #[test]
    fn dead_columns_and_channels_move_nothing_that_overflows() {
        let dead = extent(&[0.0, 1.0, 0.0, 1.0], 2);
        assert_eq!(dead.room(64)[1], 0);
        assert_eq!(bits_to_move(&Values(vec![1e30, 1e-30]), &dead.room(64)), [1, 0]);
        assert_eq!(bits_to_move(&Values(vec![0.0, 0.0]), &[2000, 2000]), [0, 0]);
        assert_eq!(extent(&[0.0; 4], 2).room(64), [0, 0]);
    }

    #[test]
    fn what_moves_into_columns_moves_out_of_rows() {
        let mut values = Values(vec![1.0, 3.0, 5.0, 7.0]);
        values.shift(2, 1, &[9, 1], &[0, 3]);
        assert_eq!(values.0, [0.5, 12.0, 5.0, 56.0]);
        values.shift(1, 0, &[1, 0, 0, 3], &[]);
        assert_eq!(values.0, [0.25, 12.0, 5.0, 7.0]);
    }
}
