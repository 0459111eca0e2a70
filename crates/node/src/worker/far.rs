//! A model in a process of its own, as [`Mind`]: every wish is a call, made once more where the
//! process ended meanwhile.

use super::frame::{Call, Order, Reply};
use super::live::Live;
use super::seats::News;
use super::{Keeper, Worker};
use crate::mind::{Judge, Letters, Mind, MindError};
use crate::threads::patiently;
use crate::workshop::Task;
use mutirao_gateway::TokenScore;
use mutirao_market::audit::Replay;
use mutirao_market::session::provider::Event;
use mutirao_wire::bundle::Message;
use mutirao_wire::job::Constraint;
use mutirao_wire::{Finish, Job, Token};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::TrySendError;

/// How many processes a call is tried with.
const TRIES: usize = 2;
/// Numbers texts and judges.
static THINGS: AtomicU64 = AtomicU64::new(0);

impl Keeper {
    /// The process, or a new one.
    fn process(&self) -> Result<Arc<Live>, MindError> {
        match self.if_alive() {
            Some(live) => Ok(live),
            None => patiently(|| self.live()).map_err(MindError::Gone),
        }
    }

    fn call(&self, call: &Call) -> Result<Reply, MindError> {
        self.tried(|live| live.call(call.clone()))
    }

    /// Tries something with the process, and with the next one if it ends.
    fn tried(&self, mut way: impl FnMut(&Live) -> Option<Reply>) -> Result<Reply, MindError> {
        for _ in 0..TRIES {
            match way(&*self.process()?) {
                Some(Reply::Refused(reason)) => return Err(MindError::Refused(reason)),
                Some(reply) => return Ok(reply),
                None => {}
            }
        }
        Err(MindError::Gone("whenever it was asked this".to_owned()))
    }
}

/// A reply that fits no call.
fn misfit() -> MindError {
    MindError::Gone("it says what it was not asked".to_owned())
}

fn tokens(reply: Reply) -> Result<Vec<Token>, MindError> {
    match reply {
        Reply::Tokens(tokens) => Ok(tokens),
        _ => Err(misfit()),
    }
}

fn text(reply: Reply) -> Result<String, MindError> {
    match reply {
        Reply::Text(text) => Ok(text),
        _ => Err(misfit()),
    }
}

fn judged(reply: &Reply) -> Result<Replay, MindError> {
    match reply {
        Reply::Judged(replay) => Ok(*replay),
        _ => Err(misfit()),
    }
}

impl Mind for Worker {
    fn prompt(
        &self,
        messages: &[Message],
        tools: Option<&Value>,
        date: Option<&str>,
    ) -> Result<Vec<Token>, MindError> {
        let (messages, tools) = (messages.to_vec(), tools.map(Value::to_string));
        let date = date.map(str::to_owned);
        tokens(self.keeper.call(&Call::Prompt { messages, tools, date })?)
    }

    fn encode(&self, text: &str) -> Result<Vec<Token>, MindError> {
        tokens(self.keeper.call(&Call::Encode(text.to_owned()))?)
    }

    fn decode(&self, tokens: &[Token]) -> Result<String, MindError> {
        text(self.keeper.call(&Call::Decode(tokens.to_vec()))?)
    }

    fn follows(&self, constraint: &Constraint) -> Result<(), MindError> {
        self.keeper.call(&Call::Follows(constraint.clone())).map(|_| ())
    }

    fn score(&self, job: &Job, answer: &[Token], top: u8) -> Result<Vec<TokenScore>, MindError> {
        let (job, answer) = (Box::new(job.clone()), answer.to_vec());
        match self.keeper.call(&Call::Score { job, answer, top })? {
            Reply::Scores(scores) => Ok(scores),
            _ => Err(misfit()),
        }
    }

    fn embed(&self, text: &[Token]) -> Result<Vec<i64>, MindError> {
        match self.keeper.call(&Call::Embed(text.to_vec()))? {
            Reply::Vector(vector) => Ok(vector),
            _ => Err(misfit()),
        }
    }

    fn letters(&self) -> Box<dyn Letters> {
        Box::new(FarLetters { thing: Thing::new(&self.keeper), tokens: Vec::new() })
    }

    fn judge(&self, job: &Job) -> Result<Box<dyn Judge>, MindError> {
        let mut thing = Thing::new(&self.keeper);
        let call = Call::Judge { thing: thing.number, job: Box::new(job.clone()) };
        thing.call(&call, Vec::new)?;
        Ok(Box::new(FarJudge { thing, job: job.clone(), checked: Vec::new() }))
    }

    fn submit(&self, task: Task) {
        let sent = self.keeper.news.try_send(News::Task(Box::new(task)));
        if let Err(
            TrySendError::Full(News::Task(task)) | TrySendError::Disconnected(News::Task(task)),
        ) = sent
        {
            task.outlet.tell(Event::Broken("too many jobs come at once".to_owned()));
        }
    }

    fn escape(&self, key: &Path, outside: &Path) -> Option<Result<String, MindError>> {
        let (key, outside) = (key.to_owned(), outside.to_owned());
        Some(self.keeper.call(&Call::Escape { key, outside }).and_then(text))
    }

    fn is_whole(&self) -> bool {
        let reply = self.keeper.call(&Call::Whole);
        matches!(reply, Ok(Reply::Yes(true)))
    }
}

/// Something in a process that goes on from call to call, and is begun anew in the next one.
struct Thing {
    keeper: Arc<Keeper>,
    number: u64,
    /// The process that has it.
    live: u64,
}

impl Thing {
    fn new(keeper: &Arc<Keeper>) -> Self {
        let number = THINGS.fetch_add(1, Ordering::Relaxed);
        Self { keeper: keeper.clone(), number, live: 0 }
    }

    /// Calls, after what `again` says where the process is one that does not have it.
    fn call(&mut self, call: &Call, again: impl Fn() -> Vec<Call>) -> Result<Reply, MindError> {
        let Self { keeper, live: known, .. } = self;
        keeper.tried(|live| {
            if *known != live.number {
                for call in again() {
                    if let refused @ Reply::Refused(_) = live.call(call)? {
                        return Some(refused);
                    }
                }
                *known = live.number;
            }
            live.call(call.clone())
        })
    }
}

impl Drop for Thing {
    fn drop(&mut self) {
        if let Some(live) = self.keeper.if_alive() {
            live.say(&Order::Forget { thing: self.number });
        }
    }
}

struct FarLetters {
    thing: Thing,
    tokens: Vec<Token>,
}

impl FarLetters {
    /// Calls for text. Without an answer none is shown; who asks for the whole text hears why.
    fn call(&mut self, call: &Call) -> String {
        let (thing, tokens) = (self.thing.number, &self.tokens);
        let again = || vec![Call::Letters { thing, tokens: tokens.clone() }];
        self.thing.call(call, again).and_then(text).unwrap_or_default()
    }
}

impl Letters for FarLetters {
    fn push(&mut self, token: Token) -> String {
        let fresh = self.call(&Call::Letters { thing: self.thing.number, tokens: vec![token] });
        self.tokens.push(token);
        fresh
    }

    fn finish(mut self: Box<Self>) -> String {
        self.call(&Call::LastLetters { thing: self.thing.number })
    }
}

struct FarJudge {
    thing: Thing,
    job: Job,
    checked: Vec<Token>,
}

impl FarJudge {
    fn call(&mut self, call: &Call) -> Result<Replay, MindError> {
        let Self { thing, job, checked } = self;
        let number = thing.number;
        let again = || {
            let judge = Call::Judge { thing: number, job: Box::new(job.clone()) };
            vec![judge, Call::Check { thing: number, tokens: checked.clone() }]
        };
        thing.call(call, again).and_then(|reply| judged(&reply))
    }
}

impl Judge for FarJudge {
    fn checked(&self) -> &[Token] {
        &self.checked
    }

    fn check(&mut self, more: &[Token]) -> Result<Replay, MindError> {
        let found = self.call(&Call::Check { thing: self.thing.number, tokens: more.to_vec() })?;
        if found == Replay::Exact {
            self.checked.extend_from_slice(more);
        }
        Ok(found)
    }

    fn ends(&mut self, finish: Finish) -> Result<Replay, MindError> {
        self.call(&Call::Ends { thing: self.thing.number, finish })
    }
}
