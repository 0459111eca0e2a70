//! Keys and signatures: Ed25519 with strict verification and one domain per purpose.
//!
//! A peer key names a node on the network; a receipt key signs what it answered and is certified by
//! the peer key in an offer, so that the key on the network never signs an answer.

use crate::codec::{Decode, DecodeError, Encode, Reader};
use crate::digest::Digest;
use ed25519_dalek::Signer;
use std::fmt;
use zeroize::Zeroizing;

/// What a signature is for. A signature made for one purpose never verifies for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A provider's offer.
    Offer,
    /// A checkpoint within an answer.
    Checkpoint,
    /// A receipt for an answer.
    Receipt,
}

impl Purpose {
    /// The BLAKE3 domain of this purpose.
    #[must_use]
    pub fn domain(self) -> &'static str {
        match self {
            Self::Offer => "mutirao 1 signature offer",
            Self::Checkpoint => "mutirao 1 signature checkpoint",
            Self::Receipt => "mutirao 1 signature receipt",
        }
    }
}

/// The secret half of a key pair; wiped when dropped, never printed.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// Makes the key of a 32-byte secret.
    #[must_use]
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(secret))
    }

    /// The secret itself, for the keystore and for the transport.
    #[must_use]
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half, as 32 bytes.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The public half, as the name of a node.
    #[must_use]
    pub fn peer_key(&self) -> PeerKey {
        PeerKey(self.public())
    }

    /// The public half, as a key for receipts.
    #[must_use]
    pub fn receipt_key(&self) -> ReceiptKey {
        ReceiptKey(self.public())
    }

    /// Signs `message` for one purpose.
    #[must_use]
    pub fn sign(&self, purpose: Purpose, message: &[u8]) -> Signature {
        Signature(self.0.sign(&Digest::of(purpose.domain(), &[message]).0).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

/// 64 bytes of Ed25519.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature")
    }
}

impl Encode for Signature {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for Signature {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.array().map(Self)
    }
}

/// Strict Ed25519: small-order keys and non-canonical encodings are refused, so a signature
/// convicts exactly one key and cannot be altered into a second valid one.
fn verify(key: &[u8; 32], purpose: Purpose, message: &[u8], signature: &Signature) -> bool {
    let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(key) else { return false };
    let digest = Digest::of(purpose.domain(), &[message]);
    key.verify_strict(&digest.0, &ed25519_dalek::Signature::from_bytes(&signature.0)).is_ok()
}

macro_rules! public_key {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// Whether `signature` was made by this key for `purpose` over `message`.
            // spec: RECEIPT-1.2
            #[must_use]
            pub fn verifies(
                &self,
                purpose: Purpose,
                message: &[u8],
                signature: &Signature,
            ) -> bool {
                verify(&self.0, purpose, message, signature)
            }

            /// Lower-case hexadecimal, 64 characters.
            #[must_use]
            pub fn hex(&self) -> String {
                Digest(self.0).hex()
            }

            /// The first eight hexadecimal characters, for people.
            #[must_use]
            pub fn short(&self) -> String {
                Digest(self.0).short()
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.hex())
            }
        }
        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                self.0.encode(out);
            }
        }
        impl Decode for $name {
            fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                input.array().map(Self)
            }
        }
    )*};
}

public_key! {
    /// Names a node on the network: its Ed25519 endpoint key.
    PeerKey,
    /// Signs checkpoints and receipts; certified by a peer key in an offer.
    ReceiptKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    // spec: RECEIPT-1.2
    fn a_signature_serves_one_purpose_one_message_and_one_key() {
        let key = SigningKey::from_secret(&[7; 32]);
        let other = SigningKey::from_secret(&[8; 32]).receipt_key();
        let signature = key.sign(Purpose::Receipt, b"answer");
        assert!(key.receipt_key().verifies(Purpose::Receipt, b"answer", &signature));
        assert!(!key.receipt_key().verifies(Purpose::Checkpoint, b"answer", &signature));
        assert!(!key.receipt_key().verifies(Purpose::Receipt, b"Answer", &signature));
        assert!(!other.verifies(Purpose::Receipt, b"answer", &signature));
    }

    #[test]
    fn any_flipped_bit_breaks_a_signature() {
        let key = SigningKey::from_secret(&[7; 32]);
        let signature = key.sign(Purpose::Receipt, b"answer");
        for bit in 0..512 {
            let mut flipped = signature;
            flipped.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.receipt_key().verifies(Purpose::Receipt, b"answer", &flipped));
        }
    }

    #[test]
    fn a_small_order_key_verifies_nothing() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let forged = Signature([0; 64]);
        assert!(!ReceiptKey(identity).verifies(Purpose::Receipt, b"any", &forged));
    }

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", SigningKey::from_secret(&[7; 32])), "SigningKey(redacted)");
    }
}
