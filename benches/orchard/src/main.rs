//! A hidden transfer of two notes to two, beside an Orchard bundle of two actions and a plain
//! transfer of two ed25519 signatures, in one run on one core.
//!
//! ```sh
//! cargo run --release --manifest-path benches/orchard/Cargo.toml \
//!     --target-dir target/bench-orchard
//! ```
//!
//! Each line is the median of interleaved rounds, so other work on the machine hits all alike.
#![forbid(unsafe_code)]

use anyhow::anyhow;
use mutirao_ledger::build;
use mutirao_ledger::examine::{self, Resolved};
use mutirao_ledger::key::Seed;
use mutirao_ledger::note::NoteIndex;
use mutirao_ledger::scan::{CompactTx, Scanner};
use mutirao_ledger::testing::{Bank, Seeded};
use mutirao_wire::key::Purpose;
use mutirao_wire::{Encode, SigningKey};
use orchard::builder::{Builder, BundleType, InProgress, Unauthorized, Unproven};
use orchard::bundle::{Authorized, BatchValidator, BundleVersion};
use orchard::circuit::{OrchardCircuitVersion, ProvingKey, VerifyingKey};
use orchard::keys::{FullViewingKey, Scope, SpendingKey};
use orchard::value::NoteValue;
use orchard::{Anchor, Bundle};
use std::time::Instant;

const ROUNDS: usize = 5;
const BATCH: usize = 256;
/// Orchard bundles verified together: more of them would take minutes to prove.
const BUNDLES: usize = 4;

fn main() -> anyhow::Result<()> {
    let (mut rng, message) = (Seeded::new(9), [7; 32]);
    let circuit = OrchardCircuitVersion::FixedPostNu6_2;
    let (proving, verifying) = (ProvingKey::build(circuit), VerifyingKey::build(circuit));
    let bundles = (0..BUNDLES).map(|_| signed(&proving, &mut rng));
    let bundles = bundles.collect::<anyhow::Result<Vec<_>>>()?;

    let bank = Bank::new(2 * BATCH as u64);
    let wish = bank.wish(0);
    let resolved: Vec<Resolved> = (0..BATCH).map(|at| bank.resolved(at)).collect();
    let all: Vec<&Resolved> = resolved.iter().collect();
    let stream: Vec<CompactTx> =
        (0..64).map(|at| CompactTx::new(&bank.transfer(at), NoteIndex(0))).collect();
    let stranger = Scanner::new(Seed::new(&[5; 64]).account(0).receive_key(), 100);
    println!("a hidden transfer has {} bytes", bank.transfer(0).to_bytes().len());

    let key = SigningKey::from_secret(&[7; 32]);
    let (signature, public) = (key.sign(Purpose::Offer, &message), key.peer_key());
    let (mut first, mut second) = (Seeded::new(1), Seeded::new(2));
    let mut lines = [
        Line::new("Orchard, two actions: prove", 1, || {
            signed(&proving, &mut first).expect("a bundle");
        }),
        Line::new("ours, two to two: build and prove", 1, || {
            let (rules, state) = (&bank.rules, &bank.state);
            build::build(&bank.keys, rules, &wish, state, bank.height, &mut second).expect("built");
        }),
        Line::new("Orchard, two actions: verify alone", 1, || {
            assert!(is_valid(&bundles[..1], &verifying));
        }),
        Line::new("ours, two to two: verify alone", 1, || assert!(examine::verify(&all[..1]))),
        Line::new("Orchard, two actions: verify in 4", BUNDLES, || {
            assert!(is_valid(&bundles, &verifying));
        }),
        Line::new("ours, two to two: verify in 4", 4, || assert!(examine::verify(&all[..4]))),
        Line::new("ours, two to two: verify in 256", BATCH, || assert!(examine::verify(&all))),
        Line::new("ours: scan, transactions of others", stream.len(), || {
            assert!(stranger.scan(&stream).is_empty());
        }),
        Line::new("plain transfer, two signatures: sign", 2, || {
            for _ in 0..4 {
                std::hint::black_box(key.sign(Purpose::Offer, &message));
            }
        }),
        Line::new("plain transfer, two signatures: verify", 2, || {
            (0..4).for_each(|_| assert!(public.verifies(Purpose::Offer, &message, &signature)));
        }),
    ];
    for _ in 0..ROUNDS {
        lines.iter_mut().for_each(Line::round);
    }
    lines.iter_mut().for_each(Line::print);
    Ok(())
}

/// A bundle of two actions, proven and signed: two outputs, and spends of nothing beside them.
fn signed(key: &ProvingKey, rng: &mut Seeded) -> anyhow::Result<Bundle<Authorized, i64>> {
    let proven = unproven(rng)?.create_proof(key, &mut *rng).map_err(|why| anyhow!("{why:?}"))?;
    proven.apply_signatures(rng, [0; 32], &[]).map_err(|why| anyhow!("{why:?}"))
}

type Draft = Bundle<InProgress<Unproven, Unauthorized>, i64>;

fn unproven(rng: &mut Seeded) -> anyhow::Result<Draft> {
    let version = BundleVersion::orchard_v2();
    let flags = version.default_flags();
    let anchor: Option<Anchor> = Anchor::from_bytes([0; 32]).into();
    let anchor = anchor.ok_or_else(|| anyhow!("no anchor"))?;
    let key: Option<SpendingKey> = SpendingKey::from_bytes([7; 32]).into();
    let key = key.ok_or_else(|| anyhow!("no key"))?;
    let payee = FullViewingKey::from(&key).address_at(0u32, Scope::External);
    let mut builder = Builder::new(BundleType::DEFAULT, version, flags, anchor)
        .map_err(|why| anyhow!("{why:?}"))?;
    for _ in 0..2 {
        let value = NoteValue::from_raw(10);
        builder.add_output(None, payee, value, [0; 512]).map_err(|why| anyhow!("{why:?}"))?;
    }
    let built = builder.build(rng).map_err(|why| anyhow!("{why:?}"))?;
    Ok(built.ok_or_else(|| anyhow!("a bundle"))?.0)
}

/// Proofs and signatures of all.
fn is_valid(bundles: &[Bundle<Authorized, i64>], key: &VerifyingKey) -> bool {
    let mut batch = BatchValidator::new(key);
    bundles.iter().all(|bundle| batch.add_bundle(bundle, [0; 32]).is_ok())
        && batch.validate(Seeded::new(3))
}

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
        let (name, rate, best) = (self.name, 1e6 / median, self.micros[0]);
        println!("{name:<40} {median:>12.1} µs {rate:>10.1} /s   best {best:.1} µs");
    }
}
