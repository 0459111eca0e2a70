//! The workshop of a model: one thread that writes all of its answers together, so that the weights
//! are read once for all of them.
//!
//! Jobs come and go between two passes. In a pass every answer that is being written gets its next
//! token, and prompts that are being read share what is left of it. Company changes no bit of an
//! answer, only its pace: that is the engine's promise (`mutirao_engine::run::prefill_together`).
//!
//! Nothing here waits for a reader. Whose link is slow is left out until there is room, and an
//! answer that nobody waits for any more is given up between two passes, with its memory.

mod outlet;
mod shelf;
#[cfg(test)]
mod tests;

use crate::manners::Manners;
use crate::threads::Threads;
use mutirao_engine::run::{common, prefill_together};
use mutirao_engine::session::PASS_TOKENS;
use mutirao_engine::{EngineError, Generation, Model, Prefill, Step};
use mutirao_market::session::provider::Event;
use mutirao_wire::{Job, Token};
pub(crate) use outlet::{Channel, Fate, Outlet, looks_up};
use shelf::Shelf;
pub(crate) use shelf::Who;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::{Duration, Instant};

/// Events that wait for a slow link.
pub(crate) const EVENTS_WAITING: usize = 32;
/// Events that wait while their payment is on its way: what one round brings, and what is written
/// while a voucher is looked at.
pub(crate) const EVENTS_AHEAD: usize = EVENTS_A_ROUND + 5;
/// Jobs that come during one pass.
const TASKS_WAITING: usize = 256;
/// Most events of one seat in one round: ready, a token, the end.
pub(crate) const EVENTS_A_ROUND: usize = 3;
/// Tokens of prompts in a pass in which answers are written too: more would make them stutter.
const READ_BESIDE: usize = 32;
/// How long nothing is done when nobody has room for more.
const NAP: Duration = Duration::from_millis(1);

/// A job, and for whom it is.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) job: Job,
    /// Tokens to check and continue.
    pub(crate) prefix: Vec<Token>,
    /// Who may use again what is read for it; nobody, where nobody comes again.
    pub(crate) who: Option<Who>,
    pub(crate) outlet: Box<dyn Outlet>,
    pub(crate) manners: Arc<Manners>,
    /// Most tokens a second; 0 is no limit.
    pub(crate) pace: u32,
}

/// The workshop of one model.
#[derive(Debug)]
pub struct Workshop {
    tasks: SyncSender<Task>,
}

impl Workshop {
    /// Starts the thread; it ends when the workshop is gone and the last answer with it. `bytes` of
    /// what was read are kept for prompts that begin alike.
    #[must_use]
    pub(crate) fn start(model: Arc<Model>, threads: Arc<Threads>, bytes: u64) -> Self {
        let (tasks, arrivals) = sync_channel(TASKS_WAITING);
        let name = std::thread::Builder::new().name("workshop".to_owned());
        let (seats, shelf) = (Vec::new(), Shelf::new(bytes));
        let work = move || Room { model, threads, seats, shelf }.work(&arrivals);
        if let Err(error) = name.spawn(work) {
            tracing::error!(%error, "no thread for the engine; its jobs will be refused");
        }
        Self { tasks }
    }

    /// Hands over a job; what becomes of it is told to its outlet.
    pub(crate) fn submit(&self, task: Task) {
        let (task, why) = match self.tasks.try_send(task) {
            Ok(()) => return,
            Err(TrySendError::Full(task)) => (task, "too many jobs come at once"),
            Err(TrySendError::Disconnected(task)) => (task, "the engine's thread is gone"),
        };
        task.outlet.tell(Event::Broken(why.to_owned()));
    }
}

/// An answer in the making.
struct Seat {
    generation: Generation,
    who: Option<Who>,
    outlet: Box<dyn Outlet>,
    manners: Arc<Manners>,
    /// Tokens of the prompt that need not be read again.
    cached: u32,
    /// Prompt and prefix are read and found right.
    speaks: bool,
    /// From one token to the next at least.
    step: Duration,
    /// When the next token may be told.
    due: Instant,
}

impl Seat {
    /// Whether it takes part in a round now.
    fn is_awake(&self, now: Instant) -> bool {
        self.due <= now && self.outlet.has_room()
    }

    /// What it takes of a pass, if readers may have `share` tokens.
    fn turn(&mut self, share: usize) -> (&mut Generation, usize) {
        let budget = if self.speaks { 1 } else { share };
        (&mut self.generation, budget)
    }

    /// Tells how far it is.
    fn hears(&mut self, state: Result<Prefill, EngineError>) -> Fate {
        let event = match state {
            Ok(Prefill::Ready) => return self.speak(),
            Ok(Prefill::Working { done, total }) => {
                Event::Reading { done: count(done), total: count(total), cached: self.cached }
            }
            Ok(Prefill::PrefixDiverges { index, .. }) => Event::PrefixDiverges(count(index)),
            Err(error) => Event::BadJob(error.to_string()),
        };
        let goes_on = matches!(event, Event::Reading { .. });
        self.outlet.tell(event);
        if goes_on { Fate::Stays } else { Fate::Leaves }
    }

    /// Tells the next token, and the end if it is known.
    fn speak(&mut self) -> Fate {
        if !self.speaks {
            self.speaks = true;
            self.due = Instant::now();
            self.outlet.tell(Event::Ready);
        }
        while let Some(step) = self.generation.known() {
            match step {
                Step::Finished(finish) => {
                    self.outlet.tell(Event::Finished(finish));
                    return Fate::Leaves;
                }
                Step::Token(token) => {
                    self.due += self.step;
                    self.outlet.tell(Event::Token(token));
                }
            }
        }
        Fate::Stays
    }
}

fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

/// The room that the thread works in.
struct Room {
    model: Arc<Model>,
    threads: Arc<Threads>,
    seats: Vec<Seat>,
    shelf: Shelf,
}

impl Room {
    fn work(mut self, arrivals: &Receiver<Task>) {
        while self.welcome(arrivals) {
            if catch_unwind(AssertUnwindSafe(|| self.round())).is_err() {
                for seat in self.seats.drain(..) {
                    seat.outlet.tell(Event::Broken("a defect of the engine".to_owned()));
                }
            }
        }
    }

    /// Seats those who have come, and waits for somebody when the room is empty; false when nobody
    /// can come any more.
    fn welcome(&mut self, arrivals: &Receiver<Task>) -> bool {
        loop {
            let task = match self.seats.is_empty() {
                true => arrivals.recv().map_err(|_| TryRecvError::Disconnected),
                false => arrivals.try_recv(),
            };
            match task {
                Ok(task) => self.seat(task),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return !self.seats.is_empty(),
            }
        }
    }

    fn seat(&mut self, task: Task) {
        let Task { job, prefix, who, outlet, manners, pace } = task;
        let model = self.model.clone();
        let kept = who.and_then(|who| self.shelf.take(who, &job.prompt));
        let known = kept.as_ref().map_or(0, |kept| common(kept.tokens(), &job.prompt));
        let cached = count(known);
        let generation = match kept {
            Some(kept) => Generation::after(model, job, prefix, kept),
            None => Generation::with_prefix(model, job, prefix),
        };
        let step = Duration::from_secs(1).checked_div(pace).unwrap_or_default();
        let (speaks, due) = (false, Instant::now());
        match generation {
            Ok(generation) => {
                if cached > 0 {
                    let total = count(generation.job().prompt.len());
                    outlet.tell(Event::Reading { done: cached, total, cached });
                }
                let seat = Seat { generation, who, outlet, manners, cached, speaks, step, due };
                self.seats.push(seat);
            }
            Err(error) => {
                outlet.tell(Event::BadJob(error.to_string()));
            }
        }
    }

    /// One pass for all who have room for its outcome.
    fn round(&mut self) {
        self.part_with(|seat| looks_up(&*seat.outlet, &seat.manners));
        let began = Instant::now();
        let awake: Vec<bool> = self.seats.iter().map(|seat| seat.is_awake(began)).collect();
        if !awake.contains(&true) {
            std::thread::sleep(NAP);
            return;
        }
        let mut states = self.pass(&awake).into_iter();
        self.rest(&awake, began.elapsed());
        let mut awake = awake.into_iter();
        self.part_with(|seat| match awake.next() {
            Some(true) => states.next().map_or(Fate::Stays, |state| seat.hears(state)),
            _ => Fate::Stays,
        });
    }

    /// The engine's pass: a token for everybody who speaks, and a share for everybody who reads.
    fn pass(&mut self, awake: &[bool]) -> Vec<Result<Prefill, EngineError>> {
        let seats = || self.seats.iter().zip(awake).filter(|(_, awake)| **awake);
        let readers = seats().filter(|(seat, _)| !seat.speaks).count();
        let alone = seats().count() == readers;
        let share = if alone { PASS_TOKENS } else { READ_BESIDE } / readers.max(1);
        let awake = self.seats.iter_mut().zip(awake).filter(|(_, awake)| **awake);
        let mut turns: Vec<_> = awake.map(|(seat, _)| seat.turn(share.max(1))).collect();
        prefill_together(&mut turns, &*self.threads)
    }

    /// As long as the most hurried of them must, that the limits of use hold.
    fn rest(&self, awake: &[bool], work: Duration) {
        let seats = self.seats.iter().zip(awake).filter(|(_, awake)| **awake);
        let rest = seats.map(|(seat, _)| seat.manners.rest_after(work)).min();
        std::thread::sleep(rest.unwrap_or_default());
    }

    /// Lets go who leaves, and keeps what was read for them.
    fn part_with(&mut self, mut fate: impl FnMut(&mut Seat) -> Fate) {
        for mut seat in std::mem::take(&mut self.seats) {
            match fate(&mut seat) {
                Fate::Stays => self.seats.push(seat),
                Fate::Leaves => {
                    if let Some(who) = seat.who {
                        self.shelf.put(who, seat.generation.keep());
                    }
                }
            }
        }
    }
}
