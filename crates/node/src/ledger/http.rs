//! The ledger behind the HTTP door: questions from JSON, answers to JSON.

use super::serve::ask;
use mutirao_chain::Keeper;
use mutirao_gateway::backend::BoxFuture;
use mutirao_gateway::chain::{Ledger, LedgerAsk, LedgerSaid};
use mutirao_ledger::key::address::Network;
use mutirao_ledger::rules::Height;
use mutirao_ledger::sealed::Sealed;
use mutirao_ledger::service::{Answer, Head, Piece, Question, Refusal, RefusalKind};
use mutirao_ledger::tx::{Transaction, TxId};
use mutirao_wire::{Amount, Decode, Digest, Encode};
use serde_json::{Value, json};
use std::sync::Arc;

/// A keeper as the door sees it.
pub struct Desk(Arc<Keeper>);

impl Desk {
    pub fn new(keeper: Arc<Keeper>) -> Self {
        Self(keeper)
    }
}

impl Ledger for Desk {
    fn ask(&self, asked: LedgerAsk) -> BoxFuture<LedgerSaid> {
        let keeper = self.0.clone();
        Box::pin(async move {
            match question(asked) {
                Ok(question) => said(ask(&keeper, question).await),
                Err(why) => LedgerSaid::Nonsense(why),
            }
        })
    }
}

fn question(asked: LedgerAsk) -> Result<Question, String> {
    Ok(match asked {
        LedgerAsk::Head => Question::Head,
        LedgerAsk::Block(height) => Question::Block(Height(height)),
        LedgerAsk::Compact { after, most } => Question::Compact { after: Height(after), most },
        LedgerAsk::Transaction(id) => {
            let id = Digest::from_hex(&id).map_err(|error| error.to_string())?;
            Question::Transaction(TxId(id))
        }
        LedgerAsk::Submit(bytes) => {
            let transaction = Transaction::from_bytes(&bytes);
            Question::Submit(Box::new(transaction.map_err(|error| error.to_string())?))
        }
        LedgerAsk::Faucet { address, amount } => {
            let address = address.parse().map_err(|error| format!("{address:?}: {error}"))?;
            Question::Faucet { address, amount: Amount(amount) }
        }
    })
}

fn said(answer: Answer) -> LedgerSaid {
    match answer {
        Answer::Head(it) => LedgerSaid::Found(head(&it)),
        Answer::Compact(pieces) => {
            LedgerSaid::Found(json!({ "pieces": pieces.iter().map(piece).collect::<Vec<_>>() }))
        }
        Answer::Block(it) => LedgerSaid::Found(block(&it)),
        Answer::Transaction { place, transaction } => {
            let (height, first) = (place.map(|it| it.height.0), place.map(|it| it.first.0));
            let mut value = brief(&transaction);
            value["height"] = json!(height);
            value["first_note"] = json!(first);
            value["bytes"] = json!(digits(&transaction.to_bytes()));
            if place.is_some() { LedgerSaid::Found(value) } else { LedgerSaid::Waits(value) }
        }
        Answer::Accepted(id) => LedgerSaid::Found(json!({ "accepted": id.0.hex() })),
        Answer::Refused(refusal) => refused(&refusal),
        Answer::Unknown | Answer::Cells(_) | Answer::Genesis(_) => LedgerSaid::Unknown,
    }
}

fn refused(refusal: &Refusal) -> LedgerSaid {
    let (code, later) = match refusal.kind {
        RefusalKind::Malformed => ("malformed", false),
        RefusalKind::FalseProof => ("false_proof", false),
        RefusalKind::Spent => ("spent", false),
        RefusalKind::Expired => ("expired", false),
        RefusalKind::Conflict => ("conflict", false),
        RefusalKind::Full => ("full", true),
        RefusalKind::TooLarge => ("too_large", false),
        RefusalKind::NotATestNetwork => ("not_a_test_network", false),
        RefusalKind::Faucet => ("faucet", false),
        RefusalKind::Storage => ("storage", true),
    };
    LedgerSaid::Refused { code, why: refusal.to_string(), later }
}

fn head(head: &Head) -> Value {
    json!({
        "chain": head.rules.chain.0.hex(),
        "network": if head.network == Network::Main { "main" } else { "test" },
        "height": head.height.0,
        "root": head.root.hex(),
        "supply": head.supply.0,
        "time_ms": head.time,
        "fee_unit": head.rules.fee_unit.0,
        "till_epoch": head.rules.till_epoch,
    })
}

fn block(block: &Sealed) -> Value {
    json!({
        "id": block.header.id().0.hex(),
        "parent": block.header.parent.0.hex(),
        "height": block.header.height.0,
        "time_ms": block.header.time,
        "root": block.header.root.hex(),
        "transactions": block.transactions.iter().map(brief).collect::<Vec<_>>(),
        "bytes": digits(&block.to_bytes()),
    })
}

/// What of a transaction is public, and small.
fn brief(tx: &Transaction) -> Value {
    json!({
        "id": tx.id().0.hex(),
        "size": tx.to_bytes().len(),
        "spends": tx.body.spends.len(),
        "outputs": tx.body.outputs.len(),
        "actions": tx.body.actions.len(),
        "fee": tx.body.fee.0,
        "valid_until": tx.body.valid_until.0,
    })
}

fn piece(piece: &Piece) -> Value {
    json!({
        "height": piece.height.0,
        "time_ms": piece.time,
        "transactions": piece.transactions.len(),
        "bytes": digits(&piece.to_bytes()),
    })
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
