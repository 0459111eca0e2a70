//! The tokenizer, twice: once as the template needs it, with control tokens recognised, and once as
//! people's texts need it, with none.

use crate::stack::{TextError, bounded, contained};
use mutirao_wire::Token;
use tokenizers::Tokenizer;

/// Largest tokenizer file read, in bytes.
const TOKENIZER_BYTES_MAX: usize = 64 << 20;
/// Longest text encoded at once, in bytes.
const TEXT_BYTES_MAX: usize = 8 << 20;

/// A tokenizer that is known to fit its model.
#[derive(Debug)]
pub struct Vocabulary {
    control: Tokenizer,
    plain: Tokenizer,
    control_texts: Vec<String>,
}

fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    contained(|| work().map_err(|error| error.to_string()))
}

fn refused(reason: impl Into<String>) -> TextError {
    TextError::Tokenizer { reason: reason.into() }
}

impl Vocabulary {
    /// Reads a `tokenizer.json` none of whose tokens is `size` or above.
    pub fn read(file: &[u8], size: u32) -> Result<Self, TextError> {
        bounded("tokenizer bytes", file.len(), TOKENIZER_BYTES_MAX)?;
        let mut control = guarded(|| Tokenizer::from_bytes(file)).map_err(refused)?;
        guarded(|| control.with_truncation(None).map(|_| ())).map_err(refused)?;
        control.with_padding(None);
        let vocabulary = control.get_vocab(true);
        if let Some((text, id)) = vocabulary.iter().filter(|(_, id)| **id >= size).min() {
            return Err(refused(format!("token {id} ({text:?}) is not in a vocabulary of {size}")));
        }
        let mut plain = control.clone();
        plain.set_encode_special_tokens(true);
        let mut control_texts: Vec<String> = control
            .get_added_tokens_decoder()
            .values()
            .filter(|added| added.special && !added.content.is_empty())
            .map(|added| added.content.clone())
            .collect();
        control_texts.sort_unstable_by_key(|text| (std::cmp::Reverse(text.len()), text.clone()));
        Ok(Self { control, plain, control_texts })
    }

    /// How control tokens are spelt, longest first.
    pub fn control(&self) -> &[String] {
        &self.control_texts
    }

    /// All words and their tokens, added ones among them.
    pub fn words(&self) -> impl Iterator<Item = (String, u32)> {
        self.control.get_vocab(true).into_iter()
    }

    /// The words that were added to the model's own, their tokens, and whether they are control
    /// tokens.
    pub fn added(&self) -> impl Iterator<Item = (String, u32, bool)> {
        let added = self.control.get_added_tokens_decoder().into_values();
        added.filter_map(|added| {
            let id = self.control.token_to_id(&added.content)?;
            Some((added.content, id, added.special))
        })
    }

    /// The decoder, as the file has it; null where there is none.
    pub fn decoder(&self) -> serde_json::Value {
        serde_json::to_value(self.control.get_decoder()).unwrap_or_default()
    }

    /// Encodes text of the template.
    pub fn encode(&self, text: &str) -> Result<Vec<Token>, TextError> {
        encode(&self.control, text)
    }

    /// Encodes text that must not become a control token.
    pub fn encode_plain(&self, text: &str) -> Result<Vec<Token>, TextError> {
        encode(&self.plain, text)
    }

    /// Decodes, leaving control tokens out.
    pub fn decode(&self, tokens: &[Token]) -> Result<String, TextError> {
        let ids: Vec<u32> = tokens.iter().map(|token| token.0).collect();
        if let Some(token) = ids.iter().find(|id| self.control.id_to_token(**id).is_none()) {
            return Err(TextError::UnknownToken { token: *token });
        }
        guarded(|| self.control.decode(&ids, true)).map_err(refused)
    }
}

fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<Token>, TextError> {
    bounded("text bytes", text.len(), TEXT_BYTES_MAX)?;
    let encoding = guarded(|| tokenizer.encode_fast(text, false)).map_err(refused)?;
    Ok(encoding.get_ids().iter().map(|id| Token(*id)).collect())
}
