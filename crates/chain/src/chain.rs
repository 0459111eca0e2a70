//! A ledger on this machine: the store, what waits, and the state machine over both.

mod scaffold;
#[cfg(test)]
mod tests;

use crate::chance::Chance;
use crate::claims::Claims;
use crate::genesis::{self, Genesis, GenesisError};
use crate::machine::{BlockFault, FinaliseError, Finalised, StateMachine, Verdict, Wait};
use crate::mempool::{Limits, Mempool, Standing};
use crate::store::{Stand, Store, StoreError, View};
use mutirao_ledger::block::{BlockError, TRANSACTIONS_MAX};
use mutirao_ledger::examine::{self, Effects, Permit, Resolved};
use mutirao_ledger::key::address::{Address, Network};
use mutirao_ledger::rules::{Height, Rules};
use mutirao_ledger::sealed::{BlockId, HEADER_BYTES, SEALED_BYTES_MAX, SealError, Sealed, Tip};
use mutirao_ledger::service::{Refusal, RefusalKind};
use mutirao_ledger::state::{Overlay, Summary};
use mutirao_ledger::tx::{Issue, TX_BYTES_MAX, Transaction, TxId};
use mutirao_wire::{Amount, Digest, Encode};
use scaffold::{Filled, Scaffold};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;

/// How far a block may be ahead of this machine's clock before it has to wait.
// spec: CHAIN-3.4
pub const CLOCK_SLACK_MS: u64 = 60_000;
/// Bytes of a block beside its transactions.
const AROUND: usize = HEADER_BYTES + 4;
/// People that one block's faucet serves at most.
const FAUCET_MAX: usize = genesis::ALLOTMENTS_MAX;
/// People that may wait for the faucet.
const FAUCET_WAITING_MAX: usize = 256;

/// Why a ledger does not open.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The genesis.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
}

/// Somebody who waits for new value, by the number that was given out.
#[derive(Debug, Clone, Copy)]
struct Thirsty {
    number: u64,
    address: Address,
    amount: Amount,
}

/// What a block does, known before it is final.
#[derive(Debug)]
struct Prepared {
    id: BlockId,
    effects: Vec<Effects>,
    summary: Summary,
}

/// What came of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// It waits for a block.
    Waits(TxId),
    /// It stands in a block already.
    Stands(TxId),
    /// It was not taken.
    Refused(Refusal),
}

/// What a final block changed for those who wait.
#[derive(Debug, Default)]
pub struct News {
    /// Transactions that stand in it.
    pub stand: Vec<TxId>,
    /// Transactions that never will stand in one, and why.
    pub gone: Vec<(TxId, Refusal)>,
    /// Who was served by the faucet, and in which transaction.
    pub served: Vec<(u64, TxId)>,
}

/// A ledger on this machine.
#[derive(Debug)]
pub struct Chain {
    store: Arc<Store>,
    rules: Rules,
    stand: Stand,
    mempool: Mempool,
    claims: Claims,
    chance: Chance,
    thirsty: VecDeque<Thirsty>,
    numbers: u64,
    prepared: Option<Prepared>,
    /// Those whom the last proposal serves.
    pouring: Vec<(u64, TxId)>,
    dropped: Vec<(TxId, Refusal)>,
}

impl Chain {
    /// Opens the ledger in a folder. Proofs are checked on `width` threads; `chance` makes new
    /// value's notes.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(folder: &Path, width: usize, chance: Chance) -> Result<Self, OpenError> {
        Self::over(Store::open(folder)?, width, chance)
    }

    /// Begins a ledger in a folder that exists.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn create(
        folder: &Path,
        genesis: &Genesis,
        width: usize,
        chance: Chance,
    ) -> Result<Self, OpenError> {
        genesis.check()?;
        Self::over(Store::create(folder, genesis)?, width, chance)
    }

    /// The ledger in that store.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn over(store: Store, width: usize, chance: Chance) -> Result<Self, OpenError> {
        store.genesis().check()?;
        Ok(Self {
            rules: store.genesis().rules(),
            stand: store.stand()?,
            store: Arc::new(store),
            mempool: Mempool::new(Limits::default()),
            claims: Claims::new(width),
            chance,
            thirsty: VecDeque::new(),
            numbers: 0,
            prepared: None,
            pouring: Vec::new(),
            dropped: Vec::new(),
        })
    }

    /// With other bounds on what waits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.mempool = Mempool::new(limits);
        self
    }

    /// What is on disk; others may read it meanwhile.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Where the ledger stands.
    #[must_use]
    pub fn stand(&self) -> &Stand {
        &self.stand
    }

    /// The parameters of the chain.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// How much waits for a block.
    #[must_use]
    pub fn waiting(&self) -> Standing {
        self.mempool.standing()
    }

    /// A transaction that waits.
    #[must_use]
    pub fn waits(&self, id: &TxId) -> Option<&Transaction> {
        self.mempool.get(id)
    }

    /// Whether there is anything to make a block of.
    // spec: CHAIN-3.2
    #[must_use]
    pub fn has_work(&self) -> bool {
        let first = self.stand.tip.height == Height(0);
        let allots = first && !self.store.genesis().allotments.is_empty();
        allots || !self.thirsty.is_empty() || self.waiting().transactions > 0
    }

    fn next_height(&self) -> Height {
        Height(self.stand.tip.height.0.saturating_add(1))
    }

    /// Takes in transactions from strangers: all cheap checks of each first, then the proofs of
    /// those that passed, together.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was taken then.
    // spec: CHAIN-5.1, CHAIN-5.2
    pub fn submit(&mut self, all: Vec<Transaction>) -> Result<Vec<Submitted>, StoreError> {
        let view = self.store.view()?;
        let mut outcome = Vec::with_capacity(all.len());
        let mut fresh: Vec<(usize, Transaction, Resolved)> = Vec::new();
        for (at, tx) in all.into_iter().enumerate() {
            match self.look(&tx, &view)? {
                Ok(resolved) => {
                    outcome.push(Submitted::Waits(resolved.id));
                    fresh.push((at, tx, resolved));
                }
                Err(submitted) => outcome.push(submitted),
            }
        }
        view.checked()?;
        let resolved: Vec<&Resolved> = fresh.iter().map(|(_, _, resolved)| resolved).collect();
        let digests: Vec<Digest> = fresh.iter().map(|(_, tx, it)| it.digest(tx)).collect();
        let holds = self.claims.hold(&resolved, &digests);
        for ((at, tx, _), holds) in fresh.into_iter().zip(holds) {
            outcome[at] = if holds { self.take_in(tx) } else { false_proof() };
        }
        Ok(outcome)
    }

    /// All that is cheap: is it new, well formed, for this state?
    fn look(
        &self,
        tx: &Transaction,
        view: &View,
    ) -> Result<Result<Resolved, Submitted>, StoreError> {
        let refuse = |refusal| Ok(Err(Submitted::Refused(refusal)));
        let bytes = tx.to_bytes().len();
        if bytes > TX_BYTES_MAX {
            let why = format!("{bytes} bytes, at most {TX_BYTES_MAX}");
            return refuse(Refusal::new(RefusalKind::TooLarge, &why));
        }
        if let Err(error) = examine::stateless(tx, &self.rules) {
            return refuse((&error).into());
        }
        if tx.body.issue != Issue::None {
            let why = "value comes and goes in transactions that the protocol itself makes";
            return refuse(Refusal::new(RefusalKind::Malformed, why));
        }
        let id = tx.id();
        if self.store.place(&id)?.is_some() {
            return Ok(Err(Submitted::Stands(id)));
        }
        if self.mempool.get(&id).is_some() {
            return Ok(Err(Submitted::Waits(id)));
        }
        if let Some(refusal) = self.mempool.conflict(tx) {
            return refuse(refusal);
        }
        let permit = Permit::default();
        match examine::against(tx, view, &self.rules, self.next_height(), permit) {
            Ok(resolved) => Ok(Ok(resolved)),
            Err(error) => refuse((&error).into()),
        }
    }

    /// Two of one batch may exclude one another, so conflicts are looked at again.
    fn take_in(&mut self, tx: Transaction) -> Submitted {
        let id = tx.id();
        if self.mempool.get(&id).is_some() {
            return Submitted::Waits(id);
        }
        if let Some(refusal) = self.mempool.conflict(&tx) {
            return Submitted::Refused(refusal);
        }
        match self.mempool.insert(tx) {
            Ok(evicted) => {
                let why = "somebody pays more for the place";
                let refusal = Refusal::new(RefusalKind::Full, why);
                self.dropped.extend(evicted.into_iter().map(|id| (id, refusal.clone())));
                Submitted::Waits(id)
            }
            Err(refusal) => Submitted::Refused(refusal),
        }
    }

    /// Lets somebody wait for new value; returns the number under which [`News::served`] will say
    /// that it is there.
    ///
    /// # Errors
    /// A refusal on the main network, for too much, and for an address of the other network.
    // spec: CHAIN-1.3
    pub fn thirst(&mut self, address: Address, amount: Amount) -> Result<u64, Refusal> {
        let genesis = self.store.genesis();
        if genesis.network != Network::Test {
            let why = "this is the main network";
            return Err(Refusal::new(RefusalKind::NotATestNetwork, why));
        }
        let refuse = |why: &str| Err(Refusal::new(RefusalKind::Faucet, why));
        if address.network != genesis.network {
            return refuse("the address is of the main network");
        }
        if amount == Amount::ZERO || amount > genesis.faucet_most {
            let most = genesis.faucet_most;
            return refuse(&format!("above nothing and at most {most} at once"));
        }
        if self.thirsty.len() >= FAUCET_WAITING_MAX {
            return Err(Refusal::new(RefusalKind::Full, "too many wait for the faucet"));
        }
        self.numbers += 1;
        self.thirsty.push_back(Thirsty { number: self.numbers, address, amount });
        Ok(self.numbers)
    }

    /// Who is served next: as many as a block's bound and one transaction hold.
    fn served_next(&self) -> Vec<Thirsty> {
        let mut sum = Amount::ZERO;
        let most = self.store.genesis().faucet_most;
        let fits = |it: &&Thirsty| {
            let with = sum.checked_add(it.amount).filter(|with| *with <= most);
            sum = with.unwrap_or(sum);
            with.is_some()
        };
        self.thirsty.iter().take(FAUCET_MAX).take_while(fits).copied().collect()
    }

    /// New value for this block, if anybody is to have any.
    fn pour(&mut self, height: Height) -> Option<Transaction> {
        self.pouring.clear();
        if height == Height(1)
            && let Ok(Some(first)) = self.store.genesis().first()
        {
            return Some(first);
        }
        let served = self.served_next();
        if served.is_empty() {
            return None;
        }
        let pay: Vec<_> = served.iter().map(|it| (it.address, it.amount)).collect();
        let built = genesis::mint(&self.rules, height, &pay, &mut self.chance).ok()?;
        let id = built.transaction.id();
        self.pouring = served.iter().map(|it| (it.number, id)).collect();
        Some(built.transaction)
    }

    /// Makes the next block out of what waits and takes it in: how a ledger runs that nobody else
    /// orders. None while nobody wants anything.
    ///
    /// # Errors
    /// [`FinaliseError`].
    pub fn advance(&mut self, now: u64) -> Result<Option<Sealed>, FinaliseError> {
        let Some(block) = self.propose(&[], now)? else { return Ok(None) };
        self.finalise(&block)?;
        Ok(Some(block))
    }

    /// What has changed for those who wait, since it was last asked.
    pub fn news(&mut self, block: Option<&Sealed>) -> News {
        let stand = block.map(|block| block.transactions.iter().map(Transaction::id).collect());
        let stand: Vec<TxId> = stand.unwrap_or_default();
        let is_there = |id: &TxId| stand.contains(id);
        let (served, left) = self.pouring.drain(..).partition(|(_, id)| is_there(id));
        self.pouring = left;
        News { stand, gone: std::mem::take(&mut self.dropped), served }
    }

    /// Resolves a block on top of others that are not final.
    fn prepare(&mut self, above: &[Sealed], block: &Sealed) -> Result<Judged, StoreError> {
        let view = self.store.view()?;
        let judged = self.judge(&view, above, block);
        // What a broken disk made of it is no judgement.
        view.checked()?;
        Ok(judged)
    }

    fn judge(&mut self, view: &View, above: &[Sealed], block: &Sealed) -> Judged {
        let mut scaffold = Scaffold::new(view, &self.stand);
        for under in above {
            scaffold.put(under, self.store.genesis(), &self.rules)?;
        }
        block.follows(&scaffold.tip)?;
        let height = block.header.height;
        if !self.store.genesis().begins(height, &block.transactions).unwrap_or(false) {
            return Err(BlockFault::First);
        }
        let pending = scaffold.resolve(block, self.store.genesis(), &self.rules)?;
        if pending.summary.root() != block.header.root {
            return Err(BlockFault::Root(height.0));
        }
        let resolved: Vec<&Resolved> = pending.resolved.iter().collect();
        let pairs = pending.resolved.iter().zip(&block.transactions);
        let digests: Vec<Digest> = pairs.map(|(one, tx)| one.digest(tx)).collect();
        if self.claims.hold(&resolved, &digests).contains(&false) {
            return Err(BlockError::FalseProof.into());
        }
        let effects = pending.effects();
        Ok(Prepared { id: block.header.id(), effects, summary: pending.summary })
    }

    /// Fills a block with what waits, in its order.
    fn fill(
        &mut self,
        overlay: &mut Overlay<'_>,
        height: Height,
        mint: Option<&Transaction>,
    ) -> Filled {
        let mut filled = Filled::default();
        let mut room = SEALED_BYTES_MAX - AROUND;
        if let Some(mint) = mint {
            let permit = self.store.genesis().permit(height, std::slice::from_ref(mint));
            let resolved = examine::against(mint, overlay, &self.rules, height, permit);
            if let Ok(resolved) = resolved
                && overlay.apply(&resolved.effects).is_ok()
            {
                room -= mint.to_bytes().len();
                filled.add(mint.clone(), resolved);
            }
        }
        let mut unfit = Vec::new();
        for (id, tx, bytes) in self.mempool.in_order() {
            if filled.transactions.len() == TRANSACTIONS_MAX || bytes > room {
                break;
            }
            let found = examine::against(tx, overlay, &self.rules, height, Permit::default());
            match found.map(|resolved| overlay.apply(&resolved.effects).map(|()| resolved)) {
                Ok(Ok(resolved)) => {
                    room -= bytes;
                    filled.add(tx.clone(), resolved);
                }
                Ok(Err(error)) => {
                    unfit.push((*id, Refusal::new(RefusalKind::Conflict, &error.to_string())));
                }
                Err(error) => unfit.push((*id, (&error).into())),
            }
        }
        filled.unfit = unfit;
        filled
    }
}

fn false_proof() -> Submitted {
    let why = BlockError::FalseProof.to_string();
    Submitted::Refused(Refusal::new(RefusalKind::FalseProof, &why))
}

/// A block's effects, or why it cannot stand there.
type Judged = Result<Prepared, BlockFault>;

impl StateMachine for Chain {
    fn tip(&self) -> Tip {
        self.stand.tip
    }

    // spec: CHAIN-3.2
    fn propose(&mut self, above: &[Sealed], now: u64) -> Result<Option<Sealed>, StoreError> {
        if !self.has_work() {
            return Ok(None);
        }
        let view = self.store.view()?;
        let mut scaffold = Scaffold::new(&view, &self.stand);
        for under in above {
            if let Err(fault) = scaffold.put(under, self.store.genesis(), &self.rules) {
                view.checked()?;
                tracing::warn!(%fault, "nothing is proposed upon a block that does not hold");
                return Ok(None);
            }
        }
        let (tip, height) = (scaffold.tip, Height(scaffold.tip.height.0.saturating_add(1)));
        let mint = self.pour(height);
        scaffold.overlay.summary.height = height;
        let filled = self.fill(&mut scaffold.overlay, height, mint.as_ref());
        view.checked()?;
        let summary = scaffold.overlay.summary.clone();
        // Upon blocks that are not final, what does not fit may fit later.
        if above.is_empty() {
            for (id, refusal) in filled.unfit {
                self.mempool.remove(&id);
                self.dropped.push((id, refusal));
            }
        }
        if filled.transactions.is_empty() {
            return Ok(None);
        }
        let block = Sealed::new(&tip, now, summary.root(), filled.transactions);
        let resolved: Vec<&Resolved> = filled.resolved.iter().collect();
        let pairs = filled.resolved.iter().zip(&block.transactions);
        let digests: Vec<Digest> = pairs.map(|(one, tx)| one.digest(tx)).collect();
        let holds = self.claims.hold(&resolved, &digests);
        let false_ones = holds.iter().zip(&block.transactions).filter(|(holds, _)| !**holds);
        let false_ones: Vec<TxId> = false_ones.map(|(_, tx)| tx.id()).collect();
        if !false_ones.is_empty() {
            // A payout proves what its pot held; a pot that was settled since is another.
            for id in false_ones {
                self.mempool.remove(&id);
                let why = "what it was proven about has changed since";
                self.dropped.push((id, Refusal::new(RefusalKind::Conflict, why)));
            }
            return self.propose(above, now);
        }
        if above.is_empty() {
            let effects = filled.resolved.into_iter().map(|it| it.effects).collect();
            self.prepared = Some(Prepared { id: block.header.id(), effects, summary });
        }
        Ok(Some(block))
    }

    // spec: CHAIN-3.1, CHAIN-3.4
    fn verify(
        &mut self,
        above: &[Sealed],
        block: &Sealed,
        now: u64,
    ) -> Result<Verdict, StoreError> {
        let height = block.header.height.0;
        let known = above.last().map_or(self.stand.tip, |last| last.header.tip()).height.0;
        if height > known.saturating_add(1) {
            return Ok(Verdict::Pending(Wait::Gap { known, given: height }));
        }
        let ahead_ms = block.header.time.saturating_sub(now);
        if ahead_ms > CLOCK_SLACK_MS {
            return Ok(Verdict::Pending(Wait::Clock { height, ahead_ms }));
        }
        Ok(match self.prepare(above, block)? {
            Ok(prepared) => {
                self.prepared = above.is_empty().then_some(prepared);
                Verdict::Holds
            }
            Err(fault) => Verdict::Refused(fault),
        })
    }

    // spec: CHAIN-3.3
    fn finalise(&mut self, block: &Sealed) -> Result<Finalised, FinaliseError> {
        let (height, known) = (block.header.height, self.stand.tip.height);
        if height.0 > known.0.saturating_add(1) {
            return Err(Wait::Gap { known: known.0, given: height.0 }.into());
        }
        let given = block.header.id();
        if height <= known {
            return self.again(height, given);
        }
        let prepared = self.prepared.take().filter(|prepared| prepared.id == given);
        let prepared = match prepared {
            Some(prepared) => prepared,
            None => self.prepare(&[], block)??,
        };
        let stand = Stand { tip: block.header.tip(), summary: prepared.summary };
        self.store.append(block, &prepared.effects, &stand)?;
        self.stand = stand;
        let next = self.next_height();
        self.dropped.extend(self.mempool.settle(&block.transactions, next));
        let served: Vec<u64> = self.pouring.iter().map(|(number, _)| *number).collect();
        let stands = |id: &TxId| block.transactions.iter().any(|tx| tx.id() == *id);
        if self.pouring.first().is_some_and(|(_, id)| stands(id)) {
            self.thirsty.retain(|it| !served.contains(&it.number));
        }
        Ok(Finalised::Applied)
    }
}

impl Chain {
    /// A block of a height that is final already: the same one changes nothing.
    fn again(&self, height: Height, given: BlockId) -> Result<Finalised, FinaliseError> {
        let stored = self.store.block(height)?;
        match stored.map(|stored| stored.header.id()) {
            Some(here) if here != given => {
                Err(FinaliseError::Split { height: height.0, here, given })
            }
            // Below a snapshot nothing is kept to compare with; it was final before that.
            Some(_) | None if height > Height(0) => Ok(Finalised::Already),
            _ => {
                let error = SealError::Height { wanted: 1, given: 0 };
                Err(BlockFault::from(error).into())
            }
        }
    }
}
