//! Models in processes of their own, where they can be broken without harm.
//!
//! Other people's model files are parsed and run by `mutirao worker`: the same program, started by
//! the node, which confines itself before it reads the first byte (`mutirao_sandbox`). It has no
//! network, no keys, no variables, may read its model's files and nothing else, and has a bound on
//! its memory. What it may write, until the model is open, is what is kept beside the model: what
//! it was converted to, and packed as.
//!
//! If it is killed, runs out of memory or ends in any other way, the node starts another and hands
//! it the jobs with the tokens that were told already (`seats`). Answers are a function of their
//! job, so nobody who reads one sees the difference.
//!
//! A worker that was taken over can still give wrong answers. That is what receipts, replay and
//! audits are for; what it cannot do is reach what is not its own.

mod far;
mod frame;
mod inside;
mod live;
mod pipe;
mod seats;
#[cfg(test)]
mod tests;

pub use frame::read_back;
pub use inside::work;
pub(crate) use live::processes;

use crate::config::Config;
use crate::mind::Spec;
use crate::models::{ModelError, Site};
use live::{Live, lock};
use seats::{News, Seats};
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A model whose process ends so often within [`SOON`] is given up for that time.
const ENDS_MAX: usize = 5;
const SOON: Duration = Duration::from_secs(30);
/// Memory that any model may have beyond its own size and that of its caches, in bytes.
const MEMORY_BESIDE: u64 = 3 << 30;
/// Address space that a thread takes: its stack, and its part of the allocator.
const MEMORY_OF_A_THREAD: u64 = 128 << 20;
/// While a model is converted and packed, it is there so many times.
const COPIES: u64 = 3;

/// News that wait: more than all answers together may send ahead of their readers.
const NEWS_WAITING: usize = 1 << 14;

/// What a worker is made of.
#[derive(Debug, Clone)]
pub(crate) struct Means {
    pub(crate) program: PathBuf,
    pub(crate) threads: u32,
    pub(crate) shelf: u64,
    pub(crate) memory: u64,
    pub(crate) read: Vec<PathBuf>,
    pub(crate) write: Vec<PathBuf>,
}

impl Means {
    /// For this model; none where models are opened in this process.
    pub(crate) fn of(config: &Config, site: &Site) -> Option<Self> {
        let program = config.program.clone().filter(|_| config.sandbox)?;
        let (read, write) = site.files();
        let threads = config.threads as u64;
        let mib = |number: u64| number.saturating_mul(1 << 20);
        let own = site.bytes().saturating_mul(COPIES);
        let caches = mib(config.kv_cache).saturating_add(mib(config.prefix_cache));
        let wanted = own.saturating_add(caches) + MEMORY_BESIDE + threads * MEMORY_OF_A_THREAD;
        let memory = if config.worker_memory == 0 { wanted } else { mib(config.worker_memory) };
        let (threads, shelf) = (u32::try_from(threads).unwrap_or(1), mib(config.prefix_cache));
        Some(Self { program, threads, shelf, memory, read, write })
    }
}

/// Whoever has a model in a process of its own.
#[derive(Debug)]
pub(crate) struct Worker {
    keeper: Arc<Keeper>,
    spec: Arc<Spec>,
}

impl Worker {
    /// Opens a model.
    ///
    /// # Errors
    /// [`ModelError::Worker`] when it does not open.
    pub(crate) fn start(site: Site, means: Means) -> Result<Self, ModelError> {
        let (news, heard) = sync_channel(NEWS_WAITING);
        let part = site.converting();
        if let Some(part) = &part {
            crate::files::make_dir(part)?;
        }
        let keeper = Arc::new(Keeper { site, means, news, state: Mutex::default() });
        let opened = keeper.live();
        if let Some(part) = part {
            // What is left to do keeps it.
            let _ = std::fs::remove_dir(part);
        }
        let live = opened.map_err(|reason| ModelError::Worker { reason })?;
        let seats = Seats::new(keeper.clone());
        let thread = std::thread::Builder::new().name("seats".to_owned());
        let work = move || seats.work(&heard);
        thread.spawn(work).map_err(|error| ModelError::Worker { reason: error.to_string() })?;
        Ok(Self { keeper, spec: live.spec.clone() })
    }

    /// What the model is.
    pub(crate) fn spec(&self) -> Arc<Spec> {
        self.spec.clone()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.keeper.news.send(News::Over);
        if let Some(live) = self.keeper.if_alive() {
            live.close();
        }
    }
}

/// Sees to it that there is a process.
#[derive(Debug)]
struct Keeper {
    site: Site,
    means: Means,
    news: SyncSender<News>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    live: Option<Arc<Live>>,
    /// What the model was from the first on.
    spec: Option<Arc<Spec>>,
    started: u64,
    /// When processes ended lately, and how the last one did.
    ends: Vec<Instant>,
    ended: String,
}

impl Keeper {
    /// The process, or a new one.
    ///
    /// # Errors
    /// Why there is none, in words.
    fn live(&self) -> Result<Arc<Live>, String> {
        let mut state = lock(&self.state);
        if let Some(live) = state.live.as_ref().filter(|live| live.is_alive()) {
            return Ok(live.clone());
        }
        state.ends.retain(|end| end.elapsed() < SOON);
        if state.ends.len() >= ENDS_MAX {
            let (times, seconds) = (state.ends.len(), SOON.as_secs());
            let how = &state.ended;
            return Err(format!("it ended {times} times within {seconds} seconds ({how})"));
        }
        state.started += 1;
        let live = Live::start(&self.site, &self.means, state.started, self.news.clone())?;
        let spec = state.spec.get_or_insert_with(|| live.spec.clone());
        if *spec != live.spec {
            live.close();
            return Err("the model's files are not what they were".to_owned());
        }
        state.live = Some(live.clone());
        Ok(live)
    }

    /// The process, if there is one.
    fn if_alive(&self) -> Option<Arc<Live>> {
        lock(&self.state).live.clone().filter(|live| live.is_alive())
    }

    /// Notes that one ended.
    fn is_gone(&self, number: u64, ended: &str) {
        let mut state = lock(&self.state);
        state.ends.push(Instant::now());
        ended.clone_into(&mut state.ended);
        state.live.take_if(|live| live.number == number);
    }
}
