//! What the chain sees of a channel.

use super::{ROYALTIES_MAX, Voucher};
use crate::cell::CellId;
use crate::cell::till::{Deposit, Share};
use crate::curve::Point;
use crate::rules::Height;
use mutirao_wire::codec::put_list;
use mutirao_wire::{Decode, DecodeError, Encode, Reader};

/// What happens to a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a few a transaction, never stored")]
pub enum ChannelAction {
    /// It comes into being.
    Open {
        /// `D₀`.
        deposit: Point,
        /// `O_r`.
        payer: Point,
        /// `O_p`.
        payee: Point,
        /// `K`.
        voucher_key: Point,
        /// Which tills get which share.
        royalties: Vec<Share>,
        /// From the next height on the payer may take everything back.
        expiry: Height,
    },
    /// The payer adds to it.
    TopUp {
        /// Which.
        channel: CellId,
        /// `Dᵢ`.
        added: Point,
    },
    /// The payee takes what a voucher says.
    Close {
        /// Names the channel too.
        voucher: Voucher,
        /// Bit `i`: part `i` is among those that cover the voucher.
        covered: u8,
        /// One deposit a royalty, in the channel's order.
        royalties: Vec<Deposit>,
    },
    /// Both agree, whatever vouchers say; all of it is theirs to divide.
    Settle {
        /// Which.
        channel: CellId,
    },
    /// The payer takes what is left: of a closed channel at once, of an open one after it expired.
    Refund {
        /// Which.
        channel: CellId,
    },
}

impl Encode for ChannelAction {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Open { deposit, payer, payee, voucher_key, royalties, expiry } => {
                0u8.encode(out);
                deposit.encode(out);
                payer.encode(out);
                payee.encode(out);
                voucher_key.encode(out);
                put_list(out, royalties);
                expiry.encode(out);
            }
            Self::TopUp { channel, added } => {
                1u8.encode(out);
                channel.encode(out);
                added.encode(out);
            }
            Self::Close { voucher, covered, royalties } => {
                2u8.encode(out);
                voucher.encode(out);
                covered.encode(out);
                put_list(out, royalties);
            }
            Self::Settle { channel } => {
                3u8.encode(out);
                channel.encode(out);
            }
            Self::Refund { channel } => {
                4u8.encode(out);
                channel.encode(out);
            }
        }
    }
}

impl Decode for ChannelAction {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(input)? {
            0 => Self::Open {
                deposit: Point::decode(input)?,
                payer: Point::decode(input)?,
                payee: Point::decode(input)?,
                voucher_key: Point::decode(input)?,
                royalties: input.list("royalties", ROYALTIES_MAX)?,
                expiry: Height::decode(input)?,
            },
            1 => Self::TopUp { channel: CellId::decode(input)?, added: Point::decode(input)? },
            2 => Self::Close {
                voucher: Voucher::decode(input)?,
                covered: u8::decode(input)?,
                royalties: input.list("royalties", ROYALTIES_MAX)?,
            },
            3 => Self::Settle { channel: CellId::decode(input)? },
            4 => Self::Refund { channel: CellId::decode(input)? },
            value => {
                return Err(DecodeError::Unknown { what: "channel action", value: value.into() });
            }
        })
    }
}

impl ChannelAction {
    /// The channel that the action is about; none for one that it makes.
    #[must_use]
    pub fn channel(&self) -> Option<CellId> {
        match self {
            Self::Open { .. } => None,
            Self::Close { voucher, .. } => Some(voucher.channel),
            Self::TopUp { channel, .. } | Self::Settle { channel } | Self::Refund { channel } => {
                Some(*channel)
            }
        }
    }

    /// Slots of the range proof: each hidden amount one, each inequality one.
    #[must_use]
    pub fn slots(&self) -> usize {
        match self {
            Self::Open { .. } | Self::TopUp { .. } => 1,
            Self::Close { royalties, .. } => 1 + 3 * royalties.len(),
            Self::Settle { .. } | Self::Refund { .. } => 0,
        }
    }

    /// Whether it takes value out.
    #[must_use]
    pub fn takes(&self) -> bool {
        matches!(self, Self::Close { .. } | Self::Settle { .. } | Self::Refund { .. })
    }
}
