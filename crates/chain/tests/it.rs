//! What a ledger must survive: kills at any moment, disks without room, machines that begin in the
//! middle, and files that are not what they seem.

#[path = "it/disk.rs"]
mod disk;
#[path = "it/file.rs"]
mod file;
#[path = "it/kill.rs"]
mod kill;
#[path = "it/model.rs"]
mod model;
#[path = "it/snapshot.rs"]
mod snapshot;
