//! The files a person keeps: `receipt.json` and `evidence.json`.
//!
//! A bundle is the canonical bytes of signed things, as hexadecimal, beside the opening that shows
//! what they commit to. JSON is only the envelope: nothing is ever hashed or signed as JSON, and
//! whatever a bundle says for people (`about`) is ignored when it is read.

use crate::codec::{Decode, DecodeError, Encode};
use crate::id::Token;
use crate::job::Job;
use crate::limits::{ANSWER_TOKENS_MAX, BUNDLE_BYTES_MAX, MESSAGE_BYTES_MAX, MESSAGES_MAX};
use crate::offer::SignedOffer;
use crate::receipt::{SignedCheckpoint, SignedReceipt};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The `format` of a receipt file.
pub const RECEIPT_FORMAT: &str = "mutirao-receipt/1";
/// The `format` of an evidence file.
pub const EVIDENCE_FORMAT: &str = "mutirao-evidence/1";

/// Why a bundle was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BundleError {
    /// More bytes than any honest bundle has.
    #[error("the file has {bytes} bytes; a bundle has at most {maximum}")]
    TooLarge {
        /// Size of the file.
        bytes: usize,
        /// Largest size read.
        maximum: usize,
    },
    /// Not JSON, or JSON of another shape.
    #[error("not a bundle: {reason}")]
    Shape {
        /// What the parser said.
        reason: String,
    },
    /// Another kind or version of file.
    #[error("the file says format {found:?}; expected {expected:?}")]
    Format {
        /// What the file says.
        found: String,
        /// What was asked for.
        expected: &'static str,
    },
    /// A field whose bytes do not decode.
    #[error("{field}: {source}")]
    Field {
        /// The field.
        field: &'static str,
        /// Why.
        source: DecodeError,
    },
}

/// One message of a conversation, as the chat template reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// The text.
    pub content: String,
}

/// What the text layer was given; enough to render the prompt again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextOpening {
    /// The conversation.
    pub messages: Vec<Message>,
    /// Tool descriptions as the template read them, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<serde_json::Value>,
    /// The date that was injected, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// The text of the answer as it was shown.
    pub answer: String,
    /// Version of the text layer that rendered and read it.
    pub text_stack: String,
}

/// What a receipt's commitments hide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The job.
    pub job: Job,
    /// The tokens of the answer.
    pub answer: Vec<Token>,
    /// The text around them; absent when the client worked in tokens.
    pub text: Option<TextOpening>,
}

/// A receipt with its certificate and its opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptBundle {
    /// The receipt.
    pub receipt: SignedReceipt,
    /// The offer that certifies the receipt key.
    pub offer: SignedOffer,
    /// What the receipt hides.
    pub opening: Opening,
}

/// Which signed statement convicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    /// A checkpoint over tokens the model does not give.
    Checkpoint(SignedCheckpoint),
    /// A receipt for an answer the model does not give.
    Receipt(SignedReceipt),
}

/// A signed wrong statement, its certificate and its opening: convinces anybody who replays it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// What was signed.
    pub statement: Statement,
    /// The offer that certifies the key that signed it.
    pub offer: SignedOffer,
    /// The job and the tokens that the statement covers.
    pub opening: Opening,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BundleJson {
    format: String,
    #[serde(default)]
    about: serde_json::Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint: Option<String>,
    offer: String,
    opening: OpeningJson,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpeningJson {
    job: String,
    answer: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<TextOpening>,
}

fn to_hex(value: &impl Encode) -> String {
    data_encoding::HEXLOWER.encode(&value.to_bytes())
}

fn from_hex<T: Decode>(field: &'static str, text: &str) -> Result<T, BundleError> {
    let not_hex = DecodeError::NotText { what: "hexadecimal" };
    let bytes = data_encoding::HEXLOWER
        .decode(text.as_bytes())
        .map_err(|_| BundleError::Field { field, source: not_hex })?;
    T::from_bytes(&bytes).map_err(|source| BundleError::Field { field, source })
}

fn bounded(what: &'static str, count: usize, maximum: usize) -> Result<(), BundleError> {
    let source = DecodeError::TooLong { what, count: count as u64, maximum: maximum as u64 };
    if count > maximum { Err(BundleError::Field { field: "opening", source }) } else { Ok(()) }
}

impl Opening {
    fn to_json(&self) -> OpeningJson {
        let answer = self.answer.iter().map(|token| token.0).collect();
        OpeningJson { job: to_hex(&self.job), answer, text: self.text.clone() }
    }

    fn from_json(json: OpeningJson) -> Result<Self, BundleError> {
        bounded("answer", json.answer.len(), ANSWER_TOKENS_MAX)?;
        if let Some(text) = &json.text {
            bounded("messages", text.messages.len(), MESSAGES_MAX)?;
            bounded("answer text", text.answer.len(), MESSAGE_BYTES_MAX)?;
            for message in &text.messages {
                bounded("message", message.content.len(), MESSAGE_BYTES_MAX)?;
            }
        }
        let answer = json.answer.into_iter().map(Token).collect();
        Ok(Self { job: from_hex("job", &json.job)?, answer, text: json.text })
    }
}

fn parse(text: &[u8], expected: &'static str) -> Result<BundleJson, BundleError> {
    if text.len() > BUNDLE_BYTES_MAX {
        return Err(BundleError::TooLarge { bytes: text.len(), maximum: BUNDLE_BYTES_MAX });
    }
    let json: BundleJson = serde_json::from_slice(text)
        .map_err(|error| BundleError::Shape { reason: error.to_string() })?;
    if json.format != expected {
        return Err(BundleError::Format { found: json.format, expected });
    }
    Ok(json)
}

fn print(json: &BundleJson) -> String {
    let mut text = serde_json::to_string_pretty(json).expect("strings and numbers always print");
    text.push('\n');
    text
}

impl ReceiptBundle {
    /// The file's text. `about` is for people and never read back.
    #[must_use]
    pub fn to_json(&self, about: serde_json::Value) -> String {
        print(&BundleJson {
            format: RECEIPT_FORMAT.into(),
            about,
            receipt: Some(to_hex(&self.receipt)),
            checkpoint: None,
            offer: to_hex(&self.offer),
            opening: self.opening.to_json(),
        })
    }

    /// Reads a receipt file.
    ///
    /// # Errors
    /// [`BundleError`] when the file is too large, of another format, or a field does not decode.
    pub fn from_json(text: &[u8]) -> Result<Self, BundleError> {
        let json = parse(text, RECEIPT_FORMAT)?;
        let missing = || BundleError::Shape { reason: "field receipt is missing".into() };
        if json.checkpoint.is_some() {
            let reason = "a receipt's file holds no checkpoint".into();
            return Err(BundleError::Shape { reason });
        }
        Ok(Self {
            receipt: from_hex("receipt", &json.receipt.ok_or_else(missing)?)?,
            offer: from_hex("offer", &json.offer)?,
            opening: Opening::from_json(json.opening)?,
        })
    }
}

impl Evidence {
    /// The file's text. `about` is for people and never read back.
    #[must_use]
    pub fn to_json(&self, about: serde_json::Value) -> String {
        let (receipt, checkpoint) = match &self.statement {
            Statement::Receipt(receipt) => (Some(to_hex(receipt)), None),
            Statement::Checkpoint(checkpoint) => (None, Some(to_hex(checkpoint))),
        };
        let offer = to_hex(&self.offer);
        let opening = self.opening.to_json();
        let format = EVIDENCE_FORMAT.into();
        print(&BundleJson { format, about, receipt, checkpoint, offer, opening })
    }

    /// Reads an evidence file.
    ///
    /// # Errors
    /// [`BundleError`] as for a receipt, or when it holds not exactly one statement.
    pub fn from_json(text: &[u8]) -> Result<Self, BundleError> {
        let json = parse(text, EVIDENCE_FORMAT)?;
        let statement = match (&json.receipt, &json.checkpoint) {
            (Some(receipt), None) => Statement::Receipt(from_hex("receipt", receipt)?),
            (None, Some(point)) => Statement::Checkpoint(from_hex("checkpoint", point)?),
            _ => {
                let reason = "exactly one of receipt and checkpoint is expected".into();
                return Err(BundleError::Shape { reason });
            }
        };
        let opening = Opening::from_json(json.opening)?;
        Ok(Self { statement, offer: from_hex("offer", &json.offer)?, opening })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_and_a_checkpoint_in_one_receipt_file_are_refused() {
        let opening = r#"{"job": "", "answer": []}"#;
        let text = format!(
            r#"{{"format": "{RECEIPT_FORMAT}", "receipt": "", "checkpoint": "", "offer": "",
            "opening": {opening}}}"#
        );
        let refused = ReceiptBundle::from_json(text.as_bytes()).expect_err("two statements");
        assert!(refused.to_string().contains("holds no checkpoint"), "{refused}");
    }
}
