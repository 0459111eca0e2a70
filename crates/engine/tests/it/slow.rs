//! A second, slow reading of op set 1: one token at a time, 128-bit integers, every sum written
//! out, straight from the logical tensors of the file. Shares no arithmetic with the engine but the
//! tables, which have tests of their own.

use mutirao_engine::load::format::File;
use mutirao_engine::model::header::LayerScales;
use mutirao_engine::model::matrix::Matrix;
use mutirao_engine::model::variant::Activation;
use mutirao_engine::op::rmsnorm::NormScales;
use mutirao_engine::table::Tables;
use mutirao_wire::Token;

/// A value left its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trap;

/// `floor(x / 2^s + 1/2)`.
fn rnd(x: i128, s: i128) -> i128 {
    assert!((0..=62).contains(&s), "shift {s}");
    let step = 1i128 << s;
    (2 * x + step).div_euclid(2 * step)
}

fn within(x: i128, bits: u32) -> Result<i128, Trap> {
    let bound = 1i128 << (bits - 1);
    if (-bound..bound).contains(&x) { Ok(x) } else { Err(Trap) }
}

/// Activations: integers and their exponent.
struct Short {
    x: Vec<i128>,
    t: i128,
}

fn shorten(wide: &[i128]) -> Short {
    for t in 0.. {
        let x: Vec<i128> =
            wide.iter().map(|v| if t == 0 { *v } else { rnd(rnd(*v, t - 1), 1) }).collect();
        if x.iter().map(|x| x * x).sum::<i128>() < 1 << 29 {
            return Short { x, t };
        }
    }
    unreachable!("everything rounds to zero")
}

fn linear(matrix: &Matrix, row: usize, input: &Short, offset: i128) -> i128 {
    let acc: i128 = matrix.row(row).zip(&input.x).map(|(w, x)| i128::from(w) * x).sum();
    assert!((-(1 << 31)..1 << 31).contains(&acc), "the certificate does not hold");
    let shift = i128::from(matrix.exponent[row]) + offset - input.t;
    rnd(acc * i128::from(matrix.multiplier[row]), shift)
}

fn norm(x: &[i128], gain: &[i16], scales: NormScales, epsilon: u64) -> Short {
    shorten(&normalised(x, gain, scales, epsilon))
}

fn normalised(x: &[i128], gain: &[i16], scales: NormScales, epsilon: u64) -> Vec<i128> {
    let largest = x.iter().map(|x| x.abs()).max().unwrap_or(0);
    let t0 = (0..).find(|t| largest < 1 << (20 + t)).expect("some t");
    let xs: Vec<i128> = x.iter().map(|x| rnd(*x, t0)).collect();
    let s = xs.iter().map(|x| x * x).sum::<i128>() + (i128::from(epsilon) >> (2 * t0));
    let u = (0..).step_by(2).find(|u| s >> u < 1 << 28).expect("some u");
    let sm = (s >> u).max(1);
    let d = x.len() as i128;
    let r = |k: i128| ((d << (2 * k)) / sm).isqrt();
    let k = (0..).find(|k| r(*k) >= 1 << 15).expect("some k");
    let shift = k + u / 2 + i128::from(scales.gain_bits) - i128::from(scales.value_bits);
    xs.iter().zip(gain).map(|(x, g)| rnd(x * r(k) * i128::from(*g), shift)).collect()
}

/// `c tanh(x / c)`, or x where there is no cap.
fn capped(x: i128, c: u32) -> i128 {
    if c == 0 {
        return x;
    }
    let c = i128::from(c);
    let y = x.max(-8 * c).min(8 * c);
    let r = ((1i128 << 41) + c).div_euclid(2 * c);
    let i = rnd(y * r, 20).clamp(-(1 << 23), (1 << 23) - 1);
    let (j, f) = (i.div_euclid(256), i.rem_euclid(256));
    let sig = |j: i128| i128::from(Tables::get().sigmoid[(j.min(32767) + 32768) as usize]);
    rnd((2 * (sig(j) * (256 - f) + sig(j + 1) * f) - (1 << 24)) * c, 24)
}

/// Keys and values of one head at every position.
type Memory = (Vec<Vec<i128>>, Vec<Vec<i128>>);

/// The network and what it remembers.
pub struct Slow<'a> {
    file: File<'a>,
    matrices: Vec<Option<Matrix>>,
    /// Per layer and head: keys and values of every position.
    memory: Vec<Vec<Memory>>,
    position: i128,
}

impl<'a> Slow<'a> {
    pub fn new(file: &'a [u8]) -> Self {
        let file = File::parse(file).expect("a model file");
        let matrices = file.tensors.iter().map(|tensor| tensor.matrix().ok()).collect();
        let heads = vec![(Vec::new(), Vec::new()); file.header.shape.kv_heads as usize];
        let memory = vec![heads; file.header.shape.layers as usize];
        Self { file, matrices, memory, position: 0 }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.file.tensors.iter().position(|tensor| tensor.spec.name == name)
    }

    fn gains(&self, name: &str) -> Option<Vec<i16>> {
        self.place(name).map(|index| self.file.tensors[index].gains())
    }

    fn matrix(&self, name: &str) -> &Matrix {
        self.matrices[self.place(name).expect("is there")].as_ref().expect("a matrix")
    }

    fn all(&self, name: &str, input: &Short, offset: impl Fn(usize) -> i128) -> Vec<i128> {
        let matrix = self.matrix(name);
        (0..matrix.rows).map(|row| linear(matrix, row, input, offset(row))).collect()
    }

    /// The logits after one more token.
    pub fn feed(&mut self, token: Token) -> Result<Vec<i32>, Trap> {
        let header = self.file.header.clone();
        let fx = i128::from(header.residual_bits);
        let (embedding, row) = (self.matrix("embedding"), token.0 as usize);
        let (m, c) = (embedding.multiplier[row], embedding.exponent[row]);
        let entry = |w| rnd(i128::from(w) * i128::from(m), i128::from(c) - fx);
        let mut x: Vec<i128> = embedding.row(row).map(entry).collect();
        for (layer, scales) in header.layers.iter().enumerate() {
            self.attention(&mut x, layer, scales)?;
            self.feed_forward(&mut x, layer, scales)?;
        }
        self.position += 1;
        let gains = self.gains("final_norm").expect("is there");
        let input = norm(&x, &gains, header.final_norm, header.epsilon);
        let head = if header.shape.tied == 1 { "embedding" } else { "head" };
        let offset = i128::from(header.final_norm.value_bits) - 12;
        let logits = self.all(head, &input, |_| offset);
        let cap = header.variant.logit_cap;
        logits.into_iter().map(|l| within(l, 32).map(|l| capped(l, cap) as i32)).collect()
    }

    fn attention(&mut self, x: &mut [i128], layer: usize, s: &LayerScales) -> Result<(), Trap> {
        let header = self.file.header.clone();
        let size = header.shape.head_size as usize;
        let name = |part: &str| format!("layers.{layer}.{part}");
        let gains = self.gains(&name("input_norm")).expect("is there");
        let input = norm(x, &gains, s.input, header.epsilon);
        let before = i128::from(s.input.value_bits);
        let all = |part: &str, bits: &[u8]| match header.variant.biased {
            true => self.biased(&name(part), &input, |row| before - i128::from(bits[row / size])),
            false => self.all(&name(part), &input, |row| before - i128::from(bits[row / size])),
        };
        let queries = self.heads_normed(all("query", &s.query_bits), layer, s, 0)?;
        let queries = self.turn(&queries, layer)?;
        let keys = self.heads_normed(all("key", &s.key_bits), layer, s, 1)?;
        let keys = self.turn(&keys, layer)?;
        let values = all("value", &s.value_bits);
        for v in &values {
            within(*v, 13)?;
        }
        let memory = &mut self.memory[layer];
        for (head, memory) in memory.iter_mut().enumerate() {
            memory.0.push(keys[head * size..(head + 1) * size].to_vec());
            memory.1.push(values[head * size..(head + 1) * size].to_vec());
        }
        let shared = (header.shape.heads / header.shape.kv_heads) as usize;
        let coarsest = s.value_bits.iter().min().expect("a head");
        let mut out = Vec::new();
        for (head, query) in queries.chunks(size).enumerate() {
            let kv = head / shared;
            let a = i128::from(header.attention_multiplier);
            let (mut fq, mut fk) = (s.query_bits[head], s.key_bits[kv]);
            if let Some([query, key]) = s.head_norms {
                (fq, fk) = (query.value_bits, key.value_bits);
            }
            let shift = i128::from(header.attention_shift) + i128::from(fq) + i128::from(fk);
            let window = header.variant.window.as_ref().filter(|window| window.layers[layer]);
            let first = window
                .map_or(0, |window| memory[kv].0.len().saturating_sub(window.positions as usize));
            let seen = (memory[kv].0[first..].to_vec(), memory[kv].1[first..].to_vec());
            let align = i128::from(s.value_bits[kv] - coarsest);
            let cap = header.variant.score_cap;
            out.extend(attend(query, &seen, (a, shift, cap), align));
        }
        let offset = i128::from(coarsest + 4) - i128::from(header.residual_bits);
        let y = self.all(&name("output"), &shorten(&out), |_| offset);
        self.add(x, y, &name("after_attention_norm"), s.after_gain_bits.map(|bits| bits[0]))
    }

    /// Rows with a bias: `rnd(rnd(acc M, S - t - 8) + B, 8)`.
    fn biased(&self, name: &str, input: &Short, offset: impl Fn(usize) -> i128) -> Vec<i128> {
        let matrix = self.matrix(name);
        let bias =
            self.file.tensors[self.place(&format!("{name}_bias")).expect("is there")].biases();
        let one = |row: usize| {
            let acc: i128 = matrix.row(row).zip(&input.x).map(|(w, x)| i128::from(w) * x).sum();
            let shift = i128::from(matrix.exponent[row]) + offset(row) - input.t;
            assert!(shift >= 8, "shift {shift}");
            let fine = rnd(acc * i128::from(matrix.multiplier[row]), shift - 8);
            rnd(fine + i128::from(bias[row]), 8)
        };
        (0..matrix.rows).map(one).collect()
    }

    /// Every head normed, where heads are.
    fn heads_normed(
        &self,
        row: Vec<i128>,
        layer: usize,
        s: &LayerScales,
        kind: usize,
    ) -> Result<Vec<i128>, Trap> {
        let Some(scales) = s.head_norms.map(|norms| norms[kind]) else { return Ok(row) };
        let part = ["query_norm", "key_norm"][kind];
        let gains = self.gains(&format!("layers.{layer}.{part}")).expect("is there");
        let whole = self.file.header.variant.head_norm.expect("is there");
        let mut out = Vec::new();
        for (head, x) in row.chunks(gains.len()).enumerate() {
            x.iter().try_for_each(|x| within(*x, 32).map(|_| ()))?;
            let bits = [&s.query_bits, &s.key_bits][kind][head];
            let epsilon = whole >> (2 * (self.file.header.residual_bits - bits));
            out.extend(normalised(x, &gains, scales, epsilon));
        }
        Ok(out)
    }

    /// Adds to the residual stream, normed first where there is a norm.
    fn add(
        &self,
        x: &mut [i128],
        y: Vec<i128>,
        norm: &str,
        gain_bits: Option<u8>,
    ) -> Result<(), Trap> {
        y.iter().try_for_each(|y| within(*y, 32).map(|_| ()))?;
        let header = &self.file.header;
        let y = match (self.gains(norm), gain_bits) {
            (Some(gains), Some(gain_bits)) => {
                let scales = NormScales { gain_bits, value_bits: header.residual_bits };
                normalised(&y, &gains, scales, header.epsilon)
            }
            _ => y,
        };
        add(x, &y)
    }

    fn turn(&self, row: &[i128], layer: usize) -> Result<Vec<i128>, Trap> {
        let cosine = &Tables::get().cosine;
        let header = &self.file.header;
        let window = header.variant.window.as_ref().filter(|window| window.layers[layer]);
        let rope = window.map_or(&header.rope, |window| &window.rope);
        let pairs = rope.len();
        let mut turned = row.to_vec();
        for (row, out) in row.chunks(2 * pairs).zip(turned.chunks_mut(2 * pairs)) {
            for (j, frequency) in rope.iter().enumerate() {
                let turns = (self.position * i128::from(*frequency)).rem_euclid(1 << 64);
                let index = ((turns + (1 << 47)) >> 48) % 65536;
                let cos = i128::from(cosine[index as usize]);
                let sin = i128::from(cosine[((index - 16384).rem_euclid(65536)) as usize]);
                let (a, b) = (within(row[j], 16)?, within(row[j + pairs], 16)?);
                out[j] = within(rnd(a * cos - b * sin, 14), 16)?;
                out[j + pairs] = within(rnd(b * cos + a * sin, 14), 16)?;
            }
        }
        Ok(turned)
    }

    fn feed_forward(&mut self, x: &mut [i128], layer: usize, s: &LayerScales) -> Result<(), Trap> {
        let header = &self.file.header;
        let name = |part: &str| format!("layers.{layer}.{part}");
        let gains = self.gains(&name("post_norm")).expect("is there");
        let input = norm(x, &gains, s.post, header.epsilon);
        let before = i128::from(s.post.value_bits);
        let g = self.all(&name("gate"), &input, |_| before - i128::from(s.gate_bits));
        let u = self.all(&name("up"), &input, |_| before - i128::from(s.up_bits));
        let opening = match header.variant.activation {
            Activation::Silu => &Tables::get().sigmoid,
            Activation::Gelu => &Tables::get().gelu,
        };
        let mut h = Vec::new();
        for (g, u) in g.iter().zip(&u) {
            let (g, u) = (within(*g, 23)?, within(*u, 23)?);
            let i = rnd(g, i128::from(s.gate_bits) - 11).clamp(-32768, 32767);
            h.push(rnd(g * i128::from(opening[(i + 32768) as usize]), 16) * u);
        }
        let offset = i128::from(s.gate_bits + s.up_bits) - i128::from(header.residual_bits);
        let y = self.all(&name("down"), &shorten(&h), |_| offset);
        let bits = s.after_gain_bits.map(|bits| bits[1]);
        self.add(x, y, &name("after_feed_forward_norm"), bits)
    }
}

fn attend(
    query: &[i128],
    (keys, values): &Memory,
    (multiplier, shift, cap): (i128, i128, u32),
    align: i128,
) -> Vec<i128> {
    let dot = |key: &Vec<i128>| query.iter().zip(key).map(|(q, k)| q * k).sum::<i128>();
    let score = |key| capped(rnd(dot(key) * multiplier, shift), cap);
    let z: Vec<i128> = keys.iter().map(score).collect();
    let most = *z.iter().max().expect("a position");
    let powers = &Tables::get().exponential;
    let p: Vec<i128> =
        z.iter().map(|z| i128::from(powers[(most - z).min(65535) as usize])).collect();
    let total: i128 = p.iter().sum();
    let e = i128::from(128 - total.leading_zeros());
    let r = (1i128 << (e + 15)) / total;
    let channel = |j: usize| p.iter().zip(values).map(|(p, v)| p * v[j]).sum::<i128>();
    (0..query.len()).map(|j| rnd(channel(j) * r, e + 11 + align)).collect()
}

fn add(x: &mut [i128], y: &[i128]) -> Result<(), Trap> {
    for (x, y) in x.iter_mut().zip(y) {
        *x = within(*x + within(*y, 32)?, 32)?;
    }
    Ok(())
}
