//! What a node and its worker say to one another. Neither trusts the other's bytes: a worker that
//! was taken over can say anything, so every list is bounded, and what is no frame ends it.
//!
//! A frame is its length (`u32`, little-endian) and its bytes. The two are one program of one
//! version, so there is no version in it.

use crate::mind::Spec;
use crate::models::Site;
use mutirao_market::audit::Replay;
use mutirao_market::session::provider::Event;
use mutirao_wire::bundle::Message;
use mutirao_wire::codec::{put_bytes, put_count, put_list};
use mutirao_wire::job::Constraint;
use mutirao_wire::limits::{ANSWER_TOKENS_MAX, BUNDLE_BYTES_MAX, MESSAGES_MAX};
use mutirao_wire::{
    Decode, DecodeError, Digest, Encode, Finish, Job, ModelId, OpSet, Reader, Token,
};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Longest text that is passed on: more than a model with the longest context reads.
const TEXT_BYTES_MAX: usize = 4 * BUNDLE_BYTES_MAX;
/// Longest list of tokens.
const TOKENS_MAX: usize = TEXT_BYTES_MAX / 4;
/// Largest frame.
pub(super) const FRAME_BYTES_MAX: usize = 2 * TEXT_BYTES_MAX;
/// Longest reason.
const REASON_BYTES_MAX: usize = 1 << 16;
/// Most paths, and the longest one.
const PATHS_MAX: usize = 1 << 16;
const PATH_BYTES_MAX: usize = 1 << 12;
/// Most tokens that end a text.
const ENDS_MAX: usize = 1 << 10;

/// The first thing that a worker hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) site: Site,
    /// Threads of the engine.
    pub(super) threads: u32,
    /// Bytes of what was read that are kept for prompts that begin alike.
    pub(super) shelf: u64,
    /// Bytes of memory that it may have.
    pub(super) memory: u64,
    /// What it may read, and where it may write until the model is open.
    pub(super) read: Vec<PathBuf>,
    pub(super) write: Vec<PathBuf>,
}

/// What a node asks of its worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// Something that has a reply.
    Call { number: u64, call: Call },
    /// Have this answered; what becomes of it is told under the number of the seat.
    Write { seat: u64, writing: Box<Writing> },
    /// There is room for more events of a seat.
    Room { seat: u64, more: u32 },
    /// Nobody wants that answer any more.
    Stop { seat: u64 },
    /// Nobody asks this text or judge again.
    Forget { thing: u64 },
}

/// A job, and for whom it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Writing {
    pub(super) job: Job,
    pub(super) prefix: Vec<Token>,
    pub(super) who: Option<Digest>,
    /// Most tokens a second; 0 is no limit.
    pub(super) pace: u32,
    /// Per cent of the time that the engine may work.
    pub(super) share: u8,
    /// How many events there is room for.
    pub(super) room: u32,
}

/// What has a reply. Texts and judges that go on have numbers, chosen by the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    Prompt {
        messages: Vec<Message>,
        tools: Option<String>,
        date: Option<String>,
    },
    Encode(String),
    Decode(Vec<Token>),
    Follows(Constraint),
    /// The next tokens of a text; a new one if it is not known.
    Letters {
        thing: u64,
        tokens: Vec<Token>,
    },
    /// The rest of a text.
    LastLetters {
        thing: u64,
    },
    /// A job whose answer is to be judged.
    Judge {
        thing: u64,
        job: Box<Job>,
    },
    /// The next tokens of its answer.
    Check {
        thing: u64,
        tokens: Vec<Token>,
    },
    /// How it is said to end.
    Ends {
        thing: u64,
        finish: Finish,
    },
    Whole,
}

/// What a worker says.
#[derive(Debug, Clone)]
pub(super) enum Word {
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Tokens(Vec<Token>),
    Text(String),
    Judged(Replay),
    Yes(bool),
    Refused(String),
}

/// Text as counted bytes.
fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

fn text(input: &mut Reader<'_>) -> Result<String, DecodeError> {
    input.text("text", TEXT_BYTES_MAX)
}

fn reason(input: &mut Reader<'_>) -> Result<String, DecodeError> {
    input.text("reason", REASON_BYTES_MAX)
}

/// A reason of any length, cut where it would be too long to read.
fn put_reason(out: &mut Vec<u8>, reason: &str) {
    let cut = reason.floor_char_boundary(REASON_BYTES_MAX);
    put_text(out, &reason[..cut]);
}

fn put_maybe(out: &mut Vec<u8>, text: Option<&String>) {
    u8::from(text.is_some()).encode(out);
    text.iter().for_each(|text| put_text(out, text));
}

fn maybe(input: &mut Reader<'_>) -> Result<Option<String>, DecodeError> {
    flag(input)?.then(|| text(input)).transpose()
}

fn flag(input: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match u8::decode(input)? {
        0 => Ok(false),
        1 => Ok(true),
        value => Err(DecodeError::Unknown { what: "flag", value: value.into() }),
    }
}

fn put_path(out: &mut Vec<u8>, path: &Path) {
    put_bytes(out, path.as_os_str().as_bytes());
}

fn path(input: &mut Reader<'_>) -> Result<PathBuf, DecodeError> {
    Ok(PathBuf::from(OsString::from_vec(input.bytes("path", PATH_BYTES_MAX)?)))
}

fn put_paths(out: &mut Vec<u8>, paths: &[PathBuf]) {
    put_count(out, paths.len());
    paths.iter().for_each(|path| put_path(out, path));
}

fn paths(input: &mut Reader<'_>) -> Result<Vec<PathBuf>, DecodeError> {
    let count = input.count("paths", PATHS_MAX)?;
    (0..count).map(|_| path(input)).collect()
}

fn tokens(input: &mut Reader<'_>) -> Result<Vec<Token>, DecodeError> {
    input.tokens("tokens", TOKENS_MAX)
}

impl Encode for Opening {
    fn encode(&self, out: &mut Vec<u8>) {
        put_text(out, &self.site.name);
        put_paths(out, self.site.path.as_slice());
        u8::from(self.site.ours).encode(out);
        self.threads.encode(out);
        self.shelf.encode(out);
        self.memory.encode(out);
        put_paths(out, &self.read);
        put_paths(out, &self.write);
    }
}

impl Decode for Opening {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let name = text(input)?;
        let path = paths(input)?.into_iter().next();
        let site = Site { name, path, ours: flag(input)? };
        let threads = u32::decode(input)?;
        let (shelf, memory) = (u64::decode(input)?, u64::decode(input)?);
        Ok(Self { site, threads, shelf, memory, read: paths(input)?, write: paths(input)? })
    }
}

impl Encode for Writing {
    fn encode(&self, out: &mut Vec<u8>) {
        self.job.encode(out);
        put_list(out, &self.prefix);
        self.who.encode(out);
        self.pace.encode(out);
        self.share.encode(out);
        self.room.encode(out);
    }
}

impl Decode for Writing {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            job: Job::decode(input)?,
            prefix: input.tokens("prefix", ANSWER_TOKENS_MAX)?,
            who: Option::decode(input)?,
            pace: u32::decode(input)?,
            share: u8::decode(input)?,
            room: u32::decode(input)?,
        })
    }
}

impl Encode for Order {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Call { number, call } => {
                0u8.encode(out);
                number.encode(out);
                call.encode(out);
            }
            Self::Write { seat, writing } => {
                1u8.encode(out);
                seat.encode(out);
                writing.encode(out);
            }
            Self::Room { seat, more } => {
                2u8.encode(out);
                seat.encode(out);
                more.encode(out);
            }
            Self::Stop { seat } => numbered(3, *seat, out),
            Self::Forget { thing } => numbered(4, *thing, out),
        }
    }
}

/// A tag and a number.
fn numbered(tag: u8, number: u64, out: &mut Vec<u8>) {
    tag.encode(out);
    number.encode(out);
}

impl Decode for Order {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (tag, number) = (u8::decode(input)?, u64::decode(input)?);
        Ok(match tag {
            0 => Self::Call { number, call: Call::decode(input)? },
            1 => Self::Write { seat: number, writing: Box::new(Writing::decode(input)?) },
            2 => Self::Room { seat: number, more: u32::decode(input)? },
            3 => Self::Stop { seat: number },
            4 => Self::Forget { thing: number },
            tag => return Err(DecodeError::Unknown { what: "order", value: tag.into() }),
        })
    }
}

impl Encode for Call {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Prompt { messages, tools, date } => {
                0u8.encode(out);
                put_count(out, messages.len());
                for Message { role, content } in messages {
                    put_text(out, role);
                    put_text(out, content);
                }
                put_maybe(out, tools.as_ref());
                put_maybe(out, date.as_ref());
            }
            Self::Encode(text) => {
                1u8.encode(out);
                put_text(out, text);
            }
            Self::Decode(tokens) => {
                2u8.encode(out);
                put_list(out, tokens);
            }
            Self::Follows(constraint) => {
                3u8.encode(out);
                constraint.encode(out);
            }
            Self::Letters { thing, tokens } => {
                numbered(4, *thing, out);
                put_list(out, tokens);
            }
            Self::LastLetters { thing } => numbered(5, *thing, out),
            Self::Judge { thing, job } => {
                numbered(6, *thing, out);
                job.encode(out);
            }
            Self::Check { thing, tokens } => {
                numbered(7, *thing, out);
                put_list(out, tokens);
            }
            Self::Ends { thing, finish } => {
                numbered(8, *thing, out);
                finish.encode(out);
            }
            Self::Whole => 9u8.encode(out),
        }
    }
}

impl Decode for Call {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match u8::decode(input)? {
            0 => {
                let count = input.count("messages", MESSAGES_MAX)?;
                let message = |_| Ok(Message { role: text(input)?, content: text(input)? });
                let messages = (0..count).map(message).collect::<Result<_, DecodeError>>()?;
                Self::Prompt { messages, tools: maybe(input)?, date: maybe(input)? }
            }
            1 => Self::Encode(text(input)?),
            2 => Self::Decode(tokens(input)?),
            3 => Self::Follows(Constraint::decode(input)?),
            4 => Self::Letters { thing: u64::decode(input)?, tokens: tokens(input)? },
            5 => Self::LastLetters { thing: u64::decode(input)? },
            6 => Self::Judge { thing: u64::decode(input)?, job: Box::new(Job::decode(input)?) },
            7 => Self::Check { thing: u64::decode(input)?, tokens: tokens(input)? },
            8 => Self::Ends { thing: u64::decode(input)?, finish: Finish::decode(input)? },
            9 => Self::Whole,
            tag => return Err(DecodeError::Unknown { what: "call", value: tag.into() }),
        })
    }
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
            tag => return Err(DecodeError::Unknown { what: "reply", value: tag.into() }),
        })
    }
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
