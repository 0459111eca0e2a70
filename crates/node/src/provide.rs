//! Being a neighbour: listening for others, and meeting one by ticket.

use crate::ask::AskError;
use crate::assemble::Node;
use crate::cashier::Cashier;
use crate::clock::Clock;
use crate::keys::{KeyError, Keys};
use crate::manners::{Manners, Rules, weather};
use crate::mind::Opened;
use crate::serve::{Counter, Sells};
use mutirao_net::{Net, Ticket, iroh};
use mutirao_wire::{Offer, SigningKey};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How long running answers may take to end when a provider stops.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(30);

/// A provider that listens.
pub struct Providing {
    net: Arc<dyn Net>,
    counter: Arc<Counter>,
    serving: tokio::task::JoinHandle<()>,
    /// Closes channels before they expire.
    tending: Option<tokio::task::JoinHandle<()>>,
}

impl Providing {
    /// How others reach it.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.net.ticket()
    }

    /// From now on looks who is at the keyboard, and lends the machine only as its owner said.
    pub fn mind_the_owner(&self) {
        weather::watch(&self.counter.manners);
    }

    /// The provider's manners, for whoever knows more of the machine.
    #[must_use]
    pub fn manners(&self) -> &Arc<Manners> {
        &self.counter.manners
    }

    /// Takes no more links, lets running answers end, closes.
    pub async fn stop(self) {
        self.serving.abort();
        if let Some(tending) = &self.tending {
            tending.abort();
        }
        if !self.counter.places.all_free(PATIENCE_AT_THE_END).await {
            tracing::warn!("some answers were still running");
        }
        self.net.close().await;
    }
}

/// How often it is looked whether a channel is about to expire.
const TENDING: Duration = Duration::from_secs(15);

impl Node {
    /// Listens and serves a model.
    ///
    /// # Errors
    /// [`AskError`] when the model cannot be opened or the address cannot be had.
    pub async fn provide(&self, model: &str, keys: &Keys) -> Result<Providing, AskError> {
        let (listen, announced) = (self.config().listen, self.config().discoverable);
        if announced && listen.ip().is_loopback() {
            return Err(AskError::Unreachable { address: listen });
        }
        let opened = self.open_whole(model)?;
        let library = self.library(&opened).await;
        let (pushes, judged) = tokio::sync::mpsc::channel(1);
        let pushes = Some(pushes);
        let config = iroh::Config { library, announced, pushes, ..iroh::Config::new(listen) };
        let net = iroh::bind(&keys.peer, config).await?;
        let mut counter = self.counter(&opened, keys.clone(), Clock::start());
        counter.manners = Manners::new(Rules::of(self.config()));
        counter.sells = self.sells(&opened)?;
        let tending = counter.sells.as_ref().map(|sells| tokio::spawn(tend(sells.cashier.clone())));
        let counter = Arc::new(counter);
        let serving = tokio::spawn(counter.clone().serve(net.clone()));
        tokio::spawn(Self::new(self.config().clone()).take_pushes(judged));
        Ok(Providing { net, counter, serving, tending })
    }

    /// What a model is sold for, if it is.
    fn sells(&self, opened: &Opened) -> Result<Option<Sells>, AskError> {
        let prices = self.config().prices;
        if prices.are_free() {
            return Ok(None);
        }
        let cashier = self.cashier().cloned().ok_or(AskError::NoWallet)?;
        let royalties = self.royalties(opened.id())?;
        Ok(Some(Sells { prices, royalties, cashier }))
    }

    /// Meets a node and adds it to the circle. A node that does not answer is not added.
    ///
    /// # Errors
    /// [`AskError`] when it does not answer or the circle cannot be written.
    pub async fn join(&self, ticket: &Ticket) -> Result<Vec<Offer>, AskError> {
        let net = self.client_net().await?;
        let offers = crate::ask::fetch_offers(&*net, ticket).await;
        net.close().await;
        let offers = offers?;
        self.make_data_dir()?;
        self.peers()?.add(ticket.clone())?;
        Ok(offers.into_iter().map(|signed| signed.offer).collect())
    }

    pub(crate) fn counter(&self, opened: &Opened, keys: Keys, clock: Clock) -> Counter {
        Counter {
            name: opened.name.clone(),
            spec: opened.spec.clone(),
            keys,
            mind: opened.mind().clone(),
            asker: None,
            sells: None,
            places: self.places(),
            manners: Manners::new(Rules::OWN),
            longest_job: Duration::from_secs(self.config().longest_job.into()),
            pace: self.config().pace,
            clock,
        }
    }

    /// A socket to ask from, under a key that nobody can link to an earlier question.
    pub(crate) async fn client_net(&self) -> Result<Arc<dyn Net>, AskError> {
        let address = self.asking_address();
        Ok(iroh::bind(&self.throw_away_key()?, iroh::Config::new(address)).await?)
    }

    /// Loopback suffices for peers on loopback; otherwise any interface may be needed.
    fn asking_address(&self) -> SocketAddr {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    }

    pub(crate) fn throw_away_key(&self) -> Result<SigningKey, KeyError> {
        Ok(Keys::throw_away()?.peer)
    }
}

/// Looks again and again whether a channel is about to expire.
async fn tend(cashier: Cashier) {
    loop {
        tokio::time::sleep(TENDING).await;
        let closed = cashier.tend().await;
        tracing::debug!(closed, "channels closed");
    }
}

/// Of MiB.
pub(crate) const fn bytes(mebibytes: u64) -> u64 {
    mebibytes.saturating_mul(1 << 20)
}
