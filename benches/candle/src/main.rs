//! Times prefill and decode of a GGUF model with candle, by the wall and by the processor.
//!
//! ```text
//! candle MODEL PREFILL... DECODE       one line of JSON a measurement; RAYON_NUM_THREADS threads
//! ```
#![forbid(unsafe_code)]

#[path = "../../src/clock.rs"]
mod clock;

use anyhow::Context as _;
use candle_core::quantized::gguf_file::Content;
use candle_core::{Device, Tensor};
use candle_transformers::models::quantized_llama::ModelWeights;
use clock::{Seconds, time};
use std::fs::File;
use std::io::BufReader;

const VOCABULARY: u32 = 32_000;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [path, prefills @ .., decode] = words.as_slice() else {
        anyhow::bail!("candle MODEL PREFILL... DECODE")
    };
    let (model, seconds) = time(|| open(path));
    let mut model = model?;
    report("open", 0, seconds);
    feed(&mut model, 8, 0)?;
    let mut position = 0;
    for tokens in prefills {
        let tokens: usize = tokens.parse()?;
        let (fed, seconds) = time(|| feed(&mut model, tokens, 0));
        fed?;
        report("prefill", tokens, seconds);
        position = tokens;
    }
    let tokens: usize = decode.parse()?;
    let steps = || (0..tokens).try_for_each(|step| feed(&mut model, 1, position + step));
    let (fed, seconds) = time(steps);
    fed?;
    report("decode", tokens, seconds);
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.trim().strip_suffix("kB")).context("VmHWM")?;
    println!("{{\"what\":\"peak\",\"megabytes\":{}}}", kilobytes.trim().parse::<u64>()? / 1000);
    Ok(())
}

fn open(path: &str) -> anyhow::Result<ModelWeights> {
    let mut file = BufReader::new(File::open(path).with_context(|| path.to_owned())?);
    let content = Content::read(&mut file)?;
    Ok(ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?)
}

/// Reads so many tokens from a position on; at 0 it forgets what came before.
fn feed(model: &mut ModelWeights, tokens: usize, position: usize) -> anyhow::Result<()> {
    let spread = |at: usize| (at as u32).wrapping_mul(2_654_435_761) % VOCABULARY;
    let words: Vec<u32> = (position..position + tokens).map(spread).collect();
    let input = Tensor::new(words, &Device::Cpu)?.unsqueeze(0)?;
    model.forward(&input, position)?;
    Ok(())
}

fn report(what: &str, tokens: usize, Seconds { wall, processor }: Seconds) {
    println!(
        "{{\"what\":\"{what}\",\"tokens\":{tokens},\"wall\":{wall},\"processor\":{processor}}}"
    );
}
