//! One file a command.

pub mod cells;
pub mod chain;
pub mod demo;
pub mod discover;
pub mod eval;
pub mod fetch;
pub mod import;
pub mod join;
pub mod key;
pub mod launch;
pub mod learn;
pub mod models;
pub mod provide;
pub mod pull;
pub mod run;
pub mod serve;
pub mod status;
pub mod verify;
pub mod wallet;
pub mod welcome;
pub mod worker;

/// What the exit code says.
pub mod exit {
    /// Something went wrong; standard error says what.
    pub const ERROR: u8 = 1;
    /// A receipt or evidence was refused.
    pub const REFUSED: u8 = 3;
    /// An answer diverged after part of it had been shown.
    pub const DIVERGED: u8 = 4;
}

/// Ctrl-C, or the polite signal of a service manager.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
}

/// The threads that carry frames; the engine has its own.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(2).enable_all().build()?)
}
