//! Filters whose result could be much larger than what goes in, each with a bound, and JSON as
//! models were trained to see it.

use crate::method;
use minijinja::value::{Kwargs, Value};
use minijinja::{Error, ErrorKind};
use serde::Serialize;

/// Longest text that one filter makes, in bytes.
const TEXT_BYTES_MAX: usize = 8 << 20;
/// Most spaces in front of a line.
const INDENT_MAX: usize = 64;

fn refused(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.into())
}

fn fits(bytes: Option<usize>) -> Result<(), Error> {
    match bytes {
        Some(bytes) if bytes <= TEXT_BYTES_MAX => Ok(()),
        _ => Err(refused(format!("a template makes a text of more than {TEXT_BYTES_MAX} bytes"))),
    }
}

fn spaces(count: usize) -> Result<String, Error> {
    let error = || refused(format!("a template indents by {count}; at most {INDENT_MAX}"));
    if count > INDENT_MAX { Err(error()) } else { Ok(" ".repeat(count)) }
}

/// Replaces a text by another, at most `count` times.
pub fn replace(text: &str, from: &str, to: &str, count: Option<usize>) -> Result<String, Error> {
    let count = text.matches(from).count().min(count.unwrap_or(usize::MAX));
    let added = count.checked_mul(to.len());
    fits(added.and_then(|added| added.checked_add(text.len())))?;
    Ok(text.replacen(from, to, count))
}

/// Joins the items of a list, or one attribute of each.
#[expect(clippy::needless_pass_by_value, reason = "the engine hands named arguments by value")]
pub fn join(list: &Value, separator: Option<&str>, options: Kwargs) -> Result<String, Error> {
    let attribute: Option<&str> = options.get("attribute")?;
    let named: Option<&str> = options.get("d")?;
    options.assert_all_used()?;
    let separator = separator.or(named).unwrap_or_default();
    let mut text = String::new();
    for (at, item) in list.try_iter()?.enumerate() {
        let item = attribute.map_or(Ok(item.clone()), |name| item.get_attr(name))?;
        let written = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
        fits(text.len().checked_add(separator.len() + written.len()))?;
        text.push_str(if at == 0 { "" } else { separator });
        text.push_str(&written);
    }
    Ok(text)
}

/// Puts spaces in front of each line but the first, and of that one if asked to.
#[expect(clippy::needless_pass_by_value, reason = "the engine hands named arguments by value")]
pub fn indent(
    text: &str,
    width: Option<usize>,
    first: Option<bool>,
    blank: Option<bool>,
    options: Kwargs,
) -> Result<String, Error> {
    let width = width.or(options.get("width")?).unwrap_or(4);
    let first = first.or(options.get("first")?).unwrap_or(false);
    let blank = blank.or(options.get("blank")?).unwrap_or(false);
    options.assert_all_used()?;
    let spaces = spaces(width)?;
    let added = text.split('\n').count().checked_mul(spaces.len());
    fits(added.and_then(|added| added.checked_add(text.len())))?;
    let indented = |(at, line): (usize, &str)| match (at, line.is_empty()) {
        (0, _) if !first => line.to_owned(),
        (_, true) if !blank => String::new(),
        _ => format!("{spaces}{line}"),
    };
    Ok(text.split('\n').enumerate().map(indented).collect::<Vec<_>>().join("\n"))
}

/// JSON as Python's `json.dumps` spaces it.
#[expect(clippy::needless_pass_by_value, reason = "the engine hands named arguments by value")]
pub fn to_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let _: Option<bool> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    let failed =
        |error: serde_json::Error| Error::new(ErrorKind::BadSerialization, error.to_string());
    let Some(indent) = indent else { return method::spaced_json(value).map_err(failed) };
    let (spaces, mut bytes) = (spaces(indent)?, Vec::new());
    let pretty = serde_json::ser::PrettyFormatter::with_indent(spaces.as_bytes());
    value
        .serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, pretty))
        .map_err(failed)?;
    String::from_utf8(bytes).map_err(|error| refused(error.to_string()))
}
