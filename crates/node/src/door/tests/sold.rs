//! Requests over HTTP that are paid for by whoever has no key.

use super::*;
use crate::ask::tests::paid::{PRICES, Town};
use crate::fetch::{FetchError, Fetched};
use mutirao_ledger::cell::CellId;
use mutirao_ledger::cell::till::Share;
use mutirao_wire::{Amount, Digest};

/// A door that sells, and where it stands.
struct Shop {
    town: Town,
    serving: Option<crate::Serving>,
}

impl Shop {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let town = Town::new();
        let node = town.node("shop", |config| {
            (config.prices, config.http) = (PRICES, ([127, 0, 0, 1], 0).into());
            change(config);
        });
        let serving = town.runtime.block_on(node.open_door()).expect("it opens");
        Self { town, serving: Some(serving) }
    }

    fn address(&self, path: &str) -> String {
        let door = self.serving.as_ref().expect("it stands open").address();
        format!("http://{door}{path}")
    }

    fn buyer(&self, name: &str, max_price: u64) -> Node {
        self.town.node(name, |config| {
            (config.max_price, config.channel_deposit) = (Amount(max_price), Amount(10_000));
        })
    }

    fn fetch(&self, buyer: &Node, body: &Value) -> Result<(Fetched, String), FetchError> {
        let mut heard = Vec::new();
        let mut hear = |piece: &[u8]| heard.extend_from_slice(piece);
        let (address, body) = (self.address("/v1/chat/completions"), body.to_string());
        let fetching = buyer.request(&address, body.as_bytes(), &mut hear);
        let fetched = self.town.runtime.block_on(fetching)?;
        Ok((fetched, String::from_utf8(heard).expect("text")))
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            self.town.runtime.block_on(serving.stop());
        }
    }
}

fn story(tokens: u32) -> Value {
    let mut body = question("Tell me a story about a fox and a bell.");
    body["max_tokens"] = json!(tokens);
    body
}

fn price(prompt: u64, written: u64) -> u64 {
    let part = |price: Amount, tokens| price.per_thousand(tokens).expect("it fits").0;
    part(PRICES.input, prompt) + part(PRICES.output, written)
}

fn spent(buyer: &Node) -> u64 {
    1_000_000 - buyer.cashier().expect("a wallet").left_today(None).0
}

// spec: HTTP-1.1
#[test]
fn a_request_is_paid_for_through_a_channel_and_what_it_took_less_is_credit() {
    let shop = Shop::new(|_| {});
    let buyer = shop.buyer("buyer", 50_000);
    let mut took = 0;
    for (turn, tokens) in [40, 300, 40].into_iter().enumerate() {
        let (fetched, text) = shop.fetch(&buyer, &story(tokens)).expect("an answer");
        let answer: Value = serde_json::from_str(&text).expect("json");
        let used = |name: &str| answer["usage"][name].as_u64().expect("a count");
        let (prompt, written) = (used("prompt_tokens"), used("completion_tokens"));
        let ceiling = price(prompt, u64::from(tokens));
        assert_eq!(fetched.ceiling, Amount(ceiling), "turn {turn}");
        // What earlier ones took, and this one at its dearest, is what was drawn in all.
        assert_eq!(spent(&buyer).max(took + ceiling), spent(&buyer), "turn {turn}");
        took += price(prompt, written);
        assert!(written < 300, "the story ends by itself");
    }
    let drawn = spent(&buyer);
    assert!(drawn >= took && drawn - took <= price(64, 300), "{drawn} drawn, {took} taken");
}

// spec: HTTP-1.2
#[test]
fn a_stream_is_paid_for_and_its_credit_is_told_with_the_next_request() {
    let shop = Shop::new(|_| {});
    let buyer = shop.buyer("buyer", 50_000);
    let mut streamed = story(60);
    streamed["stream"] = json!(true);
    let (_, text) = shop.fetch(&buyer, &streamed).expect("an answer");
    assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
    let (_, whole) = shop.fetch(&buyer, &story(60)).expect("an answer");
    let whole: Value = serde_json::from_str(&whole).expect("json");
    let content = whole["choices"][0]["message"]["content"].as_str().expect("text");
    let heard: String = events(&text)
        .0
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(heard, content, "the same bits");
}

// spec: HTTP-1.3
#[test]
fn nothing_is_paid_beyond_the_cap_and_nothing_is_answered_unpaid() {
    let shop = Shop::new(|_| {});
    let poor = shop.buyer("poor", 1_000);
    let error = shop.fetch(&poor, &story(300)).expect_err("too dear");
    assert!(matches!(error, FetchError::Dear { .. }), "{error}");
    assert_eq!(spent(&poor), 0);
    let closed = shop.town.penniless("nobody");
    let error = shop.fetch(&closed, &story(20)).expect_err("no wallet");
    assert!(matches!(error, FetchError::Unpaid(_)), "{error}");
}

// spec: HTTP-1.1
#[test]
fn whoever_has_no_key_sees_the_price_and_nothing_that_is_the_owners() {
    let town = Town::new();
    let node = Arc::new(town.node("shop", |config| config.prices = PRICES));
    let router = node.door(TOKEN, HOST.parse().expect("an address"), None).router();
    let send = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        let headers = [&[("authorization", "")], headers].concat();
        let request = asked(method, path, &headers, body);
        town.runtime.block_on(router.clone().oneshot(request)).expect("sent")
    };
    let body = story(20).to_string();
    let demand = send("POST", "/v1/chat/completions", &[], &body);
    assert_eq!(demand.status(), StatusCode::PAYMENT_REQUIRED);
    let wanted = demand.headers()[header::WWW_AUTHENTICATE].to_str().expect("text").to_owned();
    assert!(wanted.starts_with("Payment ") && wanted.contains("method=\"mutirao\""), "{wanted}");
    let forged = wanted.replacen("id=\"", "id=\"x", 1);
    assert_ne!(forged, wanted);
    for (method, path, body) in [
        ("GET", "/v1/wallet", ""),
        ("GET", "/", ""),
        ("POST", "/v1/responses", "{}"),
        ("POST", "/api/chat", "{}"),
    ] {
        assert_eq!(send(method, path, &[], body).status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let wrong = [("authorization", "Bearer something else")];
    let refused = send("POST", "/v1/chat/completions", &wrong, &body);
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "a wrong key is no payment");
    assert_eq!(send("GET", "/v1/models", &[], "").status(), StatusCode::OK);
}

/// Whoever finds every place taken has drawn a voucher by then, and has it as credit.
// spec: HTTP-1.1
#[test]
fn a_request_that_finds_no_place_costs_nothing() {
    let shop = Shop::new(|config| {
        (config.capacity, config.http_waiting, config.pace) = (1, 0, 20);
    });
    let (buyer, other) = (shop.buyer("buyer", 50_000), shop.buyer("other", 50_000));
    let long = std::thread::scope(|scope| {
        let long = scope.spawn(|| shop.fetch(&other, &story(200)));
        // Its voucher is on its way once it is drawn.
        while spent(&other) == 0 {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
        let error = shop.fetch(&buyer, &story(20)).expect_err("no place");
        assert!(error.to_string().contains("429"), "{error}");
        long.join().expect("no panic")
    });
    long.expect("the other's answer");
    let (fetched, _) = shop.fetch(&buyer, &story(20)).expect("an answer");
    assert!(fetched.ceiling.0 > 0);
    assert_eq!(fetched.drawn, Amount::ZERO, "the voucher was credit");
}

// spec: HTTP-1.4
#[test]
fn a_door_that_forgot_a_channel_is_shown_it_again() {
    let mut shop = Shop::new(|_| {});
    let buyer = shop.buyer("buyer", 50_000);
    shop.fetch(&buyer, &story(40)).expect("an answer");
    let old = shop.serving.take().expect("it stands open");
    let address = old.address();
    shop.town.runtime.block_on(old.stop());
    let again = shop.town.reopened("shop", |config| {
        (config.prices, config.http) = (PRICES, address);
    });
    shop.serving = Some(shop.town.runtime.block_on(again.open_door()).expect("it opens"));
    shop.fetch(&buyer, &story(40)).expect("an answer");
    let channels = buyer.cashier().expect("a wallet");
    let view = shop.town.runtime.block_on(channels.wallet_view()).expect("a view");
    assert_eq!(view.channels.len(), 1, "{:?}", view.channels);
}

// spec: HTTP-1.5
#[test]
fn a_door_that_leaves_out_what_the_creator_published_gets_nothing() {
    let shop = Shop::new(|_| {});
    let buyer = shop.buyer("buyer", 50_000);
    let model = buyer.open(crate::models::VILLAGE).expect("the village").id();
    let share = Share { till: CellId(Digest([7; 32])), basis_points: 500 };
    buyer.keep_royalties(model, &[share]).expect("kept");
    let error = shop.fetch(&buyer, &story(20)).expect_err("other royalties");
    assert!(error.to_string().contains("royalties"), "{error}");
    assert_eq!(spent(&buyer), 0);
}
