//! What a client remembers about providers: who answered, how fast, who fell silent, who lied.
//!
//! Plain counters, no judgement of strangers by strangers: standing is one client's own memory.

use crate::Millis;
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
        let mean = (3 * record.first_token_ms + first_token_ms) / 4;
        record.first_token_ms = if record.answers == 0 { first_token_ms } else { mean };
        record.answers = record.answers.saturating_add(1);
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
