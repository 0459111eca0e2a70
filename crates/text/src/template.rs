//! Chat templates: programs from strangers, so they get fuel, a purse, a recursion limit, a bounded
//! output, and nothing to reach the world with: no clock, no loader, no file.

use crate::stack::{TextError, bounded, contained};
use crate::{filter, method, rewrite, toll};
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind};
use mutirao_wire::bundle::Message;
use mutirao_wire::form::CALL_OPENS;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Largest template read, in bytes.
const TEMPLATE_BYTES_MAX: usize = 256 << 10;
/// Largest prompt rendered, in bytes.
const OUTPUT_BYTES_MAX: usize = 8 << 20;
/// Instructions a template may run.
const FUEL: u64 = 2_000_000;
const RECURSION_MAX: usize = 64;
const NAME: &str = "chat";

/// A chat template, parsed.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// Whether it knows how calls of tools stand in a text.
    pub knows_calls: bool,
}

impl ChatTemplate {
    /// Parses a template.
    pub fn read(source: &[u8]) -> Result<Self, TextError> {
        bounded("template bytes", source.len(), TEMPLATE_BYTES_MAX)?;
        let refused = |reason: String| TextError::Template { reason };
        let source = std::str::from_utf8(source).map_err(|error| refused(error.to_string()))?;
        let read = contained(|| {
            let mut environment = environment();
            environment.add_template_owned(NAME, rewrite::tolled(source)?).map_err(|e| said(&e))?;
            Ok(Self { environment, knows_calls: source.contains(CALL_OPENS) })
        });
        read.map_err(refused)
    }

    /// Renders messages, handing the turn to the assistant.
    pub fn render(
        &self,
        messages: &[Message],
        tools: Option<&serde_json::Value>,
        date: Option<&str>,
    ) -> Result<String, TextError> {
        let given = given(messages, tools, date);
        let rendered = contained(|| {
            let template = self.environment.get_template(NAME).map_err(|error| said(&error))?;
            let mut output = Bounded::default();
            template.render_captured_to(given, &mut output).map_err(|error| said(&error))?;
            String::from_utf8(output.bytes).map_err(|error| error.to_string())
        });
        rendered.map_err(|reason| TextError::Render { reason })
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION_MAX);
    environment.remove_global("debug");
    environment.add_function("raise_exception", raise_exception);
    environment.add_filter("tojson", filter::to_json);
    environment.add_filter("join", filter::join);
    environment.add_filter("replace", filter::replace);
    environment.add_filter("indent", filter::indent);
    environment.add_filter("pay", toll::pay);
    environment.add_filter("walk", toll::walk);
    environment.add_filter("glance", toll::glance);
    environment.add_filter("small", toll::small);
    environment.add_filter("number", toll::number);
    environment.set_unknown_method_callback(method::call);
    environment
}

/// What a template sees. Without a date there is none, and no function that tells it: a template
/// that has a date of its own falls back to it, and another says what it misses.
fn given(messages: &[Message], tools: Option<&serde_json::Value>, date: Option<&str>) -> Value {
    let mut given = BTreeMap::from([
        ("messages", Value::from_serialize(messages)),
        ("tools", Value::from_serialize(tools)),
        ("add_generation_prompt", Value::from(true)),
        ("bos_token", Value::from("")),
        ("eos_token", Value::from("")),
    ]);
    if let Some(today) = date.map(str::to_owned) {
        given.insert("date_string", Value::from(today.clone()));
        let now = Value::from_function(move |format: &str| method::date(&today, format));
        given.insert("strftime_now", now);
    }
    Value::from(given)
}

/// The message of an error and of what caused it, on one line.
fn said(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

fn raise_exception(reason: &str) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, reason.to_owned()))
}

/// A buffer that refuses to grow beyond its bound.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
}

impl Write for Bounded {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + more.len() > OUTPUT_BYTES_MAX {
            return Err(io::Error::other("the prompt would be too long"));
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
