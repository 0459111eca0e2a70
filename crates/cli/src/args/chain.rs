//! The words of `mutirao chain`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Chores of a ledger.
#[derive(Debug, Subcommand)]
pub enum ChainCommand {
    /// Keep a ledger and let others ask it: prints the ticket by which wallets reach it
    Run(RunChainArguments),
    /// Say where a ledger stands
    Status(FromArguments),
    /// Recompute the supply from what is stored and from every block
    Audit {
        /// A file of blocks, instead of the ledger of this home
        #[arg(long, value_name = "FILE")]
        blocks: Option<PathBuf>,
    },
    /// Name every byte of every block, and look for what gives somebody away
    Leaks {
        /// A file of blocks; without, the ledger of this home
        file: Option<PathBuf>,
    },
    /// Say what a stranger sees who has a file of blocks and nothing else
    Outsider {
        /// The file of blocks
        file: PathBuf,
        /// Each transaction, and not the sums alone
        #[arg(long)]
        all: bool,
    },
    /// Write all blocks into a file
    Export {
        /// The file
        file: PathBuf,
        /// From where
        #[command(flatten)]
        from: FromArguments,
    },
    /// Write the state into a file, for a machine that starts in the middle
    Snapshot {
        /// The file
        file: PathBuf,
    },
    /// Begin the ledger of this home with a snapshot
    Restore {
        /// The file
        file: PathBuf,
        /// The chain that it must be of, from somebody whom you trust
        #[arg(long, value_name = "ID")]
        chain: String,
        /// The block that it must be of, from somebody whom you trust
        #[arg(long, value_name = "ID")]
        block: String,
    },
}

/// How a ledger is kept.
#[derive(Debug, Args)]
pub struct RunChainArguments {
    /// What the chain begins with; without, a test network of its own
    #[arg(long, value_name = "FILE")]
    pub genesis: Option<PathBuf>,
    /// Milliseconds that a block waits for more transactions
    #[arg(long, value_name = "MS", default_value_t = 200)]
    pub gather_ms: u64,
}

/// Whose ledger.
#[derive(Debug, Args)]
pub struct FromArguments {
    /// The ticket of a ledger somewhere else; without, the one of this home
    #[arg(long, value_name = "TICKET")]
    pub from: Option<String>,
}
