//! Every setting there is, with its environment variable: the one place that names them.

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name in the file and, with `-` for `_`, as a flag.
    pub name: &'static str,
    /// Its environment variable.
    pub environment: &'static str,
    /// Its value when nobody says anything.
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
}

const fn setting(
    name: &'static str,
    environment: &'static str,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting { name, environment, default, help }
}

/// All settings.
pub const SETTINGS: &[Setting] = &[
    setting("data_dir", "MUTIRAO_DATA_DIR", "", "where keys, peers and receipts live"),
    setting("model", "MUTIRAO_MODEL", "village", "the model asked when none is named"),
    setting("privacy", "MUTIRAO_PRIVACY", "local", "who may see a prompt: local, circle or open"),
    setting(
        "mode",
        "MUTIRAO_MODE",
        "streamed",
        "streamed: tokens are shown at once and audited by chance; checked: replayed before shown",
    ),
    setting(
        "audit_one_in",
        "MUTIRAO_AUDIT_ONE_IN",
        "8",
        "audit one in N streamed answers; 0 never",
    ),
    setting("threads", "MUTIRAO_THREADS", "0", "threads of the engine; 0 is one per core"),
    setting("listen", "MUTIRAO_LISTEN", "127.0.0.1:0", "where a provider listens"),
    setting(
        "discoverable",
        "MUTIRAO_DISCOVERABLE",
        "false",
        "let nodes on the same local network find this provider without a ticket",
    ),
    setting(
        "take_models",
        "MUTIRAO_TAKE_MODELS",
        "0",
        "largest model in MiB that nodes of the circle may push here; 0 takes none",
    ),
    setting(
        "look_on_lan",
        "MUTIRAO_LOOK_ON_LAN",
        "true",
        "look on the local network for the circle when nobody of it answers",
    ),
    setting("capacity", "MUTIRAO_CAPACITY", "4", "jobs a provider takes at once"),
    setting("pace", "MUTIRAO_PACE", "0", "most tokens a second per job; 0 is no limit"),
    setting(
        "kv_cache",
        "MUTIRAO_KV_CACHE",
        "2048",
        "MiB for keys and values of the jobs that are being answered; who wants more waits",
    ),
    setting(
        "prefix_cache",
        "MUTIRAO_PREFIX_CACHE",
        "256",
        "MiB of what was read that are kept for the next prompt of the same asker; 0 keeps none",
    ),
    setting(
        "jobs_per_key",
        "MUTIRAO_JOBS_PER_KEY",
        "4",
        "jobs a provider takes at once of one client key",
    ),
    setting("longest_job", "MUTIRAO_LONGEST_JOB", "600", "seconds that one job may take at once"),
    setting("nice", "MUTIRAO_NICE", "10", "how far a provider steps back for other programs, 0-19"),
    setting("max_ncpus_pct", "MUTIRAO_MAX_NCPUS_PCT", "100", "per cent of the cores to use"),
    setting("cpu_usage_limit", "MUTIRAO_CPU_USAGE_LIMIT", "100", "per cent of the time to work"),
    setting(
        "run_if_user_active",
        "MUTIRAO_RUN_IF_USER_ACTIVE",
        "true",
        "answer for others while somebody is at the keyboard",
    ),
    setting(
        "idle_time_to_run",
        "MUTIRAO_IDLE_TIME_TO_RUN",
        "3",
        "minutes without a key or a click until nobody is there",
    ),
    setting("run_on_batteries", "MUTIRAO_RUN_ON_BATTERIES", "false", "answer without mains"),
    setting("start_hour", "MUTIRAO_START_HOUR", "0", "answer for others from this hour (UTC)"),
    setting("end_hour", "MUTIRAO_END_HOUR", "0", "until this hour (UTC); the same is always"),
    setting("http", "MUTIRAO_HTTP", "127.0.0.1:8080", "where `mutirao serve` listens"),
    setting("http_waiting", "MUTIRAO_HTTP_WAITING", "64", "requests that may wait for a place"),
    setting(
        "watts",
        "MUTIRAO_WATTS",
        "0",
        "watts of this machine at full load, where its processor does not tell; 0 is unknown",
    ),
    setting(
        "sandbox",
        "MUTIRAO_SANDBOX",
        "true",
        "open models in processes of their own, without network, keys or other files",
    ),
    setting(
        "worker_memory",
        "MUTIRAO_WORKER_MEMORY",
        "0",
        "most MiB of memory that such a process may have; 0 is by the size of the model",
    ),
    setting("wallet", "MUTIRAO_WALLET", "main", "which wallet of this home"),
    setting(
        "password_file",
        "MUTIRAO_PASSWORD_FILE",
        "",
        "a file whose first line is the wallet's password",
    ),
    setting("max_price", "MUTIRAO_MAX_PRICE", "0", "most tijolos that one answer may cost"),
    setting(
        "max_price_per_day",
        "MUTIRAO_MAX_PRICE_PER_DAY",
        "1",
        "most tijolos that are spent on answers in a day",
    ),
    setting(
        "channel_deposit",
        "MUTIRAO_CHANNEL_DEPOSIT",
        "0.1",
        "tijolos that are put into a new channel to a provider; what is not spent comes back",
    ),
    setting(
        "channel_blocks",
        "MUTIRAO_CHANNEL_BLOCKS",
        "1000",
        "blocks after which a channel can be taken back, whatever its provider does",
    ),
    setting("price_input", "MUTIRAO_PRICE_INPUT", "0", "tijolos asked for 1000 tokens read"),
    setting(
        "price_cached_input",
        "MUTIRAO_PRICE_CACHED_INPUT",
        "0",
        "tijolos asked for 1000 tokens that need not be read again",
    ),
    setting("price_output", "MUTIRAO_PRICE_OUTPUT", "0", "tijolos asked for 1000 tokens written"),
    setting(
        "price_attest",
        "MUTIRAO_PRICE_ATTEST",
        "0",
        "tijolos asked for 1000 tokens of others that are checked",
    ),
    setting("ledger", "MUTIRAO_LEDGER", "", "the ticket of the ledger that a wallet asks"),
    setting("receipts", "MUTIRAO_RECEIPTS", "true", "keep the receipts of answers"),
    setting("receipt_days", "MUTIRAO_RECEIPT_DAYS", "30", "days that receipts are kept"),
];

/// Finds a setting by its name.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}
