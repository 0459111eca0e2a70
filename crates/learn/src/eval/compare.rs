//! Two ways of running one model, compared prediction by prediction.

use thiserror::Error;

/// Anything that predicts: one list of logits after every token.
pub trait Predictor {
    /// What went wrong.
    type Error: std::error::Error;

    /// Calls `visit` with the index of each token and the logits after it, in order.
    ///
    /// # Errors
    /// When the tokens cannot be run.
    fn predict(
        &mut self,
        tokens: &[u32],
        visit: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), Self::Error>;
}

/// Logits of the integer engine as numbers: they have twelve fraction bits.
pub fn from_fixed(logits: &[i32], out: &mut Vec<f32>) {
    out.clear();
    out.extend(logits.iter().map(|logit| (f64::from(*logit) / 4096.0) as f32));
}

/// How close two predictors were.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Agreement {
    /// Predictions compared.
    pub positions: u64,
    /// Predictions with the same first choice.
    pub same_choice: u64,
    /// By how much the first preferred its own choice where the second chose otherwise, in nats:
    /// the most there was. What is near zero was a tie but for rounding.
    pub lead_lost: f64,
    /// The sum of the divergences in nats.
    pub divergence: f64,
    /// Predictions of a token that then came.
    pub scored: u64,
    /// How much that token surprised each predictor, in nats, summed up.
    pub surprise: [f64; 2],
}

impl Agreement {
    /// Mean KL(first‖second) in nats.
    #[must_use]
    pub fn mean_divergence(&self) -> f64 {
        self.divergence / self.positions.max(1) as f64
    }

    /// The share of predictions with the same first choice.
    #[must_use]
    pub fn same_choice_share(&self) -> f64 {
        self.same_choice as f64 / self.positions.max(1) as f64
    }

    /// The perplexity of each predictor.
    #[must_use]
    pub fn perplexities(&self) -> [f64; 2] {
        self.surprise.map(|surprise| (surprise / self.scored.max(1) as f64).exp())
    }

    /// By how much the second's perplexity is above the first's, as a share of it.
    #[must_use]
    pub fn perplexity_change(&self) -> f64 {
        let [first, second] = self.perplexities();
        second / first - 1.0
    }

    /// Counts what another comparison of the same two counted.
    pub fn add(&mut self, other: &Self) {
        self.positions += other.positions;
        self.same_choice += other.same_choice;
        self.lead_lost = self.lead_lost.max(other.lead_lost);
        self.divergence += other.divergence;
        self.scored += other.scored;
        self.surprise[0] += other.surprise[0];
        self.surprise[1] += other.surprise[1];
    }

    /// Counts the token that came after a pair of predictions.
    pub fn came(&mut self, first: &[f32], second: &[f32], token: u32) {
        self.scored += 1;
        for (surprise, logits) in self.surprise.iter_mut().zip([first, second]) {
            let logarithm = logarithms(logits).get(token as usize).copied();
            *surprise -= logarithm.unwrap_or(f64::NEG_INFINITY);
        }
    }

    /// Counts one pair of predictions.
    pub fn record(&mut self, first: &[f32], second: &[f32]) {
        self.positions += 1;
        let lead = lead(first, second);
        self.same_choice += u64::from(lead.is_none());
        self.lead_lost = self.lead_lost.max(lead.unwrap_or(0.0));
        self.divergence += divergence(first, second);
    }
}

/// The lowest index of the maximum.
pub(super) fn choice(logits: &[f32]) -> usize {
    let mut best = 0;
    for (index, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = index;
        }
    }
    best
}

/// Where the second chooses otherwise: by how much the first preferred its own choice to that, in
/// nats.
#[must_use]
pub fn lead(first: &[f32], second: &[f32]) -> Option<f64> {
    let (own, other) = (choice(first), choice(second));
    (own != other).then(|| f64::from(first[own]) - f64::from(first[other]))
}

/// Logarithms of the probabilities.
fn logarithms(logits: &[f32]) -> Vec<f64> {
    let top = f64::from(logits[choice(logits)]);
    let total: f64 = logits.iter().map(|logit| (f64::from(*logit) - top).exp()).sum();
    let shift = top + total.ln();
    logits.iter().map(|logit| f64::from(*logit) - shift).collect()
}

/// KL(first‖second) in nats.
fn divergence(first: &[f32], second: &[f32]) -> f64 {
    let pairs = logarithms(first).into_iter().zip(logarithms(second));
    pairs.map(|(p, q)| p.exp() * (p - q)).sum()
}

/// Which of two predictors failed.
#[derive(Debug, Error)]
pub enum CompareError<A: std::error::Error, B: std::error::Error> {
    /// The first.
    #[error("the first predictor: {0}")]
    First(A),
    /// The second.
    #[error("the second predictor: {0}")]
    Second(B),
}

/// Runs both over each text and compares the predictions after token `from` and later ones: with
/// the last token of the prompt, these are the predictions of the answer.
///
/// # Errors
/// The error of the predictor that failed.
pub fn compare<A: Predictor, B: Predictor>(
    first: &mut A,
    second: &mut B,
    texts: &[(Vec<u32>, usize)],
) -> Result<Agreement, CompareError<A::Error, B::Error>> {
    let mut agreement = Agreement::default();
    for (tokens, from) in texts {
        let mut wanted: Vec<Vec<f32>> = Vec::with_capacity(tokens.len());
        let mut keep = |_: usize, logits: &[f32]| wanted.push(logits.to_vec());
        first.predict(tokens, &mut keep).map_err(CompareError::First)?;
        let mut record = |index: usize, logits: &[f32]| {
            if index >= *from && index < wanted.len() {
                agreement.record(&wanted[index], logits);
                if let Some(next) = tokens.get(index + 1) {
                    agreement.came(&wanted[index], logits, *next);
                }
            }
        };
        second.predict(tokens, &mut record).map_err(CompareError::Second)?;
    }
    Ok(agreement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prediction_does_not_diverge_from_itself() {
        let mut agreement = Agreement::default();
        agreement.record(&[1.0, 2.0, -3.0], &[1.0, 2.0, -3.0]);
        assert_eq!(agreement.same_choice, 1);
        assert!(agreement.divergence.abs() < 1e-12);
    }

    #[test]
    fn divergence_is_the_textbook_number() {
        let (half, quarter) = (0.5_f64.ln() as f32, 0.25_f64.ln() as f32);
        let three_quarters = 0.75_f64.ln() as f32;
        let expected = 0.5 * (0.5_f64 / 0.75).ln() + 0.5 * (0.5_f64 / 0.25).ln();
        let found = divergence(&[half, half], &[three_quarters, quarter]);
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    #[test]
    fn a_lost_first_choice_is_counted_with_the_lead_that_it_had() {
        let mut agreement = Agreement::default();
        agreement.record(&[1.0, 1.25, 0.0], &[2.0, 1.0, 0.0]);
        agreement.record(&[1.0, 1.5, 0.0], &[1.0, 1.0, 3.0]);
        let mut all = Agreement::default();
        all.record(&[1.0, 1.5, 0.0], &[1.0, 1.25, 0.0]);
        assert_eq!((all.same_choice, all.lead_lost), (1, 0.0));
        all.add(&agreement);
        assert_eq!((all.positions, all.same_choice), (3, 1));
        assert!((all.lead_lost - 1.5).abs() < 1e-9, "{}", all.lead_lost);
    }

    #[test]
    fn perplexity_is_one_over_the_chance_of_what_came() {
        let mut agreement = Agreement::default();
        let (half, quarter) = (0.5_f64.ln() as f32, 0.25_f64.ln() as f32);
        let three_quarters = 0.75_f64.ln() as f32;
        agreement.came(&[half, half], &[three_quarters, quarter], 1);
        agreement.came(&[half, half], &[three_quarters, quarter], 1);
        let [first, second] = agreement.perplexities();
        assert!((first - 2.0).abs() < 1e-6 && (second - 4.0).abs() < 1e-6);
        assert!((agreement.perplexity_change() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn fixed_point_logits_have_twelve_fraction_bits() {
        let mut logits = Vec::new();
        from_fixed(&[4096, -2048, 0], &mut logits);
        assert_eq!(logits, [1.0, -0.5, 0.0]);
    }

    #[test]
    fn of_equal_logits_the_lowest_index_is_chosen() {
        assert_eq!(choice(&[1.0, 3.0, 3.0]), 1);
    }
}
