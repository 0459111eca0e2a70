//! A tokenizer that came as lists, as GGUF has it, as the `tokenizer.json` that means the same.
//!
//! Two kinds: byte-level BPE with its merges (`gpt2`), and SentencePiece's BPE (`llama`), whose
//! merges follow from the order of its scores. How text is cut before merging has a name there; the
//! cuts are those that the published tokenizers of these names have (source: `tokenizer.json` of
//! Llama 3, Qwen 2, SmolLM, GPT-2 and Mistral NeMo; ggml-org/llama.cpp, `llama-vocab.cpp`).

use crate::stack::{TextError, bounded};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Most tokens.
const TOKENS_MAX: usize = 1 << 20;
/// Most merges.
const MERGES_MAX: usize = 1 << 21;
/// Longest token that can have come from merging, in bytes.
const MERGED_BYTES_MAX: usize = 512;

/// Cuts where Llama 3 does.
const LLAMA_3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
/// Cuts where Qwen 2 does: as Llama 3, digits alone.
const QWEN_2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
/// Cuts where Mistral NeMo does.
const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

/// The lists.
#[derive(Debug, Clone, Default)]
pub struct TokenLists<'a> {
    /// `gpt2` or `llama`.
    pub kind: &'a str,
    /// How text is cut before merging, for `gpt2`.
    pub cuts: Option<&'a str>,
    /// The tokens, by their numbers.
    pub tokens: Vec<&'a str>,
    /// What each is: 1 ordinary, 2 unknown, 3 control, 4 a word of the user's, 5 unused, 6 a byte.
    pub types: Option<Vec<i64>>,
    /// Numbers that are ordered as the scores are, for `llama`.
    pub ranks: Option<Vec<i64>>,
    /// Pairs that merge, the first soonest, for `gpt2`.
    pub merges: Option<Vec<&'a str>>,
    /// Whether a text begins with a space, for `llama`; so if not said.
    pub begins_with_space: Option<bool>,
}

const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const OF_THE_USER: i64 = 4;

fn refused(reason: impl Into<String>) -> TextError {
    TextError::Tokenizer { reason: reason.into() }
}

impl TokenLists<'_> {
    /// Writes the `tokenizer.json`.
    ///
    /// # Errors
    /// [`TextError`] when the lists are too long, contradict one another, or are of a kind that is
    /// not known.
    pub fn tokenizer(&self) -> Result<Vec<u8>, TextError> {
        bounded("tokens", self.tokens.len(), TOKENS_MAX)?;
        let mut vocabulary = BTreeMap::new();
        for (id, token) in self.tokens.iter().enumerate() {
            if let Some(first) = vocabulary.insert(*token, id) {
                return Err(refused(format!("tokens {first} and {id} are both {token:?}")));
            }
        }
        let types = self.types.as_ref().is_none_or(|types| types.len() == self.tokens.len());
        if self.tokens.is_empty() || !types {
            return Err(refused("it has no tokens, or not a type for each of them"));
        }
        let (model, around) = match self.kind {
            "gpt2" => (self.byte_level(&vocabulary)?, self.around_bytes()?),
            "llama" => (self.pieces(&vocabulary)?, self.around_pieces()),
            other => return Err(refused(format!("tokenizers of the kind {other:?} are not read"))),
        };
        let [normalizer, pre_tokenizer, decoder] = around;
        let file = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": self.added(),
            "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer,
            "post_processor": null,
            "decoder": decoder,
            "model": model,
        });
        Ok(file.to_string().into_bytes())
    }

    fn type_of(&self, id: usize) -> i64 {
        self.types.as_ref().and_then(|types| types.get(id).copied()).unwrap_or(1)
    }

    fn added(&self) -> Vec<Value> {
        let tokens = self.tokens.iter().enumerate();
        let added = |(id, token): (usize, &&str)| {
            let kind = self.type_of(id);
            let special = kind == CONTROL || kind == UNKNOWN;
            (special || kind == OF_THE_USER).then(|| {
                json!({
                    "id": id, "content": token, "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": special,
                })
            })
        };
        tokens.filter_map(added).collect()
    }

    /// The vocabulary in the order of its numbers.
    fn vocabulary(&self) -> Value {
        let tokens = self.tokens.iter().enumerate();
        Value::Object(tokens.map(|(id, token)| ((*token).to_owned(), json!(id))).collect())
    }

    fn byte_level(&self, vocabulary: &BTreeMap<&str, usize>) -> Result<Value, TextError> {
        let merges = self.merges.as_deref().ok_or_else(|| refused("it has no merges"))?;
        bounded("merges", merges.len(), MERGES_MAX)?;
        let pair = |merge: &&str| {
            // A first half is never empty, and may be a space.
            let second = merge.char_indices().nth(1).map_or(merge.len(), |(at, _)| at);
            let space = merge.get(second..)?.find(' ')? + second;
            let (first, other) = (merge.get(..space)?, merge.get(space + 1..)?);
            let known = vocabulary.contains_key(first) && vocabulary.contains_key(other);
            let merged = vocabulary.contains_key(format!("{first}{other}").as_str());
            (known && merged).then(|| json!([first, other]))
        };
        let pairs: Option<Vec<Value>> = merges.iter().map(pair).collect();
        let pairs = pairs.ok_or_else(|| refused("a merge is not of tokens to a token"))?;
        let whole_words = matches!(self.cuts, Some("llama-bpe" | "llama3" | "llama-v3" | "tekken"));
        Ok(json!({
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": whole_words, "vocab": self.vocabulary(), "merges": pairs,
        }))
    }

    /// Normalizer, cuts and decoder of a byte-level tokenizer.
    fn around_bytes(&self) -> Result<[Value; 3], TextError> {
        let bytes = |cuts: bool| {
            json!({
                "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false,
                "use_regex": cuts,
            })
        };
        let split = |regex: &str| {
            let pattern = json!({ "Regex": regex });
            json!({ "type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false })
        };
        let sequence = |first: Value, second: Value| {
            let both = [first, second];
            json!({ "type": "Sequence", "pretokenizers": both })
        };
        let mut normalizer = Value::Null;
        let cuts = match self.cuts {
            Some("llama-bpe" | "llama3" | "llama-v3") => sequence(split(LLAMA_3), bytes(false)),
            Some("qwen2") => {
                normalizer = json!({ "type": "NFC" });
                sequence(split(QWEN_2), bytes(false))
            }
            Some("tekken") => sequence(split(TEKKEN), bytes(false)),
            Some("smollm") => {
                sequence(json!({ "type": "Digits", "individual_digits": true }), bytes(true))
            }
            Some("gpt-2") => bytes(true),
            other => {
                let name = other.unwrap_or("none");
                return Err(refused(format!("where it cuts text ({name:?}) is not known here")));
            }
        };
        Ok([normalizer, cuts, bytes(true)])
    }

    /// SentencePiece merges whatever makes a token, the best score first.
    fn pieces(&self, vocabulary: &BTreeMap<&str, usize>) -> Result<Value, TextError> {
        let ranks = self.ranks.as_ref().filter(|ranks| ranks.len() == self.tokens.len());
        let ranks = ranks.ok_or_else(|| refused("it has not a score for each token"))?;
        let mut merges = Vec::new();
        for (id, (token, rank)) in self.tokens.iter().zip(ranks).enumerate() {
            if self.type_of(id) != 1 {
                continue;
            }
            if token.len() > MERGED_BYTES_MAX {
                return Err(refused(format!("token {id} has more than {MERGED_BYTES_MAX} bytes")));
            }
            let mut halves: Vec<_> = token
                .char_indices()
                .skip(1)
                .filter_map(|(at, _)| token.split_at_checked(at))
                .filter_map(|(one, two)| {
                    Some((vocabulary.get(one)?, vocabulary.get(two)?, one, two))
                })
                .collect();
            halves.sort_unstable();
            merges.extend(halves.into_iter().map(|(.., one, two)| (*rank, one, two)));
            bounded("merges", merges.len(), MERGES_MAX)?;
        }
        // Of equal scores the longer first halves come first: the order of published tokenizers.
        let length = |text: &str| text.chars().count();
        merges.sort_by_key(|(rank, one, two)| Reverse((*rank, length(one), length(two))));
        let merges: Vec<Value> = merges.iter().map(|(_, one, two)| json!([one, two])).collect();
        let unknown = (0..self.tokens.len()).find(|id| self.type_of(*id) == UNKNOWN);
        let unknown = unknown.and_then(|id| self.tokens.get(id));
        Ok(json!({
            "type": "BPE", "dropout": null, "unk_token": unknown,
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
            "byte_fallback": true, "ignore_merges": false, "vocab": self.vocabulary(),
            "merges": merges,
        }))
    }

    /// Normalizer, cuts and decoder of SentencePiece: spaces are a letter of their own.
    fn around_pieces(&self) -> [Value; 3] {
        let space = |from: &str, to: &str| {
            let pattern = json!({ "String": from });
            json!({ "type": "Replace", "pattern": pattern, "content": to })
        };
        let mut normalizers = vec![space(" ", "\u{2581}")];
        let mut decoders = vec![
            space("\u{2581}", " "),
            json!({ "type": "ByteFallback" }),
            json!({ "type": "Fuse" }),
        ];
        if self.begins_with_space.unwrap_or(true) {
            normalizers.insert(0, json!({ "type": "Prepend", "prepend": "\u{2581}" }));
            decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
        }
        [
            json!({ "type": "Sequence", "normalizers": normalizers }),
            Value::Null,
            json!({ "type": "Sequence", "decoders": decoders }),
        ]
    }
}

#[cfg(test)]
mod tests;
