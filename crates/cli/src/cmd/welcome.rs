//! `mutirao` alone: a short friendly start.

use crate::print::Printer;
use std::process::ExitCode;

const WELCOME: &str = "\
Mutirão: neighbours' machines answer prompts together; anybody can check each answer bit for bit.

  mutirao run village \"What is 17 + 25?\"   ask the model that is inside this program
  mutirao demo                             three providers, a silent death, a checked receipt
  mutirao provide                          answer for others; prints a ticket
  mutirao join <ticket>                    add that node to your circle
  mutirao discover                         who answers for others on this local network
  mutirao verify receipt.json              check an answer by replay

`mutirao help` lists everything; `mutirao doctor` checks this machine.";

/// Prints the start.
pub fn run(printer: Printer) -> anyhow::Result<ExitCode> {
    printer.say(WELCOME);
    printer.object(&serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }));
    Ok(ExitCode::SUCCESS)
}
