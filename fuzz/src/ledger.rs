//! What the ledger reads from strangers: transactions, blocks, addresses, memos.

use crate::target::split;
use mutirao_ledger::block::{self, Block};
use mutirao_ledger::cell::channel::Drawn;
use mutirao_ledger::cell::deed::proof::DeedProof;
use mutirao_ledger::cell::{Action, Cell};
use mutirao_ledger::deal::{Ask, Reply};
use mutirao_ledger::examine::{self, Permit, StoredNote};
use mutirao_ledger::key::Seed;
use mutirao_ledger::key::address::{Address, Network, PaymentLink};
use mutirao_ledger::note::memo;
use mutirao_ledger::note::{CompactOutput, NoteIndex, Output, OwnedNote};
use mutirao_ledger::payment::PaymentProof;
use mutirao_ledger::rules::{ChainId, Height, Rules};
use mutirao_ledger::scan::{CompactTx, Scanner};
use mutirao_ledger::sigma::SigmaProof;
use mutirao_ledger::state::{MemoryState, NotePath, Summary};
use mutirao_ledger::tx::{Body, Transaction};
use mutirao_wire::{Amount, Decode, Digest, Encode};

fn canonical<T: Decode + Encode>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert_eq!(value.to_bytes(), bytes, "two spellings of one value");
    }
}

fn rules() -> Rules {
    Rules::new(ChainId(Digest([7; 32])), Amount(10), 8)
}

const PARTS: [fn(&[u8]); 11] = [
    canonical::<Body>,
    canonical::<Output>,
    canonical::<Action>,
    canonical::<SigmaProof>,
    canonical::<PaymentProof>,
    canonical::<DeedProof>,
    canonical::<OwnedNote>,
    canonical::<CompactOutput>,
    canonical::<Drawn>,
    canonical::<Ask>,
    canonical::<Reply>,
];

/// A transaction or a part of one. An empty state has no note to spend, so whatever it takes made
/// up its proofs.
pub fn transaction(bytes: &[u8]) {
    let (kind, rest) = split(bytes);
    match kind {
        0 => whole(rest),
        1 => compact(rest),
        _ => PARTS[usize::from(kind) % PARTS.len()](rest),
    }
}

fn whole(bytes: &[u8]) {
    canonical::<Transaction>(bytes);
    let Ok(tx) = Transaction::from_bytes(bytes) else { return };
    assert_eq!(tx.id(), tx.body.id());
    let compact = CompactTx::new(&tx, NoteIndex(0));
    let fits = examine::stateless(&tx, &rules()).is_ok();
    assert!(!fits || CompactTx::from_bytes(&compact.to_bytes()) == Ok(compact));
    let (state, height) = (MemoryState::default(), Height(1));
    let admitted = block::admit(&tx, &state, &rules(), height);
    assert!(admitted.is_err(), "an empty state has nothing to spend");
}

fn compact(bytes: &[u8]) {
    canonical::<CompactTx>(bytes);
    if let Ok(tx) = CompactTx::from_bytes(bytes) {
        let scanner = Scanner::new(Seed::new(&[1; 64]).account(0).receive_key(), 1);
        let _ = scanner.scan(&[tx]);
    }
}

/// A block, or what a state is made of.
pub fn block(bytes: &[u8]) {
    let (kind, rest) = split(bytes);
    match kind % 6 {
        0 => {
            canonical::<Block>(rest);
            if let Ok(block) = Block::from_bytes(rest) {
                let (state, permit) = (MemoryState::default(), Permit::default());
                let taken = block::accept(&block, &state, &state.summary, &rules(), permit);
                assert!(taken.is_err() || block.transactions.is_empty());
            }
        }
        1 => canonical::<Summary>(rest),
        2 => canonical::<Cell>(rest),
        3 => canonical::<NotePath>(rest),
        4 => canonical::<StoredNote>(rest),
        _ => canonical::<Rules>(rest),
    }
}

/// An address or a payment link.
pub fn address(bytes: &[u8]) {
    for network in [Network::Main, Network::Test] {
        if let Ok(address) = Address::from_bytes(network, bytes) {
            assert_eq!(address.to_bytes(), bytes);
            assert_eq!(address.to_string().parse(), Ok(address));
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(address) = text.parse::<Address>() {
        assert_eq!(address.to_string(), text);
    }
    if let Ok(link) = text.parse::<PaymentLink>() {
        assert_eq!(link.to_string().parse(), Ok(link));
    }
}

/// A sealed memo, sealed anew where it opens; and plain words, sealed and opened.
pub fn memo(bytes: &[u8]) {
    let (key, bound) = ([5; 32], b"note");
    if let Ok(memo) = memo::open(&key, bytes, bound) {
        assert_eq!(memo::seal(&key, &memo, bound).as_deref(), Ok(bytes));
    }
    if let Ok(memo) = memo::Memo::new(bytes) {
        let sealed = memo::seal(&key, &memo, bound).expect("a memo within its bound seals");
        assert_eq!(memo::open(&key, &sealed, bound), Ok(memo));
    }
}
