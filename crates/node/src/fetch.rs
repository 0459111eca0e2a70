//! A request to somebody's HTTP door that is paid for, through a channel, when it asks for that.
//!
//! A voucher for the most that the request may cost goes with it; what it took less is credit for
//! the next one. At risk is that much, once, with a door that was never asked before.

use crate::assemble::Node;
use crate::cashier::{Cashier, CashierError, Opened};
use crate::door::payee_at;
use mutirao_gateway::pay::Proof;
use mutirao_gateway::payer::{Answering, Demand, PayerError, Requester, Told, origin};
use mutirao_ledger::deal::{Ask, Terms};
use mutirao_wire::{Amount, ChannelId, Decode, Digest, Encode, ModelId, PeerKey};
use thiserror::Error;

/// Times that a door may want something else before it is left: a channel that is shown, and a
/// voucher for what it says that earlier requests took.
const ATTEMPTS: usize = 4;

/// Why a request was not answered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The request.
    #[error(transparent)]
    Payer(#[from] PayerError),
    /// The wallet.
    #[error(transparent)]
    Cashier(#[from] CashierError),
    /// It costs more than may be spent.
    #[error(
        "it costs up to {ceiling}, and {cap} may be spent: --max-price and --max-price-per-day \
         raise that"
    )]
    Dear {
        /// The price.
        ceiling: Amount,
        /// What may be spent.
        cap: Amount,
    },
    /// It wants to be paid otherwise.
    #[error("it is not paid: {0}")]
    Unpaid(String),
}

/// How it was paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fetched {
    /// The most that it could cost; nothing where it was free.
    pub ceiling: Amount,
    /// What was drawn for it in vouchers, beyond the credit that was left.
    pub drawn: Amount,
}

/// The channel of a request, and its own words where its payee has not seen it.
struct Lane {
    channel: ChannelId,
    take: Option<Vec<u8>>,
}

impl Node {
    /// Posts JSON to an address and hands on what comes back, paying for it where that is demanded.
    ///
    /// # Errors
    /// [`FetchError`]; nothing is spent beyond what [`crate::config::Config::max_price`] allows.
    pub async fn request(
        &self,
        address: &str,
        body: &[u8],
        hear: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<Fetched, FetchError> {
        let (requester, peer) = (Requester::new()?, payee_at(&origin(address)?));
        let (mut credential, mut fetched, mut shown) = (None, Fetched::default(), None);
        let mut why = String::new();
        for _ in 0..ATTEMPTS {
            match requester.post(address, body.to_vec(), credential.take()).await? {
                Told::Answer(answering) => {
                    self.hear_out(*answering, shown, hear).await?;
                    return Ok(fetched);
                }
                Told::Demand(demand) => {
                    let (voucher, lane) = self.voucher_for(&demand, peer, shown).await?;
                    (fetched.ceiling, shown) = (demand.ceiling, Some(lane));
                    fetched.drawn = Amount(fetched.drawn.0.saturating_add(voucher.1.0));
                    credential = Some(voucher.0);
                    why = demand.why;
                }
            }
        }
        Err(FetchError::Unpaid(why))
    }

    async fn hear_out(
        &self,
        mut answering: Answering,
        channel: Option<ChannelId>,
        hear: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<(), FetchError> {
        if let Some(((settled, channel), cashier)) =
            answering.settled.zip(channel).zip(self.cashier())
        {
            cashier.keep_tab(channel, settled);
        }
        while let Some(piece) = answering.piece().await? {
            hear(&piece);
        }
        if let Some(cashier) = self.cashier().filter(|_| channel.is_some()) {
            cashier.settle().await;
        }
        Ok(())
    }

    /// What pays for a demand: the credential, what was drawn for it, and of which channel.
    async fn voucher_for(
        &self,
        demand: &Demand,
        peer: PeerKey,
        shown: Option<ChannelId>,
    ) -> Result<((String, Amount), ChannelId), FetchError> {
        let closed = || FetchError::Unpaid("no wallet is open".into());
        let cashier = self.cashier().ok_or_else(closed)?;
        let cap = cashier.left_today(None).min(self.config().max_price);
        // spec: HTTP-1.3
        if demand.ceiling > cap {
            return Err(FetchError::Dear { ceiling: demand.ceiling, cap });
        }
        let lane = self.lane_for(cashier, demand, peer, shown).await?;
        if let Some(settled) = demand.settled.filter(|_| shown.is_some()) {
            cashier.keep_tab(lane.channel, settled);
        }
        let needed = cashier.tab(lane.channel).0.saturating_add(demand.ceiling.0);
        let more = Amount(needed.saturating_sub(cashier.drawn(lane.channel).0));
        let usage = Digest::of("mutirao 1 http request", &[&demand.terms]);
        let voucher = cashier.draw(lane.channel, more, usage, None).map_err(FetchError::Unpaid)?;
        let proof = Proof { channel: lane.channel.0, take: lane.take, voucher };
        let credential = demand.credential(&proof).map_err(FetchError::Unpaid)?;
        Ok(((credential, more), lane.channel))
    }

    /// A channel to that payee with enough in it, which is opened or filled where there is none.
    async fn lane_for(
        &self,
        cashier: &Cashier,
        demand: &Demand,
        peer: PeerKey,
        shown: Option<ChannelId>,
    ) -> Result<Lane, FetchError> {
        let words = |why: String| FetchError::Unpaid(why);
        let terms = Terms::from_bytes(&demand.terms).map_err(|error| words(error.to_string()))?;
        let model = Digest::from_hex(&demand.model).map_err(|_| words("no model".into()))?;
        let model = ModelId(model);
        let known = cashier.means(model, &[peer]).get(&peer).copied();
        let opened = match known {
            Some(known) if known.left >= demand.ceiling => {
                // Whoever does not take a voucher of a channel may have forgotten it.
                let again = shown == Some(known.channel) && demand.settled.is_none();
                let take = again.then(|| cashier.shown_again(known.channel, model));
                let take = match take {
                    Some(take) => Some(take.await?),
                    None => None,
                };
                return Ok(Lane { channel: known.channel, take });
            }
            Some(known) => cashier.top_up(known.channel).await?,
            None => {
                // spec: HTTP-1.5
                let terms = self.acceptable(terms, model).map_err(words)?;
                cashier.open_channel(terms).await?
            }
        };
        let Opened { channel, number, told } = opened;
        cashier.remember((peer, model), (channel, number), None).await?;
        let take = Ask::Take { model, channel, number, told }.to_bytes();
        Ok(Lane { channel: ChannelId(channel.0), take: Some(take) })
    }
}
