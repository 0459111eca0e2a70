//! The line before the door: whose turn it is, and what memory has to do with it.

use super::*;
use mutirao_wire::Amount;
use std::sync::{Mutex, OnceLock};

/// What the door counts under this name.
async fn counted(house: &House, name: &str) -> u64 {
    let text = house.get("/metrics").await.1;
    let text = text.as_str().expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("mutirao_{name} ")));
    line.and_then(|count| count.parse().ok()).expect("it is counted")
}

/// Waits until so many wait.
async fn lined_up(house: &House, wanted: u64) {
    for turn in 0.. {
        if counted(house, "num_requests_waiting").await == wanted {
            return;
        }
        assert!(turn < 500, "there are never {wanted} in the line");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_key_that_asks_once_waits_for_one_of_the_owners_questions_and_not_for_all() {
    let node = OnceLock::new();
    let house = House::with_node(
        None,
        |config| (config.capacity, config.pace) = (1, 200),
        |it| node.set(it).expect("one house"),
    );
    let node: Arc<Node> = node.into_inner().expect("the node of the house");
    let key = format!("Bearer {}", node.add_caller("ana", Amount::ZERO).expect("a key"));
    let owners = format!("Bearer {TOKEN}");
    let done = Mutex::new(Vec::new());
    let asks = async |whose: &str, key: &str, line: u64| {
        lined_up(&house, line).await;
        let body = question("What is 17 + 25?").to_string();
        let request = asked("POST", "/v1/chat/completions", &[("authorization", key)], &body);
        assert_eq!(house.send(request).await.status(), StatusCode::OK);
        done.lock().expect("nobody panicked").push(whose.to_owned());
    };
    let first = begun(&house).await;
    let hangs_up = async {
        lined_up(&house, 4).await;
        drop(first);
    };
    tokio::join!(
        asks("owner 1", &owners, 0),
        asks("owner 2", &owners, 1),
        asks("owner 3", &owners, 2),
        asks("ana", &key, 3),
        hangs_up,
    );
    assert_eq!(done.into_inner().expect("done"), ["owner 1", "ana", "owner 2", "owner 3"]);
}

/// Of three that want more than half of the memory each, two wait before the door, and do not
/// knock at the engine again and again.
#[tokio::test]
async fn whoever_wants_more_memory_than_is_free_waits_for_it_in_the_line() {
    let house = House::new(|config| {
        (config.capacity, config.kv_cache, config.pace) = (4, 2, 50);
    });
    let first = begun(&house).await;
    let begins = async || begun(&house).await.status();
    let hangs_up = async {
        lined_up(&house, 2).await;
        assert_eq!(counted(&house, "num_requests_running").await, 1);
        drop(first);
    };
    let (second, third, ()) = tokio::join!(begins(), begins(), hangs_up);
    assert_eq!((second, third), (StatusCode::OK, StatusCode::OK));
}
