//! The three providers of the demonstration, each a process of its own.

use super::process::{Process, this_program};
use std::path::Path;

/// One provider's process.
struct Neighbour {
    _process: Process,
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
        let mut command = this_program()?;
        command
            .args(["provide", "--json", "--throw-away-keys", "--listen", "127.0.0.1:0"])
            .args(["--threads", "1", "--pace", &pace.to_string(), "--data-dir"])
            .arg(data)
            .env("MUTIRAO_RUN_ON_BATTERIES", "true");
        let process = Process::start(&mut command, "a provider")?;
        let (key, ticket) = (process.text("provider")?, process.text("ticket")?);
        Ok(Self { _process: process, key, ticket })
    }
}
