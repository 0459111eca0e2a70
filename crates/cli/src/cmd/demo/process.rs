//! Another process of this program, for as long as the demonstration needs it.

use anyhow::Context;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// This program, to be started once more.
pub(super) fn this_program() -> anyhow::Result<Command> {
    Ok(Command::new(std::env::current_exe().context("cannot find this program")?))
}

/// A field of what a process said, which must be there.
pub(super) fn text(said: &Value, field: &str) -> anyhow::Result<String> {
    Ok(said[field].as_str().with_context(|| format!("no {field} in {said}"))?.to_owned())
}

/// A process that said that it runs; it ends with this value.
pub(super) struct Process {
    child: Child,
    said: Value,
}

impl Process {
    /// Starts it and waits for its first line, which is JSON.
    pub(super) fn start(command: &mut Command, what: &str) -> anyhow::Result<Self> {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let child = command.spawn().with_context(|| format!("cannot start {what}"))?;
        let mut process = Self { child, said: Value::Null };
        let output = process.child.stdout.take();
        let output = output.with_context(|| format!("{what} has no output"))?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        process.said = serde_json::from_str(&line)
            .with_context(|| format!("{what} did not start; see above"))?;
        Ok(process)
    }

    /// A field of its first line.
    pub(super) fn text(&self, field: &str) -> anyhow::Result<String> {
        text(&self.said, field)
    }

    /// Ends it without a farewell.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
