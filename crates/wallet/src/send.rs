//! Sending: which notes pay, what it costs, and what is written down before anything leaves.

use crate::book::{Book, Held, Paid, Sending, State};
use crate::keys::Spender;
use crate::read::{Unreachable, network_name};
use mutirao_ledger::build::{self, BuildError, Built, Input, Plan, Wish};
use mutirao_ledger::cell::Cells;
use mutirao_ledger::key::address::Network;
use mutirao_ledger::note::{NoteIndex, Payment, To};
use mutirao_ledger::rules::{FeeLevel, Height, Rules};
use mutirao_ledger::service::Refusal;
use mutirao_ledger::tx::{SPENDS_MAX, TxId};
use mutirao_wire::Amount;
use rand_core::CryptoRng;
use thiserror::Error;

/// Last heights are multiples of this, so that they do not tell when somebody began.
pub const EXPIRY_STEP: u64 = 64;

/// What somebody wants.
#[derive(Debug, Clone)]
pub struct Order {
    /// To whom, how much.
    pub payments: Vec<Payment>,
    /// What happens to cells.
    pub plans: Vec<Plan>,
    /// How urgent.
    pub level: FeeLevel,
}

impl Order {
    /// One payment, without haste.
    #[must_use]
    pub fn pay(payment: Payment) -> Self {
        Self { payments: vec![payment], plans: Vec::new(), level: FeeLevel::Normal }
    }

    /// No payment, one cell, without haste.
    #[must_use]
    pub fn plan(plan: Plan) -> Self {
        Self { payments: Vec::new(), plans: vec![plan], level: FeeLevel::Normal }
    }

    fn sum(&self) -> u128 {
        self.payments.iter().map(|payment| u128::from(payment.amount.0)).sum()
    }
}

/// A transaction that is ready and has not left.
#[derive(Debug, Clone)]
pub struct Draft {
    pub(crate) sending: Sending,
}

impl Draft {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> TxId {
        self.sending.id
    }

    /// What it costs.
    #[must_use]
    pub fn fee(&self) -> Amount {
        self.sending.fee
    }

    /// What it pays to others.
    #[must_use]
    pub fn paid(&self) -> &[Paid] {
        &self.sending.paid
    }

    /// What comes back.
    #[must_use]
    pub fn returns(&self) -> Amount {
        self.sending.returns
    }

    /// Notes that it spends.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.sending.inputs.len()
    }

    /// The last height at which it may stand in a block.
    #[must_use]
    pub fn valid_until(&self) -> Height {
        self.sending.valid_until
    }
}

/// Why nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// No keys that spend.
    #[error("this wallet sees and does not spend: send from the one that has the 24 words")]
    ViewOnly,
    /// An address of the other network.
    #[error("that address is for {given}, this wallet is on {known}")]
    Network {
        /// The wallet's.
        known: &'static str,
        /// The address's.
        given: &'static str,
    },
    /// Nothing to send.
    #[error("an amount of nothing cannot be sent")]
    Nothing,
    /// Not enough.
    #[error(
        "not enough: payment and fee come to {need}, and {have} can be spent{}",
        if *pending == Amount::ZERO { String::new() } else {
            format!("; {pending} more come back once what was sent stands in a block")
        }
    )]
    TooLittle {
        /// What can be spent.
        have: Amount,
        /// What is needed.
        need: Amount,
        /// What is on its way back.
        pending: Amount,
    },
    /// Enough, but in too many small notes.
    #[error(
        "that is spread over more than {SPENDS_MAX} notes, and one transaction spends no more: \
         first join them with `mutirao wallet send --join`, or send at most {most} at once"
    )]
    Scattered {
        /// What the largest notes hold, before the fee.
        most: Amount,
    },
    /// Nothing to join.
    #[error("there are not two notes that could be joined")]
    Joined,
    /// The ledger's own rules.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The ledger has not been read.
    #[error("this wallet has not read its ledger yet")]
    Unread,
    /// Notes of the draft are gone by now.
    #[error("something else was sent meanwhile; look at the balance and send again")]
    Stale,
    /// The ledger does not take it.
    #[error("the ledger refused it: {0}")]
    Refused(Refusal),
    /// Nobody knows whether it arrived.
    #[error(
        "{0}; what you send is written down and goes out when the ledger answers again: do not \
         send it twice"
    )]
    Unsent(Unreachable),
}

/// The last height of what is sent now.
// spec: WALLET-5.3
#[must_use]
pub fn valid_until(height: Height) -> Height {
    Height((height.0 / EXPIRY_STEP).saturating_add(2).saturating_mul(EXPIRY_STEP))
}

/// What sending takes beside an order.
pub(crate) struct Desk<'a> {
    pub spender: &'a Spender,
    pub network: Network,
    pub book: &'a Book,
    pub rules: &'a Rules,
    pub cells: &'a dyn Cells,
}

impl Desk<'_> {
    /// Chooses notes, builds and proves.
    // spec: WALLET-5.1
    pub(crate) fn prepare(
        &self,
        order: &Order,
        rng: &mut impl CryptoRng,
    ) -> Result<Draft, SendError> {
        self.check(order)?;
        let mut need = order.sum().max(1);
        loop {
            let inputs = self.choose(need)?;
            match self.build(order, &inputs, rng) {
                // The fee grows with the notes; the need never shrinks, so this ends.
                Err(BuildError::TooLittle { need: more, .. }) if more > need => need = more,
                built => return Ok(self.draft(built?, &inputs, order)),
            }
        }
    }

    /// All that can be spent, less the fee, to one address.
    pub(crate) fn prepare_all(
        &self,
        order: &Order,
        rng: &mut impl CryptoRng,
    ) -> Result<Draft, SendError> {
        let spendable = self.book.spendable();
        if spendable.len() > SPENDS_MAX {
            return Err(SendError::Scattered { most: self.most(&spendable) });
        }
        let all: u128 = spendable.iter().map(|held| worth(held)).sum();
        let mut order = order.clone();
        let [payment] = &mut order.payments[..] else { return Err(SendError::Nothing) };
        payment.amount = narrow(all);
        self.check(&order)?;
        match self.build(&order, &spendable, rng) {
            Err(BuildError::TooLittle { need, .. }) => {
                let left = all.checked_sub(need.saturating_sub(all)).filter(|left| *left > 0);
                let left = left.ok_or_else(|| self.too_little(all, need))?;
                if let [payment] = &mut order.payments[..] {
                    payment.amount = narrow(left);
                }
                let built = self.build(&order, &spendable, rng)?;
                Ok(self.draft(built, &spendable, &order))
            }
            built => Ok(self.draft(built?, &spendable, &order)),
        }
    }

    /// Joins the smallest notes into one.
    pub(crate) fn prepare_join(
        &self,
        level: FeeLevel,
        rng: &mut impl CryptoRng,
    ) -> Result<Draft, SendError> {
        let mut notes = self.book.spendable();
        notes.sort_by_key(|held| worth(held));
        notes.truncate(SPENDS_MAX);
        if notes.len() < 2 {
            return Err(SendError::Joined);
        }
        let order = Order { payments: Vec::new(), plans: Vec::new(), level };
        let all: u128 = notes.iter().map(|held| worth(held)).sum();
        match self.build(&order, &notes, rng) {
            Err(BuildError::TooLittle { need, .. }) => Err(self.too_little(all, need)),
            built => Ok(self.draft(built?, &notes, &order)),
        }
    }

    fn check(&self, order: &Order) -> Result<(), SendError> {
        for payment in &order.payments {
            if payment.amount == Amount::ZERO {
                return Err(SendError::Nothing);
            }
            if let To::Address(address) = &payment.to
                && address.network != self.network
            {
                let (known, given) = (network_name(self.network), network_name(address.network));
                return Err(SendError::Network { known, given });
            }
        }
        Ok(())
    }

    fn too_little(&self, have: u128, need: u128) -> SendError {
        let pending = crate::balance::Balance::of(self.book).pending;
        SendError::TooLittle { have: narrow(have), need: narrow(need), pending }
    }

    /// What the notes of one transaction hold at most.
    fn most(&self, notes: &[&Held]) -> Amount {
        let mut worths: Vec<u128> = notes.iter().map(|held| worth(held)).collect();
        worths.sort_unstable_by(|left, right| right.cmp(left));
        narrow(worths.iter().take(SPENDS_MAX).sum())
    }

    /// Notes that hold at least `need`: one that was offered before, then the smallest that is
    /// enough, else the largest and so on.
    // spec: WALLET-5.1, WALLET-5.4
    fn choose(&self, need: u128) -> Result<Vec<&Held>, SendError> {
        let mut left = self.book.spendable();
        let have: u128 = left.iter().map(|held| worth(held)).sum();
        if have < need {
            return Err(self.too_little(have, need));
        }
        let most = self.most(&left);
        left.sort_by_key(|held| (worth(held), held.index));
        let offered = self.book.offered();
        let mut chosen = Vec::new();
        if let Some(at) = left.iter().rposition(|held| offered.contains(&held.index)) {
            chosen.push(left.remove(at));
        }
        loop {
            let sum: u128 = chosen.iter().map(|held| worth(held)).sum();
            if sum >= need {
                return Ok(chosen);
            }
            if chosen.len() == SPENDS_MAX {
                return Err(SendError::Scattered { most });
            }
            let enough = left.iter().position(|held| worth(held) >= need - sum);
            let at = enough.unwrap_or(left.len().saturating_sub(1));
            if at >= left.len() {
                return Err(self.too_little(have, need));
            }
            chosen.push(left.remove(at));
        }
    }

    fn build(
        &self,
        order: &Order,
        notes: &[&Held],
        rng: &mut impl CryptoRng,
    ) -> Result<Built, BuildError> {
        let height = self.book.height();
        let input = |held: &&Held| Input { index: held.index, note: held.note.clone() };
        let wish = Wish {
            inputs: notes.iter().map(input).collect(),
            payments: order.payments.clone(),
            plans: order.plans.clone(),
            level: order.level,
            valid_until: valid_until(height),
        };
        let next = Height(height.0.saturating_add(1));
        build::build(self.spender.keys(), self.rules, &wish, self.cells, next, rng)
    }

    fn draft(&self, built: Built, notes: &[&Held], order: &Order) -> Draft {
        let Built { transaction, sent } = built;
        let mut unsaid: Vec<&Payment> = order.payments.iter().collect();
        let (mut paid, mut returns) = (Vec::new(), 0u64);
        for (output, sent) in (0u8..).zip(sent) {
            let amount = sent.opening.amount;
            let Some(address) = sent.address else {
                returns = returns.saturating_add(amount.0);
                continue;
            };
            let to = To::Address(address);
            let at = unsaid.iter().position(|it| it.to == to && it.amount == amount);
            let memo = at.map(|at| unsaid.swap_remove(at).memo.words().to_vec());
            let (opening, anchor, memo) = (sent.opening, sent.anchor, memo.unwrap_or_default());
            paid.push(Paid { output, address, opening, anchor, memo });
        }
        let sending = Sending {
            id: transaction.id(),
            inputs: notes.iter().map(|held| held.index).collect::<Vec<NoteIndex>>(),
            paid,
            returns: Amount(returns),
            fee: transaction.body.fee,
            valid_until: transaction.body.valid_until,
            state: State::Waiting,
            transaction: Some(transaction),
        };
        Draft { sending }
    }
}

fn worth(held: &Held) -> u128 {
    u128::from(held.note.opening.amount.0)
}

fn narrow(sum: u128) -> Amount {
    Amount(u64::try_from(sum).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec: WALLET-5.3
    #[test]
    fn a_last_height_tells_only_roughly_when_somebody_began() {
        for (height, until) in [(0, 128), (63, 128), (64, 192), (127, 192), (128, 256)] {
            assert_eq!(valid_until(Height(height)), Height(until));
        }
        assert_eq!(valid_until(Height(u64::MAX)).0 % EXPIRY_STEP, EXPIRY_STEP - 1);
    }
}
