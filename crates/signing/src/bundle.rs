//! The bundle: statement, envelope, signature, and why one does not hold.

use crate::key::{KeyError, PublicKey, SigningKey};
use crate::manifest::{FILES_MAX, IGNORED, Manifest, Resource};
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use thiserror::Error;

/// Bytes of a bundle at most.
pub const BUNDLE_BYTES_MAX: usize = 64 << 20;
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "https://model_signing/signature/v1.0";

/// Why a bundle does not vouch for a model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WhyNot {
    /// Larger than any.
    #[error("a signature of {0} bytes is not read, at most {BUNDLE_BYTES_MAX}")]
    TooLarge(usize),
    /// Not a bundle.
    #[error("this is no model signature: {0}")]
    NotABundle(String),
    /// Another kind of bundle or statement.
    #[error("its {what} is {given:?}, {wanted:?} is wanted; a newer tool may read it")]
    Kind {
        /// Of what.
        what: &'static str,
        /// What it is.
        given: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// Made with another key.
    #[error("it was made with another key: {0}")]
    OtherKey(String),
    /// The signature does not hold.
    #[error("the signature does not hold: the statement was changed, or another key made it")]
    Signature,
    /// The statement contradicts itself.
    #[error("the statement contradicts itself: {0}")]
    Inconsistent(&'static str),
    /// A file is not what was signed.
    #[error("{0} is not the file that was signed")]
    Changed(String),
    /// A file is gone.
    #[error("{0} was signed and is not there")]
    Missing(String),
    /// A file too many.
    #[error("{0} is there and was not signed")]
    Added(String),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A signature over a model's files.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Envelope,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    public_key: Identifier,
    #[serde(default)]
    tlog_entries: Vec<serde_json::Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Identifier {
    #[serde(default)]
    hint: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signed>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Signed {
    sig: String,
    #[serde(default)]
    keyid: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Debug, Deserialize)]
struct Subject {
    digest: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Predicate {
    serialization: Serialization,
    resources: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
struct Serialization {
    method: String,
}

#[derive(Debug, Deserialize)]
struct Descriptor {
    name: String,
    algorithm: String,
    digest: String,
}

/// What is signed (source: DSSE v1.0.0, PAE).
fn authenticated(payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

fn statement(manifest: &Manifest) -> serde_json::Value {
    let resource = |resource: &Resource| {
        json!({ "name": resource.name, "algorithm": "sha256",
            "digest": HEXLOWER.encode(&resource.digest) })
    };
    let resources: Vec<_> = manifest.resources.iter().map(resource).collect();
    let ignored = IGNORED.iter().copied().chain(manifest.ignored.iter().map(String::as_str));
    let ignored: Vec<&str> = ignored.collect();
    json!({
        "_type": STATEMENT_TYPE,
        "subject": [{ "name": manifest.name,
            "digest": { "sha256": HEXLOWER.encode(&manifest.root()) } }],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": { "method": "files", "hash_type": "sha256",
                "allow_symlinks": false, "ignore_paths": ignored },
            "resources": resources,
        },
    })
}

impl Bundle {
    /// Signs the files of a model.
    ///
    /// # Errors
    /// [`KeyError`], when memory is full.
    pub fn sign(manifest: &Manifest, key: &SigningKey) -> Result<Self, KeyError> {
        let payload = statement(manifest).to_string().into_bytes();
        let sig = BASE64.encode(&key.sign(&authenticated(&payload)));
        let hint = Some(key.public().hint()?);
        Ok(Self {
            media_type: MEDIA_TYPE.into(),
            verification_material: Material {
                public_key: Identifier { hint },
                tlog_entries: Vec::new(),
            },
            dsse_envelope: Envelope {
                payload: BASE64.encode(&payload),
                payload_type: PAYLOAD_TYPE.into(),
                signatures: vec![Signed { sig, keyid: String::new() }],
            },
        })
    }

    /// Reads the text of one; nothing is believed yet.
    ///
    /// # Errors
    /// [`WhyNot`].
    pub fn read(text: &[u8]) -> Result<Self, WhyNot> {
        if text.len() > BUNDLE_BYTES_MAX {
            return Err(WhyNot::TooLarge(text.len()));
        }
        let bundle: Self =
            serde_json::from_slice(text).map_err(|error| WhyNot::NotABundle(error.to_string()))?;
        is("media type", &bundle.media_type, MEDIA_TYPE)?;
        is("payload", &bundle.dsse_envelope.payload_type, PAYLOAD_TYPE)?;
        Ok(bundle)
    }

    /// Its text.
    ///
    /// # Errors
    /// [`WhyNot::NotABundle`], when memory is full.
    pub fn write(&self) -> Result<String, WhyNot> {
        serde_json::to_string(self).map_err(|error| WhyNot::NotABundle(error.to_string()))
    }

    /// Whether `key` signed exactly these files.
    ///
    /// # Errors
    /// [`WhyNot`]: the first thing that is wrong.
    pub fn verify(&self, key: &PublicKey, manifest: &Manifest) -> Result<(), WhyNot> {
        let signed = resources(&self.statement(key)?)?;
        let found: BTreeMap<&str, &[u8; 32]> =
            manifest.resources.iter().map(|it| (it.name.as_str(), &it.digest)).collect();
        for (name, digest) in &signed {
            match found.get(name.as_str()) {
                None => return Err(WhyNot::Missing(name.clone())),
                Some(there) if *there != digest => return Err(WhyNot::Changed(name.clone())),
                Some(_) => {}
            }
        }
        let added = found.keys().find(|name| !signed.contains_key(**name));
        added.map_or(Ok(()), |name| Err(WhyNot::Added((*name).to_owned())))
    }

    /// The statement, once its signature holds.
    fn statement(&self, key: &PublicKey) -> Result<Statement, WhyNot> {
        let (hint, wanted) = (&self.verification_material.public_key.hint, key.hint()?);
        if let Some(hint) = hint.as_ref().filter(|hint| **hint != wanted) {
            return Err(WhyNot::OtherKey(hint.clone()));
        }
        let envelope = &self.dsse_envelope;
        let decode = |text: &str| BASE64.decode(text.as_bytes()).map_err(|_| WhyNot::Signature);
        let payload = decode(&envelope.payload)?;
        let [signed] = &envelope.signatures[..] else { return Err(WhyNot::Signature) };
        if !key.verifies(&authenticated(&payload), &decode(&signed.sig)?) {
            return Err(WhyNot::Signature);
        }
        let statement: Statement = serde_json::from_slice(&payload)
            .map_err(|error| WhyNot::NotABundle(error.to_string()))?;
        is("statement", &statement.kind, STATEMENT_TYPE)?;
        is("predicate", &statement.predicate_type, PREDICATE_TYPE)?;
        is("method", &statement.predicate.serialization.method, "files")?;
        Ok(statement)
    }
}

fn is(what: &'static str, given: &str, wanted: &'static str) -> Result<(), WhyNot> {
    let other = || WhyNot::Kind { what, given: given.to_owned(), wanted };
    if given == wanted { Ok(()) } else { Err(other()) }
}

/// The files that a statement names, which must hash to its subject.
fn resources(statement: &Statement) -> Result<BTreeMap<String, [u8; 32]>, WhyNot> {
    use sha2::{Digest, Sha256};
    let (mut all, mut root) = (BTreeMap::new(), Sha256::new());
    let named = &statement.predicate.resources;
    if named.len() > FILES_MAX {
        return Err(WhyNot::Inconsistent("it names more files than any model has"));
    }
    for resource in named {
        is("algorithm", &resource.algorithm, "sha256")?;
        let digest = HEXLOWER.decode(resource.digest.as_bytes()).ok();
        let digest: Option<[u8; 32]> = digest.and_then(|digest| digest.try_into().ok());
        let digest = digest.ok_or(WhyNot::Inconsistent("a digest is none"))?;
        root.update(digest);
        if all.insert(resource.name.clone(), digest).is_some() {
            return Err(WhyNot::Inconsistent("it names a file twice"));
        }
    }
    let root = HEXLOWER.encode(&root.finalize());
    let [subject] = &statement.subject[..] else {
        return Err(WhyNot::Inconsistent("it has not one subject"));
    };
    let same = subject.digest.get("sha256") == Some(&root);
    same.then_some(all).ok_or(WhyNot::Inconsistent("its files do not hash to its subject"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(number: u8) -> SigningKey {
        SigningKey::from_secret(&[number; 32]).unwrap()
    }

    fn manifest() -> Manifest {
        let resource = |number: u8| Resource { name: format!("f{number}"), digest: [number; 32] };
        Manifest { name: "toy".into(), resources: (1..4).map(resource).collect(), ignored: vec![] }
    }

    fn signed() -> Bundle {
        Bundle::sign(&manifest(), &key(7)).unwrap()
    }

    #[test]
    fn what_was_signed_holds_and_reads_back() {
        let bundle = Bundle::read(signed().write().unwrap().as_bytes()).unwrap();
        assert_eq!(bundle.verify(&key(7).public(), &manifest()), Ok(()));
        assert_eq!(bundle.write().unwrap(), signed().write().unwrap(), "one key, one signature");
    }

    #[test]
    fn a_file_that_was_changed_lost_or_added_is_named() {
        let verify = |change: fn(&mut Vec<Resource>)| {
            let mut other = manifest();
            change(&mut other.resources);
            signed().verify(&key(7).public(), &other)
        };
        assert_eq!(verify(|all| all[1].digest[0] ^= 1), Err(WhyNot::Changed("f2".into())));
        assert_eq!(verify(|all| drop(all.pop())), Err(WhyNot::Missing("f3".into())));
        let added = |all: &mut Vec<Resource>| {
            all.push(Resource { name: "f9".into(), digest: [9; 32] });
        };
        assert_eq!(verify(added), Err(WhyNot::Added("f9".into())));
    }

    #[test]
    fn another_key_is_refused_with_and_without_its_hint() {
        assert!(matches!(signed().verify(&key(8).public(), &manifest()), Err(WhyNot::OtherKey(_))));
        let mut bundle = signed();
        bundle.verification_material.public_key.hint = None;
        assert_eq!(bundle.verify(&key(8).public(), &manifest()), Err(WhyNot::Signature));
        assert_eq!(bundle.verify(&key(7).public(), &manifest()), Ok(()));
    }

    #[test]
    fn every_flipped_byte_of_payload_and_signature_is_refused() {
        let good = signed();
        let payload = BASE64.decode(good.dsse_envelope.payload.as_bytes()).unwrap();
        let sig = BASE64.decode(good.dsse_envelope.signatures[0].sig.as_bytes()).unwrap();
        let verify = |bundle: &Bundle| bundle.verify(&key(7).public(), &manifest());
        for at in 0..payload.len() {
            let (mut bundle, mut bytes) = (good.clone(), payload.clone());
            bytes[at] ^= 1;
            bundle.dsse_envelope.payload = BASE64.encode(&bytes);
            assert_eq!(verify(&bundle), Err(WhyNot::Signature), "byte {at} of the payload");
        }
        for at in 0..sig.len() {
            let (mut bundle, mut bytes) = (good.clone(), sig.clone());
            bytes[at] ^= 1;
            bundle.dsse_envelope.signatures[0].sig = BASE64.encode(&bytes);
            assert_eq!(verify(&bundle), Err(WhyNot::Signature), "byte {at} of the signature");
        }
        let (mut none, mut two) = (good.clone(), good.clone());
        none.dsse_envelope.signatures.clear();
        two.dsse_envelope.signatures.push(good.dsse_envelope.signatures[0].clone());
        assert_eq!((verify(&none), verify(&two)), (Err(WhyNot::Signature), Err(WhyNot::Signature)));
    }

    /// Signed again by its own key, so that only the statement itself is wrong.
    fn resigned(change: impl Fn(&mut serde_json::Value)) -> Result<(), WhyNot> {
        let mut statement = statement(&manifest());
        change(&mut statement);
        let payload = statement.to_string().into_bytes();
        let mut bundle = signed();
        bundle.dsse_envelope.payload = BASE64.encode(&payload);
        bundle.dsse_envelope.signatures[0].sig =
            BASE64.encode(&key(7).sign(&authenticated(&payload)));
        bundle.verify(&key(7).public(), &manifest())
    }

    #[test]
    fn a_statement_that_contradicts_itself_is_refused_though_it_is_signed() {
        let kind = |result: Result<(), WhyNot>| matches!(result, Err(WhyNot::Kind { .. }));
        assert!(kind(resigned(|it| it["_type"] = json!("other"))));
        assert!(kind(resigned(|it| it["predicateType"] = json!("other"))));
        assert!(kind(resigned(|it| it["predicate"]["serialization"]["method"] = json!("shards"))));
        assert!(kind(resigned(|it| it["predicate"]["resources"][0]["algorithm"] = json!("md5"))));
        let wrong = |result: Result<(), WhyNot>| matches!(result, Err(WhyNot::Inconsistent(_)));
        assert!(wrong(resigned(|it| it["subject"][0]["digest"]["sha256"] = json!("00"))));
        assert!(wrong(resigned(|it| it["subject"] = json!([]))));
        assert!(wrong(resigned(|it| {
            let twice = it["predicate"]["resources"][0].clone();
            it["predicate"]["resources"][1] = twice;
        })));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Bundle::read(&bytes);
        }

        #[test]
        fn a_changed_byte_of_the_text_never_vouches_for_other_files(
            at in any::<prop::sample::Index>(),
            value in any::<u8>(),
        ) {
            let mut text = signed().write().unwrap().into_bytes();
            let place = at.index(text.len());
            text[place] = value;
            let mut other = manifest();
            other.resources[0].digest[0] ^= 1;
            if let Ok(bundle) = Bundle::read(&text) {
                prop_assert!(bundle.verify(&key(7).public(), &other).is_err());
            }
        }
    }
}
