//! Which powers of two move between the tensors of a layer: out of a norm's gains into the columns
//! behind it, and out of the rows of values and of `up` into the columns of what reads them.

use super::tensors::{LARGE_GAIN, Weights};
use super::{ConvertError, unfit};
use crate::load::quantise::{Extent, Gain, balanced_gain, bits_to_move};
use crate::model::header::Profile;

/// Bits that move out of the rows of a matrix into the columns that read them.
pub(super) struct Moved {
    pub(super) rows: Vec<u8>,
    pub(super) columns: Vec<u8>,
}

impl Weights<'_> {
    /// The gains of a norm, balanced with the matrices behind it, which have so many rows, and how
    /// large the last of these is.
    // spec: ENGINE-15.11
    pub(super) fn balanced(
        &mut self,
        norm: &str,
        behind: &[(&str, u32)],
        profile: Profile,
    ) -> Result<(Gain, Extent), ConvertError> {
        let gains = self.gains(norm, self.shape.hidden)?;
        let (mut all, mut last) = (Extent::default(), Extent::default());
        for (name, rows) in behind {
            last = self.work.extent(name, (*rows, self.shape.hidden), Some(&gains))?;
            all = all.and(last.clone());
        }
        let columns = bits_to_move(&gains, &all.room(profile.group()));
        let gain = balanced_gain(gains, columns).ok_or_else(|| unfit(norm, LARGE_GAIN))?;
        Ok((gain, last))
    }

    /// The norm before attention, and what moves from the values into the output.
    pub(super) fn balanced_attention(&mut self, layer: u32) -> Result<(Gain, Moved), ConvertError> {
        let name = |part: &str| format!("model.layers.{layer}.{part}");
        let [query, key, value] =
            ["q", "k", "v"].map(|kind| name(&format!("self_attn.{kind}_proj.weight")));
        let (queries, rows) = (self.shape.query_width(), self.shape.kv_width());
        let behind = [(query.as_str(), queries), (&key, rows), (&value, rows)];
        let norm = name("input_layernorm.weight");
        let (gain, values) = self.balanced(&norm, &behind, self.profile)?;
        let bias = match self.variant.biased {
            true => Some(self.work.vector(&name("self_attn.v_proj.bias"), rows)?),
            false => None,
        };
        let output = (self.shape.hidden, queries);
        let output = self.work.extent(&name("self_attn.o_proj.weight"), output, None)?;
        let room = self.least_of_heads(&output.room(self.profile.group()));
        let rows = bits_to_move(&values.rows(bias.as_ref()), &room);
        let columns = (0..queries).map(|column| rows[self.value_row(column)]).collect();
        Ok((gain, Moved { rows, columns }))
    }

    /// The norm before the feed-forward layer, and what moves from `up` into `down`.
    pub(super) fn balanced_feed_forward(
        &mut self,
        layer: u32,
        norm: &str,
    ) -> Result<(Gain, Moved), ConvertError> {
        let name = |part: &str| format!("model.layers.{layer}.mlp.{part}_proj.weight");
        let (hidden, inner) = (self.shape.hidden, self.shape.inner);
        let (gate, up) = (name("gate"), name("up"));
        let behind = [(gate.as_str(), inner), (&up, inner)];
        let (gain, up) = self.balanced(norm, &behind, self.profile)?;
        let down = self.work.extent(&name("down"), (hidden, inner), None)?;
        let rows = bits_to_move(&up.rows(None), &down.room(self.profile.group()));
        Ok((gain, Moved { columns: rows.clone(), rows }))
    }

    /// The least room that the query heads which share a head of values leave it.
    fn least_of_heads(&self, room: &[i32]) -> Vec<i32> {
        let mut least = vec![i32::MAX; self.shape.kv_width() as usize];
        for (column, room) in (0..).zip(room) {
            let least = &mut least[self.value_row(column)];
            *least = (*least).min(*room);
        }
        least
    }

    /// The row of values that a column of the output reads.
    fn value_row(&self, column: u32) -> usize {
        let (size, sharers) = (self.shape.head_size, self.shape.heads / self.shape.kv_heads);
        (column / size / sharers * size + column % size) as usize
    }
}
