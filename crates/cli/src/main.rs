//! The program `mutirao`: reads the command line, runs one command, prints what happened.
#![forbid(unsafe_code)]

mod args;
mod cmd;
mod print;

use args::{Arguments, Command, LearnCommand};
use clap::Parser;
use mutirao_node::Node;
use mutirao_node::config::{Home, Layer, Settings};
use print::Printer;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let printer = Printer { json: arguments.json };
    start_logs();
    match dispatch(&arguments, printer) {
        Ok(code) => code,
        Err(error) => fail(&error, printer),
    }
}

/// This very program, whatever has its name by now; where the system cannot say that, what has its
/// name.
fn program() -> Option<PathBuf> {
    let itself = PathBuf::from("/proc/self/exe");
    if itself.exists() { Some(itself) } else { std::env::current_exe().ok() }
}

/// Without a wish only errors are said, and not that a farewell did not reach a peer that is gone.
const LOG_FILTER: &str = "error,iroh::socket=off";

/// Logs go to standard error, quiet unless `MUTIRAO_LOG` asks (same syntax as `RUST_LOG`).
fn start_logs() {
    let filter = std::env::var(mutirao_node::config::LOG_ENVIRONMENT);
    let filter = filter.unwrap_or_else(|_| LOG_FILTER.to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .init();
}

fn dispatch(arguments: &Arguments, printer: Printer) -> anyhow::Result<ExitCode> {
    let node = || open(arguments);
    match &arguments.command {
        None => cmd::welcome::run(printer),
        Some(Command::Run(run)) => cmd::run::run(&node()?, run, printer),
        Some(Command::Demo(demo)) => cmd::demo::run(&node()?, demo, printer),
        Some(Command::Provide(provide)) => cmd::provide::run(&node()?, provide, printer),
        Some(Command::Serve(serve)) => cmd::serve::run(node()?, serve, printer),
        Some(Command::Launch(launch)) => cmd::launch::run(node()?, launch, printer),
        Some(Command::Discover { seconds }) => cmd::discover::run(&node()?, *seconds, printer),
        Some(Command::Join { ticket }) => cmd::join::run(&node()?, ticket, printer),
        Some(Command::Pull(pull)) => cmd::pull::run(&node()?, pull, printer),
        Some(Command::Push { model, to }) => cmd::pull::push(&node()?, model, to, printer),
        Some(Command::Import(import)) => cmd::import::run(&node()?, import, printer),
        Some(Command::Eval(eval)) => cmd::eval::run(&node()?, eval, printer),
        Some(Command::Verify { file, model }) => {
            cmd::verify::run(&node()?, file, model.as_deref(), printer)
        }
        Some(Command::CheckSignature { folder, key }) => {
            cmd::cells::check_signature(folder, key, printer)
        }
        Some(Command::Ls) => cmd::models::ls(&node()?, printer),
        Some(Command::Show { model }) => cmd::models::show(&node()?, model, printer),
        Some(Command::Status) => cmd::status::status(&node()?, printer),
        Some(Command::Doctor) => cmd::status::doctor(&node()?, printer),
        Some(Command::Chain { command }) => cmd::chain::run(&node()?, command, printer),
        Some(Command::Wallet(wallet)) => cmd::wallet::run(&node()?, wallet, printer),
        Some(Command::Fetch(fetch)) => cmd::fetch::run(&node()?, fetch),
        Some(Command::Key { command }) => cmd::key::run(&node()?, command, printer),
        Some(Command::Channel(cell)) => cmd::cells::channel(&node()?, &cell.command, printer),
        Some(Command::Till(cell)) => cmd::cells::till(&node()?, &cell.command, printer),
        Some(Command::Deed(cell)) => cmd::cells::deed(&node()?, &cell.command, printer),
        Some(Command::Publish(publish)) => cmd::cells::publish(&node()?, publish, printer),
        Some(Command::Worker) => cmd::worker::run(),
        Some(Command::Learn { command }) => learn(&node()?, command, printer),
    }
}

fn learn(node: &Node, command: &LearnCommand, printer: Printer) -> anyhow::Result<ExitCode> {
    match command {
        LearnCommand::Village(village) => cmd::learn::village(node, village, printer),
        LearnCommand::Card(card) => cmd::learn::card(node, card, printer),
    }
}

/// Flag over environment over file, then types.
fn open(arguments: &Arguments) -> anyhow::Result<Node> {
    let lookup = |name: &str| std::env::var(name).ok();
    let home = Home { program: program(), ..Home::find(lookup) };
    let mut settings = Settings::default();
    if let Some(Command::Launch(_)) = &arguments.command {
        // A door for one program, beside one that may be open.
        settings.set("http", "127.0.0.1:0".to_owned(), Layer::Default);
    }
    if let Some(text) = mutirao_node::config::read_file(&home.config_file())? {
        settings.read_file(&text)?;
    }
    settings.read_environment(lookup);
    arguments.settings.lay_over(&mut settings);
    match &arguments.command {
        Some(Command::Provide(provide)) => provide.lay_over(&mut settings),
        Some(Command::Fetch(fetch)) => fetch.pay.lay_over(&mut settings),
        Some(Command::Run(run)) => run.pay.lay_over(&mut settings),
        Some(Command::Serve(serve)) => serve.lay_over(&mut settings),
        Some(Command::Wallet(wallet)) => wallet.lay_over(&mut settings),
        Some(Command::Channel(cell)) => cell.lay_over(&mut settings),
        Some(Command::Till(cell)) => cell.lay_over(&mut settings),
        Some(Command::Deed(cell)) => cell.lay_over(&mut settings),
        Some(Command::Publish(publish)) => publish.lay_over(&mut settings),
        _ => {}
    }
    Ok(Node::new(settings.resolve(&home)?))
}

#[expect(clippy::print_stderr, reason = "errors belong on standard error")]
fn fail(error: &anyhow::Error, printer: Printer) -> ExitCode {
    let reasons: Vec<String> = error.chain().map(ToString::to_string).collect();
    printer.object(&serde_json::json!({ "error": reasons.join(": ") }));
    eprintln!("mutirao: {}", reasons.join(": "));
    ExitCode::from(cmd::exit::ERROR)
}
