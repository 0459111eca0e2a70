//! `mutirao demo`: the whole idea in half a minute, nothing staged.
//!
//! Three providers run as processes of their own and are reached over QUIC on loopback. One is
//! killed in mid-answer by the signal that nobody can catch, so it sends no farewell. The exit code
//! is 0 only if every claim that is printed held.

mod forgery;
mod money;
pub(super) mod neighbours;
mod paid;
mod process;

use super::{run, verify};
use crate::args::DemoArguments;
use crate::print::Printer;
use anyhow::{Context, ensure};
use mutirao_node::Node;
use mutirao_node::ask::{Answered, Notice, Question};
use mutirao_node::config::Config;
use mutirao_node::models::VILLAGE;
use mutirao_wire::bundle::{Message, ReceiptBundle};
use mutirao_wire::form::Form;
use mutirao_wire::{PeerKey, Privacy, Sampling};
use neighbours::Neighbours;
use std::process::ExitCode;

/// Asked first: short answers from whoever is free.
const SHORT: [&str; 2] =
    ["What is 17 + 25?", "Extract the order: Please send 12 crates of mangoes to Rosa on Friday."];
/// Asked then: a long answer, whose provider dies in the middle.
const LONG: &str = "Tell me a story about a fox and a bell.";
/// A long answer has at least this many tokens.
const LONG_TOKENS: usize = 40;
/// The provider dies once this many tokens were shown.
const TOKENS_BEFORE_DEATH: usize = 24;

/// Runs the demonstration.
pub fn run(node: &Node, demo: &DemoArguments, printer: Printer) -> anyhow::Result<ExitCode> {
    let place = tempfile::tempdir().context("cannot make a temporary directory")?;
    let config = Config { data_dir: place.path().to_owned(), ..node.config().clone() };
    super::runtime()?.block_on(scenes(&config, demo, printer))?;
    money::show(&config, printer)?;
    paid::show(&config, demo.pace_shown, printer)?;
    printer.say("\nEverything above held. Try next:");
    for line in ["run village \"What is Mutirão?\"", "provide", "doctor", "help"] {
        printer.say(format!("  mutirao {line}"));
    }
    printer.object(&serde_json::json!({ "demo": "passed" }));
    Ok(ExitCode::SUCCESS)
}

async fn scenes(config: &Config, demo: &DemoArguments, printer: Printer) -> anyhow::Result<()> {
    printer.say("1. Three neighbours offer the village model.");
    let mut neighbours = Neighbours::start(&config.data_dir, demo.pace_shown)?;
    let client = Node::new(Config { privacy: Privacy::Circle, ..config.clone() });
    for ticket in neighbours.tickets() {
        let offers = client.join(&ticket.parse()?).await?;
        let offer = offers.first().context("a neighbour that offers nothing")?;
        let (provider, model) = (offer.provider.short(), offer.model.short());
        printer.say(format!("   {provider} offers {} (model {model})", offer.name));
    }

    printer.say("\n2. Short questions.");
    for question in SHORT {
        ask(&client, question, printer, &mut |_| {}).await?;
    }

    printer.say(format!(
        "\n3. A long one. After {TOKENS_BEFORE_DEATH} tokens its provider is killed (SIGKILL)."
    ));
    let far = broken(&client, &mut neighbours, printer).await?;
    let alone = Node::new(Config { privacy: Privacy::Local, ..config.clone() });
    let near = alone.ask(&question(LONG), &mut |_| {}).await?;
    ensure!(far.tokens == near.tokens, "the broken answer differs from the unbroken one");
    printer.say("   the same answer computed alone, without a break: identical, token by token");

    printer.say("\n4. Its receipt, checked by replay.");
    let verdict = client.verify(far.receipt_json.as_bytes())?;
    verify::show(&verdict, Printer { json: false });
    ensure!(verdict.holds(), "the receipt was refused");

    printer.say("\n5. One token of the answer is forged.");
    let bundle = ReceiptBundle::from_json(near.receipt_json.as_bytes())?;
    forgery::show(&alone, &bundle, printer)
}

/// Asks the long question and kills whoever answers once enough tokens were shown.
async fn broken(
    client: &Node,
    neighbours: &mut Neighbours,
    printer: Printer,
) -> anyhow::Result<Answered> {
    let mut answering: Option<PeerKey> = None;
    let mut killed = None;
    let mut shown = 0;
    let answered = ask(client, LONG, printer, &mut |notice| match notice {
        Notice::Asking { provider } => answering = Some(*provider),
        Notice::Text { .. } => {
            shown += 1;
            if let Some(provider) = answering.filter(|_| shown == TOKENS_BEFORE_DEATH) {
                killed = neighbours.kill(&provider.to_string()).then_some(provider);
            }
        }
        Notice::Lost { .. } | Notice::Chose { .. } => {}
    })
    .await?;
    let killed = killed.context("the provider outlived its answer; nothing was shown")?;
    ensure!(answered.tokens.len() >= LONG_TOKENS, "only {} tokens", answered.tokens.len());
    ensure!(answered.providers.len() >= 2, "nobody took over from {}", killed.short());
    Ok(answered)
}

async fn ask(
    client: &Node,
    text: &str,
    printer: Printer,
    watch: &mut (dyn FnMut(&Notice) + Send),
) -> anyhow::Result<Answered> {
    printer.say(format!("   > {text}"));
    printer.part("   ");
    let mut both = |notice: Notice| {
        run::show(&notice, printer);
        watch(&notice);
    };
    let answered = client.ask(&question(text), &mut both).await?;
    printer.say("");
    printer.say(format!(" {}", run::summary(&answered)));
    Ok(answered)
}

fn question(text: &str) -> Question {
    Question {
        model: VILLAGE.into(),
        messages: vec![Message { role: "user".into(), content: text.into() }],
        sampling: Sampling::greedy(),
        max_tokens: 512,
        stop: Vec::new(),
        form: Form::default(),
        logprobs: None,
        raw: false,
    }
}
