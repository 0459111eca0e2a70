//! Requests that are paid for by whoever has no key: HTTP's 402 and its "Payment" scheme (source:
//! draft-ietf-httpauth-payment, crate `mpp`), with a channel of ours as the method.
//!
//! A request without a credential is told what it costs at most and under which terms a channel
//! pays for it. With a voucher for that much it is answered; what it took less is credit for the
//! next. Who only asks makes nobody write anything: a challenge is bound by a secret of this
//! process, not remembered. What is promised stands in `docs/spec/http.md`.

use crate::backend::{Answer, Ask, Backend};
use crate::door::Door;
use crate::error::ApiError;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use mpp::protocol::core::{Base64UrlJson, ChallengeEcho, compute_challenge_id};
use mpp::protocol::intents::SessionRequest;
use mpp::{PaymentChallenge, PaymentCredential, Receipt};
use mutirao_wire::{Amount, Digest};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The method's name.
pub(crate) const METHOD: &str = "mutirao";
/// Base units of a tijolo.
const CURRENCY: &str = "TJ";
/// The intent: pay as you go.
const INTENT: &str = "session";
/// A header of a response.
type Header = (HeaderName, HeaderValue);
const RECEIPT: HeaderName = HeaderName::from_static("payment-receipt");

/// Under which terms a request is answered to whoever pays for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// The most that it costs.
    pub ceiling: Amount,
    /// The least that a channel must hold.
    pub deposit: Amount,
    /// The model, hexadecimal.
    pub model: String,
    /// What a channel must be like: the payee's own words.
    pub terms: Vec<u8>,
}

/// What pays for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Which channel.
    pub channel: Digest,
    /// The channel itself, where the payee may not know it: the payer's own words.
    pub take: Option<Vec<u8>>,
    /// A voucher.
    pub voucher: Vec<u8>,
}

/// A request that was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// Names it.
    pub number: u64,
    /// What pays for it.
    pub channel: Digest,
    /// What is set aside for it.
    pub ceiling: Amount,
}

/// Why a proof pays for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpaid {
    /// In words.
    pub why: String,
    /// What earlier requests took of that channel, where it is known: a voucher must be for that
    /// and for this request.
    pub settled: Option<Amount>,
}

/// Beside the standard's fields of a request for payment.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Details {
    pub model: String,
    pub terms: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<u64>,
}

/// What a credential carries.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Payload {
    pub channel: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub take: Option<String>,
    pub voucher: String,
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// The other way.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()
}

impl Payload {
    fn proof(&self) -> Option<Proof> {
        let take = match &self.take {
            Some(words) => Some(unhex(words)?),
            None => None,
        };
        let channel = Digest::from_hex(&self.channel).ok()?;
        Some(Proof { channel, take, voucher: unhex(&self.voucher)? })
    }
}

/// Makes challenges and knows them again.
pub(crate) struct Register {
    secret: String,
}

impl Register {
    /// With a secret of this process, of 32 bytes and more.
    pub fn new(secret: &str) -> Self {
        Self { secret: secret.to_owned() }
    }

    fn challenge(&self, quote: &Quote, settled: Option<Amount>) -> Option<PaymentChallenge> {
        let settled = settled.map(|settled| settled.0);
        let details = Details { model: quote.model.clone(), terms: hex(&quote.terms), settled };
        let request = SessionRequest {
            amount: quote.ceiling.0.to_string(),
            unit_type: Some("request".into()),
            currency: CURRENCY.into(),
            suggested_deposit: Some(quote.deposit.0.to_string()),
            method_details: Some(serde_json::to_value(details).ok()?),
            ..SessionRequest::default()
        };
        let request = Base64UrlJson::from_typed(&request).ok()?;
        let secret = &self.secret;
        Some(PaymentChallenge::with_secret_key(secret, METHOD, METHOD, INTENT, request))
    }

    // spec: HTTP-1.1
    /// Whether the credential answers a challenge of this process for so much.
    fn knows(&self, echo: &ChallengeEcho, ceiling: Amount) -> bool {
        let (method, intent) = (echo.method.as_str(), echo.intent.as_str());
        let (secret, request) = (&self.secret, echo.request.raw());
        let bound =
            compute_challenge_id(secret, &echo.realm, method, intent, request, None, None, None);
        let request: Option<SessionRequest> = echo.request.decode().ok();
        let amount = request.and_then(|request| request.parse_amount().ok());
        bound == echo.id && method == METHOD && amount == Some(ceiling.0.into())
    }
}

/// Lets a request in that is paid for, or says what it costs.
pub(crate) async fn admit(
    door: &Door,
    register: &Register,
    headers: &HeaderMap,
    ask: &Ask,
    prompt: u32,
) -> Result<Bill, Response> {
    let ceiling = door.backend.price(prompt, ask.max_tokens);
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let unpaid = match shown.map(|shown| read(register, shown, ceiling)) {
        None => Unpaid {
            why: "answers are paid for here, or asked for with a key".into(),
            settled: None,
        },
        Some(Err(why)) => Unpaid { why, settled: None },
        Some(Ok(proof)) => {
            let (backend, model) = (door.backend.clone(), ask.model.clone());
            match backend.clone().admit(model, ceiling, proof).await {
                Ok(admission) => {
                    return Ok(Bill {
                        backend,
                        admission,
                        prompt,
                        heard: 0,
                        begun: false,
                        open: true,
                    });
                }
                Err(unpaid) => unpaid,
            }
        }
    };
    let quote = door.backend.clone().quote(ask.clone(), ceiling).await;
    let quote = quote.map_err(|failure| ApiError::from(failure).into_response())?;
    Err(demand(register, &quote, &unpaid))
}

fn read(register: &Register, shown: &str, ceiling: Amount) -> Result<Proof, String> {
    let (echo, proof) = credential(shown)?;
    let known = register.knows(&echo, ceiling);
    known
        .then_some(proof)
        .ok_or_else(|| "the credential answers another challenge than this request's".to_owned())
}

/// The challenge that a credential answers, and what it brings.
///
/// # Errors
/// Why it is none.
pub fn credential(shown: &str) -> Result<(ChallengeEcho, Proof), String> {
    let credential = PaymentCredential::from_header(shown)
        .map_err(|error| format!("this is no payment credential: {error}"))?;
    let payload: Option<Payload> = credential.payload_as().ok();
    let proof = payload.and_then(|payload| payload.proof());
    let proof = proof.ok_or("the credential's payload names no channel and voucher")?;
    Ok((credential.challenge, proof))
}

fn demand(register: &Register, quote: &Quote, unpaid: &Unpaid) -> Response {
    let challenge = register.challenge(quote, unpaid.settled);
    let header = challenge.and_then(|challenge| challenge.to_header().ok());
    let value = header.and_then(|header| HeaderValue::from_str(&header).ok());
    let Some(value) = value else {
        let message = "the price cannot be written down";
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        return ApiError::new(status, "internal_error", message).into_response();
    };
    let error = ApiError::new(StatusCode::PAYMENT_REQUIRED, "payment_required", &unpaid.why);
    let mut response = error.into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A request that is paid for: what it took is known at its end. Whoever hangs up pays for the
/// prompt and for what was said, and for nothing before the answer was begun.
pub(crate) struct Bill {
    backend: Arc<dyn Backend>,
    admission: Admission,
    prompt: u32,
    heard: u32,
    begun: bool,
    open: bool,
}

impl Bill {
    /// The request has its place.
    pub fn begin(&mut self) {
        self.begun = true;
    }

    /// A piece of the answer was said.
    pub fn heard(&mut self) {
        self.heard += 1;
    }

    /// The answer is whole, with so many tokens.
    pub async fn close(mut self, written: u32) -> Amount {
        self.open = false;
        let price = self.backend.price(self.prompt, written);
        self.backend.clone().discharge(self.admission, price).await
    }

    /// There is no answer, and it costs nothing.
    pub async fn cancel(mut self) {
        self.open = false;
        self.backend.clone().discharge(self.admission, Amount::ZERO).await;
    }

    // spec: HTTP-1.2
    /// The header that says what was set aside, and what was taken in all once that is known.
    pub fn receipt(admission: Admission, settled: Option<Amount>) -> Option<Header> {
        let mut receipt = Receipt::success(METHOD, admission.channel.hex());
        let mut say = |name: &str, amount: Amount| {
            drop(receipt.extensions.insert(name.to_owned(), amount.0.into()));
        };
        say("reserved", admission.ceiling);
        if let Some(settled) = settled {
            say("settled", settled);
        }
        Some((RECEIPT, HeaderValue::from_str(&receipt.to_header().ok()?).ok()?))
    }

    /// What was let in.
    pub fn admission(&self) -> Admission {
        self.admission
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        if self.open {
            let price = self.backend.price(self.prompt, self.heard);
            let price = if self.begun { price } else { Amount::ZERO };
            let (backend, admission) = (self.backend.clone(), self.admission);
            tokio::spawn(async move { backend.discharge(admission, price).await });
        }
    }
}

/// The end of a request that somebody pays for, with its answer or without; its receipt.
pub(crate) async fn close(bill: Option<Bill>, answer: Option<&Answer>) -> Option<Header> {
    let bill = bill?;
    let admission = bill.admission();
    let Some(answer) = answer else {
        bill.cancel().await;
        return None;
    };
    Bill::receipt(admission, Some(bill.close(answer.answer_tokens).await))
}

/// A response with its receipt.
pub(crate) fn with(receipt: Option<Header>, mut response: Response) -> Response {
    if let Some((name, value)) = receipt {
        response.headers_mut().insert(name, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn quote() -> Quote {
        let (ceiling, deposit) = (Amount(500), Amount(1_000));
        Quote { ceiling, deposit, model: "ab".repeat(32), terms: vec![1, 2, 250] }
    }

    fn written(change: impl FnOnce(&mut ChallengeEcho)) -> String {
        let challenge = Register::new(SECRET).challenge(&quote(), None).expect("a challenge");
        let mut echo = challenge.to_echo();
        change(&mut echo);
        let payload = Payload { channel: "cd".repeat(32), take: None, voucher: "0aff".into() };
        let credential = PaymentCredential::new(echo, payload);
        mpp::format_authorization(&credential).expect("a header")
    }

    #[test]
    fn a_credential_for_a_challenge_of_this_process_is_read() {
        let proof = read(&Register::new(SECRET), &written(|_| {}), Amount(500));
        let proof = proof.expect("it is one");
        assert_eq!((proof.channel.hex(), proof.voucher), ("cd".repeat(32), vec![10, 255]));
    }

    #[test]
    fn a_credential_for_less_or_of_another_challenge_is_refused() {
        let register = Register::new(SECRET);
        assert!(read(&register, &written(|_| {}), Amount(501)).is_err());
        assert!(read(&Register::new(&SECRET.repeat(2)), &written(|_| {}), Amount(500)).is_err());
        let cheaper = |echo: &mut ChallengeEcho| {
            let cheap = Quote { ceiling: Amount(1), ..quote() };
            let other = register.challenge(&cheap, None).expect("a challenge");
            echo.request = other.request;
        };
        assert!(read(&register, &written(cheaper), Amount(1)).is_err());
        assert!(read(&register, "Bearer something", Amount(500)).is_err());
    }

    #[test]
    fn bytes_survive_their_digits_and_half_a_byte_is_none() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        for wrong in ["0", "0g", "0x", "ã"] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }
}
