//! BLAKE3 with a domain for every use, so that a digest made for one purpose never passes for
//! another (source: the BLAKE3 paper, section 2.3, `derive_key` and `keyed_hash` modes).

use crate::codec::{Decode, DecodeError, Encode, Reader};
use std::fmt;

/// 32 bytes of BLAKE3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Hashes `parts` under `domain`. Each part is preceded by its length, so no two lists of parts
    /// share a digest by moving a border.
    #[must_use]
    pub fn of(domain: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(domain);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// Hashes `bytes` under a secret `key`.
    #[must_use]
    pub fn keyed(key: &[u8; 32], bytes: &[u8]) -> Self {
        Self(*blake3::keyed_hash(key, bytes).as_bytes())
    }

    /// Lower-case hexadecimal, 64 characters.
    #[must_use]
    pub fn hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }

    /// Reads lower-case hexadecimal.
    ///
    /// # Errors
    /// [`DecodeError::NotText`] unless `text` is 64 lower-case hexadecimal characters.
    pub fn from_hex(text: &str) -> Result<Self, DecodeError> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok();
        let array = bytes.and_then(|bytes| bytes.try_into().ok());
        array.map(Self).ok_or(DecodeError::NotText { what: "digest" })
    }

    /// The first eight hexadecimal characters: enough for people, never for machines.
    #[must_use]
    pub fn short(&self) -> String {
        self.hex().chars().take(8).collect()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl Encode for Digest {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for Digest {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.array().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_border_between_parts_changes_the_digest() {
        assert_ne!(Digest::of("test", &[b"ab", b"c"]), Digest::of("test", &[b"a", b"bc"]));
    }

    #[test]
    fn another_domain_gives_another_digest() {
        assert_ne!(Digest::of("one", &[b"a"]), Digest::of("two", &[b"a"]));
    }

    #[test]
    fn hexadecimal_reads_back() {
        let digest = Digest::of("test", &[b"a"]);
        assert_eq!(Digest::from_hex(&digest.hex()), Ok(digest));
        assert!(Digest::from_hex(&digest.hex().to_uppercase()).is_err());
    }
}
