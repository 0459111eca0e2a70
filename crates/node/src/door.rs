//! The node behind its HTTP door: what `mutirao-gateway` asks for, in terms of [`Node::ask`].

#[cfg(test)]
mod tests;

use crate::ask::{Answered, AskError, Notice, Question};
use crate::assemble::Node;
use crate::keys::{self, KeyError};
use crate::models::ModelError;
use crate::verify::Verdict;
pub use mutirao_gateway::Kill;
use mutirao_gateway::backend::BoxFuture;
use mutirao_gateway::{
    Answer, Ask, AskFailure, Backend, Checked, Door, DoorSettings, ModelEntry, Said, Verified,
};
use mutirao_market::session::client::SessionError;
use mutirao_wire::Sampling;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;

/// A door that stands open.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    token: String,
    node: Arc<Node>,
    stop: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
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
        let door = node.clone().door(&token, address, kill);
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let serving = tokio::spawn(mutirao_gateway::serve(listener, door, stopped));
        Ok(Serving { address, token, node, stop, serving })
    }

    fn door(self: Arc<Self>, token: &str, address: SocketAddr, kill: Option<Kill>) -> Door {
        let settings = DoorSettings {
            token: token.to_owned(),
            hosts: vec![address.ip().to_string()],
            running_max: self.config().capacity as usize,
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
        let opened = listed.iter().filter_map(|listed| self.open(&listed.name).ok());
        let entry = |facts: crate::models::Facts| ModelEntry {
            name: facts.name,
            model_id: facts.model_id,
            context: facts.context,
        };
        opened.map(|opened| entry(opened.facts())).collect()
    }

    fn check(&self, ask: &Ask) -> Result<Checked, AskFailure> {
        let question = question(ask).map_err(failure)?;
        let opened = self.open(&ask.model).map_err(|error| failure(error.into()))?;
        let job = crate::ask::job(&opened, &question).map_err(failure)?;
        Ok(Checked {
            fingerprint: format!("{}-op{}", job.model, job.op_set.0),
            prompt_tokens: u32::try_from(job.prompt.len()).unwrap_or(u32::MAX),
        })
    }
}

impl Backend for Node {
    fn models(self: Arc<Self>) -> BoxFuture<Vec<ModelEntry>> {
        Box::pin(async move {
            let listing = tokio::task::spawn_blocking(move || self.named_models());
            listing.await.unwrap_or_default()
        })
    }

    fn check(self: Arc<Self>, ask: Ask) -> BoxFuture<Result<Checked, AskFailure>> {
        Box::pin(async move {
            let checking = tokio::task::spawn_blocking(move || Self::check(&self, &ask));
            checking.await.unwrap_or_else(|error| Err(AskFailure::Internal(error.to_string())))
        })
    }

    fn ask(self: Arc<Self>, ask: Ask, say: Sender<Said>) -> BoxFuture<Result<Answer, AskFailure>> {
        Box::pin(async move {
            let question = question(&ask).map_err(failure)?;
            let mut speaker = None;
            let mut watch = move |notice: Notice| {
                let said = match notice {
                    Notice::Asking { provider } => {
                        speaker = Some(provider);
                        return;
                    }
                    Notice::Text { text } => speaker.map(|provider| Said::Text { text, provider }),
                    Notice::Lost { provider, why } => Some(Said::Lost { provider, why }),
                };
                // The channel has room for all of it; it refuses only when nobody listens.
                let _ = said.map(|said| say.try_send(said));
            };
            let answered = Self::ask(&self, &question, &mut watch).await;
            tokio::spawn(async move { self.meet_ahead().await });
            answered.map(answer).map_err(failure)
        })
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
        sampling: Sampling { seed, ..ask.sampling },
        max_tokens: ask.max_tokens,
        stop: ask.stop.clone(),
    })
}

fn answer(answered: Answered) -> Answer {
    Answer {
        answer_tokens: u32::try_from(answered.tokens.len()).unwrap_or(u32::MAX),
        text: answered.text,
        finish: answered.finish,
        prompt_tokens: answered.prompt_tokens,
        providers: answered.providers,
        seen_by: answered.seen_by,
        receipt: answered.receipt_id,
        verification: answered.trust.words(),
        first_token: answered.first_token,
        total: answered.total,
    }
}

fn failure(error: AskError) -> AskFailure {
    let reason = error.to_string();
    match error {
        AskError::Model(ModelError::Unknown { .. }) => AskFailure::UnknownModel(reason),
        AskError::PromptTooLong { .. } => AskFailure::PromptTooLong(reason),
        AskError::Text(_) | AskError::Job(_) => AskFailure::Invalid(reason),
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
