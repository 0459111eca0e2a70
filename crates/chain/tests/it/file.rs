//! Files of blocks: the whole chain for whoever has only bytes.

use mutirao_chain::audit::{self, AuditError};
use mutirao_chain::file::{self, Blocks, FileError};
use mutirao_chain::testing::Town;

fn written(town: &Town) -> Vec<u8> {
    let mut bytes = Vec::new();
    file::write(&mut bytes, town.chain.store()).expect("written");
    bytes
}

fn town() -> Town {
    let mut town = Town::new(3);
    for note in 0..3 {
        town.submit(note);
        town.chain.advance(2_000 + note as u64).expect("advances").expect("a block");
    }
    town
}

fn audited(bytes: &[u8]) -> Result<audit::Audit, AuditError> {
    let mut blocks = Blocks::open(bytes)?;
    let genesis = blocks.genesis().clone();
    let next = || blocks.next_block().transpose().map(|it| Ok(it.map(|(block, _)| block)?));
    audit::of_blocks(&genesis, std::iter::from_fn(next))
}

// spec: CHAIN-4.2, CHAIN-4.4
#[test]
fn a_replay_from_the_file_alone_comes_to_the_same_state_and_supply() {
    let town = town();
    let from_file = audited(&written(&town)).expect("it holds");
    let stored = audit::both(town.chain.store()).expect("exact");
    assert_eq!(from_file, stored);
    assert_eq!(stored.root, town.chain.stand().summary.root());
    assert_eq!((stored.transactions, stored.notes, stored.unspent), (4, 9, 6));
    assert_eq!(stored.minted - stored.destroyed, u128::from(stored.supply.0));
}

// spec: CHAIN-4.2
#[test]
fn no_bit_of_a_file_can_be_changed_unseen() {
    let bytes = written(&town());
    let head = Blocks::open(&bytes[..]).expect("it opens").head_bytes();
    for at in (0..bytes.len()).step_by(101).chain(0..head) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(audited(&changed).is_err(), "byte {at} of {}", bytes.len());
    }
}

// spec: CHAIN-4.2
#[test]
fn a_file_that_ends_early_or_is_another_is_refused_or_ends_with_a_whole_block() {
    let bytes = written(&town());
    let whole = audited(&bytes).expect("it holds").blocks;
    let mut ends = 0;
    for end in 0..bytes.len() {
        let mut blocks = match Blocks::open(&bytes[..end]) {
            Ok(blocks) => blocks,
            Err(error) => {
                assert!(matches!(error, FileError::Magic | FileError::Io(_)), "{error}");
                continue;
            }
        };
        let mut count = 0;
        let clean = loop {
            match blocks.next_block() {
                Ok(Some(_)) => count += 1,
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        assert!(count < whole);
        ends += usize::from(clean);
    }
    assert_eq!(ends as u64, whole, "it ends well only between two blocks");
    let huge = [&bytes[..16], &u32::MAX.to_le_bytes()].concat();
    assert!(matches!(Blocks::open(&huge[..]), Err(FileError::TooLong { .. })));
}
