//! `mutirao verify`: replay a receipt, or convict by evidence.

use crate::print::Printer;
use mutirao_node::Node;
use mutirao_node::verify::{self, Verdict};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

/// Exit code 0 when the file holds, 3 when it is refused.
pub fn run(
    node: &Node,
    file: &Path,
    model: Option<&str>,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    if let Some(model) = model {
        node.open(model)?;
    }
    let content = verify::read(file)?;
    let verdict = node.verify(&content)?;
    show(&verdict, printer);
    Ok(if verdict.holds() { ExitCode::SUCCESS } else { ExitCode::from(super::exit::REFUSED) })
}

/// Prints a verdict line by line.
pub fn show(verdict: &Verdict, printer: Printer) {
    for (name, text) in verdict.lines() {
        printer.say(format!("  {name:<10} {text}"));
    }
    let lines: serde_json::Map<_, _> =
        verdict.lines().into_iter().map(|(name, text)| (name.into(), text.into())).collect();
    printer.object(&json!({ "holds": verdict.holds(), "verdict": lines }));
}
