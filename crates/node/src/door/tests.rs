//! The door with the real node behind it: who may enter, and what stock clients get.

mod completions;
mod forms;
mod line;
mod numbers;
mod ollama;
mod paid;
mod responses;
mod shelves;
mod sold;

use super::*;
use crate::config::{Config, Home, Settings};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use futures_util::StreamExt;
use mutirao_wire::SigningKey;
use serde_json::{Value, json};
use tower::ServiceExt;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const HOST: &str = "127.0.0.1:8080";

/// A house with a door, gone afterwards.
struct House {
    _place: tempfile::TempDir,
    router: Router,
}

impl House {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        Self::with(None, change)
    }

    fn with(kill: Option<Kill>, change: impl FnOnce(&mut Config)) -> Self {
        Self::with_node(kill, change, drop)
    }

    fn with_node(
        kill: Option<Kill>,
        change: impl FnOnce(&mut Config),
        see: impl FnOnce(Arc<Node>),
    ) -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let mut config =
            Settings::default().resolve(&Home::find(|_| None)).expect("the defaults resolve");
        config.data_dir = place.path().to_owned();
        config.threads = 1;
        change(&mut config);
        let address = HOST.parse().expect("an address");
        let node = Arc::new(Node::new(config));
        see(node.clone());
        let router = node.door(TOKEN, address, kill).router();
        Self { _place: place, router }
    }

    async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.expect("routers do not fail")
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        read(self.send(asked("GET", path, &[], "")).await).await
    }

    async fn chat(&self, request: Value) -> Response {
        self.send(asked("POST", "/v1/chat/completions", &[], &request.to_string())).await
    }
}

/// A request of the owner's: right host, right token, and these headers besides.
fn asked(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    let usual = [("host", HOST), ("authorization", &format!("Bearer {TOKEN}"))];
    let overridden = |name: &str| headers.iter().any(|(other, _)| *other == name);
    for (name, value) in usual.iter().filter(|(name, _)| !overridden(name)).chain(headers) {
        if !value.is_empty() {
            request = request.header(*name, *value);
        }
    }
    request.body(Body::from(body.to_owned())).expect("a request")
}

async fn text(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    String::from_utf8(bytes.to_vec()).expect("text")
}

async fn read(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let text = text(response).await;
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn question(content: &str) -> Value {
    json!({ "model": "village", "messages": [{ "role": "user", "content": content }] })
}

const STORY: &str = "Tell me a story about a fox and a bell.";

#[tokio::test]
async fn without_the_token_nothing_answers() {
    let house = House::new(|_| {});
    let receipt = "/v1/receipts/00000000";
    let api = ["/health", "/metrics", "/v1/models", "/v1/neighbours", receipt, "/nowhere"];
    for path in ["/", "/page.js", "/style.css"].into_iter().chain(api) {
        for wrong in ["", "Bearer wrong", TOKEN, "Basic MDEyMw=="] {
            let request = asked("GET", path, &[("authorization", wrong)], "");
            let (status, said) = read(house.send(request).await).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path} {wrong}");
            assert_eq!(said["error"]["code"], "invalid_api_key");
        }
    }
    assert_eq!(house.get("/health").await, (StatusCode::OK, json!({ "status": "ok" })));
}

#[tokio::test]
async fn a_rebound_host_name_and_a_page_from_elsewhere_are_refused_even_with_the_token() {
    let house = House::new(|_| {});
    for host in ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "[::2]:8080"] {
        let request = asked("GET", "/v1/models", &[("host", host)], "");
        let (status, said) = read(house.send(request).await).await;
        assert_eq!(
            (status, &said["error"]["code"]),
            (StatusCode::FORBIDDEN, &"host_not_allowed".into())
        );
    }
    let foreign =
        ["http://evil.example", "null", "http://127.0.0.1:9", "https://127.0.0.1:8080", "file://"];
    for origin in foreign {
        let request = asked("POST", "/v1/chat/completions", &[("origin", origin)], "{}");
        let (status, said) = read(house.send(request).await).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{origin}");
        assert_eq!(said["error"]["code"], "origin_not_allowed");
    }
    for host in ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080"] {
        let origin = format!("http://{host}");
        let headers = [("host", host), ("origin", origin.as_str())];
        let response = house.send(asked("GET", "/v1/models", &headers, "")).await;
        assert_eq!(response.status(), StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn a_browser_exchanges_the_printed_address_for_a_cookie_that_stays_on_this_site() {
    let house = House::new(|_| {});
    let visit = |path: &str| asked("GET", path, &[("authorization", "")], "");
    let response = house.send(visit(&format!("/?token={TOKEN}"))).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let cookie = response.headers()[header::SET_COOKIE].to_str().expect("text").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");

    let pair = cookie.split(';').next().expect("a pair");
    let headers = [("authorization", ""), ("cookie", pair)];
    let response = house.send(asked("GET", "/v1/models", &headers, "")).await;
    assert_eq!(response.status(), StatusCode::OK);
    for path in [format!("/v1/models?token={TOKEN}"), "/?token=wrong".into(), "/?token=".into()] {
        assert_eq!(house.send(visit(&path)).await.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test]
async fn the_page_may_load_its_own_two_files_and_nothing_else() {
    let house = House::new(|_| {});
    let kinds = [("/", "text/html"), ("/page.js", "text/javascript"), ("/style.css", "text/css")];
    for (path, kind) in kinds {
        let response = house.send(asked("GET", path, &[], "")).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
        assert!(header("content-type").starts_with(kind), "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cache-control"), "no-store");
        let policy = header("content-security-policy");
        for words in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.split("; ").any(|rule| rule == words), "{words} is not in {policy}");
        }
        let content = text(response).await;
        for word in ["innerHTML", "<style", " style=", " onclick=", "eval(", "https://"] {
            assert!(!content.contains(word), "{path} has {word}");
        }
    }
}

#[tokio::test]
async fn a_receipt_is_judged_at_the_door_and_its_forgery_as_well() {
    let house = House::new(|_| {});
    let (_, said) = read(house.chat(question("What is 17 + 25?")).await).await;
    let (_, mut receipt) = house.get(said["mutirao"]["receipt"].as_str().expect("a path")).await;
    let judge = |file: String| {
        let request = asked("POST", "/v1/receipts/verify", &[], &file);
        async { read(house.send(request).await).await }
    };
    let line = |found: &Value, name: &str| {
        let lines = found["lines"].as_array().expect("lines").iter();
        lines.filter(|line| line[0] == name).map(|line| line[1].to_string()).collect::<String>()
    };
    let (status, found) = judge(receipt.to_string()).await;
    assert_eq!((status, &found["holds"]), (StatusCode::OK, &json!(true)));
    assert!(line(&found, "tokens").contains("exact"), "{found}");
    assert_eq!(line(&found, "refused"), "");

    let token = &mut receipt["opening"]["answer"][3];
    *token = json!(token.as_u64().expect("a token") ^ 1);
    let (status, found) = judge(receipt.to_string()).await;
    assert_eq!((status, &found["holds"]), (StatusCode::OK, &json!(false)));
    assert!(line(&found, "refused").contains("commitment"), "{found}");

    for garbage in ["", "{", "[]", "{\"format\":\"mutirao-receipt/1\"}", "\u{0}\u{ff}"] {
        let (status, said) = judge(garbage.into()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{garbage:?}");
        assert_eq!(said["error"]["code"], "cannot_be_judged");
        assert!(said["error"]["message"].as_str().is_some_and(|why| !why.is_empty()));
    }
}

#[tokio::test]
async fn only_a_demonstration_ends_providers_and_only_its_own() {
    let kill = |house: &House, body: &str| {
        let request = asked("POST", "/v1/demo/kill", &[], body);
        let sent = house.router.clone().oneshot(request);
        async { read(sent.await.expect("routers do not fail")).await }
    };
    let usual = House::new(|_| {});
    let (status, said) = kill(&usual, "{\"provider\":\"ab\"}").await;
    assert_eq!((status, &said["error"]["code"]), (StatusCode::NOT_FOUND, &"unknown_url".into()));
    assert!(!text(usual.send(asked("GET", "/", &[], "")).await).await.contains("data-demo"));

    let demo = House::with(Some(Kill::new(|key| key == "ab")), |_| {});
    assert!(text(demo.send(asked("GET", "/", &[], "")).await).await.contains("data-demo"));
    let (status, said) = kill(&demo, "{\"provider\":\"ab\"}").await;
    assert_eq!((status, &said["killed"]), (StatusCode::OK, &"ab".into()));
    let (status, said) = kill(&demo, "{\"provider\":\"cd\"}").await;
    assert_eq!(
        (status, &said["error"]["code"]),
        (StatusCode::NOT_FOUND, &"provider_not_found".into())
    );
    for garbage in ["", "{}", "[]", "{\"provider\":7}"] {
        assert_eq!(kill(&demo, garbage).await.0, StatusCode::BAD_REQUEST, "{garbage}");
    }
    let request = asked("POST", "/v1/demo/kill", &[("authorization", "")], "{\"provider\":\"ab\"}");
    assert_eq!(demo.send(request).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn models_are_listed_and_found_by_name() {
    let house = House::new(|_| {});
    let (_, list) = house.get("/v1/models").await;
    assert_eq!(list["data"][0]["id"], "village");
    let (status, one) = house.get("/v1/models/village").await;
    assert_eq!((status, &one), (StatusCode::OK, &list["data"][0]));
    let (status, said) = house.get("/v1/models/lhama").await;
    assert_eq!(
        (status, &said["error"]["code"]),
        (StatusCode::NOT_FOUND, &"model_not_found".into())
    );
}

#[tokio::test]
async fn an_answer_comes_with_its_usage_fingerprint_writer_and_a_receipt_that_verifies() {
    let house = House::new(|_| {});
    let (status, said) = read(house.chat(question("What is 17 + 25?")).await).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    assert_eq!(said["choices"][0]["message"]["content"], "17 + 25 = 42");
    assert_eq!(said["choices"][0]["finish_reason"], "stop");
    let usage = &said["usage"];
    assert_eq!(
        usage["total_tokens"].as_u64(),
        usage["prompt_tokens"]
            .as_u64()
            .zip(usage["completion_tokens"].as_u64())
            .map(|(prompt, answer)| prompt + answer)
    );
    assert!(said["system_fingerprint"].as_str().is_some_and(|print| print.ends_with("-op1")));
    assert_eq!(said["mutirao"]["verification"], "computed here");
    assert_eq!(said["mutirao"]["seen_by"], said["mutirao"]["providers"]);

    let path = said["mutirao"]["receipt"].as_str().expect("a path").to_owned();
    let (status, receipt) = house.get(&path).await;
    assert_eq!(status, StatusCode::OK);
    let config = Settings::default().resolve(&Home::find(|_| None)).expect("defaults");
    let verdict = Node::new(config).verify(receipt.to_string().as_bytes()).expect("judged");
    assert!(verdict.holds());
    assert_eq!(house.get("/v1/receipts/00000000").await.0, StatusCode::NOT_FOUND);
}

/// The objects of a stream, and whether it said that it is done.
fn events(stream: &str) -> (Vec<Value>, bool) {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let (done, objects): (Vec<_>, Vec<_>) = data.partition(|data| *data == "[DONE]");
    let objects = objects.iter().map(|data| serde_json::from_str(data).expect("JSON"));
    (objects.collect(), done.len() == 1)
}

#[tokio::test]
async fn a_stream_says_the_same_text_in_pieces_and_its_receipt_at_the_end() {
    let house = House::new(|_| {});
    let (_, whole) = read(house.chat(question(STORY)).await).await;
    let mut request = question(STORY);
    request["stream"] = true.into();
    request["stream_options"] = json!({ "include_usage": true });
    let response = house.chat(request).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let (chunks, done) = events(&text(response).await);
    assert!(done && chunks.len() > 40);
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let piece = |chunk: &Value| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
    let pieces: String = chunks.iter().filter_map(piece).collect();
    assert_eq!(pieces, whole["choices"][0]["message"]["content"]);
    let [.., closing, usage] = &chunks[..] else { panic!("too short") };
    assert_eq!(closing["choices"][0]["finish_reason"], whole["choices"][0]["finish_reason"]);
    assert!(closing["mutirao"]["receipt_id"].is_string());
    let counts =
        |usage: &Value| [usage["prompt_tokens"].clone(), usage["completion_tokens"].clone()];
    assert_eq!(counts(&usage["usage"]), counts(&whole["usage"]));
    assert_eq!(usage["choices"], json!([]));
}

#[tokio::test]
async fn a_length_a_stop_and_a_seed_are_obeyed() {
    let house = House::new(|_| {});
    let ask = |change: &dyn Fn(&mut Value)| {
        let mut request = question(STORY);
        change(&mut request);
        async { read(house.chat(request).await).await.1 }
    };
    let short = ask(&|request| request["max_tokens"] = 5.into()).await;
    assert_eq!(short["choices"][0]["finish_reason"], "length");
    assert_eq!(short["usage"]["completion_tokens"], 5);
    let stopped = ask(&|request| request["stop"] = json!(["bell"])).await;
    assert_eq!(stopped["choices"][0]["finish_reason"], "stop");
    assert!(!stopped["choices"][0]["message"]["content"].as_str().expect("text").contains("bell"));
    let seeded = |seed: i64| {
        ask(&move |request: &mut Value| {
            request["temperature"] = 1.5.into();
            request["seed"] = seed.into();
        })
    };
    let content = |said: &Value| said["choices"][0]["message"]["content"].clone();
    let first = content(&seeded(7).await);
    assert_eq!(first, content(&seeded(7).await));
    let others = [8, 9, 10, 11].map(seeded);
    let others = futures_util::future::join_all(others).await;
    assert!(others.iter().any(|other| content(other) != first));
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_by_its_name_and_never_ignored() {
    let house = House::new(|_| {});
    let refused: [(&str, Value); 10] = [
        ("n", json!(2)),
        ("top_logprobs", json!(2)),
        ("logit_bias", json!({ "5": 1 })),
        ("presence_penalty", json!(0.5)),
        ("temperature", json!(9)),
        ("top_p", json!(-1)),
        ("max_tokens", json!(0)),
        ("stop", json!(["a", "b", "c", "d", "e"])),
        ("messages", json!([])),
        ("messages", json!([{ "role": "wizard", "content": "x" }])),
    ];
    for (name, value) in refused {
        let mut request = question("hello");
        request[name] = value;
        let (status, said) = read(house.chat(request).await).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{name}");
        assert_eq!(said["error"]["param"], name, "{said}");
    }
    let mut harmless = question("What is 17 + 25?");
    for (name, value) in
        [("n", json!(1)), ("tools", json!([])), ("user", json!("me")), ("stop", json!(null))]
    {
        harmless[name] = value;
    }
    assert_eq!(house.chat(harmless).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn broken_requests_get_the_status_and_code_that_clients_know() {
    let house = House::new(|_| {});
    let code = |status: StatusCode, said: &Value| (status.as_u16(), said["error"]["code"].clone());
    let post = |body: &str| asked("POST", "/v1/chat/completions", &[], body);
    for body in ["", "{", "[]", "{\"model\":\"village\"}", "\u{0}"] {
        let (status, said) = read(house.send(post(body)).await).await;
        assert_eq!(code(status, &said), (400, "invalid_json".into()), "{body:?}");
    }
    let mut unknown = question("hello");
    unknown["model"] = "lhama".into();
    let (status, said) = read(house.chat(unknown).await).await;
    assert_eq!(code(status, &said), (404, "model_not_found".into()));
    let (status, said) = read(house.chat(question(&"word ".repeat(5_000))).await).await;
    assert_eq!(code(status, &said), (400, "context_length_exceeded".into()));
    let huge = "x".repeat((8 << 20) + 1);
    assert_eq!(house.send(post(&huge)).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(house.get("/v1/nothing").await.0, StatusCode::NOT_FOUND);
    assert_eq!(house.get("/v1/chat/completions").await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn nobody_to_ask_is_a_503_that_says_when_to_come_again() {
    let house = House::new(|config| config.privacy = mutirao_wire::Privacy::Circle);
    let response = house.chat(question("hello")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key(header::RETRY_AFTER));
    let (_, said) = read(response).await;
    assert!(said["error"]["message"].as_str().is_some_and(|why| why.contains("mutirao join")));

    let mut streamed = question("hello");
    streamed["stream"] = true.into();
    let response = house.chat(streamed).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "a stream is no 200 either");
    assert!(response.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(read(response).await.1["error"]["code"], "no_provider");
}

#[tokio::test]
async fn while_a_model_is_opened_questions_are_told_to_come_again() {
    let mut node = None;
    let house = House::with_node(None, |_| {}, |built| node = Some(built));
    let node = node.expect("built");
    let (opening, opened) = std::sync::mpsc::sync_channel::<()>(1);
    let (begun, begins) = std::sync::mpsc::sync_channel(1);
    let busy = node.clone();
    let thread = std::thread::spawn(move || {
        busy.while_opening(|| {
            begun.send(()).expect("heard");
            opened.recv().expect("told to end");
        });
    });
    begins.recv().expect("it begins");
    let (status, said) = house.get("/health").await;
    assert_eq!((status.as_u16(), &said["error"]["code"]), (503, &json!("model_loading")));
    let response = house.chat(question("What is 17 + 25?")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(read(response).await.1["error"]["code"], "model_loading");
    assert_eq!(house.get("/v1/models").await.0, StatusCode::OK, "a list waits for nothing");
    opening.send(()).expect("heard");
    thread.join().expect("it ends");
    // The question that was sent away began to open the model, and that takes a moment.
    let mut status = StatusCode::SERVICE_UNAVAILABLE;
    for _ in 0..600 {
        status = house.chat(question("What is 17 + 25?")).await.status();
        if status == StatusCode::OK {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(status, StatusCode::OK);
    assert_eq!(house.get("/health").await.0, StatusCode::OK);
}

#[tokio::test]
async fn without_receipts_none_is_promised_and_none_is_there() {
    let house = House::new(|config| config.receipts = false);
    let (_, said) = read(house.chat(question("What is 17 + 25?")).await).await;
    assert_eq!(said["mutirao"]["receipt"], Value::Null);
    let id = said["mutirao"]["receipt_id"].as_str().expect("its name all the same");
    assert_eq!(house.get(&format!("/v1/receipts/{id}")).await.0, StatusCode::NOT_FOUND);
}

/// A circle of two that a client measured: one that answered, one that fell silent.
fn with_a_past(config: &mut Config) -> [PeerKey; 2] {
    config.privacy = Privacy::Circle;
    let keys = [[1; 32], [2; 32]].map(|secret| SigningKey::from_secret(&secret).peer_key());
    let (node, now) = (Node::new(config.clone()), Clock::start().now());
    for key in keys {
        node.make_data_dir().expect("made");
        let mut peers = node.peers().expect("read");
        peers.add(Ticket::new(key, vec!["127.0.0.1:9".parse().expect("one")])).expect("added");
    }
    let between: Times = (0..99).map(|_| 20).chain([28]).fold(Times::default(), |sum, bucket| {
        let mut sum = sum;
        sum.add(&[(bucket, 1)].into_iter().collect());
        sum
    });
    let learn = |standing: &mut mutirao_market::standing::Standing| {
        for _ in 0..3 {
            standing.answered(keys[0], 40);
            standing.measured(keys[0], Some(40), &between);
        }
        standing.failed(keys[0]);
        standing.silent(keys[1], now);
    };
    node.standing().expect("opened").change(learn).expect("written");
    keys
}

#[tokio::test]
async fn what_was_measured_of_the_neighbours_is_listed_and_counted() {
    let mut keys = None;
    let house = House::new(|config| keys = Some(with_a_past(config)));
    let [known, silent] = keys.expect("two").map(|key| key.to_string());
    let (_, list) = house.get("/v1/neighbours").await;
    let of = |key: &str| {
        let mut all = list["data"].as_array().expect("a list").iter();
        all.find(|one| one["id"] == key).expect("it is listed").clone()
    };
    let one = of(&known);
    assert_eq!((&one["answers"], &one["failures"]), (&json!(3), &json!(1)));
    assert_eq!((&one["success_ratio"], &one["silent"]), (&json!(0.75), &json!(false)));
    let first = one["time_to_first_token_seconds"]["p50"].as_f64().expect("a time");
    assert!((0.040..0.060).contains(&first), "{first}");
    let between = &one["inter_token_latency_seconds"];
    assert_eq!((&between["p50"], &between["p95"]), (&json!(0.001536), &json!(0.001536)));
    let other = of(&silent);
    assert_eq!((&other["silent"], &other["success_ratio"]), (&json!(true), &Value::Null));

    let metrics = house.get("/metrics").await.1;
    let metrics = metrics.as_str().expect("text");
    for line in [
        format!("mutirao_provider_request_success_ratio{{provider=\"{known}\"}} 0.75"),
        format!("mutirao_provider_answers{{provider=\"{known}\"}} 3"),
        format!(
            "mutirao_provider_inter_token_latency_seconds{{provider=\"{known}\",\
             quantile=\"0.95\"}} 0.001536"
        ),
    ] {
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
    assert!(metrics.contains("mutirao_provider_time_to_first_token_seconds{"), "{metrics}");
    assert!(!metrics.contains(&format!("success_ratio{{provider=\"{silent}")), "{metrics}");

    let local = House::new(|config| {
        with_a_past(config);
        config.privacy = Privacy::Local;
    });
    let (_, nobody) = local.get("/v1/neighbours").await;
    assert_eq!(nobody["data"], json!([]), "on the level local nobody is asked");
}

/// A house where one answer at a time is written, slowly.
fn slow(waiting: usize) -> House {
    House::new(|config| {
        (config.capacity, config.http_waiting, config.pace) = (1, waiting, 50);
    })
}

/// Starts a streamed answer and waits for its first words.
async fn begun(house: &House) -> Response {
    let mut request = question(STORY);
    request["stream"] = true.into();
    house.chat(request).await
}

#[tokio::test]
async fn when_every_place_is_taken_the_next_waits_and_the_one_after_is_told_to_come_again() {
    let house = slow(1);
    let first = begun(&house).await;
    let waiting = house.chat(question("What is 17 + 25?"));
    let refused = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        house.chat(question("hello")).await
    };
    let drained = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(first);
    };
    let (waited, refused, ()) = tokio::join!(waiting, refused, drained);
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(waited.status(), StatusCode::OK, "the place of a client that hung up is free");
}

#[tokio::test]
async fn a_client_that_hangs_up_frees_its_place_and_is_counted() {
    let house = slow(0);
    for _ in 0..3 {
        let response = begun(&house).await;
        assert_eq!(response.status(), StatusCode::OK);
        let mut body = response.into_body().into_data_stream();
        body.next().await.expect("the first words").expect("bytes");
        drop(body);
        for turn in 0.. {
            let metrics = house.get("/metrics").await.1;
            let metrics = metrics.as_str().expect("text");
            if metrics.contains("mutirao_num_requests_running 0") {
                break;
            }
            assert!(turn < 100, "its place is never free: {metrics}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let metrics = house.get("/metrics").await.1;
    assert!(metrics.as_str().is_some_and(|text| text.contains("request_abandoned_total 3")));
}
