//! How long a reader waits when the machine that writes dies silently: three real providers, one of
//! which is killed or frozen in mid-answer, again and again; the time from the last piece of the
//! dead to the first of the next.
//!
//! The gap is the watchdog's patience and the next provider's reading of the prompt and of what was
//! written so far. `cargo bench -p mutirao-cli --bench gap`
#![allow(clippy::print_stdout, reason = "a program whose output is a table")]

use anyhow::Context;
use mutirao_node::Node;
use mutirao_node::ask::{Notice, Question};
use mutirao_node::config::{Config, Home, Settings};
use mutirao_wire::bundle::Message;
use mutirao_wire::form::Form;
use mutirao_wire::{Privacy, Sampling};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: usize = 60;
/// Tokens a second, as a reader follows.
const PACE: &str = "60";
/// Pieces of text before the strike.
const PIECES: usize = 20;

struct Provider {
    process: Child,
    key: String,
    ticket: String,
}

impl Provider {
    fn start(data: &Path) -> anyhow::Result<Self> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_mutirao"))
            .args(["provide", "--json", "--throw-away-keys", "--listen", "127.0.0.1:0"])
            .args(["--threads", "1", "--pace", PACE, "--data-dir"])
            .arg(data)
            .env("MUTIRAO_RUN_ON_BATTERIES", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no output")?).read_line(&mut line)?;
        let said: Value = serde_json::from_str(&line)?;
        let field = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        Ok(Self { process, key: field("provider"), ticket: field("ticket") })
    }

    fn strike(&self, signal: &str) {
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args([signal, &pid]).status();
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn question() -> Question {
    let content = "Tell me a story about a fox and a bell.".to_owned();
    Question {
        model: "village".into(),
        messages: vec![Message { role: "user".into(), content }],
        sampling: Sampling::greedy(),
        max_tokens: 512,
        stop: Vec::new(),
        form: Form::default(),
        logprobs: None,
        raw: false,
    }
}

/// One answer with a death in its middle; the longest silence of the reader from then on.
async fn gap(place: &Path, signal: &str) -> anyhow::Result<Duration> {
    let all = (0..3).map(|number| Provider::start(&place.join(format!("{number}"))));
    let all = all.collect::<anyhow::Result<Vec<_>>>()?;
    let config = Settings::default().resolve(&Home::find(|_| None)).context("the defaults")?;
    let data_dir = place.join("client");
    let config =
        Config { data_dir, privacy: Privacy::Circle, receipts: false, audit_one_in: 0, ..config };
    let client = Node::new(config);
    for provider in &all {
        client.join(&provider.ticket.parse()?).await?;
    }
    let (mut writing, mut pieces, mut last) = (String::new(), 0, Instant::now());
    let mut longest = Duration::ZERO;
    let mut notice = |notice: Notice| match notice {
        Notice::Asking { provider } => writing = provider.to_string(),
        Notice::Text { .. } => {
            if pieces >= PIECES {
                longest = longest.max(last.elapsed());
            }
            (pieces, last) = (pieces + 1, Instant::now());
            if pieces == PIECES {
                all.iter().filter(|one| one.key == writing).for_each(|one| one.strike(signal));
                last = Instant::now();
            }
        }
        _ => {}
    };
    let answered = client.ask(&question(), &mut notice).await?;
    anyhow::ensure!(answered.providers.len() == 2, "written by {}", answered.providers.len());
    Ok(longest)
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    for (signal, word) in [("-KILL", "killed"), ("-STOP", "frozen")] {
        let mut gaps = Vec::new();
        for _ in 0..RUNS {
            let place = tempfile::tempdir()?;
            gaps.push(runtime.block_on(gap(place.path(), signal))?.as_millis());
        }
        gaps.sort_unstable();
        let (p50, p95) = (gaps[RUNS / 2], gaps[RUNS * 95 / 100]);
        println!(
            "{word}: {RUNS} deaths, gap p50 {p50} ms, p95 {p95} ms, longest {} ms",
            gaps[RUNS - 1]
        );
    }
    Ok(())
}
