//! A ledger that is asked over the wire and over HTTP, by those who may and those who may not.

use super::*;
use crate::ask::tests::Place;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use mutirao_gateway::{Guard, chain};
use mutirao_ledger::key::address::{Address, Network};
use mutirao_ledger::key::{Seed, SubaddressIndex};
use mutirao_ledger::rules::Height;
use mutirao_ledger::scan::Scanner;
use mutirao_ledger::service::{Answer, Head, Piece, Question, RefusalKind};
use mutirao_ledger::tx::TxId;
use mutirao_net::{LEDGER_ALPN, Ticket, iroh};
use mutirao_wire::{Amount, Decode, Digest, Encode};
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt;

const QUICK: Pace = Pace {
    gather: Duration::from_millis(20),
    patience: Duration::from_secs(20),
    queue: 64,
    batch: 16,
};

fn node(place: &Place, name: &str) -> Node {
    place.node(name, |config| config.http = ([127, 0, 0, 1], 0).into())
}

fn address() -> Address {
    let key = Seed::new(&[4; 64]).account(0).receive_key();
    key.address(Network::Test, SubaddressIndex::MAIN)
}

async fn head(remote: &mut Remote) -> Head {
    match remote.ask(&Question::Head).await.expect("an answer") {
        Answer::Head(head) => head,
        other => panic!("{other:?}"),
    }
}

// spec: CHAIN-6.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_is_asked_by_its_ticket_and_goes_on_after_a_restart() {
    let place = Place::new();
    let keeper = node(&place, "keeper");
    let serving = keeper.serve_ledger(None, QUICK).await.expect("served");
    let asker = node(&place, "asker");
    let mut remote = asker.remote_ledger(&serving.ticket()).await.expect("a socket");
    let before = head(&mut remote).await;
    assert_eq!((before.height, before.supply), (Height(0), Amount::ZERO));
    let wish = Question::Faucet { address: address(), amount: Amount(9_000) };
    let Answer::Accepted(id) = remote.ask(&wish).await.expect("an answer") else {
        panic!("it was refused");
    };
    let pieces = Question::Compact { after: Height(0), most: 9 };
    let Answer::Compact(pieces) = remote.ask(&pieces).await.expect("an answer") else {
        panic!("no pieces");
    };
    assert_eq!(pieces.len(), 1);
    let scanner = Scanner::new(Seed::new(&[4; 64]).account(0).receive_key(), 0);
    let found = scanner.scan(&pieces[0].transactions);
    assert_eq!(found[0].1.note.opening.amount, Amount(9_000));
    let asked = remote.ask(&Question::Transaction(id)).await.expect("an answer");
    assert!(matches!(asked, Answer::Transaction { place: Some(_), .. }));
    let unknown = Question::Transaction(TxId(Digest([1; 32])));
    assert_eq!(remote.ask(&unknown).await.expect("an answer"), Answer::Unknown);
    let after = head(&mut remote).await;
    remote.close().await;
    serving.stop().await;

    let again = keeper.serve_ledger(None, QUICK).await.expect("it reopens");
    let mut remote = asker.remote_ledger(&again.ticket()).await.expect("a socket");
    assert_eq!(head(&mut remote).await, after);
    let copy = place.node("copy", |_| {}).config().data_dir.with_extension("blocks");
    assert_eq!(view::export_from(&mut remote, &copy).await.expect("written"), 1);
    let seen = view::outsider(&copy).expect("read");
    assert_eq!(seen.bytes, std::fs::metadata(&copy).expect("there").len());
    let leaks = view::leaks(&copy).expect("read");
    assert_eq!(leaks.totals.iter().map(|total| total.bytes).sum::<u64>(), seen.bytes);
    assert_eq!(leaks.findings, []);
    assert_eq!(audit_file(&copy).expect("exact").root, after.root);
    remote.close().await;
    again.stop().await;
}

/// A frame to a ledger, as somebody sends it who has no manners.
async fn send(ticket: &Ticket, frames: &[&[u8]]) -> Vec<Option<Answer>> {
    let listen = ([127, 0, 0, 1], 0).into();
    let config = iroh::Config { protocol: LEDGER_ALPN, ..iroh::Config::new(listen) };
    let key = crate::keys::Keys::throw_away().expect("a key").peer;
    let net = iroh::bind(&key, config).await.expect("a socket");
    let mut link = net.dial(ticket).await.expect("a link");
    let mut answers = Vec::new();
    for frame in frames {
        let sent = link.sender.send(frame.to_vec()).await;
        let answer = if sent.is_ok() { link.receiver.receive().await.ok().flatten() } else { None };
        answers.push(answer.map(|bytes| Answer::from_bytes(&bytes).expect("an answer")));
    }
    net.close().await;
    answers
}

// spec: CHAIN-6.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_nonsense_is_told_so_and_let_go_and_the_ledger_goes_on() {
    let place = Place::new();
    let serving = node(&place, "keeper").serve_ledger(None, QUICK).await.expect("served");
    let (ticket, head) = (serving.ticket(), Question::Head.to_bytes());
    let answers = send(&ticket, &[&head, &[77, 1, 2], &head]).await;
    assert!(matches!(answers[0], Some(Answer::Head(_))));
    let Some(Answer::Refused(refusal)) = &answers[1] else { panic!("{answers:?}") };
    assert_eq!(refusal.kind, RefusalKind::Malformed);
    assert_eq!(answers[2], None, "the stream is over");
    assert!(matches!(send(&ticket, &[&head]).await[0], Some(Answer::Head(_))));
    serving.stop().await;
}

// spec: CHAIN-6.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_is_asked_beside_sessions_on_one_socket() {
    let place = Place::new();
    let keeper = Arc::new(node(&place, "keeper").keep_ledger(None, QUICK).expect("kept"));
    let (sender, mut links) = tokio::sync::mpsc::channel(4);
    let listen = ([127, 0, 0, 1], 0).into();
    let config = iroh::Config { ledger: Some(sender), ..iroh::Config::new(listen) };
    let key = crate::keys::Keys::throw_away().expect("a key").peer;
    let net = iroh::bind(&key, config).await.expect("a socket");
    let answering = tokio::spawn(async move {
        let link = links.recv().await.expect("a link");
        serve::serve_link(link, keeper, Arc::new(tokio::sync::Semaphore::new(1))).await;
    });
    let mut remote = node(&place, "asker").remote_ledger(&net.ticket()).await.expect("a socket");
    assert_eq!(head(&mut remote).await.height, Height(0));
    remote.close().await;
    answering.await.expect("it ends with the stream");
    net.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_nobody_keeps_is_unreachable_with_words() {
    let place = Place::new();
    let serving = node(&place, "keeper").serve_ledger(None, QUICK).await.expect("served");
    let ticket = serving.ticket();
    serving.stop().await;
    let mut remote = node(&place, "asker").remote_ledger(&ticket).await.expect("a socket");
    let error = remote.ask(&Question::Head).await.expect_err("nobody is there").to_string();
    assert!(error.contains("does not answer"), "{error}");
}

/// A door with a ledger behind it.
struct House {
    router: Router,
    keeper: Arc<Keeper>,
    _place: Place,
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

impl House {
    fn new() -> Self {
        let place = Place::new();
        let keeper = Arc::new(node(&place, "keeper").keep_ledger(None, QUICK).expect("kept"));
        let desk = Arc::new(http::Desk::new(keeper.clone()));
        Self { router: chain::router(desk, Guard::new(TOKEN, &[])), keeper, _place: place }
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: Vec<u8>,
    ) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("host", "127.0.0.1:1").header("content-type", kind);
        let request = request.header("authorization", format!("Bearer {TOKEN}"));
        let request = request.body(Body::from(body)).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("routers do not fail");
        let status = response.status();
        let bytes = to_bytes(response.into_body(), 4 << 20).await.expect("a body");
        (status, serde_json::from_slice(&bytes).expect("JSON"))
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.ask("GET", path, "application/json", vec![]).await
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.ask("POST", path, "application/json", body.to_string().into_bytes()).await
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    let digits = value["bytes"].as_str().expect("digits");
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("digits");
    (0..digits.len()).step_by(2).map(pair).collect()
}

// spec: CHAIN-6.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_gives_head_block_transaction_and_pieces_and_takes_submissions() {
    let house = House::new();
    let wish = json!({ "address": address().to_string(), "amount": 5_000 });
    let (status, made) = house.post("/chain/faucet", wish).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    let (_, head) = house.get("/chain/head").await;
    assert_eq!((&head["height"], &head["supply"]), (&json!(1), &json!(5_000)));
    assert_eq!(head["chain"], house.keeper.genesis().chain().0.hex());
    let (_, block) = house.get("/chain/block/1").await;
    assert_eq!(block["transactions"][0]["id"], made["accepted"]);
    assert_eq!(block["root"], head["root"]);
    let id = made["accepted"].as_str().expect("an id");
    let (_, tx) = house.get(&format!("/chain/tx/{id}")).await;
    assert_eq!((&tx["height"], &tx["first_note"]), (&json!(1), &json!(0)));
    let (_, pieces) = house.get("/chain/compact?after=0&most=5").await;
    let piece = Piece::from_bytes(&bytes(&pieces["pieces"][0])).expect("a piece");
    assert_eq!(piece.transactions[0].id.0.hex(), id);
    // New value is not submitted: it is refused by name, in either spelling.
    let raw = bytes(&tx);
    let digits = json!({ "transaction": tx["bytes"] });
    let (status, refused) = house.post("/chain/submit", digits).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused["error"]["code"], "malformed");
    let (_, again) = house.ask("POST", "/chain/submit", "application/octet-stream", raw).await;
    assert_eq!(again, refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_refuses_nonsense_by_name_and_strangers_at_once() {
    let house = House::new();
    for path in ["/chain/block/7", "/chain/tx/".to_owned().as_str(), "/chain/nothing"] {
        assert_eq!(house.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(house.get("/chain/tx/xyz").await.0, StatusCode::BAD_REQUEST);
    for body in [json!({}), json!({ "transaction": "0g" }), json!({ "transaction": "00" })] {
        let (status, refused) = house.post("/chain/submit", body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{refused}");
    }
    let faucet = json!({ "address": "mutt1nonsense", "amount": 5 });
    assert_eq!(house.post("/chain/faucet", faucet).await.0, StatusCode::BAD_REQUEST);
    for path in ["/chain/head", "/chain/block/1", "/chain/compact"] {
        let request = Request::builder().uri(path).header("host", "127.0.0.1:1");
        let request = request.body(Body::empty()).expect("a request");
        let response = house.router.clone().oneshot(request).await.expect("routers do not fail");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[test]
fn a_ledger_that_began_otherwise_is_not_kept_under_another_genesis() {
    let place = Place::new();
    let node = place.node("keeper", |_| {});
    drop(node.keep_ledger(None, QUICK).expect("kept"));
    let file = node.config().data_dir.join("genesis.toml");
    std::fs::write(&file, Genesis::test("another").text()).expect("written");
    let error = node.keep_ledger(Some(&file), QUICK).expect_err("another").to_string();
    assert!(error.contains("began otherwise"), "{error}");
    std::fs::write(&file, "name = ").expect("written");
    let error = node.keep_ledger(Some(&file), QUICK).expect_err("nonsense").to_string();
    assert!(error.contains("genesis.toml") && error.contains("no genesis"), "{error}");
}
