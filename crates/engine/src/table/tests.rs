//! The tables are correctly rounded, and are the pinned ones.

use super::*;
use mutirao_wire::Digest;

/// Far above the 2^-56 that a Q62 value may be off, times the largest factor of 2^16.
const SAFE: u64 = 1 << (62 - 38);
const ONE_QUARTER: u64 = 1 << 60;

fn pinned(domain: &str, bytes: &[u8]) -> String {
    Digest::of(domain, &[bytes]).hex()
}

#[test]
fn no_power_is_near_a_rounding_boundary_but_the_one_tie() {
    // spec: ENGINE-2.2
    let fractions = exponential::fractions();
    for i in (0..exponential::LENGTH).filter(|i| *i != 2048) {
        let (_, distance) = exponential::entry(&fractions, i);
        assert!(distance > SAFE || i % 2048 == 0, "entry {i} is {distance} from a boundary");
    }
    let table = &Tables::get().exponential;
    assert_eq!((table[0], table[2048], table[4096], table[65535]), (32767, 16384, 8192, 0));
}

#[test]
fn no_cosine_is_near_a_rounding_boundary() {
    // spec: ENGINE-2.3
    let half_pi = cosine::quarter_turn();
    for i in 0..=cosine::LENGTH / 4 {
        let (_, distance) = cosine::entry(half_pi, i);
        assert!(distance > SAFE, "entry {i} is {distance} from a boundary");
    }
    let table = &Tables::get().cosine;
    assert_eq!([0, 16384, 32768, 49152].map(|i| table[i]), [16384, 0, -16384, 0]);
    assert_eq!(table[65536 / 8], 11585);
}

#[test]
fn no_sigmoid_is_near_a_rounding_boundary() {
    // spec: ENGINE-2.4
    let powers = sigmoid::powers();
    for i in 0..=sigmoid::LENGTH / 2 {
        let (_, distance) = sigmoid::entry(&powers, i);
        assert!(distance > SAFE, "entry {i} is {distance} from a boundary");
    }
    let table = &Tables::get().sigmoid;
    assert_eq!([0, 32768, 32768 + 2048].map(|i| table[i]), [0, 32768, 47911]);
}

#[test]
fn no_gelu_is_near_a_rounding_boundary() {
    // spec: ENGINE-2.5
    let scale = gelu::scale();
    for i in 0..=gelu::FLAT + 1 {
        let (_, distance) = gelu::entry(scale, i);
        assert!(distance > SAFE, "entry {i} is {distance} from a boundary");
    }
    let last = gelu::entry(scale, gelu::FLAT);
    assert_eq!(last.0, 65536, "what is beyond is flat");
    assert!(last.1 > ONE_QUARTER, "and far from the boundary");
    let table = &Tables::get().gelu;
    assert_eq!([0, 32768, 32768 + 2048].map(|i| table[i]), [0, 32768, 55128]);
}

#[test]
fn tables_agree_with_floating_point_to_half_a_unit() {
    let tables = Tables::get();
    let near = |entry: f64, value: f64, what: &str, i: usize| {
        assert!((entry - value).abs() <= 0.500_001, "{what}[{i}] = {entry}, not {value}");
    };
    for i in 0..65536 {
        let x = i as f64;
        near(tables.exponential[i].into(), 32767.0 * (-x / 2048.0).exp2(), "EXP2", i);
        let turn = std::f64::consts::TAU * x / 65536.0;
        near(tables.cosine[i].into(), 16384.0 * turn.cos(), "COS", i);
        let gate = 65536.0 / (1.0 + (-(x - 32768.0) / 2048.0).exp());
        near(tables.sigmoid[i].into(), gate, "SIG", i);
        let z = (x - 32768.0) / 2048.0;
        let y = (8.0 / std::f64::consts::PI).sqrt() * (z + 0.044715 * z * z * z);
        near(tables.gelu[i].into(), 65536.0 / (1.0 + (-y).exp()), "GEL", i);
    }
}

#[test]
fn tables_have_their_pinned_digests() {
    // spec: ENGINE-2.1
    let tables = Tables::get();
    let powers: Vec<u8> = tables.exponential.iter().flat_map(|x| x.to_le_bytes()).collect();
    let cosines: Vec<u8> = tables.cosine.iter().flat_map(|x| x.to_le_bytes()).collect();
    let gates: Vec<u8> = tables.sigmoid.iter().flat_map(|x| x.to_le_bytes()).collect();
    let gelus: Vec<u8> = tables.gelu.iter().flat_map(|x| x.to_le_bytes()).collect();
    let digests = [
        pinned("mutirao 1 table exp2", &powers),
        pinned("mutirao 1 table cos", &cosines),
        pinned("mutirao 1 table sig", &gates),
        pinned("mutirao 1 table gel", &gelus),
    ];
    assert_eq!(
        digests,
        [
            "3cc55a3979f2b4db936a6f8f9faaa3c93358d42f3b56a38ccd44c98888b13e49",
            "a7db896069e75a3f5256fb1cc526c3b06dd198c0ef2fc4dd29e19f6ac488dd85",
            "b60bf162a02afbd3b22dbaea2830d26888eb844bd4c6e46b857d7f6d51fcec7c",
            "7c344ace03e24bc0ab4f4aacad898657c30410f95f38fedd215bb1b505df199f",
        ]
    );
}
