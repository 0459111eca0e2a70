//! The frames of a session: what each side may say, in canonical bytes.
//!
//! The transport carries whole frames of at most [`FRAME_BYTES_MAX`]; a frame that does not decode
//! ends the session, because a peer that speaks another protocol cannot be half understood.

use mutirao_wire::codec::{put_bytes, put_list};
use mutirao_wire::limits::{
    ANSWER_TOKENS_MAX, DEAL_BYTES_MAX, FRAME_BYTES_MAX, GRAMMAR_BYTES_MAX, OFFERS_MAX,
    PROMPT_TOKENS_MAX, REASON_BYTES_MAX, VOUCHER_BYTES_MAX,
};
use mutirao_wire::{
    Amount, Decode, DecodeError, Encode, Job, Order, Reader, SignedCheckpoint, SignedOffer,
    SignedReceipt, Token,
};

/// Prompt and prefix share one context, so the largest honest frame holds that many tokens, a
/// grammar and some hundred bytes beside them.
// spec: SESSION-2.4
const _: () = assert!(4 * PROMPT_TOKENS_MAX + GRAMMAR_BYTES_MAX + (1 << 14) <= FRAME_BYTES_MAX);

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame {
    /// Which models do you offer?
    GetOffers,
    /// Please answer this job, which already has these first tokens.
    Open {
        /// The deal.
        order: Order,
        /// The job.
        job: Job,
        /// Tokens that other providers already wrote.
        prefix: Vec<Token>,
    },
    /// The answer ends after `index` tokens.
    Cancel {
        /// Tokens that the client accepts.
        index: u32,
    },
    /// So much is paid under this order, in all.
    Pay {
        /// In all.
        paid: Amount,
        /// The channel's last voucher, as the ledger reads it.
        voucher: Vec<u8>,
    },
    /// Something about a channel, as the ledger reads it.
    Deal(Vec<u8>),
}

/// What a provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderFrame {
    /// These models.
    Offers(Vec<SignedOffer>),
    /// The order is taken.
    Accepted,
    /// So much of prompt and prefix is read.
    Progress {
        /// Tokens read.
        done: u32,
        /// Tokens to read.
        total: u32,
        /// How many of the prompt's first tokens it still had from before.
        cached: u32,
    },
    /// The next token.
    Token {
        /// Its place in the answer.
        index: u32,
        /// The token.
        token: Token,
    },
    /// A signed statement about the tokens so far.
    Checkpoint(SignedCheckpoint),
    /// A signed statement about the whole answer. The last frame.
    Receipt(SignedReceipt),
    /// No, and why. The last frame.
    Refused {
        /// What kind of refusal.
        code: Refusal,
        /// Why, and what to do next.
        reason: String,
    },
    /// The prefix is not what the model gives. The last frame.
    PrefixRefused {
        /// The first wrong token.
        index: u32,
    },
    /// The reply to [`ClientFrame::Deal`]. The last frame.
    Deal(Vec<u8>),
}

/// Kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Too many jobs at once: another time, or another provider.
    Busy,
    /// The order is not for this provider, or not at its prices, or too late.
    BadOrder,
    /// The model cannot take this job.
    BadJob,
    /// This provider does not have the model.
    UnknownModel,
    /// A frame that does not belong here.
    Protocol,
    /// The provider failed; the job may be fine.
    Internal,
    /// Vouchers stopped, or are not what they should be.
    Unpaid,
}

impl Encode for Refusal {
    fn encode(&self, out: &mut Vec<u8>) {
        let code: u8 = match self {
            Self::Busy => 0,
            Self::BadOrder => 1,
            Self::BadJob => 2,
            Self::UnknownModel => 3,
            Self::Protocol => 4,
            Self::Internal => 5,
            Self::Unpaid => 6,
        };
        code.encode(out);
    }
}

impl Decode for Refusal {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(input)? {
            0 => Self::Busy,
            1 => Self::BadOrder,
            2 => Self::BadJob,
            3 => Self::UnknownModel,
            4 => Self::Protocol,
            5 => Self::Internal,
            6 => Self::Unpaid,
            value => return Err(DecodeError::Unknown { what: "refusal", value: value.into() }),
        })
    }
}

// spec: SESSION-2.1
impl Encode for ClientFrame {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::GetOffers => 0u8.encode(out),
            Self::Open { order, job, prefix } => {
                1u8.encode(out);
                order.encode(out);
                job.encode(out);
                put_list(out, prefix);
            }
            Self::Cancel { index } => {
                2u8.encode(out);
                index.encode(out);
            }
            Self::Pay { paid, voucher } => {
                3u8.encode(out);
                paid.encode(out);
                put_bytes(out, voucher);
            }
            Self::Deal(words) => {
                4u8.encode(out);
                put_bytes(out, words);
            }
        }
    }
}

// spec: SESSION-2.3
impl Decode for ClientFrame {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(input)? {
            0 => Self::GetOffers,
            1 => Self::Open {
                order: Decode::decode(input)?,
                job: Decode::decode(input)?,
                prefix: input.tokens("prefix", ANSWER_TOKENS_MAX)?,
            },
            2 => Self::Cancel { index: Decode::decode(input)? },
            3 => Self::Pay {
                paid: Decode::decode(input)?,
                voucher: input.bytes("voucher", VOUCHER_BYTES_MAX)?,
            },
            4 => Self::Deal(input.bytes("deal", DEAL_BYTES_MAX)?),
            value => {
                return Err(DecodeError::Unknown { what: "client frame", value: value.into() });
            }
        })
    }
}

// spec: SESSION-2.2
impl Encode for ProviderFrame {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Offers(offers) => {
                0u8.encode(out);
                put_list(out, offers);
            }
            Self::Accepted => 1u8.encode(out),
            Self::Progress { done, total, cached } => {
                2u8.encode(out);
                done.encode(out);
                total.encode(out);
                cached.encode(out);
            }
            Self::Token { index, token } => {
                3u8.encode(out);
                index.encode(out);
                token.encode(out);
            }
            Self::Checkpoint(checkpoint) => {
                4u8.encode(out);
                checkpoint.encode(out);
            }
            Self::Receipt(receipt) => {
                5u8.encode(out);
                receipt.encode(out);
            }
            Self::Refused { code, reason } => {
                6u8.encode(out);
                code.encode(out);
                put_bytes(out, bounded(reason).as_bytes());
            }
            Self::PrefixRefused { index } => {
                7u8.encode(out);
                index.encode(out);
            }
            Self::Deal(words) => {
                8u8.encode(out);
                put_bytes(out, words);
            }
        }
    }
}

/// A reason cut to its bound, at a character.
fn bounded(reason: &str) -> &str {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.get(..end).unwrap_or_default()
}

impl Decode for ProviderFrame {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(input)? {
            0 => Self::Offers(input.list("offers", OFFERS_MAX)?),
            1 => Self::Accepted,
            2 => Self::Progress {
                done: Decode::decode(input)?,
                total: Decode::decode(input)?,
                cached: Decode::decode(input)?,
            },
            3 => Self::Token { index: Decode::decode(input)?, token: Decode::decode(input)? },
            4 => Self::Checkpoint(Decode::decode(input)?),
            5 => Self::Receipt(Decode::decode(input)?),
            6 => Self::Refused {
                code: Decode::decode(input)?,
                reason: input.text("reason", REASON_BYTES_MAX)?,
            },
            7 => Self::PrefixRefused { index: Decode::decode(input)? },
            8 => Self::Deal(input.bytes("deal", DEAL_BYTES_MAX)?),
            value => {
                return Err(DecodeError::Unknown { what: "provider frame", value: value.into() });
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mutirao_wire::testing::{
        arb_bundle, arb_checkpoint, arb_job, arb_order, arb_signing_key, arb_tokens,
    };
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use std::fmt::Debug;

    fn arb_refusal() -> impl Strategy<Value = Refusal> {
        prop_oneof![
            Just(Refusal::Busy),
            Just(Refusal::BadOrder),
            Just(Refusal::BadJob),
            Just(Refusal::UnknownModel),
            Just(Refusal::Protocol),
            Just(Refusal::Internal),
            Just(Refusal::Unpaid),
        ]
    }

    fn arb_client_frame() -> impl Strategy<Value = ClientFrame> {
        let open =
            arb_job().prop_flat_map(|job| {
                (arb_order(&job), arb_tokens(40)).prop_map(move |(order, prefix)| {
                    ClientFrame::Open { order, job: job.clone(), prefix }
                })
            });
        prop_oneof![
            Just(ClientFrame::GetOffers),
            open,
            any::<u32>().prop_map(|index| ClientFrame::Cancel { index }),
            (any::<u64>(), vec(any::<u8>(), 0..300))
                .prop_map(|(paid, voucher)| ClientFrame::Pay { paid: Amount(paid), voucher }),
            vec(any::<u8>(), 0..300).prop_map(ClientFrame::Deal),
        ]
    }

    fn arb_provider_frame() -> impl Strategy<Value = ProviderFrame> {
        let checkpoint =
            (arb_job(), arb_tokens(20), arb_signing_key()).prop_flat_map(|(job, answer, key)| {
                arb_checkpoint(job, answer)
                    .prop_map(move |point| ProviderFrame::Checkpoint(point.sign(&key)))
            });
        let offers = vec(arb_bundle().prop_map(|bundle| bundle.offer), 0..4);
        prop_oneof![
            offers.prop_map(ProviderFrame::Offers),
            Just(ProviderFrame::Accepted),
            any::<[u32; 3]>().prop_map(|[done, total, cached]| ProviderFrame::Progress {
                done,
                total,
                cached
            }),
            any::<[u32; 2]>()
                .prop_map(|[index, token]| { ProviderFrame::Token { index, token: Token(token) } }),
            checkpoint,
            arb_bundle().prop_map(|bundle| ProviderFrame::Receipt(bundle.receipt)),
            (arb_refusal(), ".{0,100}")
                .prop_map(|(code, reason)| ProviderFrame::Refused { code, reason }),
            any::<u32>().prop_map(|index| ProviderFrame::PrefixRefused { index }),
            vec(any::<u8>(), 0..300).prop_map(ProviderFrame::Deal),
        ]
    }

    /// One frame, one encoding: it reads back, no cut of it reads, nothing may follow it.
    fn reads_back<T: Encode + Decode + PartialEq + Debug>(frame: &T) {
        let bytes = frame.to_bytes();
        assert_eq!(T::from_bytes(&bytes).as_ref(), Ok(frame));
        for end in 0..bytes.len() {
            assert!(T::from_bytes(&bytes[..end]).is_err(), "a cut at {end} was read");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(T::from_bytes(&longer), Err(DecodeError::Trailing { left: 1 }));
    }

    fn has_no_second_spelling<T: Encode + Decode>(bytes: &[u8]) {
        if let Ok(frame) = T::from_bytes(bytes) {
            assert_eq!(frame.to_bytes(), bytes);
        }
    }

    proptest! {
        // spec: SESSION-2.1
        #[test]
        fn what_a_client_says_reads_back(frame in arb_client_frame()) {
            reads_back(&frame);
        }

        // spec: SESSION-2.2
        #[test]
        fn what_a_provider_says_reads_back(frame in arb_provider_frame()) {
            reads_back(&frame);
        }

        // spec: SESSION-2.3
        #[test]
        fn hostile_bytes_never_panic_and_never_spell_a_frame_twice(
            bytes in vec(any::<u8>(), 0..700),
            tag in 0..10u8,
        ) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first = tag;
            }
            has_no_second_spelling::<ClientFrame>(&bytes);
            has_no_second_spelling::<ProviderFrame>(&bytes);
        }

        // spec: SESSION-2.3
        #[test]
        fn a_changed_byte_of_a_real_frame_never_panics_and_never_spells_it_twice(
            client in arb_client_frame(),
            provider in arb_provider_frame(),
            at in any::<prop::sample::Index>(),
            value in any::<u8>(),
        ) {
            let mut bytes = client.to_bytes();
            let place = at.index(bytes.len());
            bytes[place] = value;
            has_no_second_spelling::<ClientFrame>(&bytes);
            let mut bytes = provider.to_bytes();
            let place = at.index(bytes.len());
            bytes[place] = value;
            has_no_second_spelling::<ProviderFrame>(&bytes);
        }
    }

    // spec: SESSION-2.3
    #[test]
    fn an_unknown_tag_is_refused_by_its_name_and_number() {
        for tag in 5..=255u8 {
            let error = ClientFrame::from_bytes(&[tag, 0, 0, 0, 0]).expect_err("unknown");
            assert_eq!(error, DecodeError::Unknown { what: "client frame", value: tag.into() });
        }
        for tag in 9..=255u8 {
            let error = ProviderFrame::from_bytes(&[tag, 0, 0, 0, 0]).expect_err("unknown");
            assert_eq!(error, DecodeError::Unknown { what: "provider frame", value: tag.into() });
        }
        let error = ProviderFrame::from_bytes(&[6, 7, 0, 0, 0, 0]).expect_err("unknown");
        assert_eq!(error, DecodeError::Unknown { what: "refusal", value: 7 });
    }

    // spec: SESSION-2.3
    #[test]
    fn a_count_above_its_bound_is_refused_before_its_items_are_read() {
        let offers = [&[0u8][..], &65u32.to_bytes()].concat();
        let error = ProviderFrame::from_bytes(&offers).expect_err("65 offers");
        let bound = DecodeError::TooLong { what: "offers", count: 65, maximum: 64 };
        assert_eq!(error, bound);
        let reason = [&[6u8, 0][..], &513u32.to_bytes(), &[b'a'; 513]].concat();
        let error = ProviderFrame::from_bytes(&reason).expect_err("a reason of 513 bytes");
        let bound = DecodeError::TooLong { what: "reason", count: 513, maximum: 512 };
        assert_eq!(error, bound);
        let voucher = [&[3u8; 9][..], &513u32.to_bytes(), &[1; 513]].concat();
        let error = ClientFrame::from_bytes(&voucher).expect_err("a voucher of 513 bytes");
        let bound = DecodeError::TooLong { what: "voucher", count: 513, maximum: 512 };
        assert_eq!(error, bound);
    }

    // spec: SESSION-2.2
    #[test]
    fn a_long_reason_is_cut_at_a_whole_character() {
        for lead in 0..4 {
            let reason = "a".repeat(lead) + &"\u{1f33f}".repeat(300);
            let sent = ProviderFrame::Refused { code: Refusal::Busy, reason: reason.clone() };
            let read = ProviderFrame::from_bytes(&sent.to_bytes()).expect("a cut reason is text");
            let ProviderFrame::Refused { reason: kept, .. } = read else { panic!("not refused") };
            assert!(reason.starts_with(&kept));
            assert!((509..=512).contains(&kept.len()), "{} bytes are kept", kept.len());
        }
    }

    // spec: SESSION-2.4
    #[test]
    fn the_largest_honest_frame_fits() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let mut job = arb_job().new_tree(&mut runner).expect("a job").current();
        job.prompt = vec![Token(7); PROMPT_TOKENS_MAX / 2];
        job.stop = vec![vec![Token(1); 32]; 8];
        let order = arb_order(&job).new_tree(&mut runner).expect("an order").current();
        assert_eq!(order.to_bytes().len(), 149);
        let prefix = vec![Token(9); PROMPT_TOKENS_MAX / 2];
        let open = ClientFrame::Open { order, job, prefix };
        assert!(open.to_bytes().len() <= FRAME_BYTES_MAX);
        assert_eq!(ClientFrame::from_bytes(&open.to_bytes()), Ok(open));
    }
}
