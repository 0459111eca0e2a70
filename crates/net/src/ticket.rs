//! A ticket: a key and where it was last reachable, short enough to paste into a chat.
//!
//! Text form: `mutirao1` and lower-case base32 of version, key, addresses and a checksum, so that a
//! slip of the hand is noticed before anything is dialled. A ticket is no secret and no promise.

use mutirao_wire::codec::put_count;
use mutirao_wire::{Decode, DecodeError, Digest, Encode, PeerKey, Reader};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use thiserror::Error;

/// Most addresses in a ticket.
pub const ADDRESSES_MAX: usize = 16;
const PREFIX: &str = "mutirao1";
const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;
const TEXT_MAX: usize = 1024;

/// Why a text is no ticket.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TicketError {
    /// It does not look like one.
    #[error("not a ticket; `mutirao provide` prints one that starts with {PREFIX}")]
    Shape,
    /// A character is wrong or missing.
    #[error("the ticket has a wrong or missing character; copy it again whole")]
    Checksum,
    /// Its content does not decode.
    #[error("the ticket does not decode: {0}")]
    Content(#[from] DecodeError),
}

/// A key and its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    key: PeerKey,
    addresses: Vec<SocketAddr>,
}

impl Ticket {
    /// A ticket of `key` at `addresses`, of which at most [`ADDRESSES_MAX`] are kept.
    #[must_use]
    pub fn new(key: PeerKey, mut addresses: Vec<SocketAddr>) -> Self {
        addresses.truncate(ADDRESSES_MAX);
        Self { key, addresses }
    }

    /// Whose ticket it is.
    #[must_use]
    pub fn key(&self) -> PeerKey {
        self.key
    }

    /// Where it was last reachable.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Encode for Ticket {
    fn encode(&self, out: &mut Vec<u8>) {
        VERSION.encode(out);
        self.key.encode(out);
        put_count(out, self.addresses.len());
        for address in &self.addresses {
            match address.ip() {
                IpAddr::V4(ip) => {
                    4u8.encode(out);
                    ip.octets().encode(out);
                }
                IpAddr::V6(ip) => {
                    6u8.encode(out);
                    ip.octets().encode(out);
                }
            }
            address.port().encode(out);
        }
    }
}

impl Decode for Ticket {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(input)? {
            VERSION => {}
            value => {
                return Err(DecodeError::Unknown { what: "ticket version", value: value.into() });
            }
        }
        let key = PeerKey::decode(input)?;
        let count = input.count("addresses", ADDRESSES_MAX)?;
        let addresses = (0..count).map(|_| address(input)).collect::<Result<_, _>>()?;
        Ok(Self { key, addresses })
    }
}

fn address(input: &mut Reader<'_>) -> Result<SocketAddr, DecodeError> {
    let ip: IpAddr = match u8::decode(input)? {
        4 => Ipv4Addr::from(input.array::<4>()?).into(),
        6 => Ipv6Addr::from(input.array::<16>()?).into(),
        value => {
            return Err(DecodeError::Unknown { what: "address family", value: value.into() });
        }
    };
    Ok(SocketAddr::new(ip, u16::decode(input)?))
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = Digest::of("mutirao 1 ticket checksum", &[bytes]).0;
    [digest[0], digest[1], digest[2], digest[3]]
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.to_bytes();
        bytes.extend(checksum(&bytes));
        let text = data_encoding::BASE32_NOPAD.encode(&bytes).to_lowercase();
        write!(f, "{PREFIX}{text}")
    }
}

impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        let body = text.trim().strip_prefix(PREFIX).filter(|body| body.len() <= TEXT_MAX);
        let body = body.ok_or(TicketError::Shape)?.to_uppercase();
        let bytes = data_encoding::BASE32_NOPAD.decode(body.as_bytes());
        let bytes = bytes.map_err(|_| TicketError::Checksum)?;
        let (content, sum) = bytes.split_last_chunk().ok_or(TicketError::Shape)?;
        if *sum != checksum(content) {
            return Err(TicketError::Checksum);
        }
        Ok(Self::from_bytes(content)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ticket() -> Ticket {
        let addresses = vec!["127.0.0.1:4242".parse(), "[::1]:7".parse()];
        let addresses = addresses.into_iter().collect::<Result<_, _>>().expect("addresses");
        Ticket::new(PeerKey([7; 32]), addresses)
    }

    #[test]
    fn a_ticket_reads_back_from_its_text() {
        assert_eq!(ticket().to_string().parse(), Ok(ticket()));
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let text = ticket().to_string();
        for (at, old) in text.char_indices().skip(PREFIX.len()) {
            let new = if old == 'a' { 'b' } else { 'a' };
            let mut changed = text.clone();
            changed.replace_range(at..=at, &new.to_string());
            assert!(changed.parse::<Ticket>().is_err(), "at {at}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_ticket_or_an_error(text in "(mutirao1)?[a-z2-7]{0,200}") {
            let _ = text.parse::<Ticket>();
        }

        #[test]
        fn any_bytes_are_a_ticket_or_an_error(bytes in any::<Vec<u8>>()) {
            if let Ok(ticket) = Ticket::from_bytes(&bytes) {
                prop_assert_eq!(ticket.to_bytes(), bytes);
            }
        }
    }
}
