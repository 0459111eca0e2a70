//! `worker` of `mutirao-fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mutirao_fuzz::run("worker", bytes));
