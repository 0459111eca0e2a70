//! Scores a model in Hugging Face layout on the village's held-out items.
//!
//! `score_village DIR [EACH [all|TASK]]`: exact match of the float weights per task, and some of
//! what was said wrong.
#![allow(clippy::print_stdout, reason = "a program whose output is a table")]

use mutirao_learn::card::{Results, table};
use mutirao_learn::eval::{FloatModel, questions, score};
use mutirao_learn::train::Shape;
use mutirao_learn::train::export::read_weights;
use mutirao_learn::village::tokens;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

const WRONG_SHOWN: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let folder = PathBuf::from(words.next().ok_or("which folder?")?);
    let each: usize = words.next().map_or(Ok(200), |word| word.parse())?;
    let only = words.next().filter(|word| word != "all");
    let tokenizer = tokens::read(&std::fs::read(folder.join("tokenizer.json"))?)?;
    let shape = Shape::SMALL;
    let file = std::fs::read(folder.join("model.safetensors"))?;
    let mut model = FloatModel::new(&shape, read_weights(&shape, &file)?);
    let mut asked = questions(1, each);
    asked.retain(|question| only.as_ref().is_none_or(|only| question.task.name() == only));
    let mut shown = BTreeMap::new();
    let scores = score(&mut model, &tokenizer, &asked, &mut |question, said| {
        let count = shown.entry(question.task).or_insert(0);
        *count += 1;
        if *count <= WRONG_SHOWN {
            println!("{}\n  said   {said}\n  right  {}", question.user, question.assistant);
        }
    })?;
    println!("{}", table(&Results { float: &scores, integer: None, agreement: None }));
    Ok(())
}
