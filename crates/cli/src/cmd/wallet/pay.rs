//! `mutirao wallet send`: what it costs is shown before anything leaves.

use super::Desk;
use super::show::tijolos;
use crate::args::wallet::{LevelName, SendArguments};
use anyhow::{Context, anyhow, ensure};
use mutirao_ledger::key::address::{Address, PaymentLink, parse_amount};
use mutirao_ledger::note::memo::Memo;
use mutirao_ledger::note::{Payment, To};
use mutirao_ledger::rules::FeeLevel;
use mutirao_node::purse::{Purse, Reach};
use mutirao_wallet::book::State;
use mutirao_wallet::send::{Draft, Order};
use mutirao_wire::Amount;
use serde_json::json;
use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What an amount looks like.
pub(super) const AMOUNT: &str = "an amount is a number of tijolos, such as 12 or 0.25";
/// How often a ledger is asked whether a block has come.
const STEP: Duration = Duration::from_millis(200);

/// Makes it ready, shows the fee, asks, sends.
pub(super) fn run(desk: &Desk<'_>, send: &SendArguments) -> anyhow::Result<ExitCode> {
    let level = level_of(send.level);
    let wish = if send.join { None } else { Some(payment(send)?) };
    let (mut purse, mut reach) = desk.caught_up()?;
    let draft = match wish {
        None => purse.prepare_join(level)?,
        Some(payment) => {
            let order = Order { payments: vec![payment], plans: Vec::new(), level };
            if send.all { purse.prepare_all(&order)? } else { purse.prepare(&order)? }
        }
    };
    announce(&draft, desk);
    if !send.yes && !agreed(desk)? {
        desk.printer.say("Nothing was sent.");
        return Ok(ExitCode::from(super::super::exit::REFUSED));
    }
    let paid: u64 = draft.paid().iter().map(|paid| paid.opening.amount.0).sum();
    let fee = draft.fee();
    let id = purse.send(draft, &mut reach)?;
    let block = wait(&mut purse, &mut reach, id, Duration::from_secs(send.wait))?;
    match block {
        Some(block) => desk.printer.say(format!("sent: {id}, in block {block}")),
        None => desk.printer.say(format!("sent: {id}; it waits for a block")),
    }
    desk.printer.object(&json!({
        "tx": id.0.hex(), "amount": paid, "fee": fee.0, "block": block,
    }));
    Ok(ExitCode::SUCCESS)
}

fn level_of(name: LevelName) -> FeeLevel {
    match name {
        LevelName::Normal => FeeLevel::Normal,
        LevelName::Soon => FeeLevel::Soon,
        LevelName::Fast => FeeLevel::Fast,
        LevelName::Now => FeeLevel::Now,
    }
}

/// An address or a link, with what the arguments add.
fn payment(send: &SendArguments) -> anyhow::Result<Payment> {
    let to = send.to.as_deref().context("say to whom: an address or a payment link")?;
    let link = match to.starts_with("mutirao:") {
        true => to.parse::<PaymentLink>()?,
        false => PaymentLink { address: to.parse::<Address>()?, amount: None, memo: None },
    };
    let said = send.amount.as_deref().map(|text| parse_amount(text).context(AMOUNT)).transpose()?;
    let amount = match (said, link.amount) {
        (Some(said), Some(asked)) if said != asked => {
            return Err(anyhow!("the link asks for {asked}, and you say {said}; leave one out"));
        }
        (None, None) if send.all => Amount(1),
        (said, asked) => said.or(asked).context("say how much, in tijolos")?,
    };
    ensure!(
        !(send.all && link.amount.is_some()),
        "the link asks for an amount, and --all is another; leave one out"
    );
    let memo = send.memo.clone().or(link.memo).unwrap_or_default();
    let memo = Memo::new(memo.as_bytes())?;
    Ok(Payment { to: To::Address(link.address), amount, memo })
}

fn announce(draft: &Draft, desk: &Desk<'_>) {
    for paid in draft.paid() {
        desk.printer.say(format!("{} to {}", paid.opening.amount, paid.address));
    }
    if draft.paid().is_empty() {
        desk.printer.say(format!("{} notes into one", draft.inputs()));
    }
    let (fee, back) = (tijolos(draft.fee()), tijolos(draft.returns()));
    desk.printer.say(format!("fee {fee}, {back} come back as change"));
}

/// Whether the person agrees. Nobody to ask is no agreement.
fn agreed(desk: &Desk<'_>) -> anyhow::Result<bool> {
    let input = std::io::stdin();
    ensure!(
        input.is_terminal() && !desk.printer.json,
        "nobody is here to ask whether the fee is right; say --yes if it is"
    );
    let mut errors = std::io::stderr();
    write!(errors, "Send it? [y/N] ")?;
    errors.flush()?;
    let mut line = String::new();
    input.lock().read_line(&mut line)?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes" | "s" | "sim"))
}

/// The block that it stands in, once there is one.
fn wait(
    purse: &mut Purse,
    reach: &mut Reach,
    id: mutirao_ledger::tx::TxId,
    patience: Duration,
) -> anyhow::Result<Option<u64>> {
    let began = Instant::now();
    while began.elapsed() < patience {
        purse.read(reach)?;
        match purse.wallet().book().sending(id).map(|sending| &sending.state) {
            Some(State::Confirmed(height)) => return Ok(Some(height.0)),
            Some(State::Waiting) => std::thread::sleep(STEP),
            _ => break,
        }
    }
    Ok(None)
}
