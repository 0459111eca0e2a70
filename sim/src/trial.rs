//! One seed from plan to judgement, and many of them in a row.

use crate::judge::{Violation, judge};
use crate::mind::Minds;
use crate::plan::Plan;
use crate::record::TrialRecord;
use crate::table::Table;
use crate::world::{self, Sabotage};
use mutirao_engine::{JobError, LoadError};
use mutirao_wire::Digest;
use thiserror::Error;

/// Why a trial could not be held at all.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrialError {
    /// A job of the plan does not fit the model.
    #[error("the plan of seed {seed} asks for what the model cannot do: {source}")]
    Plan {
        /// The seed.
        seed: u64,
        /// Why.
        source: JobError,
    },
    /// The models cannot be made.
    #[error("the simulation's own model is refused: {0}")]
    Model(#[from] LoadError),
}

/// What came of a seed.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The facts.
    pub record: TrialRecord,
    /// What must not have happened.
    pub violations: Vec<Violation>,
}

/// Holds the trial of a seed.
///
/// # Errors
/// [`TrialError`] when there is no such trial.
pub fn hold(seed: u64, minds: &Minds, sabotage: Option<Sabotage>) -> Result<Trial, TrialError> {
    let plan = Plan::new(seed, minds).map_err(|source| TrialError::Plan { seed, source })?;
    let record = world::run(&plan, sabotage);
    let violations = judge(&record);
    Ok(Trial { record, violations })
}

/// What came of many seeds.
#[derive(Debug, Clone)]
pub struct Trials {
    /// Counts for each kind.
    pub table: Table,
    /// Seeds of trials in which something happened that must not, and what.
    pub violations: Vec<(u64, Violation)>,
    /// The digest of all events of all trials.
    pub hash: Digest,
}

/// Holds trials of so many seeds, from the first one on.
///
/// # Errors
/// [`TrialError`] at the first seed that has no trial.
pub fn hold_many(first: u64, many: u64) -> Result<Trials, TrialError> {
    let minds = Minds::new()?;
    let hash = Digest::of("mutirao sim trials", &[]);
    let mut trials = Trials { table: Table::default(), violations: Vec::new(), hash };
    for seed in (first..).take(usize::try_from(many).unwrap_or(usize::MAX)) {
        let trial = hold(seed, &minds, None)?;
        trials.table.add(&trial.record);
        trials.violations.extend(trial.violations.into_iter().map(|what| (seed, what)));
        let parts = [trials.hash.0, trial.record.hash.0];
        trials.hash = Digest::of("mutirao sim trials", &[&parts[0], &parts[1]]);
    }
    Ok(trials)
}
