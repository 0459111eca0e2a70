//! `mutirao worker`: one model in a process that may be broken. Nodes start it, not people.

use std::process::ExitCode;

/// Works until the node closes the socket.
///
/// # Errors
/// When it was not started by a node.
pub fn run() -> anyhow::Result<ExitCode> {
    mutirao_node::worker::work().map_err(anyhow::Error::msg)?;
    Ok(ExitCode::SUCCESS)
}
