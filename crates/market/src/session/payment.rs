//! What an answer costs as it comes, and how much work may wait for its payment.
//!
//! **Statement.** Of an order that both sides keep to, the provider is never owed more than one
//! *step* beyond what it was paid, and the client never pays for what was not announced.
//!
//! Vouchers themselves are the ledger's: here they are bytes, and amounts. Clauses:
//! `docs/spec/session.md`, section 7.

use mutirao_wire::limits::CHECKPOINT_STEP;
use mutirao_wire::{Amount, Digest, Encode, Order, Prices, Served};

/// Tokens written in one step: two windows, so that a voucher can be on its way while the next
/// window is being written.
pub const STEP_WRITTEN: u32 = 2 * CHECKPOINT_STEP;
/// Tokens read in one step: longer than any provider reads without a sign of life.
pub const STEP_READ: u32 = 256;
/// Each part of a price is rounded up, and a step may touch two more of them.
const ROUNDED: u64 = 2;

/// What was done for an order so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Tokens of prompt and prefix that were read, in this order.
    pub read: u32,
    /// How many of the prompt's first tokens the provider still had from before.
    pub cached: u32,
    /// Tokens that this provider wrote.
    pub written: u32,
}

impl Work {
    /// All that an answer took, of which this provider `served` a part, after a prompt of so many
    /// tokens.
    #[must_use]
    pub const fn whole(prompt: u32, served: Served, cached: u32) -> Self {
        let read = prompt.saturating_add(served.start);
        Self { read, cached, written: served.end.saturating_sub(served.start) }
    }
}

/// What that work costs at these prices for a prompt of so many tokens; `None` when it does not fit
/// in an amount.
// spec: SESSION-1.4
#[must_use]
pub fn owed(prices: &Prices, prompt: u32, work: Work) -> Option<Amount> {
    let prompt = work.read.min(prompt);
    let cached = work.cached.min(prompt);
    let parts = [
        prices.cached_input.per_thousand(cached.into())?,
        prices.input.per_thousand((prompt - cached).into())?,
        prices.attest.per_thousand((work.read - prompt).into())?,
        prices.output.per_thousand(work.written.into())?,
    ];
    parts.into_iter().try_fold(Amount::ZERO, Amount::checked_add)
}

/// The most that may be left unpaid at these prices; `None` when it does not fit in an amount.
// spec: SESSION-7.3
#[must_use]
pub fn step(prices: &Prices) -> Option<Amount> {
    let dearest = prices.input.max(prices.cached_input).max(prices.attest);
    let read = dearest.per_thousand(STEP_READ.into())?;
    let written = prices.output.per_thousand(STEP_WRITTEN.into())?;
    read.max(written).checked_add(Amount(ROUNDED))
}

/// What reading all of it and writing one token costs: less buys nothing.
#[must_use]
pub fn least(order: &Order, prompt: u32) -> Option<Amount> {
    let served = Served { start: order.start, end: order.start.saturating_add(1) };
    owed(&order.prices, prompt, Work::whole(prompt, served, 0))
}

/// What a voucher says that it pays for: nobody can guess it, because nobody can guess the order.
// spec: SESSION-7.2
#[must_use]
pub fn usage(order: &Order, paid: Amount) -> Digest {
    let order = order.commitment();
    Digest::of("mutirao 1 voucher usage", &[&order.to_bytes(), &paid.to_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use mutirao_wire::testing::{arb_job, arb_order};
    use proptest::prelude::*;

    prop_compose! {
        fn arb_priced()(job in arb_job())(
            order in arb_order(&job),
            prices in any::<[u32; 4]>(),
        ) -> Order {
            let [input, cached_input, output, attest] = prices.map(|price| Amount(price.into()));
            let prices = Prices { input, cached_input, output, attest };
            Order { prices, ..order }
        }
    }

    fn add(work: Work, read: u32, written: u32) -> Work {
        Work { read: work.read + read, written: work.written + written, ..work }
    }

    proptest! {
        /// From one announcement to the next a provider that was paid need never wait.
        // spec: SESSION-7.3
        #[test]
        fn whatever_follows_an_announcement_fits_in_one_step(
            order in arb_priced(),
            prompt in 0..5_000u32,
            done in 0..6_000u32,
            (cached, written) in (0..5_000u32, 0..5_000u32),
            slice in 0..=STEP_READ,
            tokens in 0..=STEP_WRITTEN,
        ) {
            let announced = Work { read: done, cached, written };
            let step = step(&order.prices).expect("it fits");
            let paid = owed(&order.prices, prompt, announced).expect("it fits");
            for then in [add(announced, slice, 0), add(announced, 0, tokens)] {
                let then = owed(&order.prices, prompt, then).expect("it fits");
                prop_assert!(paid <= then && then.saturating_sub(paid) <= step);
            }
        }

        // spec: SESSION-1.4
        #[test]
        fn what_was_cached_is_paid_as_cached_and_what_others_wrote_as_attested(
            order in arb_priced(),
            [prompt, prefix, written, cached] in any::<[u16; 4]>(),
        ) {
            let [prompt, prefix, written] = [prompt, prefix, written].map(u32::from);
            let cached = u32::from(cached).min(prompt);
            let served = Served { start: prefix, end: prefix + written };
            let price = owed(&order.prices, prompt, Work::whole(prompt, served, cached));
            let price = price.expect("it fits");
            let part = |price: Amount, count: u32| (price.0 * u64::from(count)).div_ceil(1000);
            let prices = order.prices;
            let sum = part(prices.input, prompt - cached) + part(prices.cached_input, cached)
                + part(prices.attest, prefix) + part(prices.output, written);
            prop_assert_eq!(price, Amount(sum));
        }

        #[test]
        fn a_voucher_is_for_one_order_and_one_amount(
            order in arb_priced(),
            [one, other] in any::<[u64; 2]>(),
        ) {
            let (one, other) = (Amount(one), Amount(other));
            prop_assert_eq!(usage(&order, one) == usage(&order, other), one == other);
            let later = Order { start: order.start ^ 1, ..order };
            prop_assert_ne!(usage(&order, one), usage(&later, one));
        }
    }
}
