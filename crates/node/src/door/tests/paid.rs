//! Money at the door: keys with caps of their own, and what the owner is shown.

use super::*;
use crate::ask::tests::paid::Town;
use mutirao_wire::Amount;

/// The door of a client in a town where answers cost something.
struct Bank {
    town: Town,
    node: Arc<Node>,
    router: Router,
    _seller: crate::Providing,
}

impl Bank {
    fn new() -> Self {
        let town = Town::new();
        let seller = town.seller("one", |_| {});
        let node = Arc::new(town.client("client", 20_000, &[&seller]));
        let router = node.clone().door(TOKEN, HOST.parse().expect("an address"), None).router();
        Self { town, node, router, _seller: seller }
    }

    fn send(&self, method: &str, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
        let key = format!("Bearer {key}");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = asked(method, path, &[("authorization", &key)], &body);
        let sending =
            async { read(self.router.clone().oneshot(request).await.expect("sent")).await };
        self.town.runtime.block_on(sending)
    }

    /// Twenty tokens of a story, for whoever has this key.
    fn story(&self, key: &str) -> (StatusCode, Value) {
        let mut body = question("Tell me a story about a fox and a bell.");
        body["max_tokens"] = json!(20);
        self.send("POST", "/v1/chat/completions", key, &body)
    }

    fn see(&self, path: &str) -> Value {
        let (status, seen) = self.send("GET", path, TOKEN, &Value::Null);
        assert_eq!(status, StatusCode::OK, "{seen}");
        seen
    }
}

fn price(answer: &Value) -> u64 {
    answer["mutirao"]["price"].as_u64().expect("a price")
}

// spec: SESSION-7.5
#[test]
fn a_key_spends_up_to_its_own_cap_and_nothing_once_it_is_taken_back() {
    let bank = Bank::new();
    let editor = bank.node.add_caller("editor", Amount(4_000)).expect("a key");
    let guest = bank.node.add_caller("guest", Amount::ZERO).expect("a key");
    let (status, answer) = bank.story(&editor);
    assert_eq!(status, StatusCode::OK, "{answer}");
    let spent = price(&answer);
    assert!((2_000..4_000).contains(&spent), "{spent}");
    for (key, why) in [(&editor, "its cap is reached"), (&guest, "it has none")] {
        let (status, refused) = bank.story(key);
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{why}: {refused}");
    }
    let (status, answer) = bank.story(TOKEN);
    assert_eq!((status, price(&answer)), (StatusCode::OK, spent), "{answer}");
    // The owner's answer is not the editor's; what the editor's last one drew until its cap was.
    let editors = 1_000_000 - bank.node.cashier().expect("a wallet").left_today(None).0 - spent;
    assert!((spent..=4_000).contains(&editors), "{editors}");
    bank.node.remove_caller("editor").expect("taken back");
    assert_eq!(bank.story(&editor).0, StatusCode::UNAUTHORIZED);
}

#[test]
fn a_key_of_somebody_else_sees_neither_wallet_nor_neighbours_nor_page() {
    let bank = Bank::new();
    let key = bank.node.add_caller("guest", Amount::ZERO).expect("a key");
    for path in ["/", "/v1/wallet", "/v1/wallet/blocks/1", "/v1/neighbours", "/metrics"] {
        let (status, refused) = bank.send("GET", path, &key, &Value::Null);
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}: {refused}");
        assert_eq!(refused["error"]["code"], "owner_only", "{path}");
    }
    assert_eq!(bank.send("GET", "/v1/models", &key, &Value::Null).0, StatusCode::OK);
}

#[test]
fn the_owner_sees_what_there_is_and_a_block_from_both_sides() {
    let bank = Bank::new();
    let spent = price(&bank.story(TOKEN).1);
    let wallet = bank.see("/v1/wallet");
    assert_eq!((&wallet["open"], &wallet["current"]), (&json!(true), &json!(true)), "{wallet}");
    assert_eq!(wallet["spent_today"], json!(spent));
    let channel = &wallet["channels"][0];
    assert_eq!((&channel["side"], &channel["paid"]), (&json!("payer"), &json!(spent)));
    let deposit = channel["deposit"].as_u64().expect("a deposit");
    let [opened, sent, _] = &wallet["history"].as_array().expect("lines")[..] else {
        panic!("{wallet}")
    };
    let fee = sent["fee"].as_u64().expect("a fee");
    assert_eq!(wallet["spendable"], json!(5_000_000 - deposit - fee), "{wallet}");

    let block = bank.see(&format!("/v1/wallet/blocks/{}", opened["block"]));
    assert_eq!(block["owner"], json!([sent, opened]), "{block}");
    let stranger = &block["stranger"][0];
    assert_eq!(stranger["actions"], json!(["channel opened"]));
    assert_eq!((&stranger["tx"], &stranger["fee"]), (&sent["tx"], &sent["fee"]));
    let seen = block["stranger"].to_string();
    let secret = [deposit.to_string(), channel["provider"].to_string()];
    assert!(secret.iter().all(|secret| !seen.contains(secret.as_str())), "{seen}");

    let (status, unknown) = bank.send("GET", "/v1/wallet/blocks/999", TOKEN, &Value::Null);
    assert_eq!(status, StatusCode::NOT_FOUND, "{unknown}");
}

#[tokio::test]
async fn where_no_wallet_is_open_there_is_nothing_to_show() {
    let house = House::new(|_| {});
    assert_eq!(house.get("/v1/wallet").await, (StatusCode::OK, json!({ "open": false })));
    assert_eq!(house.get("/v1/wallet/blocks/1").await.0, StatusCode::NOT_FOUND);
}
