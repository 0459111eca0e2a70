//! Texts that people hand around: receipts, evidence, tickets, settings, and requests over HTTP.

use crate::target::split;
use mutirao_gateway::ChatRequest;
use mutirao_net::Ticket;
use mutirao_node::config::{Home, Settings};
use mutirao_wire::bundle::{Evidence, ReceiptBundle};

/// What is read is written so that it reads the same.
fn receipt(bytes: &[u8]) {
    let Ok(bundle) = ReceiptBundle::from_json(bytes) else { return };
    let again = ReceiptBundle::from_json(bundle.to_json("".into()).as_bytes());
    assert_eq!(again.expect("what was written reads"), bundle);
}

fn evidence(bytes: &[u8]) {
    let Ok(evidence) = Evidence::from_json(bytes) else { return };
    let again = Evidence::from_json(evidence.to_json("".into()).as_bytes());
    assert_eq!(again.expect("what was written reads"), evidence);
}

fn ticket(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(ticket) = text.parse::<Ticket>() else { return };
    assert_eq!(ticket.to_string().parse::<Ticket>().as_ref(), Ok(&ticket));
}

fn settings(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut settings = Settings::default();
    if settings.read_file(text).is_ok() {
        let _ = settings.resolve(&Home::find(|_| None));
    }
}

/// One of the kinds of files.
pub fn files(bytes: &[u8]) {
    let (kind, rest) = split(bytes);
    [receipt, evidence, ticket, settings][usize::from(kind) % 4](rest);
}

/// The body of `POST /v1/chat/completions`.
pub fn request(bytes: &[u8]) {
    if let Ok(request) = ChatRequest::read(bytes) {
        let _ = (request.is_streamed(), request.wants_usage(), request.ask());
    }
}
