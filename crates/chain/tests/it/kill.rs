//! Killed at random moments, again and again, while it takes in transactions.
//!
//! The test starts itself as a child that keeps a ledger and submits what is in a file, one line
//! on its standard output for each acknowledgement. The parent kills it with the signal that
//! nobody can catch, opens what is left, and holds it against every acknowledgement that it heard.

use mutirao_chain::testing::{Payer, Town, seeded};
use mutirao_chain::{Chain, Keeper, Pace, Store, audit};
use mutirao_ledger::rules::Height;
use mutirao_ledger::service::{Answer, Question};
use mutirao_ledger::tx::{Transaction, TxId};
use mutirao_wire::{Decode, Digest, Encode};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Names the folder of the ledger that the child keeps.
const FOLDER: &str = "MUTIRAO_TEST_KILLED_LEDGER";

/// What the child does, until it is killed: only where the parent below has named a folder.
fn child(folder: &Path) {
    let chain = Chain::open(folder, 2, seeded(std::process::id().into())).expect("it reopens");
    let all = read_all(&folder.join("transactions"));
    let store = chain.store().clone();
    let left = all.into_iter().filter(|tx| store.place(&tx.id()).expect("read").is_none());
    let left: Vec<Transaction> = left.collect();
    drop(store);
    let pace = Pace { gather: Duration::from_millis(5), ..Pace::default() };
    let keeper = Arc::new(Keeper::start(chain, Arc::new(|| 7_000), pace).expect("started"));
    let out = Mutex::new(std::io::stdout());
    let next = Mutex::new(left.into_iter());
    let work = || {
        loop {
            let Some(tx) = next.lock().expect("nobody panicked").next() else { return };
            let id = tx.id();
            let answer = keeper.ask(Question::Submit(Box::new(tx)));
            assert_eq!(answer, Answer::Accepted(id));
            let mut out = out.lock().expect("nobody panicked");
            writeln!(out, "ack {}", id.0.hex()).and_then(|()| out.flush()).expect("said");
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(work);
        }
    });
    let mut out = out.lock().expect("nobody panicked");
    writeln!(out, "done").and_then(|()| out.flush()).expect("said");
}

fn write_all(path: &Path, all: &[Transaction]) {
    let mut bytes = Vec::new();
    for tx in all {
        let encoded = tx.to_bytes();
        (encoded.len() as u64).encode(&mut bytes);
        bytes.extend(encoded);
    }
    std::fs::write(path, bytes).expect("written");
}

fn read_all(path: &Path) -> Vec<Transaction> {
    let bytes = std::fs::read(path).expect("read");
    let (mut rest, mut all) = (&bytes[..], Vec::new());
    while let Some((length, after)) = rest.split_at_checked(8) {
        let length = u64::from_bytes(length).expect("a length") as usize;
        all.push(Transaction::from_bytes(&after[..length]).expect("a transaction"));
        rest = &after[length..];
    }
    all
}

/// Starts the child; what it acknowledges is gathered as it is said.
fn start(folder: &Path, acknowledged: &Arc<Mutex<Heard>>) -> (Child, std::thread::JoinHandle<()>) {
    let own = std::env::current_exe().expect("a test has a file");
    let words = ["kill::no_kill_loses_what_was_acknowledged", "--exact", "--nocapture"];
    let mut command = Command::new(own);
    command.args(words).env(FOLDER, folder).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("started");
    let out = child.stdout.take().expect("a pipe");
    let heard = acknowledged.clone();
    let listening = std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let mut heard = heard.lock().expect("nobody panicked");
            if let Some(id) = line.split("ack ").nth(1) {
                heard.ids.insert(TxId(Digest::from_hex(id.trim()).expect("an id")));
            }
            heard.done |= line.contains("done");
        }
    });
    (child, listening)
}

#[derive(Default)]
struct Heard {
    ids: BTreeSet<TxId>,
    done: bool,
}

/// What is left after a kill: it opens, every acknowledged transaction is in it once, and its
/// blocks lead to its root.
fn check(folder: &Path, heard: &BTreeSet<TxId>, thoroughly: bool) -> u64 {
    let store = Store::open(folder).expect("it reopens after a kill");
    for id in heard {
        let place = store.place(id).expect("read");
        assert!(place.is_some(), "{id} was acknowledged and is lost");
    }
    let mut seen = BTreeSet::new();
    let last = store.stand().expect("read").tip.height;
    for height in 1..=last.0 {
        let block = store.block(Height(height)).expect("read").expect("no block is missing");
        for tx in &block.transactions {
            assert!(seen.insert(tx.id()), "{} was applied twice", tx.id());
        }
    }
    assert!(heard.is_subset(&seen));
    if thoroughly {
        audit::both(&store).expect("the root is that of a replay, the supply exact");
    } else {
        audit::of_store(&store).expect("the members are those of the root, the supply exact");
    }
    last.0
}

fn prepare(count: usize) -> (tempfile::TempDir, PathBuf) {
    let town = Town::new(0);
    let (mut chain, _, folder) = town.part();
    let mut payer = Payer::new(&mut chain, count);
    let all: Vec<Transaction> =
        (0..count).map(|note| payer.transfer(note, Height(1_000_000))).collect();
    drop(chain);
    write_all(&folder.path().join("transactions"), &all);
    let path = folder.path().to_owned();
    (folder, path)
}

// spec: CHAIN-4.1, CHAIN-4.2, CHAIN-6.3
#[test]
fn no_kill_loses_what_was_acknowledged() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return child(Path::new(&folder));
    }
    let slow = std::env::var_os("MUTIRAO_SLOW").is_some();
    let (count, step) = if slow { (10_000, 400) } else { (300, 40) };
    let (_folder, path) = prepare(count);
    let heard = Arc::new(Mutex::new(Heard::default()));
    let mut chance = 1_234_567u64;
    let (mut kills, mut killed_working) = (0, 0);
    loop {
        let (mut child, listening) = start(&path, &heard);
        let before = heard.lock().expect("nobody panicked").ids.len();
        // So many more acknowledgements, then some milliseconds, then the end.
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let more = (chance >> 33) as usize % step;
        let pause = Duration::from_micros((chance >> 40) % 30_000);
        while child.try_wait().expect("looked").is_none() {
            let (now, done) = {
                let heard = heard.lock().expect("nobody panicked");
                (heard.ids.len(), heard.done)
            };
            if done || now >= before + more {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(pause);
        child.kill().expect("killed");
        child.wait().expect("gone");
        listening.join().expect("heard to the end");
        let heard = heard.lock().expect("nobody panicked");
        kills += 1;
        killed_working += usize::from(!heard.done);
        check(&path, &heard.ids, heard.done);
        if heard.done {
            break;
        }
        assert!(kills < 10_000, "it does not come to an end");
    }
    let heard = heard.lock().expect("nobody panicked");
    let store = Store::open(&path).expect("it reopens");
    let all = read_all(&path.join("transactions"));
    assert_eq!(all.len(), count);
    assert!(all.iter().all(|tx| store.place(&tx.id()).expect("read").is_some()));
    assert!(heard.ids.len() <= count);
    assert!(killed_working >= 3, "killed in the middle of work only {killed_working} times");
}
