//! The state machine: what it proposes holds, what is wrong is refused by name, what waits waits.

use super::*;
use crate::genesis::Allotment;
use crate::testing::{Town, seeded};
use mutirao_ledger::examine::Conflict;
use mutirao_ledger::key::{Seed, SubaddressIndex};

fn address(account: u64) -> Address {
    let key = Seed::new(&[3; 64]).account(account).receive_key();
    key.address(Network::Test, SubaddressIndex::MAIN)
}

/// Takes in one block after another until nobody wants anything.
fn settle(town: &mut Town) {
    while town.chain.advance(1_000).expect("advances").is_some() {}
}

// spec: CHAIN-3.1, CHAIN-3.3
#[test]
fn what_is_proposed_holds_elsewhere_and_leads_to_the_same_root() {
    let (mut one, mut two) = (Town::new(4), Town::twin(4));
    let all: Vec<_> = (0..4).map(|note| one.transfer(note)).collect();
    let outcome = one.chain.submit(all).expect("taken");
    assert!(outcome.iter().all(|it| matches!(it, Submitted::Waits(_))), "{outcome:?}");
    let block = one.chain.propose(&[], 5_000).expect("proposed").expect("there is something");
    assert_eq!(block.transactions.len(), 4);
    assert_eq!(two.chain.verify(&[], &block, 5_000).expect("judged"), Verdict::Holds);
    for chain in [&mut one.chain, &mut two.chain] {
        assert_eq!(chain.finalise(&block).expect("final"), Finalised::Applied);
    }
    assert_eq!(one.chain.stand(), two.chain.stand());
    assert_eq!(one.chain.stand().summary.root(), block.header.root);
}

// spec: CHAIN-3.3
#[test]
fn a_final_block_is_applied_once_and_another_of_its_height_is_a_split() {
    let mut town = Town::new(2);
    town.submit(0);
    let block = town.chain.advance(9).expect("advances").expect("a block");
    let (before, height) = (town.chain.stand().clone(), block.header.height.0);
    assert_eq!(town.chain.finalise(&block).expect("known"), Finalised::Already);
    assert_eq!(*town.chain.stand(), before);
    let mut other = block.clone();
    other.header.time += 1;
    let split = town.chain.finalise(&other);
    assert!(matches!(split, Err(FinaliseError::Split { height: at, .. }) if at == height));
    let mut far = block;
    far.header.height = Height(height + 2);
    assert!(matches!(town.chain.finalise(&far), Err(FinaliseError::Gap(Wait::Gap { .. }))));
    assert_eq!(*town.chain.stand(), before);
}

// spec: CHAIN-3.1, CHAIN-2.3
#[test]
fn whatever_is_changed_in_a_block_it_is_refused() {
    let (mut town, twin) = (Town::new(2), Town::twin(2));
    town.submit(0);
    let block = town.chain.propose(&[], 5_000).expect("proposed").expect("there is something");
    let tip = town.chain.tip();
    let mut chain = twin.chain;
    let mut refused = |block: &Sealed| match chain.verify(&[], block, 5_000).expect("judged") {
        Verdict::Refused(fault) => fault,
        other => panic!("{other:?}"),
    };
    let mut wrong = block.clone();
    wrong.header.root = Digest([9; 32]);
    assert_eq!(refused(&wrong), BlockFault::Root(block.header.height.0));
    wrong = block.clone();
    wrong.header.parent = BlockId(Digest([9; 32]));
    assert!(matches!(refused(&wrong), BlockFault::Seal(SealError::Parent { .. })));
    wrong = block.clone();
    wrong.header.time = tip.time - 1;
    assert!(matches!(refused(&wrong), BlockFault::Seal(SealError::Time { .. })));
    let mut forged = block.transactions.clone();
    forged[0].proofs.range[40] ^= 1;
    wrong = Sealed::new(&tip, 5_000, block.header.root, forged);
    assert_eq!(refused(&wrong), BlockFault::Block(BlockError::FalseProof));
    let twice = vec![block.transactions[0].clone(), block.transactions[0].clone()];
    wrong = Sealed::new(&tip, 5_000, block.header.root, twice);
    let spent = |error: &BlockError| {
        matches!(error, BlockError::Conflict { at: 1, error: Conflict::Spent(_) })
    };
    assert!(matches!(refused(&wrong), BlockFault::Block(error) if spent(&error)));
    assert_eq!(chain.verify(&[], &block, 5_000).expect("judged"), Verdict::Holds);
}

// spec: CHAIN-3.4
#[test]
fn a_block_from_the_future_or_from_beyond_a_gap_has_to_wait() {
    let (mut town, mut twin) = (Town::new(2), Town::twin(2));
    town.submit(0);
    let now = 1_000_000;
    let block = town.chain.propose(&[], now + CLOCK_SLACK_MS + 1).expect("proposed");
    let block = block.expect("there is something");
    let verdict = twin.chain.verify(&[], &block, now).expect("judged");
    assert!(matches!(verdict, Verdict::Pending(Wait::Clock { ahead_ms, .. }) if ahead_ms > 60_000));
    assert_eq!(twin.chain.verify(&[], &block, now + 1).expect("judged"), Verdict::Holds);
    let mut far = block;
    far.header.height = Height(far.header.height.0 + 1);
    let verdict = twin.chain.verify(&[], &far, now * 2).expect("judged");
    assert!(matches!(verdict, Verdict::Pending(Wait::Gap { .. })));
}

// spec: CHAIN-2.3, CHAIN-3.4
#[test]
fn a_clock_that_goes_back_does_not_stop_the_chain() {
    let mut town = Town::new(2);
    for (note, now) in [(0, 900_000_000), (1, 3)] {
        town.submit(note);
        town.chain.advance(now).expect("advances").expect("a block");
    }
    assert_eq!(town.chain.tip().time, 900_000_000);
}

// spec: CHAIN-3.1
#[test]
fn a_block_stands_upon_others_that_are_not_final() {
    let (mut town, mut twin) = (Town::new(4), Town::twin(4));
    town.submit(0);
    let under = town.chain.propose(&[], 10).expect("proposed").expect("there is something");
    town.submit(1);
    // The first is proposed again upon itself by nobody: what it took is gone there.
    let above = town.chain.propose(std::slice::from_ref(&under), 20).expect("proposed");
    let above = above.expect("the second");
    assert_eq!(above.transactions.len(), 1);
    assert_eq!(above.header.parent, under.header.id());
    let verdict = twin.chain.verify(std::slice::from_ref(&under), &above, 20);
    assert_eq!(verdict.expect("judged"), Verdict::Holds);
    let alone = twin.chain.verify(&[], &above, 20).expect("judged");
    assert!(matches!(alone, Verdict::Pending(Wait::Gap { .. })));
    for block in [&under, &above] {
        assert_eq!(twin.chain.finalise(block).expect("final"), Finalised::Applied);
        assert_eq!(town.chain.finalise(block).expect("final"), Finalised::Applied);
    }
    assert_eq!(twin.chain.stand(), town.chain.stand());
    assert_eq!(town.chain.waiting(), Standing::default());
}

// spec: CHAIN-3.2
#[test]
fn nobody_wants_anything_and_there_is_no_block() {
    let mut town = Town::new(2);
    assert_eq!(town.chain.propose(&[], 9).expect("asked"), None);
    assert!(!town.chain.has_work());
}

// spec: CHAIN-5.1, CHAIN-5.2
#[test]
fn what_is_wrong_is_refused_by_name_and_the_rest_of_the_batch_is_taken() {
    let mut town = Town::new(8);
    let good = town.transfer(0);
    let mut forged = town.transfer(1);
    forged.proofs.range[40] ^= 1;
    let mut other_chain = town.transfer(2);
    other_chain.body.chain.0.0[0] ^= 1;
    let mut expired = town.transfer(3);
    expired.body.valid_until = Height(0);
    let mut minted = town.transfer(4);
    minted.body.issue = Issue::Burn { amount: Amount(1) };
    let rival = town.transfer(0);
    let batch = vec![good.clone(), forged, other_chain, expired, minted, rival, good.clone()];
    let outcome = town.chain.submit(batch).expect("taken");
    let kinds: Vec<_> = outcome
        .iter()
        .map(|it| match it {
            Submitted::Refused(refusal) => Some(refusal.kind),
            _ => None,
        })
        .collect();
    use RefusalKind::{Expired, FalseProof, Malformed, Spent};
    let wanted = [
        None,
        Some(FalseProof),
        Some(Malformed),
        Some(Expired),
        Some(Malformed),
        Some(Spent),
        None,
    ];
    assert_eq!(kinds, wanted);
    assert_eq!(town.chain.waiting().transactions, 1);
    settle(&mut town);
    assert_eq!(
        town.chain.submit(vec![good.clone()]).expect("known"),
        [Submitted::Stands(good.id())]
    );
    let again = town.transfer(0);
    let spent = town.chain.submit(vec![again]).expect("judged");
    assert!(matches!(&spent[..], [Submitted::Refused(refusal)] if refusal.kind == Spent));
}

// spec: CHAIN-5.5
#[test]
fn a_transaction_that_waited_too_long_is_dropped_with_its_reason() {
    let mut town = Town::new(4);
    let next = town.chain.next_height();
    let late = town.transfer_until(0, next);
    let id = late.id();
    town.chain.submit(vec![late]).expect("taken");
    // Somebody else's block of that height does not have it.
    let mut twin = Town::twin(4);
    twin.submit(1);
    let block = twin.chain.propose(&[], 9).expect("proposed").expect("there is something");
    town.chain.finalise(&block).expect("final");
    let news = town.chain.news(Some(&block));
    let [(gone, refusal)] = &news.gone[..] else { panic!("{news:?}") };
    assert_eq!((*gone, refusal.kind), (id, RefusalKind::Expired));
}

// spec: CHAIN-1.3
#[test]
fn the_faucet_serves_many_at_once_within_its_bound() {
    let mut town = Town::new(0);
    let most = town.chain.store().genesis().faucet_most;
    let wish = |chain: &mut Chain, amount| chain.thirst(address(1), Amount(amount));
    for wrong in [0, most.0 + 1] {
        let refusal = wish(&mut town.chain, wrong).expect_err("out of bounds");
        assert_eq!(refusal.kind, RefusalKind::Faucet);
    }
    let numbers: Vec<u64> =
        (0..20).map(|_| wish(&mut town.chain, most.0 / 40).expect("waits")).collect();
    let mut served = Vec::new();
    while let Some(block) = town.chain.advance(9).expect("advances") {
        assert_eq!(block.transactions.len(), 1);
        served.extend(town.chain.news(Some(&block)).served.into_iter().map(|(number, _)| number));
    }
    assert_eq!(served, numbers);
    assert_eq!(town.chain.stand().tip.height.0, 2, "fifteen, then five");
    assert_eq!(town.chain.stand().summary.supply.0, 20 * (most.0 / 40));
}

// spec: CHAIN-1.3
#[test]
fn there_is_no_faucet_on_the_main_network() {
    let folder = tempfile::tempdir().expect("a folder");
    let main =
        Genesis { network: Network::Main, faucet_most: Amount::ZERO, ..Genesis::test("main") };
    let mut chain = Chain::create(folder.path(), &main, 1, seeded(1)).expect("begun");
    let refusal = chain.thirst(address(1), Amount(1)).expect_err("the main network");
    assert_eq!(refusal.kind, RefusalKind::NotATestNetwork);
}

// spec: CHAIN-1.4
#[test]
fn a_first_block_that_does_not_begin_as_the_genesis_says_is_refused() {
    let allot = |account, amount| Allotment { address: address(account), amount: Amount(amount) };
    let allotments = vec![allot(1, 70), allot(2, 30)];
    let genesis = Genesis { allotments, ..Genesis::test("allots") };
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let create = |at: usize| {
        Chain::create(folders[at].path(), &genesis, 1, seeded(at as u64)).expect("begun")
    };
    let (mut one, mut two) = (create(0), create(1));
    assert!(one.has_work());
    let block = one.propose(&[], 5).expect("proposed").expect("value is allotted");
    assert_eq!(two.verify(&[], &block, 5).expect("judged"), Verdict::Holds);
    // As much, for somebody else.
    let pay = [(address(9), Amount(100))];
    let other = genesis::mint(&genesis.rules(), Height(1), &pay, &mut seeded(5)).expect("made");
    let thief = Sealed::new(&one.tip(), 5, block.header.root, vec![other.transaction]);
    let verdict = two.verify(&[], &thief, 5).expect("judged");
    assert_eq!(verdict, Verdict::Refused(BlockFault::First));
    one.finalise(&block).expect("final");
    assert_eq!(one.stand().summary.supply, Amount(100));
    assert!(!one.has_work());
}
