//! What an answer has to look like, as a client asks for it: JSON after a schema, calls of tools,
//! or any text. And how calls stand in a text, where people ask with those of earlier turns.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What stands before a call in a text.
pub const CALL_OPENS: &str = "<tool_call>";
/// What stands behind it.
pub const CALL_CLOSES: &str = "</tool_call>";
/// Most tools of one question.
pub const TOOLS_MAX: usize = 128;
/// Longest name of a tool, in bytes.
pub const TOOL_NAME_BYTES_MAX: usize = 64;

/// What an answer has to look like; any text by default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Form {
    /// The JSON schema of the text, if it is not any text.
    pub schema: Option<Value>,
    /// Tools that the model is told of.
    pub tools: Vec<Tool>,
    /// Which of them it calls.
    pub calls: Calls,
    /// Whether it may call only once.
    pub once: bool,
}

impl Form {
    /// The tools as chat templates read them; `None` without any.
    #[must_use]
    pub fn described(&self) -> Option<Value> {
        let tools: Vec<Value> = self.tools.iter().map(Tool::described).collect();
        (!tools.is_empty()).then(|| tools.into())
    }
}

/// The schema of any JSON object.
#[must_use]
pub fn any_object() -> Value {
    json!({ "type": "object" })
}

/// Whether tools are called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Calls {
    /// As the model likes.
    #[default]
    May,
    /// At least one.
    Must,
    /// This one, once.
    Only(String),
}

/// Something that the model may ask its user's program to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name: letters, digits, `_`, `-` and `.`
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The JSON schema of its arguments; none are taken where it is null.
    pub parameters: Value,
}

impl Tool {
    /// Whether a tool can be named so.
    #[must_use]
    pub fn can_be_named(name: &str) -> bool {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        !name.is_empty() && name.len() <= TOOL_NAME_BYTES_MAX && name.bytes().all(letter)
    }

    fn described(&self) -> Value {
        let description = self.description.iter();
        let description = description.map(|text| ("description".to_owned(), text.as_str().into()));
        let function: Map<String, Value> = [("name".to_owned(), self.name.as_str().into())]
            .into_iter()
            .chain(description)
            .chain([("parameters".to_owned(), self.arguments())])
            .collect();
        json!({ "type": "function", "function": function })
    }

    /// The schema of its arguments: no fields, where none was given.
    #[must_use]
    pub fn arguments(&self) -> Value {
        match &self.parameters {
            Value::Null => json!({ "type": "object", "properties": {} }),
            parameters => parameters.clone(),
        }
    }
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The tool.
    pub name: String,
    /// An object.
    pub arguments: Value,
}

/// Calls as they stand in a text, behind what was said before them.
#[must_use]
pub fn with_calls(said: &str, calls: &[Call]) -> String {
    let call = |call: &Call| {
        let (name, arguments) = (Value::from(call.name.as_str()), &call.arguments);
        let call = format!("{{\"name\": {name}, \"arguments\": {arguments}}}");
        format!("{CALL_OPENS}\n{call}\n{CALL_CLOSES}")
    };
    let said = (!said.is_empty()).then(|| said.to_owned());
    said.into_iter().chain(calls.iter().map(call)).collect::<Vec<_>>().join("\n")
}
