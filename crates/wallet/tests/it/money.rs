//! Paying and being paid.

use crate::world::{Chain, Person, payment};
use mutirao_ledger::key::SubaddressIndex;
use mutirao_ledger::note::memo::Memo;
use mutirao_ledger::note::{Payment, To};
use mutirao_ledger::rules::FeeLevel;
use mutirao_ledger::tx::SPENDS_MAX;
use mutirao_wallet::WalletError;
use mutirao_wallet::history::{Kind, Status};
use mutirao_wallet::proof::{self, CheckError, ProveError, Shown};
use mutirao_wallet::send::{Order, SendError};
use mutirao_wire::Amount;

// spec: WALLET-4.1, WALLET-4.5, WALLET-5.1
#[test]
fn a_payment_arrives_with_its_words_and_the_change_comes_back() {
    let (mut chain, mut ana, mut rui) = (Chain::new(1), Person::new(1), Person::new(2));
    chain.mint(&[(ana.address(), 1_000_000)]);
    ana.read(&mut chain).unwrap();
    assert_eq!(ana.spendable(), 1_000_000);

    let order = Order::pay(payment(rui.address(), 300_000, "três tijolos"));
    let fee = ana.act(&order, &mut chain).unwrap();
    let balance = ana.wallet.balance();
    assert_eq!((balance.spendable.0, balance.leaving.0), (0, 300_000 + fee));
    assert_eq!(balance.pending.0, 700_000 - fee);
    chain.mine();
    for person in [&mut ana, &mut rui] {
        person.read(&mut chain).unwrap();
    }
    assert_eq!(ana.spendable(), 700_000 - fee);
    assert_eq!(rui.spendable(), 300_000);

    let sent = ana.wallet.history();
    assert_eq!(sent.len(), 2);
    assert_eq!((sent[0].kind, sent[0].amount.0), (Kind::Made, 1_000_000));
    let line = &sent[1];
    assert_eq!((line.kind, line.status), (Kind::Sent, Status::Done));
    assert_eq!((line.amount.0, line.fee.0), (300_000, fee));
    assert_eq!(line.address, Some(rui.address().to_string()));
    assert_eq!((line.memo.as_str(), line.height), ("três tijolos", Some(2)));
    let came = rui.wallet.history();
    assert_eq!((came[0].kind, came[0].amount.0, came[0].fee.0), (Kind::Received, 300_000, 0));
    assert_eq!(came[0].memo, "três tijolos");
    assert_eq!(came[0].tx, line.tx);
}

// spec: WALLET-4.4
#[test]
fn a_subaddress_is_remembered_and_paid() {
    let (mut chain, mut ana) = (Chain::new(1), Person::new(1));
    let (index, address) = ana.wallet.new_address(&mut ana.rng).unwrap();
    assert_eq!(index, SubaddressIndex(1));
    let ana = ana.reopen();
    let mut ana = ana;
    let (next, other) = ana.wallet.new_address(&mut ana.rng).unwrap();
    assert_eq!(next, SubaddressIndex(2));
    chain.mint(&[(address, 5), (other, 7)]);
    ana.read(&mut chain).unwrap();
    assert_eq!(ana.spendable(), 12);
    let lines = ana.wallet.history();
    assert!(lines.iter().any(|line| line.address == Some(address.to_string())));
}

// spec: WALLET-5.1
#[test]
fn several_notes_pay_together_and_no_more_than_it_takes() {
    let (mut chain, mut ana, rui) = (Chain::new(1), Person::new(1), Person::new(2));
    chain.mint(&[(ana.address(), 100), (ana.address(), 200), (ana.address(), 5_000)]);
    ana.read(&mut chain).unwrap();
    let one = ana.prepare(&Order::pay(payment(rui.address(), 150, "")), &chain).unwrap();
    assert_eq!(one.inputs(), 1, "200 pays 150 and the fee of 30");
    let two = ana.prepare(&Order::pay(payment(rui.address(), 5_100, "")), &chain).unwrap();
    assert_eq!(two.inputs(), 2);
    let all = ana.prepare(&Order::pay(payment(rui.address(), 5_250, "")), &chain).unwrap();
    assert_eq!((all.inputs(), all.fee().0, all.returns().0), (3, 50, 0));
    let error = ana.prepare(&Order::pay(payment(rui.address(), 5_251, "")), &chain).unwrap_err();
    let (have, pending) = (Amount(5_300), Amount::ZERO);
    assert_eq!(error, SendError::TooLittle { have, need: Amount(5_301), pending });
}

// spec: WALLET-5.1
#[test]
fn all_of_it_can_be_sent_at_each_level() {
    let (mut chain, mut ana, mut rui) = (Chain::new(1), Person::new(1), Person::new(2));
    for level in FeeLevel::ALL {
        chain.mint(&[(ana.address(), 1_000), (ana.address(), 2_000)]);
        ana.read(&mut chain).unwrap();
        let order = Order { level, ..Order::pay(payment(rui.address(), 1, "")) };
        let draft = ana.wallet.prepare_all(&order, &mut ana.rng).unwrap();
        let fee = draft.fee().0;
        assert_eq!(draft.paid()[0].opening.amount.0, 3_000 - fee);
        ana.wallet.send(draft, &mut chain, &mut ana.rng).unwrap();
        chain.mine();
        ana.read(&mut chain).unwrap();
        assert_eq!(ana.spendable(), 0);
    }
    rui.read(&mut chain).unwrap();
    assert_eq!(rui.spendable(), 4 * 3_000 - 40 * 15);
}

// spec: WALLET-5.1
#[test]
fn scattered_notes_are_joined_first() {
    let (mut chain, mut ana, rui) = (Chain::new(1), Person::new(1), Person::new(2));
    for _ in 0..2 {
        chain.mint(&[(ana.address(), 1_000); 10]);
    }
    ana.read(&mut chain).unwrap();
    assert_eq!(ana.wallet.balance().notes, 20);
    let error = ana.pay(rui.address(), 18_000, &mut chain).unwrap_err();
    let wanted = SendError::Scattered { most: Amount(16_000) };
    assert!(matches!(error, WalletError::Send(error) if error == wanted));
    let draft = ana.wallet.prepare_join(FeeLevel::Normal, &mut ana.rng).unwrap();
    assert_eq!((draft.inputs(), draft.paid().len()), (SPENDS_MAX, 0));
    ana.wallet.send(draft, &mut chain, &mut ana.rng).unwrap();
    chain.mine();
    ana.read(&mut chain).unwrap();
    let joined = ana.wallet.history();
    assert_eq!(joined.last().unwrap().kind, Kind::Moved);
    ana.pay(rui.address(), 18_000, &mut chain).unwrap();
}

#[test]
fn several_payees_in_one_transaction_each_get_theirs() {
    let mut chain = Chain::new(1);
    let [mut ana, mut rui, mut eva] = [1, 2, 3].map(Person::new);
    chain.mint(&[(ana.address(), 10_000)]);
    ana.read(&mut chain).unwrap();
    let payments = vec![
        payment(rui.address(), 1_000, "one"),
        payment(eva.address(), 1_000, "two"),
        payment(ana.address(), 500, "to myself"),
    ];
    let order = Order { payments, ..Order::pay(payment(rui.address(), 1, "")) };
    ana.act(&order, &mut chain).unwrap();
    chain.mine();
    for person in [&mut ana, &mut rui, &mut eva] {
        person.read(&mut chain).unwrap();
    }
    assert_eq!((rui.spendable(), eva.spendable()), (1_000, 1_000));
    assert_eq!(rui.wallet.history()[0].memo, "one");
    assert_eq!(eva.wallet.history()[0].memo, "two");
    let lines = ana.wallet.history();
    let kinds: Vec<Kind> = lines.iter().map(|line| line.kind).collect();
    assert_eq!(kinds, [Kind::Made, Kind::Sent, Kind::Sent, Kind::Moved]);
    assert_eq!(lines[3].memo, "to myself");
    let fees: u64 = lines.iter().map(|line| line.fee.0).sum();
    assert_eq!(ana.spendable(), 10_000 - 2_000 - fees);
}

#[test]
fn nothing_and_the_other_network_are_refused() {
    let (mut chain, mut ana, rui) = (Chain::new(1), Person::new(1), Person::new(2));
    let unread = ana.prepare(&Order::pay(payment(rui.address(), 1, "")), &chain);
    assert_eq!(unread.unwrap_err(), SendError::Unread);
    chain.mint(&[(ana.address(), 10_000)]);
    ana.read(&mut chain).unwrap();
    let nothing = ana.prepare(&Order::pay(payment(rui.address(), 0, "")), &chain);
    assert_eq!(nothing.unwrap_err(), SendError::Nothing);
    let mut main = rui.address();
    main.network = mutirao_ledger::key::address::Network::Main;
    let other = ana.prepare(&Order::pay(payment(main, 5, "")), &chain);
    assert!(matches!(other.unwrap_err(), SendError::Network { .. }));
}

// spec: WALLET-6.1, WALLET-6.2
#[test]
fn a_payment_is_shown_to_a_third_party_who_has_no_wallet() {
    let (mut chain, mut ana, mut rui) = (Chain::new(1), Person::new(1), Person::new(2));
    chain.mint(&[(ana.address(), 10_000)]);
    ana.read(&mut chain).unwrap();
    ana.pay(rui.address(), 1_234, &mut chain).unwrap();
    let tx = ana.wallet.book().sendings()[0].id;
    let asked = proof::question("did you pay Rui? — Eva, 3rd of May");
    let early = ana.wallet.prove(tx, None, &asked, &mut chain, &mut ana.rng);
    assert_eq!(early.unwrap_err(), ProveError::Waiting);
    chain.mine();
    ana.read(&mut chain).unwrap();

    let shown = ana.wallet.prove(tx, None, &asked, &mut chain, &mut ana.rng).unwrap();
    let read: Shown = shown.to_string().parse().unwrap();
    let checked = proof::check(&read, &asked, &mut chain).unwrap();
    assert_eq!((checked.amount.0, checked.height.0), (1_234, 2));
    assert_eq!(checked.address, rui.address());

    let other = proof::question("did you pay Rui? — Eva, 4th of May");
    assert!(matches!(proof::check(&read, &other, &mut chain), Err(CheckError::Payment(_))));
    let mut elsewhere = Chain::new(2);
    let there = proof::check(&read, &asked, &mut elsewhere);
    assert_eq!(there.unwrap_err(), CheckError::NoTransaction);
    let text = shown.to_string();
    let mut changed = text.clone().into_bytes();
    changed[40] = if changed[40] == b'q' { b'p' } else { b'q' };
    assert!(String::from_utf8(changed).unwrap().parse::<Shown>().is_err());

    rui.read(&mut chain).unwrap();
    let payee = rui.wallet.prove(tx, None, &asked, &mut chain, &mut rui.rng);
    assert_eq!(payee.unwrap_err(), ProveError::Unknown);
}

#[test]
fn the_proof_of_one_of_several_payments_names_it() {
    let (mut chain, mut ana, rui) = (Chain::new(1), Person::new(1), Person::new(2));
    chain.mint(&[(ana.address(), 10_000)]);
    ana.read(&mut chain).unwrap();
    let pay = |amount| Payment { amount: Amount(amount), ..payment(rui.address(), 1, "") };
    let order = Order { payments: vec![pay(100), pay(200)], ..Order::pay(pay(1)) };
    ana.act(&order, &mut chain).unwrap();
    chain.mine();
    ana.read(&mut chain).unwrap();
    let sending = ana.wallet.book().sendings()[0].clone();
    let asked = proof::question("which?");
    let both = ana.wallet.prove(sending.id, None, &asked, &mut chain, &mut ana.rng);
    assert_eq!(both.unwrap_err(), ProveError::Which(2));
    for paid in &sending.paid {
        let output = Some(paid.output);
        let shown = ana.wallet.prove(sending.id, output, &asked, &mut chain, &mut ana.rng).unwrap();
        let checked = proof::check(&shown, &asked, &mut chain).unwrap();
        assert_eq!(checked.amount, paid.opening.amount);
    }
}

#[test]
fn a_memo_that_is_no_text_is_shown_as_bytes() {
    let (mut chain, mut ana, mut rui) = (Chain::new(1), Person::new(1), Person::new(2));
    chain.mint(&[(ana.address(), 10_000)]);
    ana.read(&mut chain).unwrap();
    let memo = Memo::new(&[0xff, 0xfe, 0xfd]).unwrap();
    let pay = Payment { to: To::Address(rui.address()), amount: Amount(9), memo };
    ana.act(&Order::pay(pay), &mut chain).unwrap();
    chain.mine();
    rui.read(&mut chain).unwrap();
    assert_eq!(rui.wallet.history()[0].memo, "(3 bytes)");
}
