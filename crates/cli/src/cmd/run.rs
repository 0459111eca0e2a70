//! `mutirao run`: ask a model, show the answer as it comes, keep its receipt.

use crate::args::RunArguments;
use crate::print::Printer;
use anyhow::Context;
use mutirao_node::ask::{Answered, AskError, Notice, Question, Unfit, Weighed};
use mutirao_node::energy::Energy;
use mutirao_node::{Node, files};
use mutirao_wire::bundle::Message;
use mutirao_wire::form::{Form, any_object};
use mutirao_wire::{PeerKey, Sampling};
use serde_json::json;
use std::io::{BufRead, IsTerminal, Read};
use std::process::ExitCode;

/// Largest file of a schema.
const SCHEMA_BYTES_MAX: u64 = 1 << 18;

/// Asks once, or keeps a conversation when a person sits at the keyboard without a prompt.
pub fn run(node: &Node, run: &RunArguments, printer: Printer) -> anyhow::Result<ExitCode> {
    let (model, prompt) = words(node, &run.words);
    super::cells::pay_for_answers(node)?;
    let runtime = super::runtime()?;
    match prompt {
        Some(prompt) => runtime.block_on(once(node, run, &model, prompt, printer)),
        None if std::io::stdin().is_terminal() && !printer.json => {
            runtime.block_on(converse(node, run, &model, printer))
        }
        None => {
            let mut prompt = String::new();
            std::io::stdin().read_to_string(&mut prompt).context("cannot read the prompt")?;
            runtime.block_on(once(node, run, &model, prompt.trim_end().to_owned(), printer))
        }
    }
}

/// The first word is the model when one has that name; otherwise all words are the prompt.
fn words(node: &Node, words: &[String]) -> (String, Option<String>) {
    let prompt = |words: &[String]| (!words.is_empty()).then(|| words.join(" "));
    match words.split_first() {
        None => (node.config().model.clone(), None),
        Some((first, rest)) if node.models().has(first) || rest.len() == 1 => {
            (first.clone(), prompt(rest))
        }
        Some(_) => (node.config().model.clone(), prompt(words)),
    }
}

async fn once(
    node: &Node,
    run: &RunArguments,
    model: &str,
    prompt: String,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        !prompt.trim().is_empty(),
        "the prompt is empty; say it after the model, as in `mutirao run village \"Hello\"`, or \
         write it to standard input"
    );
    let mut messages = opening(run);
    messages.push(message("user", prompt));
    match ask(node, run, model, messages, printer).await {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(error) => diverged(&error, printer).ok_or(error),
    }
}

async fn converse(
    node: &Node,
    run: &RunArguments,
    model: &str,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    printer.say(format!("{model} listens; an empty line ends the conversation."));
    let mut messages = opening(run);
    loop {
        printer.part("> ");
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).context("cannot read the prompt")?;
        if line.trim().is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        messages.push(message("user", line.trim_end().to_owned()));
        let answered = ask(node, run, model, messages.clone(), printer).await?;
        messages.push(message("assistant", answered.text));
    }
}

fn opening(run: &RunArguments) -> Vec<Message> {
    run.system.iter().map(|system| message("system", system.clone())).collect()
}

fn message(role: &str, content: String) -> Message {
    Message { role: role.into(), content }
}

async fn ask(
    node: &Node,
    run: &RunArguments,
    model: &str,
    messages: Vec<Message>,
    printer: Printer,
) -> anyhow::Result<Answered> {
    let question = Question {
        model: model.to_owned(),
        messages,
        sampling: sampling(run)?,
        max_tokens: run.max_tokens,
        stop: run.stop.clone(),
        form: form(run)?,
        logprobs: None,
        raw: false,
    };
    let mut reasons = serde_json::Value::Null;
    let mut watch = |notice: Notice| match notice {
        Notice::Chose { weighed, unfit } if run.why => {
            weighed.iter().for_each(|it| printer.say(weighed_words(it)));
            let not =
                |(peer, why): &(PeerKey, Unfit)| format!("  not {}: {}", peer.short(), why.words());
            unfit.iter().for_each(|it| printer.say(not(it)));
            reasons = why(&weighed, &unfit);
        }
        notice => show(&notice, printer),
    };
    let answered = node.ask(&question, &mut watch).await?;
    if let Some(path) = &run.receipt {
        files::write_whole(path, answered.receipt_json.as_bytes())?;
    }
    printer.say("");
    printer.say(summary(&answered));
    let mut object = object(&answered);
    if run.why {
        object["why"] = reasons;
    }
    printer.object(&object);
    Ok(answered)
}

/// Shows a notice of the session. A change of provider is said in the middle of the line, because
/// there is where it happens.
pub fn show(notice: &Notice, printer: Printer) {
    match notice {
        Notice::Chose { .. } => {}
        Notice::Asking { provider } => printer.part(&format!("[{}] ", provider.short())),
        Notice::Text { text } => printer.part(text),
        Notice::Lost { provider, why } => {
            printer.say("");
            printer.say(format!("  … {} is gone ({why})", provider.short()));
        }
    }
}

/// The one line after every answer.
pub fn summary(answered: &Answered) -> String {
    let keys: Vec<String> = answered.providers.iter().map(|key| key.short()).collect();
    format!(
        "  {} tokens · first after {} ms · {:.0} tokens/s · {} · {}by {} · receipt {} · {}",
        answered.tokens.len(),
        answered.first_token.as_millis(),
        answered.tokens_per_second(),
        Energy::words(answered.energy),
        cost(answered),
        keys.join(" → "),
        answered.receipt_id.short(),
        answered.trust.words(),
    )
}

/// Why a provider stands where it does in the order.
fn weighed_words(weighed: &Weighed) -> String {
    let price = weighed.price.map_or("beyond all prices".into(), |price| price.to_string());
    let known = match (weighed.new, weighed.first_token_ms) {
        (true, _) => "never audited".to_owned(),
        (false, first) => format!("first token after {first} ms"),
    };
    let (key, failures) = (weighed.provider.short(), weighed.failures);
    format!("  {key}: at most {price}, failed {failures} times, {known}")
}

/// The same for programs.
fn why(weighed: &[Weighed], unfit: &[(PeerKey, Unfit)]) -> serde_json::Value {
    let one = |it: &Weighed| {
        json!({ "provider": it.provider.to_string(), "price": it.price.map(|price| price.0),
            "failures": it.failures, "first_token_ms": it.first_token_ms, "new": it.new })
    };
    let not = |(peer, why): &(PeerKey, Unfit)| {
        let (peer, why) = (peer.to_string(), why.words());
        json!({ "provider": peer, "why": why })
    };
    json!({ "order": weighed.iter().map(one).collect::<Vec<_>>(),
        "unfit": unfit.iter().map(not).collect::<Vec<_>>() })
}

/// What it cost, where it cost something.
fn cost(answered: &Answered) -> String {
    match answered.vouchers() {
        0 => String::new(),
        vouchers => format!("{} in {vouchers} vouchers · ", answered.paid()),
    }
}

fn object(answered: &Answered) -> serde_json::Value {
    let keys: Vec<String> = answered.providers.iter().map(ToString::to_string).collect();
    json!({
        "answer": answered.text,
        "prompt_tokens": answered.prompt_tokens,
        "tokens": answered.tokens.len(),
        "finish": answered.finish.word(),
        "first_token_ms": answered.first_token.as_millis(),
        "tokens_per_second": answered.tokens_per_second(),
        "energy": answered.energy.map(|energy| {
            json!({ "joules": energy.joules, "source": energy.source.name() })
        }),
        "providers": keys,
        "price": answered.paid().0,
        "vouchers": answered.vouchers(),
        "payments": answered.payments.iter().map(|payment| {
            json!({ "provider": payment.provider.to_string(), "paid": payment.paid.0,
                "vouchers": payment.vouchers })
        }).collect::<Vec<_>>(),
        "receipt_id": answered.receipt_id.to_string(),
        "receipt": answered.receipt_path,
        "verified": answered.trust.words(),
        "seen_by": answered.seen_by.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// What the answer has to look like.
fn form(run: &RunArguments) -> anyhow::Result<Form> {
    let schema = match run.format.as_deref() {
        None => None,
        Some("json") => Some(any_object()),
        Some(path) => {
            let file = files::read_bounded(path.as_ref(), SCHEMA_BYTES_MAX)?;
            Some(serde_json::from_slice(&file).with_context(|| {
                format!("--format: {path} is no JSON schema; `json` asks for any object")
            })?)
        }
    };
    Ok(Form { schema, ..Form::default() })
}

/// Floats end here: a job holds thousandths and 1/65 536 only.
fn sampling(run: &RunArguments) -> anyhow::Result<Sampling> {
    let within = |name: &str, value: f64, maximum: f64| {
        anyhow::ensure!((0.0..=maximum).contains(&value), "{name} is {value}; 0 to {maximum}");
        Ok(value)
    };
    let one = f64::from(Sampling::ONE);
    let seed = match run.seed {
        Some(seed) => Node::seed(seed),
        None => mutirao_node::keys::random()?,
    };
    Ok(Sampling {
        temperature_milli: (within("temperature", run.temperature, 100.0)? * 1000.0).round() as u32,
        top_k: run.top_k,
        min_p: (within("min-p", run.min_p, 1.0)? * one).round() as u32,
        top_p: (within("top-p", run.top_p, 1.0)? * one).round() as u32,
        seed,
    })
}

/// An answer that diverged after it was shown is no ordinary error: it has evidence and a code.
fn diverged(error: &anyhow::Error, printer: Printer) -> Option<ExitCode> {
    let AskError::Diverged { position, provider, evidence } = error.downcast_ref()? else {
        return None;
    };
    printer.say("");
    printer.say(format!("  answer_diverged: {} lied at token {position}", provider.short()));
    match evidence {
        Some(path) => printer.say(format!("  evidence: mutirao verify {}", path.display())),
        None => printer.say("  it signed nothing that covers the lie: unpaid, and avoided"),
    }
    printer.object(&json!({ "error": "answer_diverged", "position": position,
        "provider": provider.to_string(), "evidence": evidence }));
    Some(ExitCode::from(super::exit::DIVERGED))
}
