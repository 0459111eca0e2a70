//! Writes the golden vectors of the engine into `vectors/engine`; `docs/spec/engine.md` describes
//! them. What they hold may only change with the op set: read the difference before committing it.
//!
//! `cargo run --release -p mutirao-engine --example make_vectors`
#![allow(clippy::print_stdout)]

#[path = "../tests/it/golden.rs"]
mod golden;

use mutirao_engine::Kernels;
use std::path::Path;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/engine");
    std::fs::create_dir_all(&folder).expect("a folder for the vectors");
    let mut files = golden::files(Kernels::detect());
    let village = golden::village::answers(&golden::village::model(), Kernels::detect());
    files.push(("village_answers.json", village));
    for (name, text) in files {
        std::fs::write(folder.join(name), &text).expect("a file that can be written");
        println!("{name}: {} bytes", text.len());
    }
}
