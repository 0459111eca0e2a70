//! `mutirao join`: meet a node by its ticket and add it to the circle.

use crate::print::Printer;
use anyhow::Context;
use mutirao_node::Node;
use serde_json::json;
use std::process::ExitCode;

/// Meets the node, shows its offers, remembers it.
pub fn run(node: &Node, ticket: &str, printer: Printer) -> anyhow::Result<ExitCode> {
    let ticket = ticket.trim().parse().context("that is not a ticket of `mutirao provide`")?;
    let offers = super::runtime()?.block_on(node.join(&ticket))?;
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
