//! Reaches a key: whole frames over QUIC, or over memory, behind one narrow trait.
//!
//! The transport knows keys, addresses and frames; it does not know what a frame means. There are
//! no default servers: a peer is reached by a ticket, and everything works with the internet
//! unplugged.
#![forbid(unsafe_code)]

pub mod blobs;
pub mod iroh;
pub mod lan;
mod link;
pub mod memory;
mod ticket;

pub use link::{BoxFuture, FrameReceiver, FrameSender, Link, Net, NetError};
pub use ticket::{ADDRESSES_MAX, Ticket, TicketError};

/// The protocol spoken on a connection.
pub const ALPN: &[u8] = b"mutirao/session/2";
/// The protocol by which a ledger is asked: a frame for each question, a frame for each answer.
pub const LEDGER_ALPN: &[u8] = b"mutirao/ledger/1";
