//! The command line: verbs and flags by the customs of Ollama, so that hands find them.

pub mod chain;
pub mod paying;
pub mod wallet;

use chain::ChainCommand;
use clap::{Args, Parser, Subcommand};
use mutirao_node::config::{Layer, Settings};
use paying::{
    CellArguments, ChannelCommand, DeedCommand, PayFlags, PriceFlags, PublishArguments, SellFlags,
    TillCommand,
};
use std::path::PathBuf;

/// Neighbours' machines answer prompts together; anybody can check each answer bit for bit.
#[derive(Debug, Parser)]
#[command(name = "mutirao", version, about)]
pub struct Arguments {
    /// Print one JSON object instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// Settings that every command takes.
    #[command(flatten)]
    pub settings: SettingFlags,
    /// What to do; nothing prints a short welcome.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask a model
    Run(RunArguments),
    /// Show the whole idea in half a minute: three providers, a silent death, a checked receipt
    Demo(DemoArguments),
    /// Answer for others: listen, and print the ticket by which they join
    Provide(ProvideArguments),
    /// Open the HTTP door: the OpenAI API on this machine, for stock clients
    Serve(ServeArguments),
    /// Start a program that speaks to this machine's models: opencode, codex, aider, qwen, goose,
    /// or any command behind --
    Launch(LaunchArguments),
    /// Look who answers for others on this local network
    Discover {
        /// How long to look
        #[arg(long, value_name = "SECONDS", default_value_t = 3)]
        seconds: u16,
    },
    /// Add a node to your circle, by its ticket or, on this local network, by its key
    Join {
        /// The ticket that `mutirao provide` printed, or at least 16 digits of a key that
        /// `mutirao discover` lists
        ticket: String,
    },
    /// Get a model from the nodes that have it, or from the hub
    Pull(PullArguments),
    /// Bring a model to a node that agreed to take models
    Push {
        /// The model
        model: String,
        /// The node's ticket, or the beginning of its key if it is in your circle
        #[arg(long, value_name = "NODE")]
        to: String,
    },
    /// Convert a published model and keep it
    Import(ImportArguments),
    /// Say what a model lost when its weights became integers
    Eval(EvalArguments),
    /// Check a receipt or evidence file by replay
    Verify {
        /// The file
        file: PathBuf,
        /// Where the model is, when it is not among those that `mutirao ls` lists
        #[arg(long, value_name = "DIR")]
        model: Option<String>,
    },
    /// Check the signature over a published model's files
    CheckSignature {
        /// The folder, with model.sig in it
        folder: PathBuf,
        /// The publisher's public key, in PEM; not the one that lies beside the files, unless you
        /// know it from elsewhere
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// List the models that are here
    Ls,
    /// Say what a model is: its id, shape and context
    Show {
        /// The model
        #[arg(default_value = "village")]
        model: String,
    },
    /// Show this node: keys, circle, receipts
    Status,
    /// Check that everything works on this machine
    Doctor,
    /// Keep a ledger, ask one, audit one, look at one as a stranger
    Chain {
        /// What to do
        #[command(subcommand)]
        command: ChainCommand,
    },
    /// Keep tijolos: a wallet of 24 words
    Wallet(wallet::WalletArguments),
    /// Post a request to somebody's HTTP door, and pay for it when it asks for that
    Fetch(FetchArguments),
    /// Keys of the HTTP door for programs and for others, each with a cap of its own
    Key {
        /// What to do
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Channels through which answers are paid: list them, end one
    Channel(CellArguments<ChannelCommand>),
    /// Tills that collect a model's royalties: make one, look, take out
    Till(CellArguments<TillCommand>),
    /// Deeds: who owns a model
    Deed(CellArguments<DeedCommand>),
    /// Publish a model of yours: a deed, a till, and a share of every paid answer
    Publish(PublishArguments),
    /// Have one model in this process, for the node that started it
    #[command(hide = true)]
    Worker,
    /// Train and score models of the village world
    Learn {
        /// What to do
        #[command(subcommand)]
        command: LearnCommand,
    },
}

/// What is done with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and show it, once
    Add {
        /// Whose it is, for you to know
        name: String,
        /// Most tijolos that are spent for it in a day; without, it asks only who answers free
        #[arg(long, value_name = "TJ")]
        max_price_per_day: Option<String>,
    },
    /// List who has one
    Ls,
    /// Take one back
    Rm {
        /// Whose
        name: String,
    },
}

/// A question.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// The model, and then the prompt; without a prompt it is read from standard input
    pub words: Vec<String>,
    /// Say who was asked in which order, and why
    #[arg(long)]
    pub why: bool,
    /// What may be spent.
    #[command(flatten)]
    pub pay: PayFlags,
    /// A system message before the prompt
    #[arg(long)]
    pub system: Option<String>,
    /// Most tokens of the answer
    #[arg(long, default_value_t = 512)]
    pub max_tokens: u32,
    /// 0 is greedy
    #[arg(long, default_value_t = 0.0)]
    pub temperature: f64,
    /// Keep the k most probable tokens; 0 keeps all
    #[arg(long, default_value_t = 0)]
    pub top_k: u32,
    /// Keep the most probable tokens up to this sum
    #[arg(long, default_value_t = 1.0)]
    pub top_p: f64,
    /// Keep tokens at least this probable, relative to the best
    #[arg(long, default_value_t = 0.0)]
    pub min_p: f64,
    /// Seed of the sampling; random and printed when absent
    #[arg(long)]
    pub seed: Option<u64>,
    /// End the answer before this text; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    /// Answer in JSON: `json` for any object, or a file with a JSON schema
    #[arg(long, value_name = "json|FILE")]
    pub format: Option<String>,
    /// Write the receipt here as well
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
}

/// How the door stands.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// With three providers of its own, in a temporary place, that the page may kill
    #[arg(long)]
    pub demo: bool,
    /// What may be spent.
    #[command(flatten)]
    pub pay: PayFlags,
    /// What is asked of whoever has no key and pays for each request.
    #[command(flatten)]
    pub prices: PriceFlags,
}

impl ServeArguments {
    /// Lays the flags that were given over the weaker layers.
    pub fn lay_over(&self, settings: &mut Settings) {
        self.pay.lay_over(settings);
        self.prices.lay_over(settings);
    }
}

/// What is started.
#[derive(Debug, Args)]
pub struct LaunchArguments {
    /// The program, and its own words
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
    /// The model it asks
    #[arg(long)]
    pub model: Option<String>,
    /// Only say what it would be told
    #[arg(long)]
    pub config: bool,
}

/// A request to somebody's door.
#[derive(Debug, Args)]
pub struct FetchArguments {
    /// Where: http://host:port/v1/chat/completions
    pub address: String,
    /// The JSON that is posted, @FILE, or - for standard input
    #[arg(long, short, default_value = "-", value_name = "JSON")]
    pub data: String,
    /// What may be spent.
    #[command(flatten)]
    pub pay: PayFlags,
}

/// How the demonstration runs.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Tokens a second of the provider that dies, slow enough to watch
    #[arg(long, default_value_t = 40)]
    pub pace_shown: u32,
}

/// What is pulled, and from whom.
#[derive(Debug, Args)]
pub struct PullArguments {
    /// Its id, the beginning of its id, the name that its provider gave it, or hf://org/repo
    pub model: String,
    /// Ask these nodes and not the circle; may be repeated
    #[arg(long, value_name = "TICKET")]
    pub from: Vec<String>,
}

/// What is imported, and how.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// A directory in the Hugging Face layout, a .gguf file, hf://org/repo or ollama://name:tag
    pub source: String,
    /// Its name here; the source's when absent
    #[arg(long)]
    pub name: Option<String>,
    /// How weights are kept: w8, or w4 at half the size
    #[arg(long, default_value = "w8", value_parser = ["w8", "w4"])]
    pub profile: String,
    /// Say what became of each tensor
    #[arg(long)]
    pub tensors: bool,
}

impl ImportArguments {
    /// As `mutirao import` without flags.
    pub fn of(source: &str) -> Self {
        let (source, profile) = (source.to_owned(), "w8".to_owned());
        Self { source, name: None, profile, tensors: false }
    }
}

/// What is measured, on what.
#[derive(Debug, Args)]
pub struct EvalArguments {
    /// The model: its name, a directory, or a .gguf file
    #[arg(default_value = "village")]
    pub model: String,
    /// What it is held against: the weights that it was made of
    #[arg(long, default_value = "float", value_parser = ["float"])]
    pub against: String,
    /// Where these are, if not where the model came from: a directory, a .gguf file, hf://org/repo
    #[arg(long, value_name = "PLACE")]
    pub original: Option<String>,
    /// A text of the kind that the model reads; held-out lessons for the village when absent
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,
    /// Most tokens of the text
    #[arg(long, value_name = "N", default_value_t = 2048)]
    pub tokens: usize,
}

/// How a provider runs.
#[derive(Debug, Args)]
pub struct ProvideArguments {
    /// The model to serve
    #[arg(default_value = "village")]
    pub model: String,
    /// Let nodes on the same local network find this one without a ticket (MUTIRAO_DISCOVERABLE)
    #[arg(long)]
    pub discoverable: bool,
    /// Largest model in MiB that nodes of the circle may push here; 0 takes none
    /// (MUTIRAO_TAKE_MODELS)
    #[arg(long, value_name = "MIB")]
    pub take_models: Option<String>,
    /// Use keys that die with this process
    #[arg(long)]
    pub throw_away_keys: bool,
    /// What is asked for answers.
    #[command(flatten)]
    pub prices: SellFlags,
    /// When the owner lends the machine.
    #[command(flatten)]
    pub manners: MannersFlags,
}

/// When the owner lends the machine, in the words of BOINC. See docs/providing.md.
#[derive(Debug, Args)]
#[command(next_help_heading = "Manners")]
pub struct MannersFlags {
    /// Jobs at once of one client key (MUTIRAO_JOBS_PER_KEY)
    #[arg(long, value_name = "N")]
    jobs_per_key: Option<String>,
    /// Seconds that one job may take before others have their turn (MUTIRAO_LONGEST_JOB)
    #[arg(long, value_name = "SECONDS")]
    longest_job: Option<String>,
    /// How far this process steps back for others, 0 to 19 (MUTIRAO_NICE)
    #[arg(long, value_name = "N")]
    nice: Option<String>,
    /// Per cent of the cores to use (MUTIRAO_MAX_NCPUS_PCT)
    #[arg(long, value_name = "PERCENT")]
    max_ncpus_pct: Option<String>,
    /// Per cent of the time to work (MUTIRAO_CPU_USAGE_LIMIT)
    #[arg(long, value_name = "PERCENT")]
    cpu_usage_limit: Option<String>,
    /// Also while somebody is at the keyboard (MUTIRAO_RUN_IF_USER_ACTIVE)
    #[arg(long, value_name = "BOOL")]
    run_if_user_active: Option<String>,
    /// Minutes without a key or a click until nobody is there (MUTIRAO_IDLE_TIME_TO_RUN)
    #[arg(long, value_name = "MINUTES")]
    idle_time_to_run: Option<String>,
    /// Also without mains (MUTIRAO_RUN_ON_BATTERIES)
    #[arg(long, value_name = "BOOL")]
    run_on_batteries: Option<String>,
    /// From this hour of the day, UTC (MUTIRAO_START_HOUR)
    #[arg(long, value_name = "HOUR")]
    start_hour: Option<String>,
    /// Until this hour, UTC; the same hour is always (MUTIRAO_END_HOUR)
    #[arg(long, value_name = "HOUR")]
    end_hour: Option<String>,
}

impl ProvideArguments {
    /// Lays the flags that were given over the weaker layers.
    pub fn lay_over(&self, settings: &mut Settings) {
        let discoverable = self.discoverable.then(|| "true".to_owned());
        let own = [("discoverable", &discoverable), ("take_models", &self.take_models)];
        lay(settings, &own);
        self.prices.lay_over(settings);
        self.manners.lay_over(settings);
    }
}

impl MannersFlags {
    /// Lays the flags that were given over the weaker layers.
    pub fn lay_over(&self, settings: &mut Settings) {
        lay(
            settings,
            &[
                ("jobs_per_key", &self.jobs_per_key),
                ("longest_job", &self.longest_job),
                ("nice", &self.nice),
                ("max_ncpus_pct", &self.max_ncpus_pct),
                ("cpu_usage_limit", &self.cpu_usage_limit),
                ("run_if_user_active", &self.run_if_user_active),
                ("idle_time_to_run", &self.idle_time_to_run),
                ("run_on_batteries", &self.run_on_batteries),
                ("start_hour", &self.start_hour),
                ("end_hour", &self.end_hour),
            ],
        );
    }
}

fn lay(settings: &mut Settings, flags: &[(&'static str, &Option<String>)]) {
    for (name, value) in flags {
        if let Some(value) = value {
            settings.set(name, value.clone(), Layer::Flag);
        }
    }
}

/// Chores of the village model.
#[derive(Debug, Subcommand)]
pub enum LearnCommand {
    /// Train the village model; the schedule follows steps, never the clock
    Village(VillageArguments),
    /// Score a model on held-out items: float weights beside the integer engine
    Card(CardArguments),
}

/// Steps of the shipped model's run.
const VILLAGE_STEPS: u64 = 12_000;

/// A training run.
#[derive(Debug, Args)]
pub struct VillageArguments {
    /// Optimiser steps of the whole run
    #[arg(long, default_value_t = VILLAGE_STEPS)]
    pub steps: u64,
    /// Where the model is written
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Where the state is kept and resumed from; in the output directory when absent
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Stop once this many steps are done
    #[arg(long, value_name = "STEP")]
    pub stop_after: Option<u64>,
}

/// A model card.
#[derive(Debug, Args)]
pub struct CardArguments {
    /// The model: its name, or a directory in the Hugging Face layout
    #[arg(default_value = "village")]
    pub model: String,
    /// Held-out items per task
    #[arg(long, default_value_t = 200)]
    pub items: usize,
    /// Steps the model was trained for; the card says them
    #[arg(long, default_value_t = VILLAGE_STEPS)]
    pub steps: u64,
    /// Write the whole card here
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
}

/// One flag per setting; environment and file say the same under the names in parentheses.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
pub struct SettingFlags {
    /// Where keys, peers and receipts live (MUTIRAO_DATA_DIR)
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// Who may see a prompt: local, circle or open (MUTIRAO_PRIVACY)
    #[arg(long, global = true, value_name = "LEVEL")]
    privacy: Option<String>,
    /// streamed or checked (MUTIRAO_MODE)
    #[arg(long, global = true)]
    mode: Option<String>,
    /// Audit one in N streamed answers; 0 never (MUTIRAO_AUDIT_ONE_IN)
    #[arg(long, global = true, value_name = "N")]
    audit_one_in: Option<String>,
    /// Threads of the engine; 0 is one per core (MUTIRAO_THREADS)
    #[arg(long, global = true, value_name = "N")]
    threads: Option<String>,
    /// Where a provider listens (MUTIRAO_LISTEN)
    #[arg(long, global = true, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Look on the local network when nobody of the circle answers (MUTIRAO_LOOK_ON_LAN)
    #[arg(long, global = true, value_name = "BOOL")]
    look_on_lan: Option<String>,
    /// Where `serve` listens (MUTIRAO_HTTP)
    #[arg(long, global = true, value_name = "ADDRESS")]
    http: Option<String>,
    /// Requests that may wait for a place (MUTIRAO_HTTP_WAITING)
    #[arg(long, global = true, value_name = "N")]
    http_waiting: Option<String>,
    /// Jobs a provider takes at once (MUTIRAO_CAPACITY)
    #[arg(long, global = true, value_name = "N")]
    capacity: Option<String>,
    /// MiB for keys and values of the jobs that are being answered (MUTIRAO_KV_CACHE)
    #[arg(long, global = true, value_name = "MIB")]
    kv_cache: Option<String>,
    /// MiB kept of what was read, for the next prompt of the same asker (MUTIRAO_PREFIX_CACHE)
    #[arg(long, global = true, value_name = "MIB")]
    prefix_cache: Option<String>,
    /// Most tokens a second per job; 0 is no limit (MUTIRAO_PACE)
    #[arg(long, global = true, value_name = "N")]
    pace: Option<String>,
    /// Watts of this machine at full load, where its processor does not tell (MUTIRAO_WATTS)
    #[arg(long, global = true, value_name = "N")]
    watts: Option<String>,
    /// Open models in processes of their own that are confined (MUTIRAO_SANDBOX)
    #[arg(long, global = true, value_name = "BOOL")]
    sandbox: Option<String>,
    /// Most MiB of memory of such a process; 0 is by the model's size (MUTIRAO_WORKER_MEMORY)
    #[arg(long, global = true, value_name = "MIB")]
    worker_memory: Option<String>,
    /// Keep no receipts (MUTIRAO_RECEIPTS=false)
    #[arg(long, global = true)]
    no_receipts: bool,
    /// Days that receipts are kept (MUTIRAO_RECEIPT_DAYS)
    #[arg(long, global = true, value_name = "N")]
    receipt_days: Option<String>,
}

impl SettingFlags {
    /// Lays the flags that were given over the weaker layers.
    pub fn lay_over(&self, settings: &mut Settings) {
        let receipts = self.no_receipts.then(|| "false".to_owned());
        lay(
            settings,
            &[
                ("data_dir", &self.data_dir),
                ("privacy", &self.privacy),
                ("mode", &self.mode),
                ("audit_one_in", &self.audit_one_in),
                ("threads", &self.threads),
                ("listen", &self.listen),
                ("look_on_lan", &self.look_on_lan),
                ("http", &self.http),
                ("http_waiting", &self.http_waiting),
                ("kv_cache", &self.kv_cache),
                ("prefix_cache", &self.prefix_cache),
                ("capacity", &self.capacity),
                ("pace", &self.pace),
                ("watts", &self.watts),
                ("sandbox", &self.sandbox),
                ("worker_memory", &self.worker_memory),
                ("receipts", &receipts),
                ("receipt_days", &self.receipt_days),
            ],
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_setting_is_a_flag_or_an_argument() {
        let command = Arguments::command();
        let provide = command.find_subcommand("provide").expect("there is one");
        let wallet = command.find_subcommand("wallet").expect("there is one");
        let run = command.find_subcommand("run").expect("there is one");
        let all = command.get_arguments().chain(provide.get_arguments());
        let all = all.chain(run.get_arguments());
        let all = all.chain(wallet.get_arguments());
        let flags: Vec<_> = all.filter_map(|flag| flag.get_long()).collect();
        for setting in mutirao_node::config::SETTINGS {
            let flag = setting.name.replace('_', "-");
            let negated = format!("no-{flag}");
            let known = flags.iter().any(|long| *long == flag || *long == negated);
            assert!(known || setting.name == "model", "no flag for {}", setting.name);
        }
    }
}
