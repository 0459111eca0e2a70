//! What a wallet reads from files and from people: keystores, books, view keys, payment proofs,
//! words.

use crate::target::split;
use mutirao_wallet::book::{Book, Entry, Held, Sending};
use mutirao_wallet::keys::{Keys, ViewKey};
use mutirao_wallet::keystore::{self, Contents, Cost, Password, VaultKey};
use mutirao_wallet::proof::Shown;
use mutirao_wallet::vault;
use mutirao_wallet::words::Words;
use mutirao_wire::{Decode, Digest, Encode, Reader};

fn canonical<T: Decode + Encode>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert_eq!(value.to_bytes(), bytes, "two spellings of one value");
    }
}

/// A keystore as it is and with a checksum that is right, without the work of trying a password;
/// what stands in one; a sealed book.
pub fn keystore(bytes: &[u8]) {
    let (kind, rest) = split(bytes);
    match kind % 4 {
        0 => inspected(rest),
        1 => {
            let sum = Digest::of("mutirao v1 wallet keystore", &[rest]);
            inspected(&[rest, &sum.0].concat());
        }
        2 => canonical::<Contents>(rest),
        _ => {
            let key = VaultKey::decode(&mut Reader::new(&[7; 32])).expect("32 bytes are a key");
            assert!(vault::open::<Book>(rest, &key).is_err(), "a seal made without its key");
        }
    }
}

fn inspected(bytes: &[u8]) {
    match keystore::inspect(bytes) {
        // Cheap ones are tried as well: whoever made this up does not know the password.
        Ok(Cost { memory_kib: ..=8192, passes: 1, lanes: 1 }) => {
            let password = Password::new("a password that nobody set".to_owned());
            assert!(keystore::open(bytes, &password).is_err());
        }
        Ok(cost) => assert!(cost.memory_kib <= Cost::MOST.memory_kib),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Text that people copy, and what a book holds.
pub fn wallet(bytes: &[u8]) {
    let (kind, rest) = split(bytes);
    match kind % 6 {
        0 => text(rest),
        1 => canonical::<Book>(rest),
        2 => canonical::<Sending>(rest),
        3 => canonical::<Entry>(rest),
        4 => canonical::<Held>(rest),
        _ => {
            canonical::<Shown>(rest);
            canonical::<Keys>(rest);
        }
    }
}

fn text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(view) = text.parse::<ViewKey>() {
        assert!(view.keys().spender().is_none() && *view.reveal() == text);
    }
    if let Ok(shown) = text.parse::<Shown>() {
        assert_eq!(shown.to_string(), text);
    }
    if let Ok(words) = Words::parse(text) {
        assert_eq!(Words::parse(&words.reveal()), Ok(words));
    }
}
