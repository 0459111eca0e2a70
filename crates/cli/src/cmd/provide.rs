//! `mutirao provide`: answer for others until interrupted.

use crate::args::ProvideArguments;
use crate::print::Printer;
use mutirao_node::Node;
use mutirao_node::keys::Keys;
use serde_json::json;
use std::process::ExitCode;

/// Lets other programs of this machine go first. Threads that start later inherit it.
#[cfg(unix)]
fn step_back(nice: u8) {
    if let Err(error) = rustix::process::setpriority_process(None, i32::from(nice)) {
        tracing::warn!(%error, "this process keeps its priority");
    }
}

#[cfg(not(unix))]
fn step_back(_nice: u8) {}

/// Listens, prints the ticket, serves; an interrupt lets running answers end first.
pub fn run(node: &Node, provide: &ProvideArguments, printer: Printer) -> anyhow::Result<ExitCode> {
    step_back(node.config().nice);
    super::cells::sell_answers(node)?;
    let keys = if provide.throw_away_keys { Keys::throw_away()? } else { node.keys()? };
    super::runtime()?.block_on(async {
        let providing = node.provide(&provide.model, &keys).await?;
        providing.mind_the_owner();
        let ticket = providing.ticket();
        printer.say(format!("{} answers {} as", keys.peer.peer_key().short(), provide.model));
        printer.say(format!("\n  mutirao join {ticket}\n"));
        if node.config().discoverable {
            printer.say("nodes on this local network find it: mutirao discover\n");
        }
        printer.say("stop with Ctrl-C");
        let key = keys.peer.peer_key().to_string();
        printer.object(&json!({ "ticket": ticket.to_string(), "provider": key }));
        super::interrupted().await;
        printer.say("letting running answers end …");
        providing.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}
