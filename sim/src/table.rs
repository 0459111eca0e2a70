//! Counts, one line for each kind of trial.

use crate::judge::{Verdict, verdict};
use crate::plan::Kind;
use crate::record::TrialRecord;
use mutirao_market::Millis;
use std::collections::BTreeMap;
use std::fmt;

/// What came of all trials of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Line {
    /// Trials.
    pub trials: u64,
    /// Misfortunes and refusals that happened in them.
    pub struck: u64,
    /// Answers asked for.
    pub answers: u64,
    /// Answers equal to the unbroken run.
    pub equal: u64,
    /// Answers that ended at a lie with evidence.
    pub evidence: u64,
    /// Answers that ended at a lie which its author never signed.
    pub unsigned: u64,
    /// Answers whose client did not pay, or vanished.
    pub unpaid: u64,
    /// Providers that were tried after the first of an answer.
    pub failovers: u64,
    /// Tokens that users saw.
    pub tokens: u64,
    /// Silences between two providers, all together, and their number.
    pub gaps: (Millis, u64),
}

impl Line {
    fn add(&mut self, trial: &TrialRecord) {
        self.trials += 1;
        self.struck += (trial.struck + trial.refusals) as u64;
        for ask in &trial.asks {
            self.answers += 1;
            match verdict(ask, &trial.mind) {
                Verdict::Equal => self.equal += 1,
                Verdict::Evidence => self.evidence += 1,
                Verdict::Unsigned => self.unsigned += 1,
                Verdict::Unpaid => self.unpaid += 1,
                Verdict::Wrong => {}
            }
            self.failovers += ask.dialled.len().saturating_sub(1) as u64;
            self.tokens += ask.shown.len() as u64;
            let gaps = ask.gaps();
            self.gaps.0 += gaps.iter().sum::<Millis>();
            self.gaps.1 += gaps.len() as u64;
        }
    }

    fn sum(lines: impl Iterator<Item = Self>) -> Self {
        lines.fold(Self::default(), |sum, line| Self {
            trials: sum.trials + line.trials,
            struck: sum.struck + line.struck,
            answers: sum.answers + line.answers,
            equal: sum.equal + line.equal,
            evidence: sum.evidence + line.evidence,
            unsigned: sum.unsigned + line.unsigned,
            unpaid: sum.unpaid + line.unpaid,
            failovers: sum.failovers + line.failovers,
            tokens: sum.tokens + line.tokens,
            gaps: (sum.gaps.0 + line.gaps.0, sum.gaps.1 + line.gaps.1),
        })
    }

    /// Mean silence between two providers.
    #[must_use]
    pub fn mean_gap(&self) -> Millis {
        self.gaps.0.checked_div(self.gaps.1).unwrap_or(0)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        let Self { trials, struck, answers, equal, evidence, unsigned, unpaid, .. } = self;
        let Self { failovers, tokens, .. } = self;
        let gap = self.mean_gap();
        writeln!(
            f,
            "{name:<20} {trials:>6} {struck:>6} {answers:>7} {equal:>7} {evidence:>8} \
             {unsigned:>8} {unpaid:>7} {failovers:>9} {tokens:>7} {gap:>8}"
        )
    }
}

/// One line for each kind, and their sum.
#[derive(Debug, Clone, Default)]
pub struct Table {
    lines: BTreeMap<Kind, Line>,
}

impl Table {
    /// Counts a trial.
    pub fn add(&mut self, trial: &TrialRecord) {
        self.lines.entry(trial.kind).or_default().add(trial);
    }

    /// The line of a kind.
    #[must_use]
    pub fn line(&self, kind: Kind) -> Line {
        self.lines.get(&kind).copied().unwrap_or_default()
    }

    /// All kinds together.
    #[must_use]
    pub fn sum(&self) -> Line {
        Line::sum(self.lines.values().copied())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<20} {:>6} {:>6} {:>7} {:>7} {:>8} {:>8} {:>7} {:>9} {:>7} {:>8}",
            "kind",
            "trials",
            "struck",
            "answers",
            "equal",
            "evidence",
            "unsigned",
            "unpaid",
            "failovers",
            "tokens",
            "gap ms"
        )?;
        for (kind, line) in &self.lines {
            line.write(f, kind.words())?;
        }
        self.sum().write(f, "all")
    }
}
