//! Grammars on the shipped tokenizer: whoever takes only what is let through writes what was asked
//! for, whatever it takes; and what is let through is the same for ever.

use super::village;
use mutirao_text::{Grammars, TextError, TextStack, grammar};
use mutirao_wire::form::{Calls, Form, Tool};
use mutirao_wire::{Digest, Token};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The token that ends an answer of the village.
const END: Token = Token(1);

fn read() -> (TextStack, Grammars) {
    let text = village();
    let grammars = text.grammars(&[END]).expect("the shipped tokenizer spells in bytes");
    (text, grammars)
}

fn tokens(allowed: &[u32]) -> Vec<Token> {
    let set = |at: &u32| allowed[(at / 32) as usize] >> (at % 32) & 1 == 1;
    (0..32 * u32::try_from(allowed.len()).expect("a vocabulary")).filter(set).map(Token).collect()
}

/// Follows a grammar and takes of what may follow by `dice`, the end where it may; the text, and a
/// digest of all that might have followed.
fn walk(text: &TextStack, grammars: &Grammars, grammar: &str, dice: u64) -> (String, Digest) {
    let mut followed = grammars.follow(grammar).expect("it is a grammar");
    let (mut answer, mut dice, mut seen) = (Vec::new(), dice | 1, Vec::new());
    for _ in 0..400 {
        let allowed = followed.allowed().expect("something follows");
        seen.extend(allowed.iter().flat_map(|word| word.to_le_bytes()));
        let may = tokens(&allowed);
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let token = match may.contains(&END) {
            true => END,
            false => may[usize::try_from(dice >> 33).expect("31 bits") % may.len()],
        };
        followed.take(token);
        if token == END {
            let text = text.decode(&answer).expect("known tokens");
            return (text, Digest::of("walk", &[&seen]));
        }
        answer.push(token);
    }
    (text.decode(&answer).expect("known tokens"), Digest::of("walk", &[&seen]))
}

fn weather() -> Tool {
    let parameters = json!({
        "type": "object",
        "properties": {
            "place": { "type": "string", "maxLength": 12 },
            "days": { "type": "integer", "minimum": 1, "maximum": 9 },
            "unit": { "enum": ["celsius", "fahrenheit"] },
        },
        "required": ["place", "days"],
    });
    let description = Some("Tells the weather.".to_owned());
    Tool { name: "weather".to_owned(), description, parameters }
}

fn clock() -> Tool {
    Tool { name: "clock".to_owned(), description: None, parameters: Value::Null }
}

fn person() -> Form {
    let schema = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 8 },
            "age": { "type": "integer", "minimum": 0, "maximum": 120 },
            "friends": { "type": "array", "items": { "$ref": "#/$defs/friend" }, "maxItems": 2 },
        },
        "required": ["name", "age", "friends"],
        "$defs": { "friend": { "enum": ["fox", "bell", null] } },
    });
    Form { schema: Some(schema), ..Form::default() }
}

fn holds_as_person(text: &str) {
    let value: Value = serde_json::from_str(text).expect("JSON");
    let fields = value.as_object().expect("an object");
    assert_eq!(fields.keys().map(String::as_str).collect::<Vec<_>>(), ["name", "age", "friends"]);
    let name = value["name"].as_str().expect("a text").chars().count();
    assert!((1..=8).contains(&name) && value["age"].as_u64().expect("a number") <= 120, "{text}");
    let friends = value["friends"].as_array().expect("a list");
    let known = |friend: &Value| [json!("fox"), json!("bell"), Value::Null].contains(friend);
    assert!(friends.len() <= 2 && friends.iter().all(known), "{text}");
}

/// The calls of a text that is nothing but calls.
fn calls(text: &str) -> Vec<Value> {
    let mut finder = mutirao_text::CallFinder::default();
    let pieces = finder.push(text);
    let call = |piece| match piece {
        mutirao_text::Piece::Call(call) => serde_json::to_value(call).expect("a call"),
        mutirao_text::Piece::Text(text) => panic!("text beside the calls: {text:?}"),
    };
    let calls = pieces.into_iter().map(call).collect();
    assert_eq!(finder.finish(), None);
    calls
}

fn holds_as_call(call: &Value) {
    let arguments = call["arguments"].as_object().expect("an object");
    match call["name"].as_str() {
        Some("clock") => assert!(arguments.is_empty(), "{call}"),
        Some("weather") => {
            assert!(arguments["place"].as_str().expect("a text").chars().count() <= 12, "{call}");
            assert!((1..=9).contains(&arguments["days"].as_u64().expect("a number")), "{call}");
            let unit = arguments.get("unit").map(|unit| unit.as_str().expect("a text"));
            assert!(matches!(unit, None | Some("celsius" | "fahrenheit")), "{call}");
        }
        other => panic!("nobody offered {other:?}"),
    }
}

fn with_tools(calls: Calls, once: bool) -> Form {
    Form { tools: vec![weather(), clock()], calls, once, schema: None }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    // spec: GRAMMAR-1.3, GRAMMAR-2.2
    #[test]
    fn whatever_is_taken_the_text_follows_its_schema(dice in any::<u64>()) {
        let (text, grammars) = read();
        let (told, _) = walk(&text, &grammars, &grammar(&person()).expect("a grammar"), dice);
        holds_as_person(&told);
    }

    // spec: GRAMMAR-2.1
    #[test]
    fn whatever_is_taken_every_call_is_one_that_the_tool_takes(dice in any::<u64>()) {
        let (text, grammars) = read();
        let must = grammar(&with_tools(Calls::Must, false)).expect("a grammar");
        let (told, _) = walk(&text, &grammars, &must, dice);
        let calls = calls(&told);
        prop_assert!(!calls.is_empty());
        calls.iter().for_each(holds_as_call);
    }
}

#[test]
fn the_tool_that_was_named_is_called_once() {
    let (text, grammars) = read();
    let only = grammar(&with_tools(Calls::Only("clock".to_owned()), false)).expect("a grammar");
    let (told, _) = walk(&text, &grammars, &only, 3);
    assert_eq!(calls(&told), [json!({ "name": "clock", "arguments": {} })]);
}

/// Takes the tokens of a text; whether each was let through.
fn takes(text: &TextStack, grammars: &Grammars, grammar: &str, answer: &str) -> bool {
    let mut followed = grammars.follow(grammar).expect("it is a grammar");
    let answer = text.encode(answer).expect("short");
    answer.into_iter().chain([END]).all(|token| {
        let may = followed.allowed().is_ok_and(|allowed| tokens(&allowed).contains(&token));
        followed.take(token);
        may
    })
}

#[test]
fn a_model_that_may_call_tools_may_also_speak_but_not_call_wrongly() {
    let (text, grammars) = read();
    let may = grammar(&with_tools(Calls::May, false)).expect("a grammar");
    let right = "<tool_call>\n{\"name\": \"clock\", \"arguments\": {}}\n</tool_call>";
    let wrong = "<tool_call>\n{\"name\": \"clock\", \"arguments\": {\"a\": 1}}\n</tool_call>";
    let takes = |answer: &str| takes(&text, &grammars, &may, answer);
    assert!(takes("It is late, a < b and <tool> is no call."));
    assert!(takes(right));
    assert!(takes(&format!("Let me look.\n{right}\n{right}")));
    for refused in
        [wrong, "<tool_call> is a word", "So:\n<tool_call>\n{\"name\": \"x\"", &right[..30]]
    {
        assert!(!takes(refused), "{refused}");
        assert!(!takes(&format!("First {refused}")), "{refused}");
    }
    let once = grammar(&with_tools(Calls::May, true)).expect("a grammar");
    let twice = |answer: &str| self::takes(&text, &grammars, &once, answer);
    assert!(twice(right));
    assert!(!twice(&format!("{right}\n{right}")));
}

#[test]
fn a_model_that_may_call_tools_answers_in_its_form_otherwise() {
    let (text, grammars) = read();
    let form = Form { schema: person().schema, ..with_tools(Calls::May, false) };
    let form = grammar(&form).expect("a grammar");
    let takes = |answer: &str| takes(&text, &grammars, &form, answer);
    assert!(takes("{\"name\": \"Ana\", \"age\": 7, \"friends\": [\"fox\"]}"));
    assert!(takes("<tool_call>\n{\"name\": \"clock\", \"arguments\": {}}\n</tool_call>"));
    assert!(!takes("Ana is seven."));
}

/// What was let through once is let through for ever: these digests are part of the meaning of
/// `GRAMMAR_ENGINE`. If one changes, that number has to change.
// spec: GRAMMAR-1.1
#[test]
fn what_may_follow_is_what_has_always_followed() {
    let (text, grammars) = read();
    let forms = [
        ("person", person()),
        ("object", Form { schema: Some(json!({ "type": "object" })), ..Form::default() }),
        ("must", with_tools(Calls::Must, false)),
        ("may", with_tools(Calls::May, false)),
    ];
    let line = |(name, form): &(&str, Form)| {
        let grammar = grammar(form).expect("a grammar");
        let (_, digest) = walk(&text, &grammars, &grammar, 11);
        format!("{} {name} {}\n", mutirao_text::GRAMMAR_ENGINE, digest.hex())
    };
    let found: String = forms.iter().map(line).collect();
    assert_eq!(found, include_str!("../../../../vectors/grammar.txt"));
}

// spec: GRAMMAR-1.4
#[test]
fn grammars_of_strangers_are_refused_or_bounded() {
    let (_, grammars) = read();
    let deep = format!("start: {}\"a\"{}", "(".repeat(100_000), ")".repeat(100_000));
    let schema = format!("start: %json {}1{}", "{\"not\":".repeat(10_000), "}".repeat(10_000));
    let nested = format!("start: /{}a{}/", "(".repeat(50_000), ")".repeat(50_000));
    let huge = "start: /(a{1000}){1000}/".to_owned();
    let endless = "start: start".to_owned();
    let unknown = "start: nobody".to_owned();
    let long = format!("start: \"{}\"", "a".repeat(1 << 18));
    for hostile in [deep, schema, nested, unknown, long, String::new(), "start".into()] {
        let begun = grammars.follow(&hostile);
        let refused = begun.and_then(|mut followed| followed.allowed().map(drop));
        let head = hostile.chars().take(40).collect::<String>();
        let error = refused.expect_err(&head);
        assert!(matches!(error, TextError::Grammar { .. } | TextError::TooLong { .. }), "{error}");
    }
    // Whether these are refused, and what they let through, is the library's affair; that it ends
    // is ours.
    for hostile in [endless, huge] {
        let _ = grammars.follow(&hostile).map(|mut followed| followed.allowed());
    }
}

#[test]
fn without_a_token_that_ends_a_text_no_grammar_is_followed() {
    let error = village().grammars(&[]).expect_err("nothing ends");
    assert!(error.to_string().contains("no token of the model ends a text"), "{error}");
}
