//! The Python manners that chat templates in the wild rely on: a few methods of strings and maps,
//! spaced JSON, and the date format, which reads the injected date and no clock.

use crate::filter;
use minijinja::value::{Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};
use serde::Serialize;
use std::io;

/// Calls a Python method on a value, where templates use one.
pub fn call(
    _: &State<'_, '_>,
    value: &Value,
    name: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    match (value.as_str(), value.kind()) {
        (Some(text), _) => of_string(text, name, arguments),
        (None, ValueKind::Map) => of_map(value, name, arguments),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn of_string(text: &str, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let characters =
        || -> Result<Option<&str>, Error> { Ok(from_args::<(Option<&str>,)>(arguments)?.0) };
    let strips = |set: Option<&str>| {
        let set = set.map(str::to_owned);
        move |c: char| set.as_ref().map_or(c.is_whitespace(), |set| set.contains(c))
    };
    Ok(match name {
        "strip" => text.trim_matches(strips(characters()?)).into(),
        "lstrip" => text.trim_start_matches(strips(characters()?)).into(),
        "rstrip" => text.trim_end_matches(strips(characters()?)).into(),
        "startswith" => text.starts_with(from_args::<(&str,)>(arguments)?.0).into(),
        "endswith" => text.ends_with(from_args::<(&str,)>(arguments)?.0).into(),
        "upper" => text.to_uppercase().into(),
        "lower" => text.to_lowercase().into(),
        "split" => {
            let (separator, most) = from_args::<(Option<&str>, Option<usize>)>(arguments)?;
            let pieces = most.unwrap_or(usize::MAX).saturating_add(1);
            match separator {
                Some(separator) => text.splitn(pieces, separator).map(Value::from).collect(),
                None => text.split_whitespace().map(Value::from).collect(),
            }
        }
        "replace" => {
            let (from, to, most) = from_args::<(&str, &str, Option<usize>)>(arguments)?;
            filter::replace(text, from, to, most)?.into()
        }
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}

fn of_map(map: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    match name {
        "get" => {
            let (key, default) = from_args::<(&Value, Option<Value>)>(arguments)?;
            let found = map.get_item(key)?;
            let default = default.unwrap_or_else(|| Value::from(()));
            Ok(if found.is_undefined() { default } else { found })
        }
        "items" => map
            .try_iter()?
            .map(|key| Ok(Value::from(vec![key.clone(), map.get_item(&key)?])))
            .collect::<Result<Value, Error>>(),
        "keys" => Ok(map.try_iter()?.collect()),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

/// JSON with a space after each comma and colon.
pub fn spaced_json(value: &Value) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Spaced))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Formats `today` (`2026-11-23`) as `strftime` would, for the parts of a date; what is not a part
/// of a date stays as it is.
pub fn date(today: &str, format: &str) -> String {
    let parts: Vec<&str> = today.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return today.to_owned() };
    let name = month.parse::<usize>().ok().and_then(|month| MONTHS.get(month.checked_sub(1)?));
    let name = name.copied().unwrap_or_default();
    format
        .replace("%Y", year)
        .replace("%m", month)
        .replace("%d", day)
        .replace("%B", name)
        .replace("%b", name.get(..3).unwrap_or_default())
}
