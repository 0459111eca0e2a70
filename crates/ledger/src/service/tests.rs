//! Questions and answers come back as they were sent, and nothing else does.

use super::*;
use crate::cell::deed::Deed;
use crate::cell::till::Till;
use crate::curve::hash_to_point;
use crate::examine::History;
use crate::key::{Seed, SubaddressIndex};
use crate::rules::ChainId;
use crate::sealed::Tip;
use crate::testing::Bank;
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::OnceLock;

/// Transfers are slow to make: all cases share these.
fn transfers() -> &'static [Transaction] {
    static MADE: OnceLock<Vec<Transaction>> = OnceLock::new();
    MADE.get_or_init(|| {
        let bank = Bank::new(8);
        (0..4).map(|pair| bank.transfer(pair)).collect()
    })
}

fn arb_digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn arb_transaction() -> impl Strategy<Value = Transaction> {
    (0..4usize, any::<u64>()).prop_map(|(at, fee)| {
        let mut tx = transfers()[at].clone();
        tx.body.fee = Amount(fee);
        tx
    })
}

fn arb_network() -> impl Strategy<Value = Network> {
    prop_oneof![Just(Network::Main), Just(Network::Test)]
}

fn arb_address() -> impl Strategy<Value = Address> {
    (arb_network(), 0..3u64).prop_map(|(network, index)| {
        Seed::new(&[4; 64]).account(0).receive_key().address(network, SubaddressIndex(index))
    })
}

fn arb_cell() -> impl Strategy<Value = Cell> {
    let point = any::<u64>().prop_map(|at| hash_to_point("test", &[&at.to_le_bytes()]));
    let point = point.prop_map(|point| crate::curve::Point::new(point).unwrap());
    (point.clone(), point, any::<u64>(), any::<bool>()).prop_map(|(one, two, number, till)| {
        let deed = Deed { name: one, owner: two, born: Height(number) };
        if till { Cell::Till(Till::new(one, vec![], number)) } else { Cell::Deed(deed) }
    })
}

fn arb_question() -> impl Strategy<Value = Question> {
    prop_oneof![
        Just(Question::Head),
        Just(Question::Genesis),
        (any::<u64>(), any::<u16>())
            .prop_map(|(after, most)| Question::Compact { after: Height(after), most }),
        any::<u64>().prop_map(|height| Question::Block(Height(height))),
        arb_digest().prop_map(|id| Question::Transaction(TxId(id))),
        arb_transaction().prop_map(|tx| Question::Submit(Box::new(tx))),
        vec(arb_digest().prop_map(CellId), 0..=CELLS_MAX).prop_map(Question::Cells),
        (arb_address(), any::<u64>())
            .prop_map(|(address, amount)| Question::Faucet { address, amount: Amount(amount) }),
    ]
}

fn arb_sealed() -> impl Strategy<Value = Sealed> {
    (arb_digest(), any::<u64>(), vec(arb_transaction(), 1..4)).prop_map(|(root, now, all)| {
        Sealed::new(&Tip::genesis(ChainId(Digest([7; 32]))), now, root, all)
    })
}

fn arb_head() -> impl Strategy<Value = Head> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    (arb_digest(), arb_digest(), arb_network(), numbers).prop_map(
        |(chain, root, network, (unit, epoch, height, supply, time))| Head {
            rules: Rules::new(ChainId(chain), Amount(unit), epoch),
            network,
            height: Height(height),
            root,
            supply: Amount(supply),
            time,
        },
    )
}

fn arb_refusal() -> impl Strategy<Value = Refusal> {
    (0..RefusalKind::ALL.len(), ".{0,300}")
        .prop_map(|(kind, why)| Refusal::new(RefusalKind::ALL[kind], &why))
}

fn arb_answer() -> impl Strategy<Value = Answer> {
    let place = proptest::option::of((any::<u64>(), any::<u64>()));
    let place = place.prop_map(|place| {
        place.map(|(height, first)| Place { height: Height(height), first: NoteIndex(first) })
    });
    prop_oneof![
        arb_head().prop_map(Answer::Head),
        vec((arb_sealed(), 0..1_000_000u64), 0..4).prop_map(|all| {
            Answer::Compact(all.iter().map(|(block, notes)| Piece::new(block, *notes)).collect())
        }),
        arb_sealed().prop_map(|block| Answer::Block(Box::new(block))),
        (place, arb_transaction())
            .prop_map(|(place, tx)| Answer::Transaction { place, transaction: Box::new(tx) }),
        arb_digest().prop_map(|id| Answer::Accepted(TxId(id))),
        arb_refusal().prop_map(Answer::Refused),
        vec(proptest::option::of(arb_cell()), 0..4).prop_map(Answer::Cells),
        Just(Answer::Unknown),
        vec(any::<u8>(), 0..99).prop_map(Answer::Genesis),
    ]
}

/// What comes back is what was sent; a shorter or longer spelling is refused.
fn holds<T: Encode + Decode + PartialEq + std::fmt::Debug>(value: &T) {
    let bytes = value.to_bytes();
    assert_eq!(T::from_bytes(&bytes).as_ref(), Ok(value));
    for end in (0..bytes.len()).step_by(1 + bytes.len() / 64) {
        assert!(T::from_bytes(&bytes[..end]).is_err(), "{end} of {} bytes", bytes.len());
    }
    assert!(T::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // spec: CHAIN-6.1
    #[test]
    fn a_question_reads_back(question in arb_question()) {
        holds(&question);
    }

    // spec: CHAIN-6.1
    #[test]
    fn an_answer_reads_back(answer in arb_answer()) {
        holds(&answer);
    }

    // spec: CHAIN-6.1
    #[test]
    fn whatever_is_read_is_written_the_same(answer in arb_answer(), at: usize, byte: u8) {
        let mut bytes = answer.to_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(read) = Answer::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }

    // spec: CHAIN-6.1
    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        let _ = (Question::from_bytes(&bytes).is_ok(), Answer::from_bytes(&bytes).is_ok());
    }
}

// spec: CHAIN-6.1
#[test]
fn bounds_are_compared_before_anything_is_read() {
    for (bytes, what) in [(&[5u8, 65, 0, 0, 0][..], "cells"), (&[5, 255, 255, 255, 255], "cells")] {
        let error = Question::from_bytes(bytes).unwrap_err();
        assert!(matches!(error, DecodeError::TooLong { what: name, .. } if name == what));
    }
    let error = Answer::from_bytes(&[1, 1, 4, 0, 0]).unwrap_err();
    assert!(matches!(error, DecodeError::TooLong { what: "pieces", maximum: 1024, .. }));
    assert!(Question::from_bytes(&[8]).is_err() && Answer::from_bytes(&[9]).is_err());
}

// spec: CHAIN-6.2
#[test]
fn a_piece_is_shorter_than_its_block_and_counts_its_notes() {
    let bank = Bank::new(8);
    let tip = Tip::genesis(bank.rules.chain);
    let block = Sealed::new(&tip, 5, Digest([0; 32]), transfers().to_vec());
    let piece = Piece::new(&block, bank.state.note_count());
    assert!(piece.to_bytes().len() < block.to_bytes().len());
    let firsts: Vec<u64> = piece.transactions.iter().map(|tx| tx.first.0).collect();
    assert_eq!(firsts, [16, 18, 20, 22]);
    assert_eq!((piece.height, piece.time), (Height(1), 5));
}

#[test]
fn a_reason_is_cut_between_letters() {
    let refusal = Refusal::new(RefusalKind::Full, &"ã".repeat(400));
    assert_eq!(refusal.why, "ã".repeat(256));
    assert!(Refusal::from_bytes(&refusal.to_bytes()).is_ok());
    assert_eq!(Refusal::new(RefusalKind::Full, "").why, "");
}

#[test]
fn every_kind_of_refusal_says_what_to_do_next() {
    for (at, kind) in RefusalKind::ALL.into_iter().enumerate() {
        assert_eq!(usize::from(kind as u8), at);
        assert!(Refusal::new(kind, "why").to_string().starts_with("why; "));
    }
    let conflict = BlockError::Conflict { at: 0, error: Conflict::Expired { until: 1, height: 2 } };
    assert_eq!(Refusal::from(&conflict).kind, RefusalKind::Expired);
}
