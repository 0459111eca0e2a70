//! A toy model and some parties, for the tests of this room: the next token is a hash of the job
//! and the tokens so far, so one changed token changes all that follow, as with a real model.

use crate::audit::{ModelFacts, Replay, Replayer};
use crate::session::client::natural_finish;
use crate::session::payment::{Work, owed};
use crate::session::provider::Desk;
use mutirao_wire::bundle::{Opening, ReceiptBundle};
use mutirao_wire::{
    Amount, Digest, Encode, Finish, Job, ModelId, Offer, OpSet, Order, PeerKey, Prices, Sampling,
    Served, SignedOffer, SigningKey, Token,
};
use std::convert::Infallible;

/// Tokens of the toy model.
pub const VOCABULARY: u32 = 60;
/// Ends an answer; given only where a [`Toy`] says so.
pub const END: Token = Token(VOCABULARY - 1);
/// The tokens that end an answer.
pub const ENDS: &[Token] = &[END];
/// When the tests begin.
pub const DAWN: u64 = 1_000_000;
/// When the offers lapse.
pub const DUSK: u64 = 90_000_000;
/// Prompt tokens of [`job`].
pub const PROMPT: u32 = 7;
/// Context of the toy model.
pub const CONTEXT: u32 = 200;

/// The model of the tests.
pub fn model() -> ModelId {
    ModelId(Digest::of("test", &[b"toy"]))
}

/// What a judge knows about it.
pub fn facts() -> ModelFacts<'static> {
    ModelFacts { id: model(), op_set: OpSet(1), end_of_text: ENDS }
}

/// A job with room for `max_tokens`.
pub fn job(max_tokens: u32) -> Job {
    Job {
        op_set: OpSet(1),
        model: model(),
        prompt: (0..PROMPT).map(Token).collect(),
        sampling: Sampling::greedy(),
        max_tokens,
        stop: Vec::new(),
        constraint: None,
        nonce: [9; 32],
    }
}

/// The network key of a numbered party.
pub fn key(party: u8) -> SigningKey {
    SigningKey::from_secret(&[party; 32])
}

/// The key that signs its receipts.
pub fn receipts(party: u8) -> SigningKey {
    SigningKey::from_secret(&[100 + party; 32])
}

/// Its name on the network.
pub fn peer(party: u8) -> PeerKey {
    key(party).peer_key()
}

/// Its offer for the toy model, not signed yet.
pub fn unsigned_offer(party: u8) -> Offer {
    Offer {
        provider: peer(party),
        receipt_key: receipts(party).receipt_key(),
        model: model(),
        op_set: OpSet(1),
        name: "toy".into(),
        context: CONTEXT,
        prices: Prices {
            input: Amount(1_000),
            cached_input: Amount(100),
            output: Amount(5_000),
            attest: Amount(2_500),
        },
        capacity: 2,
        limits: None,
        sequence: 1,
        expires_ms: DUSK,
    }
}

/// Its offer for the toy model.
pub fn offer(party: u8) -> SignedOffer {
    unsigned_offer(party).sign(&key(party))
}

/// What an answer costs.
pub fn price(order: &Order, job: &Job, served: Served) -> Option<Amount> {
    let prompt = count(job.prompt.len());
    owed(&order.prices, prompt, Work::whole(prompt, served, 0))
}

/// What it serves with.
pub fn desk(party: u8) -> Desk {
    Desk { offers: vec![offer(party)], receipts: receipts(party) }
}

/// The toy model, with a place where it ends its text or traps.
#[derive(Debug, Clone, Copy, Default)]
pub struct Toy {
    /// The index at which it gives [`END`].
    pub end_at: Option<usize>,
    /// The index at which it traps.
    pub trap_at: Option<usize>,
}

/// What the toy model does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Writes this.
    Token(Token),
    /// Ends.
    Finished(Finish),
}

impl Toy {
    /// What comes after `answer`.
    pub fn next(&self, job: &Job, answer: &[Token]) -> Step {
        if let Some(finish) = natural_finish(job, ENDS, answer) {
            return Step::Finished(finish);
        }
        if self.trap_at == Some(answer.len()) {
            return Step::Finished(Finish::Trap);
        }
        if self.end_at == Some(answer.len()) {
            return Step::Token(END);
        }
        let so_far: Vec<u8> = answer.iter().flat_map(|token| token.to_bytes()).collect();
        let digest = Digest::of("test", &[&job.commitment().to_bytes(), &so_far]);
        let number = u32::from_le_bytes([digest.0[0], digest.0[1], digest.0[2], 0]);
        Step::Token(Token(number % (VOCABULARY - 1)))
    }

    /// The one answer of a job.
    pub fn answer(&self, job: &Job) -> (Vec<Token>, Finish) {
        self.go_on(job, Vec::new())
    }

    /// The end of an answer that begins with `answer`, right or wrong.
    pub fn go_on(&self, job: &Job, mut answer: Vec<Token>) -> (Vec<Token>, Finish) {
        loop {
            match self.next(job, &answer) {
                Step::Token(token) => answer.push(token),
                Step::Finished(finish) => return (answer, finish),
            }
        }
    }

    /// The first token of `answer` that is not its own.
    pub fn diverges(&self, job: &Job, answer: &[Token]) -> Option<u32> {
        let wrong = |at: &usize| self.next(job, &answer[..*at]) != Step::Token(answer[*at]);
        (0..answer.len()).find(wrong).map(count)
    }

    /// The answer with a wrong token at `at`, and whatever the model makes of it.
    pub fn lie(&self, job: &Job, at: usize) -> (Vec<Token>, Finish) {
        let mut answer = self.answer(job).0;
        answer.truncate(at + 1);
        answer[at] = other(answer[at]);
        self.go_on(job, answer)
    }
}

/// Another token of the vocabulary, never the one that ends a text.
pub fn other(token: Token) -> Token {
    Token((token.0 + 1) % (VOCABULARY - 1))
}

/// Tokens are few here.
pub fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).expect("toy answers are short")
}

impl Replayer for Toy {
    type Error = Infallible;

    fn replay(
        &mut self,
        job: &Job,
        answer: &[Token],
        finish: Option<Finish>,
    ) -> Result<Replay, Infallible> {
        if let Some(at) = self.diverges(job, answer) {
            return Ok(Replay::DivergesAt(at));
        }
        let end = match self.next(job, answer) {
            Step::Finished(end) => Some(end),
            Step::Token(_) => None,
        };
        let given_up = |finish| matches!(finish, Finish::Cancelled { .. });
        let right = finish.is_none_or(|finish| given_up(finish) || end == Some(finish));
        Ok(if right { Replay::Exact } else { Replay::WrongFinish })
    }
}

/// A bundle of what came out of a session.
pub fn bundle(
    job: &Job,
    answer: &[Token],
    receipt: mutirao_wire::SignedReceipt,
    offer: SignedOffer,
) -> ReceiptBundle {
    let opening = Opening { job: job.clone(), answer: answer.to_vec(), text: None };
    ReceiptBundle { receipt, offer, opening }
}
