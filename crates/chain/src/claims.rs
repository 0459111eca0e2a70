//! Which claims hold: on as many threads as were lent, and each only once.
//!
//! What was found true is remembered by the digest of everything that was looked at, so that a
//! block mostly finds its transactions checked already. A proof in a batch costs half of what it
//! costs alone; a batch that fails is halved until the false one stands alone.

use mutirao_ledger::examine::{self, Resolved};
use mutirao_wire::Digest;
use std::collections::{BTreeSet, VecDeque};

/// Transactions of one batch at most.
const BATCH_MAX: usize = 128;
/// Digests that are remembered at most: 4 MiB of them.
const REMEMBERED_MAX: usize = 1 << 16;

/// Claims that were found true.
#[derive(Debug)]
pub struct Claims {
    width: usize,
    known: BTreeSet<Digest>,
    order: VecDeque<Digest>,
}

impl Claims {
    /// Nothing is known; checks run on that many threads.
    pub fn new(width: usize) -> Self {
        Self { width: width.max(1), known: BTreeSet::new(), order: VecDeque::new() }
    }

    /// For each transaction, whether all its claims hold. `digests` are those of the transactions.
    pub fn hold(&mut self, all: &[&Resolved], digests: &[Digest]) -> Vec<bool> {
        let is_known: Vec<bool> =
            digests.iter().map(|digest| self.known.contains(digest)).collect();
        let unknown: Vec<&Resolved> =
            all.iter().zip(&is_known).filter(|(_, known)| !**known).map(|(one, _)| *one).collect();
        let mut judged = judge(&unknown, self.width).into_iter();
        let mut outcome = Vec::with_capacity(all.len());
        for (known, digest) in is_known.iter().zip(digests) {
            let holds = *known || judged.next().unwrap_or(false);
            if holds && !known {
                self.remember(*digest);
            }
            outcome.push(holds);
        }
        outcome
    }

    fn remember(&mut self, digest: Digest) {
        if self.known.insert(digest) {
            self.order.push_back(digest);
        }
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// How many are remembered.
    #[cfg(test)]
    pub fn known(&self) -> usize {
        self.known.len()
    }
}

fn judge(all: &[&Resolved], width: usize) -> Vec<bool> {
    let part = all.len().div_ceil(width).clamp(1, BATCH_MAX);
    let parts: Vec<&[&Resolved]> = all.chunks(part).collect();
    if parts.len() <= 1 {
        return halve(all);
    }
    let lanes = parts.len().div_ceil(width);
    std::thread::scope(|scope| {
        let lane = |own: &[&[&Resolved]]| own.iter().flat_map(|part| halve(part)).collect();
        let running: Vec<_> = parts
            .chunks(lanes)
            .map(|own| scope.spawn(move || -> Vec<bool> { lane(own) }))
            .collect();
        // A thread that ended badly has found nothing true.
        let count = |own: &[&[&Resolved]]| own.iter().map(|part| part.len()).sum::<usize>();
        let counts = parts.chunks(lanes).map(count);
        let joined = running.into_iter().zip(counts);
        joined.flat_map(|(it, count)| it.join().unwrap_or_else(|_| vec![false; count])).collect()
    })
}

/// Whether each holds: all at once where that is true, else the halves apart.
fn halve(all: &[&Resolved]) -> Vec<bool> {
    if all.is_empty() || examine::verify(all) {
        return vec![true; all.len()];
    }
    if all.len() == 1 {
        return vec![false];
    }
    let (left, right) = all.split_at(all.len() / 2);
    [halve(left), halve(right)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mutirao_ledger::examine::Permit;
    use mutirao_ledger::testing::Bank;

    // spec: CHAIN-5.2
    #[test]
    fn a_false_proof_is_found_wherever_it_stands_and_on_however_many_threads() {
        let bank = Bank::new(16);
        let mut all: Vec<_> = (0..7).map(|pair| bank.transfer(pair)).collect();
        all[5].proofs.range[40] ^= 1;
        let resolve = |tx: &_| {
            let permit = Permit::default();
            examine::against(tx, &bank.state, &bank.rules, bank.height, permit).expect("it fits")
        };
        let resolved: Vec<_> = all.iter().map(resolve).collect();
        let digests: Vec<_> = resolved.iter().zip(&all).map(|(one, tx)| one.digest(tx)).collect();
        let wanted: Vec<bool> = (0..7).map(|at| at != 5).collect();
        for width in [1, 2, 3, 20] {
            let mut claims = Claims::new(width);
            let every: Vec<&Resolved> = resolved.iter().collect();
            assert_eq!(claims.hold(&every, &digests), wanted);
            assert_eq!(claims.known(), 6, "what is false is not remembered");
            assert_eq!(claims.hold(&every, &digests), wanted, "again, from memory");
        }
    }
}
