//! The wallet behind the door, for its owner: what there is, what came and went, and any block as
//! its owner sees it beside what everybody else does.

use crate::door::Door;
use crate::error::ApiError;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mutirao_wire::{Amount, PeerKey};
use serde_json::{Value, json};
use std::sync::Arc;

/// What a wallet holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletView {
    /// Whether the ledger could be asked just now; else this is what was known.
    pub is_current: bool,
    /// Can be spent now.
    pub spendable: Amount,
    /// Comes back once what was sent stands in a block.
    pub pending: Amount,
    /// Spent on answers today.
    pub spent_today: Amount,
    /// The most that may be.
    pub daily: Amount,
    /// Channels, those that pay others first.
    pub channels: Vec<ChannelView>,
    /// The last that came and went, newest first.
    pub lines: Vec<LineView>,
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelView {
    /// Its id, hexadecimal.
    pub id: String,
    /// Who is paid, where that is somebody else and known.
    pub provider: Option<PeerKey>,
    /// Whether it pays us.
    pub earns: bool,
    /// What its vouchers say.
    pub paid: Amount,
    /// What was put in.
    pub deposit: Amount,
    /// The block after which it can be taken back.
    pub expiry: u64,
}

/// Something that came or went, in its owner's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineView {
    /// The block; none while it waits.
    pub height: Option<u64>,
    /// What it is: `received`, `sent` and so on.
    pub kind: String,
    /// How much, without the fee.
    pub amount: Amount,
    /// The fee, where we paid it.
    pub fee: Amount,
    /// What was said with it.
    pub memo: String,
    /// The transaction, hexadecimal.
    pub tx: String,
}

/// One block from both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwoViews {
    /// Its height.
    pub height: u64,
    /// Its bytes.
    pub bytes: usize,
    /// What its owner knows of it.
    pub owner: Vec<LineView>,
    /// What everybody sees, a value for each transaction.
    pub stranger: Vec<StrangerView>,
}

/// A transaction as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrangerView {
    /// Its id, hexadecimal.
    pub tx: String,
    /// Its bytes.
    pub bytes: usize,
    /// Notes that leave.
    pub spends: usize,
    /// Notes that come.
    pub outputs: usize,
    /// What happens to cells, by kind.
    pub actions: Vec<&'static str>,
    /// The fee.
    pub fee: Amount,
    /// New value, which is public.
    pub minted: Amount,
}

/// `GET /v1/wallet`
pub async fn show(State(door): State<Arc<Door>>) -> Result<Response, ApiError> {
    let shown = door.backend.clone().wallet().await.map_err(unavailable)?;
    let Some(wallet) = shown else { return Ok(Json(json!({ "open": false })).into_response()) };
    let channels: Vec<Value> = wallet.channels.iter().map(channel).collect();
    let lines: Vec<Value> = wallet.lines.iter().map(line).collect();
    let shown = json!({
        "object": "wallet",
        "open": true,
        "current": wallet.is_current,
        "spendable": wallet.spendable.0,
        "pending": wallet.pending.0,
        "spent_today": wallet.spent_today.0,
        "daily": wallet.daily.0,
        "channels": channels,
        "history": lines,
    });
    Ok(Json(shown).into_response())
}

/// `GET /v1/wallet/blocks/{height}`
pub async fn block(
    State(door): State<Arc<Door>>,
    Path(height): Path<u64>,
) -> Result<Response, ApiError> {
    let views = door.backend.clone().block(height).await.map_err(unavailable)?;
    let views = views.ok_or_else(|| {
        let message = "no wallet is open here, or its ledger has no such block";
        ApiError::new(StatusCode::NOT_FOUND, "block_not_found", message)
    })?;
    let owner: Vec<Value> = views.owner.iter().map(line).collect();
    let stranger: Vec<Value> = views.stranger.iter().map(seen).collect();
    let shown = json!({ "object": "block", "height": views.height, "bytes": views.bytes,
        "owner": owner, "stranger": stranger });
    Ok(Json(shown).into_response())
}

fn unavailable(why: String) -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "wallet_unavailable", why)
}

fn channel(channel: &ChannelView) -> Value {
    json!({
        "id": channel.id,
        "provider": channel.provider.map(|key| key.to_string()),
        "side": if channel.earns { "payee" } else { "payer" },
        "paid": channel.paid.0,
        "deposit": channel.deposit.0,
        "expiry": channel.expiry,
    })
}

fn line(line: &LineView) -> Value {
    json!({ "block": line.height, "kind": line.kind, "amount": line.amount.0, "fee": line.fee.0,
        "memo": line.memo, "tx": line.tx })
}

fn seen(seen: &StrangerView) -> Value {
    json!({ "tx": seen.tx, "bytes": seen.bytes, "spends": seen.spends, "outputs": seen.outputs,
        "actions": seen.actions, "fee": seen.fee.0, "minted": seen.minted.0 })
}
