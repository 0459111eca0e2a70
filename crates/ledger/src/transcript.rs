//! The one transcript of all our proofs: what a proof is about goes in, challenges come out.
//!
//! Merlin's construction (a duplex over Keccak-f[1600], each message framed by label and length):
//! leaving a value out of a challenge is the classic way to a forged proof, so statements are
//! absorbed by the same function that the verifier of that proof calls.

use crate::curve::{Point, Sum, hash_to_scalar};
use curve25519_dalek::scalar::Scalar;
use rand_core::CryptoRng;
use tari_merlin::{Transcript as Merlin, TranscriptRng};

/// A running transcript.
#[derive(Clone)]
pub struct Transcript(Merlin);

impl Transcript {
    /// Starts the transcript of one kind of proof about one message.
    // spec: LEDGER-4.1
    #[must_use]
    pub fn new(kind: &'static [u8], message: &[u8; 32]) -> Self {
        let mut inner = Merlin::new(b"mutirao v1 ledger");
        inner.append_message(b"kind", kind);
        inner.append_message(b"message", message);
        Self(inner)
    }

    /// Absorbs a point.
    pub fn point(&mut self, label: &'static [u8], point: &Point) {
        self.0.append_message(label, point.bytes());
    }

    /// Absorbs a point that may be the identity.
    pub fn sum(&mut self, label: &'static [u8], sum: &Sum) {
        self.0.append_message(label, &sum.bytes());
    }

    /// Absorbs bytes; their length is absorbed too.
    pub fn bytes(&mut self, label: &'static [u8], bytes: &[u8]) {
        self.0.append_message(label, bytes);
    }

    /// Absorbs a number.
    pub fn number(&mut self, label: &'static [u8], number: u64) {
        self.0.append_u64(label, number);
    }

    /// The verifier's next question; depends on everything absorbed so far.
    pub fn challenge(&mut self, label: &'static [u8]) -> Scalar {
        let mut bytes = [0; 64];
        self.0.challenge_bytes(label, &mut bytes);
        Scalar::from_bytes_mod_order_wide(&bytes)
    }

    /// A source of nonces that depends on the statement, on the secrets and on `rng`: as long as
    /// any of the three differs, so do the nonces, even where `rng` is broken.
    // spec: LEDGER-4.2
    pub fn nonces(&self, secrets: &[&Scalar], rng: &mut impl CryptoRng) -> Nonces {
        let keyed = secrets.iter().fold(self.0.build_rng(), |builder, secret| {
            builder.rekey_with_witness_bytes(b"secret", secret.as_bytes())
        });
        Nonces(keyed.finalize(rng))
    }

    /// The transcript for the range proof, which the library continues.
    pub(crate) fn into_inner(self) -> Merlin {
        self.0
    }
}

/// Nonces of one proof.
pub struct Nonces(TranscriptRng);

impl Nonces {
    /// The next one.
    pub fn draw(&mut self) -> Scalar {
        random_scalar(&mut self.0)
    }
}

/// A random scalar; a hash of what `rng` gives, so that even a generator of zeros gives no zero.
pub fn random_scalar(rng: &mut impl CryptoRng) -> Scalar {
    let mut bytes = [0; 64];
    rng.fill_bytes(&mut bytes);
    hash_to_scalar("mutirao v1 ledger random", &[&bytes])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Constant;

    // spec: LEDGER-4.2
    #[test]
    fn a_broken_generator_does_not_repeat_a_nonce() {
        let nonce = |message: u8, secret: u64| {
            let transcript = Transcript::new(b"test", &[message; 32]);
            transcript.nonces(&[&Scalar::from(secret)], &mut Constant).draw()
        };
        assert_eq!(nonce(1, 1), nonce(1, 1));
        assert_ne!(nonce(1, 1), nonce(2, 1));
        assert_ne!(nonce(1, 1), nonce(1, 2));
        assert_ne!(nonce(1, 1), Scalar::ZERO);
    }

    // spec: LEDGER-4.1
    #[test]
    fn a_challenge_depends_on_kind_message_label_and_content() {
        let ask = |kind: &'static [u8], message, label: &'static [u8], content: &[u8]| {
            let mut transcript = Transcript::new(kind, &[message; 32]);
            transcript.bytes(label, content);
            transcript.challenge(b"c")
        };
        let first = ask(b"a", 1, b"l", b"x");
        assert_eq!(first, ask(b"a", 1, b"l", b"x"));
        assert_ne!(first, ask(b"b", 1, b"l", b"x"));
        assert_ne!(first, ask(b"a", 2, b"l", b"x"));
        assert_ne!(first, ask(b"a", 1, b"m", b"x"));
        assert_ne!(first, ask(b"a", 1, b"l", b"y"));
    }
}
