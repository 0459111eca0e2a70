//! P-256 keys, as PEM text like the stock tools take them.

use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{Signature, SigningKey as Inner, VerifyingKey};
use p256::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, LineEnding,
};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is none.
    #[error("this is no P-256 key in PEM: {0}")]
    NotPem(String),
    /// The bytes are none: zero, or not below the group's order. One in 2^32 or rarer.
    #[error("these bytes are no P-256 key; take others")]
    NotAKey,
}

/// Signs models.
#[derive(Clone)]
pub struct SigningKey(Inner);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

impl SigningKey {
    /// Of 32 secret bytes.
    ///
    /// # Errors
    /// [`KeyError::NotAKey`].
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, KeyError> {
        Inner::from_slice(secret).map(Self).map_err(|_| KeyError::NotAKey)
    }

    /// Of PKCS#8 text.
    ///
    /// # Errors
    /// [`KeyError::NotPem`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let key = Inner::from_pkcs8_pem(text);
        key.map(Self).map_err(|error| KeyError::NotPem(error.to_string()))
    }

    /// As PKCS#8 text: whoever has it signs in your name.
    ///
    /// # Errors
    /// [`KeyError`], when memory is full.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let text = self.0.to_pkcs8_pem(LineEnding::LF);
        text.map(|text| text.to_string()).map_err(|error| KeyError::NotPem(error.to_string()))
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(*self.0.verifying_key())
    }

    /// An ASN.1 signature; the same for the same message (RFC 6979).
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: Signature = self.0.sign(message);
        signature.to_der().as_bytes().to_vec()
    }
}

/// Verifies models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Of SubjectPublicKeyInfo text.
    ///
    /// # Errors
    /// [`KeyError::NotPem`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_public_key_pem(text);
        key.map(Self).map_err(|error| KeyError::NotPem(error.to_string()))
    }

    /// As SubjectPublicKeyInfo text.
    ///
    /// # Errors
    /// [`KeyError`], when memory is full.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let text = self.0.to_public_key_pem(LineEnding::LF);
        text.map_err(|error| KeyError::NotPem(error.to_string()))
    }

    /// By what a bundle names it: SHA-256 of its text, in hexadecimal.
    ///
    /// # Errors
    /// [`KeyError`], when memory is full.
    pub fn hint(&self) -> Result<String, KeyError> {
        Ok(data_encoding::HEXLOWER.encode(&Sha256::digest(self.to_pem()?)))
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = Signature::from_der(signature);
        signature.is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_its_text_and_prints_no_secret() {
        let key = SigningKey::from_secret(&[7; 32]).unwrap();
        let again = SigningKey::from_pem(&key.to_pem().unwrap()).unwrap();
        assert_eq!(again.public(), key.public());
        let public = PublicKey::from_pem(&key.public().to_pem().unwrap()).unwrap();
        assert_eq!(public, key.public());
        assert!(public.verifies(b"words", &key.sign(b"words")));
        assert!(!public.verifies(b"other", &key.sign(b"words")));
        assert_eq!(key.sign(b"words"), key.sign(b"words"));
        assert_eq!(format!("{key:?}"), "SigningKey(redacted)");
        assert_eq!(SigningKey::from_secret(&[0; 32]).unwrap_err(), KeyError::NotAKey);
        assert!(PublicKey::from_pem("-----BEGIN PUBLIC KEY-----\nAAAA\n").is_err());
    }
}
