//! The client: turns a question into a job, finds who may answer, carries one session, keeps the
//! receipt. On the level `local` the provider is this node itself, over a hub in memory: one path.

mod conduct;
mod deal;
mod errand;
mod meeting;
#[cfg(test)]
pub(crate) mod tests;

pub use errand::AskError;
pub(crate) use errand::{Asker, fetch_offers};
pub(crate) use meeting::Meeting;

use crate::assemble::Node;
use crate::clock::Clock;
use crate::energy::{Energy, Measuring};
use crate::keys;
use crate::mind::Opened;
use crate::threads::patiently;
use conduct::Conduct;
use errand::Errand;
use mutirao_engine::JobError;
use mutirao_gateway::TokenScore;
pub use mutirao_market::quote::{Unfit, Weighed};
use mutirao_market::session::client::{Mode, Outcome, Payment, Policy, audit_drawn};
use mutirao_wire::bundle::{Message, Opening, ReceiptBundle, TextOpening};
use mutirao_wire::form::Form;
use mutirao_wire::job::Constraint;
use mutirao_wire::{Amount, Finish, Job, PeerKey, Privacy, ReceiptId, Sampling, Token};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// How long an answer may take in all.
const DEADLINE: Duration = Duration::from_secs(600);
/// Most providers that see a prompt on the level `circle`.
const SEEN_IN_CIRCLE: usize = 8;
/// Most providers that see a prompt on the level `open`.
const SEEN_IN_THE_OPEN: usize = 3;

/// What a person asks.
#[derive(Debug, Clone)]
pub struct Question {
    /// The model's name.
    pub model: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Whether the only message is the prompt as it is, without a chat template.
    pub raw: bool,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Most tokens of the answer; fewer where the context ends before.
    pub max_tokens: u32,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// What the answer has to look like.
    pub form: Form,
    /// Whether the probabilities of its tokens are wanted, and of how many others at each place.
    pub logprobs: Option<u8>,
}

/// What happens while an answer comes.
#[derive(Debug, Clone)]
pub enum Notice {
    /// Who may be asked, in which order and why, and who may not.
    Chose {
        /// To be asked, in this order.
        weighed: Vec<Weighed>,
        /// Not to be asked, and why.
        unfit: Vec<(PeerKey, Unfit)>,
    },
    /// The next tokens are this provider's.
    Asking {
        /// Who.
        provider: PeerKey,
    },
    /// More text.
    Text {
        /// The text.
        text: String,
    },
    /// A provider is out.
    Lost {
        /// Who.
        provider: PeerKey,
        /// Why.
        why: String,
    },
}

/// How much an answer was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// This node computed it.
    ComputedHere,
    /// This node replayed all of it.
    Replayed,
    /// Signed, not replayed; `verify` can do that at any time.
    Signed,
}

impl Trust {
    /// For people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::ComputedHere => "computed here",
            Self::Replayed => "verified by replay",
            Self::Signed => "signed, not replayed",
        }
    }
}

/// A whole answer and what is known about it.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Its text.
    pub text: String,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// How many of its first ones were still there from an earlier question of the same asker.
    pub cached_tokens: u32,
    /// Its tokens.
    pub tokens: Vec<Token>,
    /// How probable they were, where that was asked for.
    pub logprobs: Option<Vec<TokenScore>>,
    /// How it ended.
    pub finish: Finish,
    /// Who wrote it, in order.
    pub providers: Vec<PeerKey>,
    /// Who saw the prompt.
    pub seen_by: Vec<PeerKey>,
    /// Until the first token.
    pub first_token: Duration,
    /// Until the receipt.
    pub total: Duration,
    /// Names the receipt.
    pub receipt_id: ReceiptId,
    /// The receipt file's text.
    pub receipt_json: String,
    /// Where it is kept, if it is.
    pub receipt_path: Option<PathBuf>,
    /// How much it was checked.
    pub trust: Trust,
    /// Who was paid what, in the order of their turns; empty where it was free.
    pub payments: Vec<Payment>,
    /// What it took from the socket, where this machine wrote it and knows.
    pub energy: Option<Energy>,
}

impl Answered {
    /// What it cost in all.
    #[must_use]
    pub fn paid(&self) -> Amount {
        Amount(self.payments.iter().map(|payment| payment.paid.0).sum())
    }

    /// Vouchers that paid for it.
    #[must_use]
    pub fn vouchers(&self) -> u32 {
        self.payments.iter().map(|payment| payment.vouchers).sum()
    }

    /// Tokens a second after the first.
    #[must_use]
    pub fn tokens_per_second(&self) -> f64 {
        let seconds = self.total.saturating_sub(self.first_token).as_secs_f64();
        self.tokens.len().saturating_sub(1) as f64 / seconds.max(1e-6)
    }
}

/// How long a person waited.
#[derive(Clone, Copy)]
struct Waited {
    first_token: Duration,
    total: Duration,
}

impl Node {
    /// Asks a question and calls `watch` with everything that happens on the way.
    ///
    /// # Errors
    /// [`AskError`]; [`AskError::Diverged`] when part of a wrong answer had been shown.
    pub async fn ask(
        &self,
        question: &Question,
        watch: &mut (dyn FnMut(Notice) + Send),
    ) -> Result<Answered, AskError> {
        self.ask_for(&Asker::Owner, question, watch).await
    }

    /// The same for others than the owner: with caps of their own, and nothing in common.
    pub(crate) async fn ask_for(
        &self,
        asker: &Asker,
        question: &Question,
        watch: &mut (dyn FnMut(Notice) + Send),
    ) -> Result<Answered, AskError> {
        let opened = self.open(&question.model)?;
        let job = job(&opened, question)?;
        let clock = Clock::start();
        // What others took for their part of an answer, they alone know.
        let measuring = (self.config().privacy == Privacy::Local).then(|| self.meter().begin());
        let errand = Errand::prepare(self, asker, &opened, &job, clock).await?;
        let chosen = &errand.chosen;
        let (weighed, unfit) = (chosen.weighed.clone(), chosen.unfit.clone());
        watch(Notice::Chose { weighed, unfit });
        let answered = self.ask_on(&errand, &opened, question, job, watch).await;
        let energy = measuring.and_then(Measuring::end);
        if let Some(cashier) = self.cashier().filter(|_| !errand.means.is_empty()) {
            cashier.settle().await;
        }
        errand.close().await;
        answered.map(|answered| Answered { energy, ..answered })
    }

    /// One session with the providers of an errand.
    async fn ask_on(
        &self,
        errand: &Errand,
        opened: &Opened,
        question: &Question,
        job: Job,
        watch: &mut (dyn FnMut(Notice) + Send),
    ) -> Result<Answered, AskError> {
        let policy = self.policy(opened, errand)?;
        if policy.mode != (Mode::Streamed { audit: false }) || !policy.newcomers.is_empty() {
            // Tokens will be judged by these weights.
            self.prove(opened)?;
        }
        let end_of_text = opened.spec.end_of_text.clone();
        let mut conduct = Conduct::new(self, opened, question, errand, watch);
        // Finding providers belongs to the time that a person waits for the first token.
        let finding = errand.clock.elapsed();
        let (outcome, text) = conduct.run(job.clone(), end_of_text, policy).await?;
        let first_token = finding + Duration::from_millis(outcome.first_token_ms);
        let waited = Waited { first_token, total: errand.clock.elapsed() };
        self.finish(opened, question, job, outcome, text, waited)
    }

    fn policy(&self, opened: &Opened, errand: &Errand) -> Result<Policy, AskError> {
        let config = self.config();
        let local = config.privacy == Privacy::Local;
        let [a, b, c, d, ..] = keys::random()?;
        let drawn = audit_drawn(config.audit_one_in, u32::from_le_bytes([a, b, c, d]));
        let audits = !local && config.audit_one_in > 0;
        Ok(Policy {
            mode: match config.mode {
                crate::config::Mode::Checked if !local => Mode::Checked,
                _ => Mode::Streamed { audit: drawn && audits },
            },
            privacy: config.privacy,
            seen_by_max: match config.privacy {
                Privacy::Local => 1,
                Privacy::Circle => SEEN_IN_CIRCLE,
                Privacy::Open => SEEN_IN_THE_OPEN,
            },
            deadline_ms: errand.clock.now() + DEADLINE.as_millis() as u64,
            vocabulary: opened.spec.vocabulary,
            cap: errand.cap,
            means: errand.means.clone(),
            newcomers: if audits { errand.newcomers() } else { BTreeSet::new() },
        })
    }

    fn finish(
        &self,
        opened: &Opened,
        question: &Question,
        job: Job,
        outcome: Outcome,
        shown: String,
        waited: Waited,
    ) -> Result<Answered, AskError> {
        let answer = opened.mind().decode(&outcome.answer)?;
        let score = |top| patiently(|| opened.mind().score(&job, &outcome.answer, top));
        let logprobs = question.logprobs.map(score).transpose()?;
        let text = TextOpening {
            messages: question.messages.clone(),
            tools: question.form.described(),
            date: None,
            answer,
            text_stack: mutirao_text::TEXT_STACK.into(),
        };
        // The text layer made nothing of a raw prompt that a verifier could make again.
        let text = (!question.raw).then_some(text);
        let opening = Opening { job, answer: outcome.answer.clone(), text };
        let receipt = outcome.receipt;
        let bundle = ReceiptBundle { receipt, offer: outcome.offer, opening };
        let receipt_json = bundle.to_json(about(&bundle, &shown));
        let receipt_path = self.keep(receipt.id(), &receipt_json)?;
        Ok(Answered {
            text: shown,
            prompt_tokens: receipt.receipt.prompt_tokens,
            cached_tokens: outcome.cached,
            tokens: outcome.answer,
            logprobs,
            finish: receipt.receipt.finish,
            providers: outcome.parts.iter().map(|part| part.provider).collect(),
            seen_by: outcome.seen_by,
            first_token: waited.first_token,
            total: waited.total,
            receipt_id: receipt.id(),
            receipt_json,
            receipt_path,
            trust: match (self.config().privacy, outcome.proven) {
                (Privacy::Local, _) => Trust::ComputedHere,
                (_, true) => Trust::Replayed,
                (_, false) => Trust::Signed,
            },
            payments: outcome.payments,
            energy: None,
        })
    }

    fn keep(&self, id: ReceiptId, json: &str) -> Result<Option<PathBuf>, AskError> {
        if !self.config().receipts {
            return Ok(None);
        }
        let expired =
            self.receipts().expire(self.config().receipt_days, std::time::SystemTime::now());
        tracing::debug!(expired, "old receipts deleted");
        Ok(Some(self.receipts().keep(id, json)?))
    }
}

/// What a receipt file says to people. Nobody reads it back.
fn about(bundle: &ReceiptBundle, text: &str) -> serde_json::Value {
    let receipt = &bundle.receipt.receipt;
    serde_json::json!({
        "answer": text,
        "model": bundle.offer.offer.name,
        "provider": receipt.provider.to_string(),
        "tokens": receipt.answer_tokens,
        "finish": receipt.finish.word(),
        "price": receipt.price.to_string(),
        "check": "mutirao verify <this file>",
    })
}

/// Everything that determines the answer. The nonce is fresh, so that no receipt can be guessed.
pub(crate) fn job(opened: &Opened, question: &Question) -> Result<Job, AskError> {
    let prompt = prompt(opened, question)?;
    if prompt.is_empty() {
        return Err(JobError::EmptyPrompt.into());
    }
    let context = opened.spec.context as usize;
    let room = context.saturating_sub(prompt.len());
    if room == 0 {
        return Err(AskError::PromptTooLong { tokens: prompt.len(), context });
    }
    Ok(Job {
        op_set: opened.spec.op_set,
        model: opened.id(),
        prompt,
        sampling: question.sampling,
        max_tokens: question.max_tokens.min(u32::try_from(room).unwrap_or(u32::MAX)),
        stop: Vec::new(),
        constraint: constraint(opened, &question.form)?,
        nonce: keys::random()?,
    })
}

fn prompt(opened: &Opened, question: &Question) -> Result<Vec<Token>, AskError> {
    let tools = question.form.described();
    let prompt = match question.messages.as_slice() {
        [message] if question.raw => opened.mind().encode(&message.content),
        messages => opened.mind().prompt(messages, tools.as_ref(), None),
    };
    Ok(prompt?)
}

/// The grammar of a form, if it can be followed here.
fn constraint(opened: &Opened, form: &Form) -> Result<Option<Constraint>, AskError> {
    let Some(grammar) = mutirao_text::grammar(form) else { return Ok(None) };
    let constraint = Constraint { engine: mutirao_text::GRAMMAR_ENGINE, grammar };
    opened.mind().follows(&constraint)?;
    Ok(Some(constraint))
}
