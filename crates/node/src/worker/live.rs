//! One process with one model, from its start to its end.

use super::Means;
use super::frame::{Call, Opening, Order, Reply, Word};
use super::pipe::{Mouth, hear};
use super::seats::News;
use crate::mind::Spec;
use crate::models::Site;
use mutirao_wire::Decode;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The processes of this program's models.
static PROCESSES: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Which processes work for this one.
pub(crate) fn processes() -> Vec<u32> {
    lock(&PROCESSES).iter().copied().collect()
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A worker's process.
#[derive(Debug)]
pub(super) struct Live {
    /// Which one it is of those that this model had.
    pub(super) number: u64,
    pub(super) spec: Arc<Spec>,
    mouth: Mouth,
    calls: AtomicU64,
    /// Who waits for a reply; nobody any more once the process is gone.
    waiting: Mutex<Option<BTreeMap<u64, SyncSender<Reply>>>>,
}

impl Live {
    /// Starts a process and has it open the model. What becomes of answers, and of the process, is
    /// told to `news`.
    ///
    /// # Errors
    /// Why the model does not open, in words.
    pub(super) fn start(
        site: &Site,
        means: &Means,
        number: u64,
        news: SyncSender<News>,
    ) -> Result<Arc<Self>, String> {
        let (mut child, ours) = spawn(means).map_err(|error| format!("no process: {error}"))?;
        let opened = open(&ours, site, means);
        let (spec, mouth, ears) = match opened {
            Ok(opened) => opened,
            Err(why) => {
                let _ = child.kill();
                let ended = child.wait().map(|status| status.to_string()).unwrap_or_default();
                return Err(why.unwrap_or_else(|| silent(&ended)));
            }
        };
        let waiting = Mutex::new(Some(BTreeMap::new()));
        let (spec, calls) = (Arc::new(spec), AtomicU64::new(0));
        let live = Arc::new(Self { number, spec, mouth, calls, waiting });
        lock(&PROCESSES).insert(child.id());
        let listening = live.clone();
        std::thread::spawn(move || listening.listen(ears, child, &news));
        Ok(live)
    }

    pub(super) fn is_alive(&self) -> bool {
        lock(&self.waiting).is_some()
    }

    /// The reply to a call; none where the process is gone.
    pub(super) fn call(&self, call: Call) -> Option<Reply> {
        let (reply, replied) = sync_channel(1);
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        lock(&self.waiting).as_mut()?.insert(number, reply);
        match self.mouth.say(&Order::Call { number, call }) {
            Ok(()) => replied.recv().ok(),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
                lock(&self.waiting).as_mut()?.remove(&number);
                Some(Reply::Refused(error.to_string()))
            }
            // Whoever listens finds out as well.
            Err(_) => replied.recv().ok(),
        }
    }

    /// Says something that has no reply. To one that is gone it is said in vain: the next one is
    /// told all that it has to know.
    pub(super) fn say(&self, order: &Order) {
        let _ = self.mouth.say(order);
    }

    /// Lets it end.
    pub(super) fn close(&self) {
        self.mouth.close();
    }

    /// Hears it to its end, and buries it.
    fn listen(&self, mut ears: UnixStream, mut child: Child, news: &SyncSender<News>) {
        while let Ok(Some(frame)) = hear(&mut ears) {
            match Word::from_bytes(&frame) {
                Ok(Word::Reply { number, reply }) => self.replies(number, reply),
                Ok(Word::Event { seat, event }) => {
                    let _ = news.send(News::Event { seat, event });
                }
                // It is opened once, and says nothing that is no frame.
                _ => break,
            }
        }
        let _ = child.kill();
        let ended = child.wait().map_or_else(|error| error.to_string(), |end| end.to_string());
        lock(&PROCESSES).remove(&child.id());
        lock(&self.waiting).take();
        let _ = news.send(News::Dead { live: self.number, ended });
    }

    fn replies(&self, number: u64, reply: Reply) {
        let waiting = lock(&self.waiting).as_mut().and_then(|waiting| waiting.remove(&number));
        if let Some(waiting) = waiting {
            let _ = waiting.send(reply);
        }
    }
}

/// This program once more, as a worker, with a socket for its standard input. It inherits nothing
/// else: no variables, no files.
fn spawn(means: &Means) -> std::io::Result<(Child, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(&means.program);
    command.arg0("mutirao").arg("worker").env_clear().stdout(Stdio::null());
    let log = crate::config::LOG_ENVIRONMENT;
    if let Ok(filter) = std::env::var(log) {
        command.env(log, filter);
    }
    let child = command.stdin(Stdio::from(OwnedFd::from(theirs))).spawn()?;
    Ok((child, ours))
}

/// Why a process ended that said nothing.
fn silent(ended: &str) -> String {
    let how = "if it wants more memory than it may have, give it more with --worker-memory <MiB>";
    format!("the process that opens it ended ({ended}); {how} (worker_memory)")
}

/// What an open worker is, and both directions of its socket.
type Ready = (Spec, Mouth, UnixStream);

/// Has the model opened. Without a reason the process ended before it said anything.
fn open(ours: &UnixStream, site: &Site, means: &Means) -> Result<Ready, Option<String>> {
    let clone = || ours.try_clone().map_err(|error| Some(error.to_string()));
    let (mouth, mut ears) = (Mouth::new(clone()?), clone()?);
    let Means { threads, shelf, memory, read, write, .. } = means.clone();
    let opening = Opening { site: site.clone(), threads, shelf, memory, read, write };
    mouth.say(&opening).map_err(|_| None)?;
    let frame = hear(&mut ears).ok().flatten().ok_or(None)?;
    match Word::from_bytes(&frame) {
        Ok(Word::Opened { spec, confined }) => {
            tracing::info!(model = site.name, confined, "a worker has the model");
            Ok((*spec, mouth, ears))
        }
        Ok(Word::Closed(reason)) => Err(Some(reason)),
        _ => Err(Some("the process that opens it says nothing that can be read".to_owned())),
    }
}
