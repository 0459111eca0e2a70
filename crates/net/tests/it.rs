//! Two transports, one contract: the suite runs over memory and over QUIC on this machine's
//! loopback. What only a real wire can do to us is tested apart.

#[path = "it/blobs.rs"]
mod blobs;
#[path = "it/quic.rs"]
mod quic;
#[path = "it/restart.rs"]
mod restart;
#[path = "it/silence.rs"]
mod silence;
#[path = "it/suite.rs"]
mod suite;
#[path = "it/world.rs"]
mod world;
