//! Messages to tokens and back: tokenizer, chat template, stop strings, streamed text, grammars.
//!
//! What a person writes can never become a control token: texts inside messages that spell one are
//! encoded as ordinary text. Templates run with fuel and a purse, without a clock, a loader or a
//! file.
#![deny(clippy::float_arithmetic, clippy::indexing_slicing)]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::indexing_slicing))]

mod filter;
mod form;
mod grammar;
mod lists;
mod method;
mod rewrite;
mod seal;
mod spelling;
mod stack;
mod stop;
mod stream;
mod template;
mod tokens;
mod toll;

pub use form::{CallFinder, Piece, grammar};
pub use grammar::{Followed, GRAMMAR_ENGINE, Grammars};
pub use lists::TokenLists;
pub use stack::{TextError, TextStack};
pub use stop::{Found, StopFinder};
pub use stream::TextStream;

/// Names what renders and reads text. Another version may render another prompt, so it stands in
/// every opening, and `verify` judges the text apart from the tokens.
pub const TEXT_STACK: &str = "mutirao-text/1 tokenizers/0.22.2 minijinja/2.24.0";
