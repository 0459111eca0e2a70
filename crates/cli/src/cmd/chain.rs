//! `mutirao chain`: keep a ledger, and look at one as its keeper, its auditor, or a stranger.

use crate::args::chain::{ChainCommand, FromArguments, RunChainArguments};
use crate::print::Printer;
use anyhow::Context;
use mutirao_node::Node;
use mutirao_node::ledger::view::{self, Leaks, Outsider};
use mutirao_node::ledger::{self, Audit, HeadView, Pace, Store};
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// How often a running ledger is asked whether it is well.
const LOOK: Duration = Duration::from_secs(1);

/// Runs one of them.
pub fn run(node: &Node, command: &ChainCommand, printer: Printer) -> anyhow::Result<ExitCode> {
    match command {
        ChainCommand::Run(run) => keep(node, run, printer),
        ChainCommand::Status(from) => status(node, from, printer),
        ChainCommand::Audit { blocks } => audit(node, blocks.as_deref(), printer),
        ChainCommand::Leaks { file } => leaks(node, file.as_deref(), printer),
        ChainCommand::Outsider { file, all } => outsider(file, *all, printer),
        ChainCommand::Export { file, from } => export(node, file, from, printer),
        ChainCommand::Snapshot { file } => snapshot(node, file, printer),
        ChainCommand::Restore { file, chain, block } => {
            restore(node, file, (chain, block), printer)
        }
    }
}

fn keep(node: &Node, run: &RunChainArguments, printer: Printer) -> anyhow::Result<ExitCode> {
    let pace = Pace { gather: Duration::from_millis(run.gather_ms), ..Pace::default() };
    super::runtime()?.block_on(async {
        let serving = node.serve_ledger(run.genesis.as_deref(), pace).await?;
        let (ticket, http) = (serving.ticket(), serving.http());
        let head = ledger::head_of(serving.keeper().store())?;
        say_head(&head, printer);
        printer.say("\nwallets reach it with the ticket\n");
        printer.say(format!("  {ticket}\n"));
        printer.say(format!("programs of this machine at http://{http}/chain/head, with\n"));
        printer.say(format!("  Authorization: Bearer {}\n", serving.token()));
        printer.say("stop with Ctrl-C");
        let mut object = head_object(&head);
        object["ticket"] = json!(ticket.to_string());
        object["http"] = json!(format!("http://{http}"));
        object["api_key"] = json!(serving.token());
        printer.object(&object);
        let keeper = serving.keeper().clone();
        let trouble = async {
            loop {
                tokio::time::sleep(LOOK).await;
                if let Some(trouble) = keeper.trouble() {
                    return trouble;
                }
            }
        };
        let trouble = tokio::select! {
            () = super::interrupted() => None,
            trouble = trouble => Some(trouble),
        };
        drop(keeper);
        serving.stop().await;
        match trouble {
            Some(trouble) => anyhow::bail!("{trouble}"),
            None => Ok(ExitCode::SUCCESS),
        }
    })
}

fn status(node: &Node, from: &FromArguments, printer: Printer) -> anyhow::Result<ExitCode> {
    let head = match &from.from {
        None => ledger::head_of(&node.stored_ledger()?)?,
        Some(ticket) => {
            let ticket = ticket.parse()?;
            super::runtime()?.block_on(async {
                let mut remote = node.remote_ledger(&ticket).await?;
                let head = remote.head().await;
                remote.close().await;
                head
            })?
        }
    };
    say_head(&head, printer);
    printer.object(&head_object(&head));
    Ok(ExitCode::SUCCESS)
}

fn say_head(head: &HeadView, printer: Printer) {
    printer.say(format!("chain    {}", head.chain));
    printer.say(format!("network  {}", if head.is_test { "test" } else { "main" }));
    printer.say(format!("height   {}", head.height));
    printer.say(format!("root     {}", head.root));
    printer.say(format!("supply   {}", head.supply));
    if head.ahead_ms > 0 {
        let seconds = head.ahead_ms / 1000;
        printer.say(format!("clock    this machine's is {seconds} s behind the last block"));
    }
}

fn head_object(head: &HeadView) -> Value {
    json!({
        "chain": head.chain,
        "network": if head.is_test { "test" } else { "main" },
        "height": head.height,
        "root": head.root,
        "supply": head.supply.0,
        "time_ms": head.time_ms,
        "clock_behind_ms": head.ahead_ms,
    })
}

fn audit(node: &Node, blocks: Option<&Path>, printer: Printer) -> anyhow::Result<ExitCode> {
    let audit = match blocks {
        None => ledger::audit_store(&node.stored_ledger()?)?,
        Some(path) => ledger::audit_file(path)?,
    };
    say_audit(&audit, blocks.is_none(), printer);
    Ok(ExitCode::SUCCESS)
}

fn say_audit(audit: &Audit, stored: bool, printer: Printer) {
    let Audit { blocks, transactions, notes, unspent, cells, .. } = audit;
    printer.say(format!("{blocks} blocks, {transactions} transactions, every proof checked again"));
    printer.say(format!("{notes} notes, of which {unspent} unspent; {cells} cells"));
    let (minted, destroyed) = (audit.minted, audit.destroyed);
    let supply = audit.supply;
    printer.say(format!("{minted} base units made, {destroyed} destroyed, {} left", supply.0));
    printer.say("unspent + pots = supply·V + Σ excess·H after every block: exact");
    if stored {
        printer.say("what is stored is what the blocks lead to");
    }
    printer.say(format!("supply   {supply}"));
    printer.say(format!("root     {}", audit.root));
    printer.object(&json!({
        "exact": true, "blocks": blocks, "transactions": transactions, "notes": notes,
        "unspent": unspent, "cells": cells, "minted": minted.to_string(),
        "destroyed": destroyed.to_string(), "supply": supply.0, "root": audit.root.hex(),
    }));
}

fn leaks(node: &Node, file: Option<&Path>, printer: Printer) -> anyhow::Result<ExitCode> {
    let found = match file {
        Some(file) => view::leaks(file)?,
        None => {
            let place = tempfile::tempdir().context("cannot make a temporary directory")?;
            let file = place.path().join("blocks");
            view::export(&node.stored_ledger()?, &file)?;
            view::leaks(&file)?
        }
    };
    say_leaks(&found, printer);
    let clean = found.findings.is_empty();
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(super::exit::REFUSED) })
}

fn say_leaks(found: &Leaks, printer: Printer) {
    let mut class = None;
    for total in &found.totals {
        if class != Some(total.class) {
            class = Some(total.class);
            let of_class = found.totals.iter().filter(|it| it.class == total.class);
            let bytes: u64 = of_class.map(|it| it.bytes).sum();
            printer.say(format!("\n{} · {bytes} bytes", total.class.words()));
        }
        printer.say(format!("  {:>12} {:>10} ×  {}", total.bytes, total.count, total.field));
    }
    let sum: u64 = found.totals.iter().map(|total| total.bytes).sum();
    printer.say(format!("\n{} blocks, {sum} of {} bytes named", found.blocks, found.bytes));
    for finding in &found.findings {
        printer.say(format!("FOUND  {finding}"));
    }
    if found.findings.is_empty() {
        printer.say("nothing gives anybody away but what is public by design");
    }
    let fields: Vec<Value> = found
        .totals
        .iter()
        .map(|it| {
            json!({
                "field": it.field, "class": it.class.words(), "count": it.count, "bytes": it.bytes,
            })
        })
        .collect();
    let findings: Vec<String> = found.findings.iter().map(ToString::to_string).collect();
    printer.object(&json!({
        "blocks": found.blocks, "bytes": found.bytes, "named": sum, "fields": fields,
        "findings": findings,
    }));
}

fn outsider(file: &Path, all: bool, printer: Printer) -> anyhow::Result<ExitCode> {
    let seen = view::outsider(file)?;
    let network = if seen.is_test { "test" } else { "main" };
    printer.say(format!("chain    {} ({network}, {:?})", seen.chain, seen.name));
    let (blocks, count) = (seen.blocks.len(), seen.transactions().count());
    printer.say(format!("seen     {blocks} blocks, {count} transactions, {} bytes", seen.bytes));
    let spends: usize = seen.transactions().map(|tx| tx.spends).sum();
    let outputs: usize = seen.transactions().map(|tx| tx.outputs).sum();
    let fees: u128 = seen.transactions().map(|tx| u128::from(tx.fee.0)).sum();
    let minted: u128 = seen.transactions().map(|tx| u128::from(tx.minted.0)).sum();
    printer.say(format!("notes    {outputs} made, {spends} spent"));
    printer.say(format!("public   {minted} base units made, {fees} paid in fees"));
    if all {
        say_blocks(&seen, printer);
    }
    printer.say("hidden   who paid, who was paid, how much, and what was said");
    printer.object(&json!({
        "chain": seen.chain, "network": network, "blocks": blocks, "transactions": count,
        "bytes": seen.bytes, "outputs": outputs, "spends": spends,
        "fees": fees.to_string(), "minted": minted.to_string(),
    }));
    Ok(ExitCode::SUCCESS)
}

fn say_blocks(seen: &Outsider, printer: Printer) {
    for block in &seen.blocks {
        let (height, time, bytes) = (block.height, block.time_ms, block.bytes);
        printer.say(format!("block    {height} at {time} ms, {bytes} bytes"));
        for tx in &block.transactions {
            let short = tx.id.get(..8).unwrap_or_default();
            let (spends, outputs, fee) = (tx.spends, tx.outputs, tx.fee.0);
            let (bytes, until, actions) = (tx.bytes, tx.valid_until, tx.actions.join(", "));
            printer.say(format!(
                "         {short}  {bytes} bytes, {spends} notes to {outputs}, fee {fee}, until \
                 {until}  {actions}"
            ));
        }
    }
}

fn export(
    node: &Node,
    file: &Path,
    from: &FromArguments,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let written = match &from.from {
        None => view::export(&node.stored_ledger()?, file)?,
        Some(ticket) => {
            let ticket = ticket.parse()?;
            super::runtime()?.block_on(async {
                let mut remote = node.remote_ledger(&ticket).await?;
                let written = view::export_from(&mut remote, file).await;
                remote.close().await;
                anyhow::Ok(written?)
            })?
        }
    };
    printer.say(format!("{written} blocks in {}", file.display()));
    printer.object(&json!({ "blocks": written, "file": file.display().to_string() }));
    Ok(ExitCode::SUCCESS)
}

fn snapshot(node: &Node, file: &Path, printer: Printer) -> anyhow::Result<ExitCode> {
    let (chain, block) = ledger::write_snapshot(&node.stored_ledger()?, file)?;
    printer.say(format!("the state after block {block}"));
    let name = file.display();
    printer.say(format!("  mutirao chain restore {name} --chain {chain} --block {block}"));
    printer.object(&json!({ "chain": chain, "block": block, "file": name.to_string() }));
    Ok(ExitCode::SUCCESS)
}

fn restore(
    node: &Node,
    file: &Path,
    (chain, block): (&str, &str),
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let store: Store = node.restore_ledger(file, chain, block)?;
    let head = ledger::head_of(&store)?;
    say_head(&head, printer);
    printer.object(&head_object(&head));
    Ok(ExitCode::SUCCESS)
}
