//! The other side of [`crate::pay`]: a request to somebody's door, and what it wants for it.

use crate::pay::{Details, METHOD, Payload, Proof, hex, unhex};
use mpp::protocol::intents::SessionRequest;
use mpp::{PaymentChallenge, PaymentCredential, Receipt};
use mutirao_wire::Amount;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode};
use std::time::Duration;
use thiserror::Error;

/// Silence after which a request is given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of an error at most.
const ERROR_BYTES_MAX: usize = 64 << 10;

/// Why a request was not answered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PayerError {
    /// The address is none.
    #[error("{0:?} is no address: it begins with http:// or https://")]
    Address(String),
    /// It could not be reached, or broke off.
    #[error("{address}: {reason}")]
    Unreachable {
        /// Which.
        address: String,
        /// Why.
        reason: String,
    },
    /// It wants to be paid in a way that we do not know.
    #[error("{address} wants to be paid, and not through a channel of this network: {why}")]
    Method {
        /// Which.
        address: String,
        /// What is wrong.
        why: String,
    },
    /// It refused.
    #[error("{address} says {status}: {body}")]
    Refused {
        /// Which.
        address: String,
        /// The status.
        status: u16,
        /// The beginning of what it said.
        body: String,
    },
}

/// What was said.
#[derive(Debug)]
pub enum Told {
    /// An answer.
    Answer(Box<Answering>),
    /// It wants to be paid first.
    Demand(Box<Demand>),
}

/// An answer on its way.
#[derive(Debug)]
pub struct Answering {
    response: Response,
    /// What requests took of the channel in all, where it is known yet.
    pub settled: Option<Amount>,
}

impl Answering {
    /// The next piece; none at the end.
    ///
    /// # Errors
    /// [`PayerError::Unreachable`].
    pub async fn piece(&mut self) -> Result<Option<Vec<u8>>, PayerError> {
        let address = self.response.url().to_string();
        let piece = self.response.chunk().await.map_err(|error| unreachable(&address, &error))?;
        Ok(piece.map(|piece| piece.to_vec()))
    }
}

/// What a request costs, and how it is paid.
#[derive(Debug)]
pub struct Demand {
    challenge: PaymentChallenge,
    /// The most that it costs.
    pub ceiling: Amount,
    /// The model, hexadecimal.
    pub model: String,
    /// What a channel must be like: the payee's own words.
    pub terms: Vec<u8>,
    /// What earlier requests took of the channel that was shown.
    pub settled: Option<Amount>,
    /// What was wrong with what was shown, or that nothing was.
    pub why: String,
}

impl Demand {
    /// Of a challenge's header.
    ///
    /// # Errors
    /// Why it is none that we could answer.
    pub fn read(header: &str, why: String) -> Result<Self, String> {
        let challenge = PaymentChallenge::from_header(header).map_err(|error| error.to_string())?;
        challenge.validate_for_session(METHOD).map_err(|error| error.to_string())?;
        let request: SessionRequest =
            challenge.request.decode().map_err(|error| error.to_string())?;
        let amount = request.parse_amount().ok().and_then(|amount| u64::try_from(amount).ok());
        let details = request.method_details.unwrap_or_default();
        let details: Details = serde_json::from_value(details).map_err(|it| it.to_string())?;
        Ok(Self {
            challenge,
            ceiling: Amount(amount.ok_or("it names no amount")?),
            model: details.model,
            terms: unhex(&details.terms).ok_or("its terms are no hexadecimal digits")?,
            settled: details.settled.map(Amount),
            why,
        })
    }

    /// What goes into `Authorization`.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn credential(&self, proof: &Proof) -> Result<String, String> {
        let payload = Payload {
            channel: proof.channel.hex(),
            take: proof.take.as_deref().map(hex),
            voucher: hex(&proof.voucher),
        };
        let credential = PaymentCredential::new(self.challenge.to_echo(), payload);
        mpp::format_authorization(&credential).map_err(|error| error.to_string())
    }
}

/// Sends requests.
#[derive(Debug, Clone)]
pub struct Requester {
    client: Client,
}

impl Requester {
    /// One that asks over TLS where the address says so.
    ///
    /// # Errors
    /// [`PayerError::Unreachable`] when the system gives no client.
    pub fn new() -> Result<Self, PayerError> {
        let client = crate::hub::client_builder().read_timeout(PATIENCE).build();
        Ok(Self { client: client.map_err(|error| unreachable("the client", &error))? })
    }

    /// Posts JSON, with what pays for it.
    ///
    /// # Errors
    /// [`PayerError`].
    pub async fn post(
        &self,
        address: &str,
        body: Vec<u8>,
        credential: Option<String>,
    ) -> Result<Told, PayerError> {
        let mut request = self.client.post(address).header(CONTENT_TYPE, "application/json");
        if let Some(credential) = credential {
            request = request.header(AUTHORIZATION, credential);
        }
        let sent = request.body(body).send().await;
        let response = sent.map_err(|error| unreachable(address, &error))?;
        let header = |name: &str| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.map(str::to_owned)
        };
        let (wanted, receipt) = (header(WWW_AUTHENTICATE.as_str()), header("payment-receipt"));
        let status = response.status();
        if status.is_success() {
            let settled = receipt.and_then(|receipt| settled(&receipt));
            return Ok(Told::Answer(Box::new(Answering { response, settled })));
        }
        let address = address.to_owned();
        let body = beginning(response).await;
        match wanted {
            Some(wanted) if status == StatusCode::PAYMENT_REQUIRED => {
                let demand = Demand::read(&wanted, body);
                let demand = demand.map_err(|why| PayerError::Method { address, why })?;
                Ok(Told::Demand(Box::new(demand)))
            }
            _ => Err(PayerError::Refused { address, status: status.as_u16(), body }),
        }
    }
}

/// Where an address leads: scheme, host and port.
///
/// # Errors
/// [`PayerError::Address`].
pub fn origin(address: &str) -> Result<String, PayerError> {
    let wrong = || PayerError::Address(address.to_owned());
    let url: reqwest::Url = address.parse().map_err(|_| wrong())?;
    let origin = url.origin();
    let known = matches!(url.scheme(), "http" | "https") && origin.is_tuple();
    known.then(|| origin.ascii_serialization()).ok_or_else(wrong)
}

/// What a receipt's header says that requests took of a channel.
#[must_use]
pub fn settled(receipt: &str) -> Option<Amount> {
    let receipt = Receipt::from_header(receipt).ok()?;
    receipt.extensions.get("settled")?.as_u64().map(Amount)
}

/// What an error says, where it says it in the words of OpenAI's API, and else its beginning.
async fn beginning(mut response: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > ERROR_BYTES_MAX {
            break;
        }
    }
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let said = json["error"]["message"].as_str().map(str::to_owned);
    said.unwrap_or_else(|| String::from_utf8_lossy(&body).chars().take(300).collect())
}

fn unreachable(address: &str, error: &reqwest::Error) -> PayerError {
    let reason = crate::hub::causes(error);
    PayerError::Unreachable { address: address.to_owned(), reason }
}
