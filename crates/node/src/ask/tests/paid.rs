//! Answers that are paid for, over QUIC, with a ledger of their own: who gets what, who is not
//! asked, and that everything goes on while the ledger is away.

use super::*;
use crate::cashier::Cashier;
use crate::ledger::{Pace, ServingLedger};
use crate::manners::Facts;
use crate::purse::{self, Purse, Reach};
use mutirao_ledger::cell::CellId;
use mutirao_ledger::cell::till::Share;
use mutirao_ledger::key::address::Network;
use mutirao_wallet::keys::Keys as WalletKeys;
use mutirao_wallet::keystore::Password;
use mutirao_wire::{Amount, Digest, Prices};
use std::time::Duration;
use tokio::runtime::Runtime;

const QUICK: Pace = Pace {
    gather: Duration::from_millis(20),
    patience: Duration::from_secs(20),
    queue: 64,
    batch: 16,
};
pub(crate) const PRICES: Prices = Prices {
    input: Amount(10_000),
    cached_input: Amount(1_000),
    output: Amount(100_000),
    attest: Amount(20_000),
};
const STORY: &str = "Tell me a story about a fox and a bell.";

fn password() -> Password {
    Password::new("only for a test".into())
}

/// A ledger, and people who pay and are paid.
pub(crate) struct Town {
    place: Place,
    pub(crate) runtime: Runtime,
    ledger: Option<ServingLedger>,
    ticket: String,
}

impl Town {
    pub(crate) fn new() -> Self {
        let (place, runtime) = (Place::new(), runtime());
        let keeper = place.node("keeper", |config| config.http = ([127, 0, 0, 1], 0).into());
        let ledger = runtime.block_on(keeper.serve_ledger(None, QUICK)).expect("served");
        let ticket = ledger.ticket().to_string();
        Self { place, runtime, ledger: Some(ledger), ticket }
    }

    /// A node whose wallet holds five tijolos and is open.
    pub(crate) fn node(&self, name: &str, change: impl FnOnce(&mut Config)) -> Node {
        let node = self.place.node(name, |config| {
            config.ledger = Some(self.ticket.clone());
            change(config);
        });
        let keys = WalletKeys::new(purse::fresh_words().expect("words"));
        let made = Purse::create(&node, Network::Test, keys, 0, &password());
        let mut purse = made.expect("a wallet");
        let mut reach = Reach::find(&node).expect("the ledger");
        purse.faucet(Amount(5_000_000), &mut reach).expect("the faucet");
        drop((purse, reach));
        node.pay_with(Cashier::open(&node, password()).expect("it opens"));
        node
    }

    pub(crate) fn seller(&self, name: &str, change: impl FnOnce(&mut Config)) -> crate::Providing {
        let node = self.node(name, |config| {
            (config.prices, config.run_if_user_active) = (PRICES, false);
            change(config);
        });
        let keys = Keys::throw_away().expect("keys");
        let listening = node.provide(crate::models::VILLAGE, &keys);
        self.runtime.block_on(listening).expect("it listens")
    }

    /// Somebody who may spend so much on an answer.
    pub(crate) fn client(&self, name: &str, max_price: u64, sellers: &[&crate::Providing]) -> Node {
        let node = self.node(name, |config| {
            config.privacy = Privacy::Circle;
            (config.max_price, config.channel_deposit) = (Amount(max_price), Amount(10_000));
        });
        for seller in sellers {
            self.runtime.block_on(node.join(&seller.ticket())).expect("it answers");
        }
        node
    }

    /// A node without a wallet that would spend a lot.
    pub(crate) fn penniless(&self, name: &str) -> Node {
        self.place.node(name, |config| config.max_price = Amount(50_000))
    }

    /// A node whose wallet was made before, once whoever had it open has let go of it.
    pub(crate) fn reopened(&self, name: &str, change: impl FnOnce(&mut Config)) -> Node {
        let node = self.place.node(name, |config| {
            config.ledger = Some(self.ticket.clone());
            change(config);
        });
        let open = || Cashier::open(&node, password());
        let mut opened = open();
        for _ in 0..100 {
            if opened.is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
            opened = open();
        }
        node.pay_with(opened.expect("it opens"));
        node
    }

    fn ask(&self, node: &Node, tokens: u32) -> Result<Answered, AskError> {
        self.runtime.block_on(node.ask(&question(STORY, tokens), &mut |_| {}))
    }

    fn close(&mut self) {
        if let Some(ledger) = self.ledger.take() {
            self.runtime.block_on(ledger.stop());
        }
    }
}

fn price(price: Amount, tokens: u64) -> u64 {
    price.per_thousand(tokens).expect("it fits").0
}

// spec: SESSION-7.2, SESSION-7.7
#[test]
fn both_providers_of_a_broken_answer_are_paid_for_exactly_their_part() {
    let town = Town::new();
    let sellers = [("one", 60), ("two", 60)]
        .map(|(name, pace)| town.seller(name, |config| config.pace = pace));
    let client = town.client("client", 90_000, &[&sellers[0], &sellers[1]]);
    let (mut writing, mut pieces) = (None, 0);
    let mut watch = |notice: Notice| match notice {
        Notice::Asking { provider } => writing = Some(provider),
        Notice::Text { .. } => {
            pieces += 1;
            let is_writing = |one: &&crate::Providing| Some(one.ticket().key()) == writing;
            if pieces == 40 {
                let owner = Facts { idle: Some(Duration::ZERO), on_batteries: None, hour: 0 };
                sellers.iter().find(is_writing).expect("one of them").manners().learn(&owner);
            }
        }
        Notice::Lost { .. } | Notice::Chose { .. } => {}
    };
    let story = question(STORY, 120);
    let asked = client.ask(&story, &mut watch);
    let answered = town.runtime.block_on(asked).expect("an answer");
    let near = town.place.node("near", |_| {});
    let near = town.runtime.block_on(near.ask(&story, &mut |_| {}));
    assert_eq!(answered.tokens, near.expect("an answer").tokens, "bit for bit");
    let [first, second] = &answered.payments[..] else { panic!("{:?}", answered.payments) };
    let read = price(PRICES.input, answered.prompt_tokens.into());
    let written = first.paid.0 - read;
    assert!(written.is_multiple_of(16 * price(PRICES.output, 1)) && written > 0, "{first:?}");
    let bundle = mutirao_wire::bundle::ReceiptBundle::from_json(answered.receipt_json.as_bytes());
    let receipt = bundle.expect("a receipt").receipt.receipt;
    assert_eq!((second.provider, second.paid), (receipt.provider, receipt.price));
    assert!(answered.vouchers() >= 4, "{:?}", answered.payments);
}

/// Vouchers of one channel overtake one another on several streams, and nobody waits for it.
// spec: SESSION-7.2
#[test]
fn questions_at_once_are_paid_through_one_channel() {
    let town = Town::new();
    let seller = town.seller("one", |config| config.capacity = 8);
    let client = Arc::new(town.client("client", 20_000, &[&seller]));
    town.ask(&client, 20).expect("the channel is opened");
    let asked = (0..4).map(|_| {
        let client = client.clone();
        town.runtime.spawn(async move { client.ask(&question(STORY, 60), &mut |_| {}).await })
    });
    let asked: Vec<_> = asked.collect();
    for answer in asked {
        let answered = town.runtime.block_on(answer).expect("no panic").expect("an answer");
        let [only] = &answered.payments[..] else { panic!("{:?}", answered.payments) };
        let read = price(PRICES.input, answered.prompt_tokens.into());
        assert_eq!(only.paid.0, read + price(PRICES.output, answered.tokens.len() as u64));
    }
}

// spec: SESSION-7.5
#[test]
fn nothing_is_spent_without_a_cap_nor_beyond_it() {
    let town = Town::new();
    let seller = town.seller("one", |_| {});
    for (name, cap) in [("none", 0), ("little", 200)] {
        let client = town.client(name, cap, &[&seller]);
        let error = town.ask(&client, 60).expect_err("too dear");
        assert!(error.to_string().contains("--max-price"), "{error}");
    }
    let client = town.client("some", 3_000, &[&seller]);
    let error = town.ask(&client, 200).expect_err("the cap is reached");
    assert!(error.to_string().contains("ceiling"), "{error}");
    let today = client.cashier().expect("a wallet").left_today(None);
    let spent = 1_000_000 - today.0;
    assert!((1_500..=3_000).contains(&spent), "{spent}");
}

// spec: SESSION-7.7
#[test]
fn who_asks_for_other_royalties_than_the_creator_published_is_not_paid() {
    let town = Town::new();
    let seller = town.seller("one", |_| {});
    let client = town.client("client", 90_000, &[&seller]);
    let model = client.open(crate::models::VILLAGE).expect("the village").id();
    let share = Share { till: CellId(Digest([7; 32])), basis_points: 500 };
    client.keep_royalties(model, &[share]).expect("kept");
    assert_eq!(client.royalties(model).expect("read"), [share]);
    let error = town.ask(&client, 20).expect_err("no channel");
    assert!(error.to_string().contains("no channel leads to it"), "{error}");
}

// spec: SESSION-7.8
#[test]
fn answers_are_paid_while_the_ledger_is_away() {
    let mut town = Town::new();
    let seller = town.seller("one", |_| {});
    let client = town.client("client", 20_000, &[&seller]);
    town.ask(&client, 20).expect("the channel is opened");
    town.close();
    let answered = town.ask(&client, 40).expect("vouchers ask no ledger");
    assert!(answered.paid() > Amount::ZERO);
}

/// A channel that is nearly empty is filled, not replaced.
// spec: SESSION-7.7
#[test]
fn a_channel_that_is_nearly_empty_is_topped_up() {
    let town = Town::new();
    let seller = town.seller("one", |_| {});
    let client = town.client("client", 5_000, &[&seller]);
    // Ten answers are put in; each of these takes more than a tenth of what then is left.
    let paid: Vec<Answered> = (0..14).map(|_| town.ask(&client, 40).expect("an answer")).collect();
    assert!(paid.iter().all(|answered| answered.paid().0 > 4_000));
    drop(client);
    let node = town.place.node("client", |config| config.ledger = Some(town.ticket.clone()));
    let purse = Purse::open(&node, &password(), false).expect("the cashier let go of it");
    let [channel] = purse.wallet().channels() else { panic!("{:?}", purse.wallet().channels()) };
    assert_eq!(channel.kept.len(), 2, "topped up once");
}

// spec: SESSION-7.7
#[test]
fn a_payer_asks_for_the_end_of_its_channel_and_has_the_rest_back() {
    let town = Town::new();
    let seller = town.seller("one", |_| {});
    let client = town.client("client", 5_000, &[&seller]);
    let paid = town.ask(&client, 40).expect("an answer").paid();
    drop(client);
    let node = town.place.node("client", |config| config.ledger = Some(town.ticket.clone()));
    let mut purse = Purse::open(&node, &password(), false).expect("the cashier let go of it");
    let mut reach = Reach::find(&node).expect("the ledger");
    purse.read(&mut reach).expect("read");
    let (id, deposit) = {
        let [channel] = purse.wallet().channels() else { panic!("not one channel") };
        (channel.cell, channel.deposit())
    };
    let told = purse.wallet().told(id).expect("told").remove(0);
    let known = crate::cashier::provider_of(purse.wallet(), id).expect("read");
    let provider = known.expect("it is known");
    let close = |told| town.runtime.block_on(node.ask_to_close(provider, id, told));
    let wrong = mutirao_ledger::commit::Opening { amount: Amount(1), ..told.clone() };
    assert!(close(wrong).expect_err("a stranger").contains("only its payer"));
    close(told).expect("closed");
    purse.read(&mut reach).expect("read");
    let before = purse.wallet().balance().spendable;
    let (wallet, chance) = purse.parts();
    let draft = wallet.prepare_refund(id, &mut reach, chance).expect("it is closed");
    let fee = draft.fee();
    purse.send(draft, &mut reach).expect("sent");
    purse.read(&mut reach).expect("read");
    let after = purse.wallet().balance().spendable;
    assert_eq!(after.0 + fee.0, before.0 + deposit.0 - paid.0);
}
