//! The ledger behind the door: head, blocks, transactions, the compact stream, submissions.
//!
//! The same questions as over the network, for programs of this machine that speak HTTP and JSON.
//! Whole things travel as hexadecimal digits of their canonical bytes beside what people want to
//! read; what they mean is the [`Ledger`]'s business.

use crate::backend::BoxFuture;
use crate::error::ApiError;
use crate::guard::{self, Guard};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Largest request body, in bytes: a transaction as hexadecimal digits, twice over.
const BODY_BYTES_MAX: usize = 256 << 10;
/// Pieces of the compact stream where nobody says how many.
const MOST: u16 = 256;

/// A question, read from HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerAsk {
    /// Where the ledger stands.
    Head,
    /// The block of that height.
    Block(u64),
    /// The transaction of that id, as hexadecimal digits.
    Transaction(String),
    /// Blocks as a scan sees them.
    Compact {
        /// After that height.
        after: u64,
        /// At most so many.
        most: u16,
    },
    /// Take this transaction.
    Submit(Vec<u8>),
    /// Make new value, on a test network.
    Faucet {
        /// For whom, as text.
        address: String,
        /// How much, in base units.
        amount: u64,
    },
}

/// What the ledger says.
#[derive(Debug, Clone, PartialEq)]
pub enum LedgerSaid {
    /// What was asked for.
    Found(Value),
    /// It still waits for a block.
    Waits(Value),
    /// There is no such thing.
    Unknown,
    /// The question makes no sense.
    Nonsense(String),
    /// It was not taken.
    Refused {
        /// A word for programs.
        code: &'static str,
        /// Words for people.
        why: String,
        /// Whether the same may be taken later.
        later: bool,
    },
}

/// Whoever keeps a ledger.
pub trait Ledger: Send + Sync {
    /// Answers.
    fn ask(&self, ask: LedgerAsk) -> BoxFuture<LedgerSaid>;
}

type Shared = Arc<dyn Ledger>;

/// All routes, behind the guard.
pub fn router(ledger: Shared, guard: Guard) -> Router {
    Router::new()
        .route("/chain/head", get(head))
        .route("/chain/block/{height}", get(block))
        .route("/chain/tx/{id}", get(transaction))
        .route("/chain/compact", get(compact))
        .route("/chain/submit", post(submit))
        .route("/chain/faucet", post(faucet))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(Arc::new(guard), guard::stand))
        .with_state(ledger)
}

/// Serves the ledger until `stop` is done.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    ledger: Shared,
    guard: Guard,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(ledger, guard)).with_graceful_shutdown(stop).await
}

async fn said(ledger: &Shared, ask: LedgerAsk) -> Response {
    let error = |status, code, why: String| ApiError::new(status, code, why).into_response();
    match ledger.ask(ask).await {
        LedgerSaid::Found(value) => Json(value).into_response(),
        LedgerSaid::Waits(value) => (StatusCode::ACCEPTED, Json(value)).into_response(),
        LedgerSaid::Unknown => {
            error(StatusCode::NOT_FOUND, "not_found", "there is no such thing here".into())
        }
        LedgerSaid::Nonsense(why) => error(StatusCode::BAD_REQUEST, "invalid_value", why),
        LedgerSaid::Refused { code, why, later: true } => {
            error(StatusCode::SERVICE_UNAVAILABLE, code, why)
        }
        LedgerSaid::Refused { code, why, later: false } => {
            error(StatusCode::UNPROCESSABLE_ENTITY, code, why)
        }
    }
}

/// `GET /chain/head`
async fn head(State(ledger): State<Shared>) -> Response {
    said(&ledger, LedgerAsk::Head).await
}

/// `GET /chain/block/{height}`
async fn block(State(ledger): State<Shared>, Path(height): Path<u64>) -> Response {
    said(&ledger, LedgerAsk::Block(height)).await
}

/// `GET /chain/tx/{id}`
async fn transaction(State(ledger): State<Shared>, Path(id): Path<String>) -> Response {
    said(&ledger, LedgerAsk::Transaction(id)).await
}

/// `GET /chain/compact?after=&most=`
async fn compact(State(ledger): State<Shared>, RawQuery(query): RawQuery) -> Response {
    match span(query.as_deref().unwrap_or_default()) {
        Some((after, most)) => said(&ledger, LedgerAsk::Compact { after, most }).await,
        None => {
            let why = "`after` and `most` are whole numbers, and there is nothing else to say";
            ApiError::new(StatusCode::BAD_REQUEST, "invalid_value", why).into_response()
        }
    }
}

/// After which height, and at most how many.
fn span(query: &str) -> Option<(u64, u16)> {
    let (mut after, mut most) = (0, MOST);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=')? {
            ("after", number) => after = number.parse().ok()?,
            ("most", number) => most = number.parse().ok()?,
            _ => return None,
        }
    }
    Some((after, most))
}

#[derive(Deserialize)]
struct Submission {
    transaction: String,
}

/// `POST /chain/submit`: the bytes themselves, or JSON with their digits.
async fn submit(State(ledger): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind == Some("application/octet-stream") {
        return said(&ledger, LedgerAsk::Submit(body.to_vec())).await;
    }
    let read = serde_json::from_slice::<Submission>(&body).ok();
    match read.and_then(|read| bytes(&read.transaction)) {
        Some(bytes) => said(&ledger, LedgerAsk::Submit(bytes)).await,
        None => {
            let why = "the body is JSON with the hexadecimal digits of a `transaction`, or its \
                       bytes as application/octet-stream";
            ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", why).into_response()
        }
    }
}

#[derive(Deserialize)]
struct Wanted {
    address: String,
    amount: u64,
}

/// `POST /chain/faucet`
async fn faucet(State(ledger): State<Shared>, body: Bytes) -> Response {
    match serde_json::from_slice::<Wanted>(&body) {
        Ok(Wanted { address, amount }) => {
            said(&ledger, LedgerAsk::Faucet { address, amount }).await
        }
        Err(error) => {
            let why = format!("the body is JSON with `address` and `amount`: {error}");
            ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", why).into_response()
        }
    }
}

async fn unknown() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown_url", "there is nothing under this address")
}

/// Two digits a byte, in small letters.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).ok()?;
        let small = pair.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        u8::from_str_radix(text, 16).ok().filter(|_| small)
    };
    let whole = digits.len().is_multiple_of(2);
    whole.then(|| digits.as_bytes().chunks(2).map(pair).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_numbers_are_read_whole_or_not_at_all() {
        assert_eq!(bytes("00ff"), Some(vec![0, 255]));
        assert_eq!(bytes(""), Some(vec![]));
        assert_eq!((span(""), span("after=7")), (Some((0, MOST)), Some((7, MOST))));
        assert_eq!(span("most=3&after=9"), Some((9, 3)));
        for wrong in ["after", "after=-1", "most=70000", "limit=1"] {
            assert_eq!(span(wrong), None, "{wrong}");
        }
        for wrong in ["0", "0x", "+1", "AA", "é0"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
