//! What a chain begins with: its network, its parameters, and to whom the first value goes.
//!
//! The hash of a genesis is the chain id, which every transaction names. Value that a genesis
//! allots is public: anybody can make the first transaction again from the genesis alone, and see
//! that it pays exactly these addresses.

use crate::chance::Chance;
use mutirao_ledger::build::{self, BuildError, Built};
use mutirao_ledger::examine::Permit;
use mutirao_ledger::key::address::{Address, Network};
use mutirao_ledger::note::memo::Memo;
use mutirao_ledger::note::{Payment, To};
use mutirao_ledger::rules::{ChainId, Height, Rules};
use mutirao_ledger::service::{put_address, take_address};
use mutirao_ledger::tx::{Issue, OUTPUTS_MAX, Transaction};
use mutirao_wire::codec::{put_bytes, put_list};
use mutirao_wire::{Amount, Decode, DecodeError, Digest, Encode, Reader};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The version of the encoding.
const VERSION: u8 = 1;
/// Bytes of the longest name.
const NAME_BYTES_MAX: usize = 64;
/// Addresses that a genesis allots value to at most: one output is left for padding.
pub const ALLOTMENTS_MAX: usize = OUTPUTS_MAX - 1;

/// Value that somebody has from the first block on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allotment {
    /// Who.
    pub address: Address,
    /// How much.
    pub amount: Amount,
}

impl Encode for Allotment {
    fn encode(&self, out: &mut Vec<u8>) {
        put_address(out, &self.address);
        self.amount.encode(out);
    }
}
impl Decode for Allotment {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { address: take_address(input)?, amount: Amount::decode(input)? })
    }
}

/// What a chain begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// A name for people; two chains with different names are different chains.
    pub name: String,
    /// Whether its value counts.
    pub network: Network,
    /// What one unit of weight costs at the lowest level, in base units.
    pub fee_unit: Amount,
    /// Blocks after which what a till has collected can be paid out.
    pub till_epoch: u64,
    /// New value that one block may make on a test network, in base units; nothing on the main one.
    pub faucet_most: Amount,
    /// The first value.
    pub allotments: Vec<Allotment>,
}

impl Encode for Genesis {
    fn encode(&self, out: &mut Vec<u8>) {
        VERSION.encode(out);
        put_bytes(out, self.name.as_bytes());
        self.network.encode(out);
        self.fee_unit.encode(out);
        self.till_epoch.encode(out);
        self.faucet_most.encode(out);
        put_list(out, &self.allotments);
    }
}
impl Decode for Genesis {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = u8::decode(input)?;
        if version != VERSION {
            let what = "version of a genesis";
            return Err(DecodeError::Unknown { what, value: version.into() });
        }
        Ok(Self {
            name: input.text("name of a chain", NAME_BYTES_MAX)?,
            network: Network::decode(input)?,
            fee_unit: Amount::decode(input)?,
            till_epoch: u64::decode(input)?,
            faucet_most: Amount::decode(input)?,
            allotments: input.list("allotments", ALLOTMENTS_MAX)?,
        })
    }
}

/// Why a genesis makes no chain.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GenesisError {
    /// The file is no genesis.
    #[error("the file is no genesis: {0}")]
    NotText(String),
    /// A network that does not exist.
    #[error("{0:?} is no network; main or test")]
    Network(String),
    /// An address that is none, or of the other network.
    #[error("{address:?}: {why}")]
    Address {
        /// The text.
        address: String,
        /// Why.
        why: String,
    },
    /// More addresses than one transaction pays.
    #[error("{0} allotments, at most {ALLOTMENTS_MAX}")]
    TooMany(usize),
    /// More value than there can be, or none for an address.
    #[error("allotments must each be above nothing, and together below 2^64 base units")]
    Amounts,
    /// New value on the main network.
    #[error("a faucet is for test networks")]
    Faucet,
    /// An epoch of no block.
    #[error("an epoch of tills has at least one block")]
    Epoch,
    /// A name that is too long.
    #[error("a name has at most {NAME_BYTES_MAX} bytes")]
    Name,
    /// The first transaction cannot be made.
    #[error("the first transaction cannot be made: {0}")]
    Build(String),
}

/// The file, as people write it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    network: String,
    fee_unit: u64,
    till_epoch: u64,
    #[serde(default)]
    faucet_most: u64,
    #[serde(default)]
    allotments: Vec<Line>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    address: String,
    amount: u64,
}

impl Genesis {
    /// A test network of that name: cheap, with a faucet of 1 000 TJ a block.
    #[must_use]
    pub fn test(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            network: Network::Test,
            fee_unit: Amount(10),
            till_epoch: 32,
            faucet_most: Amount(1_000 * Amount::UNITS_PER_TIJOLO),
            allotments: Vec::new(),
        }
    }

    /// Reads the text of a genesis file.
    ///
    /// # Errors
    /// [`GenesisError`].
    // spec: CHAIN-1.1
    pub fn read(text: &str) -> Result<Self, GenesisError> {
        let file: File =
            toml::from_str(text).map_err(|error| GenesisError::NotText(error.to_string()))?;
        let network = match file.network.as_str() {
            "main" => Network::Main,
            "test" => Network::Test,
            _ => return Err(GenesisError::Network(file.network)),
        };
        let allotment = |line: Line| {
            let why = |why: String| GenesisError::Address { address: line.address.clone(), why };
            let address =
                line.address.parse::<Address>().map_err(|error| why(error.to_string()))?;
            Ok(Allotment { address, amount: Amount(line.amount) })
        };
        let genesis = Self {
            name: file.name,
            network,
            fee_unit: Amount(file.fee_unit),
            till_epoch: file.till_epoch,
            faucet_most: Amount(file.faucet_most),
            allotments: file.allotments.into_iter().map(allotment).collect::<Result<_, _>>()?,
        };
        genesis.check()?;
        Ok(genesis)
    }

    /// The text of a genesis file.
    ///
    /// # Panics
    /// Never: the record has nothing that TOML could not say but numbers above 2^63, which
    /// [`Genesis::check`] refuses.
    #[must_use]
    pub fn text(&self) -> String {
        let line = |allotment: &Allotment| Line {
            address: allotment.address.to_string(),
            amount: allotment.amount.0,
        };
        let file = File {
            name: self.name.clone(),
            network: if self.network == Network::Main { "main" } else { "test" }.to_owned(),
            fee_unit: self.fee_unit.0,
            till_epoch: self.till_epoch,
            faucet_most: self.faucet_most.0,
            allotments: self.allotments.iter().map(line).collect(),
        };
        toml::to_string(&file).expect("a checked genesis is within what TOML says")
    }

    /// Whether it makes a chain.
    ///
    /// # Errors
    /// [`GenesisError`].
    // spec: CHAIN-1.1, CHAIN-1.3
    pub fn check(&self) -> Result<(), GenesisError> {
        // TOML writes signed numbers; nothing sensible is above their end.
        let fits = |number: u64| i64::try_from(number).is_ok();
        if self.name.len() > NAME_BYTES_MAX {
            return Err(GenesisError::Name);
        }
        if self.allotments.len() > ALLOTMENTS_MAX {
            return Err(GenesisError::TooMany(self.allotments.len()));
        }
        if self.network == Network::Main && self.faucet_most != Amount::ZERO {
            return Err(GenesisError::Faucet);
        }
        if self.till_epoch == 0 || !fits(self.till_epoch) {
            return Err(GenesisError::Epoch);
        }
        let other = |allotment: &&Allotment| allotment.address.network != self.network;
        if let Some(allotment) = self.allotments.iter().find(other) {
            let why = "an address of the other network".to_owned();
            return Err(GenesisError::Address { address: allotment.address.to_string(), why });
        }
        let numbers = [self.fee_unit, self.faucet_most];
        let amounts = self.allotments.iter().map(|allotment| allotment.amount);
        let positive = amounts.clone().all(|amount| amount != Amount::ZERO);
        let small = amounts.chain(numbers).all(|amount| fits(amount.0));
        let sum = self.total().is_some();
        (positive && small && sum).then_some(()).ok_or(GenesisError::Amounts)
    }

    fn total(&self) -> Option<Amount> {
        let amounts = self.allotments.iter().map(|allotment| allotment.amount);
        amounts.into_iter().try_fold(Amount::ZERO, Amount::checked_add)
    }

    /// The chain id.
    // spec: CHAIN-1.2
    #[must_use]
    pub fn chain(&self) -> ChainId {
        ChainId(Digest::of("mutirao v1 ledger genesis", &[&self.to_bytes()]))
    }

    /// What the ledger needs to know.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules::new(self.chain(), self.fee_unit, self.till_epoch)
    }

    /// The transaction with which the first block begins; none where nothing is allotted. The same
    /// on every machine.
    ///
    /// # Errors
    /// [`GenesisError::Build`].
    // spec: CHAIN-1.4
    pub fn first(&self) -> Result<Option<Transaction>, GenesisError> {
        if self.allotments.is_empty() {
            return Ok(None);
        }
        let pay: Vec<_> = self.allotments.iter().map(|it| (it.address, it.amount)).collect();
        let mut chance = Chance::of_genesis(self.chain());
        let built = mint(&self.rules(), Height(1), &pay, &mut chance);
        built.map(|built| Some(built.transaction)).map_err(|e| GenesisError::Build(e.to_string()))
    }

    /// Whether a block of that height begins as it must.
    ///
    /// # Errors
    /// [`GenesisError::Build`].
    // spec: CHAIN-1.4
    pub fn begins(
        &self,
        height: Height,
        transactions: &[Transaction],
    ) -> Result<bool, GenesisError> {
        if height != Height(1) {
            return Ok(true);
        }
        let first = self.first()?.map(|first| first.id());
        Ok(first.is_none() || first == transactions.first().map(Transaction::id))
    }

    /// What the protocol allows in a block of that height with these transactions.
    // spec: CHAIN-1.3, CHAIN-1.4
    #[must_use]
    pub fn permit(&self, height: Height, transactions: &[Transaction]) -> Permit {
        if height == Height(1) && !self.allotments.is_empty() {
            return Permit { mint: self.total().unwrap_or_default(), ..Permit::default() };
        }
        let mut minted = transactions.iter().filter_map(|tx| match tx.body.issue {
            Issue::Mint { amount, .. } => Some(amount),
            _ => None,
        });
        // The bound of the main network is nothing, so it holds for both.
        let mint = minted.next().filter(|amount| *amount <= self.faucet_most).unwrap_or_default();
        Permit { mint, ..Permit::default() }
    }
}

/// New value for these addresses. A transaction with one key for two outputs pays at most one
/// stranger, so two get a third note, of nothing, beside them.
///
/// # Errors
/// [`BuildError`] for too many.
pub fn mint(
    rules: &Rules,
    height: Height,
    pay: &[(Address, Amount)],
    rng: &mut impl CryptoRng,
) -> Result<Built, BuildError> {
    let payment = |(address, amount): &(Address, Amount)| Payment {
        to: To::Address(*address),
        amount: *amount,
        memo: Memo::default(),
    };
    let mut payments: Vec<Payment> = pay.iter().map(payment).collect();
    if payments.len() == 2 {
        payments.extend(pay.first().map(|(address, _)| payment(&(*address, Amount::ZERO))));
    }
    build::mint(rules, height, &payments, rng)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mutirao_ledger::examine;
    use mutirao_ledger::key::{Seed, SubaddressIndex};
    use mutirao_ledger::state::MemoryState;

    fn address(network: Network, account: u64) -> Address {
        let key = Seed::new(&[3; 64]).account(account).receive_key();
        key.address(network, SubaddressIndex::MAIN)
    }

    fn with(count: u64) -> Genesis {
        let allot = |at| Allotment { address: address(Network::Test, at), amount: Amount(at + 5) };
        Genesis { allotments: (0..count).map(allot).collect(), ..Genesis::test("village") }
    }

    // spec: CHAIN-1.1, CHAIN-1.2
    #[test]
    fn a_genesis_reads_back_and_every_field_changes_the_chain() {
        let genesis = with(2);
        assert_eq!(Genesis::read(&genesis.text()), Ok(genesis.clone()));
        assert_eq!(Genesis::from_bytes(&genesis.to_bytes()), Ok(genesis.clone()));
        let others = [
            Genesis { name: "villagf".into(), ..genesis.clone() },
            Genesis { network: Network::Main, ..genesis.clone() },
            Genesis { fee_unit: Amount(11), ..genesis.clone() },
            Genesis { till_epoch: 33, ..genesis.clone() },
            Genesis { faucet_most: Amount(1), ..genesis.clone() },
            with(1),
        ];
        assert!(others.iter().all(|other| other.chain() != genesis.chain()));
    }

    // spec: CHAIN-1.1, CHAIN-1.3
    #[test]
    fn refuses_what_makes_no_chain() {
        let good = with(2);
        let main = Genesis { network: Network::Main, faucet_most: Amount::ZERO, ..good.clone() };
        assert!(matches!(main.check(), Err(GenesisError::Address { .. })), "other network");
        let faucet = Genesis { network: Network::Main, allotments: vec![], ..good.clone() };
        assert_eq!(faucet.check(), Err(GenesisError::Faucet));
        assert_eq!(with(16).check(), Err(GenesisError::TooMany(16)));
        let epoch = Genesis { till_epoch: 0, ..good.clone() };
        assert_eq!(epoch.check(), Err(GenesisError::Epoch));
        let mut amounts = good.clone();
        amounts.allotments[0].amount = Amount::ZERO;
        assert_eq!(amounts.check(), Err(GenesisError::Amounts));
        amounts.allotments[0].amount = Amount(u64::MAX);
        assert_eq!(amounts.check(), Err(GenesisError::Amounts));
        for text in ["", "name = 1", &good.text().replace("\"test\"", "\"moon\"")] {
            assert!(Genesis::read(text).is_err());
        }
        let unknown = format!("tax = 1\n{}", good.text());
        assert!(Genesis::read(&unknown).is_err(), "a setting that nobody knows");
    }

    // spec: CHAIN-1.4
    #[test]
    fn the_first_transaction_is_the_same_everywhere_and_holds() {
        for count in [1, 2, 3, 15] {
            let genesis = with(count);
            let (one, two) = (genesis.first().expect("made"), genesis.first().expect("made"));
            let tx = one.clone().expect("value is allotted");
            assert_eq!(one, two);
            let permit = genesis.permit(Height(1), &[]);
            let (rules, state) = (genesis.rules(), MemoryState::default());
            examine::stateless(&tx, &rules).expect("well formed");
            let resolved = examine::against(&tx, &state, &rules, Height(1), permit);
            assert!(examine::verify(&[&resolved.expect("allowed")]));
        }
        assert_eq!(with(0).first(), Ok(None));
    }

    // spec: CHAIN-1.3
    #[test]
    fn new_value_comes_from_a_faucet_within_its_bound_and_on_a_test_network_alone() {
        let genesis = with(0);
        let mint = |amount| {
            let pay = [(address(Network::Test, 0), Amount(amount))];
            let built = super::mint(&genesis.rules(), Height(9), &pay, &mut Chance::new(&[1; 32]));
            built.expect("made").transaction
        };
        let most = genesis.faucet_most.0;
        assert_eq!(genesis.permit(Height(9), &[mint(most)]).mint, Amount(most));
        assert_eq!(genesis.permit(Height(9), &[mint(most + 1)]).mint, Amount::ZERO);
        assert_eq!(genesis.permit(Height(9), &[]).mint, Amount::ZERO);
        let main = Genesis { network: Network::Main, faucet_most: Amount::ZERO, ..genesis.clone() };
        assert_eq!(main.permit(Height(9), &[mint(1)]).mint, Amount::ZERO);
    }
}
