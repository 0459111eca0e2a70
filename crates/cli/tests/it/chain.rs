//! A ledger as a person meets it: kept, asked, audited, looked at, killed, and out of room.

use super::{Person, name, texts};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// A ledger in a process of its own; killed when dropped.
struct Ledger {
    child: Child,
    says: Value,
}

impl Ledger {
    fn start(person: &Person, words: &[&str]) -> Self {
        let usual = ["chain", "run", "--http", "127.0.0.1:0", "--gather-ms", "10", "--json"];
        let mut command = person.command(&[&usual, words].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let out = child.stdout.take().expect("a pipe");
        let line = BufReader::new(out).lines().next().expect("a line").expect("text");
        Self { child, says: serde_json::from_str(&line).expect("JSON") }
    }

    fn ticket(&self) -> &str {
        self.says["ticket"].as_str().expect("a ticket")
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_ledger_that_is_killed_is_the_same_when_it_is_kept_again() {
    let (keeper, asker) = (Person::new(), Person::new());
    let first = Ledger::start(&keeper, &[]);
    let before = asker.json(&["chain", "status", "--from", first.ticket()]);
    assert_eq!((&before["height"], &before["network"]), (&0.into(), &"test".into()));
    let words = keeper.refused(&["chain", "status"], 1);
    assert!(words.contains("another process keeps the ledger"), "{words}");
    drop(first);
    let again = Ledger::start(&keeper, &[]);
    let after = asker.json(&["chain", "status", "--from", again.ticket()]);
    assert_eq!(before, after);
}

#[test]
fn value_that_a_genesis_allots_is_there_and_everything_about_it_can_be_checked() {
    let person = Person::new();
    let genesis = person.path("genesis.toml");
    let address = frozen("address_main");
    let text = format!(
        "name = \"a street\"\nnetwork = \"main\"\nfee_unit = 10\ntill_epoch = 8\n\
         [[allotments]]\naddress = \"{address}\"\namount = 1500000\n"
    );
    std::fs::write(&genesis, text).expect("written");
    let ledger = Ledger::start(&person, &["--genesis", name(&genesis)]);
    let ticket = ledger.ticket().to_owned();
    let height = || person.json(&["chain", "status", "--from", &ticket])["height"].clone();
    while height() != 1 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let file = person.path("blocks");
    person.json(&["chain", "export", name(&file), "--from", &ticket]);
    drop(ledger);

    let audit = person.json(&["chain", "audit"]);
    assert_eq!((&audit["exact"], &audit["supply"]), (&true.into(), &1_500_000.into()));
    let from_file = person.json(&["chain", "audit", "--blocks", name(&file)]);
    assert_eq!(from_file, audit);
    let leaks = person.json(&["chain", "leaks"]);
    assert_eq!(leaks["named"], leaks["bytes"]);
    let stranger = Person::new();
    let leaks = stranger.json(&["chain", "leaks", name(&file)]);
    let size = std::fs::metadata(&file).expect("there").len();
    assert_eq!((&leaks["named"], &leaks["findings"]), (&size.into(), &serde_json::json!([])));
    let seen = stranger.run(&["chain", "outsider", name(&file), "--all"]);
    let (out, errors) = texts(&seen);
    assert!(seen.status.success(), "{errors}");
    assert!(out.contains("1 blocks, 1 transactions") && out.contains("fee 0"), "{out}");
    assert!(!out.contains(&address), "{out}");

    let snapshot = person.path("snapshot");
    let of = person.json(&["chain", "snapshot", name(&snapshot)]);
    let (chain, block) =
        (of["chain"].as_str().expect("an id"), of["block"].as_str().expect("an id"));
    let (late, wrong) = (Person::new(), "0".repeat(64));
    let restore = ["chain", "restore", name(&snapshot), "--chain", chain, "--block"];
    let words = late.refused(&[&restore[..], &[&wrong]].concat(), 1);
    assert!(words.contains("wanted is 0000"), "{words}");
    let head = late.json(&[&restore[..], &[block]].concat());
    assert_eq!(head["root"], audit["root"]);
    let words = late.refused(&["chain", "audit"], 1);
    assert!(words.contains("began with a snapshot"), "{words}");
}

/// A frozen address, that nobody has the words of.
fn frozen(named: &str) -> String {
    let frozen = include_str!("../../../../vectors/ledger/frozen.txt");
    let line = frozen.lines().find_map(|line| line.strip_prefix(named)?.strip_prefix(' '));
    line.expect("a frozen address").to_owned()
}

#[test]
fn a_file_that_was_changed_is_refused_and_says_where() {
    let person = Person::new();
    let file = person.path("blocks");
    std::fs::write(&file, b"not a file of blocks").expect("written");
    for words in [["chain", "outsider"], ["chain", "leaks"]] {
        let said = person.refused(&[&words[..], &[name(&file)]].concat(), 1);
        assert!(said.contains("no file of blocks"), "{said}");
    }
    let said = person.refused(&["chain", "audit"], 1);
    assert!(said.contains("mutirao chain run"), "{said}");
}

/// Asks the faucet of a ledger over HTTP; the status, or none when nobody answers.
fn pour(says: &Value, address: &str) -> Option<u16> {
    let host = says["http"].as_str()?.strip_prefix("http://")?;
    let token = says["api_key"].as_str()?;
    let body = serde_json::json!({ "address": address, "amount": 1_000 }).to_string();
    let mut stream = TcpStream::connect(host).ok()?;
    let request = format!(
        "POST /chain/faucet HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

/// A shell lets no file of its child grow above a bound, and lets the child hear of it.
#[test]
fn a_disk_without_room_ends_the_ledger_with_words_and_loses_nothing() {
    let person = Person::new();
    let data = person.path("data");
    drop(Ledger::start(&person, &["--data-dir", name(&data)]));
    let kib = std::fs::metadata(data.join("ledger/ledger.redb")).expect("a ledger").len() / 1024;
    let usual = "chain run --http 127.0.0.1:0 --gather-ms 10 --json --data-dir";
    let (program, folder) = (env!("CARGO_BIN_EXE_mutirao"), data.display());
    let limit = kib + 64;
    let script = format!("trap '' XFSZ; ulimit -f {limit}; exec {program} {usual} {folder}");
    let mut command = Command::new("bash");
    command.args(["-c", &script]).env("HOME", person.home.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    let says: Value = serde_json::from_str(&line).expect("JSON");
    let address = frozen("address_test");
    let mut acknowledged = 0u64;
    while pour(&says, &address) == Some(200) {
        acknowledged += 1;
        assert!(acknowledged < 5_000, "the bound is never reached");
    }
    let mut errors = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut errors).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(1), "{errors}");
    assert!(errors.contains("no room") && errors.contains("make room"), "{errors}");
    let audit = person.json(&["chain", "audit", "--data-dir", name(&data)]);
    let blocks = audit["blocks"].as_u64().expect("a number");
    assert!(acknowledged > 0 && blocks >= acknowledged, "{blocks} of {acknowledged}");
    assert_eq!(audit["supply"], blocks * 1_000);
}
