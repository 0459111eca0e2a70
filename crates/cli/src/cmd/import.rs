//! `mutirao import`: a published model becomes one of ours, once.

use super::pull::mib;
use crate::args::ImportArguments;
use crate::print::Printer;
use mutirao_node::library::Imported;
use mutirao_node::{Node, Profile, Progress};
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// Converts a model and says what it lost.
pub fn run(node: &Node, import: &ImportArguments, printer: Printer) -> anyhow::Result<ExitCode> {
    let profile = if import.profile == "w4" { Profile::W4 } else { Profile::W8 };
    let name = import.name.as_deref();
    let imported = node.import(&import.source, name, profile, &mut show)?;
    Ok(said(&imported, import.tensors, printer))
}

fn said(imported: &Imported, with_tensors: bool, printer: Printer) -> ExitCode {
    let Imported { name, converted } = imported;
    let weights: u64 = converted.tensors.iter().map(|tensor| tensor.weights).sum();
    let bits = bits_per_weight(converted.bytes, weights);
    if with_tensors {
        printer.say(format!("{:<28} {:>12} {:>6} {:>8}", "TENSOR", "WEIGHTS", "BITS", "SQNR"));
        for tensor in &converted.tensors {
            let bits = bits_per_weight(tensor.bytes, tensor.weights);
            let loss = decibels(tensor.decibel_tenths);
            printer.say(format!("{:<28} {:>12} {bits:>6} {loss:>8}", tensor.name, tensor.weights));
        }
    }
    let worst = converted
        .tensors
        .iter()
        .filter(|tensor| tensor.decibel_tenths.is_some())
        .min_by_key(|tensor| tensor.decibel_tenths);
    printer.say(format!("{name} is here: model {}", converted.id));
    printer.say(format!("{}, {bits} bits a weight", mib(converted.bytes)));
    if let Some(worst) = worst {
        let loss = decibels(worst.decibel_tenths);
        printer.say(format!("nearest to the published weights by {loss} or more ({})", worst.name));
    }
    printer.say(format!("try it: mutirao run {name} \"…\""));
    let tensors = converted.tensors.iter().map(|tensor| {
        json!({
            "name": tensor.name, "weights": tensor.weights, "bytes": tensor.bytes,
            "sqnr_db": tensor.decibel_tenths.map(|tenths| f64::from(tenths) / 10.0),
        })
    });
    printer.object(&json!({
        "name": name, "model": converted.id.to_string(),
        "weights_root": converted.weights_root.to_string(), "bytes": converted.bytes,
        "weights": weights, "tensors": tensors.collect::<Vec<_>>(),
    }));
    ExitCode::SUCCESS
}

fn bits_per_weight(bytes: u64, weights: u64) -> String {
    format!("{:.2}", bytes as f64 * 8.0 / weights.max(1) as f64)
}

fn decibels(tenths: Option<i32>) -> String {
    tenths.map_or_else(|| "-".to_owned(), |tenths| format!("{:.1} dB", f64::from(tenths) / 10.0))
}

/// One line that moves, on a terminal; nothing elsewhere.
fn show(progress: &Progress) {
    let mut errors = std::io::stderr();
    if errors.is_terminal() {
        let Progress { tensor, number, count, bytes, all_bytes } = progress;
        let (bytes, all) = (mib(*bytes), mib(*all_bytes));
        let end = if number == count { "\n" } else { "" };
        let _ = write!(errors, "\r\x1b[K{number} of {count}, {bytes} of {all}: {tensor}{end}");
    }
}
