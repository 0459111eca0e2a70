//! `mutirao learn`: train the village model, and score it.

use crate::args::{CardArguments, VillageArguments};
use crate::print::Printer;
use mutirao_node::learn::{CardOrder, Progress, TrainingOrder};
use mutirao_node::{Node, files};
use serde_json::json;
use std::process::ExitCode;

/// Wrong answers shown.
const WRONG_SHOWN: usize = 10;

/// Trains; stopping it at any moment loses two minutes of work at most.
pub fn village(
    node: &Node,
    village: &VillageArguments,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let beside = || village.out.join("training.checkpoint");
    let order = TrainingOrder {
        steps: village.steps,
        out: village.out.clone(),
        checkpoint: village.checkpoint.clone().unwrap_or_else(beside),
        stop_after: village.stop_after,
    };
    let (step, digest) = node.train_village(&order, &mut |progress| show(progress, printer))?;
    printer.say(format!("step {step} · state {digest} · model in {}", order.out.display()));
    printer.object(&json!({ "step": step, "state": digest.to_string(), "out": order.out }));
    Ok(ExitCode::SUCCESS)
}

fn show(progress: &Progress, printer: Printer) {
    let Progress { step, steps, loss, tokens_per_second } = progress;
    printer
        .say(format!("step {step} of {steps} · loss {loss:.4} · {tokens_per_second:.0} tokens/s"));
    printer.object(&json!({ "step": step, "steps": steps, "loss": loss }));
}

/// Scores a model and prints the table of its card, or writes the whole card.
pub fn card(node: &Node, card: &CardArguments, printer: Printer) -> anyhow::Result<ExitCode> {
    let order = CardOrder { model: card.model.clone(), items: card.items, steps: card.steps };
    let mut wrong = Vec::new();
    let scored = node.score_village(&order, &mut |question, said| {
        wrong.push((question.user.clone(), said.to_owned()));
    })?;
    if let Some(path) = &card.write {
        files::write_public(path, scored.card.as_bytes())?;
    }
    printer.say(format!("model {}\n\n{}", scored.model_id, scored.table));
    printer.say(format!(
        "float against integer, {} predictions: KL {:.6} nats, same first choice {:.4}",
        scored.agreement.positions,
        scored.agreement.mean_divergence(),
        scored.agreement.same_choice_share(),
    ));
    for (question, said) in wrong.iter().take(WRONG_SHOWN) {
        printer.say(format!("\nwrong: {question}\n  said: {said}"));
    }
    printer.object(&json!({
        "model_id": scored.model_id,
        "float_exact_match": f64::from(scored.float_thousandths) / 1000.0,
        "integer_exact_match": f64::from(scored.integer_thousandths) / 1000.0,
        "predictions": scored.agreement.positions,
        "mean_divergence": scored.agreement.mean_divergence(),
        "same_first_choice": scored.agreement.same_choice_share(),
    }));
    Ok(ExitCode::SUCCESS)
}
