//! One proof of each kind, and every way in which it must not pass.

use super::*;
use crate::curve::hash_to_scalar;
use crate::testing::{Constant, Seeded};

fn number(at: u64) -> Scalar {
    hash_to_scalar("test", &[&at.to_le_bytes()])
}

fn point(inner: RistrettoPoint) -> Point {
    Point::new(inner).unwrap()
}

/// Each relation of the ledger with secrets that fulfil it.
pub(crate) fn all() -> Vec<(Relation, Vec<Scalar>)> {
    let (g, [a, b, c]) = (generators(), [1, 2, 3].map(number));
    let one_time = point(g.key(&a, &b));
    let tag = point(g.u.inner() * a.invert());
    let key = point(g.times_h(&c));
    let value = point(g.commit(&a, &b));
    let deed = point(g.w.inner() * a + g.times_h(&b));
    let balance = Sum(g.commit(&a, &b));
    let again = point(g.commit(&a, &number(4)));
    let pot = Sum(key.inner() * b);
    vec![
        (spend(&one_time, &tag), vec![a, b]),
        (payer(&tag), vec![a]),
        (excess(&Sum(g.times_h(&a))), vec![a]),
        (equal(&Sum(g.times_h(&a))), vec![a]),
        (owner(&one_time), vec![a, b]),
        (holder(&key), vec![c]),
        (name(&deed), vec![a, b]),
        (handle(&value, &key, &point(key.inner() * b)), vec![a, b]),
        (restated(&key, &balance, &pot, &again), vec![c, c * number(4)]),
    ]
}

fn proven(message: u8) -> Vec<(Relation, SigmaProof)> {
    let prove = |(relation, secrets): (Relation, Vec<Scalar>)| {
        let secrets: Vec<&Scalar> = secrets.iter().collect();
        let proof = relation.prove(&[message; 32], &secrets, &mut Seeded::new(1));
        (relation, proof)
    };
    all().into_iter().map(prove).collect()
}

// spec: LEDGER-4.4, LEDGER-4.5
#[test]
fn each_relation_proves_and_only_for_its_message() {
    for (relation, proof) in proven(1) {
        assert!(relation.verify(&[1; 32], &proof));
        assert!(!relation.verify(&[2; 32], &proof));
    }
}

// spec: LEDGER-4.3
#[test]
fn every_flipped_byte_of_a_proof_fails() {
    for (relation, proof) in proven(1) {
        let bytes = proof.to_bytes();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let passes = SigmaProof::from_bytes(&changed)
                .is_ok_and(|proof| relation.verify(&[1; 32], &proof));
            assert!(!passes, "byte {at}");
        }
        assert!(SigmaProof::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        assert!(SigmaProof::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
        assert_eq!(SigmaProof::from_bytes(&bytes), Ok(proof));
    }
}

// spec: LEDGER-4.1
#[test]
fn every_point_of_a_statement_is_bound() {
    let other = Element::from(point(generators().times_g(&number(9))));
    for (relation, proof) in proven(1) {
        for at in 0..relation.equations.len() {
            let mut changed = relation.clone();
            changed.equations[at].result = other;
            assert!(!changed.verify(&[1; 32], &proof));
            for term in 0..relation.equations[at].terms.len() {
                let mut changed = relation.clone();
                changed.equations[at].terms[term].1 = Base::Free(other);
                assert!(!changed.verify(&[1; 32], &proof));
                // The challenge itself moves, not only the equation.
                let first = |relation: &Relation| {
                    challenge(&mut relation.transcript(&[1; 32]), &proof.commitments)
                };
                assert_ne!(first(&changed), first(&relation));
            }
        }
    }
}

#[test]
fn a_proof_of_one_relation_is_none_of_another() {
    let all = proven(1);
    for (at, (relation, _)) in all.iter().enumerate() {
        for (other, (_, proof)) in all.iter().enumerate() {
            assert_eq!(relation.verify(&[1; 32], proof), at == other, "{at} {other}");
        }
    }
}

#[test]
fn wrong_secrets_prove_nothing() {
    for (relation, secrets) in all() {
        for at in 0..secrets.len() {
            let mut wrong = secrets.clone();
            wrong[at] += Scalar::ONE;
            let wrong: Vec<&Scalar> = wrong.iter().collect();
            let proof = relation.prove(&[1; 32], &wrong, &mut Seeded::new(1));
            assert!(!relation.verify(&[1; 32], &proof));
        }
    }
}

// spec: LEDGER-4.6
#[test]
fn a_batch_holds_exactly_if_every_proof_does() {
    let all = proven(1);
    let batch = |all: &[(Relation, SigmaProof)]| {
        let mut batch = Batch::default();
        all.iter().for_each(|(relation, proof)| assert!(batch.add(relation, &[1; 32], proof)));
        batch.verify()
    };
    assert!(batch(&all) && batch(&[]));
    for at in 0..all.len() {
        let mut bad = all.clone();
        bad[at].1.responses[0] += Scalar::ONE;
        assert!(!bad[at].0.verify(&[1; 32], &bad[at].1));
        assert!(!batch(&bad), "bad proof at {at}");
    }
}

// spec: LEDGER-4.6
#[test]
fn two_bad_proofs_whose_errors_cancel_do_not_pass_together() {
    let (relation, proof) = proven(1)[2].clone();
    let (mut up, mut down) = (proof.clone(), proof.clone());
    up.responses[0] += Scalar::ONE;
    down.responses[0] -= Scalar::ONE;
    let mut batch = Batch::default();
    assert!(batch.add(&relation, &[1; 32], &up) && batch.add(&relation, &[1; 32], &down));
    assert!(!batch.verify());
}

#[test]
fn a_proof_of_another_shape_is_not_added() {
    let all = proven(1);
    assert!(!Batch::default().add(&all[0].0, &[1; 32], &all[2].1));
}

// spec: LEDGER-4.2
#[test]
fn two_proofs_under_a_broken_generator_do_not_give_the_secret_away() {
    let (relation, secrets) = all().swap_remove(2);
    let secrets: Vec<&Scalar> = secrets.iter().collect();
    let one = relation.prove(&[1; 32], &secrets, &mut Constant);
    let two = relation.prove(&[2; 32], &secrets, &mut Constant);
    assert_ne!(one.commitments, two.commitments);
}
