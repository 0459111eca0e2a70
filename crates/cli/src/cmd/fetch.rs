//! `mutirao fetch`: a request to somebody's HTTP door, paid for when it asks for that.

use crate::args::FetchArguments;
use anyhow::Context;
use mutirao_node::Node;
use std::io::{Read, Write};
use std::process::ExitCode;

/// Bytes of a request at most.
const BODY_BYTES_MAX: u64 = 8 << 20;

/// Posts, pays, and writes what comes back to standard output as it comes.
pub fn run(node: &Node, fetch: &FetchArguments) -> anyhow::Result<ExitCode> {
    let body = body(&fetch.data)?;
    super::cells::pay_for_requests(node)?;
    let mut out = std::io::stdout();
    let mut hear = |piece: &[u8]| {
        let _ = out.write_all(piece).and_then(|()| out.flush());
    };
    let fetched = super::runtime()?.block_on(node.request(&fetch.address, &body, &mut hear))?;
    if fetched.ceiling.0 > 0 {
        let (ceiling, drawn) = (fetched.ceiling, fetched.drawn);
        // Standard output is the answer's alone.
        let _ = writeln!(std::io::stderr(), "paid: at most {ceiling}, {drawn} in new vouchers");
    }
    Ok(ExitCode::SUCCESS)
}

/// The text itself, `@file`, or `-` for standard input.
fn body(data: &str) -> anyhow::Result<Vec<u8>> {
    let read = |from: &mut dyn Read| -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        from.take(BODY_BYTES_MAX).read_to_end(&mut body)?;
        Ok(body)
    };
    match data.strip_prefix('@') {
        Some(path) => {
            let mut file = std::fs::File::open(path).with_context(|| path.to_owned())?;
            read(&mut file).with_context(|| path.to_owned())
        }
        None if data == "-" => read(&mut std::io::stdin()).context("standard input"),
        None => Ok(data.as_bytes().to_vec()),
    }
}
