//! What paying costs: one model asked through QUIC on loopback, free and paid by the token, in
//! turns.
//!
//! The model and the answers are those of `network_speed`, in more pairs, for the difference is
//! smaller than what one run differs from the next: the median of the ratios within pairs, of which
//! every other one begins with the paid half. Vouchers flow back every sixteen tokens,
//! each drawn, signed, written down, sent, checked and written down again; the ledger runs beside
//! it and is asked for nothing once the channel is open.
//!
//! `cargo run --release -p mutirao-node --example paid_speed`
#![allow(clippy::print_stdout, reason = "a program whose output is a table")]

#[path = "speed/shared.rs"]
mod speed;

use mutirao_ledger::key::address::Network;
use mutirao_node::Node;
use mutirao_node::ask::Answered;
use mutirao_node::cashier::Cashier;
use mutirao_node::config::Config;
use mutirao_node::keys::Keys;
use mutirao_node::ledger::Pace;
use mutirao_node::purse::{self, Purse, Reach};
use mutirao_wallet::keys::Keys as WalletKeys;
use mutirao_wallet::keystore::Password;
use mutirao_wire::{Amount, Prices, Privacy};
use speed::{RUNS, TOKENS, first_token, node, of, publish, question};
use std::error::Error;
use std::path::Path;

const PRICES: Prices = Prices {
    input: Amount(100),
    cached_input: Amount(10),
    output: Amount(100_000),
    attest: Amount(100),
};

/// Pairs that are measured, behind one that is not.
const PAIRS: usize = 3 * RUNS;

fn password() -> Password {
    Password::new("for a measurement".into())
}

/// A node whose wallet is open and not empty.
fn rich(
    place: &Path,
    name: &str,
    ticket: &str,
    change: impl FnOnce(&mut Config),
) -> Result<Node, Box<dyn Error>> {
    let node = node(place, name, |config| {
        config.ledger = Some(ticket.to_owned());
        change(config);
    });
    let keys = WalletKeys::new(purse::fresh_words()?);
    let mut purse = Purse::create(&node, Network::Test, keys, 0, &password())?;
    let mut reach = Reach::find(&node)?;
    purse.faucet(Amount(9_000_000), &mut reach)?;
    drop((purse, reach));
    node.pay_with(Cashier::open(&node, password())?);
    Ok(node)
}

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let model = place.path().join("large");
    publish(&model)?;
    let model = model.to_str().ok_or("a name")?.to_owned();
    let keeper = node(place.path(), "keeper", |config| config.http = ([127, 0, 0, 1], 0).into());
    let ledger = runtime.block_on(keeper.serve_ledger(None, Pace::default()))?;
    let ticket = ledger.ticket().to_string();
    let seller = rich(place.path(), "seller", &ticket, |config| config.prices = PRICES)?;
    let buyer = rich(place.path(), "buyer", &ticket, |config| {
        (config.privacy, config.max_price) = (Privacy::Circle, Amount(90_000));
        (config.max_price_per_day, config.channel_deposit) = (Amount(9_000_000), Amount(900_000));
    })?;
    let giver = node(place.path(), "giver", |_| {});
    let guest = node(place.path(), "guest", |config| config.privacy = Privacy::Circle);
    let (mut free, mut paid) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        let giving = giver.provide(&model, &Keys::throw_away()?).await?;
        let selling = seller.provide(&model, &Keys::throw_away()?).await?;
        guest.join(&giving.ticket()).await?;
        buyer.join(&selling.ticket()).await?;
        for turn in 0..=PAIRS {
            let asked = question(&model, turn);
            let early = match turn % 2 {
                0 => None,
                _ => Some(buyer.ask(&asked, &mut |_| {}).await?),
            };
            let one = guest.ask(&asked, &mut |_| {}).await?;
            let other = match early {
                Some(other) => other,
                None => buyer.ask(&asked, &mut |_| {}).await?,
            };
            assert_eq!(one.tokens, other.tokens, "the same bits");
            // The first turn opens files, connections and the channel.
            if turn > 0 && one.tokens.len() as u32 == TOKENS {
                free.push(one);
                paid.push(other);
            }
        }
        giving.stop().await;
        selling.stop().await;
        Ok::<(), Box<dyn Error>>(())
    })?;
    let speed = [&free, &paid].map(|runs| of(runs, Answered::tokens_per_second));
    let first = [&free, &paid].map(|runs| of(runs, first_token));
    let vouchers = of(&paid, |answered| f64::from(answered.vouchers()));
    let pairs = free.iter().zip(&paid);
    let mut ratios: Vec<f64> =
        pairs.map(|(free, paid)| paid.tokens_per_second() / free.tokens_per_second()).collect();
    ratios.sort_by(f64::total_cmp);
    let at = |part: usize| ratios.get(ratios.len() * part / 4).copied().unwrap_or_default();
    println!("{} pairs of runs, answers of {TOKENS} tokens, {vouchers} vouchers each", paid.len());
    println!(
        "tokens/s       free {:.1}   paid {:.1}   in a pair {:.3} (half of them {:.3} to {:.3})",
        speed[0],
        speed[1],
        at(2),
        at(1),
        at(3)
    );
    println!(
        "first token ms free {:.1}   paid {:.1}   more {:.1}",
        first[0],
        first[1],
        first[1] - first[0]
    );
    runtime.block_on(ledger.stop());
    Ok(())
}
