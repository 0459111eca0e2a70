//! How much there is.

use crate::book::{Book, OwnChannel, State};
use mutirao_wire::Amount;

/// What a wallet holds, as far as it has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// Can be spent now.
    pub spendable: Amount,
    /// Comes back once what was sent stands in a block.
    pub pending: Amount,
    /// Leaves with what was sent, fees included.
    pub leaving: Amount,
    /// Came to us since the beginning; all that a wallet knows that does not see spends.
    pub received: Amount,
    /// Was put into channels and not taken back; what of it is spent, vouchers say.
    pub in_channels: Amount,
    /// Notes that can be spent.
    pub notes: usize,
}

/// All together; the supply keeps each sum below 2^64, and no lying ledger makes us wrap.
fn sum(amounts: impl Iterator<Item = Amount>) -> Amount {
    Amount(amounts.fold(0, |sum, amount| sum.saturating_add(amount.0)))
}

impl Balance {
    /// Of a book.
    // spec: WALLET-5.2
    #[must_use]
    pub fn of(book: &Book) -> Self {
        let spendable = book.spendable();
        let waiting = || book.sendings().iter().filter(|it| it.state == State::Waiting);
        let leaving = waiting().map(|it| {
            Amount(u64::try_from(it.paid_out()).unwrap_or(u64::MAX).saturating_add(it.fee.0))
        });
        let arrivals = book.entries().iter().flat_map(|entry| &entry.arrivals);
        Self {
            spendable: sum(spendable.iter().map(|held| held.note.opening.amount)),
            pending: sum(waiting().map(|it| it.returns)),
            leaving: sum(leaving),
            received: sum(arrivals.map(|arrival| arrival.amount)),
            in_channels: sum(book.channels.iter().map(OwnChannel::deposit)),
            notes: spendable.len(),
        }
    }
}
