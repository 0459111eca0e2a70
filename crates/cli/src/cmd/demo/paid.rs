//! A paid answer in the demonstration: two providers, a silent death in the middle, a creator and
//! the creator of what it was made from; at the end every base unit is accounted for.
//!
//! Everything but the question itself is done by the verbs that a person would use, each in a
//! process of its own with a home of its own.

use super::money::{Keeper, PASSWORD};
use super::process::{Process, text, this_program};
use super::{LONG, question};
use crate::cmd::run;
use crate::print::Printer;
use anyhow::{Context, ensure};
use mutirao_node::Node;
use mutirao_node::ask::{Answered, Notice};
use mutirao_node::cashier::Cashier;
use mutirao_node::config::Config;
use mutirao_node::ledger::{self, view};
use mutirao_wallet::keystore::Password;
use mutirao_wire::{Amount, PeerKey, Privacy};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Blocks in an epoch of tills: short, so that a demonstration need not wait for one.
const EPOCH: u64 = 4;
/// What the test network gives each of them, in tijolos.
const GIVEN: &str = "3";
/// Tijolos for 1000 tokens: read, written, checked.
const INPUT: Amount = Amount(100_000);
const OUTPUT: Amount = Amount(500_000);
const ATTEST: Amount = Amount(250_000);
/// What the creator gets of every paid answer, in per cent, and its ancestor of that.
const ROYALTY: u64 = 5;
const LINEAGE: u64 = 20;
/// The provider dies once this many tokens were shown.
const TOKENS_BEFORE_DEATH: usize = 40;

/// Somebody with a home and a wallet in it.
struct Person {
    name: &'static str,
    home: PathBuf,
    ledger: String,
}

impl Person {
    fn new(name: &'static str, place: &Path, ledger: &str) -> anyhow::Result<Self> {
        let home = place.join(name);
        std::fs::create_dir_all(&home)?;
        std::fs::write(home.join("password"), PASSWORD)?;
        let person = Self { name, home, ledger: ledger.to_owned() };
        person.does(&["wallet", "new"])?;
        person.does(&["wallet", "faucet", GIVEN])?;
        Ok(person)
    }

    fn command(&self, words: &[&str]) -> anyhow::Result<Command> {
        let mut command = this_program()?;
        command.args(words).args(["--json", "--threads", "1", "--data-dir"]).arg(&self.home);
        command.arg("--password-file").arg(self.home.join("password"));
        command.args(["--ledger", &self.ledger]).stdin(Stdio::null());
        Ok(command)
    }

    /// Runs one verb; what it says.
    fn does(&self, words: &[&str]) -> anyhow::Result<Value> {
        let output = self.command(words)?.output().context("cannot start this program")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let who = self.name;
        ensure!(output.status.success(), "{who}: mutirao {}: {said}", words.join(" "));
        serde_json::from_str(&said).with_context(|| format!("{who} said {said:?}"))
    }

    fn spendable(&self) -> anyhow::Result<u64> {
        number(&self.does(&["wallet", "balance"])?, "spendable")
    }
}

fn number(said: &Value, field: &str) -> anyhow::Result<u64> {
    said[field].as_u64().with_context(|| format!("no {field} in {said}"))
}

/// A provider that wants to be paid.
struct Seller {
    person: Person,
    process: Process,
    key: String,
    ticket: String,
}

impl Seller {
    fn start(person: Person, pace: u32) -> anyhow::Result<Self> {
        let mut command = person.command(&["provide", "--listen", "127.0.0.1:0"])?;
        command.args(["--pace", &pace.to_string()]);
        for (flag, price) in [("input", INPUT), ("output", OUTPUT), ("attest", ATTEST)] {
            let price = price.to_string();
            command.args([format!("--price-{flag}"), price.trim_end_matches(" TJ").to_owned()]);
        }
        command.env("MUTIRAO_RUN_ON_BATTERIES", "true");
        let process = Process::start(&mut command, "a provider")?;
        let (key, ticket) = (process.text("provider")?, process.text("ticket")?);
        Ok(Self { person, process, key, ticket })
    }

    /// Takes what its vouchers say; how much came, and what that cost.
    fn close(&mut self) -> anyhow::Result<(u64, u64)> {
        self.process.kill();
        let channels = self.person.does(&["channel", "ls"])?;
        let mine = channels["channels"].as_array().and_then(|all| all.first());
        let mine = mine.context("the provider has no channel")?;
        let (id, earned) = (text(mine, "channel")?, number(mine, "earned")?);
        let closed = self.person.does(&["channel", "close", &id])?;
        let got = number(&closed, "after")?.checked_sub(number(&closed, "before")?);
        Ok((earned, got.context("closing cost more than it brought")?))
    }
}

/// The whole scene.
pub fn show(config: &Config, pace: u32, printer: Printer) -> anyhow::Result<()> {
    printer.say("\n7. The same story, paid by the token; its provider is killed in the middle.");
    let place = config.data_dir.join("paid");
    std::fs::create_dir_all(&place)?;
    let genesis = place.join("genesis.toml");
    let text = format!(
        "name = \"demo\"\nnetwork = \"test\"\nfee_unit = 10\ntill_epoch = {EPOCH}\n\
         faucet_most = 1000000000\n"
    );
    std::fs::write(&genesis, text)?;
    let keeper = Keeper::start(&place.join("keeper"), Some(&genesis))?;
    let scene = Scene::new(config, &keeper.ticket, pace, printer)?;
    scene.play(printer)
}

struct Scene {
    config: Config,
    place: PathBuf,
    ancestor: Person,
    creator: Person,
    client: Person,
    sellers: Vec<Seller>,
}

impl Scene {
    fn new(config: &Config, ledger: &str, pace: u32, printer: Printer) -> anyhow::Result<Self> {
        let place = config.data_dir.join("paid");
        let person = |name| Person::new(name, &place, ledger);
        let (ancestor, creator, client) = (person("ada")?, person("caio")?, person("bia")?);
        let old = text(&ancestor.does(&["till", "make"])?, "till")?;
        let made_from = format!("{old}:{LINEAGE}");
        let share = ROYALTY.to_string();
        let words = ["publish", "village", "--royalty", &share, "--made-from", &made_from];
        let published = creator.does(&words)?;
        let royalty = format!("{}:{ROYALTY}", text(&published, "till")?);
        printer.say(format!(
            "   Caio published the model: {ROYALTY} % of each answer, {LINEAGE} % of that to Ada"
        ));
        client.does(&["till", "use", "village", &royalty])?;
        let mut sellers = Vec::new();
        for name in ["rosa", "davi"] {
            let seller = person(name)?;
            seller.does(&["till", "use", "village", &royalty])?;
            sellers.push(Seller::start(seller, pace)?);
        }
        let config = config.clone();
        Ok(Self { config, place, ancestor, creator, client, sellers })
    }

    fn play(mut self, printer: Printer) -> anyhow::Result<()> {
        let answered = self.ask(printer)?;
        let paid = self.compare(&answered, printer)?;
        let royalties = self.close(&paid, printer)?;
        self.split(royalties, printer)?;
        self.look(printer)?;
        self.audit(printer)
    }

    /// The question, with a wallet open; whoever answers first is killed.
    fn ask(&mut self, printer: Printer) -> anyhow::Result<Answered> {
        let price = Amount(100_000);
        let node = Node::new(Config {
            data_dir: self.client.home.clone(),
            ledger: Some(self.client.ledger.clone()),
            privacy: Privacy::Circle,
            max_price: price,
            ..self.config.clone()
        });
        node.pay_with(Cashier::open(&node, Password::new(PASSWORD.into()))?);
        let sellers = &mut self.sellers;
        crate::cmd::runtime()?.block_on(async {
            for seller in sellers.iter() {
                node.join(&seller.ticket.parse()?).await?;
            }
            printer.say(format!("   > {LONG}"));
            printer.part("   ");
            let (mut answering, mut shown) = (None::<PeerKey>, 0);
            let mut watch = |notice: Notice| {
                run::show(&notice, printer);
                match notice {
                    Notice::Asking { provider } => answering = Some(provider),
                    Notice::Text { .. } => {
                        shown += 1;
                        let key = answering.map(|key| key.to_string()).unwrap_or_default();
                        let found = sellers.iter_mut().find(|seller| seller.key == key);
                        if let Some(seller) = found.filter(|_| shown == TOKENS_BEFORE_DEATH) {
                            seller.process.kill();
                        }
                    }
                    Notice::Lost { .. } | Notice::Chose { .. } => {}
                }
            };
            let answered = node.ask(&question(LONG), &mut watch).await?;
            printer.say("");
            printer.say(format!(" {}", run::summary(&answered)));
            Ok(answered)
        })
    }

    /// Both were paid for exactly their part.
    fn compare(&self, answered: &Answered, printer: Printer) -> anyhow::Result<Vec<(usize, u64)>> {
        ensure!(answered.payments.len() == 2, "{:?}", answered.payments);
        let part = |price: Amount, tokens: u64| price.per_thousand(tokens).map_or(0, |it| it.0);
        let read = part(INPUT, answered.prompt_tokens.into());
        let mut paid = Vec::new();
        for payment in &answered.payments {
            let key = payment.provider.to_string();
            let who = self.sellers.iter().position(|seller| seller.key == key);
            paid.push((who.context("somebody else was paid")?, payment.paid.0));
        }
        let [first, second] = &answered.payments[..] else { unreachable!("there are two") };
        let signed = first.paid.0.checked_sub(read).map(|written| written / part(OUTPUT, 1));
        let signed = signed.context("the first was paid for less than reading")?;
        ensure!(first.paid.0 == read + part(OUTPUT, signed), "not a whole number of tokens");
        ensure!(signed >= 32 && signed.is_multiple_of(16), "{signed} tokens were signed");
        let receipt: Value = serde_json::from_str(&answered.receipt_json)?;
        let price = receipt["about"]["price"].as_str().unwrap_or_default();
        ensure!(price == second.paid.to_string(), "the receipt says {price}");
        printer.say(format!(
            "   the first was paid {} for reading and the {signed} tokens it had signed, the \
             second {} as its receipt says",
            first.paid, second.paid
        ));
        Ok(paid)
    }

    /// Both providers take what their vouchers say, though one of them is dead.
    fn close(&mut self, paid: &[(usize, u64)], printer: Printer) -> anyhow::Result<u64> {
        let mut royalties = 0;
        for (who, paid) in paid {
            let seller = &mut self.sellers[*who];
            let (earned, got) = seller.close()?;
            ensure!(earned == *paid, "{earned} in vouchers, {paid} paid");
            let royalty = paid * ROYALTY / 100;
            royalties += royalty;
            let (name, royalty) = (seller.person.name, Amount(royalty));
            let (paid, got) = (Amount(*paid), Amount(got));
            printer.say(format!(
                "   {name} closes: {paid} less {royalty} royalty and the fee, {got} come"
            ));
        }
        let channels = self.client.does(&["channel", "ls"])?;
        for channel in channels["channels"].as_array().into_iter().flatten() {
            let back = self.client.does(&["channel", "close", &text(channel, "channel")?])?;
            let came = number(&back, "after")?.saturating_sub(number(&back, "before")?);
            printer.say(format!("   bia takes back what is left: {}", Amount(came)));
        }
        Ok(royalties)
    }

    /// An epoch later the creator takes its share, and its ancestor a part of that.
    fn split(&self, royalties: u64, printer: Printer) -> anyhow::Result<()> {
        let passed_on = royalties * LINEAGE / 100;
        let mut sum = 0;
        for (person, wanted) in
            [(&self.creator, royalties - passed_on), (&self.ancestor, passed_on)]
        {
            (0..EPOCH)
                .try_for_each(|_| self.client.does(&["wallet", "faucet", "0.001"]).map(drop))?;
            let tills = person.does(&["till", "ls"])?;
            let till = tills["tills"].as_array().and_then(|all| all.first());
            let till = text(till.context("no till")?, "till")?;
            let came = number(&person.does(&["till", "pay-out", &till])?, "paid_out")?;
            ensure!(came == wanted, "{} got {came}, not {wanted}", person.name);
            printer.say(format!("   {} takes {} out of the till", person.name, Amount(came)));
            sum += came;
        }
        ensure!(sum == royalties, "{sum} of {royalties} royalties were split");
        Ok(())
    }

    /// The same block, seen by its owner and by a stranger.
    fn look(&self, printer: Printer) -> anyhow::Result<()> {
        let blocks = self.place.join("blocks");
        super::money::fetch(&self.config, &self.client.ledger, &blocks)?;
        let history = self.creator.does(&["wallet", "history"])?;
        let lines = history["history"].as_array().context("no history")?;
        let line = lines.iter().rfind(|line| {
            line["memo"].as_str().is_some_and(|memo| memo.starts_with("paid out till"))
        });
        let line = line.context("the payout is not in the history")?;
        let height = number(line, "block")?;
        printer.say(format!("   block {height}, as Caio sees it: {}", text(line, "memo")?));
        let seen = view::outsider(&blocks)?;
        let block = seen.blocks.iter().find(|block| block.height == height);
        for transaction in &block.context("no such block")?.transactions {
            printer.say(format!(
                "   and as a stranger does: {} bytes, {} note in, {} out, fee {}",
                transaction.bytes, transaction.spends, transaction.outputs, transaction.fee
            ));
        }
        let leaks = view::leaks(&blocks)?;
        ensure!(leaks.findings.is_empty(), "the ledger gives away: {:?}", leaks.findings);
        Ok(())
    }

    /// Nothing came from nowhere and nothing went there.
    fn audit(&self, printer: Printer) -> anyhow::Result<()> {
        let audit = ledger::audit_file(&self.place.join("blocks"))?;
        let sellers = self.sellers.iter().map(|seller| &seller.person);
        let mut sum = 0;
        for person in [&self.ancestor, &self.creator, &self.client].into_iter().chain(sellers) {
            sum += person.spendable()?;
        }
        ensure!(audit.supply.0 == sum, "{} in the ledger, {sum} in wallets", audit.supply);
        printer.say(format!("   supply audit: exact; {} in five wallets", Amount(sum)));
        Ok(())
    }
}
