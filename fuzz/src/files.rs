//! Texts that people hand around: receipts, evidence, tickets, settings, and requests over HTTP
//! with what pays for them.

use crate::target::split;
use mutirao_gateway::ChatRequest;
use mutirao_gateway::pay::{self, Proof};
use mutirao_gateway::payer::{self, Demand};
use mutirao_net::Ticket;
use mutirao_node::config::{Home, Settings};
use mutirao_wire::Digest;
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

/// Headers of payments: a challenge and a receipt as a client reads them, a credential as a door
/// does. What a client makes of a challenge, a door reads.
pub fn payment(bytes: &[u8]) {
    let Ok(header) = std::str::from_utf8(bytes) else { return };
    let _ = payer::settled(header);
    let written = Demand::read(header, String::new()).ok().and_then(|demand| {
        let (channel, take) = (Digest([7; 32]), Some(demand.terms.clone()));
        let proof = Proof { channel, take, voucher: vec![0, 9, 255] };
        Some((demand.credential(&proof).ok()?, proof))
    });
    if let Some((credential, proof)) = written {
        let (_, read) = pay::credential(&credential).expect("what a client writes, a door reads");
        assert_eq!(read, proof, "what pays survives its header");
    }
    let _ = pay::credential(header);
}
