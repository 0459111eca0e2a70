//! Causal attention inside one example, forwards and back. Examples in a row do not see each other.
//!
//! Examples are short (tens of tokens), so plain loops over vector-wide rows beat matrix products.

use super::real::{Real, add_scaled, dot, sum};
use super::shape::{HEAD_SIZE_MAX, Shape};

/// Sizes and offsets in a row of queries, keys and values side by side.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    size: usize,
    query: usize,
    key: usize,
    value: usize,
}

impl Heads {
    /// Head number `head` of the shape.
    #[must_use]
    pub fn of(shape: &Shape, head: usize) -> Self {
        let shared = head / (shape.heads / shape.shared_heads);
        let key = shape.query_width() + shared * shape.head_size;
        Self {
            size: shape.head_size,
            query: head * shape.head_size,
            key,
            value: key + shape.key_width(),
        }
    }

    fn query<'a, T>(&self, row: &'a [T]) -> &'a [T] {
        &row[self.query..self.query + self.size]
    }

    fn key<'a, T>(&self, row: &'a [T]) -> &'a [T] {
        &row[self.key..self.key + self.size]
    }

    fn value<'a, T>(&self, row: &'a [T]) -> &'a [T] {
        &row[self.value..self.value + self.size]
    }
}

/// One head over one example: `rows` are its positions' queries, keys and values, `weights` gets
/// the attention of each position (a square, lower half used), `out` rows are `width` apart.
pub fn attend<T: Real>(shape: &Shape, head: usize, rows: &[T], weights: &mut [T], out: &mut [T]) {
    let (heads, width) = (Heads::of(shape, head), shape.attention_width());
    let scale = T::ONE / T::of(shape.head_size as f64).sqrt();
    let length = rows.len() / width;
    let outs = out.chunks_exact_mut(shape.query_width());
    for ((now, weights), out) in weights.chunks_exact_mut(length).enumerate().zip(outs) {
        let query = heads.query(&rows[now * width..]);
        let weights = &mut weights[..=now];
        for (weight, row) in weights.iter_mut().zip(rows.chunks_exact(width)) {
            *weight = dot(query, heads.key(row)) * scale;
        }
        soften(weights);
        let out = &mut out[heads.query..heads.query + heads.size];
        out.fill(T::ZERO);
        for (&weight, row) in weights.iter().zip(rows.chunks_exact(width)) {
            if weight != T::ZERO {
                add_scaled(out, weight, heads.value(row));
            }
        }
    }
}

/// Softmax in place.
pub fn soften<T: Real>(weights: &mut [T]) {
    let top = weights.iter().copied().fold(weights[0], |a, b| if b > a { b } else { a });
    for weight in weights.iter_mut() {
        *weight = (*weight - top).faint_exp();
    }
    let scale = T::ONE / sum(weights);
    for weight in weights {
        *weight = *weight * scale;
    }
}

/// The way back through [`attend`]: adds to `d_rows`. `scratch` holds one number per position.
pub fn attend_back<T: Real>(
    shape: &Shape,
    head: usize,
    rows: &[T],
    weights: &[T],
    d_out: &[T],
    d_rows: &mut [T],
    scratch: &mut Vec<T>,
) {
    let (heads, width) = (Heads::of(shape, head), shape.attention_width());
    let scale = T::ONE / T::of(shape.head_size as f64).sqrt();
    let length = rows.len() / width;
    let d_outs = d_out.chunks_exact(shape.query_width());
    for ((now, weights), d_out) in weights.chunks_exact(length).enumerate().zip(d_outs) {
        let weights = &weights[..=now];
        let d_out = &d_out[heads.query..heads.query + heads.size];
        scratch.clear();
        scratch.extend(rows.chunks_exact(width).take(now + 1).map(|r| dot(d_out, heads.value(r))));
        let mean = dot(weights, scratch);
        let mut d_query = [T::ZERO; HEAD_SIZE_MAX];
        let d_query = &mut d_query[..heads.size];
        let query = heads.query(&rows[now * width..]);
        let weights = weights.iter().zip(&*scratch).enumerate();
        for (then, (&weight, &d_weight)) in weights.filter(|(_, (weight, _))| **weight != T::ZERO) {
            let d_score = weight * (d_weight - mean) * scale;
            add_scaled(d_query, d_score, heads.key(&rows[then * width..]));
            let d_row = &mut d_rows[then * width..(then + 1) * width];
            add_scaled(&mut d_row[heads.key..heads.key + heads.size], d_score, query);
            add_scaled(&mut d_row[heads.value..heads.value + heads.size], weight, d_out);
        }
        let d_row = &mut d_rows[now * width..(now + 1) * width];
        add_scaled(&mut d_row[heads.query..heads.query + heads.size], T::ONE, d_query);
    }
}
