//! Reading a ledger: which of all notes are ours, which of ours are gone, what was said with them.
//!
//! A wallet reads the whole compact stream, so whoever serves it learns nothing. For a block that
//! concerns us it asks for the whole block, which shows that something in it does: ask a ledger of
//! your own, or one that does not know who you are. What is read is held against itself: the chain,
//! the order of heights, the count of notes, the last block of the time before, and each whole
//! block against the stream.

mod scribe;

use crate::book::{Book, Reading, Sending, State};
use crate::keys::Keys;
use mutirao_ledger::key::address::Network;
use mutirao_ledger::rules::Height;
use mutirao_ledger::scan::Scanner;
use mutirao_ledger::service::{Answer, Head, PIECES_MAX, Piece, Question, RefusalKind};
use mutirao_wire::{Digest, Encode};
use scribe::Scribe;
use thiserror::Error;

/// A ledger did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the ledger does not answer: {0}")]
pub struct Unreachable(pub String);

/// Somebody who keeps a ledger and answers questions about it: on this machine or on another.
pub trait Ledger {
    /// Asks one question and waits for the answer.
    ///
    /// # Errors
    /// [`Unreachable`] when there is none.
    fn ask(&mut self, question: &Question) -> Result<Answer, Unreachable>;
}

impl<T: Ledger + ?Sized> Ledger for &mut T {
    fn ask(&mut self, question: &Question) -> Result<Answer, Unreachable> {
        (**self).ask(question)
    }
}

impl<T: Ledger + ?Sized> Ledger for Box<T> {
    fn ask(&mut self, question: &Question) -> Result<Answer, Unreachable> {
        (**self).ask(question)
    }
}

/// Why a ledger could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It does not answer.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// Another chain.
    #[error(
        "this ledger keeps chain {given}, the wallet belongs to chain {known}; name the right one \
         with --ledger, or make another wallet with --wallet"
    )]
    Chain {
        /// The wallet's, shortened.
        known: String,
        /// The ledger's, shortened.
        given: String,
    },
    /// The same chain with other fees or epochs.
    #[error("this ledger claims other fees or epochs for the same chain; do not trust it")]
    Rules,
    /// Another network.
    #[error("this ledger is {given}, the wallet is {known}; name another with --ledger")]
    Network {
        /// The wallet's.
        known: &'static str,
        /// The ledger's.
        given: &'static str,
    },
    /// It ends before what was read.
    #[error(
        "this ledger ends at block {given}, and this wallet has read up to {known}: it lost \
         blocks, or was never the same; ask another one, and if its keeper says that it is \
         right, read anew with --rescan"
    )]
    Shorter {
        /// What was read.
        known: u64,
        /// Where it ends.
        given: u64,
    },
    /// Another past.
    #[error(
        "block {height} of this ledger is not the one that this wallet has read; ask another \
         ledger, and if its keeper says that it is right, read anew with --rescan"
    )]
    OtherPast {
        /// Which.
        height: u64,
    },
    /// It does not keep blocks that old, or does not give them.
    #[error("this ledger does not give the blocks after {after}; ask one that keeps them all")]
    Forgotten {
        /// After which.
        after: u64,
    },
    /// Something is missing, or what it says does not fit together.
    #[error("the ledger contradicts itself at block {height}: {what}; ask another one")]
    Contradiction {
        /// Which.
        height: u64,
        /// What.
        what: &'static str,
    },
}

/// What a reading came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caught {
    /// Where the ledger stands.
    pub height: Height,
    /// Blocks that were read.
    pub blocks: u64,
    /// Transactions that concern us.
    pub entries: usize,
}

/// The name of a network, for people.
#[must_use]
pub fn network_name(network: Network) -> &'static str {
    match network {
        Network::Main => "the main network",
        Network::Test => "a test network",
    }
}

/// Where the ledger stands.
///
/// # Errors
/// [`ReadError`].
pub fn head(ledger: &mut impl Ledger) -> Result<Head, ReadError> {
    match ledger.ask(&Question::Head)? {
        Answer::Head(head) => Ok(head),
        _ => Err(contradiction(Height(0), "it does not say where it stands")),
    }
}

fn contradiction(height: Height, what: &'static str) -> ReadError {
    ReadError::Contradiction { height: height.0, what }
}

/// A digest of a block as it was read.
fn digest(piece: &Piece) -> Digest {
    Digest::of("mutirao v1 wallet piece", &[&piece.to_bytes()])
}

/// One reading of one ledger by one wallet.
pub(crate) struct Reader<'a, L> {
    keys: &'a Keys,
    network: Network,
    ledger: &'a mut L,
}

impl<'a, L: Ledger> Reader<'a, L> {
    pub(crate) fn new(keys: &'a Keys, network: Network, ledger: &'a mut L) -> Self {
        Self { keys, network, ledger }
    }

    /// Reads all that is new. `keep` is called with each state of the book that is worth keeping.
    // spec: WALLET-4.1
    pub(crate) fn read<E: From<ReadError>>(
        &mut self,
        book: &mut Book,
        mut keep: impl FnMut(&Book) -> Result<(), E>,
    ) -> Result<Caught, E> {
        let (began, known) = (book.height(), book.entries().len());
        let mut height = self.catch_up(book, &mut keep)?;
        let mut changed = judge(book);
        let again = self.send_again(book)?;
        changed |= again.refused;
        if again.sent {
            // What went out again may stand in a block by now.
            height = self.catch_up(book, &mut keep)?;
            changed |= judge(book);
        }
        if changed {
            keep(book)?;
        }
        let entries = book.entries().len().saturating_sub(known);
        Ok(Caught { height, blocks: height.0.saturating_sub(began.0), entries })
    }

    /// Reads up to where the ledger stands.
    fn catch_up<E: From<ReadError>>(
        &mut self,
        book: &mut Book,
        keep: &mut impl FnMut(&Book) -> Result<(), E>,
    ) -> Result<Height, E> {
        let head = head(self.ledger)?;
        self.recognise(book, &head)?;
        let mut scanner = Scanner::new(self.keys.receive(), book.window);
        while book.height() < head.height {
            let mut next = book.clone();
            self.step(&mut next, &scanner, &head)?;
            let grown = next.window > book.window;
            *book = next;
            if grown {
                // A subaddress beyond all that was looked for: its neighbours may stand in blocks
                // that were read already.
                book.forget_reading();
                scanner = Scanner::new(self.keys.receive(), book.window);
                self.recognise(book, &head)?;
            }
            keep(book)?;
        }
        Ok(head.height)
    }

    /// Whether it is the ledger that this wallet knows, or one for a wallet that knows none.
    // spec: WALLET-4.2
    fn recognise(&mut self, book: &mut Book, head: &Head) -> Result<(), ReadError> {
        if head.network != self.network {
            let (known, given) = (network_name(self.network), network_name(head.network));
            return Err(ReadError::Network { known, given });
        }
        let Some(reading) = book.reading else {
            let start =
                Reading { rules: head.rules, height: Height(0), notes: 0, last: Digest([0; 32]) };
            book.reading = Some(start);
            return Ok(());
        };
        if reading.rules.chain != head.rules.chain {
            let (known, given) = (reading.rules.chain.0.short(), head.rules.chain.0.short());
            return Err(ReadError::Chain { known, given });
        }
        if reading.rules != head.rules {
            return Err(ReadError::Rules);
        }
        let (known, given) = (reading.height.0, head.height.0);
        if given < known {
            return Err(ReadError::Shorter { known, given });
        }
        self.same_past(&reading)
    }

    /// The last block that was read is still the same.
    fn same_past(&mut self, reading: &Reading) -> Result<(), ReadError> {
        let Some(before) = reading.height.0.checked_sub(1) else { return Ok(()) };
        let question = Question::Compact { after: Height(before), most: 1 };
        let Answer::Compact(pieces) = self.ledger.ask(&question)? else {
            return Err(contradiction(reading.height, "no stream"));
        };
        let same = pieces.first().is_some_and(|piece| digest(piece) == reading.last);
        same.then_some(()).ok_or(ReadError::OtherPast { height: reading.height.0 })
    }

    /// Reads some more blocks.
    fn step(&mut self, book: &mut Book, scanner: &Scanner, head: &Head) -> Result<(), ReadError> {
        let after = book.height();
        let most = u16::try_from(PIECES_MAX).unwrap_or(u16::MAX);
        let pieces = match self.ledger.ask(&Question::Compact { after, most })? {
            Answer::Compact(pieces) if !pieces.is_empty() => pieces,
            _ => return Err(ReadError::Forgotten { after: after.0 }),
        };
        for piece in pieces {
            if piece.height > head.height {
                break;
            }
            self.piece(book, scanner, &piece)?;
        }
        Ok(())
    }

    fn piece(
        &mut self,
        book: &mut Book,
        scanner: &Scanner,
        piece: &Piece,
    ) -> Result<(), ReadError> {
        let height = piece.height;
        let Some(mut reading) = book.reading else {
            return Err(contradiction(height, "it was not read from its beginning"));
        };
        if height.0 != reading.height.0.saturating_add(1) {
            return Err(contradiction(height, "a block is missing before it"));
        }
        for tx in &piece.transactions {
            if tx.first.0 != reading.notes {
                return Err(contradiction(height, "a transaction is missing, or one too many"));
            }
            reading.notes = reading.notes.saturating_add(tx.outputs.len() as u64);
        }
        let mut scribe = Scribe::new(self.keys, book, piece);
        let found = scanner.scan(&piece.transactions);
        if scribe.concerns_us(&found) {
            let block = match self.ledger.ask(&Question::Block(height))? {
                Answer::Block(block) if block.header.height == height => block,
                _ => return Err(contradiction(height, "the whole block is not to be had")),
            };
            let same = Piece::new(&block, scribe.notes_before()) == *piece;
            if !same {
                return Err(contradiction(height, "the whole block is another than the stream's"));
            }
            scribe.write(found, &block.transactions);
        }
        reading.height = height;
        reading.last = digest(piece);
        book.reading = Some(reading);
        Ok(())
    }

    /// Sends once more what may still be taken: a transaction counts once, however often it is
    /// sent.
    // spec: WALLET-5.3
    fn send_again(&mut self, book: &mut Book) -> Result<Again, ReadError> {
        let (mut again, mut refused) = (Again { sent: false, refused: false }, Vec::new());
        for sending in book.sendings().iter().filter(|it| it.state == State::Waiting) {
            let Some(transaction) = &sending.transaction else { continue };
            let question = Question::Submit(Box::new(transaction.clone()));
            match self.ledger.ask(&question)? {
                Answer::Refused(refusal) if is_final(refusal.kind) => {
                    refused.push((sending.id, State::Refused(refusal.to_string())));
                }
                Answer::Accepted(_) => again.sent = true,
                _ => {}
            }
        }
        again.refused = !refused.is_empty();
        refused.into_iter().for_each(|(id, state)| book.settle(id, state));
        Ok(again)
    }
}

/// What sending again came to.
struct Again {
    sent: bool,
    refused: bool,
}

/// What became of what we sent, as far as the blocks that were read say. Whether that is news.
// spec: WALLET-5.3
fn judge(book: &mut Book) -> bool {
    let height = book.height();
    let mut fates = Vec::new();
    let open = |it: &&Sending| matches!(it.state, State::Waiting | State::Refused(_));
    for sending in book.sendings().iter().filter(open) {
        let there = book.entries().iter().find(|entry| entry.tx == sending.id);
        let fate = match there {
            Some(entry) => Some(State::Confirmed(entry.height)),
            None if is_overtaken(book, &sending.inputs) => Some(State::Overtaken),
            None => (sending.valid_until <= height).then_some(State::Expired),
        };
        fates.extend(fate.map(|fate| (sending.id, fate)));
    }
    let changed = !fates.is_empty();
    fates.into_iter().for_each(|(id, fate)| book.settle(id, fate));
    changed
}

/// Whether a refusal says that the same bytes will never be taken.
fn is_final(kind: RefusalKind) -> bool {
    use RefusalKind as Kind;
    matches!(kind, Kind::Malformed | Kind::FalseProof | Kind::Expired | Kind::TooLarge)
}

fn is_overtaken(book: &Book, inputs: &[mutirao_ledger::note::NoteIndex]) -> bool {
    inputs.iter().any(|input| book.at(*input).is_some_and(|held| held.spent.is_some()))
}
