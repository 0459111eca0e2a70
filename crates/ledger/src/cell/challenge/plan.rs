//! What somebody intends with a challenge, made into an action and what proves it.

use super::{Challenge, ChallengeAction, Evidence};
use crate::cell::keepsake::{Keepsake, Side};
use crate::cell::knowledge::{Blindings, Making};
use crate::cell::{Cell, CellError, CellId, Cells};
use crate::rules::Rules;

/// What somebody wants to happen to a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChallengePlan {
    /// Doubt.
    Open(OpenPlan),
    /// Prove.
    Answer(AnswerPlan),
    /// Say that nobody answered.
    Slash(CellId),
    /// Take what was won.
    Collect(CollectPlan),
}

/// Doubt what a provider signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPlan {
    /// Whose stake is in doubt.
    pub bond: CellId,
    /// What is doubted.
    pub evidence: Evidence,
}

/// Prove what was doubted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerPlan {
    /// Which challenge.
    pub challenge: CellId,
    /// A keepsake of the bond.
    pub bond: Keepsake,
    /// What convinces the judge.
    pub answer: Vec<u8>,
}

/// Take what was won.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectPlan {
    /// Which challenge.
    pub challenge: CellId,
    /// Its keepsake.
    pub kept: Keepsake,
}

fn find(id: CellId, cells: &dyn Cells) -> Result<Challenge, CellError> {
    match cells.cell(&id) {
        Some(Cell::Challenge(challenge)) => Ok(challenge),
        Some(_) => Err(CellError::Kind(id)),
        None => Err(CellError::Missing(id)),
    }
}

impl ChallengePlan {
    /// What the plan's owner writes to itself.
    // spec: LEDGER-7.5
    pub(crate) fn keepsake(&self, rules: &Rules, blindings: &mut Blindings) -> Option<Keepsake> {
        let deposit = rules.bonds.deposit;
        self.keeps().then(|| Keepsake::fresh(Side::Challenger, deposit, blindings))
    }

    /// Whether it writes one.
    #[must_use]
    pub fn keeps(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// What the action takes out.
    ///
    /// # Errors
    /// [`CellError`] when there is no such challenge.
    pub fn taken(&self, cells: &dyn Cells) -> Result<u128, CellError> {
        Ok(match self {
            Self::Answer(plan) => find(plan.challenge, cells)?.held().0.into(),
            Self::Collect(plan) => find(plan.challenge, cells)?.held().0.into(),
            Self::Open(_) | Self::Slash(_) => 0,
        })
    }

    /// What the action puts in.
    #[must_use]
    pub fn put(&self, rules: &Rules) -> u128 {
        if self.keeps() { rules.bonds.deposit.0.into() } else { 0 }
    }

    /// Bytes of an answer.
    #[must_use]
    pub fn loose_bytes(&self) -> usize {
        if let Self::Answer(plan) = self { plan.answer.len() } else { 0 }
    }

    /// The cell that the plan is about.
    #[must_use]
    pub fn subject(&self) -> CellId {
        match self {
            Self::Open(plan) => plan.bond,
            Self::Answer(plan) => plan.challenge,
            Self::Slash(challenge) => *challenge,
            Self::Collect(plan) => plan.challenge,
        }
    }

    /// The action.
    ///
    /// # Errors
    /// [`CellError::Keepsake`] when there is none for a new challenge.
    pub fn action(
        &self,
        kept: Option<&Keepsake>,
        making: &mut Making<'_>,
    ) -> Result<ChallengeAction, CellError> {
        let mut party = |kept: &Keepsake| kept.secret(making.keys).party().know(making.known);
        Ok(match self {
            Self::Open(plan) => ChallengeAction::Open {
                bond: plan.bond,
                evidence: plan.evidence,
                challenger: party(kept.ok_or(CellError::Keepsake)?),
            },
            Self::Answer(plan) => {
                party(&plan.bond);
                let (challenge, answer) = (plan.challenge, plan.answer.clone());
                ChallengeAction::Answer { challenge, answer }
            }
            Self::Slash(challenge) => ChallengeAction::Slash { challenge: *challenge },
            Self::Collect(plan) => {
                party(&plan.kept);
                ChallengeAction::Collect { challenge: plan.challenge }
            }
        })
    }
}
