//! Wallets that see and do not spend.

use crate::world::{Chain, Person, payment};
use mutirao_wallet::WalletError;
use mutirao_wallet::keys::{Tier, ViewKey};
use mutirao_wallet::proof;
use mutirao_wallet::send::{Order, SendError};
use mutirao_wire::Amount;

/// Somebody who was paid, paid on, and gave a view key away.
fn scene(tier: Tier) -> (Chain, Person, Person) {
    let (mut chain, mut ana, rui) = (Chain::new(1), Person::new(1), Person::new(2));
    let (_, sub) = ana.wallet.new_address(&mut ana.rng).unwrap();
    chain.mint(&[(ana.address(), 1_000), (sub, 2_000)]);
    ana.read(&mut chain).unwrap();
    ana.pay(rui.address(), 500, &mut chain).unwrap();
    chain.mine();
    ana.read(&mut chain).unwrap();
    let view: ViewKey = ana.wallet.view_key(tier).unwrap().reveal().parse().unwrap();
    let watcher = Person::of(view.keys().clone(), view.issued);
    (chain, ana, watcher)
}

// spec: WALLET-1.4
#[test]
fn the_balance_tier_sees_what_the_owner_sees_and_cannot_spend() {
    let (mut chain, ana, mut watcher) = scene(Tier::Balance);
    watcher.read(&mut chain).unwrap();
    let mut watcher = watcher.reopen();
    watcher.read(&mut chain).unwrap();
    assert_eq!(watcher.wallet.balance(), ana.wallet.balance());
    assert_eq!(watcher.wallet.book().entries(), ana.wallet.book().entries());
    assert_eq!(watcher.address(), ana.address());
    let order = Order::pay(payment(ana.address(), 5, ""));
    assert_eq!(watcher.prepare(&order, &chain).unwrap_err(), SendError::ViewOnly);
    assert!(watcher.wallet.spender().is_none());
    assert!(watcher.wallet.view_key(Tier::Receive).is_ok());
}

// spec: WALLET-1.4
#[test]
fn the_receive_tier_sees_what_arrives_and_neither_spends_nor_sees_spends() {
    let (mut chain, ana, mut watcher) = scene(Tier::Receive);
    watcher.read(&mut chain).unwrap();
    let balance = watcher.wallet.balance();
    assert_eq!((balance.received, balance.spendable), (Amount(3_000), Amount::ZERO));
    let order = Order::pay(payment(ana.address(), 5, ""));
    assert_eq!(watcher.prepare(&order, &chain).unwrap_err(), SendError::ViewOnly);
    let error = watcher.wallet.view_key(Tier::Balance).map_err(WalletError::from).unwrap_err();
    assert!(error.to_string().contains("cannot spend"), "{error}");
    let (tx, asked) = (ana.wallet.book().sendings()[0].id, proof::question("?"));
    assert!(watcher.wallet.prove(tx, None, &asked, &mut chain, &mut watcher.rng).is_err());
}
