//! `mutirao join`: meet a node by its ticket, or by its key on this network, and add it to the
//! circle.

use crate::print::Printer;
use anyhow::Context;
use mutirao_node::Node;
use mutirao_node::lan::KEY_DIGITS_MIN;
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

/// How long a key is looked for on the local network.
const PATIENCE: Duration = Duration::from_secs(3);

/// The digits of a key, if that is what was given.
fn key_digits(text: &str) -> Option<String> {
    let digits = text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let fits = (KEY_DIGITS_MIN..=64).contains(&text.len());
    (digits && fits).then(|| text.to_ascii_lowercase())
}

/// Meets the node, shows its offers, remembers it.
pub fn run(node: &Node, ticket: &str, printer: Printer) -> anyhow::Result<ExitCode> {
    let runtime = super::runtime()?;
    let ticket = match key_digits(ticket.trim()) {
        Some(digits) => runtime.block_on(node.find(&digits, PATIENCE))?,
        None => ticket.trim().parse().context("that is not a ticket of `mutirao provide`")?,
    };
    let offers = runtime.block_on(node.join(&ticket))?;
    printer.say(format!("joined {}; it offers:", ticket.key().short()));
    for offer in &offers {
        printer.say(format!("  {} (model {})", offer.name, offer.model.short()));
    }
    printer.say("ask it: mutirao run --privacy circle \"What is 17 + 25?\"");
    let names: Vec<_> = offers
        .iter()
        .map(|offer| {
            json!({ "name": offer.name,
        "model": offer.model.to_string(), "context": offer.context })
        })
        .collect();
    printer.object(&json!({ "joined": ticket.key().to_string(), "offers": names }));
    Ok(ExitCode::SUCCESS)
}
