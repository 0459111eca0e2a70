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
        let _ = write!(out, "{}{end}", harmless(text)).and_then(|()| out.flush());
    }
}

/// An answer and a peer's words are other people's: what would command a terminal is shown as a
/// mark.
fn harmless(text: &str) -> String {
    let commands = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    text.chars().map(|letter| if commands(letter) { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_would_command_a_terminal_are_shown_as_marks() {
        assert_eq!(
            harmless("a\u{1b}[2Jb\r\u{9b}c\n\td é"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\n\td é"
        );
    }
}
