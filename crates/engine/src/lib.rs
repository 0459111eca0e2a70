//! Runs a language model in exact integers: the same bits on every machine.
pub mod pool;
