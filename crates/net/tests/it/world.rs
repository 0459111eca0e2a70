//! What the tests share: nodes of either transport, an echo, and a limit on every wait.

use mutirao_net::iroh::{Config, bind};
use mutirao_net::memory::Hub;
use mutirao_net::{Link, Net, NetError, Ticket};
use mutirao_wire::{PeerKey, SigningKey};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Waits, but not for ever: a test that hangs is a test that fails.
pub async fn soon<T>(work: impl Future<Output = T>) -> T {
    within(20, work).await
}

pub async fn within<T>(seconds: u64, work: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(Duration::from_secs(seconds), work).await;
    waited.unwrap_or_else(|_| panic!("not done in {seconds} s"))
}

pub fn key(number: u8) -> SigningKey {
    SigningKey::from_secret(&[number; 32])
}

pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A node on loopback, at a port of the system's choice.
pub async fn quic(number: u8) -> Arc<dyn Net> {
    soon(bind(&key(number), Config::new(loopback(0)))).await.expect("a node on loopback")
}

/// Where a test's nodes live.
pub enum World {
    Memory(Hub),
    Quic,
}

impl World {
    pub async fn node(&self, number: u8) -> Arc<dyn Net> {
        match self {
            Self::Memory(hub) => hub.node(key(number).peer_key()),
            Self::Quic => quic(number).await,
        }
    }

    /// Two nodes, of which the second echoes.
    pub async fn pair(&self) -> (Arc<dyn Net>, Arc<dyn Net>) {
        let (client, server) = (self.node(1).await, self.node(2).await);
        tokio::spawn(echo(server.clone()));
        (client, server)
    }

    /// The ticket of a key that nobody runs.
    pub fn nobody(&self) -> Ticket {
        Ticket::new(nobody(), vec![loopback(9)])
    }
}

pub fn nobody() -> PeerKey {
    key(99).peer_key()
}

/// Sends back what each stream brings, until this node closes.
pub async fn echo(node: Arc<dyn Net>) {
    while let Some(link) = node.accept().await {
        tokio::spawn(echo_link(link));
    }
}

pub async fn echo_link(mut link: Link) {
    while let Ok(Some(frame)) = link.receiver.receive().await {
        if link.sender.send(frame).await.is_err() {
            return;
        }
    }
    link.sender.finish().await;
}

/// One frame there and back.
pub async fn round_trip(link: &mut Link, frame: &[u8]) -> Result<Option<Vec<u8>>, NetError> {
    link.sender.send(frame.to_vec()).await?;
    link.receiver.receive().await
}

/// Dials and checks that the peer echoes.
pub async fn greet(from: &dyn Net, to: &Ticket) -> Result<(), NetError> {
    let mut link = from.dial(to).await?;
    let answer = round_trip(&mut link, b"hello").await?;
    link.sender.finish().await;
    match answer.as_deref() {
        Some(b"hello") => Ok(()),
        other => Err(NetError::Broken { reason: format!("the echo was {other:?}") }),
    }
}
