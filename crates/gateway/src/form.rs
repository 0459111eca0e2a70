//! What an answer has to look like, read from the words that the APIs have for it: formats, tools,
//! choices of tools, and the calls of earlier turns.

use crate::error::ApiError;
use crate::openai::is_something;
use mutirao_wire::form::{
    Call, Calls, Form, TOOL_NAME_BYTES_MAX, TOOLS_MAX, Tool, any_object, with_calls,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// What a request says about the form of its answer.
#[derive(Debug, Default)]
pub struct Wanted<'a> {
    /// `{"type": "json_schema", "json_schema": {"schema": ...}}` and its siblings.
    pub format: Option<&'a Value>,
    /// A list of `{"type": "function", "function": {...}}`.
    pub tools: Option<&'a Value>,
    /// `"auto"`, `"none"`, `"required"` or `{"type": "function", "function": {"name": ...}}`.
    pub choice: Option<&'a Value>,
    /// Whether there may be more than one call; yes if nothing is said.
    pub parallel: Option<bool>,
}

impl Wanted<'_> {
    /// The form, or the first thing that is wrong with it.
    pub fn form(&self) -> Result<Form, ApiError> {
        let schema = self.format.map(schema).transpose()?.flatten();
        let tools = self.tools.filter(|tools| is_something(tools));
        let tools = tools.map(self::tools).transpose()?.unwrap_or_default();
        let once = self.parallel == Some(false);
        Ok(match choice(self.choice, &tools)? {
            Some(calls) => Form { schema, tools, calls, once },
            None => Form { schema, ..Form::default() },
        })
    }
}

/// The schema of a `response_format`; none for text.
fn schema(format: &Value) -> Result<Option<Value>, ApiError> {
    let refused = |message: String| ApiError::parameter("response_format", message);
    match format["type"].as_str() {
        None if format.is_null() => Ok(None),
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(any_object())),
        Some("json_schema") => match &format["json_schema"]["schema"] {
            schema @ (Value::Object(_) | Value::Bool(_)) => Ok(Some(schema.clone())),
            _ => Err(refused("json_schema: its schema is missing".to_owned())),
        },
        other => {
            let other = other.unwrap_or("none");
            Err(refused(format!("type {other:?}: text, json_object or json_schema")))
        }
    }
}

fn tools(list: &Value) -> Result<Vec<Tool>, ApiError> {
    let refused = |message: String| ApiError::parameter("tools", message);
    let list = list.as_array().ok_or_else(|| refused("tools: a list is taken".to_owned()))?;
    if list.len() > TOOLS_MAX {
        return Err(refused(format!("tools: at most {TOOLS_MAX}")));
    }
    let tools = list.iter().map(tool).collect::<Result<Vec<Tool>, String>>().map_err(refused)?;
    let mut names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair.first() == pair.last()) {
        Some(pair) => Err(refused(format!("tools: two are named {:?}", pair.concat()))),
        None => Ok(tools),
    }
}

/// A tool; its fields stand under `function`, or beside `type` as in newer requests.
fn tool(tool: &Value) -> Result<Tool, String> {
    if tool["type"] != "function" {
        return Err(format!("tools: type {} is not known; function is", tool["type"]));
    }
    let function = tool.get("function").unwrap_or(tool);
    let name = function["name"].as_str().unwrap_or_default();
    if !Tool::can_be_named(name) {
        return Err(format!(
            "tools: name {name:?}: 1 to {TOOL_NAME_BYTES_MAX} letters, digits, _, - and ."
        ));
    }
    let description = function["description"].as_str().map(str::to_owned);
    let parameters = function["parameters"].clone();
    if !matches!(parameters, Value::Null | Value::Object(_)) {
        return Err(format!("tools: the parameters of {name} are no JSON schema of an object"));
    }
    Ok(Tool { name: name.to_owned(), description, parameters })
}

/// Which tools are called; none where none may be.
fn choice(choice: Option<&Value>, tools: &[Tool]) -> Result<Option<Calls>, ApiError> {
    let refused = |message: String| Err(ApiError::parameter("tool_choice", message));
    let named = |choice: &Value| {
        let function = choice.get("function").unwrap_or(choice);
        function["name"].as_str().map(str::to_owned)
    };
    let calls = match choice {
        None | Some(Value::Null) => Calls::May,
        Some(Value::String(word)) => match word.as_str() {
            "auto" => Calls::May,
            "none" => return Ok(None),
            "required" => Calls::Must,
            other => return refused(format!("{other:?}: none, auto, required or a function")),
        },
        Some(choice) => match named(choice) {
            Some(name) => Calls::Only(name),
            None => return refused(format!("{choice}: the name of a function is missing")),
        },
    };
    match &calls {
        Calls::Only(name) if !tools.iter().any(|tool| tool.name == *name) => {
            refused(format!("no tool is named {name:?}"))
        }
        Calls::Must if tools.is_empty() => refused("required, and there are no tools".to_owned()),
        _ => Ok(Some(calls)),
    }
}

/// A call of an earlier turn. Arguments are an object, or the text of one.
#[derive(Debug, Deserialize)]
pub struct SaidCall {
    pub function: SaidFunction,
}

#[derive(Debug, Deserialize)]
pub struct SaidFunction {
    pub name: String,
    #[serde(default)]
    pub arguments: Value,
}

impl SaidCall {
    /// What was said in a turn, with its calls behind it.
    pub fn behind(said: &str, calls: Option<&[Self]>) -> Result<String, ApiError> {
        let calls = calls.unwrap_or_default().iter().map(Self::call);
        Ok(with_calls(said, &calls.collect::<Result<Vec<Call>, _>>()?))
    }

    fn call(&self) -> Result<Call, ApiError> {
        let SaidFunction { name, arguments } = &self.function;
        let arguments = match arguments {
            Value::String(text) if text.trim().is_empty() => json!({}),
            Value::String(text) => serde_json::from_str(text).map_err(|error| {
                let message = format!("messages: the arguments of {name} are no JSON: {error}");
                ApiError::parameter("messages", message)
            })?,
            Value::Null => json!({}),
            other => other.clone(),
        };
        Ok(Call { name: name.clone(), arguments })
    }
}
