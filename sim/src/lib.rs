//! A whole network in one process: clients and providers that are the real state machines, on a
//! virtual clock, with everything that can go wrong thrown in. One seed decides all of it.
//!
//! A trial is planned ([`plan`]), run ([`world`]), and judged ([`judge`]) against the unbroken run
//! of the same engine. The same seed gives the same events, bit for bit, and so the same digest.
#![forbid(unsafe_code)]

pub mod agenda;
pub mod cable;
pub mod chance;
pub mod judge;
pub mod mind;
pub mod plan;
pub mod record;
pub mod table;
pub mod tally;
pub mod tongue;
pub mod trial;
pub mod world;
