//! `cargo xtask bench llama`: the engine beside llama.cpp and candle, in one table.
//!
//! Everything that is measured runs in a process of its own, one after the other, round after
//! round, so that whatever else the machine does falls on all of them. A ratio is the median over
//! the rounds of the two figures of one round.

mod llama;
mod table;

use anyhow::Context as _;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const USAGE: &str = "bench llama [--rounds N] [--threads 1,2] [--folder PATH]";

/// What the words ask for.
struct Plan {
    rounds: usize,
    threads: Vec<usize>,
    /// Where llama.cpp and the models are kept: some gigabytes.
    folder: PathBuf,
}

/// What is measured.
struct Programs {
    ours: PathBuf,
    rival: PathBuf,
    candle: PathBuf,
}

/// Builds what is missing, measures, prints all measurements and the table.
pub fn main(words: &[String]) -> anyhow::Result<bool> {
    let mut plan = plan(words)?;
    std::fs::create_dir_all(&plan.folder)?;
    // What builds llama.cpp changes folders on the way.
    plan.folder = plan.folder.canonicalize()?;
    let programs = Programs {
        ours: build_ours()?,
        rival: llama::build(&plan.folder)?,
        candle: build_candle()?,
    };
    for profile in ["w8", "w4"] {
        if !plan.folder.join(format!("{profile}.gguf")).exists() {
            run(Command::new(&programs.ours).arg("model").arg(&plan.folder).arg(profile))?;
        }
    }
    let mut table = table::Table::default();
    for round in 0..plan.rounds {
        for threads in &plan.threads {
            measure(&plan, &mut table, &programs, round, *threads)?;
        }
    }
    println!("\n{}", table.markdown());
    Ok(true)
}

fn plan(words: &[String]) -> anyhow::Result<Plan> {
    let mut plan =
        Plan { rounds: 5, threads: vec![1, 2], folder: PathBuf::from("target/bench-llama") };
    let [what, words @ ..] = words else { anyhow::bail!("{USAGE}") };
    anyhow::ensure!(what == "llama" && words.len() % 2 == 0, "{USAGE}");
    for pair in words.chunks(2) {
        let [flag, value] = pair else { anyhow::bail!("{USAGE}") };
        match flag.as_str() {
            "--rounds" => plan.rounds = value.parse().context("--rounds takes a number")?,
            "--folder" => plan.folder = PathBuf::from(value),
            "--threads" => {
                let threads = value.split(',').map(str::parse).collect::<Result<_, _>>();
                plan.threads = threads.context("--threads takes numbers")?;
            }
            _ => anyhow::bail!("{USAGE}"),
        }
    }
    Ok(plan)
}

fn build_ours() -> anyhow::Result<PathBuf> {
    let mut cargo = Command::new(crate::tidy::cargo());
    cargo.args(["build", "--release", "--manifest-path", "benches/Cargo.toml"]);
    run(cargo.args(["--target-dir", "target/benches"]))?;
    Ok(Path::new("target/benches/release/llama").to_owned())
}

/// For this machine's processor: candle chooses its instructions when it is compiled.
fn build_candle() -> anyhow::Result<PathBuf> {
    let mut cargo = Command::new(crate::tidy::cargo());
    cargo.args(["build", "--release", "--manifest-path", "benches/candle/Cargo.toml"]);
    cargo.args(["--target-dir", "target/bench-candle"]).env("RUSTFLAGS", "-C target-cpu=native");
    run(&mut cargo)?;
    Ok(Path::new("target/bench-candle/release/mutirao-bench-candle").to_owned())
}

/// One round at one number of threads.
fn measure(
    plan: &Plan,
    table: &mut table::Table,
    Programs { ours, rival, candle }: &Programs,
    round: usize,
    threads: usize,
) -> anyhow::Result<()> {
    let count = threads.to_string();
    let mut note = |name: &str, command: &mut Command| -> anyhow::Result<()> {
        for line in lines(command)? {
            println!("round {round} threads {threads} {name} {line}");
            table.add(round, threads, name, &line)?;
        }
        Ok(())
    };
    note("memory", Command::new(ours).args(["read", &count]))?;
    for (profile, kind) in [("w8", "Q8_0"), ("w4", "Q4_0")] {
        let model = |ending: &str| plan.folder.join(format!("{profile}.{ending}"));
        let tokens = ["128", "512", "32"];
        let command = |program: &Path| Command::new(program);
        note(profile, command(ours).arg("ours").arg(model("packed")).arg(&count).args(tokens))?;
        note(kind, command(rival).arg(model("gguf")).arg(&count).args(tokens))?;
        let mut candle = command(candle);
        candle.env("RAYON_NUM_THREADS", &count).arg(model("gguf")).args(["128", "32"]);
        note(&format!("candle {kind}"), &mut candle)?;
    }
    Ok(())
}

/// The signal of an instruction that the machine does not take.
const ILLEGAL_INSTRUCTION: i32 = 4;
const FORBIDDEN: &str = "\nThe processor announces instructions that this machine forbids (AMX, in \
    many virtual ones). Delete target/bench-llama and build it without them: \
    CXXFLAGS='-mno-amx-tile -mno-amx-int8 -mno-amx-bf16' cargo xtask bench llama";

/// Runs a command whose output is wanted.
fn lines(command: &mut Command) -> anyhow::Result<Vec<String>> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let hint = if output.status.signal() == Some(ILLEGAL_INSTRUCTION) { FORBIDDEN } else { "" };
    let status = output.status;
    anyhow::ensure!(status.success(), "{command:?} failed, {status}: {errors}{hint}");
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    anyhow::ensure!(status.success(), "{command:?} failed");
    Ok(())
}
