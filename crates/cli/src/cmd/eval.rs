//! `mutirao eval`: what a model lost when its weights became integers, on a text.

use crate::args::EvalArguments;
use crate::print::Printer;
use mutirao_node::Node;
use mutirao_node::eval::{EvalOrder, EvalProgress, Evaluated};
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// What the project holds its own models to: nats, shares.
const DIVERGENCE_MOST: f64 = 1e-3;
const SAME_CHOICE_LEAST: f64 = 0.99;
const PERPLEXITY_CHANGE_MOST: f64 = 0.003;

/// Measures, and prints a table.
pub fn run(node: &Node, eval: &EvalArguments, printer: Printer) -> anyhow::Result<ExitCode> {
    let order = EvalOrder {
        model: eval.model.clone(),
        original: eval.original.clone(),
        text: eval.text.clone(),
        tokens: eval.tokens,
    };
    let found = node.evaluate(&order, &mut show)?;
    say(&found, printer);
    printer.object(&object(&found, &eval.against));
    Ok(ExitCode::SUCCESS)
}

fn say(found: &Evaluated, printer: Printer) {
    let agreement = &found.agreement;
    let short: String = found.model_id.chars().take(12).collect();
    printer.say(format!("model {short}, {}, {} weights", found.profile, found.parameters));
    printer.say(format!("against {}", found.original));
    printer.say(format!("over {} predictions of {}\n", agreement.positions, found.text));
    let row = |name: &str, float: &str, integer: &str, bound: &str| {
        printer.say(format!("{name:<20} {float:>10} {integer:>10}   {bound}").trim_end());
    };
    let bound =
        |holds: bool, bound: &str| format!("{} {bound}", if holds { "ok" } else { "MISSES" });
    row("", "float", "integer", "");
    row("bits a weight", &two(found.original_bits), &two(found.bits), "");
    let divergence = agreement.mean_divergence();
    let holds = divergence <= DIVERGENCE_MOST;
    row("KL, nats", "", &format!("{divergence:.2e}"), &bound(holds, "at most 1e-3"));
    let share = agreement.same_choice_share();
    let holds = share >= SAME_CHOICE_LEAST;
    let percent = format!("{:.2} %", 100.0 * share);
    row("same first choice", "", &percent, &bound(holds, "99 % and more"));
    let [float, integer] = agreement.perplexities();
    row("perplexity", &format!("{float:.4}"), &format!("{integer:.4}"), "");
    let change = agreement.perplexity_change();
    let holds = change.abs() <= PERPLEXITY_CHANGE_MOST;
    let percent = format!("{:+.3} %", 100.0 * change);
    row("  its change", "", &percent, &bound(holds, "within 0.3 %"));
    let lost = agreement.positions - agreement.same_choice;
    if lost > 0 {
        printer.say(format!(
            "\n{lost} first choices differ; the floats' own led by {:.4} nats at most",
            agreement.lead_lost
        ));
    }
}

fn two(number: f64) -> String {
    format!("{number:.2}")
}

fn object(found: &Evaluated, against: &str) -> serde_json::Value {
    let agreement = &found.agreement;
    let [float, integer] = agreement.perplexities();
    json!({
        "model_id": found.model_id,
        "profile": found.profile,
        "parameters": found.parameters,
        "against": against,
        "original": found.original,
        "text": found.text,
        "predictions": agreement.positions,
        "bits_per_weight": { "float": found.original_bits, "integer": found.bits },
        "mean_divergence": agreement.mean_divergence(),
        "same_first_choice": agreement.same_choice_share(),
        "largest_lead_lost": agreement.lead_lost,
        "perplexity": { "float": float, "integer": integer },
        "perplexity_change": agreement.perplexity_change(),
    })
}

/// One line that moves, on a terminal; nothing elsewhere.
fn show(progress: EvalProgress) {
    let mut errors = std::io::stderr();
    if errors.is_terminal() {
        let EvalProgress { done, all, left } = progress;
        let left = left.map_or_else(String::new, |left| format!(", {} s left", left.as_secs()));
        let end = if done == all { "\n" } else { "" };
        let _ = write!(errors, "\r\x1b[K{done} of {all} tokens{left}{end}");
    }
}
