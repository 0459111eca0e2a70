//! `mutirao serve`: the OpenAI API and a page on this machine, until interrupted.

use super::demo::neighbours::Neighbours;
use crate::args::ServeArguments;
use crate::print::Printer;
use anyhow::Context;
use mutirao_node::config::Config;
use mutirao_node::{Kill, Node, Serving};
use mutirao_wire::Privacy;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;

/// Tokens a second of a demonstration's providers, slow enough to kill one in mid-answer.
const PACE_SHOWN: u32 = 40;

/// Opens the door and says how to come in; an interrupt lets running answers end first.
pub fn run(node: Node, serve: &ServeArguments, printer: Printer) -> anyhow::Result<ExitCode> {
    if !serve.demo {
        super::cells::pay_and_sell(&node)?;
    }
    super::runtime()?.block_on(async {
        if !serve.demo {
            return stand(node.open_door().await?, printer).await;
        }
        let place = tempfile::tempdir().context("cannot make a temporary directory")?;
        stand(open_demo(&node, place.path()).await?, printer).await
    })
}

/// Three providers of our own are the circle; they and everything they wrote end with the door.
async fn open_demo(node: &Node, place: &Path) -> anyhow::Result<Serving> {
    let neighbours = Neighbours::start(place, PACE_SHOWN)?;
    let config =
        Config { data_dir: place.to_owned(), privacy: Privacy::Circle, ..node.config().clone() };
    let client = Node::new(config);
    for ticket in neighbours.tickets() {
        client.join(&ticket.parse()?).await?;
    }
    let neighbours = Mutex::new(neighbours);
    let kill = move |key: &str| neighbours.lock().is_ok_and(|mut all| all.kill(key));
    Ok(client.open_demo_door(Kill::new(kill)).await?)
}

async fn stand(serving: Serving, printer: Printer) -> anyhow::Result<ExitCode> {
    let (address, token) = (serving.address(), serving.token().to_owned());
    printer.say("a page, for a person with a browser:\n");
    printer.say(format!("  http://{address}/?token={token}\n"));
    printer.say("the OpenAI API, for clients of this machine:\n");
    printer.say(format!("  export OPENAI_BASE_URL=http://{address}/v1"));
    printer.say(format!("  export OPENAI_API_KEY={token}\n"));
    printer.say("stop with Ctrl-C");
    printer.object(&json!({ "base_url": format!("http://{address}/v1"), "api_key": token }));
    super::interrupted().await;
    printer.say("letting running answers end …");
    serving.stop().await;
    Ok(ExitCode::SUCCESS)
}
