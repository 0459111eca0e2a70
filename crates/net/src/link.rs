//! The trait that every transport implements, and what it hands out.

use crate::Ticket;
use mutirao_wire::PeerKey;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use thiserror::Error;

/// A future behind a pointer, so that transports stay behind plain trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why the network did not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NetError {
    /// The socket cannot be had.
    #[error("cannot listen on {address}: {reason}; choose another with --listen")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// The peer did not answer.
    #[error("{} does not answer ({reason}); is it running, and is the ticket fresh?", peer.short())]
    Unreachable {
        /// The peer.
        peer: PeerKey,
        /// What happened.
        reason: String,
    },
    /// The stream broke.
    #[error("the connection broke: {reason}")]
    Broken {
        /// What happened.
        reason: String,
    },
    /// The local network cannot be used for finding and being found.
    #[error("cannot find or be found on the local network: {reason}; use tickets instead")]
    Lan {
        /// What the system said.
        reason: String,
    },
    /// A frame above the bound.
    #[error("a frame of {bytes} bytes; at most {maximum} are carried")]
    FrameTooLarge {
        /// Its size.
        bytes: u64,
        /// The bound.
        maximum: usize,
    },
    /// This node is closing.
    #[error("this node is closing")]
    Closed,
}

/// Sends whole frames.
pub trait FrameSender: Send {
    /// Sends one frame; waits while the peer is slow.
    fn send(&mut self, frame: Vec<u8>) -> BoxFuture<'_, Result<(), NetError>>;
    /// Says that no frame follows, and gives the last ones time to arrive.
    fn finish(&mut self) -> BoxFuture<'_, ()>;
}

/// Receives whole frames.
pub trait FrameReceiver: Send {
    /// The next frame; `None` when the peer finished. Not safe to cancel half-way.
    fn receive(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, NetError>>;
}

/// One stream to one peer.
pub struct Link {
    /// Who is at the other end; the transport has checked its key.
    pub peer: PeerKey,
    /// Our way out.
    pub sender: Box<dyn FrameSender>,
    /// Our way in.
    pub receiver: Box<dyn FrameReceiver>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({})", self.peer.short())
    }
}

/// A node on a network.
pub trait Net: Send + Sync {
    /// Our own key.
    fn key(&self) -> PeerKey;
    /// How others reach us.
    fn ticket(&self) -> Ticket;
    /// Opens one new stream to a peer.
    fn dial(&self, peer: &Ticket) -> BoxFuture<'_, Result<Link, NetError>>;
    /// The next stream that a peer opened; `None` once this node closes.
    fn accept(&self) -> BoxFuture<'_, Option<Link>>;
    /// Closes politely.
    fn close(&self) -> BoxFuture<'_, ()>;
}
