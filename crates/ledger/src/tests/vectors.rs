//! Bytes that were frozen: keys, addresses, proofs and ids come out the same, and still hold.

use crate::cell::Cell;
use crate::cell::channel::{Drawn, Voucher, voucher};
use crate::commit::Opening;
use crate::testing::{Bank, Shop, frozen};
use crate::tx::Transaction;
use mutirao_wire::{Decode, Encode};

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

fn line(name: &str) -> Vec<u8> {
    let start = format!("{name} ");
    let line = FROZEN.lines().find_map(|line| line.strip_prefix(&start)).expect("a line");
    data_encoding::HEXLOWER.decode(line.as_bytes()).unwrap()
}

// spec: LEDGER-12.3, LEDGER-12.5
#[test]
fn the_frozen_voucher_and_the_frozen_close_still_hold() {
    let shop = Shop::new(1);
    let voucher = Voucher::from_bytes(&line("voucher")).unwrap();
    let opening = Opening::from_bytes(&line("voucher_opening")).unwrap();
    let mut holder = shop.holder(0);
    assert!(voucher::verify(&shop.bank.rules.chain, &[(&voucher, holder.voucher_key())]));
    assert!(holder.accept(Drawn { voucher, opening }).is_ok());
    let close = Transaction::from_bytes(&line("channel_close")).unwrap();
    let bank = &shop.bank;
    assert!(crate::block::admit(&close, &bank.state, &bank.rules, bank.height).is_ok());
}

// spec: LEDGER-5.1
#[test]
fn frozen_cells_are_read_and_written_and_no_flipped_byte_is_the_same_cell() {
    for name in ["channel_cell", "channel_closed_cell", "bond_cell", "challenge_cell"] {
        let bytes = line(name);
        let cell = Cell::from_bytes(&bytes).unwrap();
        assert_eq!(cell.to_bytes(), bytes, "{name}");
        for at in 0..bytes.len() {
            assert!(Cell::from_bytes(&bytes[..at]).is_err(), "{name} {at}");
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_ne!(Cell::from_bytes(&changed), Ok(cell.clone()), "{name} {at}");
        }
    }
}
