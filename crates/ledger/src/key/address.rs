//! Where to pay: two points, for people as bech32m text and as a link.
//!
//! Layout of the bytes: version 1 ‖ kind ‖ S (32) ‖ Vw (32) ‖ inner checksum (4). bech32m already
//! catches typing errors; the inner checksum covers the network's prefix too, so that an address of
//! one network re-encoded under the other's prefix is refused.

use crate::curve::{Point, expand};
use crate::note::memo::MEMO_BYTES_MAX;
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use mutirao_wire::Decode;
use mutirao_wire::{Amount, DecodeError, Encode, Reader};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The version byte of an address.
const VERSION: u8 = 1;
/// Bytes of a whole address.
const BYTES: usize = 70;
/// Characters of a link beyond which nobody reads on.
const URI_BYTES_MAX: usize = 8192;
/// The scheme of a link.
const SCHEME: &str = "mutirao:";

/// Which ledger an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Network {
    /// Value that counts.
    Main,
    /// Value for play.
    Test,
}

impl Network {
    /// The human-readable part.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Main => "mut",
            Self::Test => "mutt",
        }
    }
}

/// How the sender makes the ephemeral key: from `G`, or from the address's own `S`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `Vw = k_v·G`.
    Main,
    /// `Vw = k_v·S`.
    Sub,
}

/// Where to pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The ledger.
    pub network: Network,
    /// Main or sub.
    pub kind: Kind,
    /// `S`.
    pub spend: Point,
    /// `Vw`.
    pub view: Point,
}

/// Why text is no address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The text is not bech32m.
    #[error("this is not an address: {0}; check it character by character")]
    NotText(String),
    /// A prefix that we do not know.
    #[error("an address begins with mut or mutt, this begins with {0}")]
    Prefix(String),
    /// Capitals.
    #[error("an address is written in small letters")]
    Capitals,
    /// The bytes are not an address.
    #[error("this is not an address: {0}")]
    Bytes(#[from] DecodeError),
    /// The inner checksum is wrong.
    #[error("the address is damaged or belongs to another network; ask for it again")]
    Checksum,
    /// A link that cannot be read.
    #[error("the link is not a payment link: {0}")]
    Link(&'static str),
}

impl Address {
    /// Version, kind and points, without the checksum.
    fn payload(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, u8::from(self.kind == Kind::Sub)];
        self.spend.encode(&mut bytes);
        self.view.encode(&mut bytes);
        bytes
    }

    fn checksum(network: Network, payload: &[u8]) -> [u8; 4] {
        expand("mutirao v1 ledger address", &[network.prefix().as_bytes(), payload])
    }

    /// The 70 bytes of an address.
    // spec: LEDGER-2.4
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.payload();
        let checksum = Self::checksum(self.network, &bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    /// Reads the 70 bytes of an address.
    ///
    /// # Errors
    /// [`AddressError`] for another version, kind or length, points that are none, or a wrong
    /// checksum.
    // spec: LEDGER-2.4
    pub fn from_bytes(network: Network, bytes: &[u8]) -> Result<Self, AddressError> {
        let mut input = Reader::new(bytes);
        let version = u8::decode(&mut input)?;
        if version != VERSION {
            let what = "address version";
            return Err(DecodeError::Unknown { what, value: version.into() }.into());
        }
        let kind = match u8::decode(&mut input)? {
            0 => Kind::Main,
            1 => Kind::Sub,
            kind => {
                let what = "kind of address";
                return Err(DecodeError::Unknown { what, value: kind.into() }.into());
            }
        };
        let (spend, view) = (Point::decode(&mut input)?, Point::decode(&mut input)?);
        let checksum: [u8; 4] = input.array()?;
        input.finish()?;
        let address = Self { network, kind, spend, view };
        let right = Self::checksum(network, &address.payload()) == checksum;
        right.then_some(address).ok_or(AddressError::Checksum)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = Hrp::parse_unchecked(self.network.prefix());
        let text = bech32::encode::<Bech32m>(prefix, &self.to_bytes()).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    // spec: LEDGER-2.4
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(AddressError::Capitals);
        }
        let not_text = |error: &dyn fmt::Display| AddressError::NotText(error.to_string());
        let read = CheckedHrpstring::new::<Bech32m>(text).map_err(|error| not_text(&error))?;
        let network = match read.hrp().as_str() {
            "mut" => Network::Main,
            "mutt" => Network::Test,
            other => return Err(AddressError::Prefix(other.to_owned())),
        };
        let bytes: Vec<u8> = read.byte_iter().take(BYTES + 1).collect();
        let address = Self::from_bytes(network, &bytes)?;
        let canonical = address.to_string() == text;
        canonical.then_some(address).ok_or(AddressError::NotText("padding".to_owned()))
    }
}

/// A link that asks for a payment: `mutirao:<address>?amount=<TJ>&memo=<text>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentLink {
    /// To whom.
    pub address: Address,
    /// How much, if the link says.
    pub amount: Option<Amount>,
    /// For what, if the link says.
    pub memo: Option<String>,
}

impl fmt::Display for PaymentLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.address)?;
        let amount = self.amount.map(|amount| {
            let unit = Amount::UNITS_PER_TIJOLO;
            format!("amount={}.{:06}", amount.0 / unit, amount.0 % unit)
        });
        let memo = self.memo.as_ref().map(|memo| format!("memo={}", escape(memo)));
        let parts: Vec<String> = amount.into_iter().chain(memo).collect();
        if parts.is_empty() { Ok(()) } else { write!(f, "?{}", parts.join("&")) }
    }
}

impl FromStr for PaymentLink {
    type Err = AddressError;

    // spec: LEDGER-2.5
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let rest = text.strip_prefix(SCHEME).filter(|rest| rest.len() <= URI_BYTES_MAX);
        let rest = rest.ok_or(AddressError::Link("it begins with mutirao: and is short"))?;
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut link = Self { address: address.parse()?, amount: None, memo: None };
        for part in query.split('&').filter(|part| !part.is_empty()) {
            link.take(part)?;
        }
        Ok(link)
    }
}

impl PaymentLink {
    /// One `name=value`. An unknown name is refused: it might change what is paid.
    fn take(&mut self, part: &str) -> Result<(), AddressError> {
        match part.split_once('=') {
            Some(("amount", value)) if self.amount.is_none() => {
                let amount = parse_amount(value);
                self.amount = Some(amount.ok_or(AddressError::Link("the amount is no number"))?);
            }
            Some(("memo", value)) if self.memo.is_none() => {
                let memo = unescape(value).ok_or(AddressError::Link("the memo is not text"))?;
                let fits = memo.len() <= MEMO_BYTES_MAX;
                let memo = fits.then_some(memo);
                self.memo = Some(memo.ok_or(AddressError::Link("the memo fits no note"))?);
            }
            _ => return Err(AddressError::Link("it asks for something unknown, or twice")),
        }
        Ok(())
    }
}

/// Reads an amount in tijolos with at most six decimals.
#[must_use]
pub fn parse_amount(text: &str) -> Option<Amount> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 6 {
        return None;
    }
    let units = whole.parse::<u64>().ok()?.checked_mul(Amount::UNITS_PER_TIJOLO)?;
    let part = format!("{part:0<6}").parse::<u64>().ok()?;
    units.checked_add(part).map(Amount)
}

/// Percent-encoding of all but unreserved characters (source: RFC 3986, section 2).
fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let value = match byte {
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            _ => byte,
        };
        bytes.push(value);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Seed, SubaddressIndex};

    fn address(network: Network, index: u64) -> Address {
        Seed::new(&[3; 64]).account(0).receive_key().address(network, SubaddressIndex(index))
    }

    // spec: LEDGER-2.4
    #[test]
    fn an_address_reads_back() {
        for (network, index) in [(Network::Main, 0), (Network::Test, 0), (Network::Test, 9)] {
            let address = address(network, index);
            let text = address.to_string();
            assert!(text.starts_with(&format!("{}1", network.prefix())));
            assert_eq!(text.parse(), Ok(address));
        }
    }

    // spec: LEDGER-2.4
    #[test]
    fn refuses_every_changed_character() {
        let text = address(Network::Main, 1).to_string();
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'q' { b'p' } else { b'q' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(changed.parse::<Address>().is_err(), "{changed}");
        }
        assert_eq!(text.to_uppercase().parse::<Address>(), Err(AddressError::Capitals));
    }

    // spec: LEDGER-2.4
    #[test]
    fn refuses_an_address_under_the_prefix_of_the_other_network() {
        let bytes = address(Network::Test, 0).to_bytes();
        assert_eq!(Address::from_bytes(Network::Main, &bytes), Err(AddressError::Checksum));
        let moved = bech32::encode::<Bech32m>(Hrp::parse_unchecked("mut"), &bytes).unwrap();
        assert_eq!(moved.parse::<Address>(), Err(AddressError::Checksum));
    }

    // spec: LEDGER-2.4
    #[test]
    fn refuses_another_length_version_or_kind() {
        let bytes = address(Network::Main, 0).to_bytes();
        assert!(Address::from_bytes(Network::Main, &[&bytes[..], &[0]].concat()).is_err());
        for length in 0..bytes.len() {
            assert!(Address::from_bytes(Network::Main, &bytes[..length]).is_err());
        }
        for (at, value) in [(0, 2), (1, 2)] {
            let mut changed = bytes.clone();
            changed[at] = value;
            assert!(Address::from_bytes(Network::Main, &changed).is_err());
        }
    }

    // spec: LEDGER-2.5
    #[test]
    fn a_link_reads_back() {
        let link = PaymentLink {
            address: address(Network::Main, 2),
            amount: Some(Amount(1_500_000)),
            memo: Some("três tijolos & a brick = 100%".to_owned()),
        };
        let text = link.to_string();
        assert!(text.contains("amount=1.500000"));
        assert_eq!(text.parse(), Ok(link));
    }

    // spec: LEDGER-2.5
    #[test]
    fn every_link_that_is_read_reads_back_however_its_memo_was_written() {
        let address = address(Network::Main, 0);
        for (letter, bytes) in [('[', MEMO_BYTES_MAX), ('a', MEMO_BYTES_MAX), ('[', 0)] {
            let memo: String = std::iter::repeat_n(letter, bytes).collect();
            let link: PaymentLink =
                format!("mutirao:{address}?amount=1&memo={memo}").parse().unwrap();
            assert_eq!(link.to_string().parse(), Ok(link));
        }
        // One more would fit the link as it stands, and no link once it is escaped, nor any note.
        let memo = "[".repeat(MEMO_BYTES_MAX + 1);
        let link = format!("mutirao:{address}?memo={memo}").parse::<PaymentLink>();
        assert_eq!(link, Err(AddressError::Link("the memo fits no note")));
    }

    // spec: LEDGER-2.5
    #[test]
    fn refuses_a_link_that_asks_for_something_unknown_or_twice() {
        let address = address(Network::Main, 0);
        for query in ["amount=1&amount=2", "fee=1", "amount=-1", "amount=1.0000001", "memo=%F", "x"]
        {
            assert!(format!("mutirao:{address}?{query}").parse::<PaymentLink>().is_err());
        }
        assert!(address.to_string().parse::<PaymentLink>().is_err());
        assert_eq!(parse_amount("18446744073709.551615"), Some(Amount(u64::MAX)));
        assert_eq!(parse_amount("18446744073709.551616"), None);
    }
}
