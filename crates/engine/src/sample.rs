//! Choosing a token from logits, in integers: temperature, top-k, min-p, top-p, in this order.
//!
//! ```text
//! p_i = EXP2[min(rnd((max - l_i) invT, 9), 65535)]     invT = log2(e) / T, 8 fraction bits
//! ```
//!
//! The three filters are thresholds on p: who is as probable as the last one kept stays too, so
//! nothing depends on an order of equals. One BLAKE3 value, keyed by the seed, decides a position.

use crate::fixed::rnd;
use crate::guide::Allowed;
use crate::table::Tables;
use mutirao_wire::limits::TEMPERATURE_MILLI_MAX;
use mutirao_wire::{Digest, Sampling, Token};

/// `round(log2(e) * 2^32)`.
const LOG2_E: u64 = 6_196_328_019;
/// The largest power, of the most probable token.
const POWER_MAX: u16 = 32767;
/// What the random value of a position is derived under.
const DOMAIN: &[u8] = b"mutirao 1 sample";

/// The token that follows, at absolute `position`. Greedy for temperature 0: the first of the
/// largest logits.
///
/// # Panics
/// When there are no logits.
// spec: ENGINE-13.1
#[must_use]
pub fn choose(logits: &[i32], sampling: &Sampling, position: u64) -> Token {
    let largest = *logits.iter().max().expect("a vocabulary has at least one token");
    if sampling.temperature_milli == 0 {
        return token(logits.iter().position(|logit| *logit == largest));
    }
    let powers = powers(logits, largest, sampling.temperature_milli);
    let least = threshold(&powers, sampling);
    let kept = |p: &u16| if *p >= least { u64::from(*p) } else { 0 };
    let total: u64 = powers.iter().map(kept).sum();
    pick(powers.iter().map(kept), total, random(&sampling.seed, position))
}

/// The token that follows among those that a grammar lets through, as if the vocabulary had no
/// others; `None` where it lets none through.
// spec: ENGINE-13.6
#[must_use]
pub fn choose_among(
    logits: &[i32],
    allowed: &Allowed,
    sampling: &Sampling,
    position: u64,
) -> Option<Token> {
    let all = (0u32..).map(Token).zip(logits);
    let (tokens, logits): (Vec<Token>, Vec<i32>) =
        all.filter(|(token, _)| allowed.has(*token)).unzip();
    if tokens.is_empty() {
        return None;
    }
    let Token(at) = choose(&logits, sampling, position);
    tokens.get(at as usize).copied()
}

fn token(index: Option<usize>) -> Token {
    let index = index.and_then(|index| u32::try_from(index).ok());
    Token(index.expect("some token of a bounded vocabulary is chosen"))
}

/// `invT`: `round(log2(e) 2^8 1000 / temperature_milli)`.
fn inverse_temperature(temperature_milli: u32) -> i64 {
    let temperature = u64::from(temperature_milli.min(TEMPERATURE_MILLI_MAX));
    let inverse = (LOG2_E * 256_000 + (temperature << 31)) / (temperature << 32);
    i64::try_from(inverse).expect("below 2^20")
}

// spec: ENGINE-13.2
fn powers(logits: &[i32], largest: i32, temperature_milli: u32) -> Vec<u16> {
    let exponential = &Tables::get().exponential;
    let inverse = inverse_temperature(temperature_milli);
    let power = |logit: &i32| {
        let below = i64::from(largest) - i64::from(*logit);
        exponential[rnd(below * inverse, 9).min(65535) as usize]
    };
    logits.iter().map(power).collect()
}

/// The least p that stays, by all three filters; at least 1.
// spec: ENGINE-13.3
fn threshold(powers: &[u16], sampling: &Sampling) -> u16 {
    let mut counts = vec![0u64; usize::from(POWER_MAX) + 1];
    powers.iter().for_each(|p| counts[usize::from(*p)] += 1);
    let first = top_k(&counts, sampling.top_k).max(min_p(sampling.min_p));
    first.max(top_p(&counts, first, sampling.top_p))
}

/// Values that occur, the largest first, with how often.
fn occurring(counts: &[u64]) -> impl Iterator<Item = (u16, u64)> + '_ {
    let values = (0..=POWER_MAX).rev().zip(counts.iter().rev());
    values.map(|(p, count)| (p, *count)).filter(|(_, count)| *count > 0)
}

/// The k-th largest p; ties stay in.
fn top_k(counts: &[u64], k: u32) -> u16 {
    let mut seen = 0;
    let reaches = |(_, count): &(u16, u64)| {
        seen += count;
        seen >= u64::from(k)
    };
    match k {
        0 => 1,
        _ => occurring(counts).find(reaches).map_or(1, |(p, _)| p),
    }
}

/// The least p with `p 65536 >= min_p 32767`.
fn min_p(min_p: u32) -> u16 {
    let least = (u64::from(min_p.min(Sampling::ONE)) * u64::from(POWER_MAX)).div_ceil(1 << 16);
    u16::try_from(least).unwrap_or(POWER_MAX).max(1)
}

/// The largest p that occurs with `sum over p' >= p of p' >= top_p Z`, Z the sum of what the
/// filters before left.
fn top_p(counts: &[u64], least: u16, top_p: u32) -> u16 {
    let left = || occurring(counts).take_while(|(p, _)| *p >= least);
    let total: u64 = left().map(|(p, count)| u64::from(p) * count).sum();
    let wanted = u128::from(total) * u128::from(top_p.min(Sampling::ONE));
    let mut sum = 0u64;
    let reaches = |(p, count): &(u16, u64)| {
        sum += u64::from(*p) * count;
        u128::from(sum) << 16 >= wanted
    };
    left().find(reaches).map_or(least, |(p, _)| p)
}

/// The random value of a position: the first 8 bytes, little-endian, of BLAKE3 keyed by the seed.
// spec: ENGINE-13.4
fn random(seed: &[u8; 32], position: u64) -> u64 {
    let message = [DOMAIN, &position.to_le_bytes()].concat();
    let Digest(bytes) = Digest::keyed(seed, &message);
    let [a, b, c, d, e, f, g, h, ..] = bytes;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The first index whose prefix sum times 2^64 is above `random * total`.
// spec: ENGINE-13.5
fn pick(weights: impl Iterator<Item = u64>, total: u64, random: u64) -> Token {
    let wanted = u128::from(random) * u128::from(total);
    let mut prefix = 0u64;
    let mut weights = weights;
    token(weights.position(|weight| {
        prefix += weight;
        u128::from(prefix) << 64 > wanted
    }))
}

#[cfg(test)]
mod tests;
