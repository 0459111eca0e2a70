//! Scores a model in Hugging Face layout on the village's held-out items.
//!
//! `score_village DIR --steps N [--each COUNT] [--task NAME] [--card FILE]`: exact match of the
//! float weights and of the integer engine per task, how far their predictions are apart, and some
//! of what was said wrong.
#![allow(clippy::print_stdout, reason = "a program whose output is a table")]

use mutirao_engine::load::convert;
use mutirao_engine::pool::Serial;
use mutirao_engine::{Model, Profile, Source};
use mutirao_learn::card::{Results, card, table};
use mutirao_learn::eval::{FloatModel, IntegerModel, compare, questions, right_texts, score};
use mutirao_learn::train::export::read_weights;
use mutirao_learn::train::{Recipe, Shape};
use mutirao_learn::village::{Example, tokens};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const WRONG_SHOWN: u32 = 3;
const SEED: u64 = 1;

#[derive(Default)]
struct Options {
    folder: PathBuf,
    steps: u64,
    each: usize,
    task: Option<String>,
    card: Option<PathBuf>,
}

impl Options {
    fn read() -> Result<Self, Box<dyn Error>> {
        let mut words = std::env::args().skip(1);
        let folder = PathBuf::from(words.next().ok_or("which folder?")?);
        let mut options = Self { folder, each: 200, ..Self::default() };
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            match word.as_str() {
                "--steps" => options.steps = value.parse()?,
                "--each" => options.each = value.parse()?,
                "--task" => options.task = Some(value),
                "--card" => options.card = Some(value.into()),
                _ => return Err(format!("unknown option {word}").into()),
            }
        }
        Ok(options)
    }
}

fn integer_model(folder: &Path) -> Result<Model, Box<dyn Error>> {
    let file = |name: &str| std::fs::read(folder.join(name));
    let (config, weights) = (file("config.json")?, file("model.safetensors")?);
    let (tokenizer, template) = (file("tokenizer.json")?, file("chat_template.jinja")?);
    let source =
        Source { config: &config, weights: &weights, tokenizer: &tokenizer, template: &template };
    Ok(Model::from_bytes(&convert(&source, Profile::W8)?)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read()?;
    let tokenizer = tokens::read(&std::fs::read(options.folder.join("tokenizer.json"))?)?;
    let file = std::fs::read(options.folder.join("model.safetensors"))?;
    let mut float = FloatModel::new(&Shape::SMALL, read_weights(&Shape::SMALL, &file)?);
    let mut asked = questions(SEED, options.each);
    asked
        .retain(|question| options.task.as_deref().is_none_or(|task| question.task.name() == task));
    let mut shown = BTreeMap::new();
    let mut show = |question: &Example, said: &str| {
        let count = shown.entry(question.task).or_insert(0);
        *count += 1;
        if *count <= WRONG_SHOWN {
            println!("{}\n  said   {said}\n  right  {}", question.user, question.assistant);
        }
    };
    let float_scores = score(&mut float, &tokenizer, &asked, &mut show)?;
    let model = Arc::new(integer_model(&options.folder)?);
    println!("model {}", model.id());
    let mut integer = IntegerModel::new(Arc::clone(&model), &Serial);
    let integer_scores = score(&mut integer, &tokenizer, &asked, &mut |_, _| {})?;
    let texts = right_texts(&tokenizer, &asked)?;
    let agreement = compare(&mut float, &mut integer, &texts)?;
    let results = Results {
        float: &float_scores,
        integer: Some(&integer_scores),
        agreement: Some(&agreement),
    };
    println!("{}\n{agreement:?}", table(&results));
    if let Some(path) = options.card {
        std::fs::write(path, card(&Recipe::village(options.steps), &results))?;
    }
    Ok(())
}
