//! Holds what came of a trial against the unbroken run, and says what must not have happened.
//!
//! The judge trusts no state machine: it reads tokens that users saw, files that clients would
//! keep, and statements that providers signed, and lets a third party's verification decide.

mod money;

use crate::mind::{Mind, count};
use crate::plan::{Kind, Purse};
use crate::record::{AskRecord, Ending, Left, Shown, Signed, Told, TrialRecord};
use mutirao_market::audit::{self, Conviction, Replay, Replayer};
use mutirao_market::session::client::{Mode, Outcome, SessionError};
use mutirao_wire::bundle::{Evidence, Opening, ReceiptBundle};
use mutirao_wire::{Finish, PeerKey, Token};
use std::fmt;

/// Something that must not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// In which answer, if in one.
    pub ask: Option<usize>,
    /// What.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ask {
            Some(ask) => write!(f, "answer {ask}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// Everything that must not have happened in a trial, and did.
#[must_use]
pub fn judge(trial: &TrialRecord) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut world = |wrong: bool, what: &str| {
        if wrong {
            found.push(Violation { ask: None, what: what.into() });
        }
    };
    world(!trial.rested, "the world did not come to rest");
    world(trial.places_taken > 0, "a provider still keeps a place for nobody");
    for (number, ask) in trial.asks.iter().enumerate() {
        let case = Case { number, ask, trial };
        let wrong = case.wrongs().into_iter();
        found.extend(wrong.map(|what| Violation { ask: Some(number), what }));
    }
    let money = money::wrongs(trial).into_iter();
    found.extend(money.map(|(ask, what)| Violation { ask, what }));
    found
}

/// One answer before the judge.
struct Case<'a> {
    number: usize,
    ask: &'a AskRecord,
    trial: &'a TrialRecord,
}

impl Case<'_> {
    fn wrongs(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        wrong.extend(self.shown());
        wrong.extend(self.ended());
        wrong.extend(self.ask.left.iter().filter_map(|left| self.accused(left)));
        wrong.extend(self.signed());
        wrong.extend(self.asked_a_liar());
        wrong.extend(self.took_unsigned());
        wrong.extend(self.left_for_the_truth());
        wrong.extend(self.breach());
        wrong
    }

    fn lied(&self, provider: &PeerKey) -> Option<&Told> {
        let by = |told: &&Told| told.ask == self.number && told.provider == *provider;
        self.trial.lies.iter().find(by)
    }

    /// Users see the tokens of the answer in their order; a wrong one only while streaming, and
    /// then the answer must end for it.
    fn shown(&self) -> Option<String> {
        let gap = (0u32..).zip(&self.ask.shown).find(|(place, shown)| *place != shown.index);
        if let Some((place, shown)) = gap {
            return Some(format!("token {} was shown where {place} was due", shown.index));
        }
        let truth = &self.ask.plan.truth;
        // What a user takes back is no part of the answer any more, and nobody audits it.
        let wrong = |shown: &&Shown| {
            let taken_back = self.ask.cancelled.is_some_and(|kept| shown.index >= kept);
            !taken_back && truth.get(shown.index as usize) != Some(&shown.token)
        };
        let place = self.ask.shown.iter().find(wrong)?.index;
        match (self.ask.plan.mode, self.diverged()) {
            (Mode::Checked, _) => Some(format!("token {place} was shown and is wrong")),
            (_, Some(named)) if named == place => None,
            (_, named) => Some(format!("token {place} was shown and is wrong; named: {named:?}")),
        }
    }

    /// Where the answer ended for a wrong token, if it did.
    fn diverged(&self) -> Option<u32> {
        match self.ask.endings.first() {
            Some(Ending::Failed(error)) => match **error {
                SessionError::AnswerDiverged { position, .. } => Some(position),
                _ => None,
            },
            _ => None,
        }
    }

    fn ended(&self) -> Option<String> {
        match self.ask.endings.as_slice() {
            [] if self.ask.vanished => None,
            [] => Some("it never ended".into()),
            [Ending::Done(outcome)] => self.done(outcome),
            [Ending::Failed(error)] => self.failed(error),
            [Ending::NobodyFits] => Some("nobody was fit to be asked".into()),
            more => Some(format!("it ended {} times", more.len())),
        }
    }

    /// A whole answer is the unbroken run, and its receipt says so to anybody.
    fn done(&self, outcome: &Outcome) -> Option<String> {
        let plan = &self.ask.plan;
        let (truth, end) = self.expected(outcome.receipt.receipt.finish);
        let hash = |answer: &[Token]| plan.job.answer_commitment(answer);
        let shown: Vec<Token> = self.ask.shown.iter().map(|shown| shown.token).collect();
        let untold = self.ask.told.iter().find(|told| !outcome.seen_by.contains(told));
        if hash(&outcome.answer) != hash(truth) {
            return Some(format!("{:?} is not the unbroken {truth:?}", outcome.answer));
        }
        if outcome.receipt.receipt.finish != end {
            return Some(format!("it ended as {:?}, not {end:?}", outcome.receipt.receipt.finish));
        }
        if !shown.starts_with(&outcome.answer) {
            return Some(format!("{} of {} tokens were shown", shown.len(), truth.len()));
        }
        if let Some(untold) = untold {
            return Some(format!("{} read the prompt and is not listed", untold.short()));
        }
        self.receipt(outcome)
    }

    /// The answer and its end; shorter where the user ended it.
    fn expected(&self, said: Finish) -> (&[Token], Finish) {
        let plan = &self.ask.plan;
        match (said, self.ask.cancelled) {
            (Finish::Cancelled { .. }, Some(index)) => {
                let end = (index as usize).min(plan.truth.len());
                (&plan.truth[..end], Finish::Cancelled { index })
            }
            _ => (&plan.truth, plan.end),
        }
    }

    /// The file that is kept is read again and verified by a stranger.
    fn receipt(&self, outcome: &Outcome) -> Option<String> {
        let (job, answer) = (self.ask.plan.job.clone(), outcome.answer.clone());
        let opening = Opening { job, answer, text: None };
        let (receipt, offer) = (outcome.receipt, outcome.offer.clone());
        let file = ReceiptBundle { receipt, offer, opening }.to_json(serde_json::Value::Null);
        let bundle = match ReceiptBundle::from_json(file.as_bytes()) {
            Ok(bundle) => bundle,
            Err(error) => return Some(format!("its receipt cannot be read: {error}")),
        };
        let mut mind = self.trial.mind.clone();
        if let Err(error) = audit::check(&bundle, &mind.facts()) {
            return Some(format!("its receipt does not hold: {error}"));
        }
        let Opening { job, answer, .. } = &bundle.opening;
        match mind.replay(job, answer, Some(bundle.receipt.receipt.finish)) {
            Ok(Replay::Exact) => None,
            other => Some(format!("its receipt does not replay: {other:?}")),
        }
    }

    /// The only way to fail is to name a lie that was shown.
    fn failed(&self, error: &SessionError) -> Option<String> {
        if is_unpaid(self.ask) {
            return None;
        }
        let SessionError::AnswerDiverged { position, provider, evidence } = error else {
            return Some(format!("there is no answer: {error}"));
        };
        let (Some(told), Mode::Streamed { .. }) = (self.lied(provider), self.ask.plan.mode) else {
            return Some(format!("{error}, and that is not so"));
        };
        if told.place != *position {
            return Some(format!("{error}; but the lie was told at {}", told.place));
        }
        let covers = |(by, index): &&(PeerKey, u32)| by == provider && index > position;
        match evidence {
            Some(evidence) => self.convicts(evidence, provider),
            None if self.ask.cancelled.is_some() => None,
            None => self.ask.covered.iter().find(covers).map(|(_, index)| {
                format!("{error}, without evidence; but the checkpoint at {index} had arrived")
            }),
        }
    }

    /// Whoever is called a liar has lied, and evidence convicts him before a stranger.
    fn accused(&self, left: &Left) -> Option<String> {
        let who = left.provider.short();
        match (left.lied, self.lied(&left.provider), &left.evidence) {
            (true, None, _) => Some(format!("{who} is honest and was called a liar: {}", left.why)),
            (true, _, None) if self.ask.plan.mode == Mode::Checked => {
                Some(format!("{who} was caught without evidence: {}", left.why))
            }
            (_, _, Some(evidence)) => self.convicts(evidence, &left.provider),
            _ => None,
        }
    }

    fn convicts(&self, evidence: &Evidence, accused: &PeerKey) -> Option<String> {
        let file = evidence.to_json(serde_json::Value::Null);
        let evidence = match Evidence::from_json(file.as_bytes()) {
            Ok(evidence) => evidence,
            Err(error) => return Some(format!("the evidence cannot be read: {error}")),
        };
        if evidence.offer.offer.provider != *accused {
            return Some("the evidence is against somebody else".into());
        }
        let place = self.lied(accused).map(|told| told.place);
        let mut mind = self.trial.mind.clone();
        let facts = self.trial.mind.facts();
        match audit::convict(&evidence, &facts, &mut mind) {
            Ok(Conviction::Guilty { position }) if Some(position) == place => None,
            other => Some(format!("the evidence says {other:?}, the lie was at {place:?}")),
        }
    }

    /// Whatever an honest provider signed is true.
    fn signed(&self) -> Option<String> {
        let plan = &self.ask.plan;
        let honest = |(ask, provider, signed): &(usize, PeerKey, Signed)| {
            let concerns = *ask == self.number && self.lied(provider).is_none();
            concerns.then_some((*provider, *signed))
        };
        let wrong = self.trial.signed.iter().filter_map(honest).find(|(_, signed)| match signed {
            Signed::Checkpoint(signed) => {
                let truth = plan.truth.get(..signed.checkpoint.index as usize);
                truth.map(|truth| plan.job.prefix_digest(truth)) != Some(signed.checkpoint.prefix)
            }
            Signed::Receipt(signed) => {
                let (truth, end) = self.expected(signed.receipt.finish);
                let whole = signed.receipt.answer_tokens == count(truth);
                let answer = plan.job.answer_commitment(truth);
                !whole || signed.receipt.answer != answer || signed.receipt.finish != end
            }
        });
        wrong.map(|(provider, signed)| format!("{} signed {signed:?}", provider.short()))
    }

    /// Past sixteen tokens that their writer did not sign, evidence would be out of reach.
    // spec: SESSION-3.3
    fn took_unsigned(&self) -> Option<String> {
        let place = self.ask.unsigned.first().filter(|_| self.ask.cancelled.is_none())?;
        Some(format!("token {place} was taken although sixteen before it were not signed"))
    }

    /// Who truly says that a prefix is wrong is not blamed for going.
    // spec: SESSION-4.4
    fn left_for_the_truth(&self) -> Option<String> {
        let honest = |key: &&PeerKey| self.lied(key).is_none();
        let mut refused = self.ask.refused.iter().filter(honest);
        let blamed = |key: &&PeerKey| self.ask.left.iter().any(|left| left.provider == **key);
        let who = refused.find(blamed)?.short();
        Some(format!("{who} refused a wrong prefix and was blamed for it"))
    }

    /// An honest client breaks no rule, unless its frames are lost on the way.
    // spec: SESSION-3.6, SESSION-3.7
    fn breach(&self) -> Option<String> {
        let why = self.ask.breaches.first().filter(|_| self.trial.kind != Kind::Partition)?;
        Some(format!("an honest client was refused: {why}"))
    }

    // spec: SESSION-6.5
    fn asked_a_liar(&self) -> Option<String> {
        let (provider, _) = self.ask.dialled.iter().find(|(_, banned)| *banned)?;
        Some(format!("{} had been caught lying and was asked again", provider.short()))
    }
}

/// Whether a miser has no answer because it did not pay.
// spec: SESSION-7.6
fn is_unpaid(ask: &AskRecord) -> bool {
    let nobody = |error: &SessionError| matches!(error, SessionError::NobodyLeft { .. });
    let left = matches!(ask.endings.first(), Some(Ending::Failed(error)) if nobody(error));
    left && ask.plan.purse != Purse::Honest
}

/// How an answer ended, for the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the unbroken run.
    Equal,
    /// It ended at a lie, with evidence that convicts.
    Evidence,
    /// It ended at a lie that its author never signed.
    Unsigned,
    /// Its client did not pay, or vanished.
    Unpaid,
    /// Neither: a violation says what.
    Wrong,
}

/// How an answer ended, for the table; what is wrong with it, [`judge`] says.
#[must_use]
pub fn verdict(ask: &AskRecord, mind: &Mind) -> Verdict {
    let Some(ending) = ask.endings.first() else {
        return if ask.vanished { Verdict::Unpaid } else { Verdict::Wrong };
    };
    match ending {
        Ending::Done(outcome) => {
            let exact = mind.clone().replay(
                &ask.plan.job,
                &outcome.answer,
                Some(outcome.receipt.receipt.finish),
            );
            if exact == Ok(Replay::Exact) { Verdict::Equal } else { Verdict::Wrong }
        }
        Ending::Failed(error) => match &**error {
            SessionError::AnswerDiverged { evidence: Some(_), .. } => Verdict::Evidence,
            SessionError::AnswerDiverged { .. } => Verdict::Unsigned,
            _ if is_unpaid(ask) => Verdict::Unpaid,
            _ => Verdict::Wrong,
        },
        Ending::NobodyFits => Verdict::Wrong,
    }
}
