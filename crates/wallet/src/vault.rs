//! The book at rest: sealed under a key that the keystore holds.
//!
//! Layout: mark (8) ‖ version 3 ‖ nonce (24) ‖ sealed book, with all before it as bound data. The
//! nonce is fresh at each writing and long enough to be drawn at random.

use crate::keystore::VaultKey;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use mutirao_wire::{Decode, DecodeError, Encode};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

/// How a sealed book begins.
const MARK: [u8; 8] = *b"mutibook";
/// The version of the layout.
const VERSION: u8 = 3;
/// Bytes before the sealed part.
const HEADER_BYTES: usize = 8 + 1 + 24;
/// Bytes of the largest book: some three million notes.
pub const BOOK_BYTES_MAX: usize = 1 << 30;

/// Why a book does not open.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VaultError {
    /// A newer layout, or an older one.
    #[error("the book has version {given}, this program reads version {VERSION}; try `--rescan`")]
    Version {
        /// What the file says.
        given: u8,
    },
    /// Damaged, cut short, or of another wallet.
    #[error(
        "the book is damaged or belongs to another wallet; `--rescan` reads everything anew from \
         the ledger, but to whom you paid is known to the book alone"
    )]
    Sealed,
    /// It opens, and holds something else.
    #[error("the book opens, but what it holds cannot be read: {0}; try `--rescan`")]
    Contents(#[from] DecodeError),
    /// More than a book may have.
    #[error("the book would have more than {BOOK_BYTES_MAX} bytes")]
    TooLarge,
}

/// Seals a book.
///
/// # Errors
/// [`VaultError::TooLarge`].
// spec: WALLET-3.1
pub fn seal(
    book: &impl Encode,
    key: &VaultKey,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, VaultError> {
    let plain = Zeroizing::new(book.to_bytes());
    if plain.len() > BOOK_BYTES_MAX - HEADER_BYTES - 16 {
        return Err(VaultError::TooLarge);
    }
    let mut nonce = [0; 24];
    rng.fill_bytes(&mut nonce);
    let mut out = MARK.to_vec();
    VERSION.encode(&mut out);
    nonce.encode(&mut out);
    let payload = Payload { msg: &plain, aad: &out };
    let sealed = cipher(key).encrypt(&XNonce::from(nonce), payload);
    out.extend(sealed.map_err(|_| VaultError::TooLarge)?);
    Ok(out)
}

/// Opens a book.
///
/// # Errors
/// [`VaultError`].
// spec: WALLET-3.1
pub fn open<T: Decode>(bytes: &[u8], key: &VaultKey) -> Result<T, VaultError> {
    let (header, sealed) = bytes.split_at_checked(HEADER_BYTES).ok_or(VaultError::Sealed)?;
    let rest = header.strip_prefix(&MARK).ok_or(VaultError::Sealed)?;
    let (version, nonce) = rest.split_first().ok_or(VaultError::Sealed)?;
    if *version != VERSION {
        return Err(VaultError::Version { given: *version });
    }
    let nonce: [u8; 24] = nonce.try_into().map_err(|_| VaultError::Sealed)?;
    let payload = Payload { msg: sealed, aad: header };
    let plain = cipher(key).decrypt(&XNonce::from(nonce), payload);
    let plain = Zeroizing::new(plain.map_err(|_| VaultError::Sealed)?);
    Ok(T::from_bytes(&plain)?)
}

fn cipher(key: &VaultKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Key::from(*key.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mutirao_ledger::testing::Seeded;

    fn key(seed: u64) -> VaultKey {
        VaultKey::fresh(&mut Seeded::new(seed))
    }

    // spec: WALLET-3.1
    #[test]
    fn a_book_opens_under_its_key_alone_and_every_flipped_byte_is_found() {
        let mut rng = Seeded::new(9);
        let bytes = seal(&77u64, &key(1), &mut rng).unwrap();
        assert_eq!(open::<u64>(&bytes, &key(1)), Ok(77));
        assert_eq!(open::<u64>(&bytes, &key(2)), Err(VaultError::Sealed));
        assert!(matches!(open::<u32>(&bytes, &key(1)), Err(VaultError::Contents(_))));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let wanted = match at {
                8 => VaultError::Version { given: 2 },
                _ => VaultError::Sealed,
            };
            assert_eq!(open::<u64>(&changed, &key(1)), Err(wanted), "byte {at}");
        }
        for length in 0..bytes.len() {
            assert_eq!(open::<u64>(&bytes[..length], &key(1)), Err(VaultError::Sealed));
        }
        assert_ne!(seal(&77u64, &key(1), &mut rng).unwrap(), bytes, "a nonce twice");
    }
}
