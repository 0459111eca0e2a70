//! Keys: one seed, hardened accounts, and three tiers that each can do a little more.
//!
//! Table letter → field: `k_v` → [`ReceiveKey`] (sees what arrives) · `k_t` → [`BalanceKey`] (also
//! sees what leaves) · `k_s` → [`SpendKey`] (moves it) · `S = k_t·G + k_s·T` · `Vw = k_v·G` ·
//! `κ_j`, the factor of subaddress j. Whoever holds one tier can make every lower one, never a
//! higher one.

pub mod address;

use crate::curve::{Point, expand, generators, hash_to_scalar, put_scalar, read_scalar};
use address::{Address, Kind, Network};
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use mutirao_wire::{Decode, DecodeError, Encode, Reader};
use std::collections::BTreeMap;
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// A secret number; wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(crate) Scalar);

impl Secret {
    /// Wraps a scalar.
    #[must_use]
    pub fn new(scalar: Scalar) -> Self {
        Self(scalar)
    }

    /// The scalar itself.
    #[must_use]
    pub fn scalar(&self) -> &Scalar {
        &self.0
    }
}

impl Encode for Secret {
    fn encode(&self, out: &mut Vec<u8>) {
        put_scalar(out, &self.0);
    }
}
impl Decode for Secret {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_scalar(input, "secret").map(Self)
    }
}
impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// What the 24 words give: 64 bytes (source: BIP-39, "From mnemonic to seed").
pub struct Seed(Zeroizing<[u8; 64]>);

impl Seed {
    /// Wraps the bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 64]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// A 32-byte secret for one purpose and number. Purposes and accounts do not leak into one
    /// another: there is no public parent.
    // spec: LEDGER-2.1
    #[must_use]
    pub fn secret(&self, purpose: &str, number: u64) -> Zeroizing<[u8; 32]> {
        let domain = "mutirao v1 ledger seed";
        let parts: [&[u8]; 3] = [&*self.0, purpose.as_bytes(), &number.to_le_bytes()];
        Zeroizing::new(expand(domain, &parts))
    }

    /// The keys of one account.
    // spec: LEDGER-2.1
    #[must_use]
    pub fn account(&self, number: u64) -> SpendKey {
        let secret = self.secret("account", number);
        let key = |purpose| Secret(hash_to_scalar(purpose, &[&*secret]));
        SpendKey {
            spend: key("mutirao v1 ledger k_s"),
            tag: key("mutirao v1 ledger k_t"),
            view: key("mutirao v1 ledger k_v"),
        }
    }
}

/// Sees what arrives: `k_v` and `S`.
// spec: LEDGER-2.2
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveKey {
    pub(crate) view: Secret,
    pub(crate) spend_public: Point,
}

/// Sees what arrives and what leaves: also `k_t`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceKey {
    receive: ReceiveKey,
    tag: Secret,
}

impl Encode for ReceiveKey {
    fn encode(&self, out: &mut Vec<u8>) {
        self.view.encode(out);
        self.spend_public.encode(out);
    }
}
impl Decode for ReceiveKey {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { view: Secret::decode(input)?, spend_public: Point::decode(input)? })
    }
}

impl Encode for BalanceKey {
    fn encode(&self, out: &mut Vec<u8>) {
        self.receive.encode(out);
        self.tag.encode(out);
    }
}
impl Decode for BalanceKey {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { receive: ReceiveKey::decode(input)?, tag: Secret::decode(input)? })
    }
}

/// Moves value: `k_s`, `k_t`, `k_v`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendKey {
    spend: Secret,
    tag: Secret,
    view: Secret,
}

/// The number of a subaddress, at its full width; 0 is the main address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SubaddressIndex(pub u64);

impl Encode for SubaddressIndex {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}
impl Decode for SubaddressIndex {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u64::decode(input).map(Self)
    }
}

impl SubaddressIndex {
    /// The main address.
    pub const MAIN: Self = Self(0);
}

impl ReceiveKey {
    /// From its two halves, as a wallet stores them.
    #[must_use]
    pub fn new(view: Secret, spend_public: Point) -> Self {
        Self { view, spend_public }
    }

    /// The address of that number. The index goes in at its full width: no two share a factor.
    // spec: LEDGER-2.3
    #[must_use]
    pub fn address(&self, network: Network, index: SubaddressIndex) -> Address {
        let spend = self.spend_public.inner() * self.factor(index);
        let (kind, base) = match index {
            SubaddressIndex::MAIN => (Kind::Main, *generators().g.inner()),
            _ => (Kind::Sub, spend),
        };
        let view = Point::fresh(base * self.view.0);
        Address { network, kind, spend: Point::fresh(spend), view }
    }

    /// `κ_j`: what subaddress j multiplies `S` by; 1 for the main address.
    #[must_use]
    pub fn factor(&self, index: SubaddressIndex) -> Scalar {
        if index == SubaddressIndex::MAIN {
            return Scalar::ONE;
        }
        let parts: [&[u8]; 2] = [self.view.0.as_bytes(), &index.0.to_le_bytes()];
        hash_to_scalar("mutirao v1 ledger subaddress", &parts)
    }

    /// The table by which a scan recognises subaddresses 0 to `count`, `count` included.
    #[must_use]
    pub fn subaddresses(&self, count: u64) -> Subaddresses {
        let entry = |number| {
            let index = SubaddressIndex(number);
            let spend = self.spend_public.inner() * self.factor(index);
            (spend.compress().to_bytes(), index)
        };
        Subaddresses((0..=count).map(entry).collect())
    }

    /// What both ends of a payment share: the encoding of `2·k_v·R`. Twice, because the encodings
    /// of many doubles cost one inversion together.
    #[must_use]
    pub fn shared(&self, ephemeral: &Point) -> Shared {
        Shared::of(&(ephemeral.inner() * self.view.0))
    }

    /// As [`ReceiveKey::shared`] for many keys; the encodings cost one inversion together.
    #[must_use]
    pub fn shared_many(&self, ephemerals: &[Point]) -> Vec<Shared> {
        let halves: Vec<RistrettoPoint> =
            ephemerals.iter().map(|ephemeral| ephemeral.inner() * self.view.0).collect();
        let encoded = RistrettoPoint::double_and_compress_batch(&halves);
        encoded.into_iter().map(|point| Shared(Zeroizing::new(point.to_bytes()))).collect()
    }

    /// What we share with ourselves alone. Not a Diffie–Hellman secret: whom we pay learns the
    /// ephemeral scalar, and would see our change with it.
    // spec: LEDGER-3.4
    #[must_use]
    pub fn shared_with_self(&self, ephemeral: &Point) -> Shared {
        let parts: [&[u8]; 2] = [self.view.0.as_bytes(), ephemeral.bytes()];
        Shared(Zeroizing::new(expand("mutirao v1 ledger own note", &parts)))
    }
}

impl BalanceKey {
    /// From its parts, as a wallet stores them.
    #[must_use]
    pub fn new(receive: ReceiveKey, tag: Secret) -> Self {
        Self { receive, tag }
    }

    /// The lower tier.
    #[must_use]
    pub fn receive_key(&self) -> &ReceiveKey {
        &self.receive
    }

    /// `x`, the tag half of a note's key: `κ_j·k_t + a`.
    #[must_use]
    pub fn tag_secret(&self, index: SubaddressIndex, offset: &Scalar) -> Secret {
        Secret(self.receive.factor(index) * self.tag.0 + offset)
    }
}

impl SpendKey {
    /// `S`.
    #[must_use]
    pub fn spend_public(&self) -> Point {
        Point::fresh(generators().key(&self.tag.0, &self.spend.0))
    }

    /// The tier that sees what arrives.
    #[must_use]
    pub fn receive_key(&self) -> ReceiveKey {
        ReceiveKey { view: self.view.clone(), spend_public: self.spend_public() }
    }

    /// The tier that also sees what leaves.
    #[must_use]
    pub fn balance_key(&self) -> BalanceKey {
        BalanceKey { receive: self.receive_key(), tag: self.tag.clone() }
    }

    /// A secret of the owner alone, from `k_s`; each domain and each list of parts gives another.
    pub(crate) fn secret_of(&self, domain: &str, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        let whole: Vec<&[u8]> =
            std::iter::once(&self.spend.0.as_bytes()[..]).chain(parts.iter().copied()).collect();
        Zeroizing::new(expand(domain, &whole))
    }

    /// `(x, y)` of a one-time key made for subaddress `index` with the offsets `(a, b)`.
    #[must_use]
    pub fn one_time_secrets(
        &self,
        index: SubaddressIndex,
        offsets: (&Scalar, &Scalar),
    ) -> (Secret, Secret) {
        let factor = self.receive_key().factor(index);
        (Secret(factor * self.tag.0 + offsets.0), Secret(factor * self.spend.0 + offsets.1))
    }
}

/// Which of our subaddresses a spend key belongs to.
#[derive(Clone, Debug, Default)]
pub struct Subaddresses(BTreeMap<[u8; 32], SubaddressIndex>);

impl Subaddresses {
    /// The subaddress whose `S_j` this is.
    #[must_use]
    pub fn find(&self, spend: &RistrettoPoint) -> Option<SubaddressIndex> {
        self.0.get(&spend.compress().to_bytes()).copied()
    }
}

/// What sender and receiver share about one ephemeral key; wiped when dropped.
#[derive(Clone)]
pub struct Shared(pub(crate) Zeroizing<[u8; 32]>);

impl Shared {
    /// The encoding of twice the Diffie–Hellman point.
    pub(crate) fn of(half: &RistrettoPoint) -> Self {
        Self(Zeroizing::new((half + half).compress().to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed() -> Seed {
        Seed::new(&[7; 64])
    }

    // spec: LEDGER-2.1
    #[test]
    fn accounts_purposes_and_numbers_share_nothing() {
        let mut all: Vec<_> = (0..4).map(|at| *seed().secret("account", at)).collect();
        all.push(*seed().secret("account", 1 << 32));
        all.push(*seed().secret("account", 1 << 63));
        all.push(*seed().secret("channel", 0));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        let keys = seed().account(0);
        assert!(keys.spend != keys.tag && keys.tag != keys.view && keys.spend != keys.view);
        assert_ne!(keys, seed().account(1));
    }

    // spec: LEDGER-2.3
    #[test]
    fn subaddress_numbers_count_at_full_width() {
        let key = seed().account(0).receive_key();
        let numbers = [0, 1, 2, 1 << 31, (1 << 31) + 1, 1 << 32, (1 << 32) + 1, u64::MAX];
        let mut spends: Vec<_> = numbers
            .iter()
            .map(|at| key.address(Network::Test, SubaddressIndex(*at)).spend)
            .collect();
        spends.sort_unstable();
        spends.dedup();
        assert_eq!(spends.len(), numbers.len());
    }

    #[test]
    fn the_table_finds_each_subaddress() {
        let key = seed().account(0).receive_key();
        let table = key.subaddresses(3);
        for at in 0..=3 {
            let address = key.address(Network::Main, SubaddressIndex(at));
            assert_eq!(table.find(address.spend.inner()), Some(SubaddressIndex(at)));
        }
        let fourth = key.address(Network::Main, SubaddressIndex(4));
        assert_eq!(table.find(fourth.spend.inner()), None);
    }

    // spec: LEDGER-2.2
    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let shown = format!("{:?}", seed().account(0));
        assert!(shown.contains("redacted") && !shown.contains("Scalar"));
    }

    // spec: LEDGER-2.2
    #[test]
    fn each_tier_makes_the_lower_one_and_opens_the_same_key() {
        let keys = seed().account(0);
        let (a, b) = (Scalar::from(5u8), Scalar::from(9u8));
        let index = SubaddressIndex(3);
        let (x, y) = keys.one_time_secrets(index, (&a, &b));
        assert_eq!(keys.balance_key().tag_secret(index, &a), x);
        assert_eq!(keys.balance_key().receive_key(), &keys.receive_key());
        let lower = keys.balance_key();
        assert_eq!(BalanceKey::from_bytes(&lower.to_bytes()), Ok(lower));
        let lowest = keys.receive_key();
        assert_eq!(ReceiveKey::from_bytes(&lowest.to_bytes()), Ok(lowest));
        let spend = keys.receive_key().address(Network::Main, index).spend;
        let one_time = spend.inner() + generators().key(&a, &b);
        assert_eq!(generators().key(&x.0, &y.0), one_time);
    }
}
