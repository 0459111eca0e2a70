//! Money in the demonstration: one pays another, and a stranger with every block sees nothing of
//! it.
//!
//! The ledger runs as a process of its own and is reached over QUIC on loopback.

use super::process::{Process, this_program};
use crate::print::Printer;
use anyhow::{Context, ensure};
use mutirao_ledger::key::SubaddressIndex;
use mutirao_ledger::key::address::Network;
use mutirao_ledger::note::memo::Memo;
use mutirao_ledger::note::{Payment, To};
use mutirao_node::Node;
use mutirao_node::config::Config;
use mutirao_node::ledger::{self, view};
use mutirao_node::purse::{self, Purse, Reach};
use mutirao_wallet::keys::Keys;
use mutirao_wallet::keystore::Password;
use mutirao_wallet::send::Order;
use mutirao_wire::Amount;
use std::ffi::OsStr;
use std::path::Path;

/// What the test network gives.
const GIVEN: Amount = Amount(100_000_000);
/// What is paid.
const PAID: Amount = Amount(12_345_678);
/// What is said with it.
const WORDS: &str = "for the bricks";
/// Protects wallets that live for a minute.
pub(super) const PASSWORD: &str = "only for this demonstration";

/// The process that keeps the ledger; it ends with this value.
pub(super) struct Keeper {
    _process: Process,
    pub(super) ticket: String,
}

impl Keeper {
    pub(super) fn start(data: &Path, genesis: Option<&Path>) -> anyhow::Result<Self> {
        let genesis = genesis.map(|file| [OsStr::new("--genesis"), file.as_os_str()]);
        let mut command = this_program()?;
        command
            .args(["chain", "run", "--json", "--gather-ms", "20", "--threads", "1"])
            .args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .args(genesis.into_iter().flatten());
        let process = Process::start(&mut command, "a ledger")?;
        let ticket = process.text("ticket")?;
        Ok(Self { _process: process, ticket })
    }
}

/// Somebody with a wallet and a way to the ledger.
struct Person {
    purse: Purse,
    reach: Reach,
}

impl Person {
    fn new(config: &Config, name: &str, ticket: &str) -> anyhow::Result<Self> {
        let data_dir = config.data_dir.join(name);
        let ledger = Some(ticket.to_owned());
        let node = Node::new(Config { data_dir, ledger, ..config.clone() });
        let (keys, password) = (Keys::new(purse::fresh_words()?), Password::new(PASSWORD.into()));
        let purse = Purse::create(&node, Network::Test, keys, 0, &password)?;
        let reach = Reach::find(&node)?;
        Ok(Self { purse, reach })
    }

    fn balance(&mut self) -> anyhow::Result<Amount> {
        self.purse.read(&mut self.reach)?;
        Ok(self.purse.wallet().balance().spendable)
    }
}

/// One pays the other, a stranger looks, and the supply is added up.
pub fn show(config: &Config, printer: Printer) -> anyhow::Result<()> {
    printer.say("\n6. Money: Ana pays Rui, and a stranger holds every byte of the ledger.");
    let keeper = Keeper::start(&config.data_dir.join("keeper"), None)?;
    let mut ana = Person::new(config, "ana", &keeper.ticket)?;
    let mut rui = Person::new(config, "rui", &keeper.ticket)?;
    ana.purse.faucet(GIVEN, &mut ana.reach)?;
    printer.say(format!("   the test network gives Ana {}", ana.balance()?));

    let address = rui.purse.wallet().address(SubaddressIndex::MAIN);
    let (to, memo) = (To::Address(address), Memo::new(WORDS.as_bytes())?);
    let draft = ana.purse.prepare(&Order::pay(Payment { to, amount: PAID, memo }))?;
    let fee = draft.fee();
    ana.purse.send(draft, &mut ana.reach)?;
    let (left, came) = (ana.balance()?, rui.balance()?);
    ensure!(came == PAID, "Rui has {came} instead of {PAID}");
    let said = rui.purse.wallet().history().pop().map(|line| line.memo);
    ensure!(said.as_deref() == Some(WORDS), "the words did not arrive");
    printer.say(format!("   Ana pays {PAID} and a fee of {fee}; Rui reads \"{WORDS}\""));

    let blocks = config.data_dir.join("blocks");
    fetch(config, &keeper.ticket, &blocks)?;
    stranger(&blocks, &[WORDS.as_bytes(), &PAID.0.to_le_bytes()], printer)?;
    let audit = ledger::audit_file(&blocks)?;
    let both = Amount(left.0 + came.0);
    ensure!(audit.supply == both, "{} in the ledger, {both} in the wallets", audit.supply);
    printer.say(format!("   supply audit: exact; {both} left, all of it in the two wallets"));
    Ok(())
}

pub(super) fn fetch(config: &Config, ticket: &str, blocks: &Path) -> anyhow::Result<()> {
    let node = Node::new(config.clone());
    super::super::runtime()?.block_on(async {
        let mut remote = node.remote_ledger(&ticket.parse()?).await?;
        let written = view::export_from(&mut remote, blocks).await;
        remote.close().await;
        written?;
        Ok(())
    })
}

/// Counts, sizes, fees; no amount, no owner, no word.
fn stranger(blocks: &Path, secrets: &[&[u8]], printer: Printer) -> anyhow::Result<()> {
    let seen = view::outsider(blocks)?;
    let payment = seen.transactions().last().context("no transaction")?;
    printer.say(format!(
        "   a stranger sees {} transactions, the last of {} bytes: {} note in, {} out, fee {}",
        seen.transactions().count(),
        payment.bytes,
        payment.spends,
        payment.outputs,
        payment.fee
    ));
    let leaks = view::leaks(blocks)?;
    ensure!(leaks.findings.is_empty(), "the ledger gives away: {:?}", leaks.findings);
    let bytes = std::fs::read(blocks)?;
    for secret in secrets {
        let there = bytes.windows(secret.len()).any(|window| window == *secret);
        ensure!(!there, "a secret stands in the blocks");
    }
    printer
        .say(format!("   and in all {} bytes neither amount nor words nor address", bytes.len()));
    Ok(())
}
