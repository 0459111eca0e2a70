//! Models that are brought to another machine: only with its owner's consent, and across a death.

use super::pull::{BYTES, published};
use super::trials::Provider;
use super::{Person, name, size_of};
use std::time::{Duration, Instant};

/// Somebody who takes models from `pusher`, whom it joined.
struct Taker {
    person: Person,
    ticket: String,
    _provider: Provider,
}

impl Taker {
    fn new(pusher: Option<&Person>, most: &str) -> Self {
        let person = Person::new();
        if let Some(pusher) = pusher {
            let seen = Provider::listening(pusher, &["provide"]);
            person.json(&["join", &seen.ticket]);
        }
        let provider = Provider::listening(&person, &["provide", "--take-models", most]);
        Self { person, ticket: provider.ticket.clone(), _provider: provider }
    }
}

#[test]
fn a_model_comes_only_to_who_agreed_to_it_from_this_peer_and_of_this_size() {
    let pusher = Person::new();
    let folder = published(&pusher, 3 << 20);
    let push = |taker: &Taker| pusher.refused(&["push", name(&folder), "--to", &taker.ticket], 1);
    let why = push(&Taker::new(Some(&pusher), "0"));
    assert!(why.contains("takes no models") && why.contains("--take-models"), "{why}");
    let why = push(&Taker::new(None, "1000"));
    assert!(why.contains("not in the circle") && why.contains("mutirao join"), "{why}");
    let small = Taker::new(Some(&pusher), "2");
    let why = push(&small);
    assert!(why.contains("at most 2 MiB"), "{why}");
    assert!(!small.person.path(".local/share/mutirao/pulling").exists(), "nothing came");
    assert!(pusher.refused(&["push", "village", "--to", "abcd"], 1).contains("no ticket"));
    assert!(pusher.refused(&["push", "lhama", "--to", &small.ticket], 1).contains("mutirao ls"));
}

#[test]
fn a_push_that_is_killed_goes_on_where_it_was_and_the_model_answers_there() {
    let pusher = Person::new();
    let folder = published(&pusher, BYTES);
    let taker = Taker::new(Some(&pusher), "1000");
    let words = ["push", name(&folder), "--to", &taker.ticket];
    let pulling = taker.person.path(".local/share/mutirao/pulling");
    pusher.killed(&words, || size_of(&pulling) >= 24 << 20);
    assert!(!taker.person.json(&["ls"]).to_string().contains("published"), "half a model is none");

    pusher.json(&["join", &taker.ticket]);
    let key = pusher.json(&["status"])["circle"][0].as_str().expect("a key").to_owned();
    let again = ["push", name(&folder), "--to", &key[..8]];
    let began = Instant::now();
    let brought = loop {
        // The one that was killed holds the place until its silence is noticed.
        let output = pusher.run(&[&again[..], &["--json"]].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said: serde_json::Value =
            serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
        if output.status.success() {
            break said;
        }
        assert!(began.elapsed() < Duration::from_secs(40), "{said}");
        std::thread::sleep(Duration::from_millis(300));
    };
    let fetched = brought["fetched"].as_u64().expect("a count");
    assert!(fetched + (8 << 20) < BYTES as u64, "{fetched} bytes travelled again");
    assert_eq!(brought["name"], "published");
    let said = taker.person.json(&["run", "published", "What is 17 + 25?"]);
    assert_eq!(said["answer"], "17 + 25 = 42");
    assert!(pusher.refused(&again, 1).contains("is here already"));
}
