//! Why first choices differ: how far the floats prefer theirs, how far the integers move logits,
//! and how much of that is rounding of weights and how much of what is computed with them.
//!
//! `cargo run --release -p mutirao-learn --example margins -- <folder of a checkpoint>...`
#![allow(clippy::print_stdout, clippy::float_arithmetic)]

use mutirao_engine::load::format::{File, TensorKind};
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
         of weights | of the rest |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for folder in std::env::args().skip(1) {
        row(Path::new(&folder));
    }
}

/// Weights as the integers have them, where they are matrices.
struct Rounded<'a> {
    published: Stored<'a>,
    matrices: BTreeMap<String, Vec<f32>>,
}

impl Weights for Rounded<'_> {
    fn rows(
        &self,
        name: &str,
        size: (usize, usize),
        rows: Range<usize>,
    ) -> Result<Cow<'_, [f32]>, ReferenceError> {
        match self.matrices.get(name) {
            Some(all) => Ok(Cow::Borrowed(&all[rows.start * size.1..rows.end * size.1])),
            None => self.published.rows(name, size, rows),
        }
    }
}

/// What a tensor of a model file is called where it was published.
fn published(name: &str) -> String {
    let part = match name {
        "embedding" => return "model.embed_tokens.weight".into(),
        "head" => return "lm_head.weight".into(),
        name => name.strip_prefix("layers.").expect("a layer's"),
    };
    let (layer, part) = part.split_once('.').expect("a part of it");
    let part = match part {
        "query" => "self_attn.q_proj",
        "key" => "self_attn.k_proj",
        "value" => "self_attn.v_proj",
        "output" => "self_attn.o_proj",
        "gate" => "mlp.gate_proj",
        "up" => "mlp.up_proj",
        "down" => "mlp.down_proj",
        other => panic!("{other} is no matrix"),
    };
    format!("model.layers.{layer}.{part}.weight")
}

/// The matrices of a model file as numbers; Gemma's embedding without the root of its width.
fn matrices(file: &[u8], is_gemma: bool) -> BTreeMap<String, Vec<f32>> {
    let file = File::parse(file).expect("a model file");
    let mut all = BTreeMap::new();
    for tensor in &file.tensors {
        let TensorKind::Matrix { rows, columns, .. } = tensor.spec.kind else { continue };
        let matrix = tensor.matrix().expect("a matrix");
        let scaled = is_gemma && tensor.spec.name == "embedding";
        let root = if scaled { (columns as f64).sqrt() } else { 1.0 };
        let number = |place: usize| {
            let (row, column) = (place / columns, place % columns);
            let group = row * matrix.groups() + column / matrix.profile.group();
            let whole = f64::from(matrix.q[place]) * f64::from(matrix.m[group]);
            let scale = f64::from(matrix.multiplier[row]);
            (whole * scale * 2f64.powi(-i32::from(matrix.exponent[row])) / root) as f32
        };
        all.insert(published(&tensor.spec.name), (0..rows * columns).map(number).collect());
    }
    all
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
    let matrices = matrices(&file, name.starts_with("gemma"));
    let rounded = Rounded { published: stored, matrices };
    let mut floats = Reference::stored(&config, stored).expect("a known family");
    let mut rounded = Reference::stored(&config, rounded).expect("a known family");
    let model = Arc::new(Model::from_bytes(&file).expect("a model file"));
    let floats = predicted(&mut floats, &texts);
    let rounded = predicted(&mut rounded, &texts);
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
    let part = |hundredths: usize| margins[margins.len() * hundredths / 100];
    println!(
        "| {name} | {} of {} | {largest:.4} | {:.4} | {:.4} | {:.3} | {:.4} | {:.2e} | {:.2e} | \
         {:.2e} |",
        leads.len(),
        floats.len(),
        part(1),
        part(5),
        part(50),
        (noise / floats.len() as f64).sqrt(),
        divergence(&floats, &integers),
        divergence(&floats, &rounded),
        divergence(&rounded, &integers),
    );
}
