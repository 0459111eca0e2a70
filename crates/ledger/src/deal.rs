//! The words between payer and payee before a channel pays, and when it is to end.
//!
//! They travel inside the encrypted session; nothing of them stands on a chain but what the channel
//! itself shows. A payee gives each asker a key of its own, so that no two channels name the same.

use crate::cell::CellId;
use crate::cell::channel::{PARTS_MAX, ROYALTIES_MAX, Voucher};
use crate::cell::till::Share;
use crate::commit::Opening;
use crate::curve::Point;
use crate::rules::ChainId;
use crate::tx::TxId;
use mutirao_wire::codec::{put_bytes, put_list};
use mutirao_wire::{Amount, Decode, DecodeError, Encode, ModelId, Reader, record};

/// Bytes of a reason at most.
const REASON_BYTES_MAX: usize = 512;

/// What a payer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Under which terms would you answer for this model? [`Reply::Terms`].
    Terms(ModelId),
    /// A channel stands on the ledger: [`Reply::Taken`].
    Take {
        /// For which model.
        model: ModelId,
        /// Which.
        channel: CellId,
        /// The number of the payee's key that it names.
        number: u64,
        /// What opens the parts of its deposit.
        told: Vec<Opening>,
    },
    /// Please close it: [`Reply::Closed`]. Only its payer can open a part of it.
    Close {
        /// Which.
        channel: CellId,
        /// What opens its first part.
        told: Opening,
    },
}

/// What a payee insists on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// On which chain.
    pub chain: ChainId,
    /// The number of a fresh key.
    pub number: u64,
    /// That key.
    pub payee: Point,
    /// Which tills get which share: those of the model.
    pub royalties: Vec<Share>,
    /// The least that a channel must hold.
    pub deposit: Amount,
    /// For how many blocks it must live at least.
    pub blocks: u64,
}

impl Encode for Terms {
    fn encode(&self, out: &mut Vec<u8>) {
        self.chain.encode(out);
        self.number.encode(out);
        self.payee.encode(out);
        put_list(out, &self.royalties);
        self.deposit.encode(out);
        self.blocks.encode(out);
    }
}
impl Decode for Terms {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            chain: ChainId::decode(input)?,
            number: u64::decode(input)?,
            payee: Point::decode(input)?,
            royalties: input.list("royalties", ROYALTIES_MAX)?,
            deposit: Amount::decode(input)?,
            blocks: u64::decode(input)?,
        })
    }
}

/// What a payee says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Under these.
    Terms(Terms),
    /// The channel is known now.
    Taken(Taken),
    /// It is closed, in this transaction; none where no voucher was ever taken.
    Closed(Option<TxId>),
    /// No, and why.
    No(String),
}

/// A channel that its payee knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The best voucher that it has, for a payer that forgot.
    pub last: Option<Voucher>,
}

record!(Taken { last });

// spec: LEDGER-12.9
impl Encode for Ask {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Terms(model) => {
                0u8.encode(out);
                model.encode(out);
            }
            Self::Take { model, channel, number, told } => {
                1u8.encode(out);
                model.encode(out);
                channel.encode(out);
                number.encode(out);
                put_list(out, told);
            }
            Self::Close { channel, told } => {
                2u8.encode(out);
                channel.encode(out);
                told.encode(out);
            }
        }
    }
}
impl Decode for Ask {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(input)? {
            0 => Self::Terms(Decode::decode(input)?),
            1 => Self::Take {
                model: Decode::decode(input)?,
                channel: Decode::decode(input)?,
                number: Decode::decode(input)?,
                told: input.list("openings", PARTS_MAX)?,
            },
            2 => Self::Close { channel: Decode::decode(input)?, told: Decode::decode(input)? },
            value => return Err(DecodeError::Unknown { what: "deal", value: value.into() }),
        })
    }
}

impl Encode for Reply {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Terms(terms) => {
                0u8.encode(out);
                terms.encode(out);
            }
            Self::Taken(taken) => {
                1u8.encode(out);
                taken.encode(out);
            }
            Self::Closed(tx) => {
                2u8.encode(out);
                tx.encode(out);
            }
            Self::No(reason) => {
                3u8.encode(out);
                let end = reason.floor_char_boundary(REASON_BYTES_MAX);
                put_bytes(out, reason.get(..end).unwrap_or_default().as_bytes());
            }
        }
    }
}
impl Decode for Reply {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(input)? {
            0 => Self::Terms(Decode::decode(input)?),
            1 => Self::Taken(Decode::decode(input)?),
            2 => Self::Closed(Decode::decode(input)?),
            3 => Self::No(input.text("reason", REASON_BYTES_MAX)?),
            value => return Err(DecodeError::Unknown { what: "deal reply", value: value.into() }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::generators;
    use curve25519_dalek::scalar::Scalar;
    use mutirao_wire::Digest;
    use mutirao_wire::limits::DEAL_BYTES_MAX;
    use proptest::prelude::*;

    fn point(number: u64) -> Point {
        Point::fresh(generators().times_g(&Scalar::from(number + 1)))
    }

    fn opening(number: u64) -> Opening {
        Opening::new(Amount(number), Scalar::from(number + 5))
    }

    fn asks() -> Vec<Ask> {
        let (model, channel) = (ModelId(Digest([1; 32])), CellId(Digest([2; 32])));
        let told: Vec<Opening> = (0..PARTS_MAX as u64).map(opening).collect();
        vec![
            Ask::Terms(model),
            Ask::Take { model, channel, number: 7, told },
            Ask::Close { channel, told: opening(3) },
        ]
    }

    fn replies() -> Vec<Reply> {
        let share = Share { till: CellId(Digest([3; 32])), basis_points: 500 };
        let terms = Terms {
            chain: ChainId(Digest([4; 32])),
            number: 9,
            payee: point(2),
            royalties: vec![share; ROYALTIES_MAX],
            deposit: Amount(10),
            blocks: 100,
        };
        vec![
            Reply::Terms(terms),
            Reply::Taken(Taken { last: None }),
            Reply::Closed(None),
            Reply::Closed(Some(TxId(Digest([6; 32])))),
            Reply::No("no".into()),
        ]
    }

    fn reads_back<T: Encode + Decode + PartialEq + std::fmt::Debug>(words: &T) {
        let bytes = words.to_bytes();
        assert!(bytes.len() <= DEAL_BYTES_MAX);
        assert_eq!(T::from_bytes(&bytes).as_ref(), Ok(words));
        for end in 0..bytes.len() {
            assert!(T::from_bytes(&bytes[..end]).is_err(), "a cut at {end} was read");
        }
        assert!(T::from_bytes(&[&bytes[..], &[0]].concat()).is_err(), "nothing may follow");
    }

    // spec: LEDGER-12.9
    #[test]
    fn the_words_about_a_channel_read_back_and_no_cut_of_them_does() {
        asks().iter().for_each(reads_back);
        replies().iter().for_each(reads_back);
    }

    #[test]
    fn a_long_reason_is_cut_at_a_whole_character() {
        let reply = Reply::No("\u{1f33f}".repeat(200));
        let Ok(Reply::No(kept)) = Reply::from_bytes(&reply.to_bytes()) else { panic!("no reply") };
        assert_eq!(kept.len(), 512);
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Ask::from_bytes(&bytes);
            let _ = Reply::from_bytes(&bytes);
        }
    }
}
