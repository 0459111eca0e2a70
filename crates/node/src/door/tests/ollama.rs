//! The Ollama API at the door of a real node.

use super::{House, STORY, asked, read, text};
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

async fn post(house: &House, path: &str, body: Value) -> Response {
    house.send(asked("POST", path, &[], &body.to_string())).await
}

fn story(stream: bool) -> Value {
    json!({ "model": "village:latest", "stream": stream, "messages": [
        { "role": "user", "content": STORY }
    ] })
}

#[tokio::test]
async fn models_are_listed_shown_and_running_once_they_were_asked() {
    let house = House::new(|_| {});
    let (_, tags) = house.get("/api/tags").await;
    assert_eq!(tags["models"][0]["name"], "village");
    assert!(tags["models"][0]["size"].as_u64().is_some_and(|size| size > 1_000_000));
    assert_eq!(house.get("/api/ps").await.1, json!({ "models": [] }));
    let (status, loaded) =
        read(post(&house, "/api/generate", json!({ "model": "village" })).await).await;
    assert_eq!((status, &loaded["done_reason"]), (StatusCode::OK, &"load".into()));
    let (_, answer) = read(post(&house, "/api/chat", story(false)).await).await;
    assert_eq!(answer["model"], "village");
    let (_, running) = house.get("/api/ps").await;
    assert_eq!(running["models"][0]["name"], "village");
    let (_, shown) = read(post(&house, "/api/show", json!({ "model": "village" })).await).await;
    assert_eq!(shown["model_info"]["mutirao.model_id"], running["models"][0]["digest"]);
    assert!(shown["template"].as_str().is_some_and(|text| text.contains("message")));
    let (status, unknown) = read(post(&house, "/api/show", json!({ "model": "gone" })).await).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(unknown["error"].as_str().is_some_and(|why| why.contains("not found")), "{unknown}");
    let (_, version) = house.get("/api/version").await;
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn a_conversation_comes_whole_or_line_by_line_and_both_say_the_same() {
    let house = House::new(|_| {});
    let (status, whole) = read(post(&house, "/api/chat", story(false)).await).await;
    assert_eq!(status, StatusCode::OK, "{whole}");
    assert_eq!((&whole["done"], &whole["done_reason"]), (&true.into(), &"stop".into()));
    let response = post(&house, "/api/chat", story(true)).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/x-ndjson");
    let stream = text(response).await;
    let lines: Vec<Value> =
        stream.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.len() > 40);
    let pieces: String =
        lines.iter().filter_map(|line| line["message"]["content"].as_str()).collect();
    assert_eq!(pieces, whole["message"]["content"]);
    let (last, before) = lines.split_last().expect("lines");
    assert!(before.iter().all(|line| line["done"] == false) && last["done"] == true);
    assert_eq!(last["eval_count"], whole["eval_count"]);
    assert!(last["mutirao"]["receipt_id"].is_string());
}

#[tokio::test]
async fn one_prompt_is_answered_under_the_options_that_are_understood() {
    let house = House::new(|_| {});
    let ask = |options: Value| {
        let body = json!({ "model": "village", "prompt": STORY, "system": "Be kind.",
            "stream": false, "keep_alive": "5m", "options": options });
        async { read(post(&house, "/api/generate", body).await).await }
    };
    let (_, short) = ask(json!({ "num_predict": 5, "num_ctx": 4096, "repeat_penalty": 1.0 })).await;
    assert_eq!((&short["done_reason"], &short["eval_count"]), (&"length".into(), &5.into()));
    let drawn = |seed: i64| ask(json!({ "temperature": 1.5, "top_k": 40, "seed": seed }));
    assert_eq!(drawn(7).await.1["response"], drawn(7).await.1["response"]);
    let first = drawn(7).await.1["response"].clone();
    let others = futures_util::future::join_all([8, 9, 10, 11].map(drawn)).await;
    assert!(others.iter().any(|(_, other)| other["response"] != first));
    let (_, stopped) = ask(json!({ "stop": ["bell"] })).await;
    assert!(stopped["response"].as_str().is_some_and(|text| !text.contains("bell")));
    for (option, value) in [("repeat_penalty", 1.1), ("mirostat", 2.0), ("typical_p", 0.5)] {
        let (status, refused) = ask(json!({ option: value })).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(refused["error"].as_str().is_some_and(|why| why.contains(option)), "{refused}");
    }
}

#[tokio::test]
async fn what_would_be_ignored_is_refused_in_ollamas_words() {
    let house = House::new(|_| {});
    let refused: [(&str, Value); 6] = [
        ("tools", json!([{ "type": "function" }])),
        ("format", json!("xml")),
        ("think", json!(true)),
        ("messages", json!([{ "role": "robot", "content": "hello" }])),
        ("messages", json!([{ "role": "user", "content": "", "images": ["aaaa"] }])),
        ("options", json!({ "temperature": 9 })),
    ];
    for (field, value) in refused {
        let mut body = story(false);
        body[field] = value;
        let (status, said) = read(post(&house, "/api/chat", body).await).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{field}: {said}");
        assert!(said["error"].is_string(), "{said}");
    }
    let unknown = json!({ "model": "gone", "prompt": "hello" });
    let (status, said) = read(post(&house, "/api/generate", unknown).await).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{said}");
    let (status, _) = read(house.send(asked("POST", "/api/chat", &[], "{")).await).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
