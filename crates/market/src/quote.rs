//! Which providers may be asked, and in which order. Fails closed: no offer of the asked privacy
//! level, no answer.

#[cfg(test)]
mod tests;

use crate::Millis;
use crate::session::payment::{Work, owed};
use crate::standing::Standing;
use mutirao_wire::{Amount, Job, OfferLimits, PeerKey, Privacy, SignedOffer};
use std::collections::BTreeSet;

/// Why an offer is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Its signature is wrong.
    Forged,
    /// It lapsed.
    Expired,
    /// Another model or op set.
    OtherModel,
    /// The job does not fit its context.
    TooLong,
    /// By its own limits it takes no job.
    TakesNone,
    /// The provider was caught lying.
    Banned,
    /// The provider is not in the user's circle.
    OutsideCircle,
    /// Its first token would cost more than may be spent.
    TooDear,
}

impl Unfit {
    /// Why, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Forged => "its offer is not signed by its key",
            Self::Expired => "its offer lapsed",
            Self::OtherModel => "it offers another model",
            Self::TooLong => "the prompt and answer do not fit its context",
            Self::TakesNone => "its limits leave room for no job",
            Self::Banned => "it was caught with a wrong token",
            Self::OutsideCircle => "it is not in your circle",
            Self::TooDear => "its first token costs more than your cap allows; see --max-price",
        }
    }
}

/// What a choice rests on.
#[derive(Debug)]
pub struct Question<'a> {
    /// The job.
    pub job: &'a Job,
    /// Who may see it.
    pub privacy: Privacy,
    /// The nodes that the user listed; on the level `local`, this node alone.
    pub circle: &'a BTreeSet<PeerKey>,
    /// The most that the answer may cost; nothing is spent without a cap.
    pub cap: Amount,
    /// What is remembered.
    pub standing: &'a Standing,
    /// The time.
    pub now: Millis,
}

/// What a choice weighs of one offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weighed {
    /// Whose.
    pub provider: PeerKey,
    /// What the answer costs there at its full length; none where that does not fit an amount.
    pub price: Option<Amount>,
    /// How often it failed us.
    pub failures: u32,
    /// Mean time to its first token; 0 for a stranger, who counts as quick.
    pub first_token_ms: Millis,
    /// Whether its answers were never audited.
    pub new: bool,
}

/// The usable offers, best first, and why the others are not usable.
#[derive(Debug, Clone, Default)]
pub struct Route {
    /// To be asked, in this order.
    pub offers: Vec<SignedOffer>,
    /// What the order rests on, one for each of them.
    pub weighed: Vec<Weighed>,
    /// Not to be asked.
    pub unfit: Vec<(PeerKey, Unfit)>,
}

impl Question<'_> {
    /// Sorts offers: cheapest first, then fewest failures, then the fastest known; a stable key
    /// decides between equals.
    // spec: SESSION-3.5
    #[must_use]
    pub fn route(&self, offers: Vec<SignedOffer>) -> Route {
        let mut route = Route::default();
        for signed in offers {
            match self.unfit(&signed) {
                Some(why) => route.unfit.push((signed.offer.provider, why)),
                None => route.offers.push(signed),
            }
        }
        route.offers.sort_by_key(|signed| self.rank(signed));
        route.weighed = route.offers.iter().map(|signed| self.weigh(signed)).collect();
        route
    }

    // spec: SESSION-3.4
    fn unfit(&self, signed: &SignedOffer) -> Option<Unfit> {
        let offer = &signed.offer;
        let tokens = self.job.prompt.len() as u64 + u64::from(self.job.max_tokens);
        let outside = self.privacy != Privacy::Open && !self.circle.contains(&offer.provider);
        [
            (outside, Unfit::OutsideCircle),
            (offer.model != self.job.model || offer.op_set != self.job.op_set, Unfit::OtherModel),
            (offer.expires_ms <= self.now, Unfit::Expired),
            (tokens > u64::from(offer.context), Unfit::TooLong),
            (offer.limits.is_some_and(takes_none), Unfit::TakesNone),
            (self.standing.is_banned(&offer.provider), Unfit::Banned),
            (self.is_too_dear(signed), Unfit::TooDear),
            (!signed.verifies(), Unfit::Forged),
        ]
        .into_iter()
        .find_map(|(unfit, why)| unfit.then_some(why))
    }

    /// Whether not even one token can be paid.
    // spec: SESSION-7.5
    fn is_too_dear(&self, signed: &SignedOffer) -> bool {
        self.price(signed, 1).is_none_or(|price| price > self.cap)
    }

    /// What reading the prompt and writing so many tokens costs.
    fn price(&self, signed: &SignedOffer, tokens: u32) -> Option<Amount> {
        let prompt = u32::try_from(self.job.prompt.len()).ok()?;
        let work = Work { read: prompt, cached: 0, written: tokens };
        owed(&signed.offer.prices, prompt, work)
    }

    fn weigh(&self, signed: &SignedOffer) -> Weighed {
        let provider = signed.offer.provider;
        let record = self.standing.of(&provider);
        Weighed {
            provider,
            price: self.price(signed, self.job.max_tokens),
            failures: record.failures,
            first_token_ms: record.first_token_ms,
            new: self.standing.is_new(&provider),
        }
    }

    fn rank(&self, signed: &SignedOffer) -> (Amount, u32, Millis, PeerKey) {
        let Weighed { provider, price, failures, first_token_ms, .. } = self.weigh(signed);
        (price.unwrap_or(Amount(u64::MAX)), failures, first_token_ms, provider)
    }
}

/// No time, or no place for anybody's key.
const fn takes_none(limits: OfferLimits) -> bool {
    limits.job_ms == 0 || limits.jobs_per_key == 0
}
