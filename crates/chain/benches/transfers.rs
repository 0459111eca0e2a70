//! How many transfers a second one machine verifies and stores for good: a keeper with as many
//! threads as are named, and as many askers as it takes to keep it busy.
//!
//! `cargo bench -p mutirao-chain --bench transfers [-- TRANSFERS [THREADS]]`
//!
//! The transfers are made before, two notes made of one, each for somebody else. A run begins with
//! the first submission and ends when the last one is acknowledged: its block is on disk. Three
//! runs, each on a ledger of its own; what one costs by the processor's time stands beside it.
#![expect(clippy::print_stdout, reason = "a program that measures and prints")]

use mutirao_chain::testing::{Payer, Town};
use mutirao_chain::{Chain, Chance, Keeper, Pace, audit};
use mutirao_ledger::rules::Height;
use mutirao_ledger::service::{Answer, Question};
use mutirao_ledger::tx::Transaction;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

const TRANSFERS: usize = 3_000;
const THREADS: usize = 2;
const RUNS: usize = 3;
/// Submissions that wait for their block at once.
const OPEN: usize = 1_000;

/// Answers that are still to come.
#[derive(Default)]
struct Open {
    count: Mutex<usize>,
    fewer: Condvar,
}

impl Open {
    fn enter(&self) {
        let count = self.count.lock().expect("nobody panicked");
        let mut count =
            self.fewer.wait_while(count, |count| *count >= OPEN).expect("nobody panicked");
        *count += 1;
    }

    fn leave(&self) {
        *self.count.lock().expect("nobody panicked") -= 1;
        self.fewer.notify_all();
    }

    fn wait(&self) {
        let count = self.count.lock().expect("nobody panicked");
        drop(self.fewer.wait_while(count, |count| *count > 0).expect("nobody panicked"));
    }
}

/// One run on a copy of the ledger; seconds by the wall and by the processor, and blocks.
fn run(source: &Path, all: &[Transaction], threads: usize) -> (f64, f64, u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |folder: &Path| mutirao_chain::Store::path(folder);
    std::fs::copy(file(source), file(folder.path())).expect("copied");
    let chain = Chain::open(folder.path(), threads, Chance::new(&[4; 32])).expect("opened");
    let before = chain.stand().tip.height.0;
    let keeper = Keeper::start(chain, Arc::new(|| 9_000), Pace::default()).expect("started");
    let open = Arc::new(Open::default());
    let (start, processor) = (Instant::now(), processor_seconds());
    for tx in all.iter().cloned() {
        open.enter();
        let (open, id) = (open.clone(), tx.id());
        keeper.ask_then(Question::Submit(Box::new(tx)), move |answer| {
            assert_eq!(answer, Answer::Accepted(id));
            open.leave();
        });
    }
    open.wait();
    let (wall, processor) = (start.elapsed().as_secs_f64(), processor_seconds() - processor);
    let blocks = keeper.store().stand().expect("read").tip.height.0 - before;
    audit::of_store(keeper.store()).expect("exact");
    (wall, processor, blocks)
}

/// Seconds that this process has kept a processor busy.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|it| it.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|it| it.parse().ok()).collect();
    let count = numbers.first().copied().unwrap_or(TRANSFERS);
    let threads = numbers.get(1).copied().unwrap_or(THREADS);
    let (mut chain, _, folder) = Town::new(0).part();
    let start = Instant::now();
    let mut payer = Payer::new(&mut chain, count);
    let all: Vec<Transaction> =
        (0..count).map(|note| payer.transfer(note, Height(1_000_000))).collect();
    drop(chain);
    let made = start.elapsed();
    println!("{count} transfers made in {:.1} s; {threads} threads", made.as_secs_f64());
    for number in 1..=RUNS {
        std::thread::sleep(Duration::from_millis(200));
        let (wall, processor, blocks) = run(folder.path(), &all, threads);
        let (rate, each) = (count as f64 / wall, processor * 1e6 / count as f64);
        println!(
            "run {number}: {rate:>7.0} transfers/s verified and durable, {blocks} blocks, \
             {each:.0} µs of processor each, {:.0} transfers/s of a processor",
            1e6 / each
        );
    }
}
