//! `mutirao wallet` as a person meets it, beside a ledger of the same home.

use super::{Person, name, texts};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

const PASSWORD: &str = "correct horse battery";

/// Somebody with a password in a file.
struct Saver {
    person: Person,
    password: PathBuf,
}

impl Saver {
    fn new() -> Self {
        let person = Person::new();
        let password = person.path("password");
        std::fs::write(&password, format!("{PASSWORD}\nnot this line\n")).expect("written");
        Self { person, password }
    }

    fn words<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        let all = [&["wallet"], words, &["--password-file", name(&self.password)]];
        all.concat()
    }

    fn json(&self, words: &[&str]) -> Value {
        self.person.json(&self.words(words))
    }

    fn run(&self, words: &[&str]) -> Output {
        self.person.run(&self.words(words))
    }

    fn refused(&self, words: &[&str], code: i32) -> String {
        self.person.refused(&self.words(words), code)
    }
}

#[test]
fn a_wallet_is_made_once_and_opens_with_its_password() {
    let ana = Saver::new();
    let why = ana.refused(&["balance", "--offline"], 1);
    assert!(why.contains("mutirao wallet new"), "{why}");
    let made = ana.json(&["new"]);
    let words = made["words"].as_str().expect("words").to_owned();
    assert_eq!(words.split(' ').count(), 24);
    let why = ana.refused(&["new"], 1);
    assert!(why.contains("holds a wallet already"), "{why}");

    let folder = ana.person.path(".local/share/mutirao/wallets/main");
    let mode = |path: PathBuf| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(folder.clone()), mode(folder.join("keys"))), (0o700, 0o600));
    let balance = ana.json(&["balance", "--offline"]);
    assert_eq!((&balance["spendable"], &balance["tier"]), (&0.into(), &"spend".into()));
    assert_eq!(ana.json(&["export", "--words"])["words"], words);

    std::fs::write(&ana.password, "incorrect horse battery").expect("written");
    let why = ana.refused(&["balance", "--offline"], 1);
    assert!(why.contains("wrong password"), "{why}");
    let asked = ana.person.refused(&["wallet", "balance"], 1);
    assert!(asked.contains("--password-file"), "{asked}");
    let why = ana.refused(&["balance", "--wallet", "../main"], 1);
    assert!(why.contains("letters, digits"), "{why}");
}

#[test]
fn damaged_files_are_clear_errors() {
    let ana = Saver::new();
    ana.json(&["new"]);
    let keys = ana.person.path(".local/share/mutirao/wallets/main/keys");
    let whole = std::fs::read(&keys).expect("read");
    let mut changed = whole.clone();
    changed[80] ^= 1;
    let mut newer = whole.clone();
    newer[8] = 9;
    for (content, word) in
        [(&whole[..40], "cut short"), (&changed, "damaged"), (&newer, "version 9"), (b"x", "not a")]
    {
        std::fs::write(&keys, content).expect("written");
        let why = ana.refused(&["balance", "--offline"], 1);
        assert!(why.contains(word), "{word}: {why}");
    }
    std::fs::write(&keys, &whole).expect("written");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o644)).expect("opened up");
    let why = ana.refused(&["balance", "--offline"], 1);
    assert!(why.contains("chmod go="), "{why}");
}

#[test]
fn words_and_view_keys_make_the_same_addresses_elsewhere() {
    let (ana, shop) = (Saver::new(), Saver::new());
    let made = ana.json(&["new"]);
    let sub = ana.json(&["address", "--new"]);
    assert_eq!(sub["number"], 1);
    let file = shop.person.path("words");
    std::fs::write(&file, made["words"].as_str().expect("words")).expect("written");
    let restored = shop.json(&["restore", "--from", name(&file)]);
    assert_eq!((&restored["address"], &restored["tier"]), (&made["address"], &"spend".into()));

    let view = ana.person.path("view");
    ana.json(&["export", "--view", "receive", "--to", name(&view)]);
    let seen = shop.json(&["restore", "--from", name(&view), "--wallet", "till"]);
    assert_eq!((&seen["address"], &seen["tier"]), (&made["address"], &"receive".into()));
    let again = shop.json(&["address", "--number", "1", "--wallet", "till"]);
    assert_eq!(again["address"], sub["address"]);
    let why = shop.refused(&["export", "--words", "--wallet", "till"], 1);
    assert!(why.contains("no words"), "{why}");
    std::fs::write(&file, "abandon ability").expect("written");
    let why = shop.refused(&["restore", "--from", name(&file), "--wallet", "other"], 1);
    assert!(why.contains("2 words"), "{why}");

    let link = ana.json(&["address", "--amount", "1.5", "--memo", "três"]);
    let link = link["link"].as_str().expect("a link").to_owned();
    assert!(link.starts_with("mutirao:mutt1") && link.contains("?amount=1.500000&memo=tr"));
}

#[test]
fn without_a_ledger_it_says_how_to_reach_one() {
    let ana = Saver::new();
    let made = ana.json(&["new"]);
    let why = ana.refused(&["balance"], 1);
    assert!(why.contains("--ledger") && why.contains("mutirao chain run"), "{why}");
    let why = ana.refused(&["balance", "--ledger", "nonsense"], 1);
    assert!(why.contains("ticket"), "{why}");
    let address = made["address"].as_str().expect("an address");
    let why = ana.refused(&["send", address, "-1"], 2);
    assert!(why.contains("unexpected argument") || why.contains("-1"), "{why}");
    let why = ana.refused(&["send", address, "1,5"], 1);
    assert!(why.contains("number of tijolos"), "{why}");
    let why = ana.refused(&["send", &address.to_uppercase(), "1"], 1);
    assert!(why.contains("address"), "{why}");
    let out = ana.run(&["check"]);
    assert!(texts(&out).0.contains("--question"));
}

#[test]
fn another_password_replaces_the_first() {
    let ana = Saver::new();
    ana.json(&["new"]);
    let next = ana.person.path("next");
    std::fs::write(&next, "short").expect("written");
    let why = ana.refused(&["password", "--new-file", name(&next)], 1);
    assert!(why.contains("at least 8"), "{why}");
    std::fs::write(&next, "battery staple correct").expect("written");
    ana.json(&["password", "--new-file", name(&next)]);
    assert!(ana.refused(&["balance", "--offline"], 1).contains("wrong password"));
    std::fs::copy(&next, &ana.password).expect("copied");
    ana.json(&["balance", "--offline"]);
}

/// A ledger in a process of its own; killed when dropped.
struct Keeper {
    child: std::process::Child,
    ticket: String,
}

impl Keeper {
    fn start(person: &Person) -> Self {
        let words = ["chain", "run", "--http", "127.0.0.1:0", "--gather-ms", "10", "--json"];
        let mut command = person.command(&words);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let out = child.stdout.take().expect("a pipe");
        let line = BufReader::new(out).lines().next().expect("a line").expect("text");
        let says: Value = serde_json::from_str(&line).expect("JSON");
        Self { child, ticket: says["ticket"].as_str().expect("a ticket").to_owned() }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} in {value}"))
}

#[test]
fn money_goes_from_one_to_the_other_and_a_wallet_killed_while_it_sends_pays_once_or_not_at_all() {
    let (home, ana, rui) = (Person::new(), Saver::new(), Saver::new());
    let keeper = Keeper::start(&home);
    let address = rui.json(&["new"])["address"].as_str().expect("an address").to_owned();
    ana.json(&["new"]);
    ana.json(&["faucet", "100", "--ledger", &keeper.ticket]);
    let sent = ana.json(&["send", &address, "2.5", "--memo", "três", "--yes", "--wait", "20"]);
    assert!(sent["block"].as_u64().is_some(), "{sent}");
    let got = rui.json(&["history", "--ledger", &keeper.ticket]);
    let line = &got["history"][0];
    assert_eq!((&line["amount"], &line["memo"]), (&2_500_000.into(), &"três".into()));

    for kill_after in [40, 120, 200, 280, 360, 500] {
        let words = ana.words(&["send", &address, "1", "--yes"]);
        let mut child = ana.person.command(&words);
        let mut child =
            child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        std::thread::sleep(Duration::from_millis(kill_after));
        let _ = child.kill();
        let _ = child.wait();
    }
    let mut balance = ana.json(&["balance"]);
    for _ in 0..20 {
        if number(&balance, "leaving") == 0 {
            break;
        }
        balance = ana.json(&["balance"]);
    }
    let history = ana.json(&["history"]);
    let lines = history["history"].as_array().expect("lines");
    let done = || lines.iter().filter(|line| line["status"] == "done");
    let fees: u64 = done().map(|line| number(line, "fee")).sum();
    let paid: u64 =
        lines.iter().filter(|line| line["kind"] == "sent").map(|line| number(line, "amount")).sum();
    let came = number(&rui.json(&["balance"]), "spendable");
    assert_eq!(came, paid, "{history}");
    assert_eq!(number(&balance, "spendable") + paid + fees, 100_000_000, "{history}");
    let csv = ana.person.path("table.csv");
    ana.json(&["history", "--csv", name(&csv), "--offline"]);
    let table = std::fs::read_to_string(&csv).expect("a table");
    assert_eq!(table.lines().count(), lines.len() + 1);

    drop(keeper);
    let why = ana.refused(&["balance"], 1);
    assert!(why.contains("ledger"), "{why}");
}
