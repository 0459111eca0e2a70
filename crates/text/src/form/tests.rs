//! Calls told from text however it is cut, and forms without a grammar.

use super::*;
use mutirao_wire::form::with_calls;
use proptest::prelude::*;

fn tool(name: &str) -> Tool {
    Tool { name: name.to_owned(), description: None, parameters: Value::Null }
}

fn call(name: &str, arguments: Value) -> Call {
    Call { name: name.to_owned(), arguments }
}

/// The pieces of a text that comes in parts, texts joined.
fn pieces<'a>(parts: impl IntoIterator<Item = &'a str>) -> (String, Vec<Call>) {
    let mut finder = CallFinder::default();
    let (mut text, mut calls) = (String::new(), Vec::new());
    let told: Vec<Piece> = parts.into_iter().flat_map(|part| finder.push(part)).collect();
    for piece in told {
        match piece {
            Piece::Text(more) => text.push_str(&more),
            Piece::Call(call) => calls.push(call),
        }
    }
    text.push_str(&finder.finish().unwrap_or_default());
    (text, calls)
}

fn arb_call() -> impl Strategy<Value = Call> {
    // Texts that contain tags, quotes and brackets of their own.
    let text = prop_oneof![
        "[ -~\u{e9}]{0,12}",
        Just(CALL_OPENS.to_owned()),
        Just(format!("{CALL_CLOSES}{{\"")),
    ];
    ("[a-z_]{1,8}", "[a-z]{1,5}", text)
        .prop_map(|(name, field, text)| call(&name, json!({ field: text, "number": 7 })))
}

proptest! {
    #[test]
    fn calls_are_told_from_text_however_it_is_cut(
        said in "( ?[a-z<\u{e9}]{1,6}){0,4}",
        calls in proptest::collection::vec(arb_call(), 0..3),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..9),
    ) {
        let whole = with_calls(&said, &calls);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
        cuts.retain(|cut| whole.is_char_boundary(*cut));
        cuts.extend([0, whole.len()]);
        cuts.sort_unstable();
        let parts = cuts.windows(2).map(|pair| &whole[pair[0]..pair[1]]);
        prop_assert_eq!(pieces(parts), (said, calls));
    }
}

#[test]
fn what_only_looks_like_a_call_stays_text() {
    for text in ["a < b", "<tool", "<tool_call", "<tool_call>\n{\"name\": \"f\"", "a <tool_call> b"]
    {
        assert_eq!(pieces([text]), (text.to_owned(), Vec::new()), "{text}");
    }
}

#[test]
fn any_text_needs_no_grammar_and_neither_do_tools_that_nobody_has() {
    assert_eq!(grammar(&Form::default()), None);
    assert_eq!(grammar(&Form { calls: Calls::Must, once: true, ..Form::default() }), None);
}

#[test]
fn only_the_tool_that_was_named_can_be_called() {
    let tools = vec![tool("look"), tool("go")];
    let form = Form { tools, calls: Calls::Only("go".to_owned()), ..Form::default() };
    let grammar = grammar(&form).expect("tools have one");
    assert!(grammar.contains("\\\"go\\\"") || grammar.contains("go"), "{grammar}");
    assert!(!grammar.contains("look"), "{grammar}");
}

// spec: GRAMMAR-2.3
#[test]
fn tools_are_explained_in_the_first_message_where_the_template_does_not_know_them() {
    let message =
        |role: &str, content: &str| Message { role: role.into(), content: content.into() };
    let form = Form { tools: vec![tool("look")], ..Form::default() };
    let tools = form.described().expect("there is a tool");
    let told = explained(&[message("system", "Be kind."), message("tool", "rain")], &tools);
    assert!(told[0].content.starts_with("Be kind.\n\nYou can call"), "{}", told[0].content);
    assert!(told[0].content.contains("\"name\":\"look\""), "{}", told[0].content);
    assert_eq!(told[1], message("user", "<tool_response>\nrain\n</tool_response>"));
    let told = explained(&[message("user", "hello")], &tools);
    assert_eq!((told.len(), told[0].role.as_str()), (2, "system"));
}
