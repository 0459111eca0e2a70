//! `mutirao serve`: the OpenAI API on this machine, until interrupted.

use crate::print::Printer;
use mutirao_node::Node;
use serde_json::json;
use std::process::ExitCode;

/// Opens the door and says how to come in; an interrupt lets running answers end first.
pub fn run(node: Node, printer: Printer) -> anyhow::Result<ExitCode> {
    super::runtime()?.block_on(async {
        let serving = node.open_door().await?;
        let (address, token) = (serving.address(), serving.token().to_owned());
        printer.say("the OpenAI API, for clients of this machine:\n");
        printer.say(format!("  export OPENAI_BASE_URL=http://{address}/v1"));
        printer.say(format!("  export OPENAI_API_KEY={token}\n"));
        printer.say("stop with Ctrl-C");
        printer.object(&json!({ "base_url": format!("http://{address}/v1"), "api_key": token }));
        super::interrupted().await;
        printer.say("letting running answers end …");
        serving.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}
