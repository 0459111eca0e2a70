//! The library's verifier and the slow one, on the same honest and broken proofs.

use super::*;
use crate::curve::hash_to_scalar;
use crate::testing::Seeded;

fn opening(amount: u64, at: u64) -> Opening {
    Opening::new(Amount(amount), hash_to_scalar("test", &[&at.to_le_bytes()]))
}

fn claim(amounts: &[u64]) -> RangeClaim {
    let openings: Vec<Opening> =
        amounts.iter().zip(0..).map(|(amount, at)| opening(*amount, at)).collect();
    let slots: Vec<Element> = openings.iter().map(|opening| opening.commit().into()).collect();
    let proof = prove(&[1; 32], &slots, &openings, &mut Seeded::new(1)).unwrap();
    RangeClaim { message: [1; 32], slots, proof }
}

/// Both verifiers say the same.
fn holds(claim: &RangeClaim) -> bool {
    let (fast, slow) = (verify(&[claim]), slow::verify(claim));
    assert_eq!(fast, slow, "the two verifiers disagree");
    fast
}

// spec: LEDGER-4.7, LEDGER-4.8
#[test]
fn both_verifiers_accept_every_number_of_slots() {
    for count in [1usize, 2, 3, 5, 9, 16] {
        let amounts: Vec<u64> = (0..count as u64).map(|at| u64::MAX - at * 7).collect();
        let claim = claim(&amounts);
        assert_eq!(claim.proof.len(), proof_bytes(count));
        assert!(holds(&claim), "{count}");
    }
}

// spec: LEDGER-4.7
#[test]
fn both_refuse_every_changed_element() {
    let good = claim(&[5, 7]);
    for at in (0..good.proof.len()).step_by(23).chain([0, good.proof.len() - 1]) {
        let mut bad = good.clone();
        bad.proof[at] ^= 1;
        assert!(!holds(&bad), "byte {at}");
    }
    let mut other = good.clone();
    other.message[0] ^= 1;
    assert!(!holds(&other));
    let mut swapped = good.clone();
    swapped.slots.swap(0, 1);
    assert!(!holds(&swapped));
}

// spec: LEDGER-4.7
#[test]
fn a_missing_short_or_long_proof_is_not_a_valid_proof() {
    let good = claim(&[5, 7]);
    for length in [0, 1, 33, good.proof.len() - 32, good.proof.len() - 1] {
        let bad = RangeClaim { proof: good.proof[..length].to_vec(), ..good.clone() };
        assert!(!holds(&bad), "{length}");
    }
    for extra in [1, 32, 64] {
        let proof = [&good.proof[..], &vec![0; extra]].concat();
        assert!(!holds(&RangeClaim { proof, ..good.clone() }));
    }
    assert!(!verify(&[&RangeClaim { slots: vec![], ..good.clone() }]));
    let many = vec![good.slots[0]; 17];
    assert!(!verify(&[&RangeClaim { slots: many, ..good }]));
}

/// The same proof as an honest prover's for two slots, but about other points.
fn swapped_slot(amounts: &[u64], at: usize, to: RistrettoPoint) -> RangeClaim {
    let mut claim = claim(amounts);
    claim.slots[at] = Sum(to).into();
    claim
}

// spec: LEDGER-4.7
#[test]
fn amounts_that_wrap_around_are_refused() {
    let all = generators();
    let blinding = *opening(0, 0).blinding.scalar();
    let two_to_64 = Scalar::from(u64::MAX) + Scalar::ONE;
    for value in [two_to_64, -Scalar::ONE, -Scalar::from(5u8), two_to_64 + two_to_64] {
        let bad = swapped_slot(&[0, 7], 0, all.commit(&value, &blinding));
        assert!(!holds(&bad));
        let opening = Opening::new(Amount(5), blinding);
        let slots = [Element::from(Sum(all.commit(&value, &blinding)))];
        assert!(prove(&[1; 32], &slots, &[opening], &mut Seeded::new(1)).is_err());
    }
}

// spec: LEDGER-4.8
#[test]
fn padding_that_holds_something_is_refused() {
    // Four slots proven, the last of them hidden from the transaction, which shows three.
    let four = claim(&[1, 2, 3, 4]);
    let three = RangeClaim { slots: four.slots[..3].to_vec(), ..four.clone() };
    assert!(holds(&four));
    assert!(!holds(&three));
}

// spec: LEDGER-4.6
#[test]
fn a_batch_holds_exactly_if_every_proof_does() {
    let all = [claim(&[1]), claim(&[2, 3]), claim(&[4, 5, 6]), claim(&[7]), claim(&[8, 9])];
    let batch = |all: &[RangeClaim]| verify(&all.iter().collect::<Vec<_>>());
    assert!(batch(&all) && batch(&[]));
    for at in 0..all.len() {
        let mut bad = all.clone();
        let last = bad[at].proof.len() - 33;
        bad[at].proof[last] ^= 1;
        assert!(!holds(&bad[at]) && !batch(&bad), "bad proof at {at}");
        let mut swapped = all.clone();
        swapped[at].message = [9; 32];
        assert!(!batch(&swapped));
    }
}

// spec: LEDGER-4.6
#[test]
fn two_bad_proofs_whose_errors_cancel_do_not_pass_together() {
    let good = claim(&[5]);
    let moved = |by: Scalar| {
        let d1 = Scalar::from_canonical_bytes(good.proof[1..33].try_into().unwrap()).unwrap() + by;
        let proof = [&good.proof[..1], d1.as_bytes(), &good.proof[33..]].concat();
        RangeClaim { proof, ..good.clone() }
    };
    let (up, down) = (moved(Scalar::ONE), moved(-Scalar::ONE));
    assert!(verify(&[&moved(Scalar::ZERO)]));
    assert!(!holds(&up) && !holds(&down) && !verify(&[&up, &down]));
}

// spec: LEDGER-4.6
#[test]
fn a_bad_proof_beyond_the_first_chunk_of_a_batch_is_found_slow_() {
    if std::env::var_os("MUTIRAO_SLOW").is_none() {
        return;
    }
    let good = claim(&[5]);
    let mut bad = good.clone();
    bad.proof[40] ^= 1;
    for at in [0, 255, 256, 257, 511, 519] {
        let mut all = vec![&good; 520];
        assert!(verify(&all));
        all[at] = &bad;
        assert!(!verify(&all), "{at}");
    }
}
