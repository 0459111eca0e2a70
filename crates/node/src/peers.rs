//! The circle: nodes that the user joined, by ticket. One line a node in a file of their own.

use crate::files::{self, FileError};
use mutirao_net::Ticket;
use std::path::PathBuf;
use thiserror::Error;

/// Largest peers file read, in bytes.
const PEERS_BYTES_MAX: u64 = 1 << 20;

/// Why the circle could not be read or changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PeersError {
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line that is not a ticket.
    #[error("line {line} of {} is not a ticket: {reason}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Why.
        reason: String,
    },
}

/// The nodes that the user joined.
#[derive(Debug, Clone)]
pub struct Peers {
    path: PathBuf,
    tickets: Vec<Ticket>,
}

impl Peers {
    /// Reads the circle; no file is an empty one.
    ///
    /// # Errors
    /// [`PeersError`] when the file is unreadable or a line is no ticket.
    pub fn open(path: PathBuf) -> Result<Self, PeersError> {
        let content = files::read_if_there(&path, PEERS_BYTES_MAX)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&content);
        let mut tickets = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            tickets.push(line.trim().parse().map_err(|error: mutirao_net::TicketError| {
                PeersError::Line { path: path.clone(), line: index + 1, reason: error.to_string() }
            })?);
        }
        Ok(Self { path, tickets })
    }

    /// The nodes, oldest first.
    #[must_use]
    pub fn tickets(&self) -> &[Ticket] {
        &self.tickets
    }

    /// Adds a node, or replaces its old addresses, and writes the file.
    ///
    /// # Errors
    /// [`PeersError::File`] when it cannot be written; the circle on disk is then unchanged.
    pub fn add(&mut self, ticket: Ticket) -> Result<(), PeersError> {
        self.tickets.retain(|known| known.key() != ticket.key());
        self.tickets.push(ticket);
        let lines: Vec<String> = self.tickets.iter().map(|ticket| format!("{ticket}\n")).collect();
        Ok(files::write_whole(&self.path, lines.concat().as_bytes())?)
    }
}
