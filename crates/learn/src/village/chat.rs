//! How a conversation becomes text: the same bytes the chat template renders.

use super::{Example, Split, Task, sample};
use crate::dice::Dice;

/// Opens every conversation.
pub const BEGIN: &str = "<|bos|>";
/// Closes every message; after an answer it is the end of the text.
pub const END: &str = "<|end|>";
/// Opens what the operator says.
pub const SYSTEM: &str = "<|system|>";
/// Opens what the user says.
pub const USER: &str = "<|user|>";
/// Opens what the model says.
pub const ASSISTANT: &str = "<|assistant|>";
/// Special tokens in the order of their ids, from 0.
pub const SPECIAL: [&str; 5] = [BEGIN, END, SYSTEM, USER, ASSISTANT];

/// The chat template of the model, in the dialect of the Hugging Face `transformers` library.
pub const TEMPLATE: &str = "{{- '<|bos|>' -}}
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
{{- '<|assistant|>' + (message.content | trim) + '<|end|>' -}}
{%- elif message.role == 'system' or message.role == 'developer' -%}
{{- '<|system|>' + (message.content | trim) + '<|end|>' -}}
{%- else -%}
{{- '<|user|>' + (message.content | trim) + '<|end|>' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|assistant|>' -}}
{%- endif -%}
";

/// A conversation of one or more turns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conversation {
    /// What the operator says first, if anything.
    pub system: Option<String>,
    /// Questions and answers in turn.
    pub turns: Vec<(String, String)>,
}

/// A piece of a conversation's text; the model learns to write the `learned` ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// True for what the model should say.
    pub learned: bool,
}

impl Conversation {
    /// The text in pieces: joined, they are what the chat template renders.
    #[must_use]
    pub fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(2 * self.turns.len());
        let mut before = BEGIN.to_owned();
        if let Some(system) = &self.system {
            before.push_str(&format!("{SYSTEM}{system}{END}"));
        }
        for (user, assistant) in &self.turns {
            let text = format!("{before}{USER}{user}{END}{ASSISTANT}");
            pieces.push(Piece { text, learned: false });
            pieces.push(Piece { text: format!("{assistant}{END}"), learned: true });
            before.clear();
        }
        pieces
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> String {
        self.pieces().into_iter().map(|piece| piece.text).collect()
    }
}

/// The text that asks one question and waits for the answer.
#[must_use]
pub fn prompt(user: &str) -> String {
    format!("{BEGIN}{USER}{user}{END}{ASSISTANT}")
}

const SYSTEM_OPENINGS: [&str; 6] = [
    "You are a helpful assistant.",
    "You are Village, a very small model.",
    "You are a helpful AI assistant that answers questions.",
    "Answer the user.",
    "Be short and exact.",
    "You help the people of a village.",
];
const SYSTEM_MORE: [&str; 5] =
    ["Be brief.", "Answer in English.", "Never guess.", "Be kind.", "Use the tools when asked."];

fn system_message(dice: &mut Dice) -> String {
    let opening = *dice.pick(&SYSTEM_OPENINGS);
    if dice.chance(50) {
        opening.to_owned()
    } else {
        format!("{opening} {}", dice.pick(&SYSTEM_MORE))
    }
}

/// The question as a hurried person types it: now and then without the last mark, or, where no name
/// may come first, without the capital.
fn casual(dice: &mut Dice, example: &Example) -> String {
    let mut user = example.user.clone();
    if example.task == Task::Questions && dice.chance(15) {
        user = user.to_lowercase();
    }
    if dice.chance(8) && user.ends_with(['?', '.']) {
        user.pop();
    }
    let named =
        matches!(example.task, Task::Extract | Task::Tool | Task::WordProblem | Task::Story);
    if !named && dice.chance(8) {
        let mut letters = user.chars();
        let first = letters.next().map(|first| first.to_lowercase().to_string());
        user = first.unwrap_or_default() + letters.as_str();
    }
    user
}

/// Draws a conversation for training: most have one turn, three in ten have two to four, one in
/// ten opens with a system message.
pub fn conversation(dice: &mut Dice, task: Option<Task>) -> Conversation {
    let count = if dice.chance(30) { dice.between(2, 4) } else { 1 };
    let system = dice.chance(10).then(|| system_message(dice));
    let turns = (0..count)
        .map(|_| {
            let example = sample(dice, task, Split::Train);
            (casual(dice, &example), example.assistant)
        })
        .collect();
    Conversation { system, turns }
}
