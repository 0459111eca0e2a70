//! Writes a model file of ours as GGUF, for programs that read nothing else.
//!
//! The weights are the same: in 8 bits a group of ours is two blocks of `Q8_0`, in 4 bits one of
//! `Q4_0`, with the scale `m M 2^-C` rounded to 16 bits. In a `Q4_0` file embedding and head, which
//! are 8 bits in ours, have 4 bits like all others.

use anyhow::{Context as _, bail};
use half::f16;
use mutirao_engine::load::format::{File, Tensor, TensorKind};
use mutirao_engine::model::matrix::Matrix;
use mutirao_engine::{Header, Profile};
use std::io::Write;

/// Weights of a block of both formats.
const BLOCK: usize = 32;
const ALIGNMENT: usize = 32;
const F32: u32 = 0;

/// The numbers of the format for `Q8_0` and `Q4_0`, and the bytes of a block.
fn kind(profile: Profile) -> (u32, usize) {
    match profile {
        Profile::W8 => (8, 34),
        Profile::W4 => (2, 18),
    }
}

/// Writes a parsed file.
pub fn write(file: &File<'_>, out: &mut impl Write) -> anyhow::Result<()> {
    let profile = file.header.profile;
    let mut front = Front::new(file.tensors.len());
    front.settings(&file.header);
    let mut offset = 0;
    for tensor in &file.tensors {
        let size = front.describe(tensor, profile, offset)?;
        offset += size.next_multiple_of(ALIGNMENT);
    }
    let mut front = front.bytes;
    front.resize(front.len().next_multiple_of(ALIGNMENT), 0);
    out.write_all(&front)?;
    for tensor in &file.tensors {
        let mut bytes = encode(tensor, &file.header)?;
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// What stands before the weights.
struct Front {
    bytes: Vec<u8>,
}

impl Front {
    fn new(tensors: usize) -> Self {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3u32.to_le_bytes());
        bytes.extend((tensors as u64).to_le_bytes());
        bytes.extend(11u64.to_le_bytes());
        Self { bytes }
    }

    fn string(&mut self, text: &str) {
        self.bytes.extend((text.len() as u64).to_le_bytes());
        self.bytes.extend(text.as_bytes());
    }

    fn word(&mut self, key: &str, value: &str) {
        self.string(key);
        self.bytes.extend(8u32.to_le_bytes());
        self.string(value);
    }

    fn number(&mut self, key: &str, value: u32) {
        self.string(key);
        self.bytes.extend(4u32.to_le_bytes());
        self.bytes.extend(value.to_le_bytes());
    }

    /// Eleven of them.
    fn settings(&mut self, header: &Header) {
        let shape = &header.shape;
        self.word("general.architecture", "llama");
        self.word("tokenizer.ggml.model", "none");
        self.number("llama.vocab_size", shape.vocabulary);
        self.number("llama.context_length", shape.context);
        self.number("llama.embedding_length", shape.hidden);
        self.number("llama.block_count", shape.layers);
        self.number("llama.feed_forward_length", shape.inner);
        self.number("llama.attention.head_count", shape.heads);
        self.number("llama.attention.head_count_kv", shape.kv_heads);
        self.number("llama.rope.dimension_count", shape.head_size);
        self.string("llama.attention.layer_norm_rms_epsilon");
        self.bytes.extend(6u32.to_le_bytes());
        self.bytes.extend(1e-5f32.to_le_bytes());
    }

    /// Name, shape, kind and place of a tensor; its bytes.
    fn describe(
        &mut self,
        tensor: &Tensor<'_>,
        profile: Profile,
        offset: usize,
    ) -> anyhow::Result<usize> {
        self.string(&name(&tensor.spec.name)?);
        let (sizes, kind, bytes) = match tensor.spec.kind {
            TensorKind::Gain { length } => (vec![length], F32, 4 * length),
            TensorKind::Bias { .. } => bail!("biases have no place here"),
            TensorKind::Matrix { rows, columns, .. } => {
                let (kind, block) = kind(profile);
                (vec![columns, rows], kind, rows * columns / BLOCK * block)
            }
        };
        self.bytes.extend((sizes.len() as u32).to_le_bytes());
        sizes.iter().for_each(|size| self.bytes.extend((*size as u64).to_le_bytes()));
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend((offset as u64).to_le_bytes());
        Ok(bytes)
    }
}

/// The name that others have for a tensor.
fn name(ours: &str) -> anyhow::Result<String> {
    let theirs = match ours {
        "embedding" => "token_embd",
        "final_norm" => "output_norm",
        "head" => "output",
        layer => return of_layer(layer),
    };
    Ok(format!("{theirs}.weight"))
}

fn of_layer(ours: &str) -> anyhow::Result<String> {
    let mut parts = ours.split('.').skip(1);
    let (layer, part) = (parts.next().context("a layer")?, parts.next().context("its tensor")?);
    let theirs = match part {
        "input_norm" => "attn_norm",
        "query" => "attn_q",
        "key" => "attn_k",
        "value" => "attn_v",
        "output" => "attn_output",
        "post_norm" => "ffn_norm",
        "gate" => "ffn_gate",
        "up" => "ffn_up",
        "down" => "ffn_down",
        other => bail!("no name for {other}"),
    };
    Ok(format!("blk.{layer}.{theirs}.weight"))
}

fn encode(tensor: &Tensor<'_>, header: &Header) -> anyhow::Result<Vec<u8>> {
    if matches!(tensor.spec.kind, TensorKind::Gain { .. }) {
        let one = f32::from(1u16 << 14);
        let gains = tensor.gains().into_iter().map(|gain| f32::from(gain) / one);
        return Ok(gains.flat_map(f32::to_le_bytes).collect());
    }
    let matrix = tensor.matrix()?;
    let (_, block) = kind(header.profile);
    let mut bytes = Vec::with_capacity(matrix.rows * matrix.columns / BLOCK * block);
    for row in 0..matrix.rows {
        let blocks = matrix.q[row * matrix.columns..(row + 1) * matrix.columns].chunks_exact(BLOCK);
        for (at, q) in blocks.enumerate() {
            let scale = scale(&matrix, row, at);
            match (header.profile, matrix.profile) {
                (Profile::W8, _) => eight(q, scale, &mut bytes),
                (Profile::W4, Profile::W4) => four(q, scale, &mut bytes),
                (Profile::W4, Profile::W8) => {
                    let short: Vec<i8> = q.iter().map(|q| q / 16).collect();
                    four(&short, 16.0 * scale, &mut bytes);
                }
            }
        }
    }
    Ok(bytes)
}

fn scale(matrix: &Matrix, row: usize, block: usize) -> f32 {
    let group = row * matrix.groups() + block * BLOCK / matrix.profile.group();
    let power = 0.5f32.powi(matrix.exponent[row].into());
    f32::from(matrix.m[group]) * f32::from(matrix.multiplier[row]) * power
}

fn eight(q: &[i8], scale: f32, out: &mut Vec<u8>) {
    out.extend(f16::from_f32(scale).to_le_bytes());
    out.extend(q.iter().map(|q| *q as u8));
}

fn four(q: &[i8], scale: f32, out: &mut Vec<u8>) {
    out.extend(f16::from_f32(scale).to_le_bytes());
    let (low, high) = q.split_at(BLOCK / 2);
    out.extend(low.iter().zip(high).map(|(low, high)| (low + 8) as u8 | ((high + 8) as u8) << 4));
}
