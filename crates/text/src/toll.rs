//! The tolls of [`crate::rewrite`]: each render has a purse, and whatever is used is paid from it.
//!
//! One unit is about a byte moved. An honest template moves each message a few times; the purse
//! lasts for the longest prompt and ends a bomb within a fraction of a second.

use minijinja::value::{DynObject, Object, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What one render may spend.
const PURSE_UNITS: u64 = 128 << 20;
/// What an item of a list or a map costs beside what is in it.
const ITEM_UNITS: u64 = 16;
/// How deep values may nest: writing, comparing and dropping them takes stack.
const DEPTH_MAX: usize = 64;
/// Size of an argument that is used once for every item of a list.
const SMALL_UNITS: u64 = 1024;
const NAME: &str = "mutirao.purse";

/// What is left to spend.
#[derive(Debug)]
struct Purse(AtomicU64);

impl Object for Purse {}

fn purse(state: &State<'_, '_>) -> Arc<Purse> {
    state.get_or_set_temp_object(NAME, || Purse(AtomicU64::new(PURSE_UNITS)))
}

impl Purse {
    fn pay(&self, units: u64) -> Result<(), Error> {
        let left = self.0.load(Ordering::Relaxed).checked_sub(units);
        let left = left.ok_or_else(|| {
            let maximum = PURSE_UNITS >> 20;
            let reason = format!("the template moves more than {maximum} MiB of values");
            Error::new(ErrorKind::OutOfFuel, reason)
        })?;
        self.0.store(left, Ordering::Relaxed);
        Ok(())
    }

    /// Pays for a value and all that is in it.
    fn pay_deep(&self, value: &Value, times: u64, depth: usize) -> Result<(), Error> {
        if let Some(text) = value.as_str() {
            return self.pay(size(text.len()).saturating_mul(times));
        }
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {}
            ValueKind::Plain => return Err(refused("a template uses a function as a value")),
            _ => return self.pay(1),
        }
        if depth == 0 {
            return Err(refused("a template nests values too deep"));
        }
        let object = value.as_object();
        if object.is_some_and(is_alive) {
            return Err(refused("a template uses a namespace or a loop as a value"));
        }
        let map = value.kind() == ValueKind::Map;
        for item in value.try_iter()? {
            self.pay(ITEM_UNITS.saturating_mul(times))?;
            self.pay_deep(&item, times, depth - 1)?;
            if map {
                self.pay_deep(&value.get_item(&item)?, times, depth - 1)?;
            }
        }
        Ok(())
    }
}

/// Values that can be changed later could be made to hold themselves.
fn is_alive(object: &DynObject) -> bool {
    let name = object.type_name();
    ["::Namespace", "::Loop", "::Closure", "::Module"].iter().any(|alive| name.ends_with(alive))
}

fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn refused(reason: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}

/// Charges a value whole, `times` over.
pub fn pay(state: &State<'_, '_>, value: Value, times: Option<u64>) -> Result<Value, Error> {
    purse(state).pay_deep(&value, times.unwrap_or(1), DEPTH_MAX)?;
    Ok(value)
}

/// Charges a value by its length.
pub fn walk(state: &State<'_, '_>, value: Value, times: Option<u64>) -> Result<Value, Error> {
    let (purse, times) = (purse(state), times.unwrap_or(1));
    if let Some(text) = value.as_str() {
        purse.pay(size(text.len()).saturating_mul(times))?;
    } else if let Some(length) = value.len() {
        purse.pay(size(length).saturating_mul(ITEM_UNITS).saturating_mul(times))?;
    } else if value.kind() == ValueKind::Iterable {
        for _ in value.try_iter()? {
            purse.pay(ITEM_UNITS.saturating_mul(times))?;
        }
    }
    Ok(value)
}

/// Charges a value one of whose items is read.
pub fn glance(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    purse(state).pay(1 + value.as_str().map_or(0, |text| size(text.len())))?;
    Ok(value)
}

/// Charges an argument that is used for every item of a list, and bounds it.
pub fn small(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    purse(state).pay(SMALL_UNITS)?;
    Purse(AtomicU64::new(SMALL_UNITS))
        .pay_deep(&value, 1, DEPTH_MAX)
        .map_err(|_| refused("an argument that is used for every item is too large"))?;
    Ok(value)
}

/// Lets only numbers pass: texts and lists are not repeated.
pub fn number(value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Number | ValueKind::Bool => Ok(value),
        other => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("a template computes with numbers, not with a {other}"),
        )),
    }
}
