//! Answers from real processes that are killed or frozen while they write.
//!
//! Each trial starts three providers, joins them from a client of its own, and strikes one or two
//! of them at moments drawn from the trial's number. The answer must be the unbroken one, and its
//! receipt must verify. At least one provider always stays alive. Some of the prompts are as long
//! as an agent's first turn, and are struck while they are still being read.

use super::{Person, name, texts};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const STORY: &str = "Tell me a story about a fox and a bell.";
/// Tokens a second: the story takes two seconds, long enough to be struck in the middle.
const PACE: &str = "60";
/// Sentences of the long prompt; about thirteen tokens each.
const SENTENCES: usize = 1_175;

/// What is asked of which model, with the answer of one machine that nobody disturbs.
struct Question {
    model: String,
    prompt: String,
    unbroken: String,
    tokens_in_prompt: u64,
    /// The strikes fall within this time.
    ends: u64,
}

impl Question {
    fn new(model: &str, prompt: String, ends: u64) -> Self {
        let person = Person::new();
        let receipt = person.path("receipt.json");
        let said = person.json(&["run", model, &prompt, "--receipt", name(&receipt)]);
        let unbroken = said["answer"].as_str().expect("text").to_owned();
        let tokens_in_prompt = said["prompt_tokens"].as_u64().expect("a count");
        Self { model: model.to_owned(), prompt, unbroken, tokens_in_prompt, ends }
    }

    fn story() -> Self {
        Self::new("village", STORY.to_owned(), 1_400)
    }

    /// Asked of the village with a longer context than it learned: its answer makes no sense and
    /// is as exact as any.
    fn long(model: &Path) -> Self {
        let sentence = |n: usize| format!("Ana walks to the river with {} apples.", n * 37 % 98);
        let prompt = (0..SENTENCES).map(sentence).collect::<Vec<_>>().join(" ");
        Self::new(name(model), prompt, 12_000)
    }
}

/// The village with room for a long prompt.
fn with_a_long_context(directory: &Path) {
    let village = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/village");
    for file in std::fs::read_dir(village).expect("the shipped model") {
        let file = file.expect("an entry");
        std::fs::copy(file.path(), directory.join(file.file_name())).expect("copied");
    }
    let path = directory.join("config.json");
    let text = std::fs::read_to_string(&path).expect("a configuration");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    config["max_position_embeddings"] = 16_384.into();
    std::fs::write(path, config.to_string()).expect("written");
}

pub struct Provider {
    process: Child,
    pub ticket: String,
}

impl Provider {
    pub fn start(person: &Person, number: usize, model: &str) -> Self {
        let data = person.path(&format!("provider{number}"));
        let words = ["provide", model, "--throw-away-keys", "--pace", PACE, "--threads", "1"];
        Self::listening(person, &[&words[..], &["--data-dir", name(&data)]].concat())
    }

    /// A provider started with these words.
    pub fn listening(person: &Person, words: &[&str]) -> Self {
        let mut process = person
            .command(words)
            .arg("--json")
            .stdout(Stdio::piped())
            .spawn()
            .expect("a provider starts");
        let mut line = String::new();
        let output = process.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("its first line");
        let said: Value = serde_json::from_str(&line).expect("JSON");
        Self { process, ticket: said["ticket"].as_str().expect("a ticket").to_owned() }
    }

    fn strike(&self, signal: &str) {
        let pid = self.process.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().expect("kill runs");
        assert!(status.success(), "kill {signal} {pid}");
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Numbers that depend on the trial alone.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// One trial; how many providers wrote the answer.
fn trial(number: u64, question: &Question) -> usize {
    let person = Person::new();
    let model = question.model.as_str();
    let providers: Vec<_> = (0..3).map(|n| Provider::start(&person, n, model)).collect();
    for provider in &providers {
        person.json(&["join", &provider.ticket]);
    }
    let mut draw = Draw(number);
    let mode = if draw.below(2) == 0 { "streamed" } else { "checked" };
    let words = ["run", model, &question.prompt, "--privacy", "circle", "--mode", mode, "--json"];
    let receipt = person.path("receipt.json");
    let client = person
        .command(&words)
        .args(["--receipt", name(&receipt)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the client starts");
    let first = draw.below(3) as usize;
    for turn in 0..1 + draw.below(2) as usize {
        std::thread::sleep(Duration::from_millis(200 + draw.below(question.ends - 200)));
        let signal = if draw.below(2) == 0 { "-KILL" } else { "-STOP" };
        providers[(first + turn) % 3].strike(signal);
    }
    let output = client.wait_with_output().expect("the client ends");
    let (out, errors) = texts(&output);
    assert!(output.status.success(), "trial {number}, {mode}: {out}{errors}");
    let said: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(said["answer"], question.unbroken.as_str(), "trial {number}, {mode}");
    let verdict = person.json(&["verify", name(&receipt), "--model", model]);
    assert_eq!(verdict["holds"], true, "trial {number}");
    said["providers"].as_array().expect("a list").len()
}

/// Trials, two at a time; how many answers changed hands.
fn trials(numbers: std::ops::Range<u64>, question: &Question) -> usize {
    let next = std::sync::atomic::AtomicU64::new(numbers.start);
    let work = || {
        let mut changed = 0;
        loop {
            let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if number >= numbers.end {
                return changed;
            }
            changed += usize::from(trial(number, question) > 1);
        }
    };
    std::thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.into_iter().map(|worker| worker.join().expect("no trial failed")).sum()
    })
}

#[test]
fn answers_survive_processes_that_are_killed_or_frozen() {
    trials(0..4, &Question::story());
}

#[test]
fn fifty_answers_survive_processes_that_are_killed_or_frozen_slow_() {
    if std::env::var_os("MUTIRAO_SLOW").is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    with_a_long_context(directory.path());
    let long = Question::long(directory.path());
    assert!(long.tokens_in_prompt >= 15_000, "{} tokens", long.tokens_in_prompt);
    let changed = trials(100..148, &Question::story()) + trials(148..150, &long);
    assert!(changed >= 15, "only {changed} of 50 answers changed hands");
}
