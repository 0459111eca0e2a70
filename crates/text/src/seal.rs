//! Seals: how a text inside a message that spells a control token stays text.
//!
//! Before the template runs, each such spelling is replaced by one private-use character that
//! occurs nowhere in the input; after it ran, the characters mark exactly the places that are
//! encoded as plain text. A message without such a spelling is not touched, so honest prompts get
//! the same tokens as everywhere else.
//!
//! Limit: a template that takes messages apart by character (upper case, slices) moves seals as any
//! other character. A spelling that only arises where the template joins two texts is not sealed;
//! roles are a fixed list for that reason.

use crate::stack::TextError;
use mutirao_wire::bundle::Message;
use serde_json::Value;

/// Seals of one prompt.
pub struct Seals {
    /// Each seal and the spelling that it stands for, longest spelling first.
    seals: Vec<(char, String)>,
}

/// Supplementary private use area A: 65 534 characters without a meaning.
const PRIVATE: std::ops::Range<u32> = 0xF_0000..0xF_FFFE;

impl Seals {
    /// Chooses seals for the control spellings, none of which occurs in the input.
    pub fn new(
        control: &[String],
        messages: &[Message],
        tools: Option<&Value>,
        date: Option<&str>,
    ) -> Result<Self, TextError> {
        let tools = tools.map(ToString::to_string).unwrap_or_default();
        let contents = messages.iter().map(|message| message.content.as_str());
        let inputs: Vec<&str> =
            contents.chain([tools.as_str(), date.unwrap_or_default()]).collect();
        let spelt = |text: &&String| inputs.iter().any(|input| input.contains(text.as_str()));
        if !control.iter().any(|text| spelt(&text)) {
            return Ok(Self { seals: Vec::new() });
        }
        let used: std::collections::BTreeSet<char> = inputs
            .iter()
            .flat_map(|input| input.chars())
            .filter(|character| PRIVATE.contains(&u32::from(*character)))
            .collect();
        let free = PRIVATE.filter_map(char::from_u32).filter(|seal| !used.contains(seal));
        let seals: Vec<_> = free.zip(control.iter().cloned()).collect();
        let (count, maximum) = (control.len(), seals.len());
        let error = TextError::TooLong { what: "control tokens", count, maximum };
        if maximum < count { Err(error) } else { Ok(Self { seals }) }
    }

    /// Seals one text.
    pub fn text(&self, text: &str) -> String {
        let sealed = |text: String, (seal, spelling): &(char, String)| {
            text.replace(spelling.as_str(), seal.encode_utf8(&mut [0; 4]))
        };
        self.seals.iter().fold(text.to_owned(), sealed)
    }

    /// Seals the messages.
    pub fn messages(&self, messages: &[Message]) -> Vec<Message> {
        let sealed = |message: &Message| Message {
            role: message.role.clone(),
            content: self.text(&message.content),
        };
        messages.iter().map(sealed).collect()
    }

    /// Seals every text in a JSON value, names of fields too.
    pub fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (self.text(name), self.value(value))).collect()
            }
            other => other.clone(),
        }
    }

    /// Cuts rendered text at its seals: pieces of template and message (`false`), and spellings to
    /// be encoded as plain text (`true`).
    pub fn open<'a>(&'a self, rendered: &'a str) -> Vec<(&'a str, bool)> {
        let mut pieces = Vec::new();
        let mut rest = rendered;
        while let Some((at, seal, spelling)) = self.first(rest) {
            let (before, after) = rest.split_at(at);
            pieces.push((before, false));
            pieces.push((spelling, true));
            rest = after.strip_prefix(seal).unwrap_or_default();
        }
        pieces.push((rest, false));
        pieces.retain(|(text, _)| !text.is_empty());
        pieces
    }

    fn first(&self, text: &str) -> Option<(usize, char, &str)> {
        text.char_indices().find_map(|(at, character)| {
            let found = self.seals.iter().find(|(seal, _)| *seal == character)?;
            Some((at, found.0, found.1.as_str()))
        })
    }
}
