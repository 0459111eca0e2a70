//! The answers that a worker writes, and what is known of each: enough to let the next process go
//! on where one died.
//!
//! One thread hears what becomes of them. A process that ends takes no answer with it: the next one
//! gets the same jobs, with the tokens that were told already, checks these while it reads them,
//! and goes on with the very next token. Only a job that sees several ends is given up, since it
//! may be the cause.

use super::Keeper;
use super::frame::{Order, Writing};
use crate::workshop::{EVENTS_A_ROUND, Fate, Outlet, Task, looks_up};
use mutirao_market::session::provider::Event;
use mutirao_wire::Token;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How many ends of a process one job may see.
const ENDS_SEEN_MAX: u32 = 2;
/// How long nothing is looked at while somebody has no room.
const SHORT_NAP: Duration = Duration::from_millis(1);
/// How long it may take until it is seen that nobody listens any more.
const NAP: Duration = Duration::from_millis(10);
/// So much room at once is worth saying.
const WORTH_SAYING: usize = 2;

/// What there is to hear.
pub(super) enum News {
    /// A job comes.
    Task(Box<Task>),
    /// Something becomes of an answer.
    Event { seat: u64, event: Box<Event> },
    /// A process is gone.
    Dead { live: u64, ended: String },
    /// Nobody needs the model any more.
    Over,
}

/// An answer in the making.
struct Seat {
    task: Task,
    /// Tokens that were told, behind those of the task's own prefix.
    told: Vec<Token>,
    /// Its reader knows that writing has begun.
    speaks: bool,
    /// Events that the worker may still send.
    granted: usize,
    /// Which process writes it.
    live: u64,
    /// Processes that ended meanwhile.
    ends_seen: u32,
}

impl Seat {
    fn new(task: Task) -> Self {
        Self { task, told: Vec::new(), speaks: false, granted: 0, live: 0, ends_seen: 0 }
    }

    fn outlet(&self) -> &dyn Outlet {
        &*self.task.outlet
    }

    /// What a process has to know to write it from here on.
    fn writing(&mut self) -> Box<Writing> {
        let Task { job, prefix, who, manners, pace, .. } = &self.task;
        self.granted = self.task.outlet.room();
        Box::new(Writing {
            job: job.clone(),
            prefix: [prefix.as_slice(), &self.told].concat(),
            who: who.map(|who| who.0),
            pace: *pace,
            share: manners.share(),
            room: u32::try_from(self.granted).unwrap_or(u32::MAX),
        })
    }

    /// Passes on what the worker says; what its reader has heard of another process is not said
    /// twice.
    fn hear(&mut self, event: Event) -> Fate {
        self.granted = self.granted.saturating_sub(1);
        let goes_on = match &event {
            Event::Ready | Event::Reading { .. } if self.speaks => return Fate::Stays,
            Event::Ready => {
                self.speaks = true;
                true
            }
            Event::Token(token) => {
                self.told.push(*token);
                true
            }
            Event::Reading { .. } => true,
            _ => false,
        };
        self.outlet().tell(event);
        if goes_on { Fate::Stays } else { Fate::Leaves }
    }

    /// How much more room there is than the worker knows of, if that is worth saying.
    fn more_room(&mut self) -> Option<u32> {
        let more = self.outlet().room().saturating_sub(self.granted);
        let wanted = if self.granted < EVENTS_A_ROUND { 1 } else { WORTH_SAYING };
        let more = (more >= wanted).then_some(more)?;
        self.granted += more;
        u32::try_from(more).ok()
    }

    /// Sees a process end; whether it still hopes for another.
    fn mourns(&mut self, ended: &str) -> bool {
        self.ends_seen += 1;
        let hopes = self.ends_seen <= ENDS_SEEN_MAX;
        if !hopes {
            let why = format!("the model's process ended {} times: {ended}", self.ends_seen);
            self.outlet().tell(Event::Broken(why));
        }
        hopes
    }
}

/// All answers that are being written.
pub(super) struct Seats {
    keeper: Arc<Keeper>,
    seats: BTreeMap<u64, Seat>,
    next: u64,
}

impl Seats {
    pub(super) const fn new(keeper: Arc<Keeper>) -> Self {
        Self { keeper, seats: BTreeMap::new(), next: 0 }
    }

    /// Until nobody needs the model any more.
    pub(super) fn work(mut self, news: &Receiver<News>) {
        loop {
            match self.wait(news) {
                Ok(News::Task(task)) => self.seat(*task),
                Ok(News::Event { seat, event }) => self.hear(seat, *event),
                Ok(News::Dead { live, ended }) => self.mourn(live, &ended),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(News::Over) | Err(RecvTimeoutError::Disconnected) => return,
            }
            self.look_round();
        }
    }

    fn wait(&self, news: &Receiver<News>) -> Result<News, RecvTimeoutError> {
        if self.seats.is_empty() {
            return news.recv().map_err(|_| RecvTimeoutError::Disconnected);
        }
        let starves = self.seats.values().any(|seat| seat.granted < EVENTS_A_ROUND);
        news.recv_timeout(if starves { SHORT_NAP } else { NAP })
    }

    fn seat(&mut self, task: Task) {
        self.next += 1;
        let seat = Seat::new(task);
        self.write(self.next, seat);
    }

    /// Has it written, by a new process where there is none.
    fn write(&mut self, number: u64, mut seat: Seat) {
        match self.keeper.live() {
            Ok(live) => {
                seat.live = live.number;
                live.say(&Order::Write { seat: number, writing: seat.writing() });
                self.seats.insert(number, seat);
            }
            Err(why) => {
                seat.outlet().tell(Event::Broken(why));
            }
        }
    }

    fn hear(&mut self, number: u64, event: Event) {
        let fate = self.seats.get_mut(&number).map(|seat| seat.hear(event));
        if fate == Some(Fate::Leaves) {
            self.leave(number);
        }
    }

    /// Gives all answers of a process that ended to the next one.
    fn mourn(&mut self, live: u64, ended: &str) {
        tracing::warn!(ended, "the model's process is gone");
        self.keeper.is_gone(live, ended);
        let lost = self.seats.extract_if(.., |_, seat| seat.live == live);
        for (number, mut seat) in lost.collect::<Vec<_>>() {
            if seat.mourns(ended) {
                self.write(number, seat);
            }
        }
    }

    /// Lets go those whom nobody listens to, and says where there is room.
    fn look_round(&mut self) {
        let leaves = |seat: &Seat| looks_up(seat.outlet(), &seat.task.manners) == Fate::Leaves;
        let leaving: Vec<u64> =
            self.seats.iter().filter(|(_, seat)| leaves(seat)).map(|(number, _)| *number).collect();
        leaving.into_iter().for_each(|number| self.leave(number));
        for (seat, state) in &mut self.seats {
            if let (Some(more), Some(live)) = (state.more_room(), self.keeper.if_alive()) {
                live.say(&Order::Room { seat: *seat, more });
            }
        }
    }

    fn leave(&mut self, number: u64) {
        self.seats.remove(&number);
        if let Some(live) = self.keeper.if_alive() {
            live.say(&Order::Stop { seat: number });
        }
    }
}
