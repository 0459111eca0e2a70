//! What happened, line by line, for people and for a table.

use crate::book::{Act, Book, Entry, Sending, State};
use mutirao_ledger::key::ReceiveKey;
use mutirao_ledger::key::address::Network;
use mutirao_wire::Amount;
use std::fmt;
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// New value of the ledger.
    Made,
    /// From somebody.
    Received,
    /// To somebody.
    Sent,
    /// From us to us.
    Moved,
    /// A till or a deed.
    Cell,
}

/// Whether it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// In a block.
    Done,
    /// On its way.
    Waiting,
    /// It will never count.
    Failed,
}

macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),* $(,)? }) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),* })
            }
        }
    };
}
words!(Kind {
    Made = "made",
    Received = "received",
    Sent = "sent",
    Moved = "moved",
    Cell = "cell",
});
words!(Status { Done = "done", Waiting = "waiting", Failed = "failed" });

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Milliseconds since 1970; none before it stands in a block.
    pub time: Option<u64>,
    /// The block.
    pub height: Option<u64>,
    /// What it is about.
    pub kind: Kind,
    /// Whether it counts.
    pub status: Status,
    /// How much came or went, without the fee.
    pub amount: Amount,
    /// The fee, on the first line of a transaction that we paid for.
    pub fee: Amount,
    /// Ours that was paid, or theirs; none where it is not known.
    pub address: Option<String>,
    /// What was said.
    pub memo: String,
    /// The transaction.
    pub tx: String,
}

/// Whose history it is.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// Makes our addresses again.
    pub key: &'a ReceiveKey,
    /// The ledger.
    pub network: Network,
}

/// All lines, in the order of the ledger; what does not stand in a block comes last.
// spec: WALLET-4.5
#[must_use]
pub fn lines(book: &Book, whose: Whose<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    for entry in book.entries() {
        lines.extend(of_entry(entry, book.sending(entry.tx), whose));
    }
    for sending in book.sendings() {
        if !matches!(sending.state, State::Confirmed(_)) {
            lines.extend(of_sending(sending));
        }
    }
    lines
}

/// Words as far as they are words.
fn text(memo: &[u8]) -> String {
    match std::str::from_utf8(memo) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("({} bytes)", memo.len()),
    }
}

fn blank(entry: &Entry) -> Line {
    Line {
        time: Some(entry.time),
        height: Some(entry.height.0),
        kind: Kind::Received,
        status: Status::Done,
        amount: Amount::ZERO,
        fee: Amount::ZERO,
        address: None,
        memo: String::new(),
        tx: entry.tx.0.hex(),
    }
}

fn of_entry(entry: &Entry, sending: Option<&Sending>, whose: Whose<'_>) -> Vec<Line> {
    let ours = entry.spent != Amount::ZERO;
    let mut lines = Vec::new();
    if ours {
        lines.extend(outgoing(entry, sending));
    }
    for arrival in &entry.arrivals {
        let is_deed = arrival.amount == Amount::ZERO && !entry.acts.is_empty();
        if is_deed {
            continue;
        }
        let kind = match (entry.minted, ours) {
            (true, _) => Kind::Made,
            (_, true) => Kind::Moved,
            _ => Kind::Received,
        };
        let address = whose.key.address(whose.network, arrival.address).to_string();
        let (amount, memo) = (arrival.amount, text(&arrival.memo));
        lines.push(Line { kind, amount, address: Some(address), memo, ..blank(entry) });
    }
    for act in &entry.acts {
        let (memo, kind) = (act_words(act), Kind::Cell);
        lines.push(Line { kind, memo, ..blank(entry) });
    }
    if ours && lines.is_empty() {
        lines.push(Line { kind: Kind::Moved, amount: entry.returned, ..blank(entry) });
    }
    if ours && let Some(first) = lines.first_mut() {
        first.fee = entry.fee;
    }
    lines
}

/// What went to others: payment by payment where this wallet sent it, else one sum.
fn outgoing(entry: &Entry, sending: Option<&Sending>) -> Vec<Line> {
    let paid = sending.map(|sending| &sending.paid[..]).unwrap_or_default();
    let paid = paid.iter().filter(|paid| paid.opening.amount != Amount::ZERO);
    let known: Vec<Line> = paid
        .filter(|paid| !entry.arrivals.iter().any(|arrival| arrival.output == paid.output))
        .map(|paid| Line {
            kind: Kind::Sent,
            amount: paid.opening.amount,
            address: Some(paid.address.to_string()),
            memo: text(&paid.memo),
            ..blank(entry)
        })
        .collect();
    let out = -entry.net() - i128::from(entry.fee.0);
    let amount = Amount(u64::try_from(out).unwrap_or(0));
    if known.is_empty() && amount != Amount::ZERO {
        return vec![Line { kind: Kind::Sent, amount, ..blank(entry) }];
    }
    known
}

fn of_sending(sending: &Sending) -> Vec<Line> {
    let (status, why) = match &sending.state {
        State::Waiting | State::Confirmed(_) => (Status::Waiting, ""),
        State::Expired => (Status::Failed, "expired"),
        State::Overtaken => (Status::Failed, "overtaken by another payment"),
        State::Refused(why) => (Status::Failed, &why[..]),
    };
    let line = |amount, address: Option<String>, memo: String| Line {
        time: None,
        height: None,
        kind: if address.is_some() { Kind::Sent } else { Kind::Moved },
        status,
        amount,
        fee: Amount::ZERO,
        address,
        memo: if why.is_empty() { memo } else { format!("{memo} [{why}]").trim().to_owned() },
        tx: sending.id.0.hex(),
    };
    let mut lines: Vec<Line> = sending
        .paid
        .iter()
        .map(|paid| line(paid.opening.amount, Some(paid.address.to_string()), text(&paid.memo)))
        .collect();
    if lines.is_empty() {
        lines.push(line(sending.returns, None, String::new()));
    }
    if let Some(first) = lines.first_mut() {
        first.fee = sending.fee;
    }
    lines
}

fn act_words(act: &Act) -> String {
    match act {
        Act::TillOpened(cell) => format!("opened till {}", cell.0),
        Act::TillPaid(cell) => format!("paid into till {}", cell.0),
        Act::TillPaidOut(cell) => format!("paid out till {}", cell.0),
        Act::DeedCame(cell, name) => format!("deed {} to {name}", cell.0),
        Act::DeedLeft(cell) => format!("deed {} left", cell.0),
        Act::ChannelOpened(cell) => format!("opened channel {}", cell.0),
        Act::ChannelToppedUp(cell) => format!("put more into channel {}", cell.0),
        Act::ChannelClosed(cell) => format!("closed channel {}", cell.0),
        Act::ChannelRefunded(cell) => format!("took back what channel {} had left", cell.0),
        Act::ChannelSettled(cell) => format!("divided channel {}", cell.0),
    }
}

/// A time as RFC 3339 in UTC.
#[must_use]
pub fn time_text(millis: u64) -> String {
    let nanos = i128::from(millis) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

/// Why a table could not be made.
#[derive(Debug, Error)]
#[error("the table could not be made: {0}")]
pub struct TableError(String);

/// The lines as a table of comma-separated values (source: RFC 4180).
///
/// # Errors
/// [`TableError`], when memory is full.
// spec: WALLET-6.3
pub fn table(lines: &[Line]) -> Result<String, TableError> {
    let failed = |error: &dyn fmt::Display| TableError(error.to_string());
    let mut out = csv::Writer::from_writer(Vec::new());
    let head = ["time", "block", "kind", "status", "amount", "fee", "address", "memo", "tx"];
    out.write_record(head).map_err(|error| failed(&error))?;
    for line in lines {
        let number = |amount: Amount| {
            let unit = Amount::UNITS_PER_TIJOLO;
            format!("{}.{:06}", amount.0 / unit, amount.0 % unit)
        };
        let row = [
            line.time.map(time_text).unwrap_or_default(),
            line.height.map(|height| height.to_string()).unwrap_or_default(),
            line.kind.to_string(),
            line.status.to_string(),
            number(line.amount),
            number(line.fee),
            line.address.clone().unwrap_or_default(),
            harmless(&line.memo),
            line.tx.clone(),
        ];
        out.write_record(row).map_err(|error| failed(&error))?;
    }
    let bytes = out.into_inner().map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}

/// Strangers write memos, and spreadsheets run what begins like a formula.
fn harmless(memo: &str) -> String {
    let formula = memo.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if formula { format!("'{memo}") } else { memo.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(memo: &str) -> Line {
        Line {
            time: Some(1_764_123_456_789),
            height: Some(7),
            kind: Kind::Sent,
            status: Status::Done,
            amount: Amount(1_500_000),
            fee: Amount(30),
            address: Some("mutt1x".into()),
            memo: memo.into(),
            tx: "ab".into(),
        }
    }

    // spec: WALLET-6.3
    #[test]
    fn a_table_keeps_each_line_and_runs_nothing() {
        let memos = ["rent, \"May\"", "two\nlines", "=HYPERLINK(\"x\")", "@x", "-1", "três"];
        let lines: Vec<Line> = memos.iter().map(|memo| line(memo)).collect();
        let text = table(&lines).unwrap();
        assert!(text.starts_with("time,block,kind,status,amount,fee,address,memo,tx\n"));
        assert!(text.contains("2025-11-26T02:17:36.789Z,7,sent,done,1.500000,0.000030,mutt1x,"));
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let read: Vec<String> =
            reader.records().map(|row| row.unwrap().get(7).unwrap().to_owned()).collect();
        let wanted = ["rent, \"May\"", "two\nlines", "'=HYPERLINK(\"x\")", "'@x", "'-1", "três"];
        assert_eq!(read, wanted);
    }

    #[test]
    fn a_time_beyond_all_calendars_is_no_panic() {
        assert_eq!(time_text(0), "1970-01-01T00:00:00Z");
        assert_eq!(time_text(u64::MAX), "");
        assert_eq!(text(&[0xff, 0xfe]), "(2 bytes)");
    }
}
