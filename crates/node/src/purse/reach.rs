//! The ledger that a wallet asks: another's by its ticket, or the one of this home.
//!
//! A wallet waits for each answer, so this brings a small runtime of its own. It must not be used
//! or dropped inside another one.

use crate::Node;
use crate::files::FileError;
use crate::ledger::{Keeper, LedgerError, Pace, Remote, Store, Unreachable as Silence};
use mutirao_ledger::service::{Answer, Question};
use mutirao_net::TicketError;
use mutirao_wallet::{Ledger, Unreachable};
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};

/// Why no ledger can be asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReachError {
    /// Nobody said which.
    #[error(
        "no ledger is known: name one with --ledger <ticket>, as `mutirao chain run` prints it \
         there, or keep one here with `mutirao chain run`"
    )]
    None,
    /// No ticket.
    #[error("that is not the ticket of a ledger: {0}; `mutirao chain run` prints it")]
    Ticket(TicketError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The one of this home.
    #[error(
        "the ledger of this home cannot be opened: {0}; if `mutirao chain run` keeps it, name its \
         ticket with --ledger"
    )]
    Here(#[from] LedgerError),
    /// No socket.
    #[error(transparent)]
    Silence(#[from] Silence),
    /// The system gives no thread.
    #[error("the system gives no thread: {0}")]
    Thread(std::io::Error),
}

/// A ledger that can be asked.
#[derive(Debug)]
pub struct Reach(Way);

#[derive(Debug)]
enum Way {
    Far { runtime: Runtime, remote: Option<Remote> },
    Here(Keeper),
}

impl Reach {
    /// The one that the settings name; else the one that the wallet last asked; else the one of
    /// this home.
    ///
    /// # Errors
    /// [`ReachError`].
    pub fn find(node: &Node) -> Result<Self, ReachError> {
        let named = match &node.config().ledger {
            Some(ticket) => Some(ticket.clone()),
            None => node.remembered_ledger()?,
        };
        match named {
            Some(ticket) => Self::far(node, &ticket),
            None if Store::path(&node.ledger_folder()).exists() => {
                Ok(Self(Way::Here(node.keep_ledger(None, Pace::default())?)))
            }
            None => Err(ReachError::None),
        }
    }

    /// The one of that ticket.
    ///
    /// # Errors
    /// [`ReachError`].
    pub fn far(node: &Node, ticket: &str) -> Result<Self, ReachError> {
        let ticket = ticket.trim().parse().map_err(ReachError::Ticket)?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(ReachError::Thread)?;
        let remote = Some(runtime.block_on(node.remote_ledger(&ticket))?);
        Ok(Self(Way::Far { runtime, remote }))
    }
}

impl Ledger for Reach {
    fn ask(&mut self, question: &Question) -> Result<Answer, Unreachable> {
        match &mut self.0 {
            Way::Here(keeper) => Ok(keeper.ask(question.clone())),
            Way::Far { runtime, remote: Some(remote) } => {
                let answer = runtime.block_on(remote.ask(question));
                answer.map_err(|error| Unreachable(error.to_string()))
            }
            Way::Far { .. } => Err(Unreachable("it was left".to_owned())),
        }
    }
}

impl Drop for Way {
    /// Says farewell, so that the other side does not wait.
    fn drop(&mut self) {
        if let Self::Far { runtime, remote } = self
            && let Some(remote) = remote.take()
        {
            runtime.block_on(remote.close());
        }
    }
}
