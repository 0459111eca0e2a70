//! The list of targets, by name.

use crate::{chain, files, ledger, model, published, session, text, wallet, wire};

/// A kind of input: its name, which is that of its folder in the corpus, and what takes it.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("address", ledger::address),
    ("block", ledger::block),
    ("chain", chain::chain),
    ("files", files::files),
    ("gguf", published::gguf),
    ("grammar", text::grammar),
    ("keystore", wallet::keystore),
    ("memo", ledger::memo),
    ("model", model::model),
    ("payment", files::payment),
    ("request", files::request),
    ("session", session::session),
    ("shards", published::shards),
    ("template", text::template),
    ("tokenizer", text::tokenizer),
    ("transaction", ledger::transaction),
    ("wallet", wallet::wallet),
    ("wire", wire::wire),
    ("worker", wire::worker),
];

/// Gives `bytes` to the target of that name.
///
/// # Panics
/// When there is none, or when something that must hold does not.
pub fn run(name: &str, bytes: &[u8]) {
    let found = TARGETS.iter().find(|(target, _)| *target == name);
    let (_, target) = found.unwrap_or_else(|| panic!("no target {name}"));
    target(bytes);
}

/// The first byte chooses, the rest is the input.
pub fn split(bytes: &[u8]) -> (u8, &[u8]) {
    bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest))
}
