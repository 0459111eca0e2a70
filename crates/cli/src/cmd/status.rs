//! `mutirao status` and `mutirao doctor`: what this node is, and whether this machine can run it.

use crate::print::Printer;
use mutirao_node::Node;
use mutirao_node::energy::EnergySource;
use mutirao_node::standing::{Record, Times};
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
    let standing = node.standing()?;
    let known: Vec<Value> = node
        .peers()?
        .tickets()
        .iter()
        .map(|ticket| measured(&standing.standing().of(&ticket.key())))
        .collect();
    for (key, known) in circle.iter().zip(&known) {
        printer.say(format!("          {key}"));
        printer.say(format!("          {}", words(known)));
    }
    printer.say(format!("receipts  {receipts} kept"));
    let meter = node.meter();
    printer.say(format!("energy    {}", meter.words()));
    printer.object(&json!({
        "data": data, "key": key, "circle": circle, "measured": known, "receipts": receipts,
        "energy": meter.source().map(EnergySource::name),
    }));
    Ok(ExitCode::SUCCESS)
}

/// What this client itself measured of a provider.
fn measured(record: &Record) -> Value {
    let times = |times: &Times| {
        json!({
            "p50_ms": times.percentile_ms(50), "p95_ms": times.percentile_ms(95),
        })
    };
    json!({
        "answers": record.answers,
        "failures": record.failures,
        "lies": record.lies,
        "success_percent": record.success_percent(),
        "silences": record.silences,
        "first_token": times(&record.first),
        "between_tokens": times(&record.between),
    })
}

fn words(known: &Value) -> String {
    let silences = match known["silences"].as_u64() {
        None | Some(0) => String::new(),
        Some(1) => "silent when last asked · ".into(),
        Some(times) => format!("silent {times} times in a row · "),
    };
    let Some(percent) = known["success_percent"].as_u64() else {
        return format!("{silences}never answered a question");
    };
    let times = |name: &str| match known[name]["p50_ms"].as_u64() {
        Some(p50) => format!("p50 {p50} ms, p95 {} ms", known[name]["p95_ms"]),
        None => "unknown".into(),
    };
    let (first, between) = (times("first_token"), times("between_tokens"));
    let (answers, lies) = (&known["answers"], known["lies"].as_u64() != Some(0));
    let lied = if lies { "LIED, never asked again · " } else { "" };
    format!(
        "{lied}{silences}{answers} answers, {percent} % · first token {first} · between {between}"
    )
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
