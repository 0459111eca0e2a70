//! Answers in a form: JSON after a schema, and calls of tools, in the words of every API.

use super::{House, asked, events, question, read, text};
use axum::http::StatusCode;
use serde_json::{Value, json};

/// A tool whose arguments are short, so that a small model comes to their end.
fn lamp() -> Value {
    let parameters = json!({
        "type": "object",
        "properties": {
            "room": { "enum": ["kitchen", "hall"] },
            "level": { "type": "integer", "minimum": 0, "maximum": 9 },
        },
        "required": ["room", "level"],
    });
    let description = "Sets a lamp.";
    json!({ "type": "function", "function": {
        "name": "set_lamp", "description": description, "parameters": parameters,
    } })
}

fn bell() -> Value {
    json!({ "type": "function", "function": { "name": "ring" } })
}

fn with_tools(choice: Value) -> Value {
    let mut request = question("Light in the hall, please.");
    request["tools"] = json!([lamp(), bell()]);
    request["tool_choice"] = choice;
    request
}

/// The arguments of a call of the lamp, if they are what its schema says.
fn lights(name: &Value, arguments: &Value) {
    assert_eq!(name, "set_lamp");
    let arguments: Value = match arguments {
        Value::String(text) => serde_json::from_str(text).expect("JSON"),
        object => object.clone(),
    };
    assert!(["kitchen", "hall"].map(Value::from).contains(&arguments["room"]), "{arguments}");
    assert!(arguments["level"].as_u64().expect("a number") <= 9, "{arguments}");
    assert_eq!(arguments.as_object().map(serde_json::Map::len), Some(2), "{arguments}");
}

#[tokio::test]
async fn an_answer_after_a_schema_follows_it_and_its_receipt_holds() {
    let house = House::new(|_| {});
    let schema = json!({ "type": "object", "required": ["count", "kind"], "properties": {
        "count": { "type": "integer", "minimum": 1, "maximum": 99 },
        "kind": { "enum": ["fox", "bell"] },
    } });
    let mut request = question("How many?");
    request["response_format"] =
        json!({ "type": "json_schema", "json_schema": { "name": "it", "schema": schema } });
    for temperature in [0.0, 1.5] {
        request["temperature"] = temperature.into();
        let (status, said) = read(house.chat(request.clone()).await).await;
        assert_eq!(status, StatusCode::OK, "{said}");
        assert_eq!(said["choices"][0]["finish_reason"], "stop", "{said}");
        let content = said["choices"][0]["message"]["content"].as_str().expect("text");
        let value: Value = serde_json::from_str(content).expect("JSON");
        assert!((1..=99).contains(&value["count"].as_u64().expect("a number")), "{value}");
        assert!(value["kind"] == "fox" || value["kind"] == "bell", "{value}");
        let receipt = said["mutirao"]["receipt"].as_str().expect("a receipt").to_owned();
        let file = text(house.send(asked("GET", &receipt, &[], "")).await).await;
        let judged = asked("POST", "/v1/receipts/verify", &[], &file);
        let (_, verdict) = read(house.send(judged).await).await;
        assert_eq!(verdict["holds"], true, "{verdict}");
    }
}

#[tokio::test]
async fn any_object_is_an_object() {
    let house = House::new(|_| {});
    let mut request = question("An object.");
    request["response_format"] = json!({ "type": "json_object" });
    request["max_tokens"] = 60.into();
    let (status, said) = read(house.chat(request).await).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    let content = said["choices"][0]["message"]["content"].as_str().expect("text");
    assert!(content.starts_with('{'), "{content}");
    if said["choices"][0]["finish_reason"] == "stop" {
        assert!(serde_json::from_str::<Value>(content).expect("JSON").is_object());
    }
}

#[tokio::test]
async fn a_tool_that_was_named_is_called_whole_or_in_a_stream() {
    let house = House::new(|_| {});
    let choice = json!({ "type": "function", "function": { "name": "set_lamp" } });
    let mut request = with_tools(choice);
    let (status, said) = read(house.chat(request.clone()).await).await;
    assert_eq!(
        (status, &said["choices"][0]["finish_reason"]),
        (StatusCode::OK, &"tool_calls".into())
    );
    let message = &said["choices"][0]["message"];
    assert_eq!(message["content"], Value::Null);
    let calls = message["tool_calls"].as_array().expect("calls");
    let [call] = calls.as_slice() else { panic!("one call, not {calls:?}") };
    assert!(call["id"].as_str().is_some_and(|id| id.starts_with("call_")), "{call}");
    lights(&call["function"]["name"], &call["function"]["arguments"]);
    request["stream"] = true.into();
    let (chunks, done) = events(&text(house.chat(request).await).await);
    assert!(done);
    let deltas = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]);
    let calls: Vec<&Value> = deltas.filter_map(|delta| delta["tool_calls"].get(0)).collect();
    let [streamed] = calls.as_slice() else { panic!("one call, not {calls:?}") };
    assert_eq!((&streamed["index"], &streamed["function"]), (&0.into(), &call["function"]));
    let finish = &chunks.last().expect("chunks")["choices"][0]["finish_reason"];
    assert_eq!(finish, "tool_calls");
}

#[tokio::test]
async fn some_tool_is_called_where_one_must_be_and_none_where_none_may_be() {
    let house = House::new(|_| {});
    let (_, said) = read(house.chat(with_tools("required".into())).await).await;
    let calls = said["choices"][0]["message"]["tool_calls"].as_array().expect("calls").clone();
    for call in &calls {
        match call["function"]["name"].as_str() {
            Some("ring") => assert_eq!(call["function"]["arguments"], "{}"),
            _ => lights(&call["function"]["name"], &call["function"]["arguments"]),
        }
    }
    let (_, none) = read(house.chat(with_tools("none".into())).await).await;
    let (_, plain) = read(house.chat(question("Light in the hall, please.")).await).await;
    assert_eq!(none["choices"][0]["message"], plain["choices"][0]["message"]);
    assert_eq!(none["usage"]["prompt_tokens"], plain["usage"]["prompt_tokens"]);
}

#[tokio::test]
async fn a_conversation_goes_on_with_what_a_tool_said() {
    let house = House::new(|_| {});
    let mut request = with_tools("auto".into());
    request["max_tokens"] = 40.into();
    request["messages"] = json!([
        { "role": "user", "content": "Light, please." },
        { "role": "assistant", "content": null, "tool_calls": [
            { "id": "call_1", "type": "function", "function":
                { "name": "set_lamp", "arguments": "{\"room\": \"hall\", \"level\": 3}" } },
        ] },
        { "role": "tool", "tool_call_id": "call_1", "content": "done" },
    ]);
    let (status, said) = read(house.chat(request.clone()).await).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    let receipt = said["mutirao"]["receipt"].as_str().expect("a receipt").to_owned();
    let file = text(house.send(asked("GET", &receipt, &[], "")).await).await;
    let opening: Value = serde_json::from_str(&file).expect("JSON");
    let messages = &opening["opening"]["text"]["messages"];
    let call = "<tool_call>\n{\"name\": \"set_lamp\", \"arguments\": \
                {\"room\":\"hall\",\"level\":3}}\n</tool_call>";
    assert_eq!(messages[1]["content"], call);
    assert_eq!(opening["opening"]["text"]["tools"][0]["function"]["name"], "set_lamp");
    let judged = asked("POST", "/v1/receipts/verify", &[], &file);
    let (_, verdict) = read(house.send(judged).await).await;
    assert_eq!(verdict["holds"], true, "{verdict}");
    request["messages"][1]["tool_calls"][0]["function"]["arguments"] = "{".into();
    let (status, said) = read(house.chat(request).await).await;
    assert_eq!((status, &said["error"]["param"]), (StatusCode::BAD_REQUEST, &"messages".into()));
}

#[tokio::test]
async fn a_form_that_makes_no_sense_is_refused_by_the_name_of_its_field() {
    let house = House::new(|_| {});
    let named = |name: &str| json!([{ "type": "function", "function": { "name": name } }]);
    let refused: [(&str, Value); 13] = [
        ("tools", json!("lamp")),
        ("tools", json!([{ "type": "retrieval" }])),
        ("tools", named("")),
        ("tools", named("two words")),
        ("tools", named(&"x".repeat(65))),
        ("tools", json!([bell(), bell()])),
        ("tools", json!(vec![bell(); 129])),
        ("functions", json!([{ "name": "ring" }])),
        ("tool_choice", json!("always")),
        ("tool_choice", json!("required")),
        ("tool_choice", json!({ "type": "function", "function": { "name": "sing" } })),
        ("response_format", json!({ "type": "xml" })),
        ("response_format", json!({ "type": "json_schema", "json_schema": { "name": "x" } })),
    ];
    for (name, value) in refused {
        let mut request = question("hello");
        request[name] = value;
        let (status, said) = read(house.chat(request).await).await;
        assert_eq!(
            (status, &said["error"]["param"]),
            (StatusCode::BAD_REQUEST, &name.into()),
            "{said}"
        );
    }
    let unknown = json!({ "type": "object", "properties": { "a": { "$ref": "#/nowhere" } } });
    let mut request = question("hello");
    request["response_format"] =
        json!({ "type": "json_schema", "json_schema": { "name": "it", "schema": unknown } });
    let (status, said) = read(house.chat(request).await).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{said}");
    assert!(said["error"]["message"].as_str().expect("words").contains("nowhere"), "{said}");
}

#[tokio::test]
async fn responses_call_tools_and_take_what_they_said() {
    let house = House::new(|_| {});
    let post = async |body: &Value| {
        house.send(asked("POST", "/v1/responses", &[], &body.to_string())).await
    };
    let mut tool = lamp()["function"].clone();
    tool["type"] = "function".into();
    let mut body = json!({ "model": "village", "input": "Light!", "tools": [tool],
        "tool_choice": { "type": "function", "name": "set_lamp" } });
    let (status, whole) = read(post(&body).await).await;
    assert_eq!(status, StatusCode::OK, "{whole}");
    let output = whole["output"].as_array().expect("items");
    let [call] = output.as_slice() else { panic!("one call, not {output:?}") };
    assert_eq!(call["type"], "function_call");
    lights(&call["name"], &call["arguments"]);
    body["stream"] = true.into();
    let stream = text(post(&body).await).await;
    let objects: Vec<Value> = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).expect("JSON"))
        .collect();
    let kinds: Vec<&str> = objects.iter().filter_map(|object| object["type"].as_str()).collect();
    let wanted = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(kinds, wanted);
    assert_eq!(objects[5]["item"]["arguments"], call["arguments"]);
    body = json!({ "model": "village", "tools": [tool], "max_output_tokens": 20, "input": [
        { "role": "user", "content": "Light!" },
        { "type": "function_call", "call_id": "c", "name": "set_lamp",
            "arguments": "{\"room\": \"hall\", \"level\": 1}" },
        { "type": "function_call_output", "call_id": "c", "output": "done" },
    ] });
    let (status, said) = read(post(&body).await).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    body = json!({ "model": "village", "input": "Which?", "text": { "format": {
        "type": "json_schema", "name": "it", "schema": { "enum": ["fox", "bell"] } } } });
    let (_, said) = read(post(&body).await).await;
    let told = said["output"][0]["content"][0]["text"].as_str().expect("text").to_owned();
    assert!(["\"fox\"", "\"bell\""].contains(&told.as_str()), "{said}");
}

#[tokio::test]
async fn ollama_clients_get_formats_and_calls_too() {
    let house = House::new(|_| {});
    let post = async |path: &str, body: Value| {
        read(house.send(asked("POST", path, &[], &body.to_string())).await).await
    };
    let schema = json!({ "enum": ["fox", "bell"] });
    let messages = json!([{ "role": "user", "content": "Which?" }]);
    let body = json!({ "model": "village", "stream": false, "format": schema,
        "prompt": "Which?" });
    let (status, said) = post("/api/generate", body).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    let told = said["response"].as_str().expect("text").to_owned();
    assert!(["\"fox\"", "\"bell\""].contains(&told.as_str()), "{said}");
    // Ollama has no choice of tools: the answer's form leaves only words and calls that are right.
    let ask = |stream: bool, messages: &Value| {
        json!({ "model": "village", "stream": stream, "messages": messages,
            "tools": [lamp()], "format": { "const": 7 } })
    };
    let (status, said) = post("/api/chat", ask(false, &messages)).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    match said["message"]["tool_calls"].as_array() {
        None => assert_eq!(said["message"]["content"], "7"),
        Some(calls) => {
            let function =
                |call: &Value| lights(&call["function"]["name"], &call["function"]["arguments"]);
            calls.iter().for_each(function);
        }
    }
    let later = json!([{ "role": "user", "content": "Light!" },
        { "role": "assistant", "content": "", "tool_calls": [
            { "function": { "name": "set_lamp", "arguments": { "room": "hall", "level": 2 } } }] },
        { "role": "tool", "content": "done", "tool_name": "set_lamp" }]);
    let (status, said) = post("/api/chat", ask(false, &later)).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    let refused = json!({ "model": "village", "prompt": "x", "format": "xml" });
    assert_eq!(post("/api/generate", refused).await.0, StatusCode::BAD_REQUEST);
    let refused = json!({ "model": "village", "prompt": "x", "tools": [lamp()] });
    assert_eq!(post("/api/generate", refused).await.0, StatusCode::BAD_REQUEST);
}
