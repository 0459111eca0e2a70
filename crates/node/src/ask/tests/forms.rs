//! Answers in a form whose writers fall silent: schemas, calls of tools, stop strings and drawn
//! tokens, eight at a time, and each the one that nobody disturbs.

use super::*;
use mutirao_text::{CallFinder, Piece};
use mutirao_wire::form::{Calls, Tool};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Questions that are asked at once.
const TOGETHER: usize = 8;
/// Tokens a second: a strike falls into the middle of an answer.
const PACE: u32 = 120;

fn lamp() -> Tool {
    let parameters = json!({
        "type": "object",
        "properties": {
            "room": { "enum": ["kitchen", "hall", "cellar"] },
            "level": { "type": "integer", "minimum": 0, "maximum": 100 },
            "note": { "type": "string", "maxLength": 20 },
        },
        "required": ["room", "level", "note"],
    });
    Tool { name: "set_lamp".to_owned(), description: Some("Sets a lamp.".to_owned()), parameters }
}

fn person() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 16 },
            "age": { "type": "integer", "minimum": 0, "maximum": 120 },
            "friends": { "type": "array", "maxItems": 3,
                "items": { "type": "string", "maxLength": 8 } },
        },
        "required": ["name", "age", "friends"],
    })
}

/// A question, its form drawn by its number.
fn asked(number: usize) -> Question {
    let content =
        format!("Neighbour {number}: tell me of a fox, a bell and {} apples.", number * 37 % 98);
    let mut asked = question(&content, 96);
    asked.sampling = super::sampling(number / 5);
    let tools = vec![lamp()];
    match number % 5 {
        0 => asked.form.schema = Some(person()),
        1 => asked.form = Form { tools, calls: Calls::Must, ..Form::default() },
        2 => asked.form = Form { tools, ..Form::default() },
        3 => asked.stop = vec![" and".to_owned(), "fo".to_owned(), ".".to_owned()],
        _ => asked.form = Form { tools, schema: Some(person()), ..Form::default() },
    }
    asked
}

/// Whether an answer that came to its end is of its form.
fn is_of_its_form(asked: &Question, answered: &Answered) -> bool {
    if answered.finish != Finish::Eos {
        return true;
    }
    let mut finder = CallFinder::default();
    let mut pieces = finder.push(&answered.text);
    pieces.extend(finder.finish().map(Piece::Text));
    let (mut text, mut calls) = (String::new(), 0);
    for piece in pieces {
        match piece {
            Piece::Text(more) => text.push_str(&more),
            Piece::Call(call) => {
                let level = call.arguments["level"].as_u64();
                assert!(call.name == "set_lamp" && level.is_some_and(|level| level <= 100));
                calls += 1;
            }
        }
    }
    let json = || serde_json::from_str::<Value>(&text).is_ok_and(|value| value["age"].is_u64());
    match (&asked.form.schema, &asked.form.calls) {
        (_, Calls::Must) => calls > 0 && text.is_empty(),
        (Some(_), _) => calls > 0 || json(),
        (None, _) => true,
    }
}

/// Strikes whoever writes when so many pieces of all answers were heard.
struct Strikes<'a> {
    hub: &'a Hub,
    heard: AtomicUsize,
    at: [usize; 2],
}

impl Strikes<'_> {
    fn hear(&self, speaker: Option<PeerKey>) {
        let heard = self.heard.fetch_add(1, Ordering::Relaxed);
        if let Some(speaker) = speaker.filter(|_| self.at.contains(&heard)) {
            self.hub.silence(&speaker);
        }
    }
}

/// Asks once in a circle where somebody is struck; how many wrote the answer.
async fn survives(
    circle: &Circle,
    opened: &Opened,
    unbroken: &Node,
    strikes: &Strikes<'_>,
    number: usize,
) -> usize {
    let asked = asked(number);
    let mut speaker = None;
    let mut watch = |notice: Notice| match notice {
        Notice::Asking { provider } => speaker = Some(provider),
        Notice::Text { .. } => strikes.hear(speaker),
        _ => {}
    };
    let answered = circle.ask(opened, &asked, &mut watch).await.expect("an answer");
    let whole = unbroken.ask(&asked, &mut |_| {}).await.expect("an answer");
    assert_eq!(answered.tokens, whole.tokens, "question {number}");
    assert_eq!((&answered.text, answered.finish), (&whole.text, whole.finish), "question {number}");
    assert!(is_of_its_form(&asked, &answered), "question {number}: {}", answered.text);
    let verdict = unbroken.verify(answered.receipt_json.as_bytes()).expect("judged");
    assert!(verdict.holds(), "question {number}: {:?}", verdict.lines());
    answered.providers.len()
}

/// Batches of questions; how many answers changed hands.
fn batches(numbers: std::ops::Range<usize>) -> usize {
    let place = Place::new();
    let unbroken = place.node("unbroken", |_| {});
    let opened = unbroken.open("village").expect("the village");
    let batch = |first: usize| {
        let (place, opened, unbroken) = (&place, &opened, &unbroken);
        async move {
            let circle = Circle::new(place, opened, 3, PACE);
            let at = [first * 7 % 150, first * 13 % 300 + 20];
            let strikes = Strikes { hub: &circle.hub, heard: AtomicUsize::new(0), at };
            let trials = (first..first + TOGETHER)
                .map(|number| survives(&circle, opened, unbroken, &strikes, number));
            let hands = futures_util::future::join_all(trials).await;
            hands.into_iter().filter(|hands| *hands > 1).count()
        }
    };
    runtime().block_on(async {
        let mut changed = 0;
        for first in numbers.step_by(TOGETHER) {
            changed += batch(first).await;
        }
        changed
    })
}

#[test]
fn answers_in_a_form_survive_writers_that_fall_silent() {
    let changed = batches(0..24);
    assert!(changed >= 3, "only {changed} of 24 answers changed hands");
}

#[test]
fn five_hundred_answers_in_a_form_survive_writers_that_fall_silent_slow_() {
    if std::env::var_os("MUTIRAO_SLOW").is_some() {
        let changed = batches(1000..1504);
        assert!(changed >= 60, "only {changed} of 504 answers changed hands");
    }
}
