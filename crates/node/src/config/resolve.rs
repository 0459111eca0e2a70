//! From strings to types: every bad value is named with its layer and with what would be right.

use super::{Config, Home, Layer, Settings, table};
use mutirao_ledger::key::address::parse_amount;
use mutirao_wire::{Amount, Prices, Privacy};
use std::path::PathBuf;
use thiserror::Error;

/// Why the settings were refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file is not TOML.
    #[error("the configuration file is not valid TOML: {reason}")]
    NotToml {
        /// What the parser said, with line and column.
        reason: String,
    },
    /// The file names a setting that does not exist.
    #[error("the configuration file has an unknown setting {name:?}; `mutirao doctor` lists them")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A value that its setting does not take.
    #[error("{name} = {value:?} (from the {from}): {expected}")]
    Invalid {
        /// The setting.
        name: &'static str,
        /// The value.
        value: String,
        /// Where it came from.
        from: &'static str,
        /// What would be right.
        expected: &'static str,
    },
}

/// When a wrong token is found: before the user sees it, or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Tokens are shown as they come; a random fraction of answers is audited.
    Streamed,
    /// Each window is replayed before it is shown.
    Checked,
}

pub(super) fn resolve(settings: &Settings, home: &Home) -> Result<Config, ConfigError> {
    let read = Reading { settings };
    let threads: usize = read.number("threads")?;
    let percent =
        |name| read.choice(name, "a whole number from 1 to 100", |text| within(text, 1, 100));
    let hour = |name| read.choice(name, "an hour from 0 to 23", |text| within(text, 0, 23));
    let yes = |name| read.choice(name, "true or false", |text| text.parse().ok());
    let share = percent("max_ncpus_pct")?;
    Ok(Config {
        data_dir: read.path("data_dir").unwrap_or_else(|| home.data.clone()),
        model: read.text("model").0.to_owned(),
        privacy: read.choice("privacy", "one of local, circle, open", privacy)?,
        mode: read.choice("mode", "one of streamed, checked", mode)?,
        audit_one_in: read.number("audit_one_in")?,
        threads: if threads == 0 { part_of(cores(), share) } else { threads.min(256) },
        listen: read
            .choice("listen", "an address such as 127.0.0.1:4242", |text| text.parse().ok())?,
        discoverable: yes("discoverable")?,
        take_models: read.number("take_models")?,
        look_on_lan: yes("look_on_lan")?,
        http: read.choice("http", "an address such as 127.0.0.1:8080", |text| text.parse().ok())?,
        http_waiting: read.number("http_waiting")?,
        capacity: read.number("capacity")?,
        pace: read.number("pace")?,
        kv_cache: read.number("kv_cache")?,
        prefix_cache: read.number("prefix_cache")?,
        jobs_per_key: read.number("jobs_per_key")?,
        longest_job: read.choice("longest_job", "1 to 86400 seconds", seconds)?,
        nice: read.choice("nice", "a whole number from 0 to 19", |text| within(text, 0, 19))?,
        cpu_usage_limit: percent("cpu_usage_limit")?,
        run_if_user_active: yes("run_if_user_active")?,
        idle_time_to_run: read.number("idle_time_to_run")?,
        run_on_batteries: yes("run_on_batteries")?,
        start_hour: hour("start_hour")?,
        end_hour: hour("end_hour")?,
        watts: read.number("watts")?,
        receipts: yes("receipts")?,
        receipt_days: read.number("receipt_days")?,
        caches: home.caches.clone(),
        sandbox: yes("sandbox")?,
        worker_memory: read.number("worker_memory")?,
        program: home.program.clone(),
        wallet: read.choice("wallet", "a name of letters, digits, - and _", wallet)?,
        password_file: read.path("password_file"),
        max_price: read.amount("max_price")?,
        max_price_per_day: read.amount("max_price_per_day")?,
        channel_deposit: read.amount("channel_deposit")?,
        channel_blocks: read.number("channel_blocks")?,
        prices: Prices {
            input: read.amount("price_input")?,
            cached_input: read.amount("price_cached_input")?,
            output: read.amount("price_output")?,
            attest: read.amount("price_attest")?,
        },
        ledger: Some(read.text("ledger").0.to_owned()).filter(|ticket| !ticket.is_empty()),
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// So many per cent of the cores, one at least.
fn part_of(cores: usize, percent: u8) -> usize {
    (cores * usize::from(percent) / 100).max(1)
}

fn within(text: &str, least: u8, most: u8) -> Option<u8> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
}

/// Up to a day.
fn seconds(text: &str) -> Option<u32> {
    text.parse().ok().filter(|seconds| (1..=86_400).contains(seconds))
}

/// It becomes the name of a folder.
fn wallet(text: &str) -> Option<String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    let fits = (1..=64).contains(&text.len()) && text.chars().all(plain);
    fits.then(|| text.to_owned())
}

fn privacy(text: &str) -> Option<Privacy> {
    match text {
        "local" => Some(Privacy::Local),
        "circle" => Some(Privacy::Circle),
        "open" => Some(Privacy::Open),
        _ => None,
    }
}

fn mode(text: &str) -> Option<Mode> {
    match text {
        "streamed" => Some(Mode::Streamed),
        "checked" => Some(Mode::Checked),
        _ => None,
    }
}

struct Reading<'a> {
    settings: &'a Settings,
}

impl<'a> Reading<'a> {
    fn text(&self, name: &'static str) -> (&'a str, Layer) {
        let default = table::find(name).map_or("", |setting| setting.default);
        self.settings.get(name).unwrap_or((default, Layer::Default))
    }

    fn path(&self, name: &'static str) -> Option<PathBuf> {
        let (text, _) = self.text(name);
        (!text.is_empty()).then(|| PathBuf::from(text))
    }

    fn choice<T>(
        &self,
        name: &'static str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let (text, layer) = self.text(name);
        let invalid = || {
            let from = layer_name(layer);
            ConfigError::Invalid { name, value: text.to_owned(), from, expected }
        };
        parse(text).ok_or_else(invalid)
    }

    fn amount(&self, name: &'static str) -> Result<Amount, ConfigError> {
        self.choice(name, "tijolos, such as 0.25", parse_amount)
    }

    fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, ConfigError> {
        self.choice(name, "a whole number, 0 or more", |text| text.parse().ok())
    }
}

fn layer_name(layer: Layer) -> &'static str {
    match layer {
        Layer::Flag => "command line",
        Layer::Environment => "environment",
        Layer::File => "configuration file",
        Layer::Default => "default",
    }
}
