//! Why first choices differ: how far the floats prefer theirs, how far the integers move logits,
//! and how much of that is rounding of weights and how much of what is computed with them. Beside
//! them the same floats with weights rounded as `Q8_0` does, which is what others run.
//!
//! `cargo run --release -p mutirao-learn --example margins -- <folder of a checkpoint>...`
#![allow(clippy::print_stdout, clippy::float_arithmetic)]

use mutirao_engine::load::format::{File, Tensor, TensorKind};
use mutirao_engine::load::{Catalogue, InMemory};
use mutirao_engine::pool::Serial;
use mutirao_engine::{Model, Profile, Source};
use mutirao_learn::eval::{
    Agreement, IntegerModel, Predictor, Reference, ReferenceError, Stored, Weights, lead,
};
use safetensors::SafeTensors;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

fn main() {
    println!(
        "| checkpoint | differ | largest lead | float's lead: 1 % | 5 % | half | noise | KL | \
         of weights | of the rest | Q8_0 differ | Q8_0 KL |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for folder in std::env::args().skip(1) {
        row(Path::new(&folder));
    }
}

/// Tensors that are not what was published, by their published names, and the others.
struct Changed<'a> {
    published: Stored<'a>,
    tensors: BTreeMap<String, Vec<f32>>,
}

impl Weights for Changed<'_> {
    fn rows(
        &self,
        name: &str,
        size: (usize, usize),
        rows: Range<usize>,
    ) -> Result<Cow<'_, [f32]>, ReferenceError> {
        match self.tensors.get(name) {
            Some(all) => Ok(Cow::Borrowed(&all[rows.start * size.1..rows.end * size.1])),
            None => self.published.rows(name, size, rows),
        }
    }
}

/// What a tensor of a model file is called where it was published; none for those that conversion
/// moves no bits between.
fn published(name: &str, has_after_norms: bool) -> Option<String> {
    let part = match name {
        "embedding" => return Some("model.embed_tokens.weight".into()),
        "head" => return Some("lm_head.weight".into()),
        "final_norm" => return Some("model.norm.weight".into()),
        name => name.strip_prefix("layers.").expect("a layer's"),
    };
    let (layer, part) = part.split_once('.').expect("a part of it");
    let part = match part {
        "query" => "self_attn.q_proj.weight",
        "key" => "self_attn.k_proj.weight",
        "value" => "self_attn.v_proj.weight",
        "value_bias" => "self_attn.v_proj.bias",
        "output" => "self_attn.o_proj.weight",
        "gate" => "mlp.gate_proj.weight",
        "up" => "mlp.up_proj.weight",
        "down" => "mlp.down_proj.weight",
        "input_norm" => "input_layernorm.weight",
        "post_norm" if has_after_norms => "pre_feedforward_layernorm.weight",
        "post_norm" => "post_attention_layernorm.weight",
        _ => return None,
    };
    Some(format!("model.layers.{layer}.{part}"))
}

/// The tensors of a model file as numbers, but those that are as they were published.
fn rounded(file: &[u8], is_gemma: bool) -> BTreeMap<String, Vec<f32>> {
    let file = File::parse(file).expect("a model file");
    let mut all = BTreeMap::new();
    for tensor in &file.tensors {
        let name = tensor.spec.name.as_str();
        let Some(published) = published(name, file.header.variant.after_norm) else { continue };
        let numbers = match tensor.spec.kind {
            TensorKind::Matrix { .. } => matrix(&file, tensor, is_gemma),
            _ => vector(&file, tensor, is_gemma),
        };
        all.insert(published, numbers);
    }
    all
}

fn power(bits: u8) -> f64 {
    2f64.powi(bits.into())
}

/// What conversion multiplies Gemma's embedding by, and divides the gains before a tied head by.
fn root(file: &File<'_>) -> f64 {
    f64::from(file.header.shape.hidden).sqrt()
}

/// A matrix; Gemma's embedding without the root of its width.
fn matrix(file: &File<'_>, tensor: &Tensor<'_>, is_gemma: bool) -> Vec<f32> {
    let matrix = tensor.matrix().expect("a matrix");
    let root = if is_gemma && tensor.spec.name == "embedding" { root(file) } else { 1.0 };
    let number = |(row, whole): (usize, i32)| {
        let scale = f64::from(matrix.multiplier[row]) / power(matrix.exponent[row]);
        (f64::from(whole) * scale / root) as f32
    };
    let rows = 0..matrix.rows;
    rows.flat_map(|row| matrix.row(row).map(move |w| (row, w))).map(number).collect()
}

/// Gains, or biases of values.
fn vector(file: &File<'_>, tensor: &Tensor<'_>, is_gemma: bool) -> Vec<f32> {
    let (name, bytes) = (tensor.spec.name.as_str(), tensor.sections[0]);
    let header = &file.header;
    let layer = || {
        let number = name.split('.').nth(1).and_then(|n| n.parse::<usize>().ok());
        &header.layers[number.expect("a layer's")]
    };
    if name.ends_with("value_bias") {
        let size = header.shape.head_size as usize;
        let bits = |row: usize| layer().value_bits[row / size] + 8;
        let wholes =
            bytes.chunks_exact(4).map(|it| i32::from_le_bytes(it.try_into().expect("four")));
        return wholes.enumerate().map(|(r, n)| (f64::from(n) / power(bits(r))) as f32).collect();
    }
    let bits = match name {
        "final_norm" => header.final_norm.gain_bits,
        name if name.ends_with("input_norm") => layer().input.gain_bits,
        _ => layer().post.gain_bits,
    };
    let tied = is_gemma && name == "final_norm" && header.shape.tied == 1;
    let (root, one) = (if tied { root(file) } else { 1.0 }, if is_gemma { 1.0 } else { 0.0 });
    let wholes = bytes.chunks_exact(2).map(|it| i16::from_le_bytes(it.try_into().expect("two")));
    wholes.map(|n| (f64::from(n) / power(bits) * root - one) as f32).collect()
}

/// Matrices as llama.cpp's `Q8_0` rounds them: blocks of 32 that share a half-precision scale.
fn as_q8_0(stored: &Stored<'_>, names: impl Iterator<Item = String>) -> BTreeMap<String, Vec<f32>> {
    let mut all = BTreeMap::new();
    for name in names {
        let shape = &stored.catalogue.get(&name).expect("there").shape;
        let [rows, columns] = shape[..] else { continue };
        let numbers = stored.rows(&name, (rows, columns), 0..rows).expect("read");
        let round = |row: &[f32]| {
            let block = |block: &[f32]| {
                let largest = block.iter().fold(0f32, |largest, w| largest.max(w.abs()));
                let scale = half(largest / 127.0);
                let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
                block.iter().map(|w| (w * inverse).round() * scale).collect::<Vec<f32>>()
            };
            row.chunks(32).flat_map(block).collect::<Vec<f32>>()
        };
        all.insert(name, numbers.chunks(columns).flat_map(round).collect());
    }
    all
}

/// The nearest number that half precision has, for those it has eleven bits for.
fn half(number: f32) -> f32 {
    let bits = number.to_bits();
    f32::from_bits((bits + 0xFFF + (bits >> 13 & 1)) & !0x1FFF)
}

fn predicted<P: Predictor>(predictor: &mut P, texts: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let mut all = Vec::new();
    for text in texts {
        predictor.predict(text, &mut |_, logits| all.push(logits.to_vec())).expect("runs");
    }
    all
}

fn divergence(first: &[Vec<f32>], second: &[Vec<f32>]) -> f64 {
    let mut agreement = Agreement::default();
    first.iter().zip(second).for_each(|(first, second)| agreement.record(first, second));
    agreement.mean_divergence()
}

/// The two largest, the larger first.
fn best_two(logits: &[f32]) -> [usize; 2] {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
    [order[0], order[1]]
}

fn row(folder: &Path) {
    let read = |name: &str| std::fs::read(folder.join(name)).expect("a file of the checkpoint");
    let (config, weights) = (read("config.json"), read("model.safetensors"));
    let expected = read("expected.safetensors");
    let tokens = SafeTensors::deserialize(&expected).expect("a safetensors file");
    let tokens = tokens.tensor("tokens").expect("tokens");
    let length = tokens.shape()[1];
    let four = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).expect("four bytes");
    let numbers: Vec<u32> =
        tokens.data().chunks_exact(4).map(|bytes| u32::from_le_bytes(four(bytes))).collect();
    let texts: Vec<Vec<u32>> = numbers.chunks(length).map(<[u32]>::to_vec).collect();

    let (tokenizer, template): (&[u8], &[u8]) = (b"{}", b"");
    let source = Source { config: &config, weights: &weights, tokenizer, template };
    let file = mutirao_engine::load::convert(&source, Profile::W8).expect("converts");
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let files = InMemory(vec![&weights]);
    let catalogue = Catalogue::safetensors(&files).expect("the same");
    let stored = Stored { catalogue: &catalogue, files: &files };
    let tensors = rounded(&file, name.starts_with("gemma"));
    let q8_0 = Changed { published: stored, tensors: as_q8_0(&stored, tensors.keys().cloned()) };
    let rounded = Changed { published: stored, tensors };
    let mut floats = Reference::stored(&config, stored).expect("a known family");
    let mut rounded = Reference::stored(&config, rounded).expect("a known family");
    let mut q8_0 = Reference::stored(&config, q8_0).expect("a known family");
    let model = Arc::new(Model::from_bytes(&file).expect("a model file"));
    let floats = predicted(&mut floats, &texts);
    let rounded = predicted(&mut rounded, &texts);
    let q8_0 = predicted(&mut q8_0, &texts);
    let integers = predicted(&mut IntegerModel::new(model, &Serial), &texts);

    let leads: Vec<f64> =
        floats.iter().zip(&integers).filter_map(|(float, integer)| lead(float, integer)).collect();
    let largest = leads.iter().fold(0.0, |largest: f64, lead| largest.max(*lead));
    let (mut margins, mut noise) = (Vec::new(), 0.0);
    for (float, integer) in floats.iter().zip(&integers) {
        let [first, second] = best_two(float);
        let margin = |logits: &[f32]| f64::from(logits[first]) - f64::from(logits[second]);
        margins.push(margin(float));
        noise += (margin(float) - margin(integer)).powi(2);
    }
    margins.sort_by(f64::total_cmp);
    let other = floats.iter().zip(&q8_0).filter_map(|(float, other)| lead(float, other)).count();
    let part = |hundredths: usize| margins[margins.len() * hundredths / 100];
    println!(
        "| {name} | {} of {} | {largest:.4} | {:.4} | {:.4} | {:.3} | {:.4} | {:.2e} | {:.2e} | \
         {:.2e} | {other} | {:.2e} |",
        leads.len(),
        floats.len(),
        part(1),
        part(5),
        part(50),
        (noise / floats.len() as f64).sqrt(),
        divergence(&floats, &integers),
        divergence(&floats, &rounded),
        divergence(&rounded, &integers),
        divergence(&floats, &q8_0),
    );
}
