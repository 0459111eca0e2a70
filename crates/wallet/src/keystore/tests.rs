//! A keystore opens with its password and with nothing else, and says what is wrong.

use super::*;
use crate::keys::Tier;
use crate::words::Words;
use mutirao_ledger::testing::Seeded;
use proptest::prelude::*;

fn password(text: &str) -> Password {
    Password::new(text.to_owned())
}

fn contents(entropy: u8) -> Contents {
    let keys = Keys::new(Words::from_entropy(&[entropy; 32]));
    Contents { network: Network::Test, vault: VaultKey::fresh(&mut Seeded::new(1)), keys }
}

fn sealed(entropy: u8, seed: u64) -> Vec<u8> {
    let mut rng = Seeded::new(seed);
    seal(&contents(entropy), &password("correct horse"), Cost::LEAST, &mut rng).unwrap()
}

/// As somebody would who changes bytes and knows the layout.
fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() - CHECKSUM_BYTES);
    let sum = checksum(&bytes);
    sum.encode(&mut bytes);
    bytes
}

// spec: WALLET-2.1
#[test]
fn a_keystore_opens_with_its_password() {
    let bytes = sealed(3, 1);
    assert!(bytes.len() <= KEYSTORE_BYTES_MAX);
    assert_eq!(inspect(&bytes), Ok(Cost::LEAST));
    let opened = open(&bytes, &password("correct horse")).unwrap();
    assert_eq!(opened.to_bytes(), contents(3).to_bytes());
    assert_eq!(opened.keys.tier(), Tier::Spend);
}

// spec: WALLET-2.1
#[test]
fn two_keystores_of_the_same_keys_have_nothing_in_common() {
    let (one, two) = (sealed(3, 1), sealed(3, 2));
    let body = HEADER_BYTES - 44;
    let same = one.iter().zip(&two).skip(body).filter(|(left, right)| left == right).count();
    assert!(same < 20, "{same} bytes alike");
}

// spec: WALLET-2.3
#[test]
fn a_wrong_password_is_called_a_wrong_password() {
    let bytes = sealed(3, 1);
    for text in ["", "correct hors", "correct horse ", "Correct horse", "correct horsé"] {
        assert_eq!(open(&bytes, &password(text)).unwrap_err(), KeystoreError::Password);
    }
}

// spec: WALLET-2.3
#[test]
fn a_keystore_that_is_cut_short_is_called_short() {
    let bytes = sealed(3, 1);
    for length in 8..bytes.len() {
        let error = open(&bytes[..length], &password("correct horse")).unwrap_err();
        assert!(matches!(error, KeystoreError::Truncated { .. }), "{length}: {error}");
    }
    let error = open(&[], &password("correct horse")).unwrap_err();
    assert!(matches!(error, KeystoreError::Truncated { .. }), "an empty file: {error}");
}

// spec: WALLET-2.3
#[test]
fn every_flipped_bit_is_found_before_a_password_is_tried() {
    let bytes = sealed(3, 1);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        let error = open(&changed, &password("correct horse")).unwrap_err();
        let right = match at {
            0..8 => error == KeystoreError::Mark,
            8 => matches!(error, KeystoreError::Version { .. }),
            _ => matches!(error, KeystoreError::Corrupt | KeystoreError::Truncated { .. }),
        };
        assert!(right, "byte {at}: {error}");
    }
}

// spec: WALLET-2.1
#[test]
fn a_header_that_was_changed_with_care_opens_nothing() {
    let bytes = sealed(3, 1);
    for at in 9..bytes.len() - CHECKSUM_BYTES {
        // Memory and passes only within what the test has time for; the length is checked above.
        if (9..21).contains(&at) || (61..65).contains(&at) {
            continue;
        }
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let error = open(&with_checksum(changed), &password("correct horse")).unwrap_err();
        assert_eq!(error, KeystoreError::Password, "byte {at}");
    }
    let mut changed = bytes;
    changed[13] = 2;
    let error = open(&with_checksum(changed), &password("correct horse")).unwrap_err();
    assert_eq!(error, KeystoreError::Password, "two passes instead of one");
}

// spec: WALLET-2.2
#[test]
fn work_out_of_bounds_is_refused_before_it_is_done() {
    let bytes = sealed(3, 1);
    for (at, value) in [(9, 0u32), (9, u32::MAX), (13, 0), (13, 1 << 20), (17, 0), (17, 1 << 20)] {
        let mut changed = bytes.clone();
        changed[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let error = open(&with_checksum(changed), &password("correct horse")).unwrap_err();
        assert!(matches!(error, KeystoreError::Cost { given, .. } if given == value), "{error}");
    }
    let none = Cost { memory_kib: 0, ..Cost::LEAST };
    let refused = seal(&contents(1), &password("correct horse"), none, &mut Seeded::new(1));
    assert!(matches!(refused, Err(KeystoreError::Cost { .. })));
}

#[test]
fn what_follows_the_end_is_damage() {
    let bytes = [&sealed(3, 1)[..], &[0]].concat();
    let error = open(&bytes, &password("correct horse")).unwrap_err();
    assert_eq!(error, KeystoreError::Corrupt);
}

#[test]
fn short_passwords_make_no_keystore_and_none_is_printed() {
    assert_eq!(password("1234567").check(), Err(ShortPassword));
    assert_eq!(password("açúcares").check(), Ok(()));
    assert_eq!(format!("{:?}", password("correct horse")), "Password(redacted)");
    assert!(format!("{:?}", contents(3)).contains("VaultKey(redacted)"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // spec: WALLET-2.1
    #[test]
    fn whatever_is_sealed_opens_again(entropy: u8, seed: u64, text in ".{8,40}") {
        let mut rng = Seeded::new(seed);
        let bytes = seal(&contents(entropy), &password(&text), Cost::LEAST, &mut rng).unwrap();
        let opened = open(&bytes, &password(&text)).unwrap();
        prop_assert_eq!(opened.to_bytes(), contents(entropy).to_bytes());
    }

    // spec: WALLET-2.3
    #[test]
    fn any_bytes_give_an_error_and_no_panic(mut bytes: Vec<u8>, version in 0u8..3) {
        prop_assert!(open(&bytes, &password("correct horse")).is_err());
        let mut marked = MARK.to_vec();
        marked.push(version);
        marked.append(&mut bytes);
        prop_assert!(open(&marked, &password("correct horse")).is_err());
    }
}
