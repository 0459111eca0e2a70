//! Writes what a fuzzer of the wallet begins with.
//!
//! ```text
//! cargo run --release -p mutirao-fuzz --example wallet_seeds
//! ```

use mutirao_ledger::cell::CellId;
use mutirao_ledger::key::SubaddressIndex;
use mutirao_ledger::key::address::Network;
use mutirao_ledger::note::{NoteIndex, To};
use mutirao_ledger::rules::Height;
use mutirao_ledger::testing::{Bank, Seeded};
use mutirao_wallet::book::{Act, Arrival, Book, Entry, Held, Paid, Reading, Sending, State};
use mutirao_wallet::keys::{Keys, Tier, ViewKey};
use mutirao_wallet::keystore::{self, Contents, Cost, Password, VaultKey};
use mutirao_wallet::vault;
use mutirao_wallet::words::Words;
use mutirao_wire::{Amount, Digest, Encode};
use std::error::Error;
use std::path::Path;

fn after(first: u8, rest: &[u8]) -> Vec<u8> {
    [&[first], rest].concat()
}

fn keystores() -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut rng = Seeded::new(1);
    let keys = Keys::new(Words::from_entropy(&[7; 32]));
    let vault = VaultKey::fresh(&mut rng);
    let lower = Keys::Receive(keys.receive());
    let contents = |keys| Contents { network: Network::Test, vault: vault.clone(), keys };
    let password = Password::new("correct horse".to_owned());
    let sealed = keystore::seal(&contents(keys.clone()), &password, Cost::LEAST, &mut rng)?;
    let book = vault::seal(&Book::new(3), &vault, &mut rng)?;
    Ok(vec![
        after(0, &sealed),
        after(0, &sealed[..90]),
        after(1, &sealed[..sealed.len() - 32]),
        after(2, &contents(keys).to_bytes()),
        after(2, &contents(lower).to_bytes()),
        after(3, &book),
    ])
}

fn books() -> (Book, Sending, Entry, Held) {
    let bank = Bank::new(2);
    let (wish, transaction) = (bank.wish(0), bank.transfer(0));
    let input = wish.inputs[0].clone();
    let id = transaction.id();
    let held = Held {
        index: input.index,
        tx: id,
        output: 0,
        height: Height(1),
        note: input.note.clone(),
        tag: Some([9; 32]),
        spent: None,
    };
    let To::Address(address) = wish.payments[0].to else { unreachable!("the bank pays somebody") };
    let paid = Paid {
        output: 1,
        address,
        opening: input.note.opening.clone(),
        anchor: [4; 16],
        memo: b"for the bricks".to_vec(),
    };
    let sending = Sending {
        id,
        transaction: Some(transaction),
        inputs: vec![input.index, NoteIndex(7)],
        paid: vec![paid],
        returns: Amount(1),
        fee: Amount(40),
        valid_until: Height(128),
        state: State::Waiting,
    };
    let arrival = Arrival {
        output: 0,
        address: SubaddressIndex(3),
        amount: Amount(5),
        memo: b"thanks".to_vec(),
    };
    let entry = Entry {
        tx: id,
        height: Height(1),
        time: 5,
        spent: Amount(2),
        returned: Amount(1),
        arrivals: vec![arrival],
        fee: Amount(40),
        minted: true,
        acts: vec![Act::DeedCame(CellId(Digest([1; 32])), Digest([2; 32]))],
    };
    let mut book = Book::new(3);
    let (height, notes, last) = (Height(1), 2, Digest([3; 32]));
    book.reading = Some(Reading { rules: bank.rules, height, notes, last });
    book.hold(held.clone());
    book.enter(entry.clone());
    book.send(sending.clone());
    (book, sending, entry, held)
}

fn wallets() -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let words = Words::from_entropy(&[7; 32]);
    let keys = Keys::new(words.clone());
    let view = |tier| ViewKey::new(&keys, tier, Network::Test, 4);
    let (book, sending, entry, held) = books();
    Ok(vec![
        after(0, view(Tier::Receive)?.reveal().as_bytes()),
        after(0, view(Tier::Balance)?.reveal().as_bytes()),
        after(0, words.reveal().as_bytes()),
        after(1, &book.to_bytes()),
        after(2, &sending.to_bytes()),
        after(3, &entry.to_bytes()),
        after(4, &held.to_bytes()),
        after(5, &keys.to_bytes()),
    ])
}

fn main() -> Result<(), Box<dyn Error>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, inputs) in [("keystore", keystores()?), ("wallet", wallets()?)] {
        std::fs::create_dir_all(corpus.join(target))?;
        for (at, input) in inputs.iter().enumerate() {
            std::fs::write(corpus.join(target).join(format!("seed-{at:02}")), input)?;
        }
    }
    Ok(())
}
