//! The worker's side: a process that confines itself, opens one model, and does what it is told
//! until nobody tells it anything any more.

use super::frame::{Call, Opening, Order, Reply, Word, Writing};
use super::live::lock;
use super::pipe::{Mouth, hear};
use crate::manners::{self, Manners};
use crate::mind::{Here, Judge, Letters, Mind, MindError};
use crate::threads::Threads;
use crate::workshop::{Outlet, Task, Who};
use mutirao_market::session::provider::Event;
use mutirao_sandbox::{Confined, Rules, confine};
use mutirao_wire::{Decode, Reader};
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Works on the socket that is this process's standard input, until its other end is closed.
///
/// # Errors
/// In words, when standard input is no such socket or its other end says what cannot be read.
pub fn work() -> Result<(), String> {
    let astray = |error: std::io::Error| format!("a worker is started by its node: {error}");
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map_err(astray)?;
    let mut ears = UnixStream::from(socket);
    let mouth = Arc::new(Mouth::new(ears.try_clone().map_err(astray)?));
    let Some(frame) = hear(&mut ears).map_err(astray)? else { return Ok(()) };
    let opening = Opening::from_bytes(&frame).map_err(words)?;
    let (here, word) = match open(&opening) {
        Ok((here, confined)) => {
            let (spec, confined) = (Box::new(here.spec()), confined.words());
            (Some(here), Word::Opened { spec, confined })
        }
        Err(reason) => (None, Word::Closed(reason)),
    };
    mouth.say(&word).map_err(astray)?;
    if let Some(here) = here {
        Shop::new(here, mouth).obey(&mut ears);
    }
    Ok(())
}

/// First the walls, then the weights; after that no file at all, and then threads, which inherit
/// all of it.
fn open(opening: &Opening) -> Result<(Here, Confined), String> {
    let Opening { site, threads, shelf, memory, read, write } = opening.clone();
    // The node closes the socket when it ends. The end of a parent would be that of its thread.
    let rules = Rules { read, write, memory_bytes: Some(memory), end_with_parent: false };
    let confined = confine(&rules).map_err(words)?;
    let (model, pack) = site.weights().map_err(words)?;
    let confined = confined.narrow(&[]).map_err(words)?;
    let threads = Arc::new(Threads::new(threads as usize));
    let here = Here::new(&site.name, model, pack, threads, shelf).map_err(words)?;
    Ok((here, confined))
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// All that goes on in the process.
struct Shop {
    here: Arc<Here>,
    mouth: Arc<Mouth>,
    things: Arc<Things>,
    seats: BTreeMap<u64, Arc<Ticket>>,
}

/// Texts and judges that are asked again.
#[derive(Default)]
struct Things {
    letters: Mutex<BTreeMap<u64, Box<dyn Letters>>>,
    judges: Mutex<BTreeMap<u64, Box<dyn Judge>>>,
}

/// What is known of an answer that is being written.
#[derive(Debug)]
struct Ticket {
    room: AtomicUsize,
    stop: AtomicBool,
}

/// Where its events go: out of the process.
#[derive(Debug)]
struct Away {
    seat: u64,
    ticket: Arc<Ticket>,
    mouth: Arc<Mouth>,
}

impl Outlet for Away {
    fn is_open(&self) -> bool {
        !self.ticket.stop.load(Ordering::Relaxed)
    }

    fn room(&self) -> usize {
        self.ticket.room.load(Ordering::Relaxed)
    }

    fn tell(&self, event: Event) -> bool {
        let less = |room: usize| room.checked_sub(1);
        let order = Ordering::Relaxed;
        let had_room = self.ticket.room.fetch_update(order, order, less).is_ok();
        had_room && self.mouth.say(&Word::Event { seat: self.seat, event: Box::new(event) }).is_ok()
    }
}

impl Shop {
    fn new(here: Here, mouth: Arc<Mouth>) -> Self {
        Self { here: Arc::new(here), mouth, things: Arc::default(), seats: BTreeMap::new() }
    }

    /// Until the other end is closed.
    fn obey(mut self, ears: &mut UnixStream) {
        while let Ok(Some(frame)) = hear(ears) {
            match Order::from_bytes(&frame) {
                Ok(order) => self.follow(order),
                Err(error) => self.decline(&frame, &error.to_string()),
            }
        }
    }

    fn follow(&mut self, order: Order) {
        match order {
            Order::Call { number, call } => self.call(number, call),
            Order::Write { seat, writing } => self.write(seat, *writing),
            Order::Room { seat, more } => {
                if let Some(ticket) = self.seats.get(&seat) {
                    ticket.room.fetch_add(more as usize, Ordering::Relaxed);
                }
            }
            Order::Stop { seat } => {
                if let Some(ticket) = self.seats.remove(&seat) {
                    ticket.stop.store(true, Ordering::Relaxed);
                }
            }
            Order::Forget { thing } => {
                lock(&self.things.letters).remove(&thing);
                lock(&self.things.judges).remove(&thing);
            }
        }
    }

    /// What cannot be read is declined under its number: it is too long for us, and whoever asked
    /// it does not ask it of the next process.
    fn decline(&self, frame: &[u8], why: &str) {
        let mut input = Reader::new(frame);
        let (Ok(tag), Ok(number)) = (input.array::<1>(), input.array()) else { return };
        let (number, why) = (u64::from_le_bytes(number), why.to_owned());
        let word = match tag {
            [0] => Word::Reply { number, reply: Reply::Refused(why) },
            _ => Word::Event { seat: number, event: Box::new(Event::BadJob(why)) },
        };
        let _ = self.mouth.say(&word);
    }

    fn write(&mut self, seat: u64, writing: Writing) {
        let Writing { job, prefix, who, pace, share, room } = writing;
        let (room, stop) = (AtomicUsize::new(room as usize), AtomicBool::new(false));
        let ticket = Arc::new(Ticket { room, stop });
        self.seats.insert(seat, ticket.clone());
        let outlet = Box::new(Away { seat, ticket, mouth: self.mouth.clone() });
        let manners =
            Manners::new(manners::Rules { cpu_usage_limit: share, ..manners::Rules::OWN });
        self.here.submit(Task { job, prefix, who: who.map(Who), outlet, manners, pace });
    }

    /// Answers a call: at once if it is short, and on a thread of its own if it may be long.
    fn call(&self, number: u64, call: Call) {
        let (here, things) = (self.here.clone(), self.things.clone());
        let mouth = self.mouth.clone();
        let is_short = matches!(call, Call::Letters { .. } | Call::LastLetters { .. });
        let work = move || {
            let reply = catch_unwind(AssertUnwindSafe(|| reply(&here, &things, call)));
            let defect = || Ok(Reply::Refused("a defect of the model's process".to_owned()));
            let reply = reply.unwrap_or_else(|_| defect());
            let reply = reply.unwrap_or_else(|error| Reply::Refused(error.to_string()));
            let _ = mouth.say(&Word::Reply { number, reply });
        };
        if is_short {
            work();
        } else {
            std::thread::spawn(work);
        }
    }
}

fn reply(here: &Here, things: &Things, call: Call) -> Result<Reply, MindError> {
    Ok(match call {
        Call::Prompt { messages, tools, date } => {
            let tools = tools.map(|tools| serde_json::from_str(&tools)).transpose();
            let tools = tools.map_err(|error| MindError::Refused(error.to_string()))?;
            Reply::Tokens(here.prompt(&messages, tools.as_ref(), date.as_deref())?)
        }
        Call::Encode(text) => Reply::Tokens(here.encode(&text)?),
        Call::Decode(tokens) => Reply::Text(here.decode(&tokens)?),
        Call::Follows(constraint) => here.follows(&constraint).map(|()| Reply::Yes(true))?,
        Call::Letters { thing, tokens } => {
            let mut letters = lock(&things.letters);
            let letters = letters.entry(thing).or_insert_with(|| here.letters());
            Reply::Text(tokens.into_iter().map(|token| letters.push(token)).collect())
        }
        Call::LastLetters { thing } => {
            let letters = lock(&things.letters).remove(&thing);
            Reply::Text(letters.map(Letters::finish).unwrap_or_default())
        }
        Call::Judge { thing, job } => {
            let judge = here.judge(&job)?;
            lock(&things.judges).insert(thing, judge);
            Reply::Yes(true)
        }
        Call::Check { thing, tokens } => judging(things, thing, |judge| judge.check(&tokens))?,
        Call::Ends { thing, finish } => judging(things, thing, |judge| judge.ends(finish))?,
        Call::Whole => Reply::Yes(here.is_whole()),
        Call::Embed(text) => Reply::Vector(here.embed(&text)?),
        Call::Score { job, answer, top } => Reply::Scores(here.score(&job, &answer, top)?),
        Call::Escape { key, outside } => Reply::Text(escape(&key, &outside)),
    })
}

/// Tries to get out, by every door that somebody who had taken over this process would try first.
fn escape(key: &Path, outside: &Path) -> String {
    let words = |what: &str, open: bool| format!("{} {what}", if open { "A" } else { "no" });
    let tried = [
        words("socket", UdpSocket::bind("127.0.0.1:0").is_ok()),
        words("program", Command::new("/bin/true").status().is_ok()),
        words("key", std::fs::read(key).is_ok()),
        words("file outside", std::fs::write(outside.join("escaped"), "").is_ok()),
    ];
    tried.join(", ")
}

/// Lets a judge work while others can be asked.
fn judging(
    things: &Things,
    thing: u64,
    work: impl FnOnce(&mut dyn Judge) -> Result<mutirao_market::audit::Replay, MindError>,
) -> Result<Reply, MindError> {
    let judge = lock(&things.judges).remove(&thing);
    let mut judge = judge.ok_or_else(|| MindError::Refused("no such judge".to_owned()))?;
    let found = work(&mut *judge);
    lock(&things.judges).insert(thing, judge);
    Ok(Reply::Judged(found?))
}
