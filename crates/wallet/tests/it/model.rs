//! Random lives of three wallets beside a plain model of three numbers.

use crate::world::{Chain, Person, payment};
use mutirao_ledger::service::RefusalKind;
use mutirao_wallet::keys::Keys;
use mutirao_wallet::send::{Order, SendError};
use mutirao_wallet::{Wallet, WalletError};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Deed {
    Mint {
        to: usize,
        amount: u64,
    },
    Pay {
        from: usize,
        to: usize,
        amount: u64,
    },
    /// Prepared and thrown away.
    ChangeMind {
        from: usize,
        to: usize,
    },
    Refused {
        from: usize,
        to: usize,
        amount: u64,
    },
    Mine,
    Read {
        who: usize,
    },
    Kill {
        who: usize,
    },
    Restore {
        who: usize,
    },
}

fn arb_deed() -> impl Strategy<Value = Deed> {
    let who = || 0usize..3;
    prop_oneof![
        2 => (who(), 1u64..5_000).prop_map(|(to, amount)| Deed::Mint { to, amount }),
        5 => (who(), who(), 1u64..4_000)
            .prop_map(|(from, to, amount)| Deed::Pay { from, to, amount }),
        1 => (who(), who()).prop_map(|(from, to)| Deed::ChangeMind { from, to }),
        1 => (who(), who(), 1u64..400)
            .prop_map(|(from, to, amount)| Deed::Refused { from, to, amount }),
        4 => Just(Deed::Mine),
        2 => who().prop_map(|who| Deed::Read { who }),
        2 => who().prop_map(|who| Deed::Kill { who }),
        1 => who().prop_map(|who| Deed::Restore { who }),
    ]
}

struct Life {
    chain: Chain,
    people: Vec<Person>,
    /// What each should hold once everything stands in a block.
    model: [u64; 3],
}

impl Life {
    fn new() -> Self {
        let people: Vec<Person> = (1..=3).map(Person::new).collect();
        let mut chain = Chain::new(1);
        let all: Vec<_> = people.iter().map(|person| (person.address(), 5_000)).collect();
        chain.mint(&all);
        let mut life = Self { chain, people, model: [5_000; 3] };
        (0..3).for_each(|who| life.read(who));
        life
    }

    fn read(&mut self, who: usize) {
        self.people[who].read(&mut self.chain).unwrap();
    }

    fn pay(&mut self, from: usize, to: usize, amount: u64) -> Result<u64, WalletError> {
        let to = self.people[to].address();
        self.people[from].pay(to, amount, &mut self.chain)
    }

    fn live(&mut self, deed: &Deed) {
        match *deed {
            Deed::Mint { to, amount } => {
                self.chain.mine();
                let address = self.people[to].address();
                self.chain.mint(&[(address, amount)]);
                self.model[to] += amount;
            }
            Deed::Pay { from, to, amount } => match self.pay(from, to, amount) {
                Ok(fee) => {
                    self.model[from] -= amount + fee;
                    self.model[to] += amount;
                }
                Err(WalletError::Send(SendError::TooLittle { have, need, .. })) => {
                    assert!(have < need);
                }
                Err(other) => panic!("{other}"),
            },
            Deed::ChangeMind { from, to } => {
                let order = Order::pay(payment(self.people[to].address(), 9, ""));
                drop(self.people[from].prepare(&order, &self.chain));
            }
            Deed::Refused { from, to, amount } => {
                self.chain.refuses = Some(RefusalKind::Full);
                assert!(self.pay(from, to, amount).is_err());
                self.chain.refuses = None;
            }
            Deed::Mine => self.chain.mine(),
            Deed::Read { who } => self.read(who),
            Deed::Kill { who } => {
                let person = std::mem::replace(&mut self.people[who], Person::new(200));
                self.people[who] = person.reopen();
            }
            Deed::Restore { who } => self.restore(who),
        }
    }

    /// On an empty machine, where what waits is not known: it is put into a block first.
    fn restore(&mut self, who: usize) {
        self.chain.mine();
        self.read(who);
        let spender = self.people[who].wallet.spender().unwrap();
        let mut again = Person::of(Keys::new(spender.words().clone()), 0);
        again.read(&mut self.chain).unwrap();
        assert_eq!(again.wallet.balance(), self.people[who].wallet.balance());
        self.people[who] = again;
    }

    fn settle(&mut self) {
        self.chain.mine();
        for who in 0..3 {
            self.read(who);
            let balance = self.people[who].wallet.balance();
            assert_eq!(balance.spendable.0, self.model[who], "person {who}");
            assert_eq!((balance.pending.0, balance.leaving.0), (0, 0), "person {who}");
            let net: i128 =
                self.people[who].wallet.book().entries().iter().map(|entry| entry.net()).sum();
            assert_eq!(net, i128::from(self.model[who]), "the history adds up");
        }
        let sum: u64 = self.model.iter().sum();
        assert_eq!(self.chain.state.summary.supply.0, sum, "the supply is what they have");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    // spec: WALLET-5.2, WALLET-3.2
    #[test]
    fn whatever_happens_each_has_what_a_plain_model_says(
        deeds in proptest::collection::vec(arb_deed(), 1..24)
    ) {
        let mut life = Life::new();
        for deed in &deeds {
            life.live(deed);
        }
        life.settle();
    }
}

#[test]
fn two_programs_do_not_have_one_wallet_at_once() {
    let ana = Person::new(1);
    let folder = ana.folder();
    let began = std::time::Instant::now();
    let other = std::thread::spawn(move || {
        Wallet::open(&folder, &crate::world::password()).map(|wallet| wallet.tier())
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    let Person { place, wallet, .. } = ana;
    drop(wallet);
    assert!(other.join().unwrap().is_ok(), "it waited for its turn");
    assert!(began.elapsed() >= std::time::Duration::from_millis(300));
    drop(place);
}
