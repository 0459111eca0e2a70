//! The three providers of the demonstration, each a process of its own.

use anyhow::Context;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// One provider's process.
struct Neighbour {
    process: Child,
    key: String,
    ticket: String,
}

/// All of them; whoever still lives ends with this value.
pub struct Neighbours {
    all: Vec<Neighbour>,
}

impl Neighbours {
    /// Starts three providers that write at most `pace` tokens a second.
    pub fn start(place: &Path, pace: u32) -> anyhow::Result<Self> {
        let all = (1..=3).map(|number| Neighbour::start(&place.join(format!("{number}")), pace));
        Ok(Self { all: all.collect::<anyhow::Result<_>>()? })
    }

    /// Their tickets.
    pub fn tickets(&self) -> Vec<String> {
        self.all.iter().map(|neighbour| neighbour.ticket.clone()).collect()
    }

    /// Kills one without a farewell; whether it was there.
    pub fn kill(&mut self, key: &str) -> bool {
        let found = self.all.iter().position(|neighbour| neighbour.key == key);
        found.map(|place| self.all.swap_remove(place)).is_some()
    }
}

impl Neighbour {
    fn start(data: &Path, pace: u32) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut process = Command::new(program)
            .args(["provide", "--json", "--throw-away-keys", "--listen", "127.0.0.1:0"])
            .args(["--threads", "1", "--pace", &pace.to_string(), "--data-dir"])
            .arg(data)
            .env("MUTIRAO_RUN_ON_BATTERIES", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a provider")?;
        let output = process.stdout.take().context("a provider without output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).context("a provider said nothing")?;
        let said: serde_json::Value =
            serde_json::from_str(&line).context("a provider did not start; see above")?;
        let field = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        Ok(Self { process, key: field("provider"), ticket: field("ticket") })
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
