//! `mutirao channel`, `till`, `deed`, `publish`: what a wallet has on the ledger beside notes.

use super::wallet::Desk;
use super::wallet::secret;
use crate::args::paying::{ChannelCommand, DeedCommand, PublishArguments, TillCommand};
use crate::print::Printer;
use anyhow::{Context, anyhow, ensure};
use mutirao_ledger::build::Plan;
use mutirao_ledger::cell::channel::Phase;
use mutirao_ledger::cell::deed::{RegisterPlan, TransferPlan};
use mutirao_ledger::cell::till::{Share, WHOLE};
use mutirao_ledger::cell::{Cell, CellId};
use mutirao_ledger::key::address::Address;
use mutirao_ledger::note::To;
use mutirao_ledger::tx::TxId;
use mutirao_node::cashier::{self, Cashier};
use mutirao_node::purse::{Purse, Reach};
use mutirao_node::{Node, files};
use mutirao_signing::{Bundle, Manifest, PublicKey, SigningKey};
use mutirao_wallet::cells::Told;
use mutirao_wallet::send::{Draft, Order};
use mutirao_wire::Privacy;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

/// The signature over a model's files, as the stock tool names it.
const SIGNATURE: &str = "model.sig";
/// The key to check it with.
const PUBLIC_KEY: &str = "model.pub";

/// Opens the wallet where an answer of the network may cost something.
pub fn pay_for_answers(node: &Node) -> anyhow::Result<()> {
    open_if(node, pays(node))
}

/// Opens the wallet where a request to an address may cost something.
pub fn pay_for_requests(node: &Node) -> anyhow::Result<()> {
    open_if(node, node.config().max_price.0 > 0)
}

/// Opens the wallet where answers have a price.
pub fn sell_answers(node: &Node) -> anyhow::Result<()> {
    open_if(node, !node.config().prices.are_free())
}

/// Opens the wallet where either is so.
pub fn pay_and_sell(node: &Node) -> anyhow::Result<()> {
    open_if(node, pays(node) || !node.config().prices.are_free())
}

fn pays(node: &Node) -> bool {
    node.config().max_price.0 > 0 && node.config().privacy != Privacy::Local
}

fn open_if(node: &Node, wanted: bool) -> anyhow::Result<()> {
    if wanted {
        node.pay_with(Cashier::open(node, secret::password(node, false)?)?);
    }
    Ok(())
}

fn desk(node: &Node, printer: Printer) -> Desk<'_> {
    Desk { node, rescan: false, printer }
}

/// Sends it and waits until it stands in a block.
fn send(
    purse: &mut Purse,
    reach: &mut Reach,
    draft: Draft,
    printer: Printer,
) -> anyhow::Result<TxId> {
    printer.say(format!("fee {}", draft.fee()));
    let id = purse.send(draft, reach)?;
    purse.read(reach)?;
    Ok(id)
}

/// The one whose id begins so.
fn named(ids: &[CellId], given: &str, what: &str) -> anyhow::Result<CellId> {
    let given = given.to_ascii_lowercase();
    let found: Vec<&CellId> = ids.iter().filter(|id| id.0.hex().starts_with(&given)).collect();
    match found[..] {
        [id] => Ok(*id),
        ref some => Err(anyhow!(
            "{} {what}s of this wallet begin with {given:?}; `mutirao {what} ls` lists them",
            some.len()
        )),
    }
}

/// Does something with channels.
pub fn channel(
    node: &Node,
    command: &ChannelCommand,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let (purse, reach) = desk(node, printer).caught_up()?;
    match command {
        ChannelCommand::Ls => list_channels(&purse, reach, printer),
        ChannelCommand::Close { channel } => end_channel(node, (purse, reach), channel, printer),
    }
}

fn list_channels(purse: &Purse, mut reach: Reach, printer: Printer) -> anyhow::Result<ExitCode> {
    let wallet = purse.wallet();
    let mut all = Vec::new();
    let ids: Vec<CellId> = wallet.channels().iter().map(|channel| channel.cell).collect();
    let cells = wallet.look_at(&ids, &mut reach)?;
    for (channel, cell) in wallet.channels().iter().zip(cells) {
        let (state, paid) = match cell {
            Some(Cell::Channel(there)) => match &there.phase {
                Phase::Open { .. } => ("open", wallet.notes().progress(channel.cell)?.paid),
                Phase::Closed { claim, .. } => {
                    let payer = wallet.payer(channel.cell)?;
                    let paid = payer.opening(&channel.cell, claim);
                    (
                        "closed, the rest can be taken back",
                        paid.map(|paid| paid.amount).unwrap_or_default(),
                    )
                }
            },
            _ => ("gone", wallet.notes().progress(channel.cell)?.paid),
        };
        let (id, expiry) = (channel.cell.0, channel.expiry.0);
        let deposit = channel.deposit();
        printer.say(format!("pays    {id}  {paid} of {deposit}, until block {expiry}: {state}"));
        all.push(json!({ "channel": id.hex(), "side": "payer", "paid": paid.0,
            "deposit": deposit.0, "expiry": expiry, "state": state }));
    }
    for (id, earning) in wallet.notes().earnings()? {
        let (earned, expiry) = (earning.earned(), earning.channel.expiry.0);
        printer.say(format!("earns   {}  {earned}, to be closed before block {expiry}", id.0));
        all.push(json!({ "channel": id.0.hex(), "side": "payee", "earned": earned.0,
            "expiry": expiry }));
    }
    if all.is_empty() {
        printer.say("no channels; one is opened by the first answer that costs something");
    }
    printer.object(&json!({ "channels": all }));
    Ok(ExitCode::SUCCESS)
}

fn end_channel(
    node: &Node,
    (mut purse, mut reach): (Purse, Reach),
    given: &str,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let earned: Vec<CellId> =
        purse.wallet().notes().earnings()?.into_iter().map(|(id, _)| id).collect();
    let paying = purse.wallet().channels().iter().map(|channel| channel.cell);
    let all: Vec<CellId> = earned.iter().copied().chain(paying).collect();
    let id = named(&all, given, "channel")?;
    if !earned.contains(&id) {
        ask_to_close(node, &mut purse, &mut reach, id, printer)?;
    }
    let (wallet, chance) = purse.parts();
    let draft = match earned.contains(&id) {
        true => wallet.prepare_close(id, &mut reach, chance)?,
        false => Some(wallet.prepare_refund(id, &mut reach, chance)?),
    };
    let Some(draft) = draft else {
        wallet.notes().forget_earning(id)?;
        printer.say("no voucher was ever taken: there is nothing to close");
        return Ok(ExitCode::SUCCESS);
    };
    let before = purse.wallet().balance().spendable;
    let tx = send(&mut purse, &mut reach, draft, printer)?;
    if earned.contains(&id) {
        purse.wallet().notes().forget_earning(id)?;
    }
    let after = purse.wallet().balance().spendable;
    printer.say(format!("closed in transaction {tx}; spendable {before} before, {after} now"));
    printer.object(&json!({ "tx": tx.0.hex(), "before": before.0, "after": after.0 }));
    Ok(ExitCode::SUCCESS)
}

/// Asks the provider of a channel of ours to close it, where it is open. One that does not leaves
/// us waiting for the end of the channel, and the refund says until when.
fn ask_to_close(
    node: &Node,
    purse: &mut Purse,
    reach: &mut Reach,
    id: CellId,
    printer: Printer,
) -> anyhow::Result<()> {
    let wallet = purse.wallet();
    let there = wallet.look_at(&[id], reach)?.pop().flatten();
    let open = matches!(there, Some(Cell::Channel(channel)) if channel.is_open());
    let told = wallet.told(id)?.into_iter().next();
    let provider = cashier::provider_of(wallet, id)?;
    let (true, Some(provider), Some(told)) = (open, provider, told) else { return Ok(()) };
    match super::runtime()?.block_on(node.ask_to_close(provider, id, told)) {
        Ok(()) => printer.say(format!("{} closed it", provider.short())),
        Err(why) => printer.say(format!("{} does not close it: {why}", provider.short())),
    }
    purse.read(reach)?;
    Ok(())
}

/// A till and its share, as TILL:PERCENT.
fn share(text: &str) -> anyhow::Result<Share> {
    let (till, percent) = text.split_once(':').context("a share is TILL:PERCENT")?;
    let till = CellId(mutirao_wire::Digest::from_hex(till).context("a till is 64 hex digits")?);
    Ok(Share { till, basis_points: basis_points(percent)? })
}

/// Per cent, with up to two digits behind the point, in basis points.
fn basis_points(percent: &str) -> anyhow::Result<u16> {
    let percent = percent.trim_end_matches('%');
    let (whole, part) = percent.split_once('.').unwrap_or((percent, "0"));
    let points = (part.len() <= 2)
        .then(|| {
            Some(
                whole.parse::<u16>().ok()?.checked_mul(100)?
                    + format!("{part:0<2}").parse::<u16>().ok()?,
            )
        })
        .flatten();
    let points = points.filter(|points| (1..=WHOLE).contains(points));
    points.with_context(|| format!("{percent:?} is no percentage from 0.01 to 100"))
}

/// Does something with tills.
pub fn till(node: &Node, command: &TillCommand, printer: Printer) -> anyhow::Result<ExitCode> {
    if let TillCommand::Use { model, tills } = command {
        let model = node.open(model)?.id();
        let shares: Vec<Share> = tills.iter().map(|text| share(text)).collect::<Result<_, _>>()?;
        node.keep_royalties(model, &shares)?;
        printer.say(format!("paid answers of model {model} give these tills their share"));
        printer.object(&json!({ "model": model.to_string(), "tills": tills }));
        return Ok(ExitCode::SUCCESS);
    }
    let (mut purse, mut reach) = desk(node, printer).caught_up()?;
    match command {
        TillCommand::Ls => list_tills(&mut purse, &mut reach, printer)?,
        TillCommand::Make { pass_on } => {
            let shares = pass_on.iter().map(|text| share(text)).collect::<Result<_, _>>()?;
            let till = make_till(&mut purse, &mut reach, shares, printer)?;
            printer.say(format!("till {}", till.0));
            printer.object(&json!({ "till": till.0.hex() }));
        }
        TillCommand::PayOut { till } => pay_out(&mut purse, &mut reach, till, printer)?,
        TillCommand::Use { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn list_tills(purse: &mut Purse, reach: &mut Reach, printer: Printer) -> anyhow::Result<()> {
    let (wallet, chance) = purse.parts();
    let collected = wallet.collect(reach, chance)?;
    let mut all = Vec::new();
    for till in &collected {
        let (id, settled, current) = (till.till.0, till.settled, till.current);
        printer.say(format!("{id}  {settled} can be paid out, {current} in the next epoch"));
        all.push(json!({ "till": id.hex(), "settled": settled.0, "current": current.0 }));
    }
    if all.is_empty() {
        printer.say("no tills; `mutirao publish` makes one for a model");
    }
    printer.object(&json!({ "tills": all }));
    Ok(())
}

fn make_till(
    purse: &mut Purse,
    reach: &mut Reach,
    shares: Vec<Share>,
    printer: Printer,
) -> anyhow::Result<CellId> {
    let (wallet, chance) = purse.parts();
    let draft = wallet.prepare_till(shares, reach, chance)?;
    send(purse, reach, draft, printer)?;
    let made = purse.wallet().book().tills.last();
    Ok(made.context("the till does not stand in a block yet; look at `mutirao till ls`")?.cell)
}

fn pay_out(
    purse: &mut Purse,
    reach: &mut Reach,
    given: &str,
    printer: Printer,
) -> anyhow::Result<()> {
    let ids: Vec<CellId> = purse.wallet().book().tills.iter().map(|till| till.cell).collect();
    let id = named(&ids, given, "till")?;
    let (wallet, chance) = purse.parts();
    let Some(draft) = wallet.prepare_payout(id, reach, chance)? else {
        printer.say("nothing is settled in it; what came in this epoch is in the next");
        printer.object(&json!({ "paid_out": 0 }));
        return Ok(());
    };
    let (before, fee) = (purse.wallet().balance().spendable, draft.fee());
    let tx = send(purse, reach, draft, printer)?;
    let after = purse.wallet().balance().spendable;
    let got = (after.0 + fee.0).saturating_sub(before.0);
    printer.say(format!("{} came, in transaction {tx}", mutirao_wire::Amount(got)));
    printer.object(&json!({ "tx": tx.0.hex(), "paid_out": got }));
    Ok(())
}

/// Does something with deeds.
pub fn deed(node: &Node, command: &DeedCommand, printer: Printer) -> anyhow::Result<ExitCode> {
    let (mut purse, mut reach) = desk(node, printer).caught_up()?;
    match command {
        DeedCommand::Ls => {
            let mut all = Vec::new();
            for deed in &purse.wallet().book().deeds {
                let (id, name) = (deed.cell.0, deed.opening.name);
                printer.say(format!("{id}  to model {name}"));
                all.push(json!({ "deed": id.hex(), "name": name.hex() }));
            }
            printer.object(&json!({ "deeds": all }));
        }
        DeedCommand::Make { model } => {
            let model = node.open(model)?.id();
            let deed = register(&mut purse, &mut reach, model, printer)?;
            printer.say(format!("deed {} to model {model}", deed.0));
            printer.object(&json!({ "deed": deed.0.hex(), "model": model.to_string() }));
        }
        DeedCommand::Transfer { deed, to } => {
            let to = To::Address(to.parse::<Address>()?);
            let tx = transfer(&mut purse, &mut reach, deed, to, printer)?;
            printer.say(format!("given away in transaction {tx}"));
            printer.object(&json!({ "tx": tx.0.hex() }));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn register(
    purse: &mut Purse,
    reach: &mut Reach,
    model: mutirao_wire::ModelId,
    printer: Printer,
) -> anyhow::Result<CellId> {
    let order = Order::plan(Plan::Register(RegisterPlan { name: model.0, to: To::Own }));
    let (wallet, chance) = purse.parts();
    let draft = wallet.prepare(&order, &Told::default(), chance)?;
    send(purse, reach, draft, printer)?;
    let made = purse.wallet().book().deeds.last();
    Ok(made.context("the deed does not stand in a block yet; look at `mutirao deed ls`")?.cell)
}

fn transfer(
    purse: &mut Purse,
    reach: &mut Reach,
    given: &str,
    to: To,
    printer: Printer,
) -> anyhow::Result<TxId> {
    let book = purse.wallet().book();
    let ids: Vec<CellId> = book.deeds.iter().map(|deed| deed.cell).collect();
    let id = named(&ids, given, "deed")?;
    let deed = book.deeds.iter().find(|deed| deed.cell == id).context("no such deed")?.clone();
    let owner = book.at(deed.owner).context("the note that owns the deed is not known")?;
    let (owner, opening) = (owner.note.clone(), deed.opening);
    let order = Order::plan(Plan::Transfer(TransferPlan { deed: id, opening, owner, to }));
    let told = Told::ask(reach, &[id])?;
    let (wallet, chance) = purse.parts();
    let draft = wallet.prepare(&order, &told, chance)?;
    send(purse, reach, draft, printer)
}

/// A deed, a till, and what every paid answer gives to it.
pub fn publish(
    node: &Node,
    publish: &PublishArguments,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let royalty = basis_points(&publish.royalty)?;
    let ancestors: Vec<Share> =
        publish.made_from.iter().map(|text| share(text)).collect::<Result<_, _>>()?;
    let model = node.open(&publish.model)?.id();
    let (mut purse, mut reach) = desk(node, printer).caught_up()?;
    let known = &purse.wallet().book().deeds;
    ensure!(
        !known.iter().any(|deed| deed.opening.name == model.0),
        "this wallet has a deed to that model already; `mutirao deed ls` lists it"
    );
    let deed = register(&mut purse, &mut reach, model, printer)?;
    let till = make_till(&mut purse, &mut reach, ancestors, printer)?;
    let share = Share { till, basis_points: royalty };
    node.keep_royalties(model, &[share])?;
    if let Some(folder) = &publish.folder {
        sign(&purse, folder, printer)?;
    }
    let percent = format!("{}.{:02}", royalty / 100, royalty % 100);
    printer.say(format!("deed {} to model {model}", deed.0));
    printer.say(format!("till {}, which gets {percent} % of every paid answer", till.0));
    printer.say("Whoever answers, and whoever asks, says once:");
    printer.say(format!("  mutirao till use {} {}:{percent}", publish.model, till.0));
    printer.object(&json!({ "model": model.to_string(), "deed": deed.0.hex(),
        "till": till.0.hex(), "basis_points": royalty }));
    Ok(ExitCode::SUCCESS)
}

/// Signs the files of a model, for those who check with the tools of OpenSSF.
fn sign(purse: &Purse, folder: &Path, printer: Printer) -> anyhow::Result<()> {
    let spender = purse.wallet().spender().context("this wallet sees and does not sign")?;
    let key = SigningKey::from_secret(&spender.model_key())?;
    let manifest = Manifest::of(folder, &[SIGNATURE, PUBLIC_KEY])?;
    let (signature, public) = (folder.join(SIGNATURE), folder.join(PUBLIC_KEY));
    files::write_whole(&signature, Bundle::sign(&manifest, &key)?.write()?.as_bytes())?;
    files::write_whole(&public, key.public().to_pem()?.as_bytes())?;
    printer.say(format!("{} files are signed: {}", manifest.resources.len(), signature.display()));
    printer.say(format!("whoever doubts checks with the key in {}", public.display()));
    Ok(())
}

/// Checks what [`sign`] wrote, or what the stock tools did.
pub fn check_signature(folder: &Path, key: &Path, printer: Printer) -> anyhow::Result<ExitCode> {
    let text = files::read_bounded(key, 1 << 16)?;
    let key = PublicKey::from_pem(std::str::from_utf8(&text).context("the key is not text")?)?;
    let most = mutirao_signing::bundle::BUNDLE_BYTES_MAX as u64;
    let bundle = Bundle::read(&files::read_bounded(&folder.join(SIGNATURE), most)?)?;
    let manifest = Manifest::of(folder, &[SIGNATURE, PUBLIC_KEY])?;
    match bundle.verify(&key, &manifest) {
        Ok(()) => {
            printer.say(format!("{} files are those that were signed", manifest.resources.len()));
            printer.object(&json!({ "holds": true, "files": manifest.resources.len() }));
            Ok(ExitCode::SUCCESS)
        }
        Err(why) => {
            printer.say(format!("refused: {why}"));
            printer.object(&json!({ "holds": false, "why": why.to_string() }));
            Ok(ExitCode::from(super::exit::REFUSED))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec: WALLET-1.5
    #[test]
    fn one_wallet_signs_models_with_one_key_and_no_other_wallet_has_it() {
        let key = |number| {
            let words = mutirao_wallet::words::Words::from_entropy(&[number; 32]);
            let keys = mutirao_wallet::keys::Keys::new(words);
            let secret = keys.spender().expect("it spends").model_key();
            SigningKey::from_secret(&secret).expect("a key").public()
        };
        assert_eq!(key(1), key(1));
        assert_ne!(key(1), key(2));
    }

    #[test]
    fn a_percentage_is_read_to_the_basis_point() {
        for (text, points) in
            [("5", 500), ("5%", 500), ("0.01", 1), ("12.5%", 1250), ("100", 10_000)]
        {
            assert_eq!(basis_points(text).ok(), Some(points), "{text}");
        }
        for text in ["", "0", "-1", "100.01", "1.234", "x", "70000"] {
            assert!(basis_points(text).is_err(), "{text}");
        }
    }
}
