//! Models in one GGUF file: weights, configuration, tokenizer and template, as llama.cpp has them.
//!
//! Our own reader: the format is a counted list of keys and a list of tensors (source:
//! ggml-org/ggml, `docs/gguf.md`), and what has to be right about it is what a stranger can write
//! there. The front of the file is read up to a bound and kept as bytes; values are ranges of it,
//! so a hostile count costs nothing beyond the bytes that are really there.
#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]

mod front;
mod gemma;
mod names;

pub use front::GgufError;

use crate::load::catalogue::{Catalogue, Files};
use crate::load::quantise::{Stretch, shortest};
use front::{Front, Value};
use names::Network;
use serde_json::{Map, json};

/// The tensor of factors of rotary frequencies.
const STRETCH: &str = "rope_freqs.weight";

/// A GGUF file: its metadata, and where its tensors stand.
#[derive(Debug)]
pub struct Gguf {
    front: Front,
    catalogue: Catalogue,
    /// What rotary frequencies are divided by, where it says so.
    stretch: Option<Stretch>,
}

impl Gguf {
    /// Reads the fronts of all files: of the only one there is, or of all parts of a split model
    /// in their order.
    ///
    /// # Errors
    /// [`GgufError`].
    // spec: ENGINE-16.3, ENGINE-16.7
    pub fn read(files: &dyn Files) -> Result<Self, GgufError> {
        let front = Front::read(files, 0)?;
        let mut file = Self { front, catalogue: Catalogue::default(), stretch: None };
        let count = file.number("split.count").unwrap_or(1).max(1);
        if files.count() as u64 != count {
            return Err(GgufError::Split { count, here: files.count() });
        }
        let network = file.network()?;
        let mut catalogue = Catalogue::default();
        file.front.list(&|name| network.published(name), &mut catalogue)?;
        for part in 1..files.count() {
            let front = Front::read(files, part)?;
            let says = |key: &str| front.number(key);
            if says("split.no") != Some(part as u64) || says("split.count") != Some(count) {
                return Err(GgufError::OtherPart { file: part + 1 });
            }
            front.list(&|name| network.published(name), &mut catalogue)?;
        }
        let tensors = file.number("split.tensors.count");
        if tensors.is_some_and(|tensors| tensors != catalogue.iter().count() as u64) {
            return Err(GgufError::Missing { key: "a tensor of the split model".to_owned() });
        }
        file.stretch = stretch_of(&catalogue, files, network.head)?;
        catalogue.take(STRETCH);
        file.catalogue = catalogue;
        Ok(file)
    }

    /// Its tensors, by the names of `transformers`.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// A text of the metadata.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.front.text(key)
    }

    /// A whole number of the metadata that is not below zero.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        self.front.number(key)
    }

    /// A yes or no of the metadata.
    #[must_use]
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.front.value(key)? {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    /// A list of texts.
    #[must_use]
    pub fn texts(&self, key: &str) -> Option<Vec<&str>> {
        self.front.texts(key)
    }

    /// A list of whole numbers.
    #[must_use]
    pub fn numbers(&self, key: &str) -> Option<Vec<i64>> {
        self.front.numbers(key)
    }

    /// A list of real numbers, as integers that are ordered as they are.
    #[must_use]
    pub fn ranks(&self, key: &str) -> Option<Vec<i64>> {
        self.front.ranks(key)
    }

    fn network(&self) -> Result<Network, GgufError> {
        let missing = |key: &str| GgufError::Missing { key: key.to_owned() };
        let architecture = self.text("general.architecture");
        let architecture = architecture.ok_or_else(|| missing("general.architecture"))?.to_owned();
        if !names::ARCHITECTURES.iter().any(|(theirs, _)| *theirs == architecture) {
            return Err(GgufError::Architecture(architecture));
        }
        let key = |field: &str| format!("{architecture}.{field}");
        let wanted = |field: &str| self.number(&key(field)).ok_or_else(|| missing(&key(field)));
        let heads = wanted("attention.head_count")?.max(1);
        let head = match self.number(&key("attention.key_length")) {
            Some(size) => size,
            None => wanted("embedding_length")? / heads,
        };
        let head = usize::try_from(head).unwrap_or(usize::MAX);
        Ok(Network { has_pairs: architecture == "llama", architecture, head })
    }

    /// The configuration, in the words of `config.json`.
    ///
    /// # Errors
    /// [`GgufError::Missing`] for metadata that no model goes without.
    // spec: ENGINE-16.5
    pub fn config(&self) -> Result<Vec<u8>, GgufError> {
        let network = self.network()?;
        let mut fields = Map::new();
        fields.insert("model_type".into(), json!(network.family()));
        let act = if network.is_gemma() { "gelu_pytorch_tanh" } else { "silu" };
        fields.insert("hidden_act".into(), json!(act));
        for (field, key) in names::NUMBERS {
            let key = format!("{}.{key}", network.architecture);
            let number = self.number(&key).ok_or(GgufError::Missing { key })?;
            fields.insert((*field).into(), json!(number));
        }
        self.put_heads(&network, &mut fields);
        self.put_reals(&network, &mut fields)?;
        self.put_limits(&network, &mut fields)?;
        if network.is_gemma() {
            self.put_gemma(&network, &mut fields)?;
        }
        self.put_vocabulary(&mut fields);
        Ok(serde_json::Value::Object(fields).to_string().into_bytes())
    }

    fn put_heads(&self, network: &Network, fields: &mut Map<String, serde_json::Value>) {
        let key = |field: &str| format!("{}.{field}", network.architecture);
        if let Some(heads) = self.number(&key("attention.head_count_kv")) {
            fields.insert("num_key_value_heads".into(), json!(heads));
        }
        fields.insert("head_dim".into(), json!(network.head));
        for field in ["attention.value_length", "rope.dimension_count"] {
            let other =
                self.number(&key(field)).filter(|size| usize::try_from(*size) != Ok(network.head));
            if let Some(size) = other {
                let said = format!("{field} is {size}, heads have {}", network.head);
                fields.insert("partial_rotary_factor".into(), json!(said));
            }
        }
    }

    fn put_reals(
        &self,
        network: &Network,
        fields: &mut Map<String, serde_json::Value>,
    ) -> Result<(), GgufError> {
        let epsilon = self.real(network, "attention.layer_norm_rms_epsilon")?;
        fields.insert("rms_norm_eps".into(), epsilon.into());
        if let Ok(base) = self.real(network, "rope.freq_base") {
            fields.insert("rope_theta".into(), base.into());
        }
        Ok(())
    }

    /// A real number that the metadata has under this architecture.
    fn real(&self, network: &Network, field: &str) -> Result<serde_json::Number, GgufError> {
        let key = format!("{}.{field}", network.architecture);
        match self.front.value(&key) {
            Some(Value::Single(bits)) => shortest(*bits).ok_or(GgufError::Missing { key }),
            _ => Err(GgufError::Missing { key }),
        }
    }

    /// What a model may do that has to be refused, or known.
    fn put_limits(
        &self,
        network: &Network,
        fields: &mut Map<String, serde_json::Value>,
    ) -> Result<(), GgufError> {
        let key = |field: &str| format!("{}.{field}", network.architecture);
        if let Some(window) = self.number(&key("attention.sliding_window")).filter(|w| *w > 0) {
            fields.insert("sliding_window".into(), json!(window));
        }
        let kind = self.text(&key("rope.scaling.type")).filter(|kind| *kind != "none");
        if let Some(kind) = kind {
            let scaling = match self.real(network, "rope.scaling.factor") {
                Ok(factor) => json!({ "rope_type": kind, "factor": factor }),
                Err(_) => json!({ "rope_type": kind }),
            };
            fields.insert("rope_scaling".into(), scaling);
        }
        if let Some(stretch) = self.stretch.as_ref().filter(|stretch| !stretch.is_none()) {
            let scaling = stretch.scaling(fields.get("rope_theta"));
            let why = "are not the factors of llama3's scaling";
            let scaling = scaling.ok_or_else(|| GgufError::Bad { what: STRETCH.into(), why })?;
            fields.insert("rope_scaling".into(), scaling);
        }
        Ok(())
    }

    fn put_vocabulary(&self, fields: &mut Map<String, serde_json::Value>) {
        let sizes = |name: &str| self.catalogue.get(name).map(|entry| entry.shape.as_slice());
        if let Some([rows, _]) = sizes("model.embed_tokens.weight") {
            fields.insert("vocab_size".into(), json!(rows));
        }
        fields.insert("tie_word_embeddings".into(), json!(sizes("lm_head.weight").is_none()));
        let end = ["eos", "eot", "eom"].map(|kind| format!("tokenizer.ggml.{kind}_token_id"));
        let end: Vec<u64> = end.iter().filter_map(|key| self.number(key)).collect();
        fields.insert("eos_token_id".into(), json!(end));
        if let Some(name) = self.text("general.name") {
            fields.insert("name".into(), json!(name));
        }
    }
}

/// The factors of rotary frequencies, one for each pair of a head.
fn stretch_of(
    catalogue: &Catalogue,
    files: &dyn Files,
    head: usize,
) -> Result<Option<Stretch>, GgufError> {
    if catalogue.get(STRETCH).is_none() {
        return Ok(None);
    }
    let why = "has not one number for each pair of a head";
    let bad = |_| GgufError::Bad { what: STRETCH.to_owned(), why };
    Stretch::read(catalogue, files, STRETCH, head / 2).map(Some).map_err(bad)
}
