//! `mutirao ls` and `mutirao show`: which models are here, and what each is.

use crate::print::Printer;
use mutirao_node::Node;
use serde_json::json;
use std::process::ExitCode;

/// Lists the models.
pub fn ls(node: &Node, printer: Printer) -> anyhow::Result<ExitCode> {
    let listed = node.models().list()?;
    printer.say(format!("{:<24} {:>9}  {}", "NAME", "SIZE", "SOURCE"));
    for model in &listed {
        let size = format!("{:.1} MB", model.bytes as f64 / 1e6);
        printer.say(format!("{:<24} {size:>9}  {}", model.name, model.source));
    }
    printer.object(&json!({ "models": listed }));
    Ok(ExitCode::SUCCESS)
}

/// Says what a model is.
pub fn show(node: &Node, name: &str, printer: Printer) -> anyhow::Result<ExitCode> {
    let facts = node.open(name)?.facts();
    let value = serde_json::to_value(&facts)?;
    for (field, value) in value.as_object().into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        printer.say(format!("{:<12} {text}", field.replace('_', " ")));
    }
    printer.object(&value);
    Ok(ExitCode::SUCCESS)
}
