//! The node behind its HTTP door: what `mutirao-gateway` asks for, in terms of [`Node::ask`].

mod embed;
mod sold;
mod teller;
#[cfg(test)]
mod tests;

pub(crate) use sold::payee_at;

use crate::ask::{Answered, AskError, Asker, Notice, Question};
use crate::assemble::Node;
use crate::cashier::CashierError;
use crate::clock::Clock;
use crate::keys::{self, KeyError};
use crate::mind::{MindError, Opened};
use crate::models::{Listed, ModelError};
use crate::places;
use crate::standing::{Record, Times};
use crate::verify::Verdict;
pub use mutirao_gateway::Kill;
use mutirao_gateway::backend::BoxFuture;
use mutirao_gateway::pay::{Admission, Proof, Quote, Unpaid};
use mutirao_gateway::wallet::{TwoViews, WalletView};
use mutirao_gateway::{
    Answer, Ask, AskFailure, Backend, Caller, Checked, Door, DoorSettings, Embedded, ModelEntry,
    ModelFacts, Neighbour, Percentiles, Said, Verified,
};
use mutirao_market::session::client::SessionError;
use mutirao_net::Ticket;
use mutirao_wire::form::Call;
use mutirao_wire::{Amount, Digest, PeerKey, Privacy, Sampling};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use teller::Teller;
use tokio::net::TcpListener;
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;

/// So long a request waits for a model that is being opened; it goes on being opened after that.
const OPENING_PATIENCE: Duration = Duration::from_secs(2);
/// So long a request waits for the wallet, which may be waiting for its ledger.
const WALLET_PATIENCE: Duration = Duration::from_secs(5);
/// How often receipts are looked through for those whose days are over.
const RETENTION_ROUND: Duration = Duration::from_secs(60 * 60);

/// A door that stands open.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    token: String,
    node: Arc<Node>,
    stop: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
    keeping: tokio::task::JoinHandle<()>,
}

impl Serving {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What every request must carry.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Takes no more requests and lets running answers end.
    pub async fn stop(self) {
        self.keeping.abort();
        let _ = self.stop.send(());
        if !matches!(self.serving.await, Ok(Ok(()))) {
            tracing::warn!("the door did not close properly");
        }
        self.node.part().await;
    }
}

impl Node {
    /// Opens the HTTP door.
    ///
    /// # Errors
    /// [`AskError`] when the address cannot be had or the token cannot be read.
    pub async fn open_door(self) -> Result<Serving, AskError> {
        self.stand_open(None).await
    }

    /// Opens the HTTP door of a demonstration, where `kill` ends its providers.
    ///
    /// # Errors
    /// As [`Node::open_door`].
    pub async fn open_demo_door(self, kill: Kill) -> Result<Serving, AskError> {
        self.stand_open(Some(kill)).await
    }

    async fn stand_open(self, kill: Option<Kill>) -> Result<Serving, AskError> {
        let (token, listener) = (self.door_token()?, self.listen().await?);
        let address = listener.local_addr().map_err(|error| self.no_address(&error))?;
        let node = Arc::new(self);
        node.clone().prepare();
        let keeping = tokio::spawn(node.clone().keep_retention());
        let door = node.clone().door(&token, address, kill);
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let serving = tokio::spawn(mutirao_gateway::serve(listener, door, stopped));
        Ok(Serving { address, token, node, stop, serving, keeping })
    }

    /// Opens the model that is asked when none is named, before somebody asks.
    fn prepare(self: Arc<Self>) {
        tokio::task::spawn_blocking(move || {
            if let Err(error) = self.open(&self.config().model) {
                tracing::warn!(%error, "the usual model does not open");
            }
        });
    }

    /// Deletes receipts whose days are over, also while nobody asks anything.
    async fn keep_retention(self: Arc<Self>) {
        loop {
            let (node, now) = (self.clone(), std::time::SystemTime::now());
            let days = node.config().receipt_days;
            let _ = tokio::task::spawn_blocking(move || node.receipts().expire(days, now)).await;
            tokio::time::sleep(RETENTION_ROUND).await;
        }
    }

    fn door(self: Arc<Self>, token: &str, address: SocketAddr, kill: Option<Kill>) -> Door {
        let sells = !self.config().prices.are_free() && self.cashier().is_some();
        // Whoever has no random bytes sells nothing.
        let sells = sells.then(|| keys::random().ok().map(|it| Digest(it).hex())).flatten();
        let node = self.clone();
        let callers = move |token: &str| node.caller_with(token).map(|caller| caller.name);
        let settings = DoorSettings {
            token: token.to_owned(),
            callers: Arc::new(callers),
            sells,
            hosts: vec![address.ip().to_string()],
            running_max: self.config().capacity as usize,
            memory: self.places().memory(),
            waiting_max: self.config().http_waiting,
            kill,
        };
        Door::new(self, &settings)
    }

    fn door_token(&self) -> Result<String, KeyError> {
        keys::door_token(&self.config().data_dir.join("keys"))
    }

    async fn listen(&self) -> Result<TcpListener, AskError> {
        TcpListener::bind(self.config().http).await.map_err(|error| self.no_address(&error))
    }

    fn no_address(&self, error: &std::io::Error) -> AskError {
        AskError::Door { address: self.config().http, reason: error.to_string() }
    }

    fn named_models(&self) -> Vec<ModelEntry> {
        let listed = self.models().list().unwrap_or_default();
        let facts = |opened: Arc<Opened>| {
            let crate::models::Facts { model_id, context, parameters, .. } = opened.facts();
            let template = String::from_utf8_lossy(&opened.spec.template).into_owned();
            ModelFacts { model_id, context, parameters, template }
        };
        let entry = |Listed { name, bytes, .. }: Listed| ModelEntry {
            facts: self.is_open(&name).map(facts),
            name,
            bytes,
        };
        listed.into_iter().map(entry).collect()
    }

    fn known_neighbours(&self) -> Result<Vec<Neighbour>, AskError> {
        if self.config().privacy == Privacy::Local {
            return Ok(Vec::new());
        }
        let (peers, memory, now) = (self.peers()?, self.standing()?, Clock::start().now());
        let neighbour = |ticket: &Ticket| {
            let silent = memory.standing().is_quiet(&ticket.key(), now);
            neighbour(ticket.key(), &memory.standing().of(&ticket.key()), silent)
        };
        Ok(peers.tickets().iter().map(neighbour).collect())
    }

    /// Whoever asks; a key that was taken back meanwhile asks nothing.
    async fn asker(self: &Arc<Self>, caller: Caller) -> Result<Asker, AskFailure> {
        let name = match caller {
            Caller::Owner => return Ok(Asker::Owner),
            Caller::Payer => return Ok(Asker::Payer),
            Caller::Key(name) => name,
        };
        let node = self.clone();
        let known = tokio::task::spawn_blocking(move || node.callers()).await;
        let known = known.map_err(|error| AskFailure::Internal(error.to_string()))?;
        let known = known.map_err(|error| AskFailure::Internal(error.to_string()))?;
        let found = known.into_iter().find(|caller| caller.name == name);
        let gone = || AskFailure::Nobody(format!("the key {name:?} was taken back"));
        found.ok_or_else(gone).map(Asker::Key)
    }

    fn check(&self, ask: &Ask) -> Result<Checked, AskFailure> {
        let question = question(ask).map_err(failure)?;
        let opened = self.open(&ask.model).map_err(|error| failure(error.into()))?;
        let job = crate::ask::job(&opened, &question).map_err(failure)?;
        Ok(Checked {
            fingerprint: format!("{}-op{}", job.model, job.op_set.0),
            prompt_tokens: u32::try_from(job.prompt.len()).unwrap_or(u32::MAX),
            // Elsewhere it is the others' memory.
            bytes: match self.config().privacy {
                Privacy::Local => places::wanted(&opened.spec, &job),
                Privacy::Circle | Privacy::Open => 0,
            },
        })
    }
}

/// What the wallet says, if it says it soon.
async fn in_time<T>(asking: impl Future<Output = Result<T, CashierError>>) -> Result<T, String> {
    let limit = tokio::time::timeout(WALLET_PATIENCE, asking).await;
    let said = limit.map_err(|_| "the wallet waits for its ledger; try again later".to_owned())?;
    said.map_err(|error| error.to_string())
}

impl Backend for Node {
    fn is_ready(&self) -> bool {
        self.is_settled()
    }

    fn models(self: Arc<Self>) -> BoxFuture<Vec<ModelEntry>> {
        Box::pin(async move {
            let listing = tokio::task::spawn_blocking(move || self.named_models());
            listing.await.unwrap_or_default()
        })
    }

    fn neighbours(self: Arc<Self>) -> BoxFuture<Vec<Neighbour>> {
        Box::pin(async move {
            let reading = tokio::task::spawn_blocking(move || self.known_neighbours());
            let known = reading.await.unwrap_or_else(|_| Ok(Vec::new()));
            known.unwrap_or_else(|error| {
                tracing::warn!(%error, "what is known of the neighbours cannot be read");
                Vec::new()
            })
        })
    }

    fn wallet(self: Arc<Self>) -> BoxFuture<Result<Option<WalletView>, String>> {
        Box::pin(async move {
            let Some(cashier) = self.cashier() else { return Ok(None) };
            in_time(cashier.wallet_view()).await.map(Some)
        })
    }

    fn block(self: Arc<Self>, height: u64) -> BoxFuture<Result<Option<TwoViews>, String>> {
        Box::pin(async move {
            let Some(cashier) = self.cashier() else { return Ok(None) };
            in_time(cashier.two_views(height)).await
        })
    }

    fn check(self: Arc<Self>, ask: Ask) -> BoxFuture<Result<Checked, AskFailure>> {
        Box::pin(async move {
            let loading = format!("model {:?} is being opened; try again in a moment", ask.model);
            let checking = tokio::task::spawn_blocking(move || Self::check(&self, &ask));
            let Ok(checked) = tokio::time::timeout(OPENING_PATIENCE, checking).await else {
                return Err(AskFailure::Loading(loading));
            };
            checked.unwrap_or_else(|error| Err(AskFailure::Internal(error.to_string())))
        })
    }

    fn ask(self: Arc<Self>, ask: Ask, say: Sender<Said>) -> BoxFuture<Result<Answer, AskFailure>> {
        Box::pin(async move {
            let question = question(&ask).map_err(failure)?;
            let mut teller = Teller::new(say, !question.form.tools.is_empty());
            let mut watch = |notice: Notice| teller.hear(notice);
            let asker = self.asker(ask.caller).await?;
            let answered = self.ask_for(&asker, &question, &mut watch).await;
            tokio::spawn(async move { self.meet_ahead().await });
            let (text, calls) = teller.end();
            answered.map(|answered| answer(answered, text, calls)).map_err(failure)
        })
    }

    fn embed(
        self: Arc<Self>,
        model: String,
        texts: Vec<String>,
    ) -> BoxFuture<Result<Embedded, AskFailure>> {
        Box::pin(async move {
            let embedding =
                tokio::task::spawn_blocking(move || self.embed_texts(&model, &texts)).await;
            embedding.unwrap_or_else(|error| Err(AskFailure::Internal(error.to_string())))
        })
    }

    fn price(&self, prompt: u32, written: u32) -> Amount {
        self.request_price(prompt, written)
    }

    fn quote(self: Arc<Self>, ask: Ask, ceiling: Amount) -> BoxFuture<Result<Quote, AskFailure>> {
        Box::pin(async move { self.request_quote(&ask, ceiling).await })
    }

    fn admit(
        self: Arc<Self>,
        model: String,
        ceiling: Amount,
        proof: Proof,
    ) -> BoxFuture<Result<Admission, Unpaid>> {
        Box::pin(async move { self.admit_request(&model, ceiling, proof).await })
    }

    fn discharge(self: Arc<Self>, admission: Admission, price: Amount) -> BoxFuture<Amount> {
        Box::pin(async move { self.discharge_request(admission, price).await })
    }

    fn receipt(&self, id: &str) -> Option<Vec<u8>> {
        self.receipts().find(id).ok().flatten()
    }

    fn verify(self: Arc<Self>, file: Vec<u8>) -> BoxFuture<Result<Verified, String>> {
        Box::pin(async move {
            let judging = tokio::task::spawn_blocking(move || Self::verify(&self, &file));
            let judged = judging.await.map_err(|error| error.to_string())?;
            judged.map(|verdict| verified(&verdict)).map_err(|error| error.to_string())
        })
    }
}

fn neighbour(provider: PeerKey, record: &Record, silent: bool) -> Neighbour {
    let times = |times: &Times| {
        let micros = |percent| times.percentile_micros(percent).map(Duration::from_micros);
        Some(Percentiles { p50: micros(50)?, p95: micros(95)? })
    };
    Neighbour {
        provider,
        answers: record.answers,
        failures: record.failures,
        lies: record.lies,
        silent,
        first_token: times(&record.first),
        between_tokens: times(&record.between),
    }
}

fn verified(verdict: &Verdict) -> Verified {
    let lines = verdict.lines().into_iter();
    Verified {
        holds: verdict.holds(),
        lines: lines.map(|(name, text)| (name.to_owned(), text)).collect(),
    }
}

fn question(ask: &Ask) -> Result<Question, AskError> {
    let seed = match ask.seed {
        Some(short) => Node::seed(short),
        None => keys::random()?,
    };
    Ok(Question {
        model: ask.model.clone(),
        messages: ask.messages.clone(),
        raw: ask.raw,
        sampling: Sampling { seed, ..ask.sampling },
        max_tokens: ask.max_tokens,
        stop: ask.stop.clone(),
        logprobs: ask.logprobs,
        form: ask.form.clone(),
    })
}

fn answer(answered: Answered, text: String, calls: Vec<Call>) -> Answer {
    Answer {
        answer_tokens: u32::try_from(answered.tokens.len()).unwrap_or(u32::MAX),
        text,
        calls,
        logprobs: answered.logprobs,
        finish: answered.finish,
        prompt_tokens: answered.prompt_tokens,
        cached_tokens: answered.cached_tokens,
        providers: answered.providers,
        seen_by: answered.seen_by,
        receipt: answered.receipt_id,
        receipt_kept: answered.receipt_path.is_some(),
        verification: answered.trust.words(),
        energy: answered.energy.map(|energy| (energy.joules, energy.source.name())),
        payments: answered.payments.iter().map(payment).collect(),
        first_token: answered.first_token,
        total: answered.total,
    }
}

fn payment(payment: &mutirao_market::session::client::Payment) -> mutirao_gateway::Payment {
    let (provider, paid, vouchers) = (payment.provider, payment.paid, payment.vouchers);
    mutirao_gateway::Payment { provider, paid, vouchers }
}

fn failure(error: AskError) -> AskFailure {
    let reason = error.to_string();
    match error {
        AskError::Model(ModelError::Unknown { .. }) => AskFailure::UnknownModel(reason),
        AskError::PromptTooLong { .. } => AskFailure::PromptTooLong(reason),
        AskError::Mind(MindError::Refused(_)) | AskError::Job(_) => AskFailure::Invalid(reason),
        AskError::EmptyCircle | AskError::NobodyFits { .. } => AskFailure::Nobody(reason),
        AskError::Session(session) => match *session {
            SessionError::AnswerDiverged { .. } => AskFailure::Internal(reason),
            _ => AskFailure::Nobody(reason),
        },
        AskError::Diverged { position, provider, .. } => {
            AskFailure::Diverged { reason, position, provider }
        }
        _ => AskFailure::Internal(reason),
    }
}
