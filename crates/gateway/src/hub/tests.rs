//! A hub on loopback that hands out files as the real one does, and some that it should not.

use super::*;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, Response as Answer};
use axum::routing::get;
use futures_util::{StreamExt, stream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// How the hub behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Honest,
    /// Breaks off every answer after a third of the file.
    Brittle,
    /// Knows nothing of ranges.
    Simple,
    /// Hands out other bytes.
    False,
    /// Wants a token.
    Closed,
}

struct Shelf {
    kind: Kind,
    content: Vec<u8>,
    asked: AtomicUsize,
    ranges: Mutex<Vec<Option<String>>>,
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn tree(State(shelf): State<Arc<Shelf>>) -> String {
    let oid = sha256(&shelf.content);
    let size = shelf.content.len();
    serde_json::json!([
        { "type": "file", "oid": "ab".repeat(20), "size": 2, "path": "config.json" },
        { "type": "file", "oid": "cd".repeat(20), "size": 130, "path": "model.safetensors",
          "lfs": { "oid": oid, "size": size, "pointerSize": 130 } },
        { "type": "directory", "oid": "ef".repeat(20), "size": 0, "path": "onnx" },
        { "type": "file", "oid": "ef".repeat(20), "size": 1, "path": "../evil" },
    ])
    .to_string()
}

async fn resolve(
    State(shelf): State<Arc<Shelf>>,
    UrlPath((_, _, commit, path)): UrlPath<(String, String, String, String)>,
    headers: HeaderMap,
) -> Answer<Body> {
    assert_eq!(commit, COMMIT);
    let answer = Answer::builder();
    let range = headers.get("range").and_then(|range| range.to_str().ok()).map(str::to_owned);
    shelf.ranges.lock().expect("unbroken").push(range.clone());
    shelf.asked.fetch_add(1, Ordering::SeqCst);
    if shelf.kind == Kind::Closed && headers.get("authorization").is_none_or(|it| it != "Bearer me")
    {
        return answer.status(401).body(Body::empty()).expect("an answer");
    }
    if path == "config.json" {
        return answer.body(Body::from("{}")).expect("an answer");
    }
    let mut content = shelf.content.clone();
    if shelf.kind == Kind::False {
        content[7] ^= 1;
    }
    let from = range.filter(|_| shelf.kind != Kind::Simple);
    let from = from.map(|range| range["bytes=".len()..range.len() - 1].parse().expect("a place"));
    let start: usize = from.unwrap_or(0);
    let mut answer = answer.status(if from.is_some() { 206 } else { 200 });
    if from.is_some() {
        let all = content.len();
        answer = answer.header("content-range", format!("bytes {start}-{}/{all}", all - 1));
    }
    let rest = content.split_off(start);
    if shelf.kind != Kind::Brittle {
        return answer.body(Body::from(rest)).expect("an answer");
    }
    let part = rest[..rest.len().min(shelf.content.len() / 3 + 1)].to_vec();
    let broken = part.len() < rest.len();
    let mut pieces = vec![Ok(part)];
    if broken {
        pieces.push(Err(std::io::Error::other("the line broke")));
    }
    // What was sent before the line breaks is under way by then.
    let pieces = stream::iter(pieces).then(|piece: Result<Vec<u8>, std::io::Error>| async {
        if piece.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        piece
    });
    answer.body(Body::from_stream(pieces)).expect("an answer")
}

/// A hub, and its address.
async fn hub(kind: Kind) -> (Arc<Shelf>, String) {
    let content = (0..100_000u32).flat_map(|number| number.to_le_bytes()).collect();
    let asked = AtomicUsize::new(0);
    let shelf = Arc::new(Shelf { kind, content, asked, ranges: Mutex::default() });
    let commit = || async { format!("{{\"sha\":\"{COMMIT}\"}}") };
    let router = Router::new()
        .route("/api/models/{org}/{repo}/revision/{revision}", get(commit))
        .route("/api/models/{org}/{repo}/tree/{commit}", get(tree))
        .route("/{org}/{repo}/resolve/{commit}/{path}", get(resolve))
        .with_state(shelf.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (shelf, address)
}

/// Lists and fetches the weights into a folder that may have a part of them.
async fn fetched(
    kind: Kind,
    token: Option<&str>,
    part: &[u8],
) -> (Arc<Shelf>, Result<Vec<u8>, HubError>) {
    let (shelf, address) = hub(kind).await;
    let hub = Hub::new(&address, token.map(str::to_owned)).expect("an address");
    let (commit, files) = hub.list("org/repo", "main").await.expect("a listing");
    let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!((commit.as_str(), names), (COMMIT, vec!["config.json", "model.safetensors"]));
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("file");
    std::fs::write(&to, part).expect("written");
    let mut last = 0;
    let done = hub.fetch("org/repo", &commit, &files[1], &to, &mut |have| last = have).await;
    if done.is_ok() {
        assert_eq!(last, files[1].bytes);
    }
    (shelf, done.map(|()| std::fs::read(&to).expect("read")))
}

#[tokio::test]
async fn a_file_comes_whole_and_is_checked() {
    let (shelf, content) = fetched(Kind::Honest, None, b"").await;
    assert!(content.expect("fetched") == shelf.content);
    assert_eq!(shelf.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_there_already_is_not_asked_for_again() {
    let start: Vec<u8> = (0..25_000u32).flat_map(|number| number.to_le_bytes()).collect();
    let (shelf, content) = fetched(Kind::Honest, None, &start).await;
    assert!(content.expect("fetched") == shelf.content);
    assert_eq!(*shelf.ranges.lock().expect("unbroken"), [Some("bytes=100000-".to_owned())]);
}

#[tokio::test]
async fn a_line_that_breaks_again_and_again_is_taken_up_where_it_broke() {
    let (shelf, content) = fetched(Kind::Brittle, None, b"").await;
    assert!(content.expect("fetched") == shelf.content);
    assert!(shelf.asked.load(Ordering::SeqCst) >= 3);
}

#[tokio::test]
async fn a_hub_that_knows_no_ranges_is_read_from_the_beginning() {
    let (shelf, content) = fetched(Kind::Simple, None, &[9; 5000]).await;
    assert!(content.expect("fetched") == shelf.content);
}

#[tokio::test]
async fn bytes_that_are_not_those_of_the_digest_are_thrown_away() {
    let (_, content) = fetched(Kind::False, None, b"").await;
    let error = content.expect_err("false bytes");
    assert!(matches!(error, HubError::Damaged { .. }), "{error}");
    let (_, content) = fetched(Kind::Honest, None, &[9; 5000]).await;
    let error = content.expect_err("a false beginning");
    assert!(matches!(error, HubError::Damaged { .. }), "{error}");
    let (_, content) = fetched(Kind::Honest, None, &[9; 500_000]).await;
    let error = content.expect_err("too long a beginning");
    assert!(matches!(error, HubError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn a_closed_repository_wants_a_token() {
    let (_, content) = fetched(Kind::Closed, None, b"").await;
    let error = content.expect_err("closed").to_string();
    assert!(error.contains("HF_TOKEN"), "{error}");
    let (shelf, content) = fetched(Kind::Closed, Some("me"), b"").await;
    assert!(content.expect("opened") == shelf.content);
}

#[tokio::test]
async fn hubs_that_are_not_there_and_addresses_that_are_none_are_named() {
    let hub = Hub::new("http://127.0.0.1:9", None).expect("an address");
    let error = hub.list("org/repo", "main").await.expect_err("nobody is there").to_string();
    assert!(error.contains("127.0.0.1:9"), "{error}");
    assert!(matches!(Hub::new("huggingface.co", None), Err(HubError::Endpoint { .. })));
    let (_, address) = super::tests::hub(Kind::Honest).await;
    let hub = Hub::new(&address, None).expect("an address");
    let missing = hub.list("nobody", "main").await.expect_err("no such repository");
    assert!(matches!(missing, HubError::Missing { .. }), "{missing}");
}
