//! `mutirao launch`: opens the door and starts a program that speaks to it. The program is told by
//! variables and flags alone; no file of its configuration is touched, and the door closes with it.
//!
//! What each program wants is in its own documentation: opencode (`OPENCODE_CONFIG_CONTENT`), Codex
//! (`-c`, `model_providers`), aider (`OPENAI_API_BASE`), Qwen Code (`OPENAI_BASE_URL`), Goose
//! (`GOOSE_PROVIDER`, `OPENAI_HOST`).

use crate::args::LaunchArguments;
use crate::print::Printer;
use anyhow::{Context, bail};
use mutirao_node::{Node, Serving};
use serde_json::json;
use std::process::{Command, ExitCode};

/// Where a program finds the door.
struct Place {
    /// `http://127.0.0.1:1234`
    host: String,
    token: String,
    model: String,
}

/// How a program is started.
#[derive(Debug, Default, PartialEq, Eq)]
struct Start {
    program: String,
    words: Vec<String>,
    variables: Vec<(&'static str, String)>,
}

/// A program that is known, and what it is told.
type Known = (&'static str, fn(&Place) -> Start);

const KNOWN: &[Known] =
    &[("opencode", opencode), ("codex", codex), ("aider", aider), ("qwen", qwen), ("goose", goose)];

/// Starts the program and ends as it does.
pub fn run(node: Node, launch: &LaunchArguments, printer: Printer) -> anyhow::Result<ExitCode> {
    super::cells::pay_and_sell(&node)?;
    let model = launch.model.clone().unwrap_or_else(|| node.config().model.clone());
    super::runtime()?.block_on(async {
        let door = node.open_door().await?;
        let ended = beside(&door, model, launch, printer).await;
        door.stop().await;
        ended
    })
}

async fn beside(
    door: &Serving,
    model: String,
    launch: &LaunchArguments,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let host = format!("http://{}", door.address());
    let start = start(launch, &Place { host, token: door.token().to_owned(), model })?;
    if launch.config {
        show(&start, printer);
        return Ok(ExitCode::SUCCESS);
    }
    // A Ctrl-C is the program's, which knows better what to do with it.
    let interrupts = tokio::spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
    let mut command = Command::new(&start.program);
    command.args(&start.words).envs(start.variables);
    let missing = || format!("cannot start {:?}; is it installed?", start.program);
    let mut program = command.spawn().with_context(missing)?;
    let status = tokio::task::spawn_blocking(move || program.wait()).await??;
    interrupts.abort();
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(super::exit::ERROR)))
}

/// What is to be started: a known program with more words, or any command with the variables that
/// clients of OpenAI read.
fn start(launch: &LaunchArguments, place: &Place) -> anyhow::Result<Start> {
    let Some((first, rest)) = launch.words.split_first() else {
        bail!("launch what? Known are {}; any other command stands behind --", names())
    };
    let known = KNOWN.iter().find(|(name, _)| name == first);
    let mut start = match known {
        Some((_, told)) => told(place),
        None => Start { program: first.clone(), ..Start::default() },
    };
    start.words.extend_from_slice(rest);
    start.variables.extend(variables(place));
    Ok(start)
}

fn names() -> String {
    KNOWN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn show(start: &Start, printer: Printer) {
    for (name, value) in &start.variables {
        printer.say(format!("export {name}='{value}'"));
    }
    let words = start.words.iter().map(|word| quoted(word));
    printer.say([start.program.clone()].into_iter().chain(words).collect::<Vec<_>>().join(" "));
    printer.object(&json!({
        "program": start.program,
        "words": start.words,
        "variables": start.variables.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    }));
}

/// As a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_./:=".contains(letter);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

impl Place {
    fn base(&self) -> String {
        format!("{}/v1", self.host)
    }
}

/// What every client of OpenAI's or Ollama's libraries reads.
fn variables(place: &Place) -> Vec<(&'static str, String)> {
    vec![
        ("OPENAI_BASE_URL", place.base()),
        ("OPENAI_API_BASE", place.base()),
        ("OPENAI_API_KEY", place.token.clone()),
        ("OPENAI_MODEL", place.model.clone()),
        ("OLLAMA_HOST", place.host.clone()),
        ("OLLAMA_API_KEY", place.token.clone()),
    ]
}

fn opencode(place: &Place) -> Start {
    let model = &place.model;
    let config = json!({
        "model": format!("mutirao/{model}"),
        "provider": { "mutirao": {
            "npm": "@ai-sdk/openai-compatible",
            "name": "Mutirão",
            "options": { "baseURL": place.base(), "apiKey": place.token },
            "models": { model: { "name": model } },
        } },
    });
    let variables = vec![("OPENCODE_CONFIG_CONTENT", config.to_string())];
    Start { program: "opencode".into(), variables, ..Start::default() }
}

fn codex(place: &Place) -> Start {
    let provider = format!(
        "model_providers.mutirao={{name=\"Mutirao\", base_url=\"{}\", env_key=\"OPENAI_API_KEY\", \
         wire_api=\"responses\"}}",
        place.base()
    );
    let words = ["-c", &provider, "-c", "model_provider=\"mutirao\"", "-m", &place.model];
    Start { program: "codex".into(), words: words.map(String::from).to_vec(), ..Start::default() }
}

fn aider(place: &Place) -> Start {
    let words = vec!["--model".into(), format!("openai/{}", place.model)];
    Start { program: "aider".into(), words, ..Start::default() }
}

fn qwen(_: &Place) -> Start {
    Start { program: "qwen".into(), ..Start::default() }
}

fn goose(place: &Place) -> Start {
    let variables = vec![
        ("GOOSE_PROVIDER", "openai".to_owned()),
        ("GOOSE_MODEL", place.model.clone()),
        ("OPENAI_HOST", place.host.clone()),
    ];
    Start { program: "goose".into(), variables, ..Start::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &[&str]) -> Start {
        let place =
            Place { host: "http://127.0.0.1:9".into(), token: "key".into(), model: "mine".into() };
        let words = words.iter().map(ToString::to_string).collect();
        start(&LaunchArguments { words, model: None, config: false }, &place).expect("known")
    }

    #[test]
    fn every_known_program_is_told_where_the_door_is() {
        for (name, _) in KNOWN {
            let start = told(&[name, "--more"]);
            let all = format!("{start:?}");
            assert!(all.contains("127.0.0.1:9") && all.contains("mine"), "{all}");
            assert_eq!(
                (start.program.as_str(), start.words.last()),
                (*name, Some(&"--more".into()))
            );
        }
    }

    #[test]
    fn the_configuration_of_opencode_is_json_that_names_the_model() {
        let start = told(&["opencode"]);
        let (_, config) = &start.variables[0];
        let config: serde_json::Value = serde_json::from_str(config).expect("JSON");
        assert_eq!(config["model"], "mutirao/mine");
        assert_eq!(config["provider"]["mutirao"]["options"]["baseURL"], "http://127.0.0.1:9/v1");
    }
}
