//! What was read for one caller serves that caller's next question, and nobody else's.

use super::*;
use mutirao_wire::Amount;
use std::sync::OnceLock;

/// A house with two keys besides the owner's.
struct Shared {
    house: House,
    keys: [String; 3],
}

impl Shared {
    fn new() -> Self {
        let node = OnceLock::new();
        let house = House::with_node(None, |_| {}, |it| node.set(it).expect("one house"));
        let node: Arc<Node> = node.into_inner().expect("the node of the house");
        let key = |name: &str| node.add_caller(name, Amount::ZERO).expect("a key");
        Self { house, keys: [TOKEN.to_owned(), key("ana"), key("rui")] }
    }

    /// Asks by one of the keys; tokens of the prompt, and how many of them were still there.
    async fn asks(&self, key: usize, content: &str) -> (u64, u64) {
        let mut body = question(content);
        body["max_tokens"] = 2.into();
        let key = format!("Bearer {}", self.keys[key]);
        let headers = [("authorization", key.as_str())];
        let request = asked("POST", "/v1/chat/completions", &headers, &body.to_string());
        let (status, said) = read(self.house.send(request).await).await;
        assert_eq!(status, StatusCode::OK, "{said}");
        let usage = &said["usage"];
        let cached = &usage["prompt_tokens_details"]["cached_tokens"];
        (usage["prompt_tokens"].as_u64().expect("a count"), cached.as_u64().expect("a count"))
    }
}

/// A prompt of a few hundred tokens.
fn long(first: &str) -> String {
    let sentence = |n: usize| format!("Ana walks to the river with {} apples. ", n * 37 % 98);
    first.to_owned() + &(0..30).map(sentence).collect::<String>()
}

#[tokio::test]
async fn nobody_finds_what_was_read_for_another_key() {
    let shared = Shared::new();
    for asker in 0..3 {
        let prompt = long(&format!("Of caller {asker}. "));
        let (tokens, cached) = shared.asks(asker, &prompt).await;
        assert!(tokens > 300 && cached < 40, "{cached} of {tokens} were there before");
        for other in (0..3).filter(|other| *other != asker) {
            let (_, cached) = shared.asks(other, &prompt).await;
            assert!(cached < 40, "{other} found {cached} tokens that {asker} asked");
        }
        let (tokens, cached) = shared.asks(asker, &prompt).await;
        assert!(cached + 1 >= tokens - 1, "{asker} found {cached} of its own {tokens}");
    }
}

#[tokio::test]
async fn the_second_turn_of_a_conversation_reads_what_is_new() {
    let shared = Shared::new();
    let first = long("A long first turn. ");
    shared.asks(0, &first).await;
    let (tokens, cached) = shared.asks(0, &(first.clone() + "And what then?")).await;
    assert!(cached * 10 > tokens * 9, "{cached} of {tokens}");
}
