//! The only place that prints. Text for people, or one JSON object a line with `--json`.

use serde_json::Value;
use std::io::Write;

/// Where answers go: people or programs.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    /// One JSON object instead of text.
    pub json: bool,
}

impl Printer {
    /// A line for people; programs do not see it.
    pub fn say(self, line: impl AsRef<str>) {
        if !self.json {
            self.write(line.as_ref(), "\n");
        }
    }

    /// Part of a line for people, shown at once.
    pub fn part(self, text: &str) {
        if !self.json {
            self.write(text, "");
        }
    }

    /// An object for programs; people do not see it.
    pub fn object(self, value: &Value) {
        if self.json {
            self.write(&value.to_string(), "\n");
        }
    }

    /// Standard output that is gone (`mutirao … | head`) is no error of ours.
    fn write(self, text: &str, end: &str) {
        let mut out = std::io::stdout().lock();
        let _ = write!(out, "{text}{end}").and_then(|()| out.flush());
    }
}
