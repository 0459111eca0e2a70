//! The routes, and the listener they hang on.

use crate::backend::{Ask, Backend, Checked};
use crate::demo::Kill;
use crate::embeddings;
use crate::error::ApiError;
use crate::guard::{self, Caller, Callers, Guard};
use crate::metrics::Metrics;
use crate::neighbours;
use crate::ollama;
use crate::openai;
use crate::page;
use crate::pay::{Bill, Register};
use crate::queue::{Place, Queue, Whose};
use crate::wallet;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use std::sync::Arc;
use tokio::net::TcpListener;

/// Largest request body, in bytes: a long conversation, many times over.
const BODY_BYTES_MAX: usize = 8 << 20;

/// How a door is set up.
#[derive(Clone)]
pub struct DoorSettings {
    /// The token that every request must carry.
    pub token: String,
    /// Whose other keys are known.
    pub callers: Callers,
    /// Where whoever has no key pays for each request: a secret of this process, of 32 bytes and
    /// more.
    pub sells: Option<String>,
    /// Host names besides loopback's that are this machine's.
    pub hosts: Vec<String>,
    /// Answers at once.
    pub running_max: usize,
    /// Bytes that they share.
    pub memory: u64,
    /// Questions that may wait.
    pub waiting_max: usize,
    /// How a demonstration's providers are ended; no other door has this.
    pub kill: Option<Kill>,
}

/// What the handlers share.
pub struct Door {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) metrics: Arc<Metrics>,
    queue: Arc<Queue>,
    guard: Arc<Guard>,
    pub(crate) kill: Option<Kill>,
    pub(crate) register: Option<Register>,
}

impl Door {
    /// A door in front of `backend`.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, settings: &DoorSettings) -> Self {
        let metrics = Arc::new(Metrics::new());
        let DoorSettings { running_max, memory, waiting_max, .. } = *settings;
        Self {
            backend,
            queue: Queue::new(running_max, memory, waiting_max, metrics.clone()),
            metrics,
            guard: Arc::new(
                Guard::new(&settings.token, &settings.hosts)
                    .with_callers(settings.callers.clone())
                    .that_sells(settings.sells.is_some()),
            ),
            kill: settings.kill.clone(),
            register: settings.sells.as_deref().map(Register::new),
        }
    }

    /// Waits until it is this question's turn.
    pub(crate) async fn enter(
        &self,
        ask: &Ask,
        checked: &Checked,
        bill: Option<&Bill>,
    ) -> Result<Place, ApiError> {
        let whose = match bill {
            Some(bill) => Whose::Channel(bill.admission().channel),
            None => Whose::Caller(ask.caller.clone()),
        };
        self.queue.enter(whose, checked.bytes).await
    }

    /// Waits until it is somebody's turn who asks for no answer.
    pub(crate) async fn enter_for(&self, caller: Caller) -> Result<Place, ApiError> {
        self.queue.enter(Whose::Caller(caller), 0).await
    }

    /// All routes, behind the guard.
    pub fn router(self) -> Router {
        let guard = self.guard.clone();
        let routes = match self.kill.clone() {
            Some(kill) => Router::new().route("/v1/demo/kill", kill.route()),
            None => Router::new(),
        };
        routes
            .route("/", get(page::index))
            .route("/page.js", get(page::script))
            .route("/style.css", get(page::style))
            .route("/health", get(health))
            .route("/metrics", get(metrics))
            .route("/v1/models", get(openai::models))
            .route("/v1/models/{name}", get(openai::model))
            .route("/v1/neighbours", get(neighbours::list))
            .route("/v1/wallet", get(wallet::show))
            .route("/v1/wallet/blocks/{height}", get(wallet::block))
            .route("/v1/chat/completions", post(openai::chat))
            .route("/v1/completions", post(openai::complete))
            .route("/v1/responses", post(openai::respond))
            .route("/v1/embeddings", post(embeddings::create))
            .route("/api/version", get(ollama::version))
            .route("/api/tags", get(ollama::tags))
            .route("/api/ps", get(ollama::running))
            .route("/api/show", post(ollama::show))
            .route("/api/chat", post(ollama::chat))
            .route("/api/generate", post(ollama::generate))
            .route("/api/embed", post(embeddings::ollama))
            .route("/api/embeddings", post(embeddings::ollama))
            .route("/v1/receipts/{id}", get(receipt))
            .route("/v1/receipts/verify", post(verify))
            .fallback(unknown)
            .method_not_allowed_fallback(wrong_method)
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(middleware::from_fn_with_state(guard, guard::stand))
            .with_state(Arc::new(self))
    }
}

/// Serves until `stop` is done; running answers end first.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    door: Door,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, door.router()).with_graceful_shutdown(stop).await
}

async fn health(State(door): State<Arc<Door>>) -> Response {
    if door.backend.is_ready() {
        return Json(serde_json::json!({ "status": "ok" })).into_response();
    }
    let message = "the model is being opened; try again in a moment";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "model_loading", message).into_response()
}

async fn metrics(State(door): State<Arc<Door>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let neighbours = door.backend.clone().neighbours().await;
    ([(header::CONTENT_TYPE, kind)], door.metrics.text(&neighbours)).into_response()
}

async fn receipt(State(door): State<Arc<Door>>, Path(id): Path<String>) -> Response {
    match door.backend.receipt(&id) {
        Some(file) => ([(header::CONTENT_TYPE, "application/json")], file).into_response(),
        None => {
            let message = "no receipt with this id is kept here";
            ApiError::new(StatusCode::NOT_FOUND, "receipt_not_found", message).into_response()
        }
    }
}

async fn verify(State(door): State<Arc<Door>>, file: Bytes) -> Result<Response, ApiError> {
    let verified = door.backend.clone().verify(file.to_vec()).await.map_err(|reason| {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "cannot_be_judged", reason)
    })?;
    let found = serde_json::json!({ "holds": verified.holds, "lines": verified.lines });
    Ok(Json(found).into_response())
}

async fn unknown() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown_url", "there is nothing under this address")
}

async fn wrong_method() -> ApiError {
    let message = "this address takes another method";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
