//! The words of `mutirao wallet`.

use super::paying::PurseFlags;
use clap::{Args, Subcommand, ValueEnum};
use mutirao_node::config::Settings;
use std::path::PathBuf;

/// What is done with which wallet.
#[derive(Debug, Args)]
pub struct WalletArguments {
    /// Which wallet.
    #[command(flatten)]
    purse: PurseFlags,
    /// Forget what was read and read everything anew
    #[arg(long, global = true)]
    pub rescan: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: WalletCommand,
}

impl WalletArguments {
    /// Lays the flags that were given over the weaker layers.
    pub fn lay_over(&self, settings: &mut Settings) {
        self.purse.lay_over(settings);
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum WalletCommand {
    /// Make a wallet and show its 24 words, once
    New {
        /// Which network it is for
        #[arg(long, value_enum, default_value = "test")]
        network: NetworkName,
    },
    /// Make a wallet from its 24 words, or from a view key
    Restore {
        /// A file with the words or the view key; else they are asked for
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// Which network it is for; a view key says it itself
        #[arg(long, value_enum, default_value = "test")]
        network: NetworkName,
    },
    /// Show where to be paid
    Address {
        /// A fresh one, that nobody can connect with the others
        #[arg(long)]
        new: bool,
        /// The one of this number
        #[arg(long, value_name = "N", conflicts_with = "new")]
        number: Option<u64>,
        /// Ask for so many tijolos, as a link
        #[arg(long, value_name = "TJ")]
        amount: Option<String>,
        /// Ask for these words to come with it, as a link
        #[arg(long, value_name = "TEXT")]
        memo: Option<String>,
    },
    /// Read the ledger and say how much there is
    Balance {
        /// Do not read, say what was known
        #[arg(long)]
        offline: bool,
    },
    /// Ask a test network for tijolos; how many is public
    Faucet {
        /// How many
        amount: String,
    },
    /// Pay
    Send(SendArguments),
    /// List what came and went
    History {
        /// As comma-separated values into this file, or - for standard output
        #[arg(long, value_name = "FILE")]
        csv: Option<PathBuf>,
        /// Do not read, say what was known
        #[arg(long)]
        offline: bool,
    },
    /// Show a payment of yours to somebody who doubts it
    Prove {
        /// The transaction: its id, or the beginning of it
        tx: String,
        /// What whoever doubts asked, word for word
        #[arg(long, value_name = "TEXT")]
        question: String,
        /// Which output, where it paid several
        #[arg(long, value_name = "N")]
        output: Option<u8>,
    },
    /// Check a payment that somebody shows; takes no wallet
    Check {
        /// What they showed; nothing prints a question to ask them
        proof: Option<String>,
        /// What you asked, word for word
        #[arg(long, value_name = "TEXT", requires = "proof")]
        question: Option<String>,
    },
    /// Write out the words, or keys that see and do not spend
    Export {
        /// Keys that see what arrives, or the balance as well
        #[arg(long, value_enum, value_name = "TIER", required_unless_present = "words")]
        view: Option<TierName>,
        /// The 24 words
        #[arg(long, conflicts_with = "view")]
        words: bool,
        /// Into a new file for your eyes alone
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Put the wallet under another password
    Password {
        /// Read the new password from the first line of this file; else it is asked for
        #[arg(long, value_name = "FILE")]
        new_file: Option<PathBuf>,
    },
}

/// A payment.
#[derive(Debug, Args)]
pub struct SendArguments {
    /// An address, or a payment link
    #[arg(required_unless_present = "join")]
    pub to: Option<String>,
    /// How many tijolos; a link may say it
    pub amount: Option<String>,
    /// Words for the payee; a link may say them
    #[arg(long, value_name = "TEXT")]
    pub memo: Option<String>,
    /// How urgent: each level costs twice the one before
    #[arg(long, value_enum, default_value = "normal")]
    pub level: LevelName,
    /// All there is, less the fee
    #[arg(long, conflicts_with = "amount")]
    pub all: bool,
    /// Join small notes into one instead of paying
    #[arg(long, conflicts_with_all = ["to", "amount", "memo", "all"])]
    pub join: bool,
    /// Do not ask whether the fee is right
    #[arg(long)]
    pub yes: bool,
    /// Wait up to so many seconds until it stands in a block
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub wait: u64,
}

/// A network, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NetworkName {
    /// Value for play
    Test,
    /// Value that counts
    Main,
}

/// A tier below spending, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TierName {
    /// Sees what arrives
    Receive,
    /// Also sees what leaves
    Balance,
}

/// How urgent, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LevelName {
    /// When there is room
    Normal,
    /// Twice that
    Soon,
    /// Four times
    Fast,
    /// Eight times
    Now,
}
