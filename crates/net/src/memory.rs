//! The same trait without a wire: nodes of one process meet in a hub.
//!
//! A local run takes this way, so that one person's own machine walks the same path as the network;
//! tests use it to make nodes fall silent.

use crate::Ticket;
use crate::link::{BoxFuture, FrameReceiver, FrameSender, Link, Net, NetError};
use mutirao_wire::PeerKey;
use mutirao_wire::limits::FRAME_BYTES_MAX;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};

/// Frames that wait on one stream.
const FRAMES_WAITING: usize = 64;
/// Streams that wait for [`Net::accept`].
const BACKLOG: usize = 64;

/// What the other end of a stream can notice of a node.
#[derive(Clone)]
struct State {
    silent: Arc<AtomicBool>,
    closed: watch::Receiver<bool>,
}

#[derive(Clone)]
struct Member {
    links: mpsc::Sender<Link>,
    state: State,
}

/// Where the nodes of one process meet.
#[derive(Clone, Default)]
pub struct Hub {
    members: Arc<Mutex<HashMap<PeerKey, Member>>>,
}

impl Hub {
    /// An empty hub.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node.
    #[must_use]
    pub fn node(&self, key: PeerKey) -> Arc<dyn Net> {
        let (links, accepted) = mpsc::channel(BACKLOG);
        let (closing, closed) = watch::channel(false);
        let state = State { silent: Arc::default(), closed };
        self.members().insert(key, Member { links, state: state.clone() });
        let accepted = AsyncMutex::new(accepted);
        Arc::new(Node { hub: self.clone(), key, state, accepted, closing })
    }

    /// From now on nothing reaches or leaves this node, and nobody is told: a silent death.
    pub fn silence(&self, key: &PeerKey) {
        if let Some(member) = self.members().get(key) {
            member.state.silent.store(true, Ordering::SeqCst);
        }
    }

    fn members(&self) -> std::sync::MutexGuard<'_, HashMap<PeerKey, Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hub({} nodes)", self.members().len())
    }
}

struct Node {
    hub: Hub,
    key: PeerKey,
    state: State,
    accepted: AsyncMutex<mpsc::Receiver<Link>>,
    closing: watch::Sender<bool>,
}

/// One direction of a stream; silent as soon as either node is, at its end when either closes.
struct Wire<T> {
    end: T,
    nodes: [State; 2],
}

impl<T> Wire<T> {
    fn is_silent(&self) -> bool {
        self.nodes.iter().any(|node| node.silent.load(Ordering::SeqCst))
    }

    fn is_closed(&self) -> bool {
        self.nodes.iter().any(|node| *node.closed.borrow())
    }
}

/// Until one of the nodes closes; a node that is gone altogether has closed.
async fn closed(nodes: [State; 2]) {
    let [mut one, mut other] = nodes.map(|node| node.closed);
    tokio::select! {
        _ = one.wait_for(|closed| *closed) => {}
        _ = other.wait_for(|closed| *closed) => {}
    }
}

fn pair(nodes: &[State; 2]) -> (Box<dyn FrameSender>, Box<dyn FrameReceiver>) {
    let (sender, receiver) = mpsc::channel::<Vec<u8>>(FRAMES_WAITING);
    let sender = Wire { end: Some(sender), nodes: nodes.clone() };
    let receiver = Wire { end: receiver, nodes: nodes.clone() };
    (Box::new(sender), Box::new(receiver))
}

impl FrameSender for Wire<Option<mpsc::Sender<Vec<u8>>>> {
    fn send(&mut self, frame: Vec<u8>) -> BoxFuture<'_, Result<(), NetError>> {
        Box::pin(async move {
            let bytes = frame.len() as u64;
            if frame.len() > FRAME_BYTES_MAX {
                return Err(NetError::FrameTooLarge { bytes, maximum: FRAME_BYTES_MAX });
            }
            if self.is_silent() {
                return Ok(());
            }
            let gone = || NetError::Broken { reason: "the other end is gone".into() };
            if self.is_closed() {
                return Err(gone());
            }
            let sender = self.end.as_ref().ok_or_else(gone)?;
            sender.send(frame).await.map_err(|_| gone())
        })
    }

    fn finish(&mut self) -> BoxFuture<'_, ()> {
        if !self.is_silent() {
            self.end = None;
        }
        Box::pin(std::future::ready(()))
    }
}

impl FrameReceiver for Wire<mpsc::Receiver<Vec<u8>>> {
    fn receive(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, NetError>> {
        Box::pin(async move {
            let nodes = self.nodes.clone();
            let frame = tokio::select! {
                biased;
                frame = self.end.recv() => frame,
                () = closed(nodes) => None,
            };
            if self.is_silent() {
                std::future::pending::<()>().await;
            }
            Ok(frame)
        })
    }
}

impl Node {
    async fn open(&self, peer: &Ticket) -> Result<Link, NetError> {
        let failed = |reason: &str| {
            let (peer, reason) = (peer.key(), reason.to_owned());
            NetError::Unreachable { peer, reason }
        };
        let member = self.hub.members().get(&peer.key()).cloned();
        let member = member.ok_or_else(|| failed("nobody has this key"))?;
        let is_silent = |state: &State| state.silent.load(Ordering::SeqCst);
        if is_silent(&member.state) || is_silent(&self.state) {
            return Err(failed("no reply"));
        }
        let nodes = [self.state.clone(), member.state.clone()];
        let (to_peer, at_peer) = pair(&nodes);
        let (to_us, at_us) = pair(&nodes);
        let theirs = Link { peer: self.key, sender: to_us, receiver: at_peer };
        member.links.send(theirs).await.map_err(|_| failed("it is closed"))?;
        Ok(Link { peer: peer.key(), sender: to_peer, receiver: at_us })
    }
}

impl Net for Node {
    fn key(&self) -> PeerKey {
        self.key
    }

    fn ticket(&self) -> Ticket {
        Ticket::new(self.key, Vec::new())
    }

    fn dial(&self, peer: &Ticket) -> BoxFuture<'_, Result<Link, NetError>> {
        let peer = peer.clone();
        Box::pin(async move { self.open(&peer).await })
    }

    fn accept(&self) -> BoxFuture<'_, Option<Link>> {
        Box::pin(async {
            let mut closing = self.closing.subscribe();
            let mut accepted = self.accepted.lock().await;
            tokio::select! {
                link = accepted.recv() => link,
                _ = closing.wait_for(|closing| *closing) => None,
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.hub.members().remove(&self.key);
        self.closing.send_replace(true);
        Box::pin(std::future::ready(()))
    }
}
