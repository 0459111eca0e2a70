//! A ledger that others ask: over the network by its ticket, and over HTTP on this machine.
//!
//! Each link is a task of its own, each question on it is answered before the next is read. What
//! all links together keep busy is bounded; a peer that asks nonsense is told so and let go.

use super::http::Desk;
use super::{LedgerError, Pace};
use crate::assemble::Node;
use crate::keys;
use mutirao_chain::Keeper;
use mutirao_gateway::{Guard, chain};
use mutirao_ledger::service::{Answer, Question, Refusal, RefusalKind};
use mutirao_net::{LEDGER_ALPN, Link, Net, Ticket, iroh};
use mutirao_wire::{Decode, Encode};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

/// Questions from the network that are answered at once.
const AT_ONCE: usize = 256;

/// Times that it is looked whether links have let go of a ledger that is closed.
const LETTING_GO: usize = 250;

/// A ledger that is being served.
pub struct ServingLedger {
    keeper: Arc<Keeper>,
    net: Arc<dyn Net>,
    http: SocketAddr,
    token: String,
    links: tokio::task::JoinHandle<()>,
    stop: oneshot::Sender<()>,
    door: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl std::fmt::Debug for ServingLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServingLedger({})", self.http)
    }
}

impl ServingLedger {
    /// How others reach it.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.net.ticket()
    }

    /// Where its HTTP door is.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// What every request over HTTP must carry.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whoever keeps it.
    #[must_use]
    pub fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    /// Takes no more questions; what is acknowledged is stored.
    pub async fn stop(self) {
        self.links.abort();
        let _ = self.stop.send(());
        let _ = self.door.await;
        self.net.close().await;
        let keeper = self.keeper;
        // Links that were answered just now let go of it in a moment.
        for _ in 0..LETTING_GO {
            if Arc::strong_count(&keeper) == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let _ = tokio::task::spawn_blocking(move || drop(keeper)).await;
    }
}

impl Node {
    /// Keeps the ledger of this home and serves it.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn serve_ledger(
        &self,
        genesis: Option<&Path>,
        pace: Pace,
    ) -> Result<ServingLedger, LedgerError> {
        let keeper = Arc::new(self.keep_ledger(genesis, pace)?);
        let token = keys::door_token(&self.config().data_dir.join("keys"))?;
        let address = self.config().http;
        let taken =
            |error: std::io::Error| LedgerError::Door { address, reason: error.to_string() };
        let listener = TcpListener::bind(address).await.map_err(taken)?;
        let http = listener.local_addr().map_err(taken)?;
        let config =
            iroh::Config { protocol: LEDGER_ALPN, ..iroh::Config::new(self.config().listen) };
        let net = iroh::bind(&self.keys()?.peer, config).await?;
        let links = tokio::spawn(serve(net.clone(), keeper.clone()));
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let guard = Guard::new(&token, &[http.ip().to_string()]);
        let desk = Arc::new(Desk::new(keeper.clone()));
        let door = tokio::spawn(chain::serve(listener, desk, guard, stopped));
        Ok(ServingLedger { keeper, net, http, token, links, stop, door })
    }
}

/// Answers every link that comes until the node closes.
pub async fn serve(net: Arc<dyn Net>, keeper: Arc<Keeper>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(link) = net.accept().await {
        tokio::spawn(serve_link(link, keeper.clone(), places.clone()));
    }
}

pub(super) async fn serve_link(mut link: Link, keeper: Arc<Keeper>, places: Arc<Semaphore>) {
    while let Ok(Some(frame)) = link.receiver.receive().await {
        let Ok(_place) = places.acquire().await else { return };
        let (answer, goes_on) = match Question::from_bytes(&frame) {
            Ok(question) => (ask(&keeper, question).await, true),
            Err(error) => {
                let why = format!("this is no question: {error}");
                (Answer::Refused(Refusal::new(RefusalKind::Malformed, &why)), false)
            }
        };
        if link.sender.send(answer.to_bytes()).await.is_err() || !goes_on {
            break;
        }
    }
    link.sender.finish().await;
}

/// Asks without keeping a thread of the runtime while the answer is looked for or waits for a
/// block.
pub async fn ask(keeper: &Arc<Keeper>, question: Question) -> Answer {
    let (sender, receiver) = oneshot::channel();
    let keeper = keeper.clone();
    let asking = tokio::task::spawn_blocking(move || {
        keeper.ask_then(question, move |answer| {
            let _ = sender.send(answer);
        });
    });
    let asked = asking.await;
    let closed = || Refusal::new(RefusalKind::Storage, "the ledger is being closed");
    match (asked, receiver.await) {
        (Ok(()), Ok(answer)) => answer,
        _ => Answer::Refused(closed()),
    }
}
