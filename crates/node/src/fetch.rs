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

/// What goes with a request.
struct Paying {
    credential: String,
    drawn: Amount,
    channel: ChannelId,
}

/// What is to be drawn for a request: that requests took `settled` of a channel is its payee's own
/// word, and cannot be more than all that was drawn. None where a request, with what was drawn for
/// it `before`, would cost more than its ceiling.
// spec: HTTP-1.3
fn missing(settled: Amount, drawn: Amount, ceiling: Amount, before: Amount) -> Option<Amount> {
    let needed = settled.min(drawn).checked_add(ceiling)?;
    let more = needed.saturating_sub(drawn);
    (before.checked_add(more)? <= ceiling).then_some(more)
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
                    let paying = self.pay(&demand, peer, (shown, fetched.drawn)).await?;
                    fetched.ceiling = demand.ceiling;
                    fetched.drawn = Amount(fetched.drawn.0.saturating_add(paying.drawn.0));
                    (credential, shown) = (Some(paying.credential), Some(paying.channel));
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

    /// Draws what a demand is missing, beyond what was drawn for this request before.
    async fn pay(
        &self,
        demand: &Demand,
        peer: PeerKey,
        (shown, before): (Option<ChannelId>, Amount),
    ) -> Result<Paying, FetchError> {
        let closed = || FetchError::Unpaid("no wallet is open".into());
        let cashier = self.cashier().ok_or_else(closed)?;
        let cap = self.most(cashier, None);
        // spec: HTTP-1.3
        if demand.ceiling > cap {
            return Err(FetchError::Dear { ceiling: demand.ceiling, cap });
        }
        let lane = self.lane_for(cashier, demand, peer, shown).await?;
        if let Some(settled) = demand.settled.filter(|_| shown.is_some()) {
            cashier.keep_tab(lane.channel, settled);
        }
        let (tab, all) = (cashier.tab(lane.channel), cashier.drawn(lane.channel));
        let drawn = missing(tab, all, demand.ceiling, before).ok_or_else(|| {
            FetchError::Unpaid("it wants more than it said that the request costs".into())
        })?;
        let usage = Digest::of("mutirao 1 http request", &[&demand.terms]);
        let voucher = cashier.draw(lane.channel, drawn, usage, None).map_err(FetchError::Unpaid)?;
        let proof = Proof { channel: lane.channel.0, take: lane.take, voucher };
        let credential = demand.credential(&proof).map_err(FetchError::Unpaid)?;
        Ok(Paying { credential, drawn, channel: lane.channel })
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
        let opened = match cashier.means(model, &[peer]).get(&peer).copied() {
            Some(known) if known.left >= demand.ceiling => {
                // Whoever refuses a voucher and names no sum does not know the channel.
                let forgot = shown == Some(known.channel) && demand.settled.is_none();
                let take = match forgot {
                    true => Some(cashier.shown_again(known.channel, model).await?),
                    false => None,
                };
                return Ok(Lane { channel: known.channel, take });
            }
            Some(known) => cashier.top_up(known.channel).await?,
            // spec: HTTP-1.5
            None => {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        // spec: HTTP-1.3
        #[test]
        fn whatever_a_door_claims_a_request_costs_no_more_than_its_ceiling(
            drawn in 0u64..1 << 40,
            ceiling in 0u64..1 << 40,
            claims in prop::collection::vec(any::<u64>(), 0..6),
        ) {
            let (mut drawn, mut before) = (Amount(drawn), Amount::ZERO);
            for claim in claims {
                let more = missing(Amount(claim), drawn, Amount(ceiling), before);
                let Some(more) = more else { break };
                drawn = Amount(drawn.0 + more.0);
                before = Amount(before.0 + more.0);
            }
            prop_assert!(before.0 <= ceiling);
        }

        // spec: HTTP-1.4
        #[test]
        fn an_honest_door_is_paid_enough_once_it_said_what_it_took(
            drawn in 0u64..1 << 40,
            ceiling in 0u64..1 << 40,
            (settled, tab) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        ) {
            let within =
                |index: prop::sample::Index, top: u64| index.index(top as usize + 1) as u64;
            let settled = within(settled, drawn);
            let tab = within(tab, settled);
            let first = missing(Amount(tab), Amount(drawn), Amount(ceiling), Amount::ZERO);
            let first = first.expect("within the ceiling").0;
            let second =
                missing(Amount(settled), Amount(drawn + first), Amount(ceiling), Amount(first));
            let second = second.expect("within the ceiling").0;
            prop_assert!(drawn + first + second >= settled + ceiling);
        }
    }
}
