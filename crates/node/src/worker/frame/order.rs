//! What a node says to its worker.

use super::{flag, maybe, numbered, put_maybe, put_text, text, tokens};
use crate::models::Site;
use mutirao_wire::bundle::Message;
use mutirao_wire::codec::{put_bytes, put_count, put_list};
use mutirao_wire::job::Constraint;
use mutirao_wire::limits::{ANSWER_TOKENS_MAX, MESSAGES_MAX};
use mutirao_wire::{Decode, DecodeError, Digest, Encode, Finish, Job, Reader, Token};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Most paths, and the longest one.
const PATHS_MAX: usize = 1 << 16;
const PATH_BYTES_MAX: usize = 1 << 12;

/// The first thing that a worker hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::worker) struct Opening {
    pub(in crate::worker) site: Site,
    /// Threads of the engine.
    pub(in crate::worker) threads: u32,
    /// Bytes of what was read that are kept for prompts that begin alike.
    pub(in crate::worker) shelf: u64,
    /// Bytes of memory that it may have.
    pub(in crate::worker) memory: u64,
    /// What it may read, and where it may write until the model is open.
    pub(in crate::worker) read: Vec<PathBuf>,
    pub(in crate::worker) write: Vec<PathBuf>,
}

/// What a node asks of its worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::worker) enum Order {
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
pub(in crate::worker) struct Writing {
    pub(in crate::worker) job: Job,
    pub(in crate::worker) prefix: Vec<Token>,
    pub(in crate::worker) who: Option<Digest>,
    /// Most tokens a second; 0 is no limit.
    pub(in crate::worker) pace: u32,
    /// Per cent of the time that the engine may work.
    pub(in crate::worker) share: u8,
    /// How many events there is room for.
    pub(in crate::worker) room: u32,
}

/// What has a reply. Texts and judges that go on have numbers, chosen by the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::worker) enum Call {
    Prompt {
        messages: Vec<Message>,
        tools: Option<String>,
        date: Option<String>,
    },
    Encode(String),
    Decode(Vec<Token>),
    /// What the model makes of a text.
    Embed(Vec<Token>),
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
    /// How probable an answer was, and what else.
    Score {
        job: Box<Job>,
        answer: Vec<Token>,
        top: u8,
    },
    /// What can be done that should not be, with a key and in a folder of others.
    Escape {
        key: PathBuf,
        outside: PathBuf,
    },
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

impl Encode for Opening {
    fn encode(&self, out: &mut Vec<u8>) {
        put_text(out, &self.site.name);
        u8::from(self.site.path.is_some()).encode(out);
        self.site.path.iter().for_each(|path| put_path(out, path));
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
        let path = flag(input)?.then(|| path(input)).transpose()?;
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
            Self::Embed(tokens) => {
                12u8.encode(out);
                put_list(out, tokens);
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
            Self::Score { job, answer, top } => {
                11u8.encode(out);
                job.encode(out);
                put_list(out, answer);
                top.encode(out);
            }
            Self::Escape { key, outside } => {
                10u8.encode(out);
                put_path(out, key);
                put_path(out, outside);
            }
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
            12 => Self::Embed(tokens(input)?),
            3 => Self::Follows(Constraint::decode(input)?),
            4 => Self::Letters { thing: u64::decode(input)?, tokens: tokens(input)? },
            5 => Self::LastLetters { thing: u64::decode(input)? },
            6 => Self::Judge { thing: u64::decode(input)?, job: Box::new(Job::decode(input)?) },
            7 => Self::Check { thing: u64::decode(input)?, tokens: tokens(input)? },
            8 => Self::Ends { thing: u64::decode(input)?, finish: Finish::decode(input)? },
            9 => Self::Whole,
            11 => {
                let (job, answer) = (Box::new(Job::decode(input)?), tokens(input)?);
                Self::Score { job, answer, top: u8::decode(input)? }
            }
            10 => Self::Escape { key: path(input)?, outside: path(input)? },
            tag => return Err(DecodeError::Unknown { what: "call", value: tag.into() }),
        })
    }
}
