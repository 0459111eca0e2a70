//! `/v1/responses` at the door of a real node.

use super::{House, STORY, asked, question, read, text};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

async fn post(house: &House, body: Value) -> Response {
    house.send(asked("POST", "/v1/responses", &[], &body.to_string())).await
}

fn said(response: &Value) -> &Value {
    &response["output"][0]["content"][0]["text"]
}

#[tokio::test]
async fn a_response_says_what_the_chat_says_whole_and_in_numbered_events() {
    let house = House::new(|_| {});
    let (_, chat) = read(house.chat(question(STORY)).await).await;
    let text_of_chat = &chat["choices"][0]["message"]["content"];
    let (status, whole) =
        read(post(&house, json!({ "model": "village", "input": STORY })).await).await;
    assert_eq!((status, &whole["status"]), (StatusCode::OK, &"completed".into()), "{whole}");
    assert_eq!(said(&whole), text_of_chat);
    assert_eq!(whole["usage"]["output_tokens"], chat["usage"]["completion_tokens"]);
    let items = json!([{ "type": "message", "role": "user", "content": [
        { "type": "input_text", "text": STORY }
    ] }]);
    let body = json!({ "model": "village", "input": items, "stream": true });
    let stream = text(post(&house, body).await).await;
    let objects: Vec<Value> = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).expect("JSON"))
        .collect();
    let names = stream.lines().filter_map(|line| line.strip_prefix("event: "));
    for (number, (name, object)) in names.zip(&objects).enumerate() {
        assert_eq!((&object["type"], &object["sequence_number"]), (&name.into(), &number.into()));
    }
    let pieces: String = objects.iter().filter_map(|object| object["delta"].as_str()).collect();
    assert_eq!(pieces, text_of_chat.as_str().expect("text"));
    let last = &objects.last().expect("events")["response"];
    assert_eq!((said(last), &last["status"]), (text_of_chat, &"completed".into()));
    assert!(last["mutirao"]["receipt_id"].is_string());
}

#[tokio::test]
async fn instructions_come_first_and_a_length_leaves_a_response_incomplete() {
    let house = House::new(|_| {});
    let body = json!({ "model": "village", "input": STORY, "instructions": "Be kind.",
        "max_output_tokens": 5 });
    let (_, short) = read(post(&house, body).await).await;
    assert_eq!(short["status"], "incomplete");
    assert_eq!(short["incomplete_details"]["reason"], "max_output_tokens");
    let mut chat = question(STORY);
    chat["messages"] = json!([
        { "role": "system", "content": "Be kind." }, { "role": "user", "content": STORY }
    ]);
    chat["max_tokens"] = 5.into();
    let (_, chat) = read(house.chat(chat).await).await;
    assert_eq!(said(&short), &chat["choices"][0]["message"]["content"]);
    assert_eq!(short["usage"]["input_tokens"], chat["usage"]["prompt_tokens"]);
}

#[tokio::test]
async fn what_refers_to_an_earlier_request_or_would_be_ignored_is_refused() {
    let house = House::new(|_| {});
    let refused: [(&str, Value); 6] = [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("background", json!(true)),
        ("truncation", json!("auto")),
        ("tools", json!([{ "type": "web_search" }])),
        ("text", json!({ "format": { "type": "xml" } })),
    ];
    for (field, value) in refused {
        let mut body = json!({ "model": "village", "input": STORY });
        body[field] = value;
        let (status, said) = read(post(&house, body).await).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{field}");
        assert!(said["error"]["param"].is_string(), "{said}");
    }
}
