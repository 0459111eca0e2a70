//! What a client remembers about providers: who answered, how fast, who fell silent, who lied.
//!
//! Plain counters, no judgement of strangers by strangers: standing is one client's own memory.

use crate::Millis;
use crate::measure::Times;
use mutirao_wire::PeerKey;
use std::collections::BTreeMap;

/// What is remembered about one provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    /// Answers it finished or contributed to.
    pub answers: u32,
    /// Times it fell silent, refused or broke the protocol.
    pub failures: u32,
    /// Answers of it that replay confirmed.
    pub audits: u32,
    /// Times it gave a token that the model does not give.
    pub lies: u32,
    /// Running mean of the time to its first token.
    pub first_token_ms: Millis,
    /// Times to the first token, as this client measured them.
    pub first: Times,
    /// Times between two tokens, as this client measured them.
    pub between: Times,
    /// Times in a row that it did not say what it offers.
    pub silences: u32,
    /// Until then it is asked only when nobody else offers.
    pub quiet_until_ms: Millis,
}

/// How long a provider that said nothing once is left alone; twice as long each time after that.
const QUIET_MIN: Millis = 5_000;
/// The longest that it is left alone.
const QUIET_MAX: Millis = 5 * 60 * 1000;

impl Record {
    /// Per cent of its tries that were answers; `None` when there was no try.
    #[must_use]
    pub fn success_percent(&self) -> Option<u32> {
        let tries = u64::from(self.answers) + u64::from(self.failures);
        let percent = (u64::from(self.answers) * 100).checked_div(tries)?;
        u32::try_from(percent).ok()
    }
}

/// One client's memory.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    records: BTreeMap<PeerKey, Record>,
}

impl Standing {
    /// What is remembered about `provider`.
    #[must_use]
    pub fn of(&self, provider: &PeerKey) -> Record {
        self.records.get(provider).copied().unwrap_or_default()
    }

    /// Whether nothing of it was ever audited.
    // spec: SESSION-6.3
    #[must_use]
    pub fn is_new(&self, provider: &PeerKey) -> bool {
        self.of(provider).audits == 0
    }

    /// Whether it was caught lying: never asked again.
    // spec: SESSION-6.5
    #[must_use]
    pub fn is_banned(&self, provider: &PeerKey) -> bool {
        self.of(provider).lies > 0
    }

    /// Whether it fell silent so lately that nobody should wait for it. A memory that says more
    /// than the longest time comes from a clock that was set back, and is not believed.
    // spec: SESSION-5.6
    #[must_use]
    pub fn is_quiet(&self, provider: &PeerKey, now: Millis) -> bool {
        let until = self.of(provider).quiet_until_ms;
        now < until && until - now <= QUIET_MAX
    }

    /// Everybody who is remembered.
    pub fn iter(&self) -> impl Iterator<Item = (&PeerKey, &Record)> {
        self.records.iter()
    }

    /// It answered, its first token came after `first_token_ms`.
    pub fn answered(&mut self, provider: PeerKey, first_token_ms: Millis) {
        let record = self.records.entry(provider).or_default();
        // Wider for a moment: the memory may come from a file that says anything.
        let mean = (3 * u128::from(record.first_token_ms) + u128::from(first_token_ms)) / 4;
        let mean = Millis::try_from(mean).unwrap_or(Millis::MAX);
        record.first_token_ms = if record.answers == 0 { first_token_ms } else { mean };
        record.answers = record.answers.saturating_add(1);
    }

    /// What its answer took: until the first token, if that was its own, and between two of them.
    pub fn measured(&mut self, provider: PeerKey, first: Option<Millis>, between: &Times) {
        let record = self.records.entry(provider).or_default();
        if let Some(first) = first {
            record.first.note(first.saturating_mul(1000));
        }
        record.between.add(between);
    }

    /// It was asked what it offers, and had not answered by `now`.
    // spec: SESSION-5.6
    pub fn silent(&mut self, provider: PeerKey, now: Millis) {
        let record = self.records.entry(provider).or_default();
        let quiet = QUIET_MIN.saturating_mul(1 << record.silences.min(16)).min(QUIET_MAX);
        record.silences = record.silences.saturating_add(1);
        record.quiet_until_ms = now.saturating_add(quiet);
    }

    /// It said what it offers: its silence is forgotten.
    // spec: SESSION-5.6
    pub fn heard(&mut self, provider: &PeerKey) {
        if let Some(record) = self.records.get_mut(provider) {
            (record.silences, record.quiet_until_ms) = (0, 0);
        }
    }

    /// It fell silent, refused or broke the protocol.
    pub fn failed(&mut self, provider: PeerKey) {
        let record = self.records.entry(provider).or_default();
        record.failures = record.failures.saturating_add(1);
    }

    /// Replay confirmed it.
    pub fn audited(&mut self, provider: PeerKey) {
        let record = self.records.entry(provider).or_default();
        record.audits = record.audits.saturating_add(1);
    }

    /// Replay contradicted it.
    pub fn lied(&mut self, provider: PeerKey) {
        let record = self.records.entry(provider).or_default();
        record.lies = record.lies.saturating_add(1);
    }
}

impl FromIterator<(PeerKey, Record)> for Standing {
    fn from_iter<I: IntoIterator<Item = (PeerKey, Record)>>(records: I) -> Self {
        Self { records: records.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::peer;

    #[test]
    fn a_stranger_is_new_and_not_banned() {
        // spec: SESSION-6.3
        let standing = Standing::default();
        assert_eq!(standing.of(&peer(1)), Record::default());
        assert!(standing.is_new(&peer(1)) && !standing.is_banned(&peer(1)));
        assert_eq!(standing.iter().count(), 0, "asking about somebody remembers nobody");
    }

    #[test]
    fn only_a_confirmed_answer_makes_a_provider_known() {
        // spec: SESSION-6.3
        let mut standing = Standing::default();
        standing.answered(peer(1), 10);
        standing.failed(peer(1));
        assert!(standing.is_new(&peer(1)), "answers that nobody checked say nothing");
        standing.audited(peer(1));
        assert!(!standing.is_new(&peer(1)) && standing.is_new(&peer(2)));
    }

    #[test]
    fn one_lie_is_never_forgotten_whatever_follows_it() {
        // spec: SESSION-6.5
        let mut standing = Standing::default();
        standing.lied(peer(1));
        for _ in 0..100 {
            standing.audited(peer(1));
            standing.answered(peer(1), 1);
        }
        assert!(standing.is_banned(&peer(1)) && !standing.is_banned(&peer(2)));
    }

    #[test]
    fn the_first_answer_sets_the_mean_and_later_ones_move_it_by_a_quarter() {
        let mut standing = Standing::default();
        let mut mean_after = |first_token_ms| {
            standing.answered(peer(1), first_token_ms);
            standing.of(&peer(1)).first_token_ms
        };
        assert_eq!([400, 0, 0, 625].map(&mut mean_after), [400, 300, 225, 325]);
    }

    #[test]
    fn a_clock_that_ran_wild_does_not_overflow_the_mean() {
        let mut standing = Standing::default();
        standing.answered(peer(1), Millis::MAX);
        standing.answered(peer(1), Millis::MAX);
        assert!(standing.of(&peer(1)).first_token_ms >= Millis::MAX / 4);
    }

    #[test]
    fn silence_is_remembered_longer_each_time_and_forgotten_at_the_first_word() {
        // spec: SESSION-5.6
        let (mut standing, mut now) = (Standing::default(), 1_000);
        let mut pauses = Vec::new();
        for _ in 0..40 {
            standing.silent(peer(1), now);
            let pause = standing.of(&peer(1)).quiet_until_ms - now;
            assert!(standing.is_quiet(&peer(1), now + pause - 1));
            assert!(!standing.is_quiet(&peer(1), now + pause) && !standing.is_quiet(&peer(2), now));
            pauses.push(pause);
            now += pause;
        }
        assert!(pauses.starts_with(&[5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000]));
        assert_eq!(pauses.last(), Some(&300_000), "some minutes, and no more");
        standing.heard(&peer(1));
        standing.heard(&peer(3));
        assert!(!standing.is_quiet(&peer(1), now) && standing.iter().count() == 1);
        standing.silent(peer(1), now);
        assert_eq!(standing.of(&peer(1)).quiet_until_ms, now + 5_000, "it begins anew");
    }

    #[test]
    fn a_clock_that_was_set_back_silences_nobody_for_ever() {
        // spec: SESSION-5.6
        let mut standing = Standing::default();
        standing.silent(peer(1), 1_000_000_000);
        assert!(!standing.is_quiet(&peer(1), 5));
        standing.silent(peer(2), Millis::MAX);
        assert!(!standing.is_quiet(&peer(2), Millis::MAX));
    }

    #[test]
    fn what_is_read_back_from_a_file_is_what_was_remembered() {
        let mut standing = Standing::default();
        standing.failed(peer(1));
        standing.answered(peer(2), 70);
        standing.audited(peer(2));
        standing.lied(peer(3));
        let kept: Vec<(PeerKey, Record)> = standing.iter().map(|(key, it)| (*key, *it)).collect();
        let again: Standing = kept.iter().copied().collect();
        assert!(again.iter().eq(standing.iter()));
        assert_eq!(
            again.of(&peer(2)),
            Record { answers: 1, audits: 1, first_token_ms: 70, ..Record::default() }
        );
    }
}
