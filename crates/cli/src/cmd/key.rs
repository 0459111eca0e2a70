//! `mutirao key`: keys of the HTTP door for programs and for others, each with a cap of its own.

use crate::args::KeyCommand;
use crate::print::Printer;
use anyhow::Context;
use mutirao_ledger::key::address::parse_amount;
use mutirao_node::Node;
use mutirao_node::callers::Caller;
use mutirao_wire::Amount;
use serde_json::json;
use std::process::ExitCode;

/// Makes a key, lists them, takes one back.
pub fn run(node: &Node, command: &KeyCommand, printer: Printer) -> anyhow::Result<ExitCode> {
    match command {
        KeyCommand::Add { name, max_price_per_day } => {
            let daily = max_price_per_day.as_deref().map_or(Some(Amount::ZERO), parse_amount);
            let daily = daily.context("--max-price-per-day takes tijolos, such as 0.25")?;
            let key = node.add_caller(name, daily)?;
            printer.say(format!("{name} may ask with this key and spend {daily} a day:\n"));
            printer.say(format!("  {key}\n"));
            printer.say("It is shown this once. A running `mutirao serve` knows it already.");
            printer.object(&json!({ "name": name, "api_key": key, "daily": daily.0 }));
        }
        KeyCommand::Ls => list(&node.callers()?, printer),
        KeyCommand::Rm { name } => {
            node.remove_caller(name)?;
            printer.say(format!("{name} may not ask any more"));
            printer.object(&json!({ "removed": name }));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(callers: &[Caller], printer: Printer) {
    for Caller { name, daily, .. } in callers {
        printer.say(format!("{name}  may spend {daily} a day"));
    }
    if callers.is_empty() {
        printer.say("no keys but the owner's; `mutirao key add <name>` makes one");
    }
    let one = |caller: &Caller| json!({ "name": caller.name, "daily": caller.daily.0 });
    printer.object(&json!({ "keys": callers.iter().map(one).collect::<Vec<_>>() }));
}
