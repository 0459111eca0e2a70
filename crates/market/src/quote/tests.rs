//! Who is asked, and in which order.

use super::*;
use crate::testing::{CONTEXT, DAWN, DUSK, PROMPT, job, key, offer, peer, unsigned_offer};
use mutirao_wire::{Digest, ModelId, OfferLimits, OpSet, Prices};

struct Asked {
    job: Job,
    privacy: Privacy,
    circle: BTreeSet<PeerKey>,
    standing: Standing,
    now: Millis,
}

impl Asked {
    fn new() -> Self {
        let circle = (1..=4).map(peer).collect();
        let (privacy, standing) = (Privacy::Circle, Standing::default());
        Self { job: job(40), privacy, circle, standing, now: DAWN }
    }

    fn route(&self, offers: Vec<SignedOffer>) -> Route {
        let Self { job, privacy, circle, standing, now } = self;
        let cap = Amount(u64::MAX);
        Question { job, privacy: *privacy, circle, cap, standing, now: *now }.route(offers)
    }

    fn order(&self, offers: Vec<SignedOffer>) -> Vec<PeerKey> {
        let route = self.route(offers);
        assert!(route.unfit.is_empty(), "{:?}", route.unfit);
        route.offers.iter().map(|signed| signed.offer.provider).collect()
    }
}

// spec: SESSION-3.4
#[test]
fn an_offer_that_does_not_fit_is_not_used_and_says_why() {
    let unfit = |asked: &Asked, signed: SignedOffer| {
        let route = asked.route(vec![signed]);
        assert!(route.offers.is_empty());
        route.unfit[0].1
    };
    let asked = Asked::new();
    assert_eq!(unfit(&asked, offer(5)), Unfit::OutsideCircle);
    let mut other = unsigned_offer(1);
    other.model = ModelId(Digest([5; 32]));
    assert_eq!(unfit(&asked, other.sign(&key(1))), Unfit::OtherModel);
    let mut other = unsigned_offer(1);
    other.op_set = OpSet(2);
    assert_eq!(unfit(&asked, other.sign(&key(1))), Unfit::OtherModel);
    let late = Asked { now: DUSK, ..Asked::new() };
    assert_eq!(unfit(&late, offer(1)), Unfit::Expired);
    let long = Asked { job: job(CONTEXT - PROMPT + 1), ..Asked::new() };
    assert_eq!(unfit(&long, offer(1)), Unfit::TooLong);
    for (job_ms, jobs_per_key) in [(0, 1), (1, 0)] {
        let mut closed = unsigned_offer(1);
        closed.limits = Some(OfferLimits { job_ms, jobs_per_key });
        assert_eq!(unfit(&asked, closed.sign(&key(1))), Unfit::TakesNone);
    }
    let mut warned = Asked::new();
    warned.standing.lied(peer(1));
    assert_eq!(unfit(&warned, offer(1)), Unfit::Banned);
    let mut forged = offer(1);
    forged.offer.capacity += 1;
    assert_eq!(unfit(&asked, forged), Unfit::Forged);
    let edge = Asked { job: job(CONTEXT - PROMPT), now: DUSK - 1, ..Asked::new() };
    assert_eq!(edge.order(vec![offer(1)]), [peer(1)]);
}

// spec: SESSION-3.4
#[test]
fn only_the_open_level_asks_strangers() {
    let mut asked = Asked { circle: BTreeSet::new(), ..Asked::new() };
    for privacy in [Privacy::Local, Privacy::Circle] {
        asked.privacy = privacy;
        assert!(asked.route(vec![offer(1)]).offers.is_empty());
    }
    asked.privacy = Privacy::Open;
    assert_eq!(asked.order(vec![offer(1)]), [peer(1)]);
}

// spec: SESSION-3.5
#[test]
fn cheap_comes_before_reliable_before_fast_before_the_lowest_key() {
    let mut asked = Asked::new();
    let all = || vec![offer(1), offer(2), offer(3), offer(4)];
    let mut by_key: Vec<PeerKey> = (1..=4).map(peer).collect();
    by_key.sort();
    assert_eq!(asked.order(all()), by_key);

    for (party, milliseconds) in [(1, 30), (2, 10), (3, 20), (4, 40)] {
        asked.standing.answered(peer(party), milliseconds);
    }
    assert_eq!(asked.order(all()), [peer(2), peer(3), peer(1), peer(4)]);

    asked.standing.failed(peer(2));
    assert_eq!(asked.order(all()), [peer(3), peer(1), peer(4), peer(2)]);

    let mut cheap = unsigned_offer(2);
    cheap.prices = Prices { output: Amount(cheap.prices.output.0 - 100), ..cheap.prices };
    let offers = vec![offer(1), cheap.sign(&key(2)), offer(3), offer(4)];
    assert_eq!(asked.order(offers), [peer(2), peer(3), peer(1), peer(4)]);
}

// spec: SESSION-3.5
#[test]
fn a_stranger_counts_as_quick_and_a_price_that_does_not_fit_comes_last() {
    let mut asked = Asked::new();
    asked.standing.answered(peer(1), 1);
    let mut dear = unsigned_offer(3);
    dear.prices.output = Amount(u64::MAX);
    let offers = vec![offer(1), dear.sign(&key(3)), offer(2)];
    assert_eq!(asked.order(offers), [peer(2), peer(1), peer(3)]);
}
