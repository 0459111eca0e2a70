//! Chat templates: programs from strangers, so they get fuel, a recursion limit, a bounded output,
//! and nothing to reach the world with: no clock, no loader, no file.

use crate::method;
use crate::stack::{TextError, bounded};
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind, context};
use mutirao_wire::bundle::Message;
use std::io::{self, Write};

/// Largest template read, in bytes.
const TEMPLATE_BYTES_MAX: usize = 1 << 20;
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
}

impl ChatTemplate {
    /// Parses a template.
    pub fn read(source: &[u8]) -> Result<Self, TextError> {
        bounded("template bytes", source.len(), TEMPLATE_BYTES_MAX)?;
        let refused = |reason: String| TextError::Template { reason };
        let source = std::str::from_utf8(source).map_err(|error| refused(error.to_string()))?;
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION_MAX);
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.add_function("raise_exception", raise_exception);
        environment.add_filter("tojson", to_json);
        environment.set_unknown_method_callback(method::call);
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| refused(said(&error)))?;
        Ok(Self { environment })
    }

    /// Renders messages, handing the turn to the assistant.
    pub fn render(
        &self,
        messages: &[Message],
        tools: Option<&serde_json::Value>,
        date: Option<&str>,
    ) -> Result<String, TextError> {
        let refused = |error: Error| TextError::Render { reason: said(&error) };
        let today = date.unwrap_or_default().to_owned();
        let now = Value::from_function(move |format: &str| method::date(&today, format));
        let template = self.environment.get_template(NAME).map_err(refused)?;
        let mut output = Bounded::default();
        let given = context! {
            messages => messages,
            tools => tools,
            date_string => date,
            strftime_now => now,
            add_generation_prompt => true,
            bos_token => "",
            eos_token => "",
        };
        template.render_captured_to(given, &mut output).map_err(refused)?;
        String::from_utf8(output.bytes)
            .map_err(|error| TextError::Render { reason: error.to_string() })
    }
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

/// JSON as Python's `json.dumps` spaces it, which is what models were trained on.
#[expect(clippy::needless_pass_by_value, reason = "the interpreter hands keywords over by value")]
fn to_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let _: Option<bool> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    let failed =
        |error: serde_json::Error| Error::new(ErrorKind::BadSerialization, error.to_string());
    match indent {
        Some(_) => serde_json::to_string_pretty(value).map_err(failed),
        None => method::spaced_json(value).map_err(failed),
    }
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
