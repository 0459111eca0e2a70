//! What replay says about an answer, and what follows.

use super::{Action, Client, Mode, Outcome, Part, Phase, Replaying, SessionError};
use crate::Millis;
use mutirao_wire::bundle::{Evidence, Opening, Statement};
use mutirao_wire::{Finish, PeerKey, SignedOffer};

impl Client {
    /// Asks for a replay of the whole answer.
    pub(super) fn replay(&mut self, actions: &mut Vec<Action>) {
        let finish = self.receipt.as_ref().map(|(signed, _)| signed.receipt.finish);
        self.replay_upto(self.answer.len(), finish, actions);
    }

    /// In checked mode what was signed is replayed, and nothing else: when the verdict is there, so
    /// is the evidence. An end waits for its receipt, which follows at once.
    // spec: SESSION-6.1, SESSION-6.4
    pub(super) fn replay_window(&mut self, actions: &mut Vec<Action>) {
        let signed = self.signed.last().map(|signed| signed.statement.checkpoint.index);
        let signed = signed.map_or(0, |index| index as usize);
        if self.policy.mode == Mode::Checked && signed > self.proven && self.natural().is_none() {
            self.replay_upto(signed, None, actions);
        }
    }

    /// One replay at a time.
    // spec: SESSION-6.6
    fn replay_upto(&mut self, upto: usize, finish: Option<Finish>, actions: &mut Vec<Action>) {
        if self.replaying.is_some() {
            return;
        }
        self.replaying = Some(Replaying { upto, counts: true });
        self.end_proven = finish.is_some();
        let tokens = self.answer.get(..upto).unwrap_or(&self.answer).to_vec();
        actions.push(Action::Replay { tokens, finish });
    }

    /// The receipt is here: done, unless something is left to replay.
    // spec: SESSION-6.2
    pub(super) fn settle(&mut self, actions: &mut Vec<Action>) {
        if self.audited() && !(self.end_proven && self.proven == self.answer.len()) {
            self.replay(actions);
        } else {
            self.finish(actions);
        }
    }

    // spec: SESSION-6.3
    fn audited(&self) -> bool {
        let newcomer = |part: &Part| self.policy.newcomers.contains(&part.provider);
        let signer = self.receipt.as_ref().map(|(signed, _)| signed.receipt.provider);
        let new_signer = signer.is_some_and(|signer| self.policy.newcomers.contains(&signer));
        match self.policy.mode {
            Mode::Checked => true,
            Mode::Streamed { audit } => audit || new_signer || self.parts.iter().any(newcomer),
        }
    }

    fn finish(&mut self, actions: &mut Vec<Action>) {
        self.release(self.answer.len(), actions);
        self.pay_receipt(actions);
        let Some((receipt, offer)) = self.receipt.take() else { return };
        self.over = true;
        actions.push(Action::Done(Box::new(Outcome {
            proven: self.end_proven && self.proven == self.answer.len(),
            answer: std::mem::take(&mut self.answer),
            receipt,
            offer,
            parts: std::mem::take(&mut self.parts),
            seen_by: std::mem::take(&mut self.seen_by),
            cached: self.current.as_ref().map_or(0, |current| current.account.cached),
            first_token_ms: self.first_token.unwrap_or(0),
            payments: std::mem::take(&mut self.payments),
        })));
    }

    /// A continuing provider says that the prefix is wrong. One of two lies: replay tells which.
    // spec: SESSION-4.4
    pub(super) fn prefix_refused(&mut self, now: Millis, index: u32, actions: &mut Vec<Action>) {
        if index as usize >= self.answer.len() || (index as usize) < self.proven {
            let why = format!("it refused token {index}, which is right");
            return self.give_up(now, why, actions);
        }
        self.wake = None;
        if let Some(current) = &mut self.current {
            current.phase = Phase::Refused;
        }
        self.replay(actions);
    }

    pub(super) fn replayed(
        &mut self,
        now: Millis,
        upto: u32,
        diverges: Option<u32>,
        actions: &mut Vec<Action>,
    ) {
        let upto = upto as usize;
        let Some(replaying) = self.replaying.take_if(|replaying| replaying.upto == upto) else {
            return;
        };
        match diverges {
            _ if !replaying.counts => self.replay_what_waits(actions),
            Some(position) => self.convict(now, position, actions),
            None => self.proven_upto(now, upto, actions),
        }
    }

    /// A replay of tokens that are cut says nothing; what asked for one meanwhile gets its own.
    // spec: SESSION-6.6
    fn replay_what_waits(&mut self, actions: &mut Vec<Action>) {
        let refused = self.current.as_ref().is_some_and(|current| current.phase == Phase::Refused);
        if self.receipt.is_some() {
            self.settle(actions);
        } else if refused {
            self.replay(actions);
        } else {
            self.replay_window(actions);
        }
    }

    fn proven_upto(&mut self, now: Millis, upto: usize, actions: &mut Vec<Action>) {
        self.proven = upto;
        if self.policy.mode == Mode::Checked {
            self.release(upto, actions);
            // What is confirmed was ordered below the ceiling.
            let _ = self.pay_signed(actions);
        }
        if self.receipt.is_some() {
            self.settle(actions);
        } else if self.current.as_ref().is_some_and(|current| current.phase == Phase::Refused) {
            self.refusal_judged(now, actions);
        } else {
            self.replay_window(actions);
        }
    }

    /// A window that was being replayed when the refusal came may end before the place it names.
    // spec: SESSION-4.4
    fn refusal_judged(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if self.proven < self.answer.len() {
            return self.replay(actions);
        }
        let why = "it refused a prefix that replay confirms";
        self.give_up(now, why.into(), actions);
    }

    /// The token at `position` is not the model's: its author lied.
    // spec: SESSION-6.4, SESSION-6.5
    fn convict(&mut self, now: Millis, position: u32, actions: &mut Vec<Action>) {
        let Some(author) = self.author(position) else { return };
        let evidence = self.evidence(position, &author).map(Box::new);
        let why = format!("token {position} is not what the model gives");
        self.never_again(author);
        if (position as usize) < self.released {
            let (provider, lied) = (author, true);
            let known = evidence.clone();
            actions.push(Action::GaveUp { provider, why, lied, evidence: known });
            let error = SessionError::AnswerDiverged { position, provider, evidence };
            return self.fail(error, actions);
        }
        self.cut(position as usize);
        self.proven = self.answer.len();
        self.release(self.answer.len(), actions);
        if let Some(current) = self.current.take() {
            actions.push(Action::Hang(current.attempt));
            if current.order.provider != author {
                self.candidates.push_front(current.offer);
            }
        }
        self.wake = None;
        self.tried.push((author, why.clone()));
        actions.push(Action::GaveUp { provider: author, why, lied: true, evidence });
        self.ask_next(now, actions);
    }

    /// Who wrote the token at `position`; of a wrong end, who signed it.
    fn author(&self, position: u32) -> Option<PeerKey> {
        let written = self.parts.iter().rev().find(|part| part.start <= position);
        let signer = self.receipt.as_ref().map(|(signed, _)| signed.receipt.provider);
        let at_the_end = position as usize >= self.answer.len();
        if at_the_end { signer } else { written.map(|part| part.provider) }
    }

    /// The first statement that `author` signed over the wrong token, with its opening.
    // spec: RECEIPT-4.1
    fn evidence(&self, position: u32, author: &PeerKey) -> Option<Evidence> {
        let by = |offer: &SignedOffer| offer.offer.provider == *author;
        let point = self
            .signed
            .iter()
            .find(|signed| by(&signed.offer) && signed.statement.checkpoint.index > position);
        if let Some(signed) = point {
            let statement = Statement::Checkpoint(signed.statement);
            let count = signed.statement.checkpoint.index as usize;
            return Some(self.opened(statement, signed.offer.clone(), count));
        }
        let (receipt, offer) = self.receipt.as_ref().filter(|(_, offer)| by(offer))?;
        let statement = Statement::Receipt(*receipt);
        Some(self.opened(statement, offer.clone(), self.answer.len()))
    }

    fn opened(&self, statement: Statement, offer: SignedOffer, count: usize) -> Evidence {
        let answer = self.answer.get(..count).unwrap_or(&self.answer).to_vec();
        Evidence {
            statement,
            offer,
            opening: Opening { job: self.job.clone(), answer, text: None },
        }
    }
}
