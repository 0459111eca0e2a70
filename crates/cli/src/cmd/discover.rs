//! `mutirao discover`: who on this local network wants to be found.

use crate::print::Printer;
use mutirao_node::Node;
use mutirao_node::lan::{Acquaintance, Found, KEY_DIGITS_MIN};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;

/// Looks, lists, and adds nobody: that is for the person to say.
pub fn run(node: &Node, seconds: u16, printer: Printer) -> anyhow::Result<ExitCode> {
    printer.say(format!("looking for {seconds} s …"));
    let patience = Duration::from_secs(seconds.into());
    let found = super::runtime()?.block_on(node.discover(patience))?;
    for one in &found {
        list(one, printer);
    }
    if found.is_empty() {
        printer.say("nobody here wants to be found; a provider that does is started with");
        printer.say("  mutirao provide --discoverable --listen 0.0.0.0:0");
    }
    let found: Vec<Value> = found.iter().map(object).collect();
    printer.object(&json!({ "found": found }));
    Ok(ExitCode::SUCCESS)
}

fn list(found: &Found, printer: Printer) {
    let key = found.ticket.key().to_string();
    printer.say(format!("\n{key}  {}", words(found.acquaintance)));
    match &found.offers {
        Err(error) => printer.say(format!("  offers   unknown: {error}")),
        Ok(offers) => {
            for offer in offers {
                let (name, model, jobs) = (&offer.name, offer.model.short(), offer.capacity);
                printer.say(format!("  offers   {name} (model {model}), {jobs} at once"));
            }
        }
    }
    let addresses: Vec<String> = found.ticket.addresses().iter().map(ToString::to_string).collect();
    printer.say(format!("  at       {}", addresses.join(", ")));
    if found.acquaintance == Acquaintance::Stranger && found.offers.is_ok() {
        printer.say(format!("  add it   mutirao join {:.KEY_DIGITS_MIN$}", key));
    }
}

const fn words(acquaintance: Acquaintance) -> &'static str {
    match acquaintance {
        Acquaintance::Stranger => "not in your circle",
        Acquaintance::Known => "in your circle",
        Acquaintance::Moved => "in your circle; it moved, and its addresses are corrected",
    }
}

fn object(found: &Found) -> Value {
    let offers = found.offers.as_ref().map(|offers| {
        let each = offers.iter().map(|offer| {
            json!({
                "name": offer.name, "model": offer.model.to_string(),
                "context": offer.context, "capacity": offer.capacity,
            })
        });
        each.collect::<Vec<_>>()
    });
    json!({
        "key": found.ticket.key().to_string(),
        "ticket": found.ticket.to_string(),
        "addresses": found.ticket.addresses(),
        "in_circle": found.acquaintance != Acquaintance::Stranger,
        "moved": found.acquaintance == Acquaintance::Moved,
        "offers": offers.as_ref().ok(),
        "error": offers.as_ref().err().map(ToString::to_string),
    })
}
