//! `/v1/completions` at the door of a real node, and Ollama's `raw`.

use super::{House, STORY, asked, events, question, read, text};
use axum::http::StatusCode;
use serde_json::{Value, json};

/// What the village's template makes of the question.
fn written_by_hand() -> String {
    format!("<|bos|><|user|>{STORY}<|end|><|assistant|>")
}

async fn post(house: &House, path: &str, body: &Value) -> (StatusCode, Value) {
    read(house.send(asked("POST", path, &[], &body.to_string())).await).await
}

#[tokio::test]
async fn a_prompt_that_is_what_the_template_makes_has_the_answer_of_the_chat() {
    let house = House::new(|_| {});
    let (_, chat) = read(house.chat(question(STORY)).await).await;
    let told = &chat["choices"][0]["message"]["content"];
    let mut body = json!({ "model": "village", "prompt": written_by_hand(), "max_tokens": 1024 });
    let (status, whole) = post(&house, "/v1/completions", &body).await;
    assert_eq!((status, &whole["choices"][0]["text"]), (StatusCode::OK, told), "{whole}");
    assert_eq!(whole["usage"]["prompt_tokens"], chat["usage"]["prompt_tokens"]);
    body["stream"] = true.into();
    let stream = house.send(asked("POST", "/v1/completions", &[], &body.to_string())).await;
    let (chunks, done) = events(&text(stream).await);
    let pieces = chunks.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str());
    assert_eq!((Value::from(pieces.collect::<String>()), done), (told.clone(), true));
    let raw = json!({ "model": "village", "prompt": written_by_hand(), "raw": true,
        "stream": false });
    let (status, said) = post(&house, "/api/generate", &raw).await;
    assert_eq!((status, &said["response"]), (StatusCode::OK, told));
}

#[tokio::test]
async fn a_completion_has_sixteen_tokens_where_nothing_is_said_and_its_receipt_holds() {
    let house = House::new(|_| {});
    let body = json!({ "model": "village", "prompt": ["Once there was"] });
    let (status, said) = post(&house, "/v1/completions", &body).await;
    assert_eq!((status, &said["object"]), (StatusCode::OK, &"text_completion".into()), "{said}");
    assert!(said["usage"]["completion_tokens"].as_u64().expect("a count") <= 16);
    let receipt = said["mutirao"]["receipt"].as_str().expect("a receipt").to_owned();
    let file = text(house.send(asked("GET", &receipt, &[], "")).await).await;
    let (_, verdict) =
        read(house.send(asked("POST", "/v1/receipts/verify", &[], &file)).await).await;
    assert_eq!(verdict["holds"], true, "{verdict}");
}

#[tokio::test]
async fn what_a_completion_cannot_do_is_refused_by_its_name() {
    let house = House::new(|_| {});
    let refused: [(&str, Value, &str); 6] = [
        ("prompt", json!(["one", "two"]), "prompt"),
        ("echo", json!(true), "echo"),
        ("suffix", json!("the end"), "echo"),
        ("best_of", json!(3), "echo"),
        ("n", json!(2), "n"),
        ("logprobs", json!(21), "top_logprobs"),
    ];
    for (field, value, named) in refused {
        let mut body = json!({ "model": "village", "prompt": "Once" });
        body[field] = value;
        let (status, said) = post(&house, "/v1/completions", &body).await;
        assert_eq!((status, &said["error"]["param"]), (StatusCode::BAD_REQUEST, &named.into()));
    }
    let empty = json!({ "model": "village", "prompt": "" });
    let (status, said) = post(&house, "/v1/completions", &empty).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{said}");
}
