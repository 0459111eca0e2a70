//! `mutirao wallet`: keep, receive, send, show.

mod pay;
pub(super) mod secret;
pub(super) mod show;

use crate::args::wallet::{NetworkName, TierName, WalletArguments, WalletCommand};
use crate::print::Printer;
use anyhow::{Context, anyhow};
use mutirao_ledger::key::SubaddressIndex;
use mutirao_ledger::key::address::{Network, PaymentLink, parse_amount};
use mutirao_node::Node;
use mutirao_node::purse::{self, Purse, Reach};
use mutirao_wallet::keys::{Keys, Tier, ViewKey};
use mutirao_wallet::proof;
use mutirao_wallet::words::Words;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

/// Does what was said.
pub fn run(node: &Node, wallet: &WalletArguments, printer: Printer) -> anyhow::Result<ExitCode> {
    let desk = Desk { node, rescan: wallet.rescan, printer };
    match &wallet.command {
        WalletCommand::New { network } => desk.new_wallet(network_of(*network)),
        WalletCommand::Restore { from, network } => {
            desk.restore(from.as_deref(), network_of(*network))
        }
        WalletCommand::Address { new, number, amount, memo } => {
            desk.address(*new, *number, amount.as_deref(), memo.clone())
        }
        WalletCommand::Balance { offline } => desk.balance(*offline),
        WalletCommand::Faucet { amount } => desk.faucet(amount),
        WalletCommand::Send(send) => pay::run(&desk, send),
        WalletCommand::History { csv, offline } => desk.history(csv.as_deref(), *offline),
        WalletCommand::Prove { tx, question, output } => desk.prove(tx, question, *output),
        WalletCommand::Check { proof, question } => {
            desk.check(proof.as_deref(), question.as_deref())
        }
        WalletCommand::Export { view, words, to } => desk.export(*view, *words, to.as_deref()),
        WalletCommand::Password { new_file } => desk.password(new_file.as_deref()),
    }
}

fn network_of(name: NetworkName) -> Network {
    match name {
        NetworkName::Test => Network::Test,
        NetworkName::Main => Network::Main,
    }
}

/// What every verb needs.
pub(super) struct Desk<'a> {
    pub(super) node: &'a Node,
    pub(super) rescan: bool,
    pub(super) printer: Printer,
}

impl Desk<'_> {
    pub(super) fn open(&self) -> anyhow::Result<Purse> {
        let folder = self.node.wallet_folder();
        // Nobody is asked for the password of nothing.
        if !mutirao_wallet::shelf::Shelf::is_there(&folder) {
            return Err(mutirao_wallet::shelf::ShelfError::NoWallet { path: folder }.into());
        }
        let password = secret::password(self.node, false)?;
        Ok(Purse::open(self.node, &password, self.rescan)?)
    }

    /// Opens the wallet and reads its ledger.
    pub(super) fn caught_up(&self) -> anyhow::Result<(Purse, Reach)> {
        let mut purse = self.open()?;
        let mut reach = Reach::find(self.node)?;
        purse.read(&mut reach)?;
        self.node.remember_ledger()?;
        Ok((purse, reach))
    }

    fn maybe_caught_up(&self, offline: bool) -> anyhow::Result<Purse> {
        if offline { self.open() } else { Ok(self.caught_up()?.0) }
    }

    fn new_wallet(&self, network: Network) -> anyhow::Result<ExitCode> {
        let words = purse::fresh_words()?;
        let password = secret::password(self.node, true)?;
        let keys = Keys::new(words.clone());
        let purse = Purse::create(self.node, network, keys, 0, &password)?;
        let printer = self.printer;
        let (text, address) = (words.reveal(), purse.wallet().address(SubaddressIndex::MAIN));
        printer
            .say("These 24 words are the wallet. Write them on paper, in this order; whoever has");
        printer.say("them has the money, and without them a lost disk is lost money.\n");
        show::words(&text, printer);
        printer.say(format!("\nYour address: {address}"));
        printer.say("Next: mutirao wallet balance");
        printer.object(&json!({ "words": *text, "address": address.to_string() }));
        Ok(ExitCode::SUCCESS)
    }

    fn restore(&self, from: Option<&Path>, network: Network) -> anyhow::Result<ExitCode> {
        let text = secret::words_or_key(from)?;
        let text = text.trim();
        let (network, keys, issued) = if text.starts_with("mutview1") || text.starts_with("muttv") {
            let view: ViewKey = text.parse()?;
            (view.network, view.keys().clone(), view.issued)
        } else {
            (network, Keys::new(Words::parse(text)?), 0)
        };
        let password = secret::password(self.node, true)?;
        let purse = Purse::create(self.node, network, keys, issued, &password)?;
        let (wallet, printer) = (purse.wallet(), self.printer);
        let (tier, address) = (wallet.tier(), wallet.address(SubaddressIndex::MAIN));
        let sees = match tier {
            Tier::Spend => "it can spend",
            Tier::Balance => "it sees the balance and cannot spend",
            Tier::Receive => "it sees what arrives and cannot spend",
        };
        printer.say(format!("The wallet is here; {sees}."));
        printer.say(format!("Its address: {address}"));
        printer.say("Next: mutirao wallet balance, which reads the ledger from the beginning");
        printer.object(&json!({ "tier": tier.name(), "address": address.to_string() }));
        Ok(ExitCode::SUCCESS)
    }

    fn address(
        &self,
        new: bool,
        number: Option<u64>,
        amount: Option<&str>,
        memo: Option<String>,
    ) -> anyhow::Result<ExitCode> {
        let mut purse = self.open()?;
        let known = purse.wallet().book().issued;
        let index = match (new, number) {
            (true, _) => purse.new_address()?.0,
            (_, Some(number)) if number > known => {
                let hint = "make the next one with --new";
                return Err(anyhow!(
                    "subaddress {number} was not given away, only {known}; {hint}"
                ));
            }
            (_, number) => SubaddressIndex(number.unwrap_or(0)),
        };
        let address = purse.wallet().address(index);
        let amount = amount.map(|text| parse_amount(text).context(pay::AMOUNT)).transpose()?;
        let link = (amount.is_some() || memo.is_some())
            .then(|| PaymentLink { address, amount, memo }.to_string());
        self.printer.say(link.clone().unwrap_or_else(|| address.to_string()));
        self.printer.object(&json!({
            "address": address.to_string(), "number": index.0, "link": link,
        }));
        Ok(ExitCode::SUCCESS)
    }

    fn balance(&self, offline: bool) -> anyhow::Result<ExitCode> {
        let purse = self.maybe_caught_up(offline)?;
        show::balance(purse.wallet(), self.printer);
        Ok(ExitCode::SUCCESS)
    }

    fn faucet(&self, amount: &str) -> anyhow::Result<ExitCode> {
        let amount = parse_amount(amount).context(pay::AMOUNT)?;
        let (mut purse, mut reach) = self.caught_up()?;
        let id = purse.faucet(amount, &mut reach)?;
        purse.read(&mut reach)?;
        self.printer.say(format!("{amount} came, in transaction {id}"));
        let spendable = purse.wallet().balance().spendable;
        self.printer.object(&json!({ "tx": id.0.hex(), "spendable": spendable.0 }));
        Ok(ExitCode::SUCCESS)
    }

    fn history(&self, csv: Option<&Path>, offline: bool) -> anyhow::Result<ExitCode> {
        let purse = self.maybe_caught_up(offline)?;
        let lines = purse.wallet().history();
        let Some(file) = csv else {
            show::history(&lines, self.printer);
            return Ok(ExitCode::SUCCESS);
        };
        let table = mutirao_wallet::history::table(&lines)?;
        if file == Path::new("-") {
            self.printer.part(&table);
        } else {
            secret::write_new(file, table.as_bytes())?;
            self.printer.say(format!("{} lines in {}", lines.len(), file.display()));
        }
        self.printer.object(&json!({ "lines": lines.len(), "table": table }));
        Ok(ExitCode::SUCCESS)
    }

    fn prove(&self, tx: &str, question: &str, output: Option<u8>) -> anyhow::Result<ExitCode> {
        let (mut purse, mut reach) = self.caught_up()?;
        let sendings = purse.wallet().book().sendings();
        let is_it = |id: &String| id.starts_with(&tx.to_ascii_lowercase());
        let ids = sendings.iter().map(|sending| (sending.id, sending.id.0.hex()));
        let found: Vec<_> = ids.filter(|(_, hex)| is_it(hex)).collect();
        let [(id, _)] = &found[..] else {
            return Err(anyhow!(
                "{} payments of this wallet begin with {tx:?}; `mutirao wallet history` lists them",
                found.len()
            ));
        };
        let shown = purse.prove(*id, output, &proof::question(question), &mut reach)?;
        self.printer.say(shown.to_string());
        self.printer.object(&json!({
            "proof": shown.to_string(), "tx": id.0.hex(), "amount": shown.proof.amount.0,
            "address": shown.proof.address.to_string(),
        }));
        Ok(ExitCode::SUCCESS)
    }

    fn check(&self, shown: Option<&str>, question: Option<&str>) -> anyhow::Result<ExitCode> {
        let printer = self.printer;
        let Some(shown) = shown else {
            let question = purse::fresh_question()?;
            printer.say("Ask them to run, with the id of the payment:");
            printer.say(format!("  mutirao wallet prove <id> --question {question}"));
            printer.say("and check what they send you:");
            printer.say(format!("  mutirao wallet check <proof> --question {question}"));
            printer.object(&json!({ "question": question }));
            return Ok(ExitCode::SUCCESS);
        };
        let question = question.context("say what you asked: --question <text>")?;
        let shown: proof::Shown = shown.trim().parse()?;
        let mut reach = Reach::find(self.node)?;
        match proof::check(&shown, &proof::question(question), &mut reach) {
            Ok(checked) => {
                printer.say(format!(
                    "paid: {} to {}, in block {}",
                    checked.amount, checked.address, checked.height.0
                ));
                printer.object(&json!({
                    "paid": true, "amount": checked.amount.0, "block": checked.height.0,
                    "address": checked.address.to_string(), "tx": shown.tx.0.hex(),
                }));
                Ok(ExitCode::SUCCESS)
            }
            Err(proof::CheckError::Unreachable(error)) => Err(error.into()),
            Err(refused) => {
                printer.say(format!("not shown: {refused}"));
                printer.object(&json!({ "paid": false, "why": refused.to_string() }));
                Ok(ExitCode::from(super::exit::REFUSED))
            }
        }
    }

    fn export(
        &self,
        view: Option<TierName>,
        words: bool,
        to: Option<&Path>,
    ) -> anyhow::Result<ExitCode> {
        let purse = self.open()?;
        let wallet = purse.wallet();
        let (what, text) = match view {
            _ if words => {
                let spender = wallet.spender().context("this wallet has no words: it only sees")?;
                ("words", spender.words().reveal())
            }
            Some(TierName::Receive) => ("view", wallet.view_key(Tier::Receive)?.reveal()),
            _ => ("view", wallet.view_key(Tier::Balance)?.reveal()),
        };
        match to {
            Some(file) => {
                secret::write_new(file, format!("{}\n", *text).as_bytes())?;
                self.printer.say(format!("written to {}", file.display()));
                self.printer.object(&json!({ "file": file.display().to_string() }));
            }
            None => {
                self.printer.say(&*text);
                self.printer.object(&json!({ what: *text }));
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn password(&self, new_file: Option<&Path>) -> anyhow::Result<ExitCode> {
        let mut purse = self.open()?;
        let password = secret::new_password(new_file)?;
        purse.change_password(&password)?;
        self.printer
            .say("The wallet has another password. Copies of the old file keep the old one.");
        self.printer.object(&json!({ "password": "changed" }));
        Ok(ExitCode::SUCCESS)
    }
}
