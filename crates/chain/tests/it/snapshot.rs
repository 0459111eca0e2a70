//! Machines that begin in the middle of a chain.

use mutirao_chain::snapshot::{self, SnapshotError};
use mutirao_chain::testing::{Town, seeded};
use mutirao_chain::{Chain, Finalised, StateMachine, audit};
use mutirao_ledger::rules::Height;
use mutirao_ledger::sealed::BlockId;
use mutirao_wire::Digest;

fn taken(town: &Town) -> (Vec<u8>, BlockId) {
    let mut bytes = Vec::new();
    let block = snapshot::write(&mut bytes, town.chain.store()).expect("written");
    (bytes, block)
}

// spec: CHAIN-4.5
#[test]
fn a_machine_that_begins_with_a_snapshot_goes_on_like_the_others() {
    let mut town = Town::new(4);
    town.submit(0);
    town.chain.advance(2_000).expect("advances").expect("a block");
    let (bytes, block) = taken(&town);
    let folder = tempfile::tempdir().expect("a folder");
    let store = snapshot::read(&bytes, town.chain.rules().chain, block, folder.path())
        .expect("it is right");
    let mut late = Chain::over(store, 1, seeded(9)).expect("opened");
    assert_eq!(late.stand(), town.chain.stand());
    town.submit(1);
    let next = town.chain.advance(3_000).expect("advances").expect("a block");
    assert_eq!(late.finalise(&next).expect("final"), Finalised::Applied);
    assert_eq!(late.stand(), town.chain.stand());
    // What it does not have it says it does not have.
    let store = late.store();
    assert_eq!(store.first_block().expect("read"), Some(next.header.height));
    assert_eq!(store.block(Height(1)).expect("read"), None);
    assert!(matches!(audit::of_store(store), Err(audit::AuditError::Missing(1))));
    // A note that was spent before is spent there too.
    let again = town.transfer(0);
    let outcome = late.submit(vec![again]).expect("judged");
    assert!(matches!(&outcome[..], [mutirao_chain::Submitted::Refused(_)]), "{outcome:?}");
}

// spec: CHAIN-4.5
#[test]
fn a_snapshot_that_was_changed_anywhere_is_refused_and_leaves_nothing() {
    let mut town = Town::new(3);
    town.submit(0);
    town.chain.advance(2_000).expect("advances").expect("a block");
    let (bytes, block) = taken(&town);
    let folder = tempfile::tempdir().expect("a folder");
    let chain = town.chain.rules().chain;
    let read = |bytes: &[u8], block| snapshot::read(bytes, chain, block, folder.path());
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(read(&changed, block).is_err(), "byte {at}");
    }
    for end in 0..bytes.len() {
        assert!(read(&bytes[..end], block).is_err(), "{end} bytes");
    }
    let other = read(&bytes, BlockId(Digest([1; 32])));
    assert!(matches!(other, Err(SnapshotError::Block { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 0);
}

#[test]
fn there_is_no_snapshot_of_nothing() {
    let town = Town::new(0);
    let empty = snapshot::write(&mut Vec::new(), town.chain.store());
    assert!(matches!(empty, Err(SnapshotError::Empty)));
}
