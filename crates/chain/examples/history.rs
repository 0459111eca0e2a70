//! Writes a file of blocks in which three people did that many random things: sent, split, paid
//! into a till and out of it, registered deeds and gave them away.
//!
//!     cargo run --release -p mutirao-chain --example history -- FILE STEPS [SEED]

use mutirao_chain::file;
use mutirao_chain::testing::Life;
use std::fs::File;
use std::io::{BufWriter, Write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [path, steps, rest @ ..] = &words[..] else {
        return Err("history FILE STEPS [SEED]".into());
    };
    let seed = rest.first().map_or(Ok(1), |seed| seed.parse())?;
    let life = Life::live(seed, steps.parse()?, false);
    let mut out = BufWriter::new(File::create(path)?);
    file::write(&mut out, life.store())?;
    out.flush()?;
    Ok(())
}
