//! The session protocol `mutirao/session/2`: one answer over one stream, and what happens when the
//! other side falls silent or lies. Clauses: `docs/spec/session.md`.

pub mod client;
pub mod frame;
pub mod payment;
pub mod provider;
mod watchdog;

pub use watchdog::Watchdog;
