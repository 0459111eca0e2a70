//! Requests at the door that are paid for by whoever has no key: what one costs, and the channel
//! that pays for it.

use super::failure;
use crate::ask::AskError;
use crate::assemble::Node;
use mutirao_gateway::pay::{Admission, Proof, Quote, Unpaid};
use mutirao_gateway::{Ask, AskFailure};
use mutirao_ledger::deal::{Ask as Deal, Reply};
use mutirao_market::session::payment::{Work, owed};
use mutirao_wire::{Amount, ChannelId, Decode, Digest, Encode, ModelId};
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers of requests lie above those of links, which count from nothing.
static NEXT: AtomicU64 = AtomicU64::new(1 << 63);

impl Node {
    /// What reading a prompt and writing so many tokens costs at this door.
    pub(super) fn request_price(&self, prompt: u32, written: u32) -> Amount {
        let work = Work { read: prompt, cached: 0, written };
        owed(&self.config().prices, prompt, work).unwrap_or(Amount(u64::MAX))
    }

    fn id_of(&self, name: &str) -> Result<ModelId, AskError> {
        Ok(self.open(name)?.id())
    }

    /// The payee's terms for a request.
    pub(super) async fn request_quote(
        &self,
        ask: &Ask,
        ceiling: Amount,
    ) -> Result<Quote, AskFailure> {
        let closed = || AskFailure::Nobody("no wallet is open here to be paid into".into());
        let cashier = self.cashier().ok_or_else(closed)?;
        let model = self.id_of(&ask.model).map_err(failure)?;
        let royalties = self.royalties(model).map_err(|error| failure(error.into()))?;
        match cashier.deal(Deal::Terms(model).to_bytes(), royalties).await {
            Reply::Terms(terms) => Ok(Quote {
                ceiling,
                deposit: terms.deposit,
                model: model.0.hex(),
                terms: terms.to_bytes(),
            }),
            Reply::No(why) => Err(AskFailure::Nobody(why)),
            _ => Err(AskFailure::Internal("the wallet answered something else".into())),
        }
    }

    /// Takes what pays for a request.
    // spec: HTTP-1.4
    pub(super) async fn admit_request(
        &self,
        model: &str,
        ceiling: Amount,
        proof: Proof,
    ) -> Result<Admission, Unpaid> {
        let unpaid = |why: String| Unpaid { why, settled: None };
        let cashier = self.cashier().ok_or_else(|| unpaid("no wallet is open here".into()))?;
        let channel = ChannelId(proof.channel);
        if let Some(words) = proof.take {
            let model = self.id_of(model).map_err(|error| unpaid(error.to_string()))?;
            let royalties = self.royalties(model).map_err(|error| unpaid(error.to_string()))?;
            if !matches!(Deal::from_bytes(&words), Ok(Deal::Take { .. })) {
                return Err(unpaid("these words show no channel".into()));
            }
            match cashier.deal(words, royalties).await {
                Reply::Taken(_) => {}
                Reply::No(why) => return Err(unpaid(why)),
                _ => return Err(unpaid("the wallet answered something else".into())),
            }
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let held = cashier.promise(number, channel, ceiling).await;
        let held = held.ok_or_else(|| unpaid("this channel is not known; show it".into()))?;
        let settled = Some(cashier.settled(channel));
        if held < ceiling {
            return Err(Unpaid { why: format!("the channel holds {held} more"), settled });
        }
        match cashier.redeem(number, channel, ceiling, &proof.voucher) {
            Ok(_) => Ok(Admission { number, channel: proof.channel, ceiling }),
            Err(why) => {
                cashier.ended(number, channel).await;
                Err(Unpaid { why, settled })
            }
        }
    }

    /// A request has ended and took so much of what was set aside; what all took so far.
    pub(super) async fn discharge_request(&self, admission: Admission, price: Amount) -> Amount {
        let Some(cashier) = self.cashier() else { return Amount::ZERO };
        let channel = ChannelId(admission.channel);
        cashier.charge(admission.number, channel, price.min(admission.ceiling)).await;
        cashier.settled(channel)
    }
}

/// Stands for whoever is paid at that address, where providers have keys.
pub(crate) fn payee_at(origin: &str) -> mutirao_wire::PeerKey {
    mutirao_wire::PeerKey(Digest::of("mutirao 1 http payee", &[origin.as_bytes()]).0)
}
