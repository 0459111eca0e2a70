//! What was told under an order, in money: the judge's own count, frame by frame.

use mutirao_market::session::frame::ProviderFrame;
use mutirao_market::session::payment::{Work, owed};
use mutirao_wire::{Amount, Job, Order, Prices};

/// What was told under an order, for the books.
#[derive(Debug, Clone)]
pub struct Tally {
    prices: Prices,
    prompt: u32,
    told: Work,
}

impl Tally {
    /// Of an order for that job, nothing told yet.
    #[must_use]
    pub fn new(order: &Order, job: &Job) -> Self {
        let prompt = u32::try_from(job.prompt.len()).unwrap_or(u32::MAX);
        Self { prices: order.prices, prompt, told: Work::default() }
    }

    /// What all costs once this frame is told, and whether it asks to be paid for.
    pub fn tell(&mut self, frame: &ProviderFrame) -> (Amount, bool) {
        match frame {
            ProviderFrame::Progress { done, cached, .. } => {
                (self.told.read, self.told.cached) = (*done, *cached);
            }
            ProviderFrame::Token { .. } => self.told.written += 1,
            _ => {}
        }
        let asks = matches!(frame, ProviderFrame::Progress { .. } | ProviderFrame::Checkpoint(_));
        let ends = matches!(frame, ProviderFrame::Receipt(_));
        (owed(&self.prices, self.prompt, self.told).unwrap_or_default(), asks || ends)
    }
}
