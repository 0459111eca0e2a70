//! The HTTP door of one's own node: the APIs of OpenAI and Ollama, health, metrics, receipts and a
//! page. And the one HTTP client, for the hub of published models ([`Hub`]).
//!
//! It listens on loopback and still trusts nobody: any page that the person visits can send
//! requests to a port of this machine, so host, origin and a token are checked before anything else
//! ([`guard`]). What a question means is the [`Backend`]'s business.
#![forbid(unsafe_code)]

pub mod backend;
pub mod chain;
mod demo;
mod door;
mod embeddings;
mod error;
mod form;
mod guard;
mod hub;
mod metrics;
mod neighbours;
mod ollama;
mod openai;
mod page;
pub mod pay;
pub mod payer;
mod queue;
mod telling;
pub mod wallet;

pub use backend::{
    Answer, Ask, AskFailure, Backend, Checked, Embedded, ModelEntry, ModelFacts, Neighbour,
    Payment, Percentiles, Said, TokenScore, Verified,
};
pub use demo::Kill;
pub use door::{Door, DoorSettings, serve};
pub use error::ApiError;
pub use guard::{Caller, Callers, Guard};
pub use hub::{Hub, HubError, HubFile};
pub use openai::ChatRequest;
