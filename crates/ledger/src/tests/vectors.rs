//! Bytes that were frozen: keys, addresses, proofs and ids come out the same, and still hold.

use crate::testing::{Bank, frozen};
use crate::tx::Transaction;
use mutirao_wire::Decode;

const FROZEN: &str = include_str!("../../../../vectors/ledger/frozen.txt");

// spec: LEDGER-1.1, LEDGER-2.4, LEDGER-5.1, LEDGER-5.2, LEDGER-6.1
#[test]
fn frozen_examples_come_out_the_same() {
    for (now, then) in frozen().lines().zip(FROZEN.lines()) {
        assert_eq!(now, then);
    }
    assert_eq!(frozen().lines().count(), FROZEN.lines().count());
}

// spec: LEDGER-5.7
#[test]
fn the_frozen_transaction_still_holds() {
    let line = FROZEN.lines().find_map(|line| line.strip_prefix("transaction ")).unwrap();
    let bytes = data_encoding::HEXLOWER.decode(line.as_bytes()).unwrap();
    let tx = Transaction::from_bytes(&bytes).unwrap();
    let bank = Bank::new(2);
    assert!(crate::block::admit(&tx, &bank.state, &bank.rules, bank.height).is_ok());
}
