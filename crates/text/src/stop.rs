//! Stop strings: where an answer ends that the user wants to end before a certain text.
//!
//! They are the client's affair: the text is searched here and the job is cancelled at the token
//! that completes the stop, so that what was cut does not depend on when the cancel arrived.

/// Looks for stop strings in streamed text, holding back what may be the start of one.
#[derive(Debug, Clone)]
pub struct StopFinder {
    stops: Vec<String>,
    held: String,
}

/// What one more piece of text comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Text that can be shown.
    pub text: String,
    /// Whether a stop string is complete.
    pub stopped: bool,
}

impl StopFinder {
    /// Looks for any of `stops`; empty ones are ignored.
    #[must_use]
    pub fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self { stops, held: String::new() }
    }

    /// Takes more text; gives what can be shown.
    pub fn push(&mut self, text: &str) -> Found {
        self.held.push_str(text);
        let first = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min();
        if let Some(at) = first {
            let text = self.held.get(..at).unwrap_or_default().to_owned();
            self.held.clear();
            return Found { text, stopped: true };
        }
        let safe = self.held.len() - self.suspicious();
        let rest = self.held.split_off(safe);
        Found { text: std::mem::replace(&mut self.held, rest), stopped: false }
    }

    /// Gives what was held back, at the end of the answer.
    #[must_use]
    pub fn finish(self) -> String {
        self.held
    }

    /// Bytes at the end that may be the start of a stop string.
    fn suspicious(&self) -> usize {
        self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0)
    }
}

/// Bytes at the end of `text` that may be the start of `word`.
pub(crate) fn overlap(text: &str, word: &str) -> usize {
    let lengths = word.char_indices().map(|(at, _)| at).rev();
    let mut starts =
        lengths.filter(|at| word.get(..*at).is_some_and(|start| text.ends_with(start)));
    starts.next().unwrap_or(0)
}
