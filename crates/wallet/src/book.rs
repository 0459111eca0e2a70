//! The book: what a wallet has read and what it has sent, and nothing that the words alone do not
//! give but this: to whom was paid, and how to show it.
//!
//! Everything here is plain data; [`crate::read`] writes it from the ledger, [`crate::send`] from
//! what its owner wants.

mod channel;
mod entry;
mod held;
mod sending;

pub use channel::OwnChannel;
pub use entry::{Act, Arrival, Entry};
pub use held::{Held, Spent};
pub use sending::{Paid, Sending, State};

use mutirao_ledger::cell::CellId;
use mutirao_ledger::cell::deed::DeedOpening;
use mutirao_ledger::note::NoteIndex;
use mutirao_ledger::rules::{Height, Rules};
use mutirao_ledger::tx::TxId;
use mutirao_wire::codec::put_list;
use mutirao_wire::{Amount, Decode, DecodeError, Digest, Encode, Reader, record};
use std::collections::{BTreeMap, BTreeSet};

/// Subaddresses beyond the last one known that a scan looks for.
pub const LOOK_AHEAD: u64 = 500;
/// Items of one list of a book at most.
const ITEMS_MAX: usize = 1 << 22;

/// How far the ledger has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Which chain, with its fees.
    pub rules: Rules,
    /// The last block that was read; 0 before the first.
    pub height: Height,
    /// Notes up to there, of everybody.
    pub notes: u64,
    /// A digest of that block as it was read.
    pub last: Digest,
}

record!(Reading { rules, height, notes, last });

/// A till of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnTill {
    /// Its id.
    pub cell: CellId,
    /// The number of its key.
    pub number: u64,
}

record!(OwnTill { cell, number });

/// A deed of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnDeed {
    /// Its id.
    pub cell: CellId,
    /// What it names.
    pub opening: DeedOpening,
    /// The note whose key owns it.
    pub owner: NoteIndex,
}

record!(OwnDeed { cell, opening, owner });

/// All that a wallet remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    /// How far it has read; none before the first time.
    pub reading: Option<Reading>,
    /// The last subaddress that was given away, or that somebody paid.
    pub issued: u64,
    /// Subaddresses that a scan looks for.
    pub window: u64,
    /// Tills of ours.
    pub tills: Vec<OwnTill>,
    /// Deeds of ours.
    pub deeds: Vec<OwnDeed>,
    /// Channels that we opened.
    pub channels: Vec<OwnChannel>,
    held: Vec<Held>,
    entries: Vec<Entry>,
    sendings: Vec<Sending>,
    by_tag: BTreeMap<[u8; 32], usize>,
    by_key: BTreeMap<[u8; 32], usize>,
}

impl Encode for Book {
    fn encode(&self, out: &mut Vec<u8>) {
        self.reading.encode(out);
        self.issued.encode(out);
        self.window.encode(out);
        put_list(out, &self.tills);
        put_list(out, &self.deeds);
        put_list(out, &self.channels);
        put_list(out, &self.held);
        put_list(out, &self.entries);
        put_list(out, &self.sendings);
    }
}
impl Decode for Book {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut book = Self {
            reading: Option::decode(input)?,
            issued: u64::decode(input)?,
            window: u64::decode(input)?,
            tills: input.list("tills", ITEMS_MAX)?,
            deeds: input.list("deeds", ITEMS_MAX)?,
            channels: input.list("channels", ITEMS_MAX)?,
            ..Self::default()
        };
        for held in input.list("notes", ITEMS_MAX)? {
            let fresh = book.hold(held);
            fresh.then_some(()).ok_or(DecodeError::NotCanonical { what: "notes" })?;
        }
        book.entries = input.list("entries", ITEMS_MAX)?;
        book.sendings = input.list("sendings", ITEMS_MAX)?;
        Ok(book)
    }
}

impl Book {
    /// For a wallet that has given away subaddresses up to `issued`.
    #[must_use]
    pub fn new(issued: u64) -> Self {
        Self { issued, window: issued.saturating_add(LOOK_AHEAD), ..Self::default() }
    }

    /// Forgets what was read, so that it is read again; what was sent stays.
    pub fn forget_reading(&mut self) {
        let (issued, window) = (self.issued, self.window);
        let mut sendings = std::mem::take(&mut self.sendings);
        for sending in &mut sendings {
            if matches!(sending.state, State::Confirmed(_)) {
                sending.state = State::Waiting;
            }
        }
        *self = Self { issued, window, sendings, ..Self::default() };
    }

    /// Notes of ours, spent ones too.
    #[must_use]
    pub fn held(&self) -> &[Held] {
        &self.held
    }

    /// Takes in a note, unless one with its key or tag is there: only one of the two can ever be
    /// spent. Whether it was new.
    // spec: WALLET-4.3
    pub fn hold(&mut self, held: Held) -> bool {
        let key = *held.note.one_time.bytes();
        let tagged = held.tag.is_some_and(|tag| self.by_tag.contains_key(&tag));
        if tagged || self.by_key.contains_key(&key) {
            return false;
        }
        let at = self.held.len();
        self.by_key.insert(key, at);
        if let Some(tag) = held.tag {
            self.by_tag.insert(tag, at);
        }
        self.held.push(held);
        true
    }

    /// The note of ours that left this tag.
    #[must_use]
    pub fn tagged(&self, tag: &[u8; 32]) -> Option<&Held> {
        self.held.get(*self.by_tag.get(tag)?)
    }

    /// The note of ours at that place.
    #[must_use]
    pub fn at(&self, index: NoteIndex) -> Option<&Held> {
        self.held.iter().find(|held| held.index == index)
    }

    /// Writes down that the note with this tag was spent; the note, if it is ours and was not.
    pub fn spend(&mut self, tag: &[u8; 32], spent: Spent) -> Option<&Held> {
        let held = self.held.get_mut(*self.by_tag.get(tag)?)?;
        if held.spent.is_some() {
            return None;
        }
        held.spent = Some(spent);
        Some(held)
    }

    /// What happened, in the order of the ledger.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Writes down what happened.
    pub fn enter(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// What this wallet sent.
    #[must_use]
    pub fn sendings(&self) -> &[Sending] {
        &self.sendings
    }

    /// What this wallet sent in that transaction.
    #[must_use]
    pub fn sending(&self, id: TxId) -> Option<&Sending> {
        self.sendings.iter().find(|sending| sending.id == id)
    }

    /// Writes down what is being sent.
    pub fn send(&mut self, sending: Sending) {
        self.sendings.push(sending);
    }

    /// Writes down what became of it.
    pub fn settle(&mut self, id: TxId, state: State) {
        if let Some(sending) = self.sendings.iter_mut().find(|sending| sending.id == id) {
            if state != State::Waiting {
                sending.transaction = None;
            }
            sending.state = state;
        }
    }

    /// The height that was read up to.
    #[must_use]
    pub fn height(&self) -> Height {
        self.reading.map_or(Height(0), |reading| reading.height)
    }

    /// Notes that something on its way spends.
    fn promised(&self) -> BTreeSet<NoteIndex> {
        let waiting = self.sendings.iter().filter(|sending| sending.state == State::Waiting);
        waiting.flat_map(|sending| sending.inputs.iter().copied()).collect()
    }

    /// Notes that can be spent now: ours, with something in them, and promised to nothing.
    // spec: WALLET-5.2
    #[must_use]
    pub fn spendable(&self) -> Vec<&Held> {
        let promised = self.promised();
        let free = |held: &&Held| {
            held.tag.is_some()
                && held.spent.is_none()
                && held.note.opening.amount != Amount::ZERO
                && !promised.contains(&held.index)
        };
        self.held.iter().filter(free).collect()
    }

    /// Notes of refused transactions that may still turn up: whoever pays again spends one of them,
    /// so that of both payments at most one counts.
    // spec: WALLET-5.4
    #[must_use]
    pub fn offered(&self) -> BTreeSet<NoteIndex> {
        let height = self.height();
        let open = |sending: &&Sending| {
            matches!(sending.state, State::Refused(_)) && sending.valid_until > height
        };
        let open = self.sendings.iter().filter(open);
        open.flat_map(|sending| sending.inputs.iter().copied()).collect()
    }
}
