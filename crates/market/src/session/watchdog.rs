//! How long silence may last. Death is usually silent: a killed process or a cut cable says
//! nothing, so only the clock can tell.

use crate::Millis;

/// Gaps that the percentile is taken over.
const GAPS_MAX: usize = 128;
/// Shortest patience between two tokens.
pub const PATIENCE_MIN: Millis = 100;
/// Longest patience between two tokens.
pub const PATIENCE_MAX: Millis = 2_000;
/// Shortest patience with a provider after whom nobody is left.
pub const LAST_PATIENCE: Millis = 15_000;
/// First pause before those who were full are asked again; each next one is twice as long.
pub const PLACE_PAUSE_MIN: Millis = 100;
/// Longest pause before those who were full are asked again.
pub const PLACE_PAUSE_MAX: Millis = 2_000;
/// Patience for a connection.
pub const DIAL_PATIENCE: Millis = 4_000;
/// Patience for the first sign of work, before the tokens to read are counted.
const READING_PATIENCE: Millis = 2_000;

/// Watches the gaps between tokens.
#[derive(Debug, Clone, Default)]
pub struct Watchdog {
    gaps: Vec<Millis>,
    next: usize,
}

impl Watchdog {
    /// Notes the time between two tokens.
    pub fn note(&mut self, gap: Millis) {
        match self.gaps.get_mut(self.next) {
            Some(slot) => *slot = gap,
            None => self.gaps.push(gap),
        }
        self.next = (self.next + 1) % GAPS_MAX;
    }

    /// How long the next token may take: eight times the 95th percentile of the gaps, within
    /// bounds; the longest patience until something is known.
    // spec: SESSION-5.1
    #[must_use]
    pub fn patience(&self) -> Millis {
        let mut gaps = self.gaps.clone();
        gaps.sort_unstable();
        let at = (gaps.len() * 95).div_ceil(100).saturating_sub(1);
        let percentile = if gaps.len() < 4 { None } else { gaps.get(at) };
        percentile
            .map_or(PATIENCE_MAX, |gap| gap.saturating_mul(8).clamp(PATIENCE_MIN, PATIENCE_MAX))
    }

    /// How long a provider may be silent while it reads `tokens`: a slow machine reads some
    /// hundred tokens a second, and says how far it is.
    // spec: SESSION-5.2
    #[must_use]
    pub fn reading_patience(tokens: usize) -> Millis {
        READING_PATIENCE + 10 * Millis::try_from(tokens).unwrap_or(PATIENCE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_follows_the_slowest_usual_gap_within_its_bounds() {
        // spec: SESSION-5.1
        let mut watchdog = Watchdog::default();
        assert_eq!(watchdog.patience(), PATIENCE_MAX);
        (0..20).for_each(|_| watchdog.note(1));
        assert_eq!(watchdog.patience(), PATIENCE_MIN);
        (0..200).for_each(|_| watchdog.note(40));
        assert_eq!(watchdog.patience(), 320);
        (0..200).for_each(|_| watchdog.note(5_000));
        assert_eq!(watchdog.patience(), PATIENCE_MAX);
        (0..200).for_each(|_| watchdog.note(Millis::MAX));
        assert_eq!(watchdog.patience(), PATIENCE_MAX);
    }

    #[test]
    fn one_hiccup_in_twenty_gaps_makes_nobody_more_patient_and_two_do() {
        // spec: SESSION-5.1
        let mut watchdog = Watchdog::default();
        (0..3).for_each(|_| watchdog.note(20));
        assert_eq!(watchdog.patience(), PATIENCE_MAX, "three gaps say nothing yet");
        (0..16).for_each(|_| watchdog.note(20));
        watchdog.note(200);
        assert_eq!(watchdog.patience(), 160);
        watchdog.note(200);
        watchdog.note(200);
        assert_eq!(watchdog.patience(), 1_600);
    }

    #[test]
    fn only_the_last_128_gaps_count() {
        // spec: SESSION-5.1
        let mut watchdog = Watchdog::default();
        (0..100).for_each(|_| watchdog.note(200));
        (0..120).for_each(|_| watchdog.note(20));
        assert_eq!(watchdog.patience(), 1_600, "eight of 128 are slow");
        (0..2).for_each(|_| watchdog.note(20));
        assert_eq!(watchdog.patience(), 160);
    }

    #[test]
    fn a_long_prompt_may_take_longer_to_read() {
        // spec: SESSION-5.2
        assert!(Watchdog::reading_patience(15_000) >= Watchdog::reading_patience(10) + 140_000);
    }
}
