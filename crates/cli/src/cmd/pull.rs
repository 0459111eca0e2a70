//! `mutirao pull` and `mutirao push`: models that come to stay, here or there.

use crate::args::{ImportArguments, PullArguments};
use crate::print::Printer;
use anyhow::Context;
use mutirao_node::Node;
use mutirao_node::library::Arrived;
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// Gets a model from everybody who has it.
pub fn run(node: &Node, pull: &PullArguments, printer: Printer) -> anyhow::Result<ExitCode> {
    if pull.model.starts_with("hf://") {
        return from_hub(node, &pull.model, printer);
    }
    let from = pull.from.iter().map(|ticket| ticket.trim().parse());
    let from = from.collect::<Result<Vec<_>, _>>().context("--from takes a ticket")?;
    let arrived = super::runtime()?.block_on(node.pull(&pull.model, &from, show))?;
    for (peer, bytes) in &arrived.from {
        printer.say(format!("  {} from {}", mib(*bytes), peer.short()));
    }
    Ok(said(&arrived, printer))
}

/// Brings a model to a node that agreed to take models.
pub fn push(node: &Node, model: &str, to: &str, printer: Printer) -> anyhow::Result<ExitCode> {
    let brought = super::runtime()?.block_on(node.push(model, to, show))?;
    let (peer, name, bytes) = (brought.peer, &brought.name, brought.bytes);
    let model = brought.model;
    printer.say(format!("{} has model {} as {name}, {}", peer.short(), model.short(), mib(bytes)));
    printer.object(&json!({
        "peer": peer.to_string(), "model": model.to_string(), "name": name, "bytes": bytes,
        "fetched": brought.fetched,
    }));
    Ok(ExitCode::SUCCESS)
}

/// Fetches from the hub into its cache, and imports what came.
fn from_hub(node: &Node, name: &str, printer: Printer) -> anyhow::Result<ExitCode> {
    super::runtime()?.block_on(node.fetch_from_hub(name, show))?;
    let import = ImportArguments::of(name);
    super::import::run(node, &import, printer)
}

fn said(arrived: &Arrived, printer: Printer) -> ExitCode {
    let Arrived { name, model, bytes, fetched, from } = arrived;
    printer.say(format!("{name} is here: model {}, {}", model.short(), mib(*bytes)));
    printer.say(format!("try it: mutirao run {name} \"…\""));
    let from: Vec<_> = from
        .iter()
        .map(|(key, bytes)| json!({ "peer": key.to_string(), "bytes": bytes }))
        .collect();
    printer.object(&json!({
        "name": name, "model": model.to_string(), "bytes": bytes, "fetched": fetched, "from": from,
    }));
    ExitCode::SUCCESS
}

pub(super) fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// One line that moves, on a terminal; nothing elsewhere.
fn show(have: u64, all: u64) {
    let mut errors = std::io::stderr();
    if errors.is_terminal() {
        let full = usize::try_from(have * 30 / all.max(1)).unwrap_or(30);
        let bar = format!("{}{}", "█".repeat(full), "·".repeat(30_usize.saturating_sub(full)));
        let end = if have >= all { "\n" } else { "" };
        let _ = write!(errors, "\r{bar} {} of {}{end}", mib(have), mib(all));
    }
}
