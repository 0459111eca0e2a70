//! Flags about money: which wallet, what may be spent, what is asked; and the verbs of channels,
//! tills and deeds.

use clap::{Args, Subcommand};
use mutirao_node::config::Settings;

/// Which wallet, and which ledger it asks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Money")]
pub struct PurseFlags {
    /// Which wallet of this home (MUTIRAO_WALLET)
    #[arg(long, global = true, value_name = "NAME")]
    wallet: Option<String>,
    /// Read the wallet's password from the first line of this file (MUTIRAO_PASSWORD_FILE); or from
    /// MUTIRAO_WALLET_PASSWORD; else it is asked for
    #[arg(long, global = true, value_name = "FILE")]
    password_file: Option<String>,
    /// The ticket of the ledger to ask (MUTIRAO_LEDGER); it is remembered. Without one, the ledger
    /// of this home
    #[arg(long, global = true, value_name = "TICKET")]
    ledger: Option<String>,
}

impl PurseFlags {
    /// Lays the flags that were given over the weaker layers.
    pub fn lay_over(&self, settings: &mut Settings) {
        let flags = [
            ("wallet", &self.wallet),
            ("password_file", &self.password_file),
            ("ledger", &self.ledger),
        ];
        super::lay(settings, &flags);
    }
}

/// What may be spent on answers. Nothing is without a cap.
#[derive(Debug, Args)]
#[command(next_help_heading = "Money")]
pub struct PayFlags {
    /// Which wallet pays.
    #[command(flatten)]
    purse: PurseFlags,
    /// Most tijolos that one answer may cost; 0 asks only who answers free (MUTIRAO_MAX_PRICE)
    #[arg(long, value_name = "TJ")]
    max_price: Option<String>,
    /// Most tijolos that are spent on answers in a day (MUTIRAO_MAX_PRICE_PER_DAY)
    #[arg(long, value_name = "TJ")]
    max_price_per_day: Option<String>,
    /// Tijolos put into a new channel to a provider (MUTIRAO_CHANNEL_DEPOSIT)
    #[arg(long, value_name = "TJ")]
    channel_deposit: Option<String>,
}

impl PayFlags {
    /// Lays the flags that were given over the weaker layers.
    pub fn lay_over(&self, settings: &mut Settings) {
        self.purse.lay_over(settings);
        let flags = [
            ("max_price", &self.max_price),
            ("max_price_per_day", &self.max_price_per_day),
            ("channel_deposit", &self.channel_deposit),
        ];
        super::lay(settings, &flags);
    }
}

/// What a provider asks for 1000 tokens, and which wallet is paid.
#[derive(Debug, Args)]
#[command(next_help_heading = "Money")]
pub struct SellFlags {
    /// Which wallet is paid.
    #[command(flatten)]
    purse: PurseFlags,
    /// What is asked.
    #[command(flatten)]
    prices: PriceFlags,
}

impl SellFlags {
    /// Lays the flags that were given over the weaker layers.
    pub fn lay_over(&self, settings: &mut Settings) {
        self.purse.lay_over(settings);
        self.prices.lay_over(settings);
    }
}

/// What is asked for 1000 tokens.
#[derive(Debug, Args)]
#[command(next_help_heading = "Money")]
pub struct PriceFlags {
    /// Tijolos for 1000 tokens read (MUTIRAO_PRICE_INPUT)
    #[arg(long, value_name = "TJ")]
    price_input: Option<String>,
    /// Tijolos for 1000 tokens that need not be read again (MUTIRAO_PRICE_CACHED_INPUT)
    #[arg(long, value_name = "TJ")]
    price_cached_input: Option<String>,
    /// Tijolos for 1000 tokens written (MUTIRAO_PRICE_OUTPUT)
    #[arg(long, value_name = "TJ")]
    price_output: Option<String>,
    /// Tijolos for 1000 tokens of others that are checked (MUTIRAO_PRICE_ATTEST)
    #[arg(long, value_name = "TJ")]
    price_attest: Option<String>,
    /// Blocks that a channel lives (MUTIRAO_CHANNEL_BLOCKS)
    #[arg(long, value_name = "N")]
    channel_blocks: Option<String>,
}

impl PriceFlags {
    /// Lays the flags that were given over the weaker layers.
    pub fn lay_over(&self, settings: &mut Settings) {
        let flags = [
            ("price_input", &self.price_input),
            ("price_cached_input", &self.price_cached_input),
            ("price_output", &self.price_output),
            ("price_attest", &self.price_attest),
            ("channel_blocks", &self.channel_blocks),
        ];
        super::lay(settings, &flags);
    }
}

/// What is done with the cells of which wallet.
#[derive(Debug, Args)]
pub struct CellArguments<T: Subcommand> {
    /// Which wallet.
    #[command(flatten)]
    purse: PurseFlags,
    /// What to do.
    #[command(subcommand)]
    pub command: T,
}

impl<T: Subcommand> CellArguments<T> {
    /// Lays the flags that were given over the weaker layers.
    pub fn lay_over(&self, settings: &mut Settings) {
        self.purse.lay_over(settings);
    }
}

/// What is done with channels.
#[derive(Debug, Subcommand)]
pub enum ChannelCommand {
    /// List the channels that this wallet pays through, and those that pay it
    Ls,
    /// End one: take what its vouchers say, or take back what is left
    Close {
        /// Its id, or the beginning of it
        channel: String,
    },
}

/// What is done with tills.
#[derive(Debug, Subcommand)]
pub enum TillCommand {
    /// List this wallet's tills and what lies in them
    Ls,
    /// Make a till; `--pass-on TILL:PERCENT` gives a share of what comes in to another
    Make {
        /// A till that gets a share, as TILL:PERCENT; may be repeated
        #[arg(long, value_name = "TILL:PERCENT")]
        pass_on: Vec<String>,
    },
    /// Take out what is settled, and pass the shares on
    PayOut {
        /// Its id, or the beginning of it
        till: String,
    },
    /// From now on paid answers of a model give this till its share, and providers must agree
    Use {
        /// The model
        model: String,
        /// What its creator published, as TILL:PERCENT; may be repeated
        #[arg(required = true, value_name = "TILL:PERCENT")]
        tills: Vec<String>,
    },
}

/// What is done with deeds.
#[derive(Debug, Subcommand)]
pub enum DeedCommand {
    /// List this wallet's deeds
    Ls,
    /// Register a model in this wallet's name
    Make {
        /// The model
        model: String,
    },
    /// Give a deed to somebody
    Transfer {
        /// Its id, or the beginning of it
        deed: String,
        /// To whom: an address
        to: String,
    },
}

/// A model that is published.
#[derive(Debug, Args)]
pub struct PublishArguments {
    /// Which wallet gets the royalties.
    #[command(flatten)]
    purse: PurseFlags,
    /// The model
    pub model: String,
    /// What its creator gets of every paid answer, in per cent
    #[arg(long, value_name = "PERCENT", default_value = "5")]
    pub royalty: String,
    /// Sign the model's files in this folder too: model.sig and model.pub beside them, which the
    /// stock `model-signing` verifies
    #[arg(long, value_name = "DIR")]
    pub folder: Option<std::path::PathBuf>,
    /// The till of a model that this one was made from, as TILL:PERCENT of the royalty; may be
    /// repeated
    #[arg(long, value_name = "TILL:PERCENT")]
    pub made_from: Vec<String>,
}

impl PublishArguments {
    /// Lays the flags that were given over the weaker layers.
    pub fn lay_over(&self, settings: &mut Settings) {
        self.purse.lay_over(settings);
    }
}
