//! What was spent today: the cap of a day outlives the process that counts it.

use super::{Cashier, CashierError, Desk};
use mutirao_wire::{Amount, record};
use std::time::{SystemTime, UNIX_EPOCH};

/// The file beside the book.
const FILE: &str = "spent";
const FILE_BYTES_MAX: usize = 256;
const DAY_SECONDS: u64 = 86_400;

/// Spent in one day, by universal time.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    day: u64,
    amount: Amount,
}

record!(Spent { day, amount });

fn today() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs() / DAY_SECONDS)
}

impl Cashier {
    /// What may still be spent today.
    ///
    /// # Errors
    /// [`CashierError`] when what was spent cannot be read: nothing may be spent then.
    pub(crate) async fn left_today(&self) -> Result<Amount, CashierError> {
        self.ask(|desk| Ok(desk.daily.saturating_sub(desk.spent_today()?.amount))).await?
    }
}

impl Desk {
    fn spent_today(&self) -> Result<Spent, CashierError> {
        let kept: Spent = self.purse.wallet().note(FILE, FILE_BYTES_MAX)?.unwrap_or_default();
        let day = today();
        Ok(if kept.day == day { kept } else { Spent { day, amount: Amount::ZERO } })
    }

    /// What will have been spent today once this much more is.
    pub(super) fn spent_with(&self, more: Amount) -> Result<Amount, CashierError> {
        Ok(Amount(self.spent_today()?.amount.0.saturating_add(more.0)))
    }

    /// Writes down what a voucher spends, before it leaves.
    pub(super) fn spend(&mut self, more: Amount) -> Result<(), CashierError> {
        let mut spent = self.spent_today()?;
        spent.amount = Amount(spent.amount.0.saturating_add(more.0));
        let (wallet, chance) = self.purse.parts();
        Ok(wallet.keep_note(FILE, &spent, false, chance)?)
    }
}
