//! The form of an answer: the grammar that it follows, the words that tell a model of its tools,
//! and the calls in what it wrote.
//!
//! A call is JSON between two tags, as Hermes and Qwen write it. A template that knows these tags
//! gets the tools as they are; for any other the tools and the tags are explained in the first
//! message, and what tools said comes as a user's. Either way the grammar leaves no other spelling,
//! and every call is one that the tool's schema takes.

use crate::stop::overlap;
use mutirao_wire::bundle::Message;
use mutirao_wire::form::{CALL_CLOSES, CALL_OPENS, Call, Calls, Form, Tool};
use serde_json::{Value, json};

/// The grammar of a form; `None` where any text will do.
// spec: GRAMMAR-2.1
#[must_use]
pub fn grammar(form: &Form) -> Option<String> {
    let schema = form.schema.as_ref();
    if form.tools.is_empty() {
        return schema.map(|schema| format!("start: {}\n", json_rule(schema)));
    }
    let start = match (&form.calls, schema) {
        (Calls::May, None) => START_OF_ANY_TEXT.to_owned(),
        (Calls::May, Some(schema)) => {
            format!("start: text | opens calls\ntext: {}\n", json_rule(schema))
        }
        (Calls::Must | Calls::Only(_), _) => "start: opens calls\n".to_owned(),
    };
    Some([start, calls(form), tools(form)].concat())
}

/// Any text; but where a tag opens in it, only a call can follow.
const START_OF_ANY_TEXT: &str =
    "start: TEXT | lead calls\nlead[lazy]: TEXT \"<tool_call>\"\nTEXT: /(.|\\n)*/\n";

/// One call or several, and the tags around them.
fn calls(form: &Form) -> String {
    let once = form.once || matches!(form.calls, Calls::Only(_));
    let again = if once { "" } else { " (\"\\n\" opens call)*" };
    let (opens, closes) = (quoted(CALL_OPENS), quoted(&format!("}}\n{CALL_CLOSES}")));
    format!("calls: call{again}\nopens: {opens}\ncall: tool {closes}\n")
}

/// The rules of the tools that can be called.
fn tools(form: &Form) -> String {
    let callable = form.tools.iter().filter(|tool| match &form.calls {
        Calls::Only(name) => tool.name == *name,
        Calls::May | Calls::Must => true,
    });
    let rules: Vec<String> = callable.enumerate().map(|(at, tool)| rules(tool, at)).collect();
    let names: Vec<String> = (0..rules.len()).map(|at| format!("tool_{at}")).collect();
    format!("tool: {}\n{}", names.join(" | "), rules.concat())
}

/// The rules of one tool: its name, and its arguments after their schema.
fn rules(tool: &Tool, at: usize) -> String {
    let opens = quoted(&format!("\n{{\"name\": {}, \"arguments\": ", quoted(&tool.name)));
    let arguments = json_rule(&tool.arguments());
    format!("tool_{at}: {opens} arguments_{at}\narguments_{at}: {arguments}\n")
}

/// A string of the grammar's language, which is one of JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A schema as a rule. Spaces stand where they stand in most texts that models were trained on, and
/// nowhere else: an answer cannot get lost in them. Nor can it in fields that nobody named.
// spec: GRAMMAR-2.2
fn json_rule(schema: &Value) -> String {
    let mut schema = schema.clone();
    if let Value::Object(fields) = &mut schema {
        let open = [
            "additionalProperties",
            "unevaluatedProperties",
            "patternProperties",
            "allOf",
            "anyOf",
            "oneOf",
            "$ref",
        ];
        if fields.contains_key("properties") && !open.iter().any(|it| fields.contains_key(*it)) {
            fields.insert("additionalProperties".to_owned(), false.into());
        }
        let spaces = json!({ "whitespace_flexible": false, "item_separator": ", ",
            "key_separator": ": " });
        fields.insert("x-guidance".to_owned(), spaces);
    }
    format!("%json {schema}")
}

/// Messages for a template that does not know the tags: the tools are explained in the first one.
pub(crate) fn explained(messages: &[Message], tools: &Value) -> Vec<Message> {
    let (system, rest) = match messages.split_first() {
        Some((first, rest)) if first.role == "system" => (Some(&first.content), rest),
        _ => (None, messages),
    };
    let words = words(tools);
    let content = system.map_or(words.clone(), |system| format!("{system}\n\n{words}"));
    let first = Message { role: "system".to_owned(), content };
    let rest = rest.iter().map(|message| match message.role.as_str() {
        "tool" => {
            let content = format!("<tool_response>\n{}\n</tool_response>", message.content);
            Message { role: "user".to_owned(), content }
        }
        _ => message.clone(),
    });
    std::iter::once(first).chain(rest).collect()
}

fn words(tools: &Value) -> String {
    let tools: Vec<String> = tools
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tool| tool.get("function"))
        .map(Value::to_string)
        .collect();
    format!(
        "You can call these tools:\n{}\nTo call one, write:\n{CALL_OPENS}\n\
         {{\"name\": its name, \"arguments\": {{its arguments}}}}\n{CALL_CLOSES}",
        tools.join("\n")
    )
}

/// A piece of an answer that may call tools.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Text for people.
    Text(String),
    /// A call.
    Call(Call),
}

/// Tells calls from text while an answer comes.
#[derive(Debug, Clone, Default)]
pub struct CallFinder {
    /// What was not told yet: the start of a tag, or a call that is not whole.
    held: String,
    /// Whether a tag stood before `held`.
    inside: bool,
    /// Spaces that are told only if text follows them, and no call.
    spaces: String,
}

impl CallFinder {
    /// Takes more text; gives what is whole now.
    pub fn push(&mut self, text: &str) -> Vec<Piece> {
        self.held.push_str(text);
        let mut pieces = Vec::new();
        while let Some(piece) = if self.inside { self.call() } else { self.text() } {
            pieces.extend(piece);
        }
        pieces
    }

    /// Gives what is left at the end; a call that never became whole is text.
    #[must_use]
    pub fn finish(mut self) -> Option<String> {
        let opened = if self.inside { CALL_OPENS } else { "" };
        let left = format!("{opened}{}", self.held);
        self.spaced(&left)
    }

    /// The text up to the next tag, if there is any to tell; `None` when more is wanted.
    #[allow(clippy::option_option, reason = "told, silently done, or stuck")]
    fn text(&mut self) -> Option<Option<Piece>> {
        if let Some(at) = self.held.find(CALL_OPENS) {
            let rest = self.held.split_off(at + CALL_OPENS.len());
            let told = std::mem::replace(&mut self.held, rest);
            self.inside = true;
            let told = told.strip_suffix(CALL_OPENS).unwrap_or_default().to_owned();
            return Some(self.spaced(&told).map(Piece::Text));
        }
        let safe = self.held.len() - overlap(&self.held, CALL_OPENS);
        let rest = self.held.split_off(safe);
        let told = std::mem::replace(&mut self.held, rest);
        self.spaced(&told).map(|told| Some(Piece::Text(told)))
    }

    /// Text with the spaces before it, and without those behind it.
    fn spaced(&mut self, text: &str) -> Option<String> {
        let words = text.trim_end();
        let spaces = text.get(words.len()..).unwrap_or_default();
        if words.is_empty() {
            self.spaces.push_str(spaces);
            return None;
        }
        let before = std::mem::replace(&mut self.spaces, spaces.to_owned());
        Some(before + words)
    }

    /// The call up to a closing tag, which may also stand inside of one of its texts.
    #[allow(clippy::option_option, reason = "told, silently done, or stuck")]
    fn call(&mut self) -> Option<Option<Piece>> {
        let ends = self.held.match_indices(CALL_CLOSES).map(|(at, _)| at);
        let (at, call) = ends
            .filter_map(|at| Some((at, serde_json::from_str(self.held.get(..at)?).ok()?)))
            .next()?;
        self.held = self.held.split_off(at + CALL_CLOSES.len());
        self.inside = false;
        self.spaces.clear();
        Some(Some(Piece::Call(call)))
    }
}

#[cfg(test)]
mod tests;
