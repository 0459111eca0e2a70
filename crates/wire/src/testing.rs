//! Strategies that make arbitrary values of every type in this crate, for property tests.

use crate::amount::{Amount, Prices};
use crate::bundle::{Message, Opening, ReceiptBundle, TextOpening};
use crate::digest::Digest;
use crate::id::{ChannelId, ModelId, OpSet, OrderCommitment, Token};
use crate::job::{Constraint, Job, Order, Privacy, Sampling};
use crate::key::SigningKey;
use crate::offer::{Offer, OfferLimits, SignedOffer};
use crate::receipt::{Checkpoint, Finish, Receipt, Served};
use proptest::collection::vec;
use proptest::prelude::*;

/// Any digest.
pub fn arb_digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

/// Up to `maximum` tokens.
pub fn arb_tokens(maximum: usize) -> impl Strategy<Value = Vec<Token>> {
    vec(any::<u32>().prop_map(Token), 0..=maximum)
}

/// Any key pair.
pub fn arb_signing_key() -> impl Strategy<Value = SigningKey> {
    any::<[u8; 32]>().prop_map(|secret| SigningKey::from_secret(&secret))
}

/// Any sampling within its bounds.
pub fn arb_sampling() -> impl Strategy<Value = Sampling> {
    let one = Sampling::ONE;
    (0..=100_000u32, any::<u32>(), 0..=one, 0..=one, any::<[u8; 32]>()).prop_map(
        |(temperature_milli, top_k, min_p, top_p, seed)| Sampling {
            temperature_milli,
            top_k,
            min_p,
            top_p,
            seed,
        },
    )
}

/// Any job with a short prompt.
pub fn arb_job() -> impl Strategy<Value = Job> {
    let stop = vec(vec(any::<u32>().prop_map(Token), 1..4), 0..3);
    let grammar =
        (any::<u32>(), ".{0,40}").prop_map(|(engine, grammar)| Constraint { engine, grammar });
    (
        (any::<u16>().prop_map(OpSet), arb_digest().prop_map(ModelId), arb_tokens(24)),
        (arb_sampling(), 0..=1000u32, stop),
        (proptest::option::of(grammar), any::<[u8; 32]>()),
    )
        .prop_map(|((op_set, model, prompt), (sampling, max_tokens, stop), rest)| Job {
            op_set,
            model,
            prompt,
            sampling,
            max_tokens,
            stop,
            constraint: rest.0,
            nonce: rest.1,
        })
}

/// Any prices.
pub fn arb_prices() -> impl Strategy<Value = Prices> {
    any::<[u64; 4]>().prop_map(|[input, cached, output, attest]| Prices {
        input: Amount(input),
        cached_input: Amount(cached),
        output: Amount(output),
        attest: Amount(attest),
    })
}

/// Any order for `job`.
pub fn arb_order(job: &Job) -> impl Strategy<Value = Order> + use<> {
    let job = job.commitment();
    let privacy = prop_oneof![Just(Privacy::Local), Just(Privacy::Circle), Just(Privacy::Open)];
    (arb_signing_key(), arb_digest(), arb_prices(), any::<u32>(), any::<[u64; 2]>(), privacy)
        .prop_map(move |(key, channel, prices, start, [ceiling, deadline_ms], privacy)| Order {
            job,
            provider: key.peer_key(),
            channel: ChannelId(channel),
            prices,
            ceiling: Amount(ceiling),
            start,
            deadline_ms,
            privacy,
        })
}

/// A signed offer of `peer` that certifies `receipts`.
pub fn arb_offer(
    peer: SigningKey,
    receipts: &SigningKey,
) -> impl Strategy<Value = SignedOffer> + use<> {
    let receipt_key = receipts.receipt_key();
    let sizes = (any::<[u32; 2]>(), any::<Option<[u32; 2]>>());
    (arb_digest(), any::<u16>(), "[a-z]{0,64}", sizes, any::<[u64; 2]>(), arb_prices()).prop_map(
        move |(model, op_set, name, sizes, [sequence, expires], prices)| {
            let ([context, capacity], limits) = sizes;
            let limits = limits.map(|[job_ms, jobs_per_key]| OfferLimits { job_ms, jobs_per_key });
            let provider = peer.peer_key();
            let (model, op_set, expires_ms) = (ModelId(model), OpSet(op_set), expires);
            Offer {
                provider,
                receipt_key,
                model,
                op_set,
                name,
                context,
                prices,
                capacity,
                limits,
                sequence,
                expires_ms,
            }
            .sign(&peer)
        },
    )
}

/// Any finish.
pub fn arb_finish() -> impl Strategy<Value = Finish> {
    prop_oneof![
        Just(Finish::Eos),
        Just(Finish::Stop),
        Just(Finish::Length),
        Just(Finish::Trap),
        any::<u32>().prop_map(|index| Finish::Cancelled { index }),
        Just(Finish::ProviderStopped),
    ]
}

/// Any checkpoint over a prefix of `answer`.
pub fn arb_checkpoint(job: Job, answer: Vec<Token>) -> impl Strategy<Value = Checkpoint> {
    (0..=answer.len(), arb_digest()).prop_map(move |(index, order)| Checkpoint {
        job: job.commitment(),
        order: OrderCommitment(order),
        index: u32::try_from(index).unwrap_or(u32::MAX),
        prefix: job.prefix_digest(answer.get(..index).unwrap_or(&answer)),
    })
}

/// Any receipt for `answer` to `job`.
pub fn arb_receipt(job: Job, answer: Vec<Token>) -> impl Strategy<Value = Receipt> {
    let count = |tokens: &[Token]| u32::try_from(tokens.len()).unwrap_or(u32::MAX);
    (arb_digest(), any::<[u32; 3]>(), arb_finish(), any::<[u64; 2]>(), any::<[u8; 32]>()).prop_map(
        move |(order, [start, end, duration_ms], finish, [price, started_ms], peer)| Receipt {
            job: job.commitment(),
            order: OrderCommitment(order),
            answer: job.answer_commitment(&answer),
            model: job.model,
            op_set: job.op_set,
            prompt_tokens: count(&job.prompt),
            answer_tokens: count(&answer),
            served: Served { start, end },
            finish,
            price: Amount(price),
            started_ms,
            duration_ms,
            provider: crate::key::PeerKey(peer),
        },
    )
}

/// Any text opening.
pub fn arb_text() -> impl Strategy<Value = TextOpening> {
    let message =
        ("[a-z]{1,9}", any::<String>()).prop_map(|(role, content)| Message { role, content });
    (vec(message, 0..4), proptest::option::of(any::<String>()), any::<String>(), any::<bool>())
        .prop_map(|(messages, date, answer, tools)| TextOpening {
            messages,
            tools: tools.then(|| serde_json::json!([{"name": "pay"}])),
            date,
            answer,
            text_stack: "test".into(),
        })
}

/// A whole bundle, signed by its own keys.
pub fn arb_bundle() -> impl Strategy<Value = ReceiptBundle> {
    (arb_job(), arb_tokens(40), arb_signing_key(), arb_signing_key()).prop_flat_map(
        |(job, answer, peer, receipts)| {
            let receipt = arb_receipt(job.clone(), answer.clone());
            let offer = arb_offer(peer, &receipts);
            let text = proptest::option::of(arb_text());
            (receipt, offer, text).prop_map(move |(receipt, offer, text)| ReceiptBundle {
                receipt: receipt.sign(&receipts),
                offer,
                opening: Opening { job: job.clone(), answer: answer.clone(), text },
            })
        },
    )
}
