//! The text layer on the shipped model's own tokenizer and template, and on hostile ones.

#[path = "it/grammars.rs"]
mod grammars;
#[path = "it/hostile.rs"]
mod hostile;
#[path = "it/prompts.rs"]
mod prompts;
#[path = "it/streams.rs"]
mod streams;
#[path = "it/templates.rs"]
mod templates;

use mutirao_text::TextStack;
use mutirao_wire::bundle::Message;

/// The shipped tokenizer.
const TOKENIZER: &[u8] = include_bytes!("../../../models/village/tokenizer.json");
/// The shipped template.
const TEMPLATE: &[u8] = include_bytes!("../../../models/village/chat_template.jinja");
/// Tokens of the shipped model.
const VOCABULARY: u32 = 2048;

/// The shipped text layer.
fn village() -> TextStack {
    TextStack::new(TOKENIZER, TEMPLATE, VOCABULARY).expect("the shipped text layer")
}

/// The shipped tokenizer under another template.
fn templated(template: &str) -> TextStack {
    TextStack::new(TOKENIZER, template.as_bytes(), VOCABULARY).expect("a template")
}

fn message(role: &str, content: &str) -> Message {
    Message { role: role.into(), content: content.into() }
}
