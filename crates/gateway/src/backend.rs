//! What the door needs from the house behind it.

use crate::guard::Caller;
use crate::pay::{Admission, Proof, Quote, Unpaid};
use crate::wallet::{TwoViews, WalletView};
use mutirao_wire::bundle::Message;
use mutirao_wire::form::{Call, Form};
use mutirao_wire::{Amount, Finish, PeerKey, ReceiptId, Sampling};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::mpsc::Sender;

/// A future that can be sent between threads.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A question, read from HTTP and already within bounds.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The model's name.
    pub model: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Whether the only message is the prompt as it is, without a chat template.
    pub raw: bool,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// The short seed, when the caller gave one.
    pub seed: Option<u64>,
    /// Most tokens of the answer.
    pub max_tokens: u32,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// What the answer has to look like.
    pub form: Form,
    /// Whether the probabilities of its tokens are wanted, and of how many others at each place.
    pub logprobs: Option<u8>,
    /// Who asks.
    pub caller: Caller,
}

/// How probable a token was to the model, before temperature and grammar.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenScore {
    /// Its bytes; a part of a letter is no text.
    pub bytes: Vec<u8>,
    /// The natural logarithm of its probability.
    pub logprob: f32,
    /// The most probable ones at this place, the most probable first.
    pub top: Vec<(Vec<u8>, f32)>,
}

/// What is known before anybody is asked.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Names model and arithmetic: the same fingerprint and question give the same answer.
    pub fingerprint: String,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Most bytes of this machine's memory that the answer takes while it is written.
    pub bytes: u64,
}

/// What happens while an answer comes.
#[derive(Debug, Clone)]
pub enum Said {
    /// More text, and who wrote it.
    Text {
        /// The text.
        text: String,
        /// Who.
        provider: PeerKey,
    },
    /// A whole call of a tool, and who wrote it.
    Call {
        /// The call.
        call: Call,
        /// Who.
        provider: PeerKey,
    },
    /// A provider is out.
    Lost {
        /// Who.
        provider: PeerKey,
        /// Why.
        why: String,
    },
}

/// A whole answer and what is known about it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its text, without calls of tools.
    pub text: String,
    /// The calls of tools in it.
    pub calls: Vec<Call>,
    /// How probable its tokens were, where that was asked for.
    pub logprobs: Option<Vec<TokenScore>>,
    /// How it ended.
    pub finish: Finish,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// How many of its first ones were still there from an earlier question of the same caller.
    pub cached_tokens: u32,
    /// Tokens of the answer.
    pub answer_tokens: u32,
    /// Who wrote it, in order.
    pub providers: Vec<PeerKey>,
    /// Who saw the prompt.
    pub seen_by: Vec<PeerKey>,
    /// Names the receipt.
    pub receipt: ReceiptId,
    /// Whether the receipt is kept here; if not, nobody can fetch it.
    pub receipt_kept: bool,
    /// How far it was checked, in words.
    pub verification: &'static str,
    /// Joules that it took, where they are known, and how: `rapl` or `configured`.
    pub energy: Option<(f64, &'static str)>,
    /// Who was paid what; empty where it was free.
    pub payments: Vec<Payment>,
    /// Until the first token.
    pub first_token: Duration,
    /// Until the receipt.
    pub total: Duration,
}

/// What one provider was paid for its part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payment {
    /// Who.
    pub provider: PeerKey,
    /// How much.
    pub paid: Amount,
    /// In how many vouchers.
    pub vouchers: u32,
}

impl Answer {
    /// What it cost in all.
    #[must_use]
    pub fn price(&self) -> Amount {
        Amount(self.payments.iter().map(|payment| payment.paid.0).sum())
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum AskFailure {
    /// No model has that name.
    #[error("{0}")]
    UnknownModel(String),
    /// The prompt leaves no room.
    #[error("{0}")]
    PromptTooLong(String),
    /// The messages cannot be rendered, or the job makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The model is being opened.
    #[error("{0}")]
    Loading(String),
    /// Nobody can answer now.
    #[error("{0}")]
    Nobody(String),
    /// Part of a wrong answer was shown.
    #[error("{reason}")]
    Diverged {
        /// What happened.
        reason: String,
        /// The first wrong token.
        position: u32,
        /// Who wrote it.
        provider: PeerKey,
    },
    /// The node failed.
    #[error("{0}")]
    Internal(String),
}

/// What was found out about the file of a receipt.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Whether it holds.
    pub holds: bool,
    /// Every finding: what was looked at, and what was found.
    pub lines: Vec<(String, String)>,
}

/// What a model makes of texts.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// One vector of length 1 for each text.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens of all texts.
    pub tokens: u32,
}

/// A model that can be asked.
#[derive(Debug, Clone)]
pub struct ModelEntry {
    /// Its name.
    pub name: String,
    /// Size of its file, or of its weights as published, in bytes.
    pub bytes: u64,
    /// What is known once it is open.
    pub facts: Option<ModelFacts>,
}

/// What is known of an open model.
#[derive(Debug, Clone)]
pub struct ModelFacts {
    /// Its id, hexadecimal.
    pub model_id: String,
    /// Longest prompt and answer together, in tokens.
    pub context: u32,
    /// Numbers in its weights.
    pub parameters: u64,
    /// Its chat template.
    pub template: String,
}

/// How long something took: half of the times less than this, and nineteen in twenty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentiles {
    /// The median.
    pub p50: Duration,
    /// The 95th percentile.
    pub p95: Duration,
}

/// A provider that may be asked, and what this node itself measured of it.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// Who.
    pub provider: PeerKey,
    /// Answers that it wrote, or a part of.
    pub answers: u32,
    /// Times that it did not.
    pub failures: u32,
    /// Wrong tokens that it was caught with; it is not asked any more.
    pub lies: u32,
    /// Whether it said nothing when it was asked last.
    pub silent: bool,
    /// Until its first token.
    pub first_token: Option<Percentiles>,
    /// Between two of its tokens.
    pub between_tokens: Option<Percentiles>,
}

impl Neighbour {
    /// The part of its tries that were answers, 0 to 1; `None` before the first.
    #[must_use]
    pub fn success(&self) -> Option<f64> {
        let tries = f64::from(self.answers) + f64::from(self.failures);
        (tries > 0.0).then(|| f64::from(self.answers) / tries)
    }
}

/// The house behind the door. Blocking work is its own affair: each method may take long.
pub trait Backend: Send + Sync + 'static {
    /// Whether it is ready for questions, and not still opening its model.
    fn is_ready(&self) -> bool;

    /// The models that can be asked.
    fn models(self: Arc<Self>) -> BoxFuture<Vec<ModelEntry>>;

    /// The providers that may be asked besides this node itself.
    fn neighbours(self: Arc<Self>) -> BoxFuture<Vec<Neighbour>>;

    /// The wallet that pays for answers or is paid for them; none where none is open. Fails with
    /// the reason.
    fn wallet(self: Arc<Self>) -> BoxFuture<Result<Option<WalletView>, String>>;

    /// A block of its ledger as its owner sees it and as everybody does; none where there is no
    /// such block. Fails with the reason.
    fn block(self: Arc<Self>, height: u64) -> BoxFuture<Result<Option<TwoViews>, String>>;

    /// Whether a question can be asked at all; nobody sees it yet.
    fn check(self: Arc<Self>, ask: Ask) -> BoxFuture<Result<Checked, AskFailure>>;

    /// What the model makes of texts. It is computed here: nobody else sees them.
    fn embed(
        self: Arc<Self>,
        model: String,
        texts: Vec<String>,
    ) -> BoxFuture<Result<Embedded, AskFailure>>;

    /// Asks. `say` has room for every event of the answer. Dropping the future ends the answer
    /// where it stands.
    fn ask(self: Arc<Self>, ask: Ask, say: Sender<Said>) -> BoxFuture<Result<Answer, AskFailure>>;

    /// What reading a prompt and writing so many tokens costs whoever pays for each request.
    fn price(&self, prompt: u32, written: u32) -> Amount;

    /// The terms under which a request is answered that costs at most so much.
    fn quote(self: Arc<Self>, ask: Ask, ceiling: Amount) -> BoxFuture<Result<Quote, AskFailure>>;

    /// Sets so much aside for a request to a model, of what a proof pays. Every admission ends in a
    /// [`Backend::discharge`].
    fn admit(
        self: Arc<Self>,
        model: String,
        ceiling: Amount,
        proof: Proof,
    ) -> BoxFuture<Result<Admission, Unpaid>>;

    /// Takes the price of a request, and no more, of what was set aside for it; what all requests
    /// took of that channel.
    fn discharge(self: Arc<Self>, admission: Admission, price: Amount) -> BoxFuture<Amount>;

    /// The file of a receipt, by its id.
    fn receipt(&self, id: &str) -> Option<Vec<u8>>;

    /// Judges the file of a receipt. Fails with the reason when it cannot be judged at all.
    fn verify(self: Arc<Self>, file: Vec<u8>) -> BoxFuture<Result<Verified, String>>;
}
