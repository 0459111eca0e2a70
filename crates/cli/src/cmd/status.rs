//! `mutirao status` and `mutirao doctor`: what this node is, and whether this machine can run it.

use crate::print::Printer;
use mutirao_node::Node;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// Shows keys, circle and receipts.
pub fn status(node: &Node, printer: Printer) -> anyhow::Result<ExitCode> {
    let circle: Vec<String> =
        node.peers()?.tickets().iter().map(|ticket| ticket.key().to_string()).collect();
    let data = node.config().data_dir.display().to_string();
    let key = node.keys()?.peer.peer_key().to_string();
    let receipts = node.receipts().count();
    printer.say(format!("data      {data}"));
    printer.say(format!("key       {key}"));
    printer.say(format!("circle    {} nodes", circle.len()));
    circle.iter().for_each(|key| printer.say(format!("          {key}")));
    printer.say(format!("receipts  {receipts} kept"));
    printer.object(&json!({ "data": data, "key": key, "circle": circle, "receipts": receipts }));
    Ok(ExitCode::SUCCESS)
}

/// Runs every check and names what is wrong and what to do; exit code 1 when one fails.
pub fn doctor(node: &Node, printer: Printer) -> anyhow::Result<ExitCode> {
    let checks = super::runtime()?.block_on(node.check_up());
    let mut object = Map::new();
    for check in &checks {
        let mark = if check.passed { "ok  " } else { "FAIL" };
        printer.say(format!("{mark}  {:<10} {}", check.name, check.says));
        let says = json!({ "passed": check.passed, "says": check.says });
        object.insert(check.name.into(), says);
    }
    printer.say("\nsettings (flag, environment, default):");
    for setting in mutirao_node::config::SETTINGS {
        let flag = format!("--{}", setting.name.replace('_', "-"));
        let (environment, help) = (setting.environment, setting.help);
        printer.say(format!("  {flag:<15} {environment:<21} {:<12} {help}", setting.default));
    }
    let passed = checks.iter().all(|check| check.passed);
    printer.object(&Value::Object(object));
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::from(super::exit::ERROR) })
}
