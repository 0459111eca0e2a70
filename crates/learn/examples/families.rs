//! The table of families: each checkpoint converted and held against what `transformers` gave for
//! the same tokens in single precision, and our own float reference against that too.
//!
//! `cargo run --release -p mutirao-learn --example families -- <folder of a checkpoint>...`
#![allow(clippy::print_stdout, clippy::float_arithmetic)]

use mutirao_engine::pool::Serial;
use mutirao_engine::{Model, Profile, Source};
use mutirao_learn::eval::{Agreement, IntegerModel, Predictor, Reference};
use safetensors::SafeTensors;
use std::path::Path;
use std::sync::Arc;

/// Special tokens of `tools/families/make.py`.
const END: u32 = 1;
const ASSISTANT: u32 = 4;

fn main() {
    println!(
        "| checkpoint | weights | model | KL | same choice | in answers | perplexity | change |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for folder in std::env::args().skip(1) {
        rows(Path::new(&folder));
    }
}

/// What `transformers` gave: texts, and the logits after each of their tokens.
struct Expected {
    texts: Vec<Vec<u32>>,
    logits: Vec<Vec<f32>>,
    vocabulary: usize,
}

impl Expected {
    fn read(file: &[u8]) -> Self {
        let file = SafeTensors::deserialize(file).expect("a safetensors file");
        let (tokens, logits) = (file.tensor("tokens"), file.tensor("logits"));
        let (tokens, logits) = (tokens.expect("tokens"), logits.expect("logits"));
        let (length, vocabulary) = (logits.shape()[1], logits.shape()[2]);
        let four = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).expect("four bytes");
        let numbers: Vec<u32> =
            tokens.data().chunks_exact(4).map(|bytes| u32::from_le_bytes(four(bytes))).collect();
        let floats: Vec<f32> =
            logits.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(four(bytes))).collect();
        Self {
            texts: numbers.chunks(length).map(<[u32]>::to_vec).collect(),
            logits: floats.chunks(length * vocabulary).map(<[f32]>::to_vec).collect(),
            vocabulary,
        }
    }

    fn against<P: Predictor>(&self, predictor: &mut P) -> Found {
        let mut found = Found::default();
        for (text, wanted) in self.texts.iter().zip(&self.logits) {
            let (rows, answers) = (wanted.chunks(self.vocabulary), in_answers(text));
            let rows: Vec<&[f32]> = rows.collect();
            let mut visit = |index: usize, logits: &[f32]| {
                found.all.record(rows[index], logits);
                let Some(next) = text.get(index + 1) else { return };
                found.all.came(rows[index], logits, *next);
                if answers[index + 1] {
                    found.answers.record(rows[index], logits);
                }
            };
            predictor.predict(text, &mut visit).expect("runs");
        }
        found
    }
}

/// Over all tokens, and over those that a model is asked to write.
#[derive(Default)]
struct Found {
    all: Agreement,
    answers: Agreement,
}

/// Which tokens belong to answers, the end of each included. A row may begin in the middle of one,
/// which is not counted.
fn in_answers(text: &[u32]) -> Vec<bool> {
    let mut inside = false;
    let step = |token: &u32| {
        let was = inside;
        inside = *token == ASSISTANT || inside && *token != END;
        was
    };
    text.iter().map(step).collect()
}

fn rows(folder: &Path) {
    let read = |name: &str| std::fs::read(folder.join(name)).expect("a file of the checkpoint");
    let (config, weights) = (read("config.json"), read("model.safetensors"));
    let (tokenizer, template) = (read("tokenizer.json"), read("chat_template.jinja"));
    let expected = Expected::read(&read("expected.safetensors"));
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let mut reference = Reference::read(&config, &[&weights]).expect("a known family");
    row(&name, "f32", "-", &expected.against(&mut reference));
    for (profile, weights_name) in [(Profile::W8, "w8"), (Profile::W4, "w4")] {
        let (tokenizer, template) = (&tokenizer, &template);
        let source = Source { config: &config, weights: &weights, tokenizer, template };
        let file = mutirao_engine::load::convert(&source, profile).expect("converts");
        let model = Arc::new(Model::from_bytes(&file).expect("a model file"));
        let id = model.id().to_string();
        let mut integer = IntegerModel::new(model, &Serial);
        row(&name, weights_name, &id[..12.min(id.len())], &expected.against(&mut integer));
    }
}

fn row(name: &str, weights: &str, id: &str, found: &Found) {
    let agreement = &found.all;
    println!(
        "| {name} | {weights} | {id} | {:.2e} | {:.2} % | {:.2} % | {:.4} | {:+.3} % |",
        agreement.mean_divergence(),
        100.0 * agreement.same_choice_share(),
        100.0 * found.answers.same_choice_share(),
        agreement.perplexities()[1],
        100.0 * agreement.perplexity_change(),
    );
}
