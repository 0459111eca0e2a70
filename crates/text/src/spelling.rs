//! The bytes of every token, as its tokenizer spells them in `tokenizer.json`.
//!
//! Two ways are in use. *Byte level* (GPT-2): each byte is a printable character, by a table that
//! moves those that are none above U+00FF. *Byte fallback* (SentencePiece): text as it is, a sign
//! for the space, and `<0x0A>` for single bytes.

use crate::stack::TextError;
use crate::tokens::Vocabulary;
use serde_json::Value;

/// Stands before the name of a control token, which is no text: no byte of UTF-8 is like it.
const CONTROL: u8 = 0xFF;

enum Spelling {
    ByteLevel,
    /// With what stands for a space.
    ByteFallback(Option<String>),
}

/// The bytes of all tokens, by their number; none where there is no such token.
///
/// # Errors
/// [`TextError::Grammar`] for a tokenizer that spells in another way.
// spec: GRAMMAR-1.2
pub fn of(vocabulary: &Vocabulary) -> Result<Vec<Vec<u8>>, TextError> {
    let spelling = Spelling::read(&vocabulary.decoder())?;
    let mut words = Vec::new();
    for (word, id) in vocabulary.words() {
        put(&mut words, id, spelling.bytes(&word));
    }
    for (word, id, is_control) in vocabulary.added() {
        let sign = is_control.then_some(CONTROL);
        put(&mut words, id, sign.into_iter().chain(word.bytes()).collect());
    }
    Ok(words)
}

/// A spelling as people see it.
pub fn shown(mut bytes: Vec<u8>) -> Vec<u8> {
    // The byte itself is one token at most, and has nothing behind it.
    if bytes.len() > 1 && bytes.first() == Some(&CONTROL) {
        bytes.remove(0);
    }
    bytes
}

fn put(words: &mut Vec<Vec<u8>>, id: u32, bytes: Vec<u8>) {
    let id = id as usize;
    if words.len() <= id {
        words.resize(id + 1, Vec::new());
    }
    if let Some(word) = words.get_mut(id) {
        *word = bytes;
    }
}

fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path).and_then(Value::as_str)
}

impl Spelling {
    fn read(decoder: &Value) -> Result<Self, TextError> {
        let parts = decoder.get("decoders").and_then(Value::as_array);
        let parts = || std::iter::once(decoder).chain(parts.into_iter().flatten());
        let has = |kind: &str| parts().any(|part| text(part, "/type") == Some(kind));
        if has("ByteLevel") {
            return Ok(Self::ByteLevel);
        }
        if has("ByteFallback") {
            let mut spaces = parts().filter(|part| text(part, "/content") == Some(" "));
            let sign = spaces.find_map(|part| text(part, "/pattern/String"));
            return Ok(Self::ByteFallback(sign.map(str::to_owned)));
        }
        let kind = text(decoder, "/type").unwrap_or("none");
        let reason = format!("grammars are not known for tokenizers with the decoder {kind:?}");
        Err(TextError::Grammar { reason })
    }

    fn bytes(&self, word: &str) -> Vec<u8> {
        match self {
            Self::ByteLevel => word.chars().flat_map(byte_level).collect(),
            Self::ByteFallback(sign) => match (single_byte(word), sign) {
                (Some(byte), _) => vec![byte],
                (None, Some(sign)) => word.replace(sign.as_str(), " ").into_bytes(),
                (None, None) => word.as_bytes().to_vec(),
            },
        }
    }
}

/// The byte that a character stands for; a character outside of the table stands for itself.
fn byte_level(character: char) -> Vec<u8> {
    let printable = |byte: &u8| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let code = u32::from(character);
    let itself = u8::try_from(code).ok().filter(printable);
    let moved = || {
        let place = code.checked_sub(0x100)? as usize;
        (0..=u8::MAX).filter(|byte| !printable(byte)).nth(place)
    };
    match itself.or_else(moved) {
        Some(byte) => vec![byte],
        None => character.to_string().into_bytes(),
    }
}

/// `<0x0A>`
fn single_byte(word: &str) -> Option<u8> {
    let digits = word.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec: GRAMMAR-1.2
    #[test]
    fn every_byte_has_one_character_and_every_character_of_the_table_one_byte() {
        let table = (0x21..0x7F).chain(0xA1..0x144).filter_map(char::from_u32).map(byte_level);
        let mut bytes: Vec<u8> = table.filter(|bytes| bytes.len() == 1).flatten().collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=u8::MAX).collect::<Vec<_>>());
        assert_eq!(byte_level('Ġ'), b" ");
        assert_eq!(byte_level('Ċ'), b"\n");
    }

    #[test]
    fn single_bytes_and_spaces_are_read_as_sentencepiece_writes_them() {
        let spelling = Spelling::ByteFallback(Some("▁".to_owned()));
        assert_eq!(spelling.bytes("<0x0A>"), b"\n");
        assert_eq!(spelling.bytes("▁a▁b"), b" a b");
        assert_eq!(spelling.bytes("<0x0A"), b"<0x0A");
    }

    #[test]
    fn another_way_of_spelling_is_refused_by_its_name() {
        let refused = Spelling::read(&serde_json::json!({ "type": "WordPiece" }));
        let reason = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(reason.contains("WordPiece"), "{reason}");
    }
}
