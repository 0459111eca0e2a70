//! The keystore: keys under a password, in one small file.
//!
//! Layout: mark (8) ‖ version 1 ‖ memory in KiB (4) ‖ passes (4) ‖ lanes (4) ‖ salt (16) ‖
//! nonce (24) ‖ length (4) ‖ sealed contents ‖ checksum (32). Argon2id makes a key of the password;
//! XChaCha20-Poly1305 seals the contents with everything before them as bound data. The checksum is
//! no secret: it tells a damaged file from a wrong password.

use crate::keys::Keys;
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use mutirao_ledger::key::address::Network;
use mutirao_wire::{Decode, DecodeError, Digest, Encode, Reader};
use rand_core::CryptoRng;
use std::fmt;
use thiserror::Error;
use zeroize::Zeroizing;

/// How a keystore begins.
const MARK: [u8; 8] = *b"mutikeys";
/// The version of the layout.
const VERSION: u8 = 1;
/// Bytes before the sealed contents.
const HEADER_BYTES: usize = 8 + 1 + 12 + 16 + 24 + 4;
/// Bytes of the checksum.
const CHECKSUM_BYTES: usize = 32;
/// Bytes of sealed contents at most.
const SEALED_BYTES_MAX: usize = 1024;
/// Bytes of the largest keystore.
pub const KEYSTORE_BYTES_MAX: usize = HEADER_BYTES + SEALED_BYTES_MAX + CHECKSUM_BYTES;
/// Letters of the shortest password that a new keystore takes.
pub const PASSWORD_LETTERS_MIN: usize = 8;

/// A password; wiped when dropped, never printed.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// A password that protects nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a password has at least {PASSWORD_LETTERS_MIN} letters; whoever copies the file can try")]
pub struct ShortPassword;

impl Password {
    /// As it was typed.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Whether it is long enough to make a keystore with.
    ///
    /// # Errors
    /// [`ShortPassword`].
    pub fn check(&self) -> Result<(), ShortPassword> {
        let long = self.0.chars().count() >= PASSWORD_LETTERS_MIN;
        long.then_some(()).ok_or(ShortPassword)
    }

    /// Whether both are the same; a person typed both, so time tells nothing.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}

/// How much work it is to try one password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Cost {
    /// 64 MiB, three passes, four lanes (source: RFC 9106, section 4, the second recommendation).
    pub const STANDARD: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
    /// The least that is read: for tests, and for machines with hardly any memory.
    pub const LEAST: Self = Self { memory_kib: 8 * 1024, passes: 1, lanes: 1 };
    /// The most that is read: a file from outside must not take all memory, or a day.
    pub const MOST: Self = Self { memory_kib: 1024 * 1024, passes: 16, lanes: 16 };

    /// Whether each part is within its bounds.
    // spec: WALLET-2.2
    fn check(self) -> Result<(), KeystoreError> {
        let parts = [
            ("KiB of memory", self.memory_kib, Self::LEAST.memory_kib, Self::MOST.memory_kib),
            ("passes", self.passes, Self::LEAST.passes, Self::MOST.passes),
            ("lanes", self.lanes, Self::LEAST.lanes, Self::MOST.lanes),
        ];
        for (what, given, least, most) in parts {
            if !(least..=most).contains(&given) {
                return Err(KeystoreError::Cost { what, given, least, most });
            }
        }
        Ok(())
    }

    /// The key that a password gives.
    fn key(self, password: &Password, salt: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
        self.check()?;
        let failed = |error: argon2::Error| KeystoreError::Work(error.to_string());
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32));
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.map_err(failed)?);
        let mut key = Zeroizing::new([0; 32]);
        argon.hash_password_into(password.0.as_bytes(), salt, &mut *key).map_err(failed)?;
        Ok(key)
    }
}

/// What a keystore holds.
#[derive(Debug, Clone)]
pub struct Contents {
    /// Which ledger the wallet is for.
    pub network: Network,
    /// What the book is sealed with; fresh for each keystore.
    pub vault: VaultKey,
    /// The keys.
    pub keys: Keys,
}

/// What a wallet seals its book with; wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct VaultKey(pub(crate) Zeroizing<[u8; 32]>);

impl VaultKey {
    /// A new one.
    #[must_use]
    pub fn fresh(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *bytes);
        Self(bytes)
    }
}

impl Encode for VaultKey {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}
impl Decode for VaultKey {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(Zeroizing::new(input.array()?)))
    }
}

impl fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultKey(redacted)")
    }
}

impl Encode for Contents {
    fn encode(&self, out: &mut Vec<u8>) {
        self.network.encode(out);
        self.vault.encode(out);
        self.keys.encode(out);
    }
}
impl Decode for Contents {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            network: Network::decode(input)?,
            vault: VaultKey::decode(input)?,
            keys: Keys::decode(input)?,
        })
    }
}

/// Why a keystore does not open.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// Something else.
    #[error("this is not a keystore")]
    Mark,
    /// A newer layout, or an older one.
    #[error("the keystore has version {given}, this program reads version {VERSION}")]
    Version {
        /// What the file says.
        given: u8,
    },
    /// The end is missing.
    #[error("the keystore is cut short: {given} bytes of {wanted}; take the copy, or the 24 words")]
    Truncated {
        /// Bytes that there should be.
        wanted: usize,
        /// Bytes that there are.
        given: usize,
    },
    /// Some bytes have changed.
    #[error("the keystore is damaged; take the copy, or `mutirao wallet restore` with the words")]
    Corrupt,
    /// Work that no honest keystore asks for.
    #[error("the keystore asks for {given} {what}, between {least} and {most} are taken")]
    Cost {
        /// Of what.
        what: &'static str,
        /// How much.
        given: u32,
        /// At least.
        least: u32,
        /// At most.
        most: u32,
    },
    /// The work could not be done.
    #[error("the password could not be tried: {0}")]
    Work(String),
    /// Another password.
    #[error("wrong password")]
    Password,
    /// It opens, and holds something else.
    #[error("the keystore opens, but what it holds cannot be read: {0}")]
    Contents(DecodeError),
}

/// Seals keys under a password.
///
/// # Errors
/// [`KeystoreError::Cost`] or [`KeystoreError::Work`].
// spec: WALLET-2.1
pub fn seal(
    contents: &Contents,
    password: &Password,
    cost: Cost,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, KeystoreError> {
    let (mut salt, mut nonce) = ([0; 16], [0; 24]);
    rng.fill_bytes(&mut salt);
    rng.fill_bytes(&mut nonce);
    let key = cost.key(password, &salt)?;
    let plain = Zeroizing::new(contents.to_bytes());
    let mut out = Vec::with_capacity(KEYSTORE_BYTES_MAX);
    MARK.encode(&mut out);
    VERSION.encode(&mut out);
    cost.memory_kib.encode(&mut out);
    cost.passes.encode(&mut out);
    cost.lanes.encode(&mut out);
    salt.encode(&mut out);
    nonce.encode(&mut out);
    mutirao_wire::codec::put_count(&mut out, plain.len() + 16);
    let payload = Payload { msg: &plain, aad: &out };
    let sealed = cipher(&key).encrypt(&XNonce::from(nonce), payload);
    out.extend(sealed.map_err(|_| KeystoreError::Work("the cipher refused".to_owned()))?);
    let checksum = checksum(&out);
    checksum.encode(&mut out);
    Ok(out)
}

/// Opens a keystore.
///
/// # Errors
/// [`KeystoreError`]: a wrong password, a damaged or short file, another version and a cost out of
/// bounds are told apart.
// spec: WALLET-2.1, WALLET-2.3
pub fn open(bytes: &[u8], password: &Password) -> Result<Contents, KeystoreError> {
    let header = Header::read(bytes)?;
    let key = header.cost.key(password, &header.salt)?;
    let payload = Payload { msg: header.sealed, aad: header.bound };
    let plain = cipher(&key).decrypt(&XNonce::from(header.nonce), payload);
    let plain = Zeroizing::new(plain.map_err(|_| KeystoreError::Password)?);
    Contents::from_bytes(&plain).map_err(KeystoreError::Contents)
}

/// What it would cost to try a password, of a keystore that is whole; tries none.
///
/// # Errors
/// [`KeystoreError`], as [`open`] before it works.
// spec: WALLET-2.2
pub fn inspect(bytes: &[u8]) -> Result<Cost, KeystoreError> {
    let cost = Header::read(bytes)?.cost;
    cost.check()?;
    Ok(cost)
}

fn cipher(key: &[u8; 32]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Key::from(*key))
}

fn checksum(bytes: &[u8]) -> Digest {
    Digest::of("mutirao v1 wallet keystore", &[bytes])
}

/// A keystore that is whole, taken apart.
struct Header<'a> {
    cost: Cost,
    salt: [u8; 16],
    nonce: [u8; 24],
    bound: &'a [u8],
    sealed: &'a [u8],
}

impl<'a> Header<'a> {
    /// Mark and version come first: what a newer program wrote is not called damaged.
    // spec: WALLET-2.3
    fn read(bytes: &'a [u8]) -> Result<Self, KeystoreError> {
        let short = |wanted| KeystoreError::Truncated { wanted, given: bytes.len() };
        let marked = bytes.iter().zip(&MARK).all(|(left, right)| left == right);
        if !marked {
            return Err(KeystoreError::Mark);
        }
        match bytes.get(MARK.len()) {
            Some(&VERSION) => {}
            Some(&given) => return Err(KeystoreError::Version { given }),
            None => return Err(short(HEADER_BYTES + CHECKSUM_BYTES)),
        }
        let (bound, rest) = bytes
            .split_at_checked(HEADER_BYTES)
            .ok_or_else(|| short(HEADER_BYTES + CHECKSUM_BYTES))?;
        let mut input = Reader::new(bound.get(MARK.len() + 1..).unwrap_or_default());
        let header = Self::fields(&mut input).map_err(|_| KeystoreError::Corrupt)?;
        let (cost, salt, nonce, length) = header;
        let length = usize::try_from(length).ok().filter(|length| *length <= SEALED_BYTES_MAX);
        let length = length.ok_or(KeystoreError::Corrupt)?;
        if rest.len() < length + CHECKSUM_BYTES {
            return Err(short(HEADER_BYTES + length + CHECKSUM_BYTES));
        }
        let (sealed, found) = rest.split_at(length);
        let (before, _) = bytes.split_at(HEADER_BYTES + length);
        if found != checksum(before).0 {
            return Err(KeystoreError::Corrupt);
        }
        Ok(Self { cost, salt, nonce, bound, sealed })
    }

    fn fields(input: &mut Reader<'_>) -> Result<(Cost, [u8; 16], [u8; 24], u32), DecodeError> {
        let (memory_kib, passes) = (u32::decode(input)?, u32::decode(input)?);
        let cost = Cost { memory_kib, passes, lanes: u32::decode(input)? };
        Ok((cost, input.array()?, input.array()?, u32::decode(input)?))
    }
}

#[cfg(test)]
mod tests;
