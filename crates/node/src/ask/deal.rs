//! Before the first paid question to a provider: its terms, a channel, and that it knows it.

use super::errand::Errand;
use crate::assemble::Node;
use crate::callers::Caller;
use crate::carry;
use crate::cashier::{Cashier, Opened};
use mutirao_ledger::cell::CellId;
use mutirao_ledger::commit::Opening;
use mutirao_ledger::deal::{Ask, Reply, Terms};
use mutirao_market::session::client::Means;
use mutirao_market::session::frame::{ClientFrame, ProviderFrame};
use mutirao_net::{Net, Ticket};
use mutirao_wire::{Amount, Decode, Encode, Job, ModelId, PeerKey, Privacy};
use std::collections::BTreeMap;
use std::time::Duration;

/// Providers to whom a channel is held open for one question: the best, and who takes over.
const CHANNELS: usize = 2;
/// How long a provider may take: it looks at the ledger.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is said of a reply to another question.
const OTHER: &str = "it answered something else than it was asked";

impl Node {
    /// The most that an answer may cost now; nothing without an open wallet.
    pub(super) fn cap(&self, caller: Option<&Caller>) -> Amount {
        let Some(cashier) = self.cashier() else { return Amount::ZERO };
        if self.config().privacy == Privacy::Local {
            return Amount::ZERO;
        }
        self.most(cashier, caller)
    }

    /// The least of the caps of an answer, of the day, and of whoever asks.
    pub(crate) fn most(&self, cashier: &Cashier, caller: Option<&Caller>) -> Amount {
        cashier.left_today(caller).min(self.config().max_price)
    }

    /// The channels of a question; new ones where none leads to one of the best providers.
    pub(super) async fn means(&self, errand: &Errand, job: &Job) -> BTreeMap<PeerKey, Means> {
        let Some(cashier) = self.cashier() else { return BTreeMap::new() };
        let priced = errand.chosen.offers.iter().filter(|signed| !signed.offer.prices.are_free());
        let peers: Vec<PeerKey> = priced.map(|signed| signed.offer.provider).collect();
        let mut means = cashier.means(job.model, &peers);
        for peer in peers.into_iter().take(CHANNELS) {
            let way = (peer, job.model);
            let filled = match means.get(&peer) {
                Some(known) if known.left >= errand.cap => continue,
                Some(known) => self.top_up(cashier, errand, way, *known).await,
                None => self.open_channel(cashier, errand, way).await,
            };
            match filled {
                Ok(filled) => drop(means.insert(peer, filled)),
                Err(why) => tracing::warn!(peer = %peer.short(), why, "no channel was filled"),
            }
        }
        means
    }

    /// Puts more into a channel that is nearly empty.
    async fn top_up(
        &self,
        cashier: &Cashier,
        errand: &Errand,
        way: (PeerKey, ModelId),
        known: Means,
    ) -> Result<Means, String> {
        let opened = cashier.top_up(known.channel).await.map_err(|error| error.to_string())?;
        Self::show(cashier, errand, way, opened).await
    }

    async fn open_channel(
        &self,
        cashier: &Cashier,
        errand: &Errand,
        (peer, model): (PeerKey, ModelId),
    ) -> Result<Means, String> {
        let terms = match exchange(errand, &peer, &Ask::Terms(model)).await? {
            Reply::Terms(terms) => self.acceptable(terms, model)?,
            other => return Err(refused(&other)),
        };
        let opened = cashier.open_channel(terms).await.map_err(|error| error.to_string())?;
        Self::show(cashier, errand, (peer, model), opened).await
    }

    /// Shows a provider a channel as it stands on the ledger now.
    async fn show(
        cashier: &Cashier,
        errand: &Errand,
        (peer, model): (PeerKey, ModelId),
        Opened { channel, number, told }: Opened,
    ) -> Result<Means, String> {
        let take = Ask::Take { model, channel, number, told };
        let taken = exchange(errand, &peer, &take).await?;
        let Reply::Taken(taken) = taken else { return Err(refused(&taken)) };
        let known = cashier.remember((peer, model), (channel, number), taken.last).await;
        known.map_err(|error| error.to_string())?;
        let means = cashier.means(model, &[peer]);
        means.get(&peer).copied().ok_or_else(|| "the new channel ends too soon".to_owned())
    }

    /// Creators get what they published, whatever a provider says.
    // spec: SESSION-7.7
    pub(crate) fn acceptable(&self, terms: Terms, model: ModelId) -> Result<Terms, String> {
        let published = self.royalties(model).map_err(|error| error.to_string())?;
        let most = self.config().channel_deposit;
        if !published.is_empty() && published != terms.royalties {
            return Err("it asks for other royalties than the model's creator published".into());
        }
        if terms.deposit > most {
            return Err(format!(
                "it wants {} in a channel; channel_deposit is {most}",
                terms.deposit
            ));
        }
        Ok(terms)
    }
}

fn refused(reply: &Reply) -> String {
    match reply {
        Reply::No(why) => why.clone(),
        _ => OTHER.into(),
    }
}

impl Node {
    /// Asks the provider of a channel to close it; true when it did. Whoever knows what opens the
    /// first part of the deposit is its payer.
    ///
    /// # Errors
    /// Why it does not.
    // spec: SESSION-7.7
    pub async fn ask_to_close(
        &self,
        provider: PeerKey,
        channel: CellId,
        told: Opening,
    ) -> Result<(), String> {
        let peers = self.peers().map_err(|error| error.to_string())?;
        let ticket = peers.tickets().iter().find(|ticket| ticket.key() == provider);
        let ticket = ticket.ok_or("its provider is not in your circle any more")?;
        let net = self.client_net().await.map_err(|error| error.to_string())?;
        let reply = exchange_with(&*net, ticket, &Ask::Close { channel, told }).await;
        net.close().await;
        match reply? {
            Reply::Closed(_) => Ok(()),
            other => Err(refused(&other)),
        }
    }
}

/// Asks a payee of an errand one thing.
async fn exchange(errand: &Errand, peer: &PeerKey, ask: &Ask) -> Result<Reply, String> {
    let ticket = errand.meeting.tickets.get(peer).ok_or("it cannot be reached")?;
    exchange_with(&*errand.meeting.net, ticket, ask).await
}

async fn exchange_with(net: &dyn Net, ticket: &Ticket, ask: &Ask) -> Result<Reply, String> {
    let question = ClientFrame::Deal(ask.to_bytes());
    let asking = tokio::time::timeout(PATIENCE, carry::ask_once(net, ticket, &question)).await;
    let reply = asking.map_err(|_| "it did not answer".to_owned())?;
    match reply.map_err(|error| error.to_string())? {
        ProviderFrame::Deal(words) => {
            Reply::from_bytes(&words).map_err(|error| format!("no reply: {error}"))
        }
        ProviderFrame::Refused { reason, .. } => Err(reason),
        _ => Err(OTHER.into()),
    }
}
