//! Sampling against a slow formulation, its thresholds at ties, and its distribution.

use super::*;
use proptest::prelude::*;

fn sampling(temperature_milli: u32, top_k: u32, min_p: u32, top_p: u32) -> Sampling {
    Sampling { temperature_milli, top_k, min_p, top_p, seed: [7; 32] }
}

/// The filters with a sort, as one would say them: sets of (p, index).
fn kept(powers: &[u16], sampling: &Sampling) -> Vec<usize> {
    let mut order: Vec<u16> = powers.to_vec();
    order.sort_unstable_by(|a, b| b.cmp(a));
    let mut alive: Vec<usize> = (0..powers.len()).filter(|i| powers[*i] > 0).collect();
    if sampling.top_k > 0 {
        let last = order[(sampling.top_k as usize).min(order.len()) - 1];
        alive.retain(|i| powers[*i] >= last);
    }
    alive.retain(|i| u64::from(powers[*i]) << 16 >= u64::from(sampling.min_p) * 32767);
    let total: u64 = alive.iter().map(|i| u64::from(powers[*i])).sum();
    let enough = |c: u16| {
        let sum: u64 = alive.iter().map(|i| u64::from(powers[*i])).filter(|p| *p >= c.into()).sum();
        u128::from(sum) << 16 >= u128::from(total) * u128::from(sampling.top_p)
    };
    let cut = order.iter().copied().find(|c| enough(*c)).expect("all of them are enough");
    alive.retain(|i| powers[*i] >= cut);
    alive
}

proptest! {
    // spec: ENGINE-13.3
    #[test]
    fn thresholds_keep_what_a_sort_would_keep(
        logits in proptest::collection::vec(-20i32..20, 1..40), scale in 0u32..12,
        k in 0u32..45, min_p in 0u32..=65536, top_p in 0u32..=65536
    ) {
        let logits: Vec<i32> = logits.iter().map(|logit| logit << scale).collect();
        let sampling = sampling(900, k, min_p, top_p);
        let largest = *logits.iter().max().expect("not empty");
        let powers = powers(&logits, largest, 900);
        let least = threshold(&powers, &sampling);
        let found: Vec<usize> = (0..powers.len()).filter(|i| powers[*i] >= least).collect();
        prop_assert_eq!(found, kept(&powers, &sampling));
    }

    #[test]
    fn any_logits_and_any_sampling_choose_a_kept_token(
        logits in proptest::collection::vec(any::<i32>(), 1..40), t in any::<u32>(),
        k in any::<u32>(), min_p in any::<u32>(), top_p in any::<u32>(), position in any::<u64>()
    ) {
        let chosen = choose(&logits, &sampling(t, k, min_p, top_p), position);
        prop_assert!((chosen.0 as usize) < logits.len());
    }
}

#[test]
fn greedy_takes_the_first_of_the_largest() {
    // spec: ENGINE-13.1
    let greedy = Sampling::greedy();
    assert_eq!(choose(&[3, 9, 9, -1], &greedy, 0), Token(1));
    assert_eq!(choose(&[i32::MIN], &greedy, 5), Token(0));
    assert_eq!(choose(&[i32::MIN, i32::MAX], &greedy, 5), Token(1));
}

#[test]
fn the_temperature_divides_the_logits() {
    // spec: ENGINE-13.2
    assert_eq!([1, 500, 1000, 2000, 100_000].map(inverse_temperature), [369_330, 739, 369, 185, 4]);
    // ln 2 in 12 bits is 2839: one octave at temperature 1.
    let powers = powers(&[0, -2839, -5678, i32::MIN], 0, 1000);
    assert_eq!((powers[0], powers[3]), (32767, 0));
    assert!((16370..16400).contains(&powers[1]) && (8180..8205).contains(&powers[2]));
    // A temperature near zero is greedy but for ties.
    assert_eq!(choose(&[0, 4096, 4096 - 50], &sampling(1, 0, 0, 65536), 3), Token(1));
}

#[test]
fn ties_at_a_threshold_stay_in() {
    // spec: ENGINE-13.3
    let powers = [100, 32767, 500, 500, 500, 0];
    assert_eq!(threshold(&powers, &sampling(1, 2, 0, 65536)), 500);
    assert_eq!(threshold(&powers, &sampling(1, 1, 0, 65536)), 32767);
    assert_eq!(threshold(&powers, &sampling(1, 0, 1000, 65536)), 500);
    assert_eq!(threshold(&powers, &sampling(1, 0, 1001, 65536)), 32767);
    assert_eq!(threshold(&powers, &sampling(1, 0, 65536, 65536)), 32767);
    assert_eq!(threshold(&powers, &sampling(1, 0, 0, 0)), 32767);
    assert_eq!(threshold(&powers, &sampling(1, 0, 0, 65536)), 100);
    assert_eq!(threshold(&powers, &sampling(1, 0, 0, 0)), 32767);
    assert_eq!(threshold(&powers, &sampling(1, 0, 0, 65000)), 500);
}

#[test]
fn a_random_value_at_either_end_picks_a_token_with_weight() {
    // spec: ENGINE-13.5
    let weights = [0u64, 5, 0, 5, 0];
    assert_eq!(pick(weights.into_iter(), 10, 0), Token(1));
    assert_eq!(pick(weights.into_iter(), 10, u64::MAX), Token(3));
    assert_eq!(pick(weights.into_iter(), 10, (1 << 63) - 1), Token(1));
    assert_eq!(pick(weights.into_iter(), 10, 1 << 63), Token(3));
}

#[test]
fn samples_follow_the_powers() {
    // spec: ENGINE-13.4
    let logits = [0, -2839, -2 * 2839, i32::MIN];
    let sampling = sampling(1000, 0, 0, 65536);
    let mut counts = [0u32; 4];
    (0..14_000).for_each(|at| counts[choose(&logits, &sampling, at).0 as usize] += 1);
    let near = |count: u32, expected: u32| count.abs_diff(expected) < 300;
    assert!(near(counts[0], 8000) && near(counts[1], 4000) && near(counts[2], 2000), "{counts:?}");
    assert_eq!(counts[3], 0);
    let again = choose(&logits, &sampling, 77);
    assert_eq!(choose(&logits, &sampling, 77), again);
    let other = Sampling { seed: [8; 32], ..sampling };
    let differs = (0..200).any(|at| choose(&logits, &other, at) != choose(&logits, &sampling, at));
    assert!(differs, "the seed decides nothing");
}

proptest! {
    // spec: ENGINE-13.6
    #[test]
    fn who_is_not_let_through_takes_no_part(
        logits in proptest::collection::vec(-2000i32..2000, 1..100),
        lets in proptest::collection::vec(any::<bool>(), 100),
        temperature in 0u32..2000,
        position in any::<u64>(),
    ) {
        let lets: Vec<bool> = lets.into_iter().take(logits.len()).collect();
        let mut words = vec![0u32; 4];
        for at in (0..lets.len()).filter(|at| lets[*at]) {
            words[at / 32] |= 1 << (at % 32);
        }
        let sampling = sampling(temperature, 7, 1000, 60_000);
        let kept: Vec<usize> = (0..lets.len()).filter(|at| lets[*at]).collect();
        let among: Vec<i32> = kept.iter().map(|at| logits[*at]).collect();
        let wanted = (!kept.is_empty()).then(|| {
            let Token(at) = choose(&among, &sampling, position);
            Token(u32::try_from(kept[at as usize]).expect("below 100"))
        });
        let chosen = choose_among(&logits, &Allowed::from_words(words), &sampling, position);
        prop_assert_eq!(chosen, wanted);
    }
}
