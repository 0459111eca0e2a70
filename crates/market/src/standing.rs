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
}

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
