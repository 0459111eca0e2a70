//! Two forgeries of one answer: by an outsider, and by the provider itself.

use crate::print::Printer;
use anyhow::ensure;
use mutirao_node::Node;
use mutirao_node::verify::Verdict;
use mutirao_wire::Token;
use mutirao_wire::bundle::ReceiptBundle;

/// Which token is forged.
const FORGED: usize = 7;

/// Forges one token both ways and shows that both are refused, each for its own reason.
pub fn show(node: &Node, honest: &ReceiptBundle, printer: Printer) -> anyhow::Result<()> {
    let outsider = forge(honest);
    let verdict = node.verify_bundle(&outsider)?;
    printer.say(format!("   by an outsider: {}", reason(&verdict)));
    ensure!(!verdict.holds() && verdict.replay().is_none(), "a forgery without a key passed");

    let mut provider = outsider;
    provider.receipt = provider.receipt.receipt.sign(&node.keys()?.receipts);
    let verdict = node.verify_bundle(&provider)?;
    printer.say(format!("   by its provider, signed again: {}", reason(&verdict)));
    ensure!(!verdict.holds(), "a signed forgery passed");
    ensure!(verdict.diverges_at() == Some(FORGED as u32), "replay named another token");
    Ok(())
}

fn reason(verdict: &Verdict) -> String {
    verdict.refusal().unwrap_or("accepted").to_owned()
}

/// Changes one token and makes the receipt commit to the changed answer.
fn forge(honest: &ReceiptBundle) -> ReceiptBundle {
    let mut forged = honest.clone();
    if let Some(token) = forged.opening.answer.get_mut(FORGED) {
        *token = Token(token.0 ^ 1);
    }
    let answer = forged.opening.job.answer_commitment(&forged.opening.answer);
    forged.receipt.receipt.answer = answer;
    forged
}
