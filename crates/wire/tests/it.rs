//! Properties of the canonical encoding and of the commitments, over arbitrary values.

use mutirao_wire::bundle::{Evidence, ReceiptBundle, Statement};
use mutirao_wire::limits::RECEIPT_BYTES_MAX;
use mutirao_wire::testing::*;
use mutirao_wire::*;
use proptest::prelude::*;
use std::fmt::Debug;

/// One value, one encoding: it reads back, it fills its bytes, and no prefix of it reads.
fn reads_back<T: Encode + Decode + PartialEq + Debug>(value: &T) {
    let bytes = value.to_bytes();
    assert_eq!(T::from_bytes(&bytes).as_ref(), Ok(value));
    for end in 0..bytes.len() {
        assert!(T::from_bytes(&bytes[..end]).is_err(), "a cut at {end} was read");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(T::from_bytes(&longer), Err(DecodeError::Trailing { left: 1 }));
}

/// Whatever hostile bytes decode to encodes to the same bytes again.
fn has_no_second_spelling<T: Encode + Decode>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert_eq!(value.to_bytes(), bytes);
    }
}

proptest! {
    #[test]
    fn a_job_reads_back(job in arb_job()) {
        reads_back(&job);
    }

    #[test]
    fn an_order_reads_back(order in arb_job().prop_flat_map(|job| arb_order(&job))) {
        reads_back(&order);
    }

    #[test]
    fn a_bundle_reads_back(bundle in arb_bundle()) {
        reads_back(&bundle.receipt);
        reads_back(&bundle.offer);
        let json = bundle.to_json(serde_json::json!({"note": "for people"}));
        prop_assert_eq!(ReceiptBundle::from_json(json.as_bytes()), Ok(bundle));
    }

    #[test]
    fn evidence_reads_back(
        bundle in arb_bundle(),
        key in arb_signing_key(),
        point in any::<bool>(),
    ) {
        let job = &bundle.opening.job;
        let checkpoint = Checkpoint {
            job: job.commitment(),
            order: bundle.receipt.receipt.order,
            index: 0,
            prefix: job.prefix_digest(&[]),
        };
        let checkpoint = Statement::Checkpoint(checkpoint.sign(&key));
        let statement = if point { checkpoint } else { Statement::Receipt(bundle.receipt) };
        let evidence = Evidence { statement, offer: bundle.offer, opening: bundle.opening };
        let json = evidence.to_json(serde_json::Value::Null);
        prop_assert_eq!(Evidence::from_json(json.as_bytes()), Ok(evidence));
        prop_assert!(ReceiptBundle::from_json(json.as_bytes()).is_err());
    }

    // spec: RECEIPT-1.1
    #[test]
    fn a_signed_receipt_fits_its_bound_and_names_its_version_and_scheme(bundle in arb_bundle()) {
        let bytes = bundle.receipt.to_bytes();
        prop_assert!(bytes.len() <= RECEIPT_BYTES_MAX);
        for (at, name) in [(0, "receipt version"), (1, "commit scheme")] {
            let mut other = bytes.clone();
            other[at] += 1;
            let error = SignedReceipt::from_bytes(&other).expect_err("an unknown one");
            prop_assert!(error.to_string().contains(name), "{}", error);
        }
    }

    #[test]
    fn hostile_bytes_never_panic_and_never_spell_a_value_twice(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        version in 0..3u8,
    ) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = version;
        }
        has_no_second_spelling::<Job>(&bytes);
        has_no_second_spelling::<Order>(&bytes);
        has_no_second_spelling::<SignedOffer>(&bytes);
        has_no_second_spelling::<SignedReceipt>(&bytes);
        has_no_second_spelling::<SignedCheckpoint>(&bytes);
        let _ = ReceiptBundle::from_json(&bytes);
        let _ = Evidence::from_json(&bytes);
    }

    // spec: SESSION-1.1
    #[test]
    fn a_flipped_bit_in_a_job_changes_its_commitment(
        job in arb_job(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut bytes = job.to_bytes();
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = Job::from_bytes(&bytes) {
            prop_assert_ne!(other.commitment(), job.commitment());
        }
    }

    #[test]
    fn a_flipped_bit_in_a_receipt_breaks_its_signature(
        bundle in arb_bundle(),
        key in arb_signing_key(),
        at in any::<prop::sample::Index>(),
    ) {
        let signed = bundle.receipt.receipt.sign(&key);
        prop_assert!(signed.verifies(&key.receipt_key()));
        let mut bytes = signed.to_bytes();
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = SignedReceipt::from_bytes(&bytes) {
            prop_assert!(!other.verifies(&key.receipt_key()));
        }
    }

    // spec: SESSION-1.2
    #[test]
    fn commitments_to_the_same_tokens_differ_between_nonces(
        job in arb_job(),
        answer in arb_tokens(9),
    ) {
        let mut other = job.clone();
        other.nonce[0] ^= 1;
        prop_assert_ne!(job.answer_commitment(&answer), other.answer_commitment(&answer));
        prop_assert_ne!(job.prefix_digest(&answer).0, job.answer_commitment(&answer).0);
    }

    #[test]
    fn an_offer_verifies_only_as_its_provider_signed_it(bundle in arb_bundle()) {
        prop_assert!(bundle.offer.verifies());
        let mut other = bundle.offer.clone();
        other.offer.sequence ^= 1;
        prop_assert!(!other.verifies());
        let mut other = bundle.offer;
        let more = OfferLimits { job_ms: 1, jobs_per_key: 1 };
        other.offer.limits = other.offer.limits.is_none().then_some(more);
        prop_assert!(!other.verifies(), "limits are signed, and so is that there are none");
    }
}

#[test]
fn an_empty_stop_sequence_is_refused() {
    let job = Job {
        op_set: OpSet(1),
        model: ModelId(Digest([1; 32])),
        prompt: vec![Token(1)],
        sampling: Sampling::greedy(),
        max_tokens: 1,
        stop: vec![vec![]],
        constraint: None,
        nonce: [0; 32],
    };
    let error = Job::from_bytes(&job.to_bytes());
    assert_eq!(error, Err(DecodeError::NotCanonical { what: "empty stop sequence" }));
}

#[test]
fn a_file_of_another_format_is_refused_by_name() {
    let text = br#"{"format":"other/1","offer":"","opening":{"job":"","answer":[]}}"#;
    let error = ReceiptBundle::from_json(text).expect_err("another format");
    assert_eq!(
        error.to_string(),
        "the file says format \"other/1\"; expected \"mutirao-receipt/1\""
    );
}
