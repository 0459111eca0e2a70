//! A ledger that somebody else keeps, asked by its ticket.
//!
//! It is believed about nothing that matters: what a wallet takes from it are bytes that it checks,
//! and silence is the worst that a liar can do. Each asker has a key of its own that nobody can
//! link to another.

use crate::assemble::Node;
use crate::keys::KeyError;
use mutirao_ledger::service::{Answer, Question};
use mutirao_net::{LEDGER_ALPN, Link, Net, NetError, Ticket, iroh};
use mutirao_wire::{Decode, DecodeError, Encode};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// How long an answer may take: a submission waits for its block.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a ledger did not answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Unreachable {
    /// The network.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A key of its own could not be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It said nothing.
    #[error(
        "the ledger did not answer in {} s; is it running, and is the ticket fresh?",
        PATIENCE.as_secs()
    )]
    Silent,
    /// It closed the stream.
    #[error("the ledger closed the stream without an answer")]
    Closed,
    /// It said something that is no answer.
    #[error("the ledger answered with what is no answer ({0}); perhaps it is a newer program")]
    Nonsense(DecodeError),
}

/// A ledger somewhere else.
pub struct Remote {
    net: Arc<dyn Net>,
    ticket: Ticket,
    link: Option<Link>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Remote({})", self.ticket.key().short())
    }
}

impl Node {
    /// A ledger that is reached by this ticket. Nothing is asked yet.
    ///
    /// # Errors
    /// [`Unreachable`] when no socket can be had.
    pub async fn remote_ledger(&self, ticket: &Ticket) -> Result<Remote, Unreachable> {
        let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let config = iroh::Config { protocol: LEDGER_ALPN, ..iroh::Config::new(listen) };
        let net = iroh::bind(&self.throw_away_key()?, config).await?;
        Ok(Remote { net, ticket: ticket.clone(), link: None })
    }
}

impl Remote {
    /// Asks. Where a link broke since the last question, one more is tried; but new value is never
    /// asked for twice.
    ///
    /// # Errors
    /// [`Unreachable`].
    pub async fn ask(&mut self, question: &Question) -> Result<Answer, Unreachable> {
        let had_link = self.link.is_some();
        let first = self.ask_once(question).await;
        let again = had_link && !matches!(question, Question::Faucet { .. });
        match first {
            Err(Unreachable::Net(_) | Unreachable::Closed) if again => {
                self.ask_once(question).await
            }
            other => other,
        }
    }

    async fn ask_once(&mut self, question: &Question) -> Result<Answer, Unreachable> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => self.net.dial(&self.ticket).await?,
        };
        let asking = async {
            link.sender.send(question.to_bytes()).await?;
            link.receiver.receive().await
        };
        let frame = tokio::time::timeout(PATIENCE, asking).await;
        let frame = frame.map_err(|_| Unreachable::Silent)??.ok_or(Unreachable::Closed)?;
        let answer = Answer::from_bytes(&frame).map_err(Unreachable::Nonsense)?;
        self.link = Some(link);
        Ok(answer)
    }

    /// Closes politely.
    pub async fn close(mut self) {
        if let Some(mut link) = self.link.take() {
            link.sender.finish().await;
        }
        self.net.close().await;
    }
}
