//! Balances and histories, for people and for programs.

use crate::print::Printer;
use mutirao_wallet::Wallet;
use mutirao_wallet::history::{Kind, Line, Status, time_text};
use mutirao_wallet::keys::Tier;
use mutirao_wallet::read::network_name;
use mutirao_wire::Amount;
use serde_json::{Value, json};

/// Words a line.
const WORDS_A_LINE: usize = 6;

/// An amount as people write it.
pub(super) fn tijolos(amount: Amount) -> String {
    amount.to_string()
}

/// The words, numbered: whoever writes them down sees whether one is missing.
pub(super) fn words(text: &str, printer: Printer) {
    let all: Vec<&str> = text.split(' ').collect();
    for (line, words) in all.chunks(WORDS_A_LINE).enumerate() {
        let mut shown = String::new();
        for (at, word) in words.iter().enumerate() {
            shown += &format!("{:>4} {word:<8}", line * WORDS_A_LINE + at + 1);
        }
        printer.say(shown.trim_end());
    }
}

/// How much there is.
pub(super) fn balance(wallet: &Wallet, printer: Printer) {
    let (balance, book) = (wallet.balance(), wallet.book());
    if wallet.tier() == Tier::Receive {
        printer.say(format!("received   {}", balance.received));
        printer.say("           this wallet sees what arrives, not what leaves");
    } else {
        printer.say(format!("spendable  {}", balance.spendable));
    }
    if balance.leaving != Amount::ZERO {
        printer.say(format!("leaving    {}", balance.leaving));
        printer.say(format!("coming     {} as change", balance.pending));
    }
    let height = book.height().0;
    printer.say(format!("block      {height} of {}", network_name(wallet.network())));
    for till in &book.tills {
        printer.say(format!("till       {}", till.cell.0));
    }
    for deed in &book.deeds {
        printer.say(format!("deed       {} to {}", deed.cell.0, deed.opening.name));
    }
    let tills: Vec<String> = book.tills.iter().map(|till| till.cell.0.hex()).collect();
    let deeds: Vec<Value> = book
        .deeds
        .iter()
        .map(|deed| json!({ "deed": deed.cell.0.hex(), "name": deed.opening.name.hex() }))
        .collect();
    printer.object(&json!({
        "tier": wallet.tier().name(), "spendable": balance.spendable.0,
        "pending": balance.pending.0, "leaving": balance.leaving.0,
        "received": balance.received.0, "notes": balance.notes, "block": height,
        "chain": book.reading.map(|reading| reading.rules.chain.0.hex()),
        "tills": tills, "deeds": deeds,
    }));
}

/// What came and went, oldest first.
pub(super) fn history(lines: &[Line], printer: Printer) {
    for line in lines {
        printer.say(one(line));
    }
    if lines.is_empty() {
        printer.say("nothing yet; `mutirao wallet address` shows where to be paid");
    }
    let lines: Vec<Value> = lines.iter().map(object).collect();
    printer.object(&json!({ "history": lines }));
}

fn one(line: &Line) -> String {
    let time = line.time.map(time_text).unwrap_or_default();
    let time = time.split('.').next().unwrap_or_default().replace('T', " ");
    let sign = match line.kind {
        Kind::Sent => "-",
        Kind::Made | Kind::Received => "+",
        Kind::Moved | Kind::Cell => " ",
    };
    let status = match line.status {
        Status::Done => String::new(),
        other => format!(" ({other})"),
    };
    let fee = if line.fee == Amount::ZERO { String::new() } else { format!(" fee {}", line.fee) };
    let id: String = line.tx.chars().take(8).collect();
    let amount = tijolos(line.amount);
    let time = time.trim_end_matches('Z');
    format!("{time:<19} {id} {:<8} {sign}{amount}{fee}{status} {}", line.kind, line.memo)
}

fn object(line: &Line) -> Value {
    json!({
        "time": line.time, "block": line.height, "kind": line.kind.to_string(),
        "status": line.status.to_string(), "amount": line.amount.0, "fee": line.fee.0,
        "address": line.address, "memo": line.memo, "tx": line.tx,
    })
}
