//! Errors as OpenAI's clients read them.

use crate::backend::AskFailure;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An error on its way to a client.
#[derive(Debug, Clone)]
pub struct ApiError {
    status: StatusCode,
    kind: &'static str,
    code: &'static str,
    message: String,
    parameter: Option<&'static str>,
}

impl ApiError {
    /// An error of the server or, below 500, of the request.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let kind = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "authentication_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_client_error() => "invalid_request_error",
            _ => "server_error",
        };
        Self { status, kind, code, message: message.into(), parameter: None }
    }

    /// A value of the request that is not understood or not within bounds.
    pub fn parameter(name: &'static str, message: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::BAD_REQUEST, "invalid_value", message);
        Self { parameter: Some(name), ..error }
    }

    /// The `error` object, as it stands in a body or in a stream.
    pub fn object(&self) -> Value {
        json!({ "error": {
            "message": self.message,
            "type": self.kind,
            "param": self.parameter,
            "code": self.code,
        }})
    }
}

impl From<AskFailure> for ApiError {
    fn from(failure: AskFailure) -> Self {
        let message = failure.to_string();
        let (status, code) = match failure {
            AskFailure::UnknownModel(_) => (StatusCode::NOT_FOUND, "model_not_found"),
            AskFailure::PromptTooLong(_) => (StatusCode::BAD_REQUEST, "context_length_exceeded"),
            AskFailure::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid_value"),
            AskFailure::Loading(_) => (StatusCode::SERVICE_UNAVAILABLE, "model_loading"),
            AskFailure::Nobody(_) => (StatusCode::SERVICE_UNAVAILABLE, "no_provider"),
            AskFailure::Diverged { .. } => (StatusCode::BAD_GATEWAY, "answer_diverged"),
            AskFailure::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        };
        Self::new(status, code, message)
    }
}

impl ApiError {
    /// What happened, for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// A response with its status and this body.
    pub(crate) fn with_body(&self, body: &Value) -> Response {
        let mut response = (self.status, Json(body)).into_response();
        let later = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        if later.contains(&self.status) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.with_body(&self.object())
    }
}
