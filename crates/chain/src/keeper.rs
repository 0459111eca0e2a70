//! Keeps a ledger for others: answers questions, gathers submissions, makes a block when there is
//! something to put into it.
//!
//! One thread owns the chain and does everything that changes it, in the order in which it was
//! asked for. Questions about what is stored are answered from the store by whoever asks, beside
//! it. Who submits hears nothing before the block is on disk, so what was acknowledged cannot be
//! lost.

#[cfg(test)]
mod tests;

use crate::chain::{Chain, News, Submitted};
use crate::genesis::Genesis;
use crate::mempool::Standing;
use crate::store::{Store, StoreError};
use mutirao_ledger::cell::Cells;
use mutirao_ledger::key::address::Address;
use mutirao_ledger::rules::Height;
use mutirao_ledger::service::{
    Answer, Head, PIECES_BYTES_MAX, PIECES_MAX, Piece, Question, Refusal, RefusalKind,
};
use mutirao_ledger::tx::{Transaction, TxId};
use mutirao_wire::{Amount, Encode};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Milliseconds since 1970, as the machine says.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What happens with an answer once it is there.
type Done = Box<dyn FnOnce(Answer) + Send>;

/// How a keeper paces itself.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long a block waits for more, once there is something to put into it.
    pub gather: Duration,
    /// How long who submits waits for a block before hearing that it still waits.
    pub patience: Duration,
    /// Submissions that may stand in line.
    pub queue: usize,
    /// Submissions whose proofs are checked together.
    pub batch: usize,
}

impl Default for Pace {
    fn default() -> Self {
        let (gather, patience) = (Duration::from_millis(200), Duration::from_secs(8));
        Self { gather, patience, queue: 1024, batch: 128 }
    }
}

enum Errand {
    Submit(Box<Transaction>, Done),
    Faucet(Box<Address>, Amount, Done),
    Find(TxId, Done),
    Stop,
}

/// Keeps a ledger for others. Dropped, it ends its thread after the block that is being made.
pub struct Keeper {
    store: Arc<Store>,
    errands: SyncSender<Errand>,
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread tells whoever looks.
#[derive(Debug, Default)]
struct Shared {
    waiting: Standing,
    trouble: Option<String>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keeper({})", self.store.genesis().name)
    }
}

impl Keeper {
    /// Starts to keep a chain.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(chain: Chain, clock: Clock, pace: Pace) -> std::io::Result<Self> {
        let (errands, inbox) = sync_channel(pace.queue.max(1));
        let shared = Arc::new(Mutex::new(Shared::default()));
        let store = chain.store().clone();
        let mut work =
            Work { chain, clock, pace, shared: shared.clone(), waiters: Waiters::default() };
        let builder = std::thread::Builder::new().name("ledger".into());
        let thread = builder.spawn(move || work.run(&inbox))?;
        Ok(Self { store, errands, shared, thread: Some(thread) })
    }

    /// What the chain began with.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        self.store.genesis()
    }

    /// What is on disk.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// How much waits for a block.
    #[must_use]
    pub fn waiting(&self) -> Standing {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).waiting
    }

    /// Why nothing can be stored any more, if that is so. What was acknowledged is there.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    /// Answers a question; waits where the answer does.
    #[must_use]
    pub fn ask(&self, question: Question) -> Answer {
        let (sender, receiver) = sync_channel(1);
        self.ask_then(question, move |answer| {
            let _ = sender.send(answer);
        });
        receiver.recv().unwrap_or_else(|_| stopped())
    }

    /// Answers a question, now or later, on whichever thread has the answer: `done` must not wait.
    // spec: CHAIN-6.1, CHAIN-6.3
    pub fn ask_then(&self, question: Question, done: impl FnOnce(Answer) + Send + 'static) {
        let done: Done = Box::new(done);
        match question {
            Question::Submit(transaction) => self.send(Errand::Submit(transaction, done)),
            Question::Faucet { address, amount } => {
                self.send(Errand::Faucet(Box::new(address), amount, done));
            }
            Question::Transaction(id) => match self.stored_transaction(id) {
                Ok(Answer::Unknown) => self.send(Errand::Find(id, done)),
                answer => done(answer.unwrap_or_else(|error| broken(&error))),
            },
            other => done(self.stored(&other).unwrap_or_else(|error| broken(&error))),
        }
    }

    fn send(&self, errand: Errand) {
        let errand = match self.errands.try_send(errand) {
            Ok(()) => return,
            Err(TrySendError::Full(errand) | TrySendError::Disconnected(errand)) => errand,
        };
        let full = || Answer::Refused(Refusal::new(RefusalKind::Full, "too many ask at once"));
        match errand {
            Errand::Submit(_, done) | Errand::Faucet(_, _, done) | Errand::Find(_, done) => {
                done(full());
            }
            Errand::Stop => {}
        }
    }

    fn stored(&self, question: &Question) -> Result<Answer, StoreError> {
        Ok(match question {
            Question::Head => Answer::Head(head(&self.store)?),
            Question::Compact { after, most } => Answer::Compact(self.pieces(*after, *most)?),
            Question::Block(height) => match self.store.block(*height)? {
                Some(block) => Answer::Block(Box::new(block)),
                None => Answer::Unknown,
            },
            Question::Genesis => Answer::Genesis(self.store.genesis().to_bytes()),
            Question::Cells(ids) => {
                let view = self.store.view()?;
                let cells = ids.iter().map(|id| view.cell(id)).collect();
                view.checked()?;
                Answer::Cells(cells)
            }
            _ => Answer::Unknown,
        })
    }

    fn stored_transaction(&self, id: TxId) -> Result<Answer, StoreError> {
        let Some(place) = self.store.place(&id)? else { return Ok(Answer::Unknown) };
        let block = self.store.block(place.height)?;
        let found = block.and_then(|block| block.transactions.into_iter().find(|tx| tx.id() == id));
        Ok(match found {
            Some(tx) => Answer::Transaction { place: Some(place), transaction: Box::new(tx) },
            None => Answer::Unknown,
        })
    }

    // spec: CHAIN-6.2
    fn pieces(&self, after: Height, most: u16) -> Result<Vec<Piece>, StoreError> {
        let (mut pieces, mut room) = (Vec::new(), PIECES_BYTES_MAX);
        let mut height = after;
        while pieces.len() < usize::from(most).min(PIECES_MAX) {
            height = Height(height.0.saturating_add(1));
            let Some(block) = self.store.block(height)? else { break };
            let notes = self.store.notes_before(height)?;
            let notes =
                notes.ok_or_else(|| StoreError::Damaged("a block without a place".into()))?;
            let piece = Piece::new(&block, notes);
            let bytes = piece.to_bytes().len();
            if bytes > room {
                break;
            }
            room -= bytes;
            pieces.push(piece);
        }
        Ok(pieces)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.errands.send(Errand::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where a stored ledger stands, in the words of the service.
///
/// # Errors
/// [`StoreError`].
pub fn head(store: &Store) -> Result<Head, StoreError> {
    let (genesis, stand) = (store.genesis(), store.stand()?);
    Ok(Head {
        rules: genesis.rules(),
        network: genesis.network,
        height: stand.tip.height,
        root: stand.summary.root(),
        supply: stand.summary.supply,
        time: stand.tip.time,
    })
}

fn broken(error: &StoreError) -> Answer {
    Answer::Refused(Refusal::new(RefusalKind::Storage, &error.to_string()))
}

fn stopped() -> Answer {
    Answer::Refused(Refusal::new(RefusalKind::Storage, "the ledger is being closed"))
}

/// Who waits for a block.
#[derive(Default)]
struct Waiters {
    by_id: BTreeMap<TxId, Vec<(Instant, Done)>>,
    by_number: BTreeMap<u64, Done>,
}

/// The thread that owns the chain.
struct Work {
    chain: Chain,
    clock: Clock,
    pace: Pace,
    shared: Arc<Mutex<Shared>>,
    waiters: Waiters,
}

impl Work {
    /// How often who waits is looked at.
    const ROUND: Duration = Duration::from_millis(500);

    fn run(&mut self, inbox: &Receiver<Errand>) {
        let mut due = None;
        loop {
            let now = Instant::now();
            if self.chain.has_work() && !self.is_broken() {
                due.get_or_insert(now + self.pace.gather);
            }
            let wait = due.map_or(Self::ROUND, |due: Instant| due.saturating_duration_since(now));
            match inbox.recv_timeout(wait.min(Self::ROUND)) {
                Ok(Errand::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(errand) => {
                    if self.take(errand, inbox) {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if due.is_some_and(|due| due <= Instant::now()) {
                due = None;
                self.advance();
            }
            self.lose_patience();
            self.show();
        }
        self.part();
    }

    /// Does what was asked for, and what else stands in line; whether it is time to stop.
    fn take(&mut self, errand: Errand, inbox: &Receiver<Errand>) -> bool {
        let (mut all, mut next, mut stop) = (Vec::new(), Some(errand), false);
        while let Some(errand) = next {
            match errand {
                Errand::Submit(tx, done) => all.push((*tx, done)),
                Errand::Faucet(address, amount, done) => self.pour(*address, amount, done),
                Errand::Find(id, done) => done(self.find(id)),
                Errand::Stop => stop = true,
            }
            let more = all.len() < self.pace.batch && !stop;
            next = if more { inbox.try_recv().ok() } else { None };
        }
        self.submit(all);
        stop
    }

    fn pour(&mut self, address: Address, amount: Amount, done: Done) {
        let storage = |trouble: String| Refusal::new(RefusalKind::Storage, &trouble);
        let waits = self.trouble().map(storage).map_or(Ok(()), Err);
        match waits.and_then(|()| self.chain.thirst(address, amount)) {
            Ok(number) => {
                self.waiters.by_number.insert(number, done);
            }
            Err(refusal) => done(Answer::Refused(refusal)),
        }
    }

    fn find(&self, id: TxId) -> Answer {
        match self.chain.waits(&id) {
            Some(tx) => Answer::Transaction { place: None, transaction: Box::new(tx.clone()) },
            None => Answer::Unknown,
        }
    }

    fn submit(&mut self, all: Vec<(Transaction, Done)>) {
        if all.is_empty() {
            return;
        }
        if let Some(trouble) = self.trouble() {
            let refusal = Refusal::new(RefusalKind::Storage, &trouble);
            return all.into_iter().for_each(|(_, done)| done(Answer::Refused(refusal.clone())));
        }
        let (transactions, waiting): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let outcome = match self.chain.submit(transactions) {
            Ok(outcome) => outcome,
            Err(error) => {
                waiting.into_iter().for_each(|done| done(broken(&error)));
                return self.fail(&error.to_string());
            }
        };
        for (submitted, done) in outcome.into_iter().zip(waiting) {
            match submitted {
                Submitted::Waits(id) => {
                    self.waiters.by_id.entry(id).or_default().push((Instant::now(), done));
                }
                Submitted::Stands(id) => done(Answer::Accepted(id)),
                Submitted::Refused(refusal) => done(Answer::Refused(refusal)),
            }
        }
        let news = self.chain.news(None);
        self.tell(news);
    }

    /// Makes the next block and tells everybody whom it concerns.
    // spec: CHAIN-6.3
    fn advance(&mut self) {
        let now = (self.clock)();
        match self.chain.advance(now) {
            Ok(block) => {
                let news = self.chain.news(block.as_ref());
                self.tell(news);
            }
            Err(error) => self.fail(&error.to_string()),
        }
    }

    /// Whoever is told sees what it was told: the count of those that wait is shown before.
    fn tell(&mut self, news: News) {
        self.show();
        let mut answers: Vec<(TxId, Answer)> =
            news.stand.into_iter().map(|id| (id, Answer::Accepted(id))).collect();
        answers.extend(news.gone.into_iter().map(|(id, why)| (id, Answer::Refused(why))));
        for (id, answer) in answers {
            for (_, done) in self.waiters.by_id.remove(&id).unwrap_or_default() {
                done(answer.clone());
            }
        }
        for (number, id) in news.served {
            if let Some(done) = self.waiters.by_number.remove(&number) {
                done(Answer::Accepted(id));
            }
        }
    }

    /// Who waited too long hears that it still waits.
    fn lose_patience(&mut self) {
        let patience = self.pace.patience;
        let late: Vec<TxId> = self
            .waiters
            .by_id
            .iter()
            .filter(|(_, all)| all.iter().any(|(since, _)| since.elapsed() > patience))
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            let answer = self.find(id);
            for (_, done) in self.waiters.by_id.remove(&id).unwrap_or_default() {
                done(answer.clone());
            }
        }
    }

    fn trouble(&self) -> Option<String> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    fn is_broken(&self) -> bool {
        self.trouble().is_some()
    }

    /// Nothing can be stored any more: nobody is told otherwise.
    // spec: CHAIN-4.3
    fn fail(&mut self, why: &str) {
        tracing::error!(why, "the ledger stops");
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).trouble = Some(why.to_owned());
        self.refuse_all(why);
    }

    fn part(&mut self) {
        self.refuse_all("the ledger is being closed; whether it stands in a block, ask later");
    }

    fn refuse_all(&mut self, why: &str) {
        let answer = Answer::Refused(Refusal::new(RefusalKind::Storage, why));
        let waiters = std::mem::take(&mut self.waiters);
        let by_number = waiters.by_number.into_values();
        let by_id = waiters.by_id.into_values().flatten().map(|(_, done)| done);
        for done in by_id.chain(by_number) {
            done(answer.clone());
        }
    }

    fn show(&self) {
        let waiting = self.chain.waiting();
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).waiting = waiting;
    }
}
