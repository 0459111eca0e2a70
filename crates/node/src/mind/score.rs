//! How probable an answer's tokens were: one pass over prompt and answer, as a verifier makes it.
//!
//! The engine's logits are exact; what is made of them here is for people to look at, and no part
//! of an answer.

use mutirao_engine::pool::Pool;
use mutirao_engine::session::Session;
use mutirao_engine::{EngineError, Model};
use mutirao_wire::{Job, Token};
use std::sync::Arc;

/// A logit of the engine is so many parts of a natural one.
const PARTS: f64 = 4096.0;

/// A token of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scored {
    pub(super) token: Token,
    /// The natural logarithm of its probability, before temperature and grammar.
    pub(super) logprob: f32,
    /// The most probable ones at its place, the most probable first.
    pub(super) top: Vec<(Token, f32)>,
}

/// All tokens of an answer, with the `top` most probable ones at each place.
pub(super) fn answer(
    model: &Arc<Model>,
    job: &Job,
    answer: &[Token],
    top: usize,
    pool: &dyn Pool,
) -> Result<Vec<Scored>, EngineError> {
    let Some((_, before)) = answer.split_last() else { return Ok(Vec::new()) };
    let text = [job.prompt.as_slice(), before].concat();
    let (first, mut scored) = (job.prompt.len().saturating_sub(1), Vec::new());
    let mut session = Session::new(model.clone());
    session.feed_from(&text, first, pool, &mut |_, logits| {
        let token = answer[scored.len()];
        scored.push(place(logits, token, top));
    })?;
    Ok(scored)
}

fn place(logits: &[i32], token: Token, top: usize) -> Scored {
    let sum = log_sum(logits);
    let logprob = |index: usize| (f64::from(logits[index]) / PARTS - sum) as f32;
    let top = highest(logits, top).into_iter().map(|index| (token_of(index), logprob(index)));
    Scored { token, logprob: logprob(token.0 as usize), top: top.collect() }
}

fn token_of(index: usize) -> Token {
    Token(u32::try_from(index).unwrap_or(u32::MAX))
}

/// The logarithm of the sum of all exponentials.
fn log_sum(logits: &[i32]) -> f64 {
    let most = logits.iter().copied().max().unwrap_or_default();
    let above = |logit: &i32| (f64::from(*logit) - f64::from(most)) / PARTS;
    f64::from(most) / PARTS + logits.iter().map(|logit| above(logit).exp()).sum::<f64>().ln()
}

/// The places of the highest, of equal ones the first.
fn highest(logits: &[i32], count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..logits.len()).collect();
    let key = |place: &usize| (std::cmp::Reverse(logits[*place]), *place);
    let count = count.min(places.len());
    if count == 0 {
        return Vec::new();
    }
    places.select_nth_unstable_by_key(count - 1, key);
    places.truncate(count);
    places.sort_unstable_by_key(key);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_of_all_tokens_are_one_in_sum() {
        let logits: Vec<i32> = (0..50).map(|number| (number * 7919) % 30_000 - 9_000).collect();
        let scored = place(&logits, Token(3), 50);
        let sum: f64 = scored.top.iter().map(|(_, logprob)| f64::from(*logprob).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        let own = scored.top.iter().find(|(token, _)| *token == Token(3)).expect("it is there");
        assert_eq!(own.1, scored.logprob);
    }

    #[test]
    fn the_highest_come_first_and_of_equal_ones_the_first() {
        assert_eq!(highest(&[5, 9, 9, 1], 3), [1, 2, 0]);
        assert_eq!(highest(&[5], 20), [0]);
        assert!(highest(&[5], 0).is_empty());
    }
}
