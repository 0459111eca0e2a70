//! What a model thinks in numbers: probabilities of its tokens, and directions of texts.

use super::{House, STORY, asked, events, question, read, text};
use axum::http::StatusCode;
use serde_json::{Value, json};

async fn post(house: &House, path: &str, body: &Value) -> (StatusCode, Value) {
    read(house.send(asked("POST", path, &[], &body.to_string())).await).await
}

fn with_logprobs(mut question: Value, top: u8) -> Value {
    question["logprobs"] = true.into();
    question["top_logprobs"] = top.into();
    question
}

#[tokio::test]
async fn the_most_probable_tokens_are_those_of_a_greedy_answer_and_its_text() {
    let house = House::new(|_| {});
    let asked = with_logprobs(question(STORY), 2);
    let (_, said) = read(house.chat(asked.clone()).await).await;
    let choice = &said["choices"][0];
    let tokens = choice["logprobs"]["content"].as_array().expect("tokens");
    let count = said["usage"]["completion_tokens"].as_u64().expect("a count");
    assert_eq!(tokens.len() as u64, count);
    let bytes = tokens.iter().flat_map(|token| token["bytes"].as_array().expect("bytes"));
    let bytes: Vec<u8> = bytes.map(|byte| byte.as_u64().expect("a byte") as u8).collect();
    let told = choice["message"]["content"].as_str().expect("text");
    assert!(String::from_utf8(bytes).expect("text").starts_with(told));
    for token in tokens {
        assert_eq!(token["top_logprobs"][0]["logprob"], token["logprob"], "{token}");
        assert!(token["logprob"].as_f64().expect("a number") <= 0.0);
    }
    let mut streamed = asked;
    streamed["stream"] = true.into();
    let (chunks, _) = events(&text(house.chat(streamed).await).await);
    let last = chunks.iter().find(|chunk| chunk["choices"][0]["logprobs"].is_object());
    assert_eq!(last.expect("at the end")["choices"][0]["logprobs"], choice["logprobs"]);
}

#[tokio::test]
async fn nobody_who_did_not_ask_is_told_probabilities() {
    let house = House::new(|_| {});
    let (_, said) = read(house.chat(question(STORY)).await).await;
    assert!(said["choices"][0]["logprobs"].is_null());
    let (status, said) = read(house.chat(with_logprobs(question(STORY), 21)).await).await;
    let refused = (StatusCode::BAD_REQUEST, &json!("top_logprobs"));
    assert_eq!((status, &said["error"]["param"]), refused);
}

#[tokio::test]
async fn a_text_has_one_direction_over_both_apis_and_texts_like_it_are_near() {
    let house = House::new(|_| {});
    let texts = json!(["What is 2 + 2?", "What is 2 + 3?", STORY]);
    let (status, said) =
        post(&house, "/v1/embeddings", &json!({ "model": "village", "input": texts })).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    let vector = |entry: &Value| -> Vec<f64> {
        let numbers = entry.as_array().expect("numbers").iter();
        numbers.map(|number| number.as_f64().expect("a number")).collect()
    };
    let entries = said["data"].as_array().expect("a list").iter();
    let vectors: Vec<Vec<f64>> = entries.map(|entry| vector(&entry["embedding"])).collect();
    let product = |one: usize, other: usize| -> f64 {
        vectors[one].iter().zip(&vectors[other]).map(|(one, other)| one * other).sum()
    };
    assert!((product(0, 0) - 1.0).abs() < 1e-5 && product(0, 1) > product(0, 2));
    let asked = json!({ "model": "village", "input": "What is 2 + 2?" });
    let (_, ollama) = post(&house, "/api/embed", &asked).await;
    assert_eq!(vector(&ollama["embeddings"][0]), vectors[0]);
    let asked = json!({ "model": "village", "prompt": "What is 2 + 2?" });
    let (_, older) = post(&house, "/api/embeddings", &asked).await;
    assert_eq!(vector(&older["embedding"]), vectors[0]);
}

#[tokio::test]
async fn what_has_no_embedding_is_refused_by_its_name() {
    let house = House::new(|_| {});
    for (field, value) in
        [("input", json!([])), ("dimensions", json!(7)), ("encoding_format", json!("roman"))]
    {
        let mut body = json!({ "model": "village", "input": "a" });
        body[field] = value;
        let (status, said) = post(&house, "/v1/embeddings", &body).await;
        assert_eq!((status, &said["error"]["param"]), (StatusCode::BAD_REQUEST, &field.into()));
    }
    let long = json!({ "model": "village", "input": "word ".repeat(5000) });
    let (status, said) = post(&house, "/v1/embeddings", &long).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{said}");
    let unknown = json!({ "model": "no-such", "input": "a" });
    assert_eq!(post(&house, "/v1/embeddings", &unknown).await.0, StatusCode::NOT_FOUND);
}
