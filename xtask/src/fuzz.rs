//! `cargo xtask fuzz`: lets a fuzzer search for inputs that break what must hold.
//!
//! The searching needs a nightly compiler and `cargo-fuzz`; replaying what was found needs neither
//! and is an ordinary test of `mutirao-fuzz`.

use anyhow::Context as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where the programs for the fuzzer are.
const ROOM: &str = "fuzz/libfuzzer";
const MINUTES: u64 = 10;
/// More memory than an honest input needs.
const MEMORY_MIB: u32 = 2048;
/// An input that takes longer than this is a finding.
const SECONDS_MAX: u32 = 20;

/// Runs all targets, or those named, one after another: `fuzz [--minutes N] [target …]`.
pub fn main(words: &[String]) -> anyhow::Result<bool> {
    let (minutes, named) = match words {
        [flag, minutes, named @ ..] if flag == "--minutes" => {
            (minutes.parse().context("--minutes takes a number")?, named)
        }
        named => (MINUTES, named),
    };
    if !is_there() {
        anyhow::bail!(
            "cargo-fuzz or a nightly compiler is missing; get them with\n  \
             rustup toolchain install nightly\n  cargo install cargo-fuzz --locked"
        );
    }
    let targets = if named.is_empty() { targets()? } else { named.to_vec() };
    let mut clean = true;
    for target in targets {
        println!("{target}: {minutes} minutes");
        clean &= fuzz(&target, minutes)?;
    }
    Ok(clean)
}

fn is_there() -> bool {
    let words = ["+nightly", "fuzz", "--version"];
    let mut command = Command::new("cargo");
    command.args(words).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn targets() -> anyhow::Result<Vec<String>> {
    let folder = Path::new(ROOM).join("targets");
    let entries = std::fs::read_dir(&folder).context("run this in the root of the repository")?;
    let name = |path: &Path| Some(path.file_stem()?.to_str()?.to_owned());
    let mut found: Vec<_> = entries.flatten().filter_map(|entry| name(&entry.path())).collect();
    found.sort_unstable();
    Ok(found)
}

/// New inputs go to a folder that is not kept; what is worth keeping is copied by a person.
fn fuzz(target: &str, minutes: u64) -> anyhow::Result<bool> {
    let found = Path::new(ROOM).join("target/found").join(target);
    std::fs::create_dir_all(&found)?;
    let status = Command::new("cargo")
        .args(["+nightly", "fuzz", "run", "--fuzz-dir", ROOM, target])
        .arg(&found)
        .arg(Path::new("fuzz/corpus").join(target))
        .args(["--", "-print_final_stats=1", "-use_value_profile=1"])
        .arg(format!("-max_total_time={}", minutes * 60))
        .args([format!("-rss_limit_mb={MEMORY_MIB}"), format!("-timeout={SECONDS_MAX}")])
        .status()
        .context("cannot start cargo fuzz")?;
    Ok(status.success())
}
