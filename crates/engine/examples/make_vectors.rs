//! Writes the golden vectors of the engine; see `docs/spec/engine.md`, section 16.
fn main() {}
