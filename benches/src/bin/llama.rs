//! What `cargo xtask bench llama` runs of ours, one process a measurement, one line of JSON each.
//!
//! ```text
//! llama model FOLDER w8|w4              a random Llama of 1.1 billion weights: ours, packed, GGUF
//! llama ours PACKED THREADS PREFILL... DECODE     opening, prefills, decode, peak memory
//! llama batch PACKED THREADS STEPS COUNT...       answers written together, so many at once
//! llama read THREADS                    bytes a second that so many threads read
//! ```
#![forbid(unsafe_code)]

use anyhow::Context as _;
use fmmap::{MmapFile, MmapFileExt as _};
use mutirao_benches::clock::{Seconds, time};
use mutirao_benches::gguf;
use mutirao_benches::pool::Threads;
use mutirao_engine::load::SinkError;
use mutirao_engine::load::format::File;
use mutirao_engine::pool::Pool;
use mutirao_engine::testing::{Dice, Recipe};
use mutirao_engine::session::{Feed, feed_together};
use mutirao_engine::{EngineError, Model, Profile, Session, Shape, pack};
use mutirao_wire::Token;
use std::hint::black_box;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

/// L16 d2048 ff8192 H32/8 V32000.
const SHAPE: Shape = Shape {
    hidden: 2048,
    layers: 16,
    heads: 32,
    kv_heads: 8,
    head_size: 64,
    inner: 8192,
    vocabulary: 32_000,
    context: 4096,
    tied: 0,
};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["model", folder, profile] => model(Path::new(folder), profile),
        ["ours", packed, threads, prefills @ .., decode] => {
            let prefills = prefills.iter().map(|tokens| Ok(tokens.parse()?));
            let prefills = prefills.collect::<anyhow::Result<Vec<usize>>>()?;
            ours(Path::new(packed), threads.parse()?, &prefills, decode.parse()?)
        }
        ["batch", packed, threads, steps, counts @ ..] => {
            let counts = counts.iter().map(|count| Ok(count.parse()?));
            let counts = counts.collect::<anyhow::Result<Vec<usize>>>()?;
            batch(Path::new(packed), threads.parse()?, steps.parse()?, &counts)
        }
        ["read", threads] => read(threads.parse()?),
        _ => anyhow::bail!("llama model|ours|batch|read; see the beginning of its source"),
    }
}

/// Writes the same weights three times; the model file of ours is only a step to the packed one.
fn model(folder: &Path, profile: &str) -> anyhow::Result<()> {
    let mut recipe = Recipe::new(1, SHAPE);
    recipe.profile = if profile == "w4" { Profile::W4 } else { Profile::W8 };
    let ours = recipe.build();
    std::fs::create_dir_all(folder)?;
    let create = |ending: &str| -> anyhow::Result<_> {
        let path = folder.join(format!("{profile}.{ending}"));
        let file = std::fs::File::create(&path).with_context(|| path.display().to_string())?;
        Ok(BufWriter::with_capacity(1 << 20, file))
    };
    let mut out = create("packed")?;
    let refused = |error: std::io::Error| SinkError(error.to_string());
    pack(&ours, &mut |bytes| out.write_all(bytes).map_err(refused))?;
    out.flush()?;
    let mut out = create("gguf")?;
    gguf::write(&File::parse(&ours)?, &mut out)?;
    Ok(out.flush()?)
}

/// A file in memory that the system reads when it is looked at.
struct Mapped(MmapFile);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

fn ours(packed: &Path, threads: usize, prefills: &[usize], decode: usize) -> anyhow::Result<()> {
    let (model, seconds) = time(|| -> anyhow::Result<_> {
        let mapped = Mapped(MmapFile::open(packed)?);
        Ok(Arc::new(Model::open_packed(Arc::new(mapped))?))
    });
    let model = model?;
    report("open", 0, seconds);
    // A step reads all weights but the embedding, of which it looks one row up.
    let looked_up = u64::from(SHAPE.vocabulary) * u64::from(SHAPE.hidden);
    let weights = std::fs::metadata(packed)?.len() - looked_up;
    println!("{{\"what\":\"weights\",\"bytes\":{weights}}}");
    let pool = Threads::new(threads)?;
    let prompt = Dice::new(2).tokens(2048, SHAPE.vocabulary);
    pool.inside(|| Session::new(model.clone()).feed(&prompt[..8], &pool))?;
    let mut last = None;
    for tokens in prefills {
        let mut session = Session::new(model.clone());
        let (fed, seconds) = time(|| pool.inside(|| session.feed(&prompt[..*tokens], &pool)));
        fed?;
        report("prefill", *tokens, seconds);
        last = Some(session);
    }
    let mut session = last.context("a prefill before the decode")?;
    let (fed, seconds) = time(|| {
        pool.inside(|| {
            prompt[..decode].iter().try_for_each(|token| session.feed(&[*token], &pool).map(|_| ()))
        })
    });
    fed?;
    report("decode", decode, seconds);
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.trim().strip_suffix("kB")).context("VmHWM")?;
    println!("{{\"what\":\"peak\",\"megabytes\":{}}}", kilobytes.trim().parse::<u64>()? / 1000);
    Ok(())
}

/// Five rounds of each count, one after the other: as many sequences of 128 tokens, then `steps`
/// tokens for each of them, one each a pass.
fn batch(packed: &Path, threads: usize, steps: usize, counts: &[usize]) -> anyhow::Result<()> {
    let mapped = Mapped(MmapFile::open(packed)?);
    let model = Arc::new(Model::open_packed(Arc::new(mapped))?);
    let pool = Threads::new(threads)?;
    for count in counts.repeat(5) {
        let read = |seed: usize| -> anyhow::Result<Session> {
            let mut session = Session::new(model.clone());
            let prompt = Dice::new(seed as u64).tokens(128, SHAPE.vocabulary);
            pool.inside(|| session.feed(&prompt, &pool))?;
            Ok(session)
        };
        let mut sessions = (0..count).map(read).collect::<anyhow::Result<Vec<_>>>()?;
        let written = Dice::new(9).tokens(steps, SHAPE.vocabulary);
        let (fed, seconds) = time(|| {
            let step = |token| pool.inside(|| together(&mut sessions, &[token], &pool));
            written.iter().copied().try_for_each(step)
        });
        fed?;
        report(&format!("batch of {count}"), count * steps, seconds);
    }
    Ok(())
}

fn together(
    sessions: &mut [Session],
    tokens: &[Token],
    pool: &dyn Pool,
) -> Result<(), EngineError> {
    let feeds = sessions.iter_mut().map(|session| Feed::new(session, tokens, 0));
    let mut look = |_, _, logits: &[i32]| {
        black_box(logits);
    };
    feed_together(&mut feeds.collect::<Vec<_>>(), pool, &mut look).into_iter().collect()
}

fn report(what: &str, tokens: usize, seconds: Seconds) {
    let Seconds { wall, processor } = seconds;
    println!(
        "{{\"what\":\"{what}\",\"tokens\":{tokens},\"wall\":{wall},\"processor\":{processor}}}"
    );
}

/// 512 MiB a thread, several sums at a time, the best of five.
fn read(threads: usize) -> anyhow::Result<()> {
    const WORDS: usize = 64 << 20;
    let pool = Threads::new(threads)?;
    let buffers = vec![vec![1u64; WORDS]; threads];
    let sum = |buffer: &Vec<u64>| {
        let mut sums = [0u64; 16];
        for words in black_box(buffer).as_chunks::<16>().0 {
            sums.iter_mut().zip(words).for_each(|(sum, word)| *sum ^= word);
        }
        black_box(sums);
    };
    let once = |_| time(|| pool.run(threads, &|thread| sum(&buffers[thread]))).1;
    let runs: Vec<Seconds> = (0..5).map(once).collect();
    let bytes = (8 * WORDS * threads) as f64;
    let best = |of: fn(&Seconds) -> f64| runs.iter().map(of).fold(f64::INFINITY, f64::min);
    println!(
        "{{\"what\":\"read\",\"tokens\":0,\"wall\":{:.6},\"processor\":{:.6}}}",
        best(|run| run.wall) * 1e9 / bytes,
        best(|run| run.processor) * 1e9 / bytes
    );
    Ok(())
}
