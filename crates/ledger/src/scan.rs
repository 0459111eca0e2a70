//! Finding one's own notes in what everybody did, and which of them are gone.
//!
//! A wallet reads a stream of [`CompactTx`]: what a scan needs and no proofs. It tells nothing to
//! whoever serves the stream: everybody reads all of it.

use crate::curve::Point;
use crate::key::{BalanceKey, ReceiveKey, Shared, Subaddresses};
use crate::note::derive::InputContext;
use crate::note::{CompactOutput, NoteIndex, OwnedNote, Watch, ephemerals_for};
use crate::sigma;
use crate::tx::{OUTPUTS_MAX, SPENDS_MAX, Transaction, TxId};
use mutirao_wire::codec::put_list;
use mutirao_wire::{Decode, DecodeError, Encode, Reader};

/// Transactions in one piece of the stream at most.
pub const PIECE_MAX: usize = 4096;

/// A transaction as a scan sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactTx {
    /// Its id, to ask for the memo or the rest.
    pub id: TxId,
    /// The place of its first note.
    pub first: NoteIndex,
    /// See [`crate::tx::Body::context`].
    pub context: InputContext,
    /// Tags that it left.
    pub tags: Vec<[u8; 32]>,
    /// `R`.
    pub ephemerals: Vec<Point>,
    /// Its notes.
    pub outputs: Vec<CompactOutput>,
}

impl CompactTx {
    /// Of a transaction whose first note stands at `first`.
    #[must_use]
    pub fn new(tx: &Transaction, first: NoteIndex) -> Self {
        Self {
            id: tx.id(),
            first,
            context: tx.body.context(),
            tags: tx.body.spends.iter().map(|spend| *spend.tag.bytes()).collect(),
            ephemerals: tx.body.ephemerals.clone(),
            outputs: tx.body.outputs.iter().map(CompactOutput::from).collect(),
        }
    }
}

impl Encode for CompactTx {
    fn encode(&self, out: &mut Vec<u8>) {
        self.id.encode(out);
        self.first.encode(out);
        self.context.encode(out);
        put_list(out, &self.tags);
        put_list(out, &self.ephemerals);
        put_list(out, &self.outputs);
    }
}
impl Decode for CompactTx {
    // spec: LEDGER-10.1
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let tx = Self {
            id: TxId::decode(input)?,
            first: NoteIndex::decode(input)?,
            context: InputContext::decode(input)?,
            tags: input.list("tags", SPENDS_MAX)?,
            ephemerals: input.list("ephemeral keys", OUTPUTS_MAX)?,
            outputs: input.list("outputs", OUTPUTS_MAX)?,
        };
        let right = tx.ephemerals.len() == ephemerals_for(tx.outputs.len());
        right.then_some(tx).ok_or(DecodeError::NotCanonical { what: "ephemeral keys" })
    }
}

/// A note that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it stands among all notes.
    pub index: NoteIndex,
    /// Its number among the outputs of its transaction.
    pub output: usize,
    /// All that spending it takes.
    pub note: OwnedNote,
}

/// Keys and addresses to look with.
#[derive(Debug, Clone)]
pub struct Scanner {
    key: ReceiveKey,
    addresses: Subaddresses,
}

impl Scanner {
    /// Looks for notes to the main address and to subaddresses up to `count`.
    #[must_use]
    pub fn new(key: ReceiveKey, count: u64) -> Self {
        let addresses = key.subaddresses(count);
        Self { key, addresses }
    }

    /// All notes of ours in these transactions, each with the number of its transaction.
    // spec: LEDGER-10.2
    #[must_use]
    pub fn scan(&self, all: &[CompactTx]) -> Vec<(usize, Found)> {
        let ephemerals: Vec<Point> =
            all.iter().flat_map(|tx| tx.ephemerals.iter().copied()).collect();
        let shared = self.key.shared_many(&ephemerals);
        let mut rest = &shared[..];
        let mut found = Vec::new();
        for (number, tx) in all.iter().enumerate() {
            let Some((own, after)) = rest.split_at_checked(tx.ephemerals.len()) else { break };
            rest = after;
            found.extend(self.look(tx, own).into_iter().map(|found| (number, found)));
        }
        found
    }

    fn look(&self, tx: &CompactTx, shared: &[Shared]) -> Vec<Found> {
        let watch = Watch { key: &self.key, addresses: &self.addresses };
        let one = tx.ephemerals.len() == 1;
        let find = |(output, compact): (usize, &CompactOutput)| {
            let at = if one { 0 } else { output };
            let (shared, ephemeral) = (shared.get(at)?, tx.ephemerals.get(at)?);
            let note = watch.recognise(shared, ephemeral, &tx.context, output, compact)?;
            let index = NoteIndex(tx.first.0.checked_add(output as u64)?);
            Some(Found { index, output, note })
        };
        tx.outputs.iter().enumerate().filter_map(find).collect()
    }
}

impl BalanceKey {
    /// `J`: the tag by which one sees that a note of ours was spent, on whichever machine.
    // spec: LEDGER-10.3
    #[must_use]
    pub fn tag(&self, note: &OwnedNote) -> Point {
        sigma::tag(&self.tag_secret(note.address, note.offsets().0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::World;
    use mutirao_wire::Amount;

    // spec: LEDGER-10.1, LEDGER-10.2, LEDGER-10.3
    #[test]
    fn a_wallet_made_anew_from_its_words_finds_what_it_had() {
        let mut world = World::new(3);
        for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 2)] {
            let tx = world.send(from, to, 1_000);
            world.mine(vec![tx]).unwrap();
        }
        let stream: Vec<CompactTx> =
            world.past.iter().map(|(first, tx)| CompactTx::new(tx, NoteIndex(*first))).collect();
        let bytes: Vec<Vec<u8>> = stream.iter().map(Encode::to_bytes).collect();
        let read: Vec<CompactTx> =
            bytes.iter().map(|bytes| CompactTx::from_bytes(bytes).unwrap()).collect();
        assert_eq!(read, stream);
        for (at, person) in world.people.iter().enumerate() {
            let scanner = Scanner::new(person.keys.receive_key(), 3);
            let balance = person.keys.balance_key();
            let spent: Vec<_> = stream.iter().flat_map(|tx| tx.tags.clone()).collect();
            let found = scanner.scan(&stream);
            let left = found
                .iter()
                .map(|(_, found)| found)
                .filter(|found| !spent.contains(balance.tag(&found.note).bytes()))
                .filter(|found| found.note.opening.amount != Amount::ZERO);
            let indices: Vec<_> = left.clone().map(|found| found.index).collect();
            let known: Vec<_> = person.notes.iter().map(|input| input.index).collect();
            assert_eq!(indices, known);
            let sum: u64 = left.map(|found| found.note.opening.amount.0).sum();
            assert_eq!(sum, world.balance(at));
        }
    }

    // spec: LEDGER-10.1
    #[test]
    fn refuses_a_record_with_another_number_of_keys() {
        let mut world = World::new(2);
        let tx = world.send(0, 1, 1_000);
        let mut compact = CompactTx::new(&tx, NoteIndex(0));
        compact.ephemerals.push(compact.ephemerals[0]);
        assert!(CompactTx::from_bytes(&compact.to_bytes()).is_err());
    }
}
