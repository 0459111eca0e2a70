//! What a worker says.

use super::{
    REASON_BYTES_MAX, TEXT_BYTES_MAX, TOKENS_MAX, flag, numbered, put_reason, put_text, reason,
    text,
};
use crate::mind::Spec;
use mutirao_gateway::TokenScore;
use mutirao_market::audit::Replay;
use mutirao_market::session::provider::Event;
use mutirao_wire::codec::{put_bytes, put_count, put_list};
use mutirao_wire::limits::ANSWER_TOKENS_MAX;
use mutirao_wire::{Decode, DecodeError, Encode, Finish, ModelId, OpSet, Reader, Token};

/// Most tokens that end a text.
const ENDS_MAX: usize = 1 << 10;

/// What a worker says.
#[derive(Debug, Clone)]
pub(in crate::worker) enum Word {
    /// The model is open; and how this process is confined, for people.
    Opened { spec: Box<Spec>, confined: String },
    /// The model does not open.
    Closed(String),
    /// The reply to a call.
    Reply { number: u64, reply: Reply },
    /// What becomes of an answer.
    Event { seat: u64, event: Box<Event> },
}

/// The reply to a call.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::worker) enum Reply {
    Tokens(Vec<Token>),
    Text(String),
    Judged(Replay),
    Yes(bool),
    Scores(Vec<TokenScore>),
    Vector(Vec<i64>),
    Refused(String),
}

impl Encode for Spec {
    fn encode(&self, out: &mut Vec<u8>) {
        self.id.encode(out);
        self.op_set.encode(out);
        self.parameters.encode(out);
        self.vocabulary.encode(out);
        self.context.encode(out);
        self.position_bytes.encode(out);
        put_list(out, &self.end_of_text);
        put_bytes(out, &self.template);
        u8::from(self.packed).encode(out);
    }
}

impl Decode for Spec {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: ModelId::decode(input)?,
            op_set: OpSet::decode(input)?,
            parameters: u64::decode(input)?,
            vocabulary: u32::decode(input)?,
            context: u32::decode(input)?,
            position_bytes: u64::decode(input)?,
            end_of_text: input.tokens("ends", ENDS_MAX)?,
            template: input.bytes("template", TEXT_BYTES_MAX)?,
            packed: flag(input)?,
        })
    }
}

impl Encode for Word {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Opened { spec, confined } => {
                0u8.encode(out);
                spec.encode(out);
                put_reason(out, confined);
            }
            Self::Closed(reason) => {
                1u8.encode(out);
                put_reason(out, reason);
            }
            Self::Reply { number, reply } => {
                numbered(2, *number, out);
                reply.encode(out);
            }
            Self::Event { seat, event } => {
                numbered(3, *seat, out);
                put_event(out, event);
            }
        }
    }
}

impl Decode for Word {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(input)? {
            0 => {
                let spec = Box::new(Spec::decode(input)?);
                Self::Opened { spec, confined: reason(input)? }
            }
            1 => Self::Closed(reason(input)?),
            2 => Self::Reply { number: u64::decode(input)?, reply: Reply::decode(input)? },
            3 => Self::Event { seat: u64::decode(input)?, event: Box::new(event(input)?) },
            tag => return Err(DecodeError::Unknown { what: "word", value: tag.into() }),
        })
    }
}

impl Encode for Reply {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Tokens(tokens) => {
                0u8.encode(out);
                put_list(out, tokens);
            }
            Self::Text(text) => {
                1u8.encode(out);
                put_text(out, text);
            }
            Self::Judged(Replay::Exact) => 2u8.encode(out),
            Self::Judged(Replay::DivergesAt(index)) => {
                3u8.encode(out);
                index.encode(out);
            }
            Self::Judged(Replay::WrongFinish) => 4u8.encode(out),
            Self::Yes(yes) => {
                5u8.encode(out);
                u8::from(*yes).encode(out);
            }
            Self::Vector(vector) => {
                8u8.encode(out);
                put_count(out, vector.len());
                vector.iter().for_each(|number| number.to_le_bytes().encode(out));
            }
            Self::Scores(scores) => {
                7u8.encode(out);
                put_scores(out, scores);
            }
            Self::Refused(reason) => {
                6u8.encode(out);
                put_reason(out, reason);
            }
        }
    }
}

impl Decode for Reply {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(input)? {
            0 => Self::Tokens(input.tokens("tokens", TOKENS_MAX)?),
            1 => Self::Text(text(input)?),
            2 => Self::Judged(Replay::Exact),
            3 => Self::Judged(Replay::DivergesAt(u32::decode(input)?)),
            4 => Self::Judged(Replay::WrongFinish),
            5 => Self::Yes(flag(input)?),
            6 => Self::Refused(reason(input)?),
            7 => Self::Scores(scores(input)?),
            8 => {
                let count = input.count("vector", TOKENS_MAX)?;
                let number = |_| Ok(i64::from_le_bytes(input.array()?));
                Self::Vector((0..count).map(number).collect::<Result<_, DecodeError>>()?)
            }
            tag => return Err(DecodeError::Unknown { what: "reply", value: tag.into() }),
        })
    }
}

fn put_score(out: &mut Vec<u8>, bytes: &[u8], logprob: f32) {
    put_bytes(out, bytes);
    logprob.to_bits().encode(out);
}

fn score(input: &mut Reader<'_>) -> Result<(Vec<u8>, f32), DecodeError> {
    let bytes = input.bytes("spelling", REASON_BYTES_MAX)?;
    Ok((bytes, f32::from_bits(u32::decode(input)?)))
}

fn put_scores(out: &mut Vec<u8>, scores: &[TokenScore]) {
    put_count(out, scores.len());
    for TokenScore { bytes, logprob, top } in scores {
        put_score(out, bytes, *logprob);
        put_count(out, top.len());
        top.iter().for_each(|(bytes, logprob)| put_score(out, bytes, *logprob));
    }
}

fn scores(input: &mut Reader<'_>) -> Result<Vec<TokenScore>, DecodeError> {
    let count = input.count("scores", ANSWER_TOKENS_MAX)?;
    let one = |_| {
        let (bytes, logprob) = score(input)?;
        let count = input.count("top", usize::from(u8::MAX))?;
        let top = (0..count).map(|_| score(input)).collect::<Result<_, _>>()?;
        Ok(TokenScore { bytes, logprob, top })
    };
    (0..count).map(one).collect()
}

/// What an engine says of an answer.
fn put_event(out: &mut Vec<u8>, event: &Event) {
    match event {
        Event::Reading { done, total, cached } => {
            0u8.encode(out);
            [done, total, cached].iter().for_each(|number| number.encode(out));
        }
        Event::Ready => 1u8.encode(out),
        Event::Token(token) => {
            2u8.encode(out);
            token.encode(out);
        }
        Event::Finished(finish) => {
            3u8.encode(out);
            finish.encode(out);
        }
        Event::PrefixDiverges(index) => {
            4u8.encode(out);
            index.encode(out);
        }
        Event::BadJob(reason) => {
            5u8.encode(out);
            put_reason(out, reason);
        }
        Event::Broken(reason) => {
            6u8.encode(out);
            put_reason(out, reason);
        }
        other => {
            6u8.encode(out);
            put_reason(out, &format!("no word of an engine: {other:?}"));
        }
    }
}

fn event(input: &mut Reader<'_>) -> Result<Event, DecodeError> {
    Ok(match u8::decode(input)? {
        0 => {
            let [done, total, cached] =
                [u32::decode(input)?, u32::decode(input)?, u32::decode(input)?];
            Event::Reading { done, total, cached }
        }
        1 => Event::Ready,
        2 => Event::Token(Token::decode(input)?),
        3 => Event::Finished(Finish::decode(input)?),
        4 => Event::PrefixDiverges(u32::decode(input)?),
        5 => Event::BadJob(reason(input)?),
        6 => Event::Broken(reason(input)?),
        tag => return Err(DecodeError::Unknown { what: "event", value: tag.into() }),
    })
}
