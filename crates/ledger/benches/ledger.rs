//! What the ledger costs on one core: a hidden transfer of two notes to two, the close of a channel
//! with two royalties, vouchers, a scan, and beside them in the same run a plain transfer, two
//! ed25519 signatures.
//!
//! `cargo bench -p mutirao-ledger --features testing --bench ledger`
//!
//! Each line is the median of interleaved rounds, so other work on the machine hits all alike.
#![expect(
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "a program that measures and prints"
)]

use mutirao_ledger::build;
use mutirao_ledger::cell::channel::{Drawn, Voucher, voucher};
use mutirao_ledger::curve::Point;
use mutirao_ledger::examine::{self, Resolved};
use mutirao_ledger::key::Seed;
use mutirao_ledger::note::NoteIndex;
use mutirao_ledger::scan::{CompactTx, Scanner};
use mutirao_ledger::testing::{Bank, Seeded, Shop};
use mutirao_wire::key::Purpose;
use mutirao_wire::{Amount, Decode, Digest, Encode, SigningKey};
use std::time::Instant;

const ROUNDS: usize = 21;
const BATCH: usize = 256;
/// Closes of channels checked together.
const CLOSES: usize = 64;

/// A measured thing: its name, how many there are in one go, and what a go does.
struct Line<'a> {
    name: &'static str,
    count: usize,
    go: Box<dyn FnMut() + 'a>,
    micros: Vec<f64>,
}

impl<'a> Line<'a> {
    fn new(name: &'static str, count: usize, go: impl FnMut() + 'a) -> Self {
        Self { name, count, go: Box::new(go), micros: Vec::new() }
    }

    fn round(&mut self) {
        let start = Instant::now();
        (self.go)();
        self.micros.push(start.elapsed().as_secs_f64() * 1e6 / self.count as f64);
    }

    fn print(&mut self) {
        self.micros.sort_by(f64::total_cmp);
        let median = self.micros[self.micros.len() / 2];
        let (name, rate) = (self.name, 1e6 / median);
        println!("{name:<40} {median:>10.1} µs {rate:>10.0} /s   best {:.1} µs", self.micros[0]);
    }
}

/// A close with two royalties, and vouchers: drawn, taken one by one, checked together.
fn paid(shop: &Shop) -> Vec<Line<'_>> {
    let resolved: Vec<Resolved> = (0..CLOSES).map(|at| shop.resolved(at)).collect();
    let mut rng = Seeded::new(9);
    let usage = Digest([5; 32]);
    let mut drawer = shop.drawer(0);
    let drawn: Vec<Drawn> =
        (0..CLOSES).map(|_| drawer.draw(Amount(1), usage, &mut rng).expect("covered")).collect();
    let key = shop.holder(0).voucher_key();
    let chain = shop.bank.rules.chain;
    let vouchers = drawn.clone();
    let draw = move || {
        let mut drawer = shop.drawer(0);
        for _ in 0..CLOSES {
            std::hint::black_box(drawer.draw(Amount(1), usage, &mut rng).expect("covered"));
        }
    };
    let take = move || {
        let mut holder = shop.holder(0);
        for voucher in &drawn {
            holder.accept(voucher.clone()).expect("a good voucher");
        }
    };
    let together = move || {
        let all: Vec<(&Voucher, Point)> =
            vouchers.iter().map(|drawn| (&drawn.voucher, key)).collect();
        assert!(voucher::verify(&chain, &all));
    };
    let verify = move |count: usize| {
        let all: Vec<&Resolved> = resolved.iter().take(count).collect();
        assert!(examine::verify(&all));
    };
    let (one, many) = (verify.clone(), verify);
    vec![
        Line::new("channel close, 2 royalties, build", 1, || drop(shop.close(0))),
        Line::new("channel close, 2 royalties, verify alone", 1, move || one(1)),
        Line::new("channel close, 2 royalties, verify in 64", CLOSES, move || many(CLOSES)),
        Line::new("voucher, draw", CLOSES, draw),
        Line::new("voucher, accept", CLOSES, take),
        Line::new("voucher, signatures of 64 together", CLOSES, together),
    ]
}

fn main() {
    let bank = Bank::new(2 * BATCH as u64);
    let wish = bank.wish(0);
    let mut rng = Seeded::new(9);
    let resolved: Vec<Resolved> = (0..BATCH).map(|at| bank.resolved(at)).collect();
    let all: Vec<&Resolved> = resolved.iter().collect();
    let one = bank.transfer(0);
    println!("a transfer of two notes to two has {} bytes", one.to_bytes().len());

    let shop = Shop::new(CLOSES);
    println!("a close with two royalties has {} bytes", shop.close(0).to_bytes().len());

    let key = SigningKey::from_secret(&[7; 32]);
    let message = one.body.to_bytes();
    let sign = || key.sign(Purpose::Offer, &message);
    let (signature, public) = (sign(), key.peer_key());
    let plain = || assert!(public.verifies(Purpose::Offer, &message, &signature));

    let records: Vec<Vec<u8>> =
        (0..64).map(|at| CompactTx::new(&bank.transfer(at), NoteIndex(0)).to_bytes()).collect();
    let stranger = Scanner::new(Seed::new(&[5; 64]).account(0).receive_key(), 100);
    let scan = || {
        let read = |bytes: &Vec<u8>| CompactTx::from_bytes(bytes).expect("a record");
        let stream: Vec<CompactTx> = records.iter().map(read).collect();
        assert!(stranger.scan(&stream).is_empty());
    };

    let mut lines = paid(&shop);
    lines.extend([
        Line::new("transfer 2 to 2, build and prove", 1, || {
            let (rules, state) = (&bank.rules, &bank.state);
            build::build(&bank.keys, rules, &wish, state, bank.height, &mut rng).expect("built");
        }),
        Line::new("transfer 2 to 2, verify alone", 1, || assert!(examine::verify(&all[..1]))),
        Line::new("transfer 2 to 2, verify in 16", 16, || assert!(examine::verify(&all[..16]))),
        Line::new("transfer 2 to 2, verify in 256", BATCH, || assert!(examine::verify(&all))),
        Line::new("scan, transactions of others", records.len(), scan),
        Line::new("plain transfer, two signatures, sign", 1, || {
            std::hint::black_box((sign(), sign()));
        }),
        Line::new("plain transfer, two signatures, verify", 1, || {
            plain();
            plain();
        }),
    ]);
    for _ in 0..ROUNDS {
        lines.iter_mut().for_each(Line::round);
    }
    lines.iter_mut().for_each(Line::print);
}
