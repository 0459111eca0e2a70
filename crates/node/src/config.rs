//! Settings: strings from flag, environment and file (in that order of strength) become one typed
//! [`Config`], or an error that names the setting, where it came from and what would be right.

mod resolve;
mod table;

pub use resolve::{ConfigError, Mode};
pub use table::{SETTINGS, Setting};

use crate::caches::Caches;
use crate::files::{self, FileError};
use mutirao_wire::{Amount, Prices, Privacy};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The environment variable that asks for logs, in the syntax of `RUST_LOG`.
pub const LOG_ENVIRONMENT: &str = "MUTIRAO_LOG";

/// The environment variable that may hold a wallet's password.
pub const PASSWORD_ENVIRONMENT: &str = "MUTIRAO_WALLET_PASSWORD";

/// Largest configuration file read, in bytes.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// The text of the configuration file, or `None` when there is none.
///
/// # Errors
/// [`FileError`] when it exists but cannot be read.
pub fn read_file(path: &std::path::Path) -> Result<Option<String>, FileError> {
    let content = files::read_if_there(path, CONFIG_BYTES_MAX)?;
    Ok(content.map(|content| String::from_utf8_lossy(&content).into_owned()))
}

/// Everything a node is told from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where keys, peers and receipts live.
    pub data_dir: PathBuf,
    /// The model asked when none is named.
    pub model: String,
    /// Who may see a prompt.
    pub privacy: Privacy,
    /// Whether tokens are replayed before or after they are shown.
    pub mode: Mode,
    /// Audit one in this many streamed answers; 0 is never.
    pub audit_one_in: u32,
    /// Threads of the engine.
    pub threads: usize,
    /// Where a provider listens.
    pub listen: SocketAddr,
    /// Whether a provider is found on the local network without a ticket.
    pub discoverable: bool,
    /// Largest model in MiB that nodes of the circle may push here; 0 takes none.
    pub take_models: u32,
    /// Whether the circle is looked for on the local network when nobody of it answers.
    pub look_on_lan: bool,
    /// Where the HTTP door listens.
    pub http: SocketAddr,
    /// Requests that may wait for a place at the door.
    pub http_waiting: usize,
    /// Jobs a provider takes at once.
    pub capacity: u32,
    /// Most tokens a second a provider writes per job; 0 is as fast as it can.
    pub pace: u32,
    /// MiB for keys and values of the jobs that are being answered.
    pub kv_cache: u64,
    /// MiB of what was read that are kept for the next prompt of the same asker.
    pub prefix_cache: u64,
    /// Jobs a provider takes at once of one client key.
    pub jobs_per_key: u32,
    /// Seconds that a provider works on one job before others have their turn.
    pub longest_job: u32,
    /// How far a provider's process steps back for others, 0 to 19.
    pub nice: u8,
    /// Per cent of the time that a provider's engine works.
    pub cpu_usage_limit: u8,
    /// Answer for others while somebody is at the keyboard.
    pub run_if_user_active: bool,
    /// Minutes without a key or a click until nobody is there.
    pub idle_time_to_run: u32,
    /// Answer for others without mains.
    pub run_on_batteries: bool,
    /// Answer for others from this hour (UTC).
    pub start_hour: u8,
    /// Until this hour (UTC); the same hour is always.
    pub end_hour: u8,
    /// Watts of the whole machine at full load, for energy where the processor does not tell; 0 is
    /// unknown.
    pub watts: u32,
    /// Keep receipts of answers.
    pub receipts: bool,
    /// Days that receipts are kept.
    pub receipt_days: u32,
    /// Where other programs keep models.
    pub caches: Caches,
    /// Open models in processes of their own, that are confined.
    pub sandbox: bool,
    /// Most MiB of memory that such a process may have; 0 is by the size of the model.
    pub worker_memory: u64,
    /// The program that such a process runs; without one, models are opened in this process.
    pub program: Option<PathBuf>,
    /// Which wallet of this home.
    pub wallet: String,
    /// Where the wallet's password is read from.
    pub password_file: Option<PathBuf>,
    /// The most that one answer may cost; nothing is spent without it.
    pub max_price: Amount,
    /// The most that is spent on answers in a day.
    pub max_price_per_day: Amount,
    /// What is put into a new channel.
    pub channel_deposit: Amount,
    /// After how many blocks a channel can be taken back.
    pub channel_blocks: u32,
    /// What a provider asks.
    pub prices: Prices,
    /// The ticket of the ledger that a wallet asks.
    pub ledger: Option<String>,
}

/// Where a setting's value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// A flag on the command line.
    Flag,
    /// An environment variable.
    Environment,
    /// The configuration file.
    File,
    /// Nobody said anything.
    Default,
}

/// Settings as strings, each layer over the weaker ones.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    values: BTreeMap<&'static str, (String, Option<Layer>)>,
}

impl Settings {
    /// Lays `value` over whatever a weaker layer said. Call from the weakest layer up.
    pub fn set(&mut self, name: &'static str, value: String, layer: Layer) {
        self.values.insert(name, (value, Some(layer)));
    }

    /// Reads the configuration file's text.
    ///
    /// # Errors
    /// [`ConfigError`] when it is not TOML, or names a setting that does not exist.
    pub fn read_file(&mut self, text: &str) -> Result<(), ConfigError> {
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| ConfigError::NotToml { reason: error.to_string() })?;
        for (name, value) in table {
            let setting = table::find(&name).ok_or(ConfigError::Unknown { name })?;
            self.set(setting.name, as_text(value), Layer::File);
        }
        Ok(())
    }

    /// Reads the environment through `lookup`.
    pub fn read_environment(&mut self, lookup: impl Fn(&str) -> Option<String>) {
        for setting in SETTINGS {
            if let Some(value) = lookup(setting.environment) {
                self.set(setting.name, value, Layer::Environment);
            }
        }
    }

    /// Makes the typed configuration.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with the setting, its value and where it came from.
    pub fn resolve(&self, home: &Home) -> Result<Config, ConfigError> {
        resolve::resolve(self, home)
    }

    fn get(&self, name: &str) -> Option<(&str, Layer)> {
        self.values
            .get(name)
            .map(|(value, layer)| (value.as_str(), layer.unwrap_or(Layer::Default)))
    }
}

fn as_text(value: toml::Value) -> String {
    match value {
        toml::Value::String(text) => text,
        other => other.to_string(),
    }
}

/// The user's directories, by the XDG base directory specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// `$XDG_CONFIG_HOME/mutirao` or `~/.config/mutirao`.
    pub config: PathBuf,
    /// `$XDG_DATA_HOME/mutirao` or `~/.local/share/mutirao`.
    pub data: PathBuf,
    /// Where other programs keep models.
    pub caches: Caches,
    /// The program `mutirao`, where this is it.
    pub program: Option<PathBuf>,
}

impl Home {
    /// Finds the directories through `lookup` of environment variables. Relative XDG paths are
    /// ignored, as the specification demands.
    #[must_use]
    pub fn find(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let home = lookup("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
        let place = |name: &str, fallback: &str| {
            let given = lookup(name).map(PathBuf::from).filter(|path| path.is_absolute());
            given.unwrap_or_else(|| home.join(fallback)).join("mutirao")
        };
        Self {
            config: place("XDG_CONFIG_HOME", ".config"),
            data: place("XDG_DATA_HOME", ".local/share"),
            caches: Caches::find(&lookup),
            program: None,
        }
    }

    /// The configuration file.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }
}

#[cfg(test)]
mod tests;
