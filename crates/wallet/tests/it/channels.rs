//! Channels from both sides: paying through one, closing, taking back, and what is lost when
//! something is lost.

use crate::world::{Chain, Person};
use mutirao_ledger::build::Plan;
use mutirao_ledger::cell::channel::{Drawn, OpenPlan, VoucherError};
use mutirao_ledger::cell::till::{self, Share};
use mutirao_ledger::cell::{Cell, CellId, Cells};
use mutirao_ledger::rules::{FeeLevel, Height};
use mutirao_wallet::earning::{Earning, Terms};
use mutirao_wallet::keys::Keys;
use mutirao_wallet::send::Order;
use mutirao_wallet::words::Words;
use mutirao_wallet::{Wallet, WalletError};
use mutirao_wire::{Amount, Digest};

/// When the channels of these tests expire.
const EXPIRY: Height = Height(40);

/// A payer, a payee and a creator, with a till that passes a fifth on to the creator's ancestor.
struct Street {
    chain: Chain,
    payer: Person,
    payee: Person,
    creator: Person,
    tills: [CellId; 2],
    channel: CellId,
    number: u64,
}

fn read(person: &mut Person, chain: &mut Chain) {
    person.read(chain).unwrap();
}

/// Sends, mines and reads.
fn step(
    person: &mut Person,
    chain: &mut Chain,
    prepare: impl FnOnce(
        &Wallet,
        &mut Chain,
        &mut mutirao_ledger::testing::Seeded,
    ) -> mutirao_wallet::send::Draft,
) -> u64 {
    let draft = prepare(&person.wallet, chain, &mut person.rng);
    let fee = draft.fee().0;
    person.wallet.send(draft, chain, &mut person.rng).unwrap();
    chain.mine();
    read(person, chain);
    fee
}

fn open_till(person: &mut Person, chain: &mut Chain, shares: Vec<Share>) -> CellId {
    let number = person.wallet.book().tills.len() as u64;
    let key = person.wallet.spender().unwrap().till_key(number);
    let plan = Plan::OpenTill(till::OpenPlan { key, shares });
    let order = Order { payments: vec![], plans: vec![plan], level: FeeLevel::Normal };
    person.act(&order, chain).unwrap();
    chain.mine();
    read(person, chain);
    person.wallet.book().tills.last().unwrap().cell
}

impl Street {
    fn new() -> Self {
        let (mut chain, mut payer, mut payee) = (Chain::new(3), Person::new(1), Person::new(2));
        let mut creator = Person::new(3);
        for person in [&payer, &payee, &creator] {
            chain.mint(&[(person.address(), 100_000)]);
        }
        for person in [&mut payer, &mut payee, &mut creator] {
            read(person, &mut chain);
        }
        let ancestor = open_till(&mut creator, &mut chain, vec![]);
        let share = Share { till: ancestor, basis_points: 2_000 };
        let till = open_till(&mut creator, &mut chain, vec![share]);
        let royalties = vec![Share { till, basis_points: 500 }];
        let (number, point) = payee.wallet.new_payee(&mut payee.rng).unwrap();
        let open = OpenPlan { amount: Amount(20_000), payee: point, royalties, expiry: EXPIRY };
        step(&mut payer, &mut chain, |wallet, chain, rng| {
            wallet.prepare_channel(open, chain, rng).unwrap()
        });
        let channel = payer.wallet.channels()[0].cell;
        let tills = [till, ancestor];
        let mut street = Self { chain, payer, payee, creator, tills, channel, number };
        street.receive().unwrap();
        street
    }

    fn terms(&self) -> Terms {
        let royalties = vec![Share { till: self.tills[0], basis_points: 500 }];
        Terms { royalties, deposit: Amount(10_000), expiry: Height(30) }
    }

    fn receive(&mut self) -> Result<Earning, WalletError> {
        let (told, terms) = (self.payer.wallet.told(self.channel).unwrap(), self.terms());
        read(&mut self.payee, &mut self.chain);
        let Person { wallet, rng, .. } = &mut self.payee;
        wallet.receive_channel(self.channel, (self.number, told), &terms, &mut self.chain, rng)
    }

    /// The payer draws; what leaves its machine.
    fn draw(&mut self, more: u64) -> Drawn {
        let Person { wallet, rng, .. } = &mut self.payer;
        let mut drawer = wallet.drawer(self.channel).unwrap();
        let drawn = drawer.draw(Amount(more), Digest([9; 32]), rng).unwrap();
        wallet.notes().keep_progress(self.channel, drawer.progress(), false, rng).unwrap();
        drawn
    }

    /// The payee takes it and keeps it.
    fn take(&mut self, drawn: Drawn) -> Result<Amount, VoucherError> {
        let Person { wallet, rng, .. } = &mut self.payee;
        let earning = wallet.notes().earning(self.channel).unwrap().unwrap();
        let mut holder = wallet.holder(self.channel, &earning).unwrap();
        let more = holder.accept(drawn)?;
        let earning = Earning { best: holder.best().cloned(), ..earning };
        wallet.notes().keep_earning(self.channel, &earning, false, rng).unwrap();
        Ok(more)
    }

    fn pay(&mut self, more: u64) {
        let drawn = self.draw(more);
        assert_eq!(self.take(drawn), Ok(Amount(more)));
    }

    fn close(&mut self) -> u64 {
        let channel = self.channel;
        read(&mut self.payee, &mut self.chain);
        step(&mut self.payee, &mut self.chain, |wallet, chain, rng| {
            wallet.prepare_close(channel, chain, rng).unwrap().unwrap()
        })
    }

    fn refund(&mut self) -> u64 {
        let channel = self.channel;
        read(&mut self.payer, &mut self.chain);
        step(&mut self.payer, &mut self.chain, |wallet, chain, rng| {
            wallet.prepare_refund(channel, chain, rng).unwrap()
        })
    }

    /// The payer on another machine, from its words.
    fn lose_the_payers_machine(&mut self) {
        let words = Words::parse(&self.payer.wallet.spender().unwrap().words().reveal()).unwrap();
        self.payer = Person::of(Keys::new(words), 0);
        read(&mut self.payer, &mut self.chain);
    }
}

// spec: WALLET-7.1, WALLET-7.2, WALLET-7.3, WALLET-7.6
#[test]
fn what_is_paid_reaches_payee_and_creators_and_the_rest_comes_back() {
    let mut street = Street::new();
    assert_eq!(street.payer.wallet.balance().in_channels, Amount(20_000));
    let (payer, payee) = (street.payer.spendable(), street.payee.spendable());
    (0..10).for_each(|_| street.pay(700));
    let fee = street.close();
    assert_eq!(street.payee.spendable(), payee + 7_000 - 350 - fee);
    let fee = street.refund();
    assert_eq!(street.payer.spendable(), payer + 13_000 - fee);
    assert_eq!(street.payer.wallet.balance().in_channels, Amount(0));
    assert!(street.chain.cell(&street.channel).is_none());
    let Some(Cell::Till(till)) = street.chain.cell(&street.tills[0]) else { panic!("no till") };
    let key = street.creator.wallet.spender().unwrap().till_key(1);
    assert!(till.current.holds(&key, Amount(350)), "a twentieth");
    let words: Vec<String> =
        street.payer.wallet.history().iter().map(|it| it.memo.clone()).collect();
    for wanted in ["opened channel", "took back what channel"] {
        assert!(words.iter().any(|memo| memo.starts_with(wanted)), "{words:?}");
    }
}

// spec: WALLET-7.1
#[test]
fn a_channel_can_be_topped_up_and_all_of_it_paid() {
    let mut street = Street::new();
    street.pay(19_000);
    let channel = street.channel;
    step(&mut street.payer, &mut street.chain, |wallet, chain, rng| {
        wallet.prepare_top_up(channel, Amount(5_000), chain, rng).unwrap()
    });
    street.receive().unwrap();
    street.pay(6_000);
    let payee = street.payee.spendable();
    let fee = street.close();
    assert_eq!(street.payee.spendable(), payee + 25_000 - 1_250 - fee);
    let Some(Cell::Channel(rest)) = street.chain.cell(&channel) else { panic!("no channel") };
    assert!(!rest.is_open(), "what is left is nothing, and only its payer knows that");
}

// spec: WALLET-7.3
#[test]
fn a_payer_restored_from_its_words_takes_back_exactly_the_rest() {
    let mut street = Street::new();
    street.pay(700);
    street.pay(400);
    let before = street.payer.spendable();
    street.lose_the_payers_machine();
    assert_eq!(street.payer.spendable(), before);
    assert_eq!(street.payer.wallet.channels().len(), 1);
    street.close();
    let fee = street.refund();
    assert_eq!(street.payer.spendable(), before + 18_900 - fee);
}

// spec: WALLET-7.2
#[test]
fn a_payer_that_forgot_its_last_voucher_goes_on_after_the_one_it_is_shown() {
    let mut street = Street::new();
    (0..3).for_each(|_| street.pay(100));
    street.lose_the_payers_machine();
    let stale = street.draw(50);
    assert!(matches!(street.take(stale), Err(VoucherError::Sequence { .. })), "it counts anew");
    let best = street.payee.wallet.notes().earning(street.channel).unwrap().unwrap().best.unwrap();
    let mut drawer = street.payer.wallet.drawer(street.channel).unwrap();
    assert!(drawer.resume(&best.voucher));
    let drawn = drawer.draw(Amount(50), Digest([1; 32]), &mut street.payer.rng).unwrap();
    assert_eq!(street.take(drawn), Ok(Amount(50)));
    let earned = street.payee.wallet.notes().earning(street.channel).unwrap().unwrap().earned();
    assert_eq!(earned, Amount(350));
}

// spec: WALLET-7.5
#[test]
fn a_payee_that_forgot_its_last_voucher_loses_that_one_alone() {
    let mut street = Street::new();
    street.pay(300);
    let lost = street.draw(200);
    let wallet = &street.payee.wallet;
    let earning = wallet.notes().earning(street.channel).unwrap().unwrap();
    let mut holder = wallet.holder(street.channel, &earning).unwrap();
    holder.accept(lost).unwrap();
    // The machine loses its power here, before the file is written.
    let payee = street.payee.spendable();
    let fee = street.close();
    assert_eq!(street.payee.spendable(), payee + 300 - 15 - fee);
}

// spec: WALLET-7.3
#[test]
fn an_open_channel_is_taken_back_only_after_it_expired() {
    let mut street = Street::new();
    street.pay(300);
    let Person { wallet, rng, .. } = &mut street.payer;
    let early = wallet.prepare_refund(street.channel, &mut street.chain, rng).unwrap_err();
    assert!(early.to_string().contains("41"), "{early}");
    let left = EXPIRY.0 + 1 - street.chain.height().0;
    street.chain.idle(left);
    let before = street.payer.spendable();
    let fee = street.refund();
    assert_eq!(street.payer.spendable(), before + 20_000 - fee, "the payee did not close in time");
    let Person { wallet, rng, .. } = &mut street.payee;
    let gone = wallet.prepare_close(street.channel, &mut street.chain, rng).unwrap_err();
    assert!(gone.to_string().contains("not on the ledger any more"), "{gone}");
}

/// Both want the channel in one block: whoever comes second is refused, and nothing is lost.
// spec: WALLET-7.3, WALLET-7.6
#[test]
fn of_a_close_and_a_refund_in_one_block_one_counts() {
    let mut street = Street::new();
    street.pay(300);
    let left = EXPIRY.0 + 1 - street.chain.height().0;
    street.chain.idle(left);
    read(&mut street.payer, &mut street.chain);
    read(&mut street.payee, &mut street.chain);
    let Street { chain, payer, payee, channel, .. } = &mut street;
    let refund = payer.wallet.prepare_refund(*channel, chain, &mut payer.rng).unwrap();
    let close = payee.wallet.prepare_close(*channel, chain, &mut payee.rng).unwrap().unwrap();
    payee.wallet.send(close, chain, &mut payee.rng).unwrap();
    chain.mine();
    let error = payer.wallet.send(refund, chain, &mut payer.rng).unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
    read(payer, chain);
    let (before, fee) = (payer.spendable(), street.refund());
    assert_eq!(street.payer.spendable(), before + 19_700 - fee);
    // A second close finds nothing to close.
    let Person { wallet, rng, .. } = &mut street.payee;
    let again = wallet.prepare_close(street.channel, &mut street.chain, rng).unwrap_err();
    assert!(again.to_string().contains("not on the ledger any more"), "{again}");
}

// spec: WALLET-7.4
#[test]
fn a_channel_that_is_not_as_agreed_is_not_taken() {
    let mut street = Street::new();
    let told = street.payer.wallet.told(street.channel).unwrap();
    let (good, number) = (street.terms(), street.number);
    let cases = [
        (number, told.clone(), Terms { royalties: vec![], ..good.clone() }, "royalties"),
        (number, told.clone(), Terms { deposit: Amount(20_001), ..good.clone() }, "too little"),
        (number, vec![], good.clone(), "too little"),
        (number, told.clone(), Terms { expiry: Height(41), ..good.clone() }, "too early"),
        (number ^ 1, told, good, "another payee"),
    ];
    let Person { wallet, rng, .. } = &mut street.payee;
    for (number, told, terms, word) in cases {
        let taken =
            wallet.receive_channel(street.channel, (number, told), &terms, &mut street.chain, rng);
        let error = taken.unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

/// What is paid through the channel comes to the creator, and a fifth of it to the ancestor.
// spec: WALLET-8.1, WALLET-8.2, WALLET-8.3
#[test]
fn tills_are_paid_out_up_the_lineage_to_the_base_unit() {
    let mut street = Street::new();
    (0..3).for_each(|_| street.pay(3_333));
    street.close();
    // An epoch has four blocks here.
    street.chain.idle(4);
    let mut paid_out = 0;
    for (till, settled) in [(street.tills[0], 499), (street.tills[1], 99)] {
        read(&mut street.creator, &mut street.chain);
        let Person { wallet, rng, .. } = &mut street.creator;
        let collected = wallet.collect(&mut street.chain, rng).unwrap();
        let mine = collected.iter().find(|it| it.till == till).unwrap();
        assert_eq!(mine.settled, Amount(settled));
        let before = street.creator.spendable();
        let fee = step(&mut street.creator, &mut street.chain, |wallet, chain, rng| {
            wallet.prepare_payout(till, chain, rng).unwrap().unwrap()
        });
        paid_out += street.creator.spendable() + fee - before;
        street.chain.idle(4);
    }
    assert_eq!(paid_out, 499, "4 fifths and a fifth of the royalty");
    let Person { wallet, rng, .. } = &mut street.creator;
    wallet.read(&mut street.chain, rng).unwrap();
    assert!(wallet.prepare_payout(street.tills[0], &mut street.chain, rng).unwrap().is_none());
}

/// What somebody does who pays itself.
#[derive(Debug, Clone, Copy)]
enum Wash {
    Pay(u16),
    Close,
    Refund,
    TopUp(u16),
    PayOut,
    Wait,
}

fn arb_wash() -> impl proptest::strategy::Strategy<Value = Wash> {
    use proptest::prelude::*;
    prop_oneof![
        4 => (1..2_000u16).prop_map(Wash::Pay),
        1 => Just(Wash::Close),
        1 => Just(Wash::Refund),
        1 => (1..500u16).prop_map(Wash::TopUp),
        1 => Just(Wash::PayOut),
        1 => Just(Wash::Wait),
    ]
}

impl Street {
    /// One step of somebody who is payer, payee and, with its own till, creator; what it cost in
    /// fees. What the law does not allow at that moment costs nothing.
    fn wash(&mut self, step: Wash) -> u64 {
        let (channel, tills) = (self.channel, self.tills);
        read(&mut self.payer, &mut self.chain);
        read(&mut self.payee, &mut self.chain);
        read(&mut self.creator, &mut self.chain);
        match step {
            Wash::Pay(more) => {
                let open = matches!(
                    self.chain.cell(&channel), Some(Cell::Channel(it)) if it.is_open()
                );
                let left = self.payer.wallet.drawer(channel).map_or(0, |drawer| drawer.left().0);
                if open && left >= u64::from(more) {
                    self.pay(more.into());
                }
                0
            }
            Wash::Close => self.try_send(
                |it| &mut it.payee,
                |wallet, chain, rng| wallet.prepare_close(channel, chain, rng).ok().flatten(),
            ),
            Wash::Refund => self.try_send(
                |it| &mut it.payer,
                |wallet, chain, rng| wallet.prepare_refund(channel, chain, rng).ok(),
            ),
            Wash::TopUp(more) => {
                let fee = self.try_send(
                    |it| &mut it.payer,
                    |wallet, chain, rng| {
                        wallet.prepare_top_up(channel, Amount(more.into()), chain, rng).ok()
                    },
                );
                if fee > 0 {
                    let _ = self.receive();
                }
                fee
            }
            Wash::PayOut => tills
                .iter()
                .map(|till| {
                    self.try_send(
                        |it| &mut it.creator,
                        |wallet, chain, rng| {
                            wallet.prepare_payout(*till, chain, rng).ok().flatten()
                        },
                    )
                })
                .sum(),
            Wash::Wait => {
                self.chain.idle(4);
                0
            }
        }
    }

    fn try_send(
        &mut self,
        who: impl Fn(&mut Self) -> &mut Person,
        prepare: impl FnOnce(
            &Wallet,
            &mut Chain,
            &mut mutirao_ledger::testing::Seeded,
        ) -> Option<mutirao_wallet::send::Draft>,
    ) -> u64 {
        let mut chain = self.chain.clone();
        let person = who(self);
        let Some(draft) = prepare(&person.wallet, &mut chain, &mut person.rng) else { return 0 };
        let fee = draft.fee().0;
        let sent = person.wallet.send(draft, &mut chain, &mut person.rng).is_ok();
        chain.mine();
        read(person, &mut chain);
        self.chain = chain;
        if sent { fee } else { 0 }
    }

    /// All that the three have, wherever it lies, once everything is taken out.
    fn wealth(&mut self) -> u64 {
        [&self.payer, &self.payee, &self.creator].iter().map(|person| person.spendable()).sum()
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(12))]

    /// Whoever is payer, payee and creator in one can only lose: each transaction costs its fee,
    /// and nothing that it pays itself is worth more than it was.
    #[test]
    fn whoever_trades_with_itself_loses_exactly_the_fees(
        steps in proptest::collection::vec(arb_wash(), 1..14),
    ) {
        let mut street = Street::new();
        let before = street.wealth() + 20_000;
        let mut fees: u64 = steps.into_iter().map(|step| street.wash(step)).sum();
        let (end, two) = ([Wash::Close, Wash::Refund, Wash::Wait], [Wash::PayOut, Wash::Wait]);
        let end = end.into_iter().chain(two).chain(two);
        fees += end.map(|step| street.wash(step)).sum::<u64>();
        let after = street.wealth();
        if street.chain.cell(&street.channel).is_some() {
            // Nothing was ever paid: what lies in the channel waits for its end.
            street.chain.idle(EXPIRY.0);
            fees += street.wash(Wash::Refund);
        }
        proptest::prop_assert_eq!(street.wealth() + fees, before, "{} before the end", after);
        proptest::prop_assert!(fees > 0);
    }
}
