//! Trains the village model and writes it in Hugging Face layout.
//!
//! `train_village --out DIR --checkpoint FILE [--steps N] [--threads T] [--stop-after K]`
//!
//! The same steps and seed give the same weights, however many threads there are and however often
//! the run was stopped and taken up again.
#![allow(clippy::print_stdout, reason = "a program that people watch while it trains")]
#![allow(clippy::disallowed_types, reason = "the clock decides when to save, never what to learn")]
#![allow(clippy::float_arithmetic, reason = "speed is printed, never used")]

use mutirao_engine::pool::Pool;
use mutirao_learn::train::{Recipe, TrainState, VillageLessons, Workshop, export};
use mutirao_learn::village::tokens;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const CHECKPOINT_EVERY: Duration = Duration::from_secs(300);

struct Threads(usize);

impl Pool for Threads {
    fn width(&self) -> usize {
        self.0
    }

    fn run(&self, parts: usize, job: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let part = next.fetch_add(1, Ordering::Relaxed);
                if part >= parts {
                    break;
                }
                job(part);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.0.min(parts) {
                scope.spawn(work);
            }
            work();
        });
    }
}

struct Options {
    steps: u64,
    threads: usize,
    out: PathBuf,
    checkpoint: PathBuf,
    stop_after: u64,
}

impl Options {
    fn read() -> Result<Self, Box<dyn Error>> {
        let mut options = Self {
            steps: 4500,
            threads: 1,
            out: PathBuf::from("village"),
            checkpoint: PathBuf::from("village.checkpoint"),
            stop_after: u64::MAX,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            match word.as_str() {
                "--steps" => options.steps = value.parse()?,
                "--threads" => options.threads = value.parse::<usize>()?.clamp(1, 64),
                "--out" => options.out = value.into(),
                "--checkpoint" => options.checkpoint = value.into(),
                "--stop-after" => options.stop_after = value.parse()?,
                _ => return Err(format!("unknown option {word}").into()),
            }
        }
        Ok(options)
    }
}

/// Writes beside the file and renames, so that a crash leaves the old one or the new one.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let beside = path.with_extension("partial");
    fs::write(&beside, bytes)?;
    fs::rename(&beside, path)?;
    Ok(())
}

fn begin(options: &Options) -> Result<TrainState, Box<dyn Error>> {
    if options.checkpoint.exists() {
        let state = TrainState::from_bytes(&fs::read(&options.checkpoint)?)?;
        println!("going on at step {}", state.step_count());
        return Ok(state);
    }
    Ok(TrainState::new(&Recipe::village(options.steps)))
}

/// Reads the tokenizer from the output folder, or makes it.
fn tokenizer(out: &Path) -> Result<tokenizers::Tokenizer, Box<dyn Error>> {
    let path = out.join("tokenizer.json");
    if !path.exists() {
        let learned = tokens::train(Recipe::village(0).seed, tokens::LESSONS)?;
        let json = learned.to_string(true).map_err(|error| error.to_string())?;
        write_whole(&path, json.as_bytes())?;
        println!("tokenizer written, {} tokens", learned.get_vocab_size(true));
    }
    Ok(tokens::read(&fs::read(&path)?)?)
}

fn publish(out: &Path, state: &TrainState) -> Result<(), Box<dyn Error>> {
    for (name, bytes) in export::files(state)? {
        write_whole(&out.join(name), &bytes)?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read()?;
    fs::create_dir_all(&options.out)?;
    let lessons_tokenizer = tokenizer(&options.out)?;
    let mut state = begin(&options)?;
    let recipe = *state.recipe();
    let lessons = VillageLessons::new(lessons_tokenizer, &recipe);
    let mut workshop = Workshop::new(&recipe);
    let pool = Threads(options.threads);
    let (start, mut saved, mut tokens, mut mean) = (Instant::now(), Instant::now(), 0, None);
    while !state.is_done() && state.step_count() < options.stop_after {
        let batch = lessons.batch(state.step_count())?;
        tokens += batch.tokens();
        let report = state.step(&batch, &mut workshop, &pool);
        let smooth = mean.map_or(report.loss, |mean| 0.95 * mean + 0.05 * report.loss);
        mean = Some(smooth);
        if state.step_count() % 20 == 0 {
            let seconds = start.elapsed().as_secs_f64();
            println!(
                "step {} of {}  loss {:.4}  mean {smooth:.4}  gradient {:.3}  {:.0} tokens/s  \
                 {seconds:.0} s",
                state.step_count(),
                recipe.steps,
                report.loss,
                report.gradient_norm,
                tokens as f64 / seconds,
            );
        }
        if saved.elapsed() > CHECKPOINT_EVERY {
            write_whole(&options.checkpoint, &state.to_bytes())?;
            saved = Instant::now();
        }
    }
    write_whole(&options.checkpoint, &state.to_bytes())?;
    publish(&options.out, &state)?;
    println!("step {} digest {}", state.step_count(), state.digest().hex());
    Ok(())
}
