//! What a provider says, checked before it counts.

use super::{Action, Attempt, Client, Current, Fault, Mode, Part, Phase, Signed, natural_finish};
use crate::Millis;
use crate::session::frame::{ProviderFrame, Refusal};
use crate::session::watchdog::PATIENCE_MAX;
use mutirao_wire::{
    Finish, Receipt, SignedCheckpoint, SignedReceipt, Token, limits::CHECKPOINT_STEP,
};

impl Client {
    pub(super) fn frame(
        &mut self,
        now: Millis,
        attempt: Attempt,
        frame: ProviderFrame,
        actions: &mut Vec<Action>,
    ) {
        if !self.listens_to(attempt) || self.dials() {
            return;
        }
        if let ProviderFrame::PrefixRefused { index } = frame {
            return self.prefix_refused(now, index, actions);
        }
        match self.accept(now, frame, actions) {
            Ok(()) => {}
            Err(fault @ Fault::Refused { code: Refusal::Busy, .. }) => {
                self.is_full(now, fault.to_string(), actions);
            }
            // spec: SESSION-7.4
            Err(fault @ Fault::Refused { code: Refusal::Unpaid, .. }) => {
                self.leave(now, fault.to_string(), false, actions);
            }
            // spec: SESSION-3.10
            Err(fault @ Fault::Refused { .. }) if self.time_is_up(now) => {
                self.is_full(now, fault.to_string(), actions);
            }
            Err(fault) => self.give_up(now, fault.to_string(), actions),
        }
    }

    /// Whether the current provider had all the time that it offered, by one clock or the other.
    fn time_is_up(&self, now: Millis) -> bool {
        let current = self.current.as_ref();
        let offered = current.filter(|current| current.offer.offer.limits.is_some());
        offered.is_some_and(|current| current.order.deadline_ms <= now + PATIENCE_MAX)
    }

    fn accept(
        &mut self,
        now: Millis,
        frame: ProviderFrame,
        actions: &mut Vec<Action>,
    ) -> Result<(), Fault> {
        match frame {
            ProviderFrame::Accepted => self.heard(now),
            ProviderFrame::Progress { done, cached, .. } => {
                self.heard(now)?;
                self.progressed(done, cached, actions)
            }
            ProviderFrame::Token { index, token } => self.token(now, index, token, actions),
            ProviderFrame::Checkpoint(checkpoint) => self.checkpoint(checkpoint, actions),
            ProviderFrame::Receipt(receipt) => self.receipt(receipt, actions),
            ProviderFrame::Refused { code, reason } => Err(Fault::Refused { code, reason }),
            ProviderFrame::Offers(_) => Err(Fault::Unexpected("offers")),
            ProviderFrame::Deal(_) => Err(Fault::Unexpected("a deal")),
            ProviderFrame::PrefixRefused { .. } => Err(Fault::Unexpected("prefix refused")),
        }
    }

    /// Whether the stream is not open yet: nothing was asked, so nothing can be an answer.
    fn dials(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.phase == Phase::Dialling)
    }

    /// Whether the answer has all tokens that the user wants of it. A cancel may stand behind a
    /// token that replay took away again; then the tokens before it are still wanted.
    // spec: SESSION-4.5
    pub(super) fn is_cut_short(&self) -> bool {
        self.cancelled.is_some_and(|index| self.count() >= index)
    }

    /// A sign of life while the prompt is read.
    fn heard(&mut self, now: Millis) -> Result<(), Fault> {
        let reading = self.job.prompt.len() + self.answer.len();
        let phase = self.current.as_ref().map(|current| current.phase);
        if phase != Some(Phase::Reading) {
            return Err(Fault::Unexpected("progress"));
        }
        self.line.ends();
        self.wait(now, crate::session::Watchdog::reading_patience(reading));
        Ok(())
    }

    // spec: SESSION-3.2
    fn token(
        &mut self,
        now: Millis,
        index: u32,
        token: Token,
        actions: &mut Vec<Action>,
    ) -> Result<(), Fault> {
        if self.is_cut_short() {
            return Ok(());
        }
        self.check_token(index, token)?;
        let Some(current) = &mut self.current else { return Ok(()) };
        if current.unsigned >= CHECKPOINT_STEP {
            return Err(Fault::Unsigned(CHECKPOINT_STEP));
        }
        current.unsigned += 1;
        let provider = current.order.provider;
        if let Some(last) = current.last_token.replace(now) {
            self.watchdog.note(now.saturating_sub(last));
        }
        current.phase = Phase::Writing;
        self.first_token.get_or_insert(now.saturating_sub(self.started));
        self.wait(now, self.watchdog.patience());
        if self.parts.last().is_none_or(|part| part.provider != provider) {
            self.parts.push(Part { provider, start: index });
        }
        self.answer.push(token);
        if self.policy.mode != Mode::Checked {
            self.release(self.answer.len(), actions);
        }
        Ok(())
    }

    fn check_token(&self, index: u32, token: Token) -> Result<(), Fault> {
        let (expected, vocabulary) = (self.count(), self.policy.vocabulary);
        if index != expected {
            return Err(Fault::OutOfOrder { expected, found: index });
        }
        if token.0 >= vocabulary {
            return Err(Fault::OutOfVocabulary { token: token.0, vocabulary });
        }
        match natural_finish(&self.job, &self.end_of_text, &self.answer) {
            Some(_) => Err(Fault::AfterTheEnd),
            None => Ok(()),
        }
    }

    /// Shows tokens up to `upto`.
    pub(super) fn release(&mut self, upto: usize, actions: &mut Vec<Action>) {
        for (index, token) in self.answer.iter().enumerate().take(upto).skip(self.released) {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let author = self.parts.iter().rev().find(|part| part.start <= index);
            if let Some(Part { provider, .. }) = author.copied() {
                actions.push(Action::Release { index, token: *token, provider });
            }
        }
        self.released = self.released.max(upto);
    }

    // spec: SESSION-3.3, RECEIPT-2.1
    fn checkpoint(
        &mut self,
        signed: SignedCheckpoint,
        actions: &mut Vec<Action>,
    ) -> Result<(), Fault> {
        if self.is_cut_short() {
            return Ok(());
        }
        let Some(current) = &mut self.current else { return Ok(()) };
        if current.unsigned == 0 {
            return Err(Fault::NothingNew);
        }
        let checkpoint = &signed.checkpoint;
        let wrong = [
            (checkpoint.job != current.order.job, "job"),
            (checkpoint.order != current.order.commitment(), "order"),
            (checkpoint.index as usize != self.answer.len(), "index"),
            (checkpoint.prefix != self.job.prefix_digest(&self.answer), "prefix"),
            (!signed.verifies(&current.offer.offer.receipt_key), "signature"),
        ];
        if let Some((_, what)) = wrong.into_iter().find(|(wrong, _)| *wrong) {
            return Err(Fault::Checkpoint(what));
        }
        current.unsigned = 0;
        let offer = current.offer.clone();
        self.signed.push(Signed { statement: signed, offer });
        self.replay_window(actions);
        self.pay_signed(actions)
    }

    /// A receipt for the whole answer that crossed the cancel is not heard: the one that was asked
    /// for follows it.
    // spec: SESSION-4.5
    fn receipt(&mut self, signed: SignedReceipt, actions: &mut Vec<Action>) -> Result<(), Fault> {
        let crossed = !matches!(signed.receipt.finish, Finish::Cancelled { .. });
        if self.is_cut_short() && crossed {
            return Ok(());
        }
        let Some(current) = &self.current else { return Ok(()) };
        self.check_receipt(current, &signed)?;
        self.receipt = Some((signed, current.offer.clone()));
        self.wake = None;
        if self.policy.mode != Mode::Checked {
            self.pay_receipt(actions);
        }
        self.settle(actions);
        Ok(())
    }

    // spec: RECEIPT-2.2, RECEIPT-3.2
    fn check_receipt(&self, current: &Current, signed: &SignedReceipt) -> Result<(), Fault> {
        let receipt = &signed.receipt;
        let job = &self.job;
        let wrong = [
            (receipt.job != current.order.job, "job"),
            (receipt.order != current.order.commitment(), "order"),
            (receipt.answer != job.answer_commitment(&self.answer), "answer"),
            (receipt.model != job.model, "model"),
            (receipt.op_set != job.op_set, "op set"),
            (receipt.prompt_tokens as usize != job.prompt.len(), "prompt count"),
            (receipt.answer_tokens != self.count(), "answer count"),
            (receipt.served.start != current.order.start, "served start"),
            (receipt.served.end != self.count(), "served end"),
            (receipt.provider != current.order.provider, "provider"),
            (!self.price_is_right(current, receipt), "price"),
            (!self.finish_is_right(receipt.finish), "finish"),
            (!signed.verifies(&current.offer.offer.receipt_key), "signature"),
        ];
        let wrong = wrong.into_iter().find(|(wrong, _)| *wrong);
        wrong.map_or(Ok(()), |(_, what)| Err(Fault::Receipt(what)))
    }

    fn price_is_right(&self, current: &Current, receipt: &Receipt) -> bool {
        let free = current.order.prices.are_free();
        let payable = free || receipt.price <= current.order.ceiling;
        payable && self.price(current, receipt.served) == Some(receipt.price)
    }

    /// An answer that could go on is not finished, whatever the provider says.
    fn finish_is_right(&self, finish: Finish) -> bool {
        match finish {
            Finish::Cancelled { index } => self.cancelled == Some(index) && self.count() == index,
            Finish::Trap => self.natural().is_none() && !self.is_cut_short(),
            Finish::ProviderStopped => false,
            ended => self.natural() == Some(ended) && !self.is_cut_short(),
        }
    }

    pub(super) fn natural(&self) -> Option<Finish> {
        natural_finish(&self.job, &self.end_of_text, &self.answer)
    }
}
