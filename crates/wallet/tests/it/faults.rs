//! Ledgers that lie, disappear or refuse, and machines that are switched off at the wrong moment.

use crate::world::{Chain, Person, open, password, payment};
use mutirao_ledger::rules::Rules;
use mutirao_ledger::service::{Piece, Question, RefusalKind};
use mutirao_wallet::book::State;
use mutirao_wallet::history::Status;
use mutirao_wallet::keystore::{KeystoreError, Password};
use mutirao_wallet::read::ReadError;
use mutirao_wallet::send::{Order, SendError};
use mutirao_wallet::shelf::ShelfError;
use mutirao_wallet::vault::VaultError;
use mutirao_wallet::{Wallet, WalletError};
use mutirao_wire::Amount;
use std::fs;

/// Two people and a chain where the first has two notes.
fn scene() -> (Chain, Person, Person) {
    let (mut chain, mut ana, rui) = (Chain::new(1), Person::new(1), Person::new(2));
    chain.mint(&[(ana.address(), 10_000), (ana.address(), 20_000)]);
    ana.read(&mut chain).unwrap();
    (chain, ana, rui)
}

fn read_error(error: WalletError) -> ReadError {
    match error {
        WalletError::Read(error) => error,
        other => panic!("{other}"),
    }
}

// spec: WALLET-4.2
#[test]
fn another_chain_is_refused_and_nothing_is_forgotten() {
    let (_, mut ana, _) = scene();
    let mut other = Chain::new(2);
    other.mint(&[(ana.address(), 77)]);
    let error = read_error(ana.read(&mut other).unwrap_err());
    assert!(matches!(error, ReadError::Chain { .. }), "{error}");
    assert_eq!(ana.spendable(), 30_000);
}

// spec: WALLET-4.2
#[test]
fn a_shorter_chain_other_fees_and_another_past_are_noticed() {
    let (chain, mut ana, _) = scene();
    let mut longer = chain.clone();
    longer.idle(1);
    ana.read(&mut longer).unwrap();
    let error = read_error(ana.read(&mut chain.clone()).unwrap_err());
    assert_eq!(error, ReadError::Shorter { known: 2, given: 1 });

    let mut dearer = longer.clone();
    dearer.rules = Rules::new(dearer.rules.chain, Amount(1_000), 4);
    assert_eq!(read_error(ana.read(&mut dearer).unwrap_err()), ReadError::Rules);

    let mut fork = chain;
    fork.mint(&[(ana.address(), 5)]);
    fork.idle(1);
    let error = read_error(ana.read(&mut fork).unwrap_err());
    assert_eq!(error, ReadError::OtherPast { height: 2 });
    assert_eq!(ana.spendable(), 30_000);
}

// spec: WALLET-4.2
#[test]
fn a_stream_that_leaves_out_or_makes_up_is_noticed() {
    let lies: [fn(&mut Vec<Piece>); 5] = [
        |pieces| drop(pieces.remove(0)),
        |pieces| drop(pieces[0].transactions.pop()),
        |pieces| pieces[0].transactions.extend_from_within(..1),
        |pieces| pieces.swap(0, 1),
        |pieces| pieces[0].transactions[0].id.0.0[0] ^= 1,
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let (mut chain, mut ana) = (Chain::new(1), Person::new(1));
        chain.mint(&[(ana.address(), 10_000)]);
        chain.mint(&[(ana.address(), 20_000)]);
        chain.lie = Some(lie);
        let error = read_error(ana.read(&mut chain).unwrap_err());
        assert!(matches!(error, ReadError::Contradiction { .. }), "lie {number}: {error}");
        chain.lie = None;
        ana.read(&mut chain).unwrap();
        assert_eq!(ana.spendable(), 30_000, "lie {number}");
    }
}

/// A note that is there twice: its key is the same, so whoever spends one has spent both. A sender
/// who could make a receiver count both would have burned half of what it was paid with. The law
/// refuses the second; a wallet does not rely on it.
// spec: WALLET-4.3
#[test]
fn a_note_that_is_there_twice_counts_once() {
    let (mut chain, mut ana) = (Chain::new(1), Person::new(1));
    chain.mint(&[(ana.address(), 10_000)]);
    let mut twice = chain.clone();
    let mut block = twice.blocks[0].clone();
    block.header.height.0 = 2;
    twice.blocks.push(block);
    twice.state.summary.height.0 = 2;
    twice.lie = None;
    let notes = chain.blocks[0].transactions[0].body.outputs.len() as u64;
    twice.pretend_notes(&[0, notes]);
    ana.read(&mut twice).unwrap();
    assert_eq!(ana.spendable(), 10_000);
    assert_eq!(ana.wallet.balance().notes, 1);
    assert_eq!(ana.wallet.history().len(), 1);
}

// spec: WALLET-5.2
#[test]
fn what_is_on_its_way_is_not_spent_again() {
    let (mut chain, mut ana, rui) = scene();
    let order = Order::pay(payment(rui.address(), 15_000, ""));
    let stale = ana.prepare(&order, &chain).unwrap();
    let fee = ana.act(&order, &mut chain).unwrap();
    assert_eq!(ana.spendable(), 10_000);
    let error = ana.wallet.send(stale, &mut chain, &mut ana.rng).unwrap_err();
    assert!(matches!(error, WalletError::Send(SendError::Stale)), "{error}");
    let error = ana.pay(rui.address(), 12_000, &mut chain).unwrap_err();
    let pending = Amount(5_000 - fee);
    let short = |error: &WalletError| match error {
        WalletError::Send(SendError::TooLittle { pending, .. }) => Some(*pending),
        _ => None,
    };
    assert_eq!(short(&error), Some(pending), "{error}");
    ana.pay(rui.address(), 9_000, &mut chain).unwrap();
    chain.mine();
    let mut ana = ana.reopen();
    ana.read(&mut chain).unwrap();
    assert_eq!(ana.wallet.balance().pending, Amount::ZERO);
    assert_eq!(ana.spendable(), 30_000 - 15_000 - 9_000 - 2 * fee);
}

// spec: WALLET-5.3
#[test]
fn what_never_stood_in_a_block_gives_its_notes_back() {
    let (mut chain, mut ana, rui) = scene();
    ana.pay(rui.address(), 15_000, &mut chain).unwrap();
    let until = ana.wallet.book().sendings()[0].valid_until.0;
    chain.waiting.clear();
    chain.refuses = Some(RefusalKind::Full);
    chain.idle(until - 1 - chain.height().0);
    ana.read(&mut chain).unwrap();
    assert_eq!(ana.spendable(), 10_000, "one block is left to it");
    chain.idle(1);
    ana.read(&mut chain).unwrap();
    assert_eq!(ana.spendable(), 30_000);
    assert_eq!(ana.wallet.book().sendings()[0].state, State::Expired);
    let line = ana.wallet.history().pop().unwrap();
    assert_eq!((line.status, line.memo.as_str()), (Status::Failed, "[expired]"));
}

// spec: WALLET-5.3
#[test]
fn a_kill_between_writing_down_and_sending_loses_no_payment_and_makes_no_second() {
    let (mut chain, mut ana, mut rui) = scene();
    chain.deaf = true;
    let error = ana.pay(rui.address(), 15_000, &mut chain).unwrap_err();
    assert!(matches!(error, WalletError::Send(SendError::Unsent(_))), "{error}");
    let mut ana = ana.reopen();
    assert_eq!(ana.spendable(), 10_000, "the notes are promised");
    chain.deaf = false;
    ana.read(&mut chain).unwrap();
    assert_eq!(chain.waiting.len(), 1, "it went out");
    ana.read(&mut chain).unwrap();
    assert_eq!(chain.waiting.len(), 1, "once");
    chain.mine();
    ana.read(&mut chain).unwrap();
    rui.read(&mut chain).unwrap();
    assert_eq!(rui.spendable(), 15_000);
    assert!(matches!(ana.wallet.book().sendings()[0].state, State::Confirmed(_)));
}

/// Somebody says no to a payment and puts it into a block later. Whoever pays again then must not
/// pay twice.
// spec: WALLET-5.4
#[test]
fn a_refused_payment_that_turns_up_later_does_not_count_beside_its_repetition() {
    let (mut chain, mut ana, mut rui) = scene();
    let order = Order::pay(payment(rui.address(), 15_000, ""));
    let first = ana.prepare(&order, &chain).unwrap();
    let mut keeper = chain.clone();
    chain.refuses = Some(RefusalKind::Full);
    let error = ana.wallet.send(first, &mut chain, &mut ana.rng).unwrap_err();
    assert!(matches!(error, WalletError::Send(SendError::Refused(_))), "{error}");
    assert_eq!(ana.spendable(), 30_000, "refused: the notes are free");
    let Some(Question::Submit(kept)) = chain.asked.pop() else { panic!("nothing was sent") };
    keeper.waiting.push(*kept);

    chain.refuses = None;
    ana.pay(rui.address(), 8_000, &mut chain).unwrap();
    let again = chain.waiting[0].body.spends[0].tag;
    let shared = keeper.waiting[0].body.spends.iter().any(|spend| spend.tag == again);
    assert!(shared, "the second payment spends a note of the first");
    keeper.mine();
    ana.read(&mut keeper).unwrap();
    rui.read(&mut keeper).unwrap();
    assert_eq!(rui.spendable(), 15_000);
    let states: Vec<_> = ana.wallet.book().sendings().iter().map(|it| it.state.clone()).collect();
    assert!(matches!(states[..], [State::Confirmed(_), State::Overtaken]), "{states:?}");
}

// spec: WALLET-4.2
#[test]
fn a_ledger_that_begins_in_the_middle_is_not_read() {
    let (mut chain, mut ana) = (Chain::new(1), Person::new(1));
    chain.mint(&[(ana.address(), 10_000)]);
    chain.lie = Some(Vec::clear);
    let error = read_error(ana.read(&mut chain).unwrap_err());
    assert_eq!(error, ReadError::Forgotten { after: 0 });
}

#[test]
fn a_ledger_that_is_silent_changes_nothing() {
    let (mut chain, mut ana, _) = scene();
    chain.idle(2);
    chain.silent = true;
    let error = read_error(ana.read(&mut chain).unwrap_err());
    assert!(matches!(error, ReadError::Unreachable(_)), "{error}");
    assert_eq!(ana.spendable(), 30_000);
}

// spec: WALLET-2.3, WALLET-3.1
#[test]
fn each_way_a_wallet_does_not_open_has_its_own_words() {
    let (_, ana, _) = scene();
    let folder = ana.folder();
    let Person { place, wallet, mut rng } = ana;
    drop(wallet);
    let wrong = Wallet::open(&folder, &Password::new("incorrect horse".into())).unwrap_err();
    assert!(matches!(wrong, WalletError::Keystore(KeystoreError::Password)), "{wrong}");

    let (keys, book) = (folder.join("keys"), folder.join("book"));
    let whole = fs::read(&keys).unwrap();
    fs::write(&keys, &whole[..whole.len() / 2]).unwrap();
    let short = open(&folder).unwrap_err();
    assert!(matches!(short, WalletError::Keystore(KeystoreError::Truncated { .. })), "{short}");
    let mut changed = whole.clone();
    changed[50] ^= 1;
    fs::write(&keys, &changed).unwrap();
    let corrupt = open(&folder).unwrap_err();
    assert!(matches!(corrupt, WalletError::Keystore(KeystoreError::Corrupt)), "{corrupt}");
    fs::write(&keys, &whole).unwrap();

    let written = fs::read(&book).unwrap();
    fs::write(&book, &written[..written.len() - 1]).unwrap();
    let damaged = open(&folder).unwrap_err();
    assert!(matches!(damaged, WalletError::Vault(VaultError::Sealed)), "{damaged}");
    assert!(damaged.to_string().contains("--rescan"));
    let anew = Wallet::open_anew(&folder, &password(), &mut rng).unwrap();
    assert_eq!(anew.balance().spendable, Amount::ZERO);
    assert!(folder.join("book.old").exists());
    drop(anew);
    drop(place);
    let gone = open(&folder).unwrap_err();
    assert!(matches!(gone, WalletError::Shelf(ShelfError::NoWallet { .. })), "{gone}");
}

// spec: WALLET-3.3
#[test]
fn reading_anew_finds_the_same_and_keeps_to_whom_was_paid() {
    let (mut chain, mut ana, rui) = scene();
    ana.pay(rui.address(), 15_000, &mut chain).unwrap();
    chain.mine();
    ana.read(&mut chain).unwrap();
    let (balance, history) = (ana.wallet.balance(), ana.wallet.history());
    let folder = ana.folder();
    let Person { place, wallet, mut rng } = ana;
    drop(wallet);
    let mut anew = Wallet::open_anew(&folder, &password(), &mut rng).unwrap();
    anew.read(&mut chain, &mut rng).unwrap();
    assert_eq!((anew.balance(), anew.history()), (balance, history));
    drop(place);
}

#[test]
fn another_password_opens_the_same_wallet() {
    let (_, mut ana, _) = scene();
    let other = Password::new("battery staple".into());
    let cost = mutirao_wallet::keystore::Cost::LEAST;
    ana.wallet.change_password(&other, cost, &mut ana.rng).unwrap();
    let folder = ana.folder();
    let Person { place, wallet, .. } = ana;
    drop(wallet);
    assert!(matches!(open(&folder), Err(WalletError::Keystore(KeystoreError::Password))));
    assert_eq!(Wallet::open(&folder, &other).unwrap().balance().spendable, Amount(30_000));
    drop(place);
}
