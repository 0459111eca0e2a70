//! Signatures over the files of a model, as OpenSSF model signing makes them: an in-toto statement
//! that names each file with its digest, in a DSSE envelope, in a Sigstore bundle, under a plain
//! P-256 key.
//!
//! A bundle says who published which bytes. It does not say that the model is harmless, nor what it
//! answers. What is written here the stock `model-signing` verifies with `verify key`, and what
//! that writes with `sign key` is verified here (`tests/scripts/model_signing.sh` shows both).
//! Sources:
//! in-toto Statement v1, DSSE v1.0.0, Sigstore bundle v0.3, the predicate
//! `https://model_signing/signature/v1.0`.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod bundle;
pub mod key;
pub mod manifest;

pub use bundle::{Bundle, WhyNot};
pub use key::{KeyError, PublicKey, SigningKey};
pub use manifest::{Manifest, ManifestError, Resource};
