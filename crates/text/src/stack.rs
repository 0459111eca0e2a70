//! The text layer of one model: its tokenizer and its chat template, read from hostile bytes.

use crate::form::explained;
use crate::grammar::Grammars;
use crate::seal::Seals;
use crate::spelling;
use crate::stream::TextStream;
use crate::template::ChatTemplate;
use crate::tokens::Vocabulary;
use mutirao_wire::Token;
use mutirao_wire::bundle::Message;
use mutirao_wire::limits::{MESSAGE_BYTES_MAX, MESSAGES_MAX, PROMPT_TOKENS_MAX};
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use thiserror::Error;

/// Roles that a message may have.
pub const ROLES: &[&str] = &["system", "developer", "user", "assistant", "tool"];

/// Why text could not be made or read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TextError {
    /// The tokenizer file is refused.
    #[error("the tokenizer is refused: {reason}")]
    Tokenizer {
        /// Why.
        reason: String,
    },
    /// The chat template is refused.
    #[error("the chat template is refused: {reason}")]
    Template {
        /// Why.
        reason: String,
    },
    /// The template refused these messages, or ran too long.
    #[error("the chat template does not take these messages: {reason}")]
    Render {
        /// Why.
        reason: String,
    },
    /// A message is not one.
    #[error("a message has the role {role:?}; one of system, developer, user, assistant, tool")]
    Role {
        /// Its role.
        role: String,
    },
    /// More than is ever read.
    #[error("{what}: {count} is above the maximum of {maximum}")]
    TooLong {
        /// What.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many are read.
        maximum: usize,
    },
    /// A grammar is refused, or cannot be followed.
    #[error("the grammar is refused: {reason}")]
    Grammar {
        /// Why.
        reason: String,
    },
    /// A token that the tokenizer does not have.
    #[error("token {token} is not in the vocabulary")]
    UnknownToken {
        /// The token.
        token: u32,
    },
}

/// The tokenizer and chat template of one model.
#[derive(Debug, Clone)]
pub struct TextStack {
    vocabulary: Arc<Vocabulary>,
    template: Arc<ChatTemplate>,
}

impl TextStack {
    /// Reads a `tokenizer.json` and a chat template. No token may lie outside `vocabulary`.
    ///
    /// # Errors
    /// [`TextError`] when either is too large, does not parse, or exceeds the vocabulary.
    pub fn new(tokenizer: &[u8], template: &[u8], vocabulary: u32) -> Result<Self, TextError> {
        Ok(Self {
            vocabulary: Arc::new(Vocabulary::read(tokenizer, vocabulary)?),
            template: Arc::new(ChatTemplate::read(template)?),
        })
    }

    /// Renders a conversation as the model was trained to see it, with the turn handed to the
    /// assistant. `date` (`2026-11-23`) is what the template takes for today.
    ///
    /// # Errors
    /// [`TextError`] when the messages are too many or the template refuses them.
    pub fn render(
        &self,
        messages: &[Message],
        tools: Option<&serde_json::Value>,
        date: Option<&str>,
    ) -> Result<String, TextError> {
        check(messages)?;
        let (messages, tools) = self.told(messages, tools);
        self.template.render(&messages, tools, date)
    }

    /// Messages and tools as the template takes them: where it does not know calls, the tools are
    /// in the messages.
    // spec: GRAMMAR-2.3
    fn told<'a>(
        &self,
        messages: &'a [Message],
        tools: Option<&'a serde_json::Value>,
    ) -> (Cow<'a, [Message]>, Option<&'a serde_json::Value>) {
        match tools {
            Some(tools) if !self.template.knows_calls => {
                (Cow::Owned(explained(messages, tools)), None)
            }
            tools => (Cow::Borrowed(messages), tools),
        }
    }

    /// The prompt of a conversation in tokens. Control tokens come from the template alone.
    ///
    /// # Errors
    /// As [`TextStack::render`], and when the prompt is longer than any model takes.
    pub fn prompt(
        &self,
        messages: &[Message],
        tools: Option<&serde_json::Value>,
        date: Option<&str>,
    ) -> Result<Vec<Token>, TextError> {
        check(messages)?;
        let (messages, tools) = self.told(messages, tools);
        let seals = Seals::new(self.vocabulary.control(), &messages, tools, date)?;
        let messages = seals.messages(&messages);
        let tools = tools.map(|tools| seals.value(tools));
        let date = date.map(|date| seals.text(date));
        let rendered = self.template.render(&messages, tools.as_ref(), date.as_deref())?;
        let mut tokens = Vec::new();
        for (text, sealed) in seals.open(&rendered) {
            tokens.extend(match sealed {
                true => self.vocabulary.encode_plain(text)?,
                false => self.vocabulary.encode(text)?,
            });
        }
        bounded("prompt tokens", tokens.len(), PROMPT_TOKENS_MAX)?;
        Ok(tokens)
    }

    /// Text in tokens, control tokens recognised.
    ///
    /// # Errors
    /// [`TextError`] when the text is longer than any model takes.
    pub fn encode(&self, text: &str) -> Result<Vec<Token>, TextError> {
        self.vocabulary.encode(text)
    }

    /// An answer as text; control tokens are left out.
    ///
    /// # Errors
    /// [`TextError::UnknownToken`] when a token is not in the vocabulary.
    pub fn decode(&self, tokens: &[Token]) -> Result<String, TextError> {
        self.vocabulary.decode(tokens)
    }

    /// Reads grammars for this tokenizer, whose texts end with one of `ends`. It takes a while:
    /// every token is looked at.
    ///
    /// # Errors
    /// [`TextError::Grammar`] when nothing ends a text, or the tokenizer spells in an unknown way.
    pub fn grammars(&self, ends: &[Token]) -> Result<Grammars, TextError> {
        Grammars::new(&self.vocabulary, ends)
    }

    /// The bytes of all tokens, by their number, as text is made of them; control tokens as their
    /// names.
    ///
    /// # Errors
    /// [`TextError::Grammar`] when the tokenizer spells in an unknown way.
    pub fn spellings(&self) -> Result<Vec<Vec<u8>>, TextError> {
        Ok(spelling::of(&self.vocabulary)?.into_iter().map(spelling::shown).collect())
    }

    /// Reads an answer token by token.
    #[must_use]
    pub fn stream(&self) -> TextStream {
        TextStream::new(self.vocabulary.clone())
    }
}

fn check(messages: &[Message]) -> Result<(), TextError> {
    bounded("messages", messages.len(), MESSAGES_MAX)?;
    for message in messages {
        bounded("message bytes", message.content.len(), MESSAGE_BYTES_MAX)?;
        if !ROLES.contains(&message.role.as_str()) {
            return Err(TextError::Role { role: message.role.clone() });
        }
    }
    Ok(())
}

pub(crate) fn bounded(what: &'static str, count: usize, maximum: usize) -> Result<(), TextError> {
    if count > maximum { Err(TextError::TooLong { what, count, maximum }) } else { Ok(()) }
}

/// The libraries are careful, but were not written for hostile files: a panic is an error here.
pub(crate) fn contained<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the library panicked".into()))
}
