//! The real transport: QUIC between Ed25519 keys, by iroh, with none of its default servers.
//!
//! **Goals.** Dial a ticket; one connection per pair of nodes, one stream per job; whole frames;
//! every limit our own; being found on the same local network, if its owner says so. **Not goals.**
//! Discovery from elsewhere, relays, hole punching through unknown networks.
//!
//! A peer that is killed sends nothing: its streams stay silent until the idle limit. Silence is
//! for the session's watchdog to judge, which is faster and knows what it waits for.

use crate::blobs::{self, Library, MODELS_ALPN, PUSH_ALPN, Pushed};
use crate::link::{BoxFuture, FrameReceiver, FrameSender, Link, Net, NetError};
use crate::{ALPN, LEDGER_ALPN, Ticket};
use ::iroh::endpoint::{
    Connection, Incoming, QuicTransportConfig, RecvStream, SendStream, VarInt, presets,
};
use ::iroh::{Endpoint, EndpointAddr, PublicKey, RelayMode, SecretKey, TransportAddr};
use mutirao_wire::limits::FRAME_BYTES_MAX;
use mutirao_wire::{PeerKey, SigningKey};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, mpsc};

/// Longest wait for a connection.
pub(crate) const DIAL_LIMIT: Duration = Duration::from_secs(3);
/// Longest wait for the last frames to be acknowledged.
pub(crate) const FINISH_LIMIT: Duration = Duration::from_secs(2);
/// A connection without a sign of life ends after this.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Most bytes that one peer can make us hold.
const RECEIVE_WINDOW: u32 = 8 << 20;
/// Streams that wait for [`Net::accept`].
const BACKLOG: usize = 64;

/// Which peers may connect.
pub type Gate = Arc<dyn Fn(&PeerKey) -> bool + Send + Sync>;

/// How a node listens.
#[derive(Clone)]
pub struct Config {
    /// Where.
    pub listen: SocketAddr,
    /// The protocol of the streams that it dials and accepts.
    pub protocol: &'static [u8],
    /// Who takes streams by which a ledger is asked, beside another protocol; without, there are
    /// none.
    pub ledger: Option<mpsc::Sender<Link>>,
    /// Most connections at once.
    pub connections_max: usize,
    /// Most streams at once on one connection.
    pub streams_max: u32,
    /// Asked after the handshake proved a peer's key.
    pub gate: Gate,
    /// The models it has for others, if any.
    pub library: Option<Library>,
    /// Who judges models that peers offer; without, all are refused.
    pub pushes: Option<mpsc::Sender<Pushed>>,
    /// Whether others on the same local network may find it without a ticket.
    pub announced: bool,
}

impl Config {
    /// Listens on `listen` for anybody, within modest limits.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            protocol: ALPN,
            ledger: None,
            connections_max: 256,
            streams_max: 32,
            gate: Arc::new(|_| true),
            library: None,
            pushes: None,
            announced: false,
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Config({}, {} connections)", self.listen, self.connections_max)
    }
}

struct Node {
    endpoint: Endpoint,
    key: PeerKey,
    protocol: &'static [u8],
    connections: Mutex<HashMap<PeerKey, Connection>>,
    accepted: Mutex<mpsc::Receiver<Link>>,
}

/// Whoever drops a node without a farewell still gives back its socket: the task that accepts holds
/// the endpoint too, and would hold it for ever.
impl Drop for Node {
    fn drop(&mut self) {
        let endpoint = self.endpoint.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { endpoint.close().await });
        }
    }
}

/// Opens a node under `key`. The work is a task of its own: a socket that nobody waits for any more
/// is opened all the same, and then closed properly.
///
/// # Errors
/// [`NetError::Bind`] when the address is taken or not ours, [`NetError::Lan`] when it shall be
/// announced and cannot.
pub async fn bind(key: &SigningKey, config: Config) -> Result<Arc<dyn Net>, NetError> {
    let (key, address, announced) = (key.clone(), config.listen, config.announced);
    let failed = |reason: String| NetError::Bind { address, reason };
    let opening = tokio::spawn(open(key, config)).await;
    let opened = opening.map_err(|error| failed(error.to_string()))?;
    let node = opened.map_err(failed)?;
    if announced {
        crate::lan::announce(&node.endpoint)?;
    }
    Ok(Arc::new(node))
}

async fn open(key: SigningKey, config: Config) -> Result<Node, String> {
    let (protocol, mut protocols) = (config.protocol, vec![config.protocol.to_vec()]);
    if config.ledger.is_some() {
        protocols.push(LEDGER_ALPN.to_vec());
    }
    if config.library.is_some() {
        protocols.extend([MODELS_ALPN.to_vec(), iroh_blobs::ALPN.to_vec()]);
    }
    if config.pushes.is_some() {
        protocols.push(PUSH_ALPN.to_vec());
    }
    let secret = SecretKey::from_bytes(&key.secret());
    let endpoint = endpoint(secret, config.listen, config.streams_max, protocols).await?;
    let (sender, receiver) = mpsc::channel(BACKLOG);
    tokio::spawn(accept_connections(endpoint.clone(), config, sender));
    Ok(Node {
        endpoint,
        key: key.peer_key(),
        protocol,
        connections: Mutex::new(HashMap::new()),
        accepted: Mutex::new(receiver),
    })
}

/// A socket without any of iroh's default servers.
pub(crate) async fn endpoint(
    secret: SecretKey,
    listen: SocketAddr,
    streams_max: u32,
    protocols: Vec<Vec<u8>>,
) -> Result<Endpoint, String> {
    Endpoint::builder(presets::Minimal)
        .secret_key(secret)
        .alpns(protocols)
        .relay_mode(RelayMode::Disabled)
        .clear_address_lookup()
        .clear_ip_transports()
        .bind_addr(listen)
        .map_err(|error| error.to_string())?
        .transport_config(transport(streams_max))
        .bind()
        .await
        .map_err(|error| root_cause(&error))
}

/// A socket to ask from, under a key of its own, on which nobody is served.
pub(crate) async fn asking_endpoint() -> Result<Endpoint, NetError> {
    let listen = SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, 0));
    let opened = endpoint(SecretKey::generate(), listen, 1, Vec::new()).await;
    opened.map_err(|reason| NetError::Bind { address: listen, reason })
}

/// The innermost error says what the system said.
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn transport(streams_max: u32) -> QuicTransportConfig {
    QuicTransportConfig::builder()
        .max_concurrent_bidi_streams(VarInt::from_u32(streams_max))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_idle_timeout(IDLE_LIMIT.try_into().ok())
        .keep_alive_interval(KEEP_ALIVE)
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .build()
}

/// Each connection lives in a task of its own: a panic in one ends that one.
async fn accept_connections(endpoint: Endpoint, config: Config, links: mpsc::Sender<Link>) {
    let places = Arc::new(Semaphore::new(config.connections_max));
    while let Some(incoming) = endpoint.accept().await {
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!("too many connections; one more is refused");
            incoming.refuse();
            continue;
        };
        let (config, links) = (config.clone(), links.clone());
        tokio::spawn(async move {
            accept_streams(incoming, config, &links).await;
            drop(place);
        });
    }
}

async fn accept_streams(incoming: Incoming, config: Config, links: &mpsc::Sender<Link>) {
    let Ok(accepting) = incoming.accept() else { return };
    let Ok(Ok(connection)) = tokio::time::timeout(DIAL_LIMIT, accepting).await else { return };
    let peer = PeerKey(*connection.remote_id().as_bytes());
    if !(config.gate)(&peer) {
        connection.close(VarInt::from_u32(1), b"not welcome here");
        return;
    }
    if connection.alpn() == PUSH_ALPN {
        return blobs::hear(connection, config.pushes).await;
    }
    if connection.alpn() == LEDGER_ALPN && config.protocol != LEDGER_ALPN {
        return match config.ledger {
            Some(ledger) => accept_links(peer, &connection, &ledger).await,
            None => connection.close(VarInt::from_u32(1), b"no ledger here"),
        };
    }
    if connection.alpn() != config.protocol {
        if let Some(library) = config.library {
            library.serve(connection).await;
        }
        return;
    }
    accept_links(peer, &connection, links).await;
}

async fn accept_links(peer: PeerKey, connection: &Connection, links: &mpsc::Sender<Link>) {
    while let Ok((sender, receiver)) = connection.accept_bi().await {
        if links.send(link(peer, sender, receiver)).await.is_err() {
            connection.close(VarInt::from_u32(0), b"closing");
        }
    }
}

fn link(peer: PeerKey, sender: SendStream, receiver: RecvStream) -> Link {
    Link { peer, sender: Box::new(Sender(sender)), receiver: Box::new(Receiver(receiver)) }
}

impl Node {
    /// The living connection to a peer, or a new one.
    async fn connection(&self, peer: &Ticket) -> Result<Connection, NetError> {
        if let Some(connection) = self.living(&peer.key()).await {
            return Ok(connection);
        }
        let failed = |reason: String| NetError::Unreachable { peer: peer.key(), reason };
        let connecting = self.endpoint.connect(address(peer).map_err(failed)?, self.protocol);
        let connection = tokio::time::timeout(DIAL_LIMIT, connecting)
            .await
            .map_err(|_| failed(format!("no reply in {} s", DIAL_LIMIT.as_secs())))?
            .map_err(|error| failed(root_cause(&error)))?;
        self.connections.lock().await.insert(peer.key(), connection.clone());
        Ok(connection)
    }

    /// The lock is not held while a peer is dialled: one that is dead must not delay the others.
    async fn living(&self, peer: &PeerKey) -> Option<Connection> {
        let mut connections = self.connections.lock().await;
        connections.retain(|_, connection| connection.close_reason().is_none());
        connections.get(peer).cloned()
    }

    async fn open(&self, peer: &Ticket) -> Result<Link, NetError> {
        let connection = self.connection(peer).await?;
        let failed = |reason: String| NetError::Unreachable { peer: peer.key(), reason };
        let (sender, receiver) = tokio::time::timeout(DIAL_LIMIT, connection.open_bi())
            .await
            .map_err(|_| failed("it takes no more streams".into()))?
            .map_err(|error| failed(error.to_string()))?;
        Ok(link(peer.key(), sender, receiver))
    }
}

pub(crate) fn address(peer: &Ticket) -> Result<EndpointAddr, String> {
    let key = PublicKey::from_bytes(&peer.key().0).map_err(|error| error.to_string())?;
    let addresses = peer.addresses().iter().map(|address| TransportAddr::Ip(*address));
    Ok(EndpointAddr::from_parts(key, addresses))
}

impl Net for Node {
    fn key(&self) -> PeerKey {
        self.key
    }

    /// Where the socket is bound; a socket on all interfaces is named by each of them.
    fn ticket(&self) -> Ticket {
        let bound = self.endpoint.bound_sockets();
        let named = |address: &SocketAddr| !address.ip().is_unspecified();
        let mut addresses: Vec<_> = bound.iter().copied().filter(named).collect();
        if addresses.len() < bound.len() {
            addresses.extend(self.endpoint.addr().ip_addrs().copied().filter(named));
        }
        addresses.sort_unstable();
        addresses.dedup();
        Ticket::new(self.key, addresses)
    }

    fn dial(&self, peer: &Ticket) -> BoxFuture<'_, Result<Link, NetError>> {
        let peer = peer.clone();
        Box::pin(async move { self.open(&peer).await })
    }

    fn accept(&self) -> BoxFuture<'_, Option<Link>> {
        Box::pin(async { self.accepted.lock().await.recv().await })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.endpoint.close())
    }
}

fn broken(error: &dyn std::error::Error) -> NetError {
    NetError::Broken { reason: root_cause(error) }
}

pub(crate) struct Sender(pub(crate) SendStream);

impl FrameSender for Sender {
    fn send(&mut self, frame: Vec<u8>) -> BoxFuture<'_, Result<(), NetError>> {
        Box::pin(async move {
            let length = checked_length(frame.len() as u64)?;
            let bytes = [&length.to_le_bytes(), frame.as_slice()].concat();
            self.0.write_all(&bytes).await.map_err(|error| broken(&error))
        })
    }

    fn finish(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if self.0.finish().is_ok() {
                let _ = tokio::time::timeout(FINISH_LIMIT, self.0.stopped()).await;
            }
        })
    }
}

/// The length of a frame, refused above the bound before anything is allocated.
fn checked_length(bytes: u64) -> Result<u32, NetError> {
    let too_large = NetError::FrameTooLarge { bytes, maximum: FRAME_BYTES_MAX };
    u32::try_from(bytes).ok().filter(|length| *length as usize <= FRAME_BYTES_MAX).ok_or(too_large)
}

pub(crate) struct Receiver(pub(crate) RecvStream);

impl FrameReceiver for Receiver {
    fn receive(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, NetError>> {
        Box::pin(async move {
            let Some(length) = self.length().await? else { return Ok(None) };
            let mut frame = vec![0; checked_length(length.into())? as usize];
            self.0.read_exact(&mut frame).await.map_err(|error| broken(&error))?;
            Ok(Some(frame))
        })
    }
}

impl Receiver {
    /// The next frame's length; `None` when the stream ended between two frames.
    async fn length(&mut self) -> Result<Option<u32>, NetError> {
        let mut bytes = [0; 4];
        let first = self.0.read(&mut bytes).await.map_err(|error| broken(&error))?;
        let Some(count) = first else { return Ok(None) };
        self.0.read_exact(&mut bytes[count..]).await.map_err(|error| broken(&error))?;
        Ok(Some(u32::from_le_bytes(bytes)))
    }
}
