//! A training run on this machine: resumes from its checkpoint, saves it by the clock.
//!
//! The clock decides when to save and nothing else, so a run that was cut and resumed any number of
//! times, on any number of threads, ends with the same weights.

use super::LearnError;
use crate::assemble::Node;
use crate::files;
use mutirao_learn::train::{Recipe, TrainState, VillageLessons, Workshop, export};
use mutirao_learn::village::tokens;
use mutirao_wire::Digest;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A cut run loses at most this much work.
const SAVE_EVERY: Duration = Duration::from_secs(120);
/// Steps between two reports.
const REPORT_EVERY: u64 = 20;
/// A checkpoint of the largest shape the trainer has room for is far smaller.
const CHECKPOINT_BYTES_MAX: u64 = 1 << 30;
/// A village tokenizer has some 60 kB.
const TOKENIZER_BYTES_MAX: u64 = 16 << 20;

/// What to train.
#[derive(Debug, Clone)]
pub struct TrainingOrder {
    /// Steps of the whole run; the schedule is laid out over them.
    pub steps: u64,
    /// Where the model's files go.
    pub out: PathBuf,
    /// Where the state is kept and resumed from.
    pub checkpoint: PathBuf,
    /// Stop once this many steps of the run are done.
    pub stop_after: Option<u64>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Mean loss of the last step, in nats per token.
    pub loss: f64,
    /// Tokens a second since this process began.
    pub tokens_per_second: f64,
}

impl Node {
    /// Trains the village model and returns the digest of its state at the end.
    ///
    /// # Errors
    /// [`LearnError`] when a file cannot be read or written, or the checkpoint is another run's.
    pub fn train_village(
        &self,
        order: &TrainingOrder,
        watch: &mut dyn FnMut(&Progress),
    ) -> Result<(u64, Digest), LearnError> {
        files::make_dir(&order.out)?;
        let lessons = lessons(order)?;
        let mut state = begin(order)?;
        let mut workshop = Workshop::new(state.recipe());
        let pool = self.threads();
        let (start, mut saved, mut tokens) = (Instant::now(), Instant::now(), 0);
        let last = order.stop_after.unwrap_or(u64::MAX);
        while !state.is_done() && state.step_count() < last {
            let batch = lessons.batch(state.step_count())?;
            tokens += batch.tokens();
            let report = state.step(&batch, &mut workshop, &*pool);
            if state.step_count() % REPORT_EVERY == 0 {
                let tokens_per_second = tokens as f64 / start.elapsed().as_secs_f64();
                let (step, steps) = (state.step_count(), order.steps);
                watch(&Progress { step, steps, loss: report.loss, tokens_per_second });
            }
            if saved.elapsed() > SAVE_EVERY {
                files::write_whole(&order.checkpoint, &state.to_bytes())?;
                saved = Instant::now();
            }
        }
        files::write_whole(&order.checkpoint, &state.to_bytes())?;
        publish(&order.out, &state)?;
        Ok((state.step_count(), state.digest()))
    }
}

fn begin(order: &TrainingOrder) -> Result<TrainState, LearnError> {
    let Some(bytes) = files::read_if_there(&order.checkpoint, CHECKPOINT_BYTES_MAX)? else {
        return Ok(TrainState::new(&Recipe::village(order.steps)));
    };
    let state = TrainState::from_bytes(&bytes)?;
    let found = state.recipe().steps;
    if found != order.steps {
        return Err(LearnError::OtherRun { found, asked: order.steps });
    }
    Ok(state)
}

/// The lessons in the tokens of the output folder's tokenizer, which is made when there is none.
fn lessons(order: &TrainingOrder) -> Result<VillageLessons, LearnError> {
    let recipe = Recipe::village(order.steps);
    let path = order.out.join("tokenizer.json");
    let json = match files::read_if_there(&path, TOKENIZER_BYTES_MAX)? {
        Some(json) => json,
        None => make_tokenizer(&path, recipe.seed)?,
    };
    Ok(VillageLessons::new(tokens::read(&json)?, &recipe))
}

fn make_tokenizer(path: &Path, seed: u64) -> Result<Vec<u8>, LearnError> {
    let json = tokens::to_json(&tokens::train(seed, tokens::LESSONS)?)?;
    files::write_public(path, &json)?;
    Ok(json)
}

fn publish(out: &Path, state: &TrainState) -> Result<(), LearnError> {
    for (name, bytes) in export::files(state)? {
        files::write_public(&out.join(name), &bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Home, Settings};

    fn node(threads: usize) -> Node {
        let home = Home::find(|_| None);
        let config = Settings::default().resolve(&home).expect("defaults");
        Node::new(crate::config::Config { threads, ..config })
    }

    fn train(threads: usize, order: &TrainingOrder) -> (u64, Digest) {
        node(threads).train_village(order, &mut |_| {}).expect("trained")
    }

    /// The tokenizer takes seconds to learn; the shipped one serves every run.
    fn order(folder: &Path, stop_after: Option<u64>) -> TrainingOrder {
        let tokenizer = include_bytes!("../../../../models/village/tokenizer.json");
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::write(folder.join("tokenizer.json"), tokenizer).expect("written");
        let (out, checkpoint) = (folder.to_owned(), folder.join("state"));
        TrainingOrder { steps: 6, out, checkpoint, stop_after }
    }

    #[test]
    fn one_thread_two_threads_and_a_resumed_run_end_with_the_same_state_and_the_same_files() {
        let place = tempfile::tempdir().expect("a folder");
        let [one, two, cut] = ["one", "two", "cut"].map(|name| place.path().join(name));
        let whole = train(1, &order(&one, None));
        assert_eq!(whole.0, 6);
        assert_eq!(train(2, &order(&two, None)), whole);
        assert_eq!(train(2, &order(&cut, Some(3))).0, 3);
        assert_eq!(train(1, &order(&cut, None)), whole);
        for name in ["model.safetensors", "config.json", "chat_template.jinja", "state"] {
            let read = |folder: &Path| std::fs::read(folder.join(name)).expect("a file");
            assert_eq!(read(&one), read(&two), "{name}");
            assert_eq!(read(&one), read(&cut), "{name}");
        }
    }

    #[test]
    fn a_checkpoint_of_another_run_or_of_nothing_is_refused() {
        let place = tempfile::tempdir().expect("a folder");
        let order = order(place.path(), Some(1));
        train(1, &order);
        let other = TrainingOrder { steps: 9, ..order.clone() };
        let error = node(1).train_village(&other, &mut |_| {}).expect_err("another run");
        assert!(matches!(error, LearnError::OtherRun { found: 6, asked: 9 }), "{error}");
        std::fs::write(&order.checkpoint, b"not a state").expect("written");
        let error = node(1).train_village(&order, &mut |_| {}).expect_err("no state");
        assert!(matches!(error, LearnError::State(_)), "{error}");
    }
}
