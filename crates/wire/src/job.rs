//! A job is all that determines an answer; an order is the deal with one provider about it.
//!
//! One job, one answer, bit for bit: whatever changes an answer stands in [`Job`], and nothing else
//! does. After a failover the same job goes to another provider under a new [`Order`].
//! Clauses: `docs/spec/session.md`, section 1.

use crate::amount::{Amount, Prices};
use crate::codec::{Decode, DecodeError, Encode, Reader, put_bytes, put_list};
use crate::digest::Digest;
use crate::id::{
    AnswerCommitment, ChannelId, JobCommitment, ModelId, OpSet, OrderCommitment, PrefixDigest,
    Token,
};
use crate::key::PeerKey;
use crate::limits::{
    ANSWER_TOKENS_MAX, GRAMMAR_BYTES_MAX, PROMPT_TOKENS_MAX, STOP_SEQUENCES_MAX, STOP_TOKENS_MAX,
    TEMPERATURE_MILLI_MAX,
};
use crate::record;

/// The version of [`Job`] and [`Order`] that this program writes.
pub const JOB_VERSION: u8 = 1;

/// How the next token is chosen from the logits. All fixed point: a float has no place in a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Temperature in thousandths; 0 is greedy, and the rest is then ignored.
    pub temperature_milli: u32,
    /// Keep the k most probable tokens (ties stay in); 0 keeps all.
    pub top_k: u32,
    /// Keep tokens at least this fraction as probable as the best, in 1/65 536; 0 keeps all.
    pub min_p: u32,
    /// Keep the most probable tokens until their sum reaches this fraction, in 1/65 536;
    /// 65 536 keeps all.
    pub top_p: u32,
    /// Seeds the one random number of each position.
    pub seed: [u8; 32],
}

impl Sampling {
    /// One in the fixed point of `min_p` and `top_p`.
    pub const ONE: u32 = 1 << 16;

    /// Always the most probable token.
    #[must_use]
    pub fn greedy() -> Self {
        Self { temperature_milli: 0, top_k: 0, min_p: 0, top_p: Self::ONE, seed: [0; 32] }
    }

    fn check(self) -> Result<Self, DecodeError> {
        within("temperature", self.temperature_milli, TEMPERATURE_MILLI_MAX)?;
        within("min_p", self.min_p, Self::ONE)?;
        within("top_p", self.top_p, Self::ONE)?;
        Ok(self)
    }
}

fn within(what: &'static str, value: u32, maximum: u32) -> Result<(), DecodeError> {
    let error = DecodeError::TooLong { what, count: value.into(), maximum: maximum.into() };
    if value > maximum { Err(error) } else { Ok(()) }
}

impl Encode for Sampling {
    fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.temperature_milli, self.top_k, self.min_p, self.top_p] {
            number.encode(out);
        }
        self.seed.encode(out);
    }
}

impl Decode for Sampling {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut number = || u32::decode(input);
        let (temperature_milli, top_k) = (number()?, number()?);
        let (min_p, top_p) = (number()?, number()?);
        Self { temperature_milli, top_k, min_p, top_p, seed: input.array()? }.check()
    }
}

/// A grammar that the answer's text follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    /// Who reads the grammar: the version of what says which tokens may follow.
    pub engine: u32,
    /// Its text; what is in it, that engine says.
    pub grammar: String,
}

impl Encode for Constraint {
    fn encode(&self, out: &mut Vec<u8>) {
        self.engine.encode(out);
        put_bytes(out, self.grammar.as_bytes());
    }
}

impl Decode for Constraint {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let engine = Decode::decode(input)?;
        Ok(Self { engine, grammar: input.text("grammar", GRAMMAR_BYTES_MAX)? })
    }
}

/// All that determines an answer, and a nonce that hides it.
// spec: SESSION-1.1
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The exact integer semantics.
    pub op_set: OpSet,
    /// The model.
    pub model: ModelId,
    /// The prompt as the model reads it, template and all.
    pub prompt: Vec<Token>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Most tokens of the answer.
    pub max_tokens: u32,
    /// Token sequences that end the answer.
    pub stop: Vec<Vec<Token>>,
    /// What its text must be like, if anything.
    pub constraint: Option<Constraint>,
    /// Salt of every commitment to this job and its answer.
    pub nonce: [u8; 32],
}

impl Job {
    // spec: SESSION-1.2
    fn salt(&self, domain: &str) -> [u8; 32] {
        Digest::of(domain, &[&self.nonce]).0
    }

    /// Hides and binds the whole job.
    #[must_use]
    pub fn commitment(&self) -> JobCommitment {
        let key = self.salt("mutirao 1 salt job");
        JobCommitment(Digest::keyed(&key, &self.to_bytes()))
    }

    /// Hides and binds a whole answer to this job.
    #[must_use]
    pub fn answer_commitment(&self, answer: &[Token]) -> AnswerCommitment {
        AnswerCommitment(self.tokens_digest("mutirao 1 salt answer", answer))
    }

    /// Hides and binds the first tokens of an answer to this job.
    #[must_use]
    pub fn prefix_digest(&self, prefix: &[Token]) -> PrefixDigest {
        PrefixDigest(self.tokens_digest("mutirao 1 salt prefix", prefix))
    }

    fn tokens_digest(&self, domain: &str, tokens: &[Token]) -> Digest {
        let mut bytes = Vec::with_capacity(4 + 4 * tokens.len());
        put_list(&mut bytes, tokens);
        Digest::keyed(&self.salt(domain), &bytes)
    }

    /// Whether `answer` ends with one of the stop sequences.
    #[must_use]
    pub fn stops(&self, answer: &[Token]) -> bool {
        self.stop.iter().any(|stop| answer.ends_with(stop))
    }
}

impl Encode for Job {
    fn encode(&self, out: &mut Vec<u8>) {
        JOB_VERSION.encode(out);
        self.op_set.encode(out);
        self.model.encode(out);
        put_list(out, &self.prompt);
        self.sampling.encode(out);
        self.max_tokens.encode(out);
        crate::codec::put_count(out, self.stop.len());
        self.stop.iter().for_each(|sequence| put_list(out, sequence));
        self.constraint.encode(out);
        self.nonce.encode(out);
    }
}

impl Decode for Job {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        version(input, "job version", JOB_VERSION)?;
        let job = Self {
            op_set: Decode::decode(input)?,
            model: Decode::decode(input)?,
            prompt: input.tokens("prompt", PROMPT_TOKENS_MAX)?,
            sampling: Decode::decode(input)?,
            max_tokens: Decode::decode(input)?,
            stop: stop_sequences(input)?,
            constraint: Decode::decode(input)?,
            nonce: input.array()?,
        };
        let maximum = ANSWER_TOKENS_MAX as u64;
        let count = u64::from(job.max_tokens);
        let error = DecodeError::TooLong { what: "max tokens", count, maximum };
        if count > maximum { Err(error) } else { Ok(job) }
    }
}

/// Reads a version byte and refuses all but `known`.
pub(crate) fn version(
    input: &mut Reader<'_>,
    what: &'static str,
    known: u8,
) -> Result<(), DecodeError> {
    match u8::decode(input)? {
        version if version == known => Ok(()),
        other => Err(DecodeError::Unknown { what, value: other.into() }),
    }
}

/// An empty stop sequence would end every answer before its first token: refused.
fn stop_sequences(input: &mut Reader<'_>) -> Result<Vec<Vec<Token>>, DecodeError> {
    let count = input.count("stop sequences", STOP_SEQUENCES_MAX)?;
    let mut sequences = Vec::with_capacity(count);
    for _ in 0..count {
        let sequence = input.tokens("stop sequence", STOP_TOKENS_MAX)?;
        if sequence.is_empty() {
            return Err(DecodeError::NotCanonical { what: "empty stop sequence" });
        }
        sequences.push(sequence);
    }
    Ok(sequences)
}

/// Who may see a prompt. Each level fails closed: no provider of the level, no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Privacy {
    /// This machine only.
    Local,
    /// Nodes that the user listed.
    Circle,
    /// Any provider; the executing node reads the prompt.
    Open,
}

impl Encode for Privacy {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Local => 0u8,
            Self::Circle => 1,
            Self::Open => 2,
        }
        .encode(out);
    }
}

impl Decode for Privacy {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(input)? {
            0 => Ok(Self::Local),
            1 => Ok(Self::Circle),
            2 => Ok(Self::Open),
            value => Err(DecodeError::Unknown { what: "privacy level", value: value.into() }),
        }
    }
}

/// The deal with one provider about one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// The job.
    pub job: JobCommitment,
    /// The provider.
    pub provider: PeerKey,
    /// The channel that pays, [`ChannelId::NONE`] when free.
    pub channel: ChannelId,
    /// The prices agreed.
    pub prices: Prices,
    /// The most that is paid under this order; nothing when free.
    pub ceiling: Amount,
    /// Tokens of the answer that exist already and are handed over as a prefix.
    pub start: u32,
    /// When the deal lapses, in milliseconds since 1970.
    pub deadline_ms: u64,
    /// Who may see the prompt.
    pub privacy: Privacy,
}

record!(Order { job, provider, channel, prices, ceiling, start, deadline_ms, privacy });

impl Order {
    /// Binds the whole order. The job commitment in it is unguessable, so this hides the job too.
    #[must_use]
    pub fn commitment(&self) -> OrderCommitment {
        OrderCommitment(Digest::of("mutirao 1 order", &[&[JOB_VERSION], &self.to_bytes()]))
    }
}
